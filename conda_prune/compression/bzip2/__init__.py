"""bz2: read one stream completely, and write it again with blocks of the old one.

`stream.py` reads and writes with Python's bz2; `bits.py` knows the format bit by bit; `reader.py` decompresses blocks
in parallel; `blocks.py` decides what is copied; `reuse.py` carries that out with `writer.py`.
"""
