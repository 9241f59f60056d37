"""From a compressed stream to its content, for every codec: what a reader needs, and nothing that only a fix does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import bzip2, zstd
from .extent import Extent

DECOMPRESS: dict[str, Callable[[Extent], Iterator[bytes]]] = {"zstd": zstd.decompress, "bzip2": bzip2.decompress}
