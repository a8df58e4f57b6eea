"""One thin file a command: resolve the config, call one function, show what it returns."""
