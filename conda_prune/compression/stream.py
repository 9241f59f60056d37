"""The words that both codecs share: a compressed stream, its content piece by piece, and what reuse can give.

Reuse copies compressed blocks into a new stream without decoding what is copied. It is fast because it trusts what the
original's settings and block boundaries imply; so its result is never used before it was decompressed and compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..model import BlockInfo, CompressionSettings
from .byte_range import ByteRange


class CannotReuse(Exception):
    """The stream is not built as its settings suggest; compress all of its content again."""


class NothingToReuse(CannotReuse):
    """No compressed data can be kept. Raised before anything was written."""


class Piece(NamedTuple):
    """Up to 1 MiB of content in reading order.

    `block` describes the compressed block that ends with this piece, where the codec knows its blocks apart.
    """

    content: bytes
    block: BlockInfo | None = None


class Stream(NamedTuple):
    """A compressed stream: its bytes, how it was compressed, and how many bytes of content it has.

    `blocks` describes all blocks of a bz2 stream if they are known; an incomplete list is ignored.
    """

    source: ByteRange
    settings: CompressionSettings
    size: int
    blocks: Sequence[BlockInfo] = ()


class Reused(NamedTuple):
    """A finished stream: the CRC-32 that its content must have, and the bytes of content that were copied."""

    crc: int
    reused: int
