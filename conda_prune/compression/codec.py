"""The codecs of conda packages behind one protocol: read a stream, reuse its blocks, or write all of it.

CODECS is the only place that knows which codecs there are. A codec's modules are imported when it is used, so checking
a .conda does not import bz2, and reading a small package does not import the thread pools.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from typing import IO, TYPE_CHECKING, Protocol

from ..model import CompressionSettings, Splice
from .byte_range import ByteRange
from .stream import Piece, Reused, Stream

if TYPE_CHECKING:
    from .threads import ThreadBudget

LARGE = 1 << 20
"""Compressed bytes from which a stream is read on other threads. A shorter one is read before threads have started."""
_DEPTH = 8
"""Pieces of content, of up to 1 MiB each, that are decompressed ahead of the consumer."""


class Codec(Protocol):
    """One compression format."""

    def read(self, source: ByteRange, threads: int) -> Generator[Piece, None, None]:
        """Yield the whole content; decompress on other threads if `threads` > 1 and the stream is large.

        Raises Damaged or Unsupported unless the stream is complete and intact. Close the generator if you do not
        exhaust it.
        """
        ...

    def reuse(
        self,
        stream: Stream,
        splices: Sequence[Splice],
        out: IO[bytes],
        budget: ThreadBudget,
        progress: Callable[[int], None],
    ) -> Reused:
        """Write the stream with the splices applied, and copy the compressed blocks that do not depend on them.

        Raises NothingToReuse before anything is written, or CannotReuse later: then discard what was written.
        """
        ...

    def write(
        self, pieces: Iterable[bytes], size: int, settings: CompressionSettings, budget: ThreadBudget, out: IO[bytes]
    ) -> None:
        """Compress `size` bytes of content into one stream."""
        ...


class _Zstd:
    def read(self, source: ByteRange, threads: int) -> Generator[Piece, None, None]:
        from .zstd import frame

        content = frame.decompress(source)
        if threads > 1 and source.size >= LARGE:
            from .threads import ahead

            content = ahead(content, _DEPTH)
        return _pieces(content)

    def reuse(
        self,
        stream: Stream,
        splices: Sequence[Splice],
        out: IO[bytes],
        budget: ThreadBudget,
        progress: Callable[[int], None],
    ) -> Reused:
        from .zstd import reuse

        return reuse.rewrite(stream, splices, out, budget, progress)

    def write(
        self, pieces: Iterable[bytes], size: int, settings: CompressionSettings, budget: ThreadBudget, out: IO[bytes]
    ) -> None:
        from .zstd import frame

        with budget.threads(budget.count if settings.threaded else 1):
            frame.compress(pieces, size, settings, budget.count, out)


class _Bzip2:
    def read(self, source: ByteRange, threads: int) -> Generator[Piece, None, None]:
        if threads > 1 and source.size >= LARGE:
            from .bzip2 import reader

            return reader.decompress(source, threads)
        from .bzip2 import stream

        return _pieces(stream.decompress(source))

    def reuse(
        self,
        stream: Stream,
        splices: Sequence[Splice],
        out: IO[bytes],
        budget: ThreadBudget,
        progress: Callable[[int], None],
    ) -> Reused:
        from .bzip2 import reuse

        return reuse.rewrite(stream, splices, out, budget, progress)

    def write(
        self, pieces: Iterable[bytes], size: int, settings: CompressionSettings, budget: ThreadBudget, out: IO[bytes]
    ) -> None:
        from .bzip2 import stream

        stream.compress(pieces, settings.level, out)


def _pieces(content: Generator[bytes, None, None]) -> Generator[Piece, None, None]:
    with closing(content):
        for piece in content:
            yield Piece(piece)


CODECS: Mapping[str, Codec] = {"zstd": _Zstd(), "bzip2": _Bzip2()}
"""All codecs, by the names that `CompressionSettings.codec` may have."""
