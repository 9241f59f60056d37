"""Recovers the settings that a stream was compressed with, and says how they are known.

A bz2 stream states its level. A zstd frame states neither the level nor the mode (multi-threaded or not). But if the
first 512 KiB of content are compressed again with the right settings and the original's content size, the output is
that of the original nearly up to the sample's end. With another level, little more than the header agrees. Measured at
level 15: 528,157 of 548,654 bytes agree; in the other mode 75,738; at any other level with the same window, 10 or 11.

If several settings give the same bytes, they are equivalent for this stream, and the defaults of package writers win.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, cast

import zstandard

from ..errors import Damaged, UsageError
from ..model import CompressionSettings
from .byte_range import ByteRange, ByteRangeReader
from .bzip2 import stream as bzip2
from .zstd import frame as zstd
from .zstd.blocks import job_layout

SAMPLE = 1 << 19
"""Bytes of content that decide between the candidates that pass the screening."""
_SCREEN = 1 << 17
"""Bytes of content that are enough to exclude most levels."""
_LEVELS = (15, 19, 16, 9, 22, *(level for level in range(21, -8, -1) if level not in (15, 19, 16, 9)))
"""Defaults first: rattler-build and pixi, conda-build, conda-forge, the assembly API of py-rattler-build, cph 1.x."""
_THREADED_DEFAULTS = frozenset({15, 9})
_CHEAPEST_FIRST = (1, 2, 3, 5, 7, 9, 12, 15, 16, 17, 18, 19)
"""Levels that may be assumed. Levels below 1 save no noticeable time, and levels above 19 only have a larger window."""
_SLACK = 0.02
"""How much larger than the original the sample may be at an assumed level. Long mode, which is never assumed, makes it
1.5 % smaller at levels 3 and 9 (measured). Without slack, a slower level would be assumed to make up for that."""
_ENOUGH = 0.5
"""The share of the compressed sample that must agree. With the right settings, only the last blocks differ, because the
sample ends there and the original goes on."""
_LARGEST_JOB = 1 << 23
"""Bytes of content. If the first job is larger, its end is not compressed only to distinguish the modes: it would take
too long, and at levels with such jobs the modes already differ in the sample."""
_RANGES: dict[str, tuple[int, int]] = {"zstd": (-7, 22), "bzip2": (1, 9)}


@dataclass(frozen=True, slots=True)
class _Sample:
    """The beginning of a frame: its header, the first content, and at least the compressed bytes of that content."""

    frame: zstd.FrameHeader
    content: bytes
    packed: bytes


def recover(
    source: ByteRange, codec: str, prefer: CompressionSettings | None = None, recorded: int | None = None
) -> CompressionSettings:
    """Return the settings of the stream in `source`.

    `prefer` (the settings of another component) is tried first, then `recorded` (a level that the package states). If
    no settings reproduce the stream, the recorded level is used; if there is none, a level that is not slower than the
    original one. Raises Damaged, Unsupported or NotAPackage if `source` does not hold such a stream.
    """
    if codec == "bzip2":
        return CompressionSettings("bzip2", bzip2.read_level(source), "recorded")
    frame = zstd.read_frame(source)
    sample = _Sample(frame, _first_content(source, SAMPLE), source.read(0, SAMPLE + (SAMPLE >> 2)))
    if candidates := _reproduce(sample, prefer, recorded):
        return candidates[0] if len(candidates) == 1 else _distinguish_modes(source, frame, *candidates)
    if recorded is not None:
        return CompressionSettings("zstd", recorded, "recorded", _likely_threaded(recorded), frame.checksum)
    level = _cheapest_level(source, frame)
    return CompressionSettings("zstd", level, "assumed", _likely_threaded(level), frame.checksum)


def asked(codec: Literal["zstd", "bzip2"], level: int) -> CompressionSettings:
    """Return the settings for a level that the user asked for; raise UsageError if the codec does not have it."""
    low, high = _RANGES[codec]
    if not low <= level <= high:
        raise UsageError(f"--level {level}: {codec} has the levels {low} to {high}")
    return CompressionSettings(codec, level, "asked", threaded=codec == "zstd")


def _reproduce(
    sample: _Sample, prefer: CompressionSettings | None, recorded: int | None
) -> tuple[CompressionSettings, ...]:
    """Return the settings that reproduce most of the sample: none, one, or one level in both modes."""
    best: tuple[CompressionSettings, ...] = ()
    agreed = 0.0
    for level, modes in _candidates(sample.frame, prefer, recorded):
        for threaded in modes:
            settings = CompressionSettings("zstd", level, "reproduced", threaded, sample.frame.checksum)
            # A small sample is enough to exclude a level. It is shorter than a job, so the other mode would give the
            # same bytes.
            if threaded == modes[0] and _agreement(sample, settings, _SCREEN) < _ENOUGH:
                break
            agreement = _agreement(sample, settings)
            if agreement == 1 and prefer is not None and (level, threaded) == (prefer.level, prefer.threaded):
                return (settings,)
            if agreement >= _ENOUGH and agreement > agreed:
                best, agreed = (settings,), agreement
            elif best and agreement == agreed and level == best[0].level:
                best = (best[0], settings)
        if agreed == 1:
            break
    return best


def _candidates(
    frame: zstd.FrameHeader, prefer: CompressionSettings | None, recorded: int | None
) -> Iterator[tuple[int, tuple[bool, ...]]]:
    """Yield the levels that have the frame's window, each with both modes; the most likely ones come first."""
    likely = ([prefer.level] if prefer is not None else []) + ([recorded] if recorded else [])
    for level in dict.fromkeys([*likely, *_LEVELS]):
        if _window_fits(level, frame):
            first = prefer.threaded if prefer is not None else _likely_threaded(level)
            yield level, (first, not first)


