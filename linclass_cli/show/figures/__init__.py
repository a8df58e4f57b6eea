"""Figures, one kind a file: what a run is or does, as a matplotlib ``Figure``. No pyplot."""
