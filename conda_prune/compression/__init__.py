"""zstd frames and bz2 streams: reads them completely, and writes them again with ranges of their content replaced.

Knows nothing of archives or Python. `codec.py` has the table of codecs; `recompress.py` is what rewriting calls;
`settings.py` recovers how a stream was compressed. In each codec's directory, `blocks.py` decides which compressed
blocks are copied, and `reuse.py` copies them. `zstd/__init__.py` and `bzip2/__init__.py` explain why that is right.
"""
