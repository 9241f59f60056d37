"""One bz2 stream: read, reused and written."""
