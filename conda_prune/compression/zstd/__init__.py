"""zstd: reads one frame completely, and writes it again with splices, copying the compressed blocks that still fit.

A *splice* replaces a byte range of the uncompressed content. Compressing is nearly the whole cost of a repair: 865 MB
at level 19 take 495 s to compress and 2 s to decompress. Most of the content does not change, so most of the compressed
bytes can be copied. This page explains which ones, and why the result is right. The format is specified in RFC 8878.
Jobs are not part of it, but an implementation detail of libzstd 1.5 (zstdmt_compress.c).

**Frame.** One compressed stream. A header states the *window* (how far back content may be referred to: 4 MiB at level
15), the size of the content, and whether a checksum follows. Then come the blocks. The optional checksum is the low
four bytes of the XXH64 of the whole content.

**Block.** A 3-byte header (last-block flag, type, size) and then up to 128 KiB of content, compressed or raw. Because
the size is stated, blocks are found without decoding anything. But a block does not decompress by itself. It may use
three things that earlier blocks left in the decoder:

1. *Earlier content.* A match says "copy `length` bytes from `offset` bytes back", up to a window back.
2. *Repeat offsets.* A match may name one of the last three offsets by number instead of stating its own.
3. *Entropy tables.* A block may say "same Huffman or FSE table as before" instead of carrying its own.

Before the first splice, all of these are unchanged, so all blocks there are copied. After a splice, a range of blocks
can be copied if (1) all content that they refer to is still there at the same distance, and none of them uses (2)
offsets or (3) tables from before the range. What they take from each other does not matter, because they are copied
together.

**Job.** libzstd's multi-threaded mode (rattler-build and pixi use it) cuts content into jobs of a fixed size: four
windows, at least 1 MiB. Threads compress the jobs independently of each other, and the blocks are concatenated. A
thread cannot know how the job before it ends, so a job starts with invalid repeat offsets and without tables: (2) and
(3) hold by construction. To still find matches, it is shown the end of the job before, the *overlap*: between an eighth
of the window and all of it, depending on the level. It refers back no further, so (1) holds if no splice lies within
the overlap. **From such a job on, blocks are copied as they are, up to the next splice.** Where jobs start follows from
the settings, which `compression/level_recovery.py` recovers.

    old frame  ├──────── job ────────┼─────▓▓─── job ──────┼──────── job ────────┼──────── job ────────┤
                                         splice    ├overlap┤ this job refers back no further than that
    new frame  ╞═════════ copied ═════════╡├─ compressed ─┤╞═════════════════ copied ══════════════════╡

**Independent blocks.** More than a window after a splice, no block refers to it, so (1) holds. There, copying may also
start at any block that happens to need neither offsets nor tables from before it. In real packages, every second or
third block is one. This is the only way for writers with one thread (conda-build), whose frames have no jobs.
`independence.py` finds such blocks by decoding them from two different states.

**New blocks.** Content near a splice is compressed again, and the block before it may now be a different one, so the
new blocks must not depend on offsets or tables either. libzstd has no option for that. But the start of a job gives
exactly this, so `compressor.py` uses the multi-threaded mode, puts in the preceding content, flushes (which ends the
job), throws that output away, and keeps the blocks that follow.

**The new frame** is the old header with the new content size, then copied and new blocks in order, with the last-block
flag only on the last one, and a checksum of the new content if the old frame had one. The window is the same, so a
reader keeps enough content for every copied block. The result is a single frame, because some clients read only the
first one.

**Why this is safe.** The rules above predict what libzstd did; nothing in the format guarantees the prediction. So:

* The start of a job is tried by decoding as well, unless the window is so small or large that this costs too much.
* While the old frame is decompressed, the CRC-32 of the new content is computed from the decompressed bytes.
* The finished package is decompressed before it replaces anything, and the CRC-32 of the tar and the SHA-256 of every
  member are compared (`rewrite/verify.py`). If they differ, everything is compressed again without reuse.

A wrong prediction therefore costs time, never content. Measured with 865 MB: at level 15, 46 of 52 jobs were copied,
which took 10-19 s instead of 103 s; at level 19, 22 of 26 jobs and 26 s instead of 495 s.

| file | what it does |
|---|---|
| `frame.py` | reads and checks a frame; writes one without reuse |
| `blocks.py` | decides which blocks are copied; sees only numbers |
| `reuse.py` | carries that out, with the modules below |
| `reader.py` | decompresses the old frame block by block |
| `independence.py` | tries whether a block needs offsets or tables from before it |
| `content.py` | the new content so far: its digests and its last window |
| `compressor.py` | compresses new content into blocks that fit after any block |
| `writer.py` | writes the new frame |
"""
