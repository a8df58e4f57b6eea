"""From paths to labels, stage by stage, in bounded memory, in the order of the paths: ``predict``."""
