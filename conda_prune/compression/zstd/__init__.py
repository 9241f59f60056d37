"""One zstd frame: read, reused and written."""