def _window_fits(level: int, frame: zstd.FrameHeader) -> bool:
    """Return whether a level has the frame's window. This excludes most levels: only 9 to 16 have 4 MiB, for example.

    A single segment does not state a window, but its content cannot be larger than the level's window.
    """
    size = frame.content_size or 0
    window = 1 << zstandard.ZstdCompressionParameters.from_level(level, source_size=size).window_log
    return window >= size if frame.single_segment else window == frame.window


def _likely_threaded(level: int) -> bool:
    """Return the mode of the writers that use a level. Only rattler-build and pixi, which use threads, go below 0."""
    return level in _THREADED_DEFAULTS or level < 0


def _distinguish_modes(
    source: ByteRange, frame: zstd.FrameHeader, best: CompressionSettings, other: CompressionSettings
) -> CompressionSettings:
    """Return which of a level's two modes reproduces more of the stream, or `best` if comparing would take too long.

    The modes may first differ where the first job ends, so the sample must be larger than a job.
    """
    job = min(job_layout(frame, settings, frame.content_size or 0).size for settings in (best, other))
    size = job + SAMPLE
    if frame.content_size is None or frame.content_size <= size or job > _LARGEST_JOB:
        return best
    sample = _Sample(frame, _first_content(source, size), source.read(0, size + (size >> 2)))
    return max((best, other), key=lambda settings: _agreement(sample, settings))


def _agreement(sample: _Sample, settings: CompressionSettings, size: int | None = None) -> float:
    """Compress the first `size` bytes of content with `settings`; return the share of the output that agrees.

    If the sample is all of the content, the result is 1 or 0: then the whole streams are compared.
    """
    frame, content = sample.frame, sample.content[:size]
    parameters = zstandard.ZstdCompressionParameters.from_level(
        settings.level,
        source_size=frame.content_size or 0,
        threads=int(settings.threaded),
        write_content_size=frame.content_size is not None,
        write_checksum=frame.checksum,
    )
    stated = -1 if frame.content_size is None else frame.content_size
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=stated)
    whole = len(content) == frame.content_size or (frame.content_size is None and len(content) < _SCREEN)
    packed = compressor.compress(content)
    packed += compressor.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH if whole else zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    if whole:
        return float(packed == sample.packed)
    same = len(os.path.commonprefix([packed, sample.packed[: len(packed)]]))  # noqa: RUF071 - bytes, not paths
    return same / len(packed) if packed else 0.0  # A frame that is cut off before its first block has no content.


def _cheapest_level(source: ByteRange, frame: zstd.FrameHeader) -> int:
    """Return the fastest level that makes the first content about as small as it is in the original.

    The window does not show the level: `zstd -3 --long=26` has the window of level 21, which takes 300 times as long.
    But unless another compressor wrote it, the original took at least as long as the fastest level that gives its size.
    """
    content, packed = b"", frame.header_size
    decompressor = zstd.decompressor().decompressobj()
    decompressor.decompress(source.read(0, frame.header_size))
    # Read up to the end of a block. Only there do we know how many compressed bytes the content so far takes.
    for block in zstd.walk_blocks(source, frame):
        content += decompressor.decompress(source.read(block.start, block.stop - block.start))
        packed = block.stop
        if len(content) >= SAMPLE:
            break
    small_enough = (level for level in _CHEAPEST_FIRST if _packed_size(content, level, frame) <= packed * (1 + _SLACK))
    return next(small_enough, _CHEAPEST_FIRST[-1])


def _packed_size(content: bytes, level: int, frame: zstd.FrameHeader) -> int:
    """Return the compressed size in bytes of a frame's first content at a level, including the frame header."""
    parameters = zstandard.ZstdCompressionParameters.from_level(level, source_size=frame.content_size or 0)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return len(compressor.compress(content)) + len(compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))


def _first_content(source: ByteRange, size: int) -> bytes:
    """Return the first `size` bytes of content, or all if there are fewer; raise Damaged if decompressing fails."""
    head = bytearray()
    file = cast("BinaryIO", ByteRangeReader(source))
    reader = zstd.decompressor().stream_reader(file, read_size=1 << 17, read_across_frames=False)
    try:
        while piece := reader.read(size - len(head)):
            head += piece
    except zstandard.ZstdError as error:
        raise Damaged(f"the zstd data is damaged: {error}", "build or download it again") from error
    return bytes(head)
