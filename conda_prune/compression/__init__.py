"""zstd frames and bz2 streams: read them completely, and write them again with ranges of their content replaced."""
