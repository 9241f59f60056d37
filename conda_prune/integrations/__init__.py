"""How other programs run conda-prune. Each module here is a thin layer on top of the command line."""
