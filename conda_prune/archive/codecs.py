"""From a compressed stream to its content, for every codec: what a reader needs, and nothing that only a fix does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import zstd
from .extent import Extent


def _bzip2(source: Extent) -> Iterator[bytes]:
    from . import bzip2

    return bzip2.decompress(source)


DECOMPRESS: dict[str, Callable[[Extent], Iterator[bytes]]] = {"zstd": zstd.decompress, "bzip2": _bzip2}
