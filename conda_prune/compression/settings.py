"""How a stream was compressed, recovered by compressing its beginning again, and how sure that is.

zstd records neither level nor threading. But the first half megabyte, compressed with the right parameters and the
original's content size, gives the original's bytes up to where the sample was cut, and with any other setting rarely
more than a header. Settings that give the same bytes are the same for that stream; among them the writers' defaults
come first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, cast

import zstandard

from ..errors import Damaged, UsageError
from ..model import CompressionSettings
from .byte_range import ByteRange, ByteRangeReader
from .bzip2 import stream as bzip2
from .zstd import frame as zstd
from .zstd import reuse as zstd_reuse

SAMPLE = 1 << 19
"""Bytes of content that decide between the candidates that the screening leaves."""
_SCREEN = 1 << 17
_LEVELS = (15, 19, 16, 9, 22, *(level for level in range(21, -8, -1) if level not in (15, 19, 16, 9)))
"""The writers' defaults come first: rattler-build and pixi, conda-build, conda-forge, py-rattler-build's API, cph 1."""
_THREADED_DEFAULTS = frozenset({15, 9})
_CHEAPEST_FIRST = (1, 2, 3, 5, 7, 9, 12, 15, 16, 17, 18, 19)
"""Levels to assume. Lower ones save no time that anyone would notice, higher ones differ in their window only."""
_SLACK = 0.02
"""How much larger, relatively, an assumed level may leave the sample: long mode saves 1.5 % of it at levels 3 and 9
(measured), and a level must not be taken for a slower one because of that."""
_ENOUGH = 0.5
"""Part of a compressed sample that agrees at least when the parameters are right: its last blocks end elsewhere than in
the original, while wrong parameters agree in little more than the header."""
_LARGEST_JOB = 1 << 23
"""Content to compress at most to tell the modes apart; those of slower levels mostly differ within the sample."""


def recover(
    byte_range: ByteRange, codec: str, prefer: CompressionSettings | None = None, recorded: int | None = None
) -> CompressionSettings:
    """Return the parameters of the stream in `byte_range`.

    `prefer` is tried first (another component's parameters), then `recorded`, a level that the package itself states.
    When nothing reproduces the bytes, the recorded level is used; without one, a level is assumed that is not slower
    than the one that the original was written at.
    """
    if codec == "bzip2":
        return CompressionSettings("bzip2", bzip2.read_level(byte_range), "recorded")
    frame = zstd.read_frame(byte_range)
    content = _head(byte_range, SAMPLE)
    original = byte_range.read(0, SAMPLE + (SAMPLE >> 2))
    best: tuple[float, CompressionSettings] | None = None
    rival = None
    for level, modes in _candidates(frame, prefer, recorded):
        for threaded in modes:
            settings = CompressionSettings("zstd", level, "reproduced", threaded, frame.checksum)
            # A small sample is enough to leave a level out, and to tell nothing about its other mode.
            if threaded == modes[0] and _agreement(content[:_SCREEN], original, settings, frame) < _ENOUGH:
                break
            agreement = _agreement(content, original, settings, frame)
            if agreement == 1 and prefer is not None and (level, threaded) == (prefer.level, prefer.threaded):
                return settings
            if agreement >= _ENOUGH and (best is None or agreement > best[0]):
                best, rival = (agreement, settings), None
            elif best is not None and agreement == best[0] and level == best[1].level:
                rival = settings
        if best is not None and best[0] == 1:
            break
    if best is not None:
        return best[1] if rival is None else _decided(byte_range, frame, best[1], rival)
    if recorded is not None:
        return CompressionSettings("zstd", recorded, "recorded", _likely_threaded(recorded), frame.checksum)
    level = _cheapest_level(byte_range, frame)
    return CompressionSettings("zstd", level, "assumed", _likely_threaded(level), frame.checksum)


def _cheapest_level(byte_range: ByteRange, frame: zstd.Frame) -> int:
    """Return the fastest level that makes the beginning of the content about as small as the original is.

    The window is no evidence: `zstd -3 --long=26` has the window of level 21, which takes 300 times as long. The
    original took at least as long as the fastest level that compresses as well, unless its compressor was a better one.
    """
    content, packed = b"", frame.header
    decompressor = zstd.decompressor().decompressobj()
    decompressor.decompress(byte_range.read(0, frame.header))
    # Up to the end of a block: only there is it known how many compressed bytes the content so far takes.
    for block in zstd.walk_blocks(byte_range, frame):
        content += decompressor.decompress(byte_range.read(block.start, block.stop - block.start))
        packed = block.stop
        if len(content) >= SAMPLE:
            break
    enough = (level for level in _CHEAPEST_FIRST if _flushed_size(content, level, frame) <= packed * (1 + _SLACK))
    return next(enough, _CHEAPEST_FIRST[-1])


def _flushed_size(content: bytes, level: int, frame: zstd.Frame) -> int:
    """Return how many bytes the first content of a frame like this takes at a level, with the frame's header."""
    parameters = zstandard.ZstdCompressionParameters.from_level(level, source_size=frame.content_size or 0)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return len(compressor.compress(content)) + len(compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))


