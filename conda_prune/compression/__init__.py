"""zstd frames and bz2 streams: read them completely, and write them again with ranges of their content replaced.

Knows nothing of archives or Python. `codec.py` has the one table of codecs; `recompress.py` is what rewriting calls;
`settings.py` recovers how a stream was compressed. In each codec's folder, `blocks.py` decides which compressed blocks
are copied, and `reuse.py` copies them.
"""
