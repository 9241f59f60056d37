"""The types that both codecs share: a compressed stream, a piece of its content, and the result of reuse.

Reuse copies compressed blocks into a new stream. Whether they fit there follows from assumptions about the original,
which are not checked while writing. So the result is always decompressed and compared before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..model import BlockInfo, CompressionSettings
from .byte_range import ByteRange


class CannotReuse(Exception):
    """The stream is not laid out as its settings suggest, so all of its content must be compressed again."""


class NothingToReuse(CannotReuse):
    """No block can be copied. Raised before anything is written."""


class Piece(NamedTuple):
    """Up to 1 MiB of content, in order.

    `block` describes the compressed block that ends with this piece, if one does and the codec describes its blocks.
    """

    content: bytes
    block: BlockInfo | None = None


class Stream(NamedTuple):
    """A compressed stream: its bytes, how it was compressed, and how many bytes of content it has.

    `blocks` describes all blocks of a bz2 stream, if they are known. An incomplete list is ignored. `held` is the
    content of some of these blocks, by their bit offset.
    """

    source: ByteRange
    settings: CompressionSettings
    size: int
    blocks: Sequence[BlockInfo] = ()
    held: Mapping[int, bytes] = {}

    @property
    def known(self) -> bool:
        """Whether the list of blocks is complete."""
        return bool(self.blocks) and sum(block.size for block in self.blocks) == self.size


class Reused(NamedTuple):
    """A finished stream: the CRC-32 that its content must have, and the bytes of content whose blocks were copied."""

    crc: int
    reused: int