def _candidates(
    frame: zstd.Frame, prefer: CompressionSettings | None, recorded: int | None
) -> Iterator[tuple[int, tuple[bool, ...]]]:
    """Yield the levels whose window is the frame's, likeliest first, each with its modes in the same order."""
    likely = [settings.level for settings in (prefer,) if settings is not None] + [
        level for level in (recorded,) if level
    ]
    for level in dict.fromkeys([*likely, *_LEVELS]):
        if _window_fits(level, frame):
            first = prefer.threaded if prefer is not None else _likely_threaded(level)
            yield level, (first, not first)


def _likely_threaded(level: int) -> bool:
    """Return which mode the writers of a level use: only rattler-build and pixi know negative ones."""
    return level in _THREADED_DEFAULTS or level < 0


def _decided(
    byte_range: ByteRange, frame: zstd.Frame, best: CompressionSettings, rival: CompressionSettings
) -> CompressionSettings:
    """Return which of two modes of a level it was, where they differ only behind the first job's end; else `best`."""
    job = min(zstd_reuse.jobs(frame, settings, frame.content_size or 0).size for settings in (best, rival))
    size = job + SAMPLE
    if frame.content_size is None or frame.content_size <= size or job > _LARGEST_JOB:
        return best
    content = _head(byte_range, size)
    original = byte_range.read(0, size + (size >> 2))
    return max((best, rival), key=lambda settings: _agreement(content, original, settings, frame))


def _window_fits(level: int, frame: zstd.Frame) -> bool:
    size = frame.content_size or 0
    window = 1 << zstandard.ZstdCompressionParameters.from_level(level, source_size=size).window_log
    return window >= size if frame.single_segment else window == frame.window


def _agreement(content: bytes, original: bytes, settings: CompressionSettings, frame: zstd.Frame) -> float:
    """Return which part of the sample, compressed by the settings, are the original's leading bytes.

    1 means all of it. A sample that is the whole content must give the whole original.
    """
    parameters = zstandard.ZstdCompressionParameters.from_level(
        settings.level,
        source_size=frame.content_size or 0,
        threads=int(settings.threaded),
        write_content_size=frame.content_size is not None,
        write_checksum=frame.checksum,
    )
    size = -1 if frame.content_size is None else frame.content_size
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=size)
    whole = len(content) == frame.content_size or (frame.content_size is None and len(content) < _SCREEN)
    packed = compressor.compress(content)
    packed += compressor.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH if whole else zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    if whole:
        return float(packed == original)
    same = len(os.path.commonprefix([packed, original[: len(packed)]]))  # noqa: RUF071 - bytes, not paths
    return same / len(packed)


def _head(byte_range: ByteRange, size: int) -> bytes:
    head = bytearray()
    source = cast("BinaryIO", ByteRangeReader(byte_range))
    reader = zstd.decompressor().stream_reader(source, read_size=1 << 17, read_across_frames=False)
    try:
        while piece := reader.read(size - len(head)):
            head += piece
    except zstandard.ZstdError as error:
        raise Damaged(f"the zstd data is damaged: {error}", "build or download it again") from error
    return bytes(head)


def asked(codec: str, level: int) -> CompressionSettings:
    """Return the parameters for a level that the user asked for; raise UsageError where the codec has no such level."""
    low, high = (1, 9) if codec == "bzip2" else (-7, 22)
    if not low <= level <= high:
        raise UsageError(f"--level {level}: {codec} has the levels {low} to {high}")
    if codec == "bzip2":
        return CompressionSettings("bzip2", level, "asked")
    return CompressionSettings("zstd", level, "asked", threaded=True)
