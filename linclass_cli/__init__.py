"""linclass: linear image classifiers from a terminal."""

__version__ = "0.1.0"
