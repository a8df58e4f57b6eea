"""Stage one of the line: datasets, from their addresses to arrays of pixels and labels."""
