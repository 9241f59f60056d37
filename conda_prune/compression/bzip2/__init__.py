"""bz2: reads one stream completely, and writes it again with splices, copying the blocks that contain none.

A bz2 block holds up to 900 kB of content and decompresses by itself: nothing in it refers to another block. So any
block without a splice can be copied. The difficulty is finding and moving blocks: they start at any bit, and nothing
states their length. `find_blocks.py` explains how that is done, and how a false block is detected.

It is safe because each block is decompressed, which checks its CRC, before anything is copied, and because the CRCs of
the blocks found must combine to the one in the stream's footer. If anything does not fit, everything is compressed
again. Like every result, the new stream is also decompressed and compared before it is used.

| file | what it does |
|---|---|
| `stream.py` | reads and writes a whole stream in one thread, with Python's bz2 |
| `find_blocks.py` | the format bit by bit: finds, decompresses and makes blocks |
| `reader.py` | decompresses the blocks of a stream in parallel |
| `blocks.py` | decides what is copied; sees only numbers |
| `reuse.py` | carries that out |
| `writer.py` | writes blocks and new content as one stream |
"""
