"""The codecs of conda packages behind one protocol: read a stream, reuse its blocks, or write all of it.

CODECS is the only place that knows which codecs there are. Their modules are imported when they are used: `check` of a
.conda never needs bz2, and reading a small package needs no threads.
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
"""Streams of this many compressed bytes are read on threads; shorter ones are done before threads have started."""
_DEPTH = 8
"""Pieces of content, of up to 1 MiB, that are decompressed ahead of their consumer."""


class Codec(Protocol):
    """One compression format."""

    def read(self, source: ByteRange, threads: int) -> Generator[Piece, None, None]:
        """Yield the whole content, on other threads if `threads` > 1 and the stream is large.

        Raises Damaged or Unsupported unless the stream is complete and intact. Close it if not all of it is read.
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

        Raises NothingToReuse before anything is written; CannotReuse later, and then what `out` holds is worthless.
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
"""All codecs by the name that `CompressionSettings.codec` has."""
