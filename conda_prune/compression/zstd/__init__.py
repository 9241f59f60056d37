"""zstd (RFC 8878): read one frame completely, and write it again with blocks of the old one.

`frame.py` reads and checks; `blocks.py` decides what is copied; `reuse.py` carries that out with `reader.py` (the old
frame), `independence.py` (may this block follow other content?), `content.py` (the new content so far), `compressor.py`
(new blocks) and `writer.py` (the new frame).
"""
