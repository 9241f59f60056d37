"""Computes the hash of a source that bytecode may hold instead of a time stamp (PEP 552).

It is SipHash of the source. The key is the magic number of the Python that wrote the bytecode. Python up to 3.10 uses
SipHash-2-4, later ones use SipHash-1-3 (python/cpython, `_Py_KeyedHash` in pyhash.c). The running Python's own function
is used if it computes the same hash.
"""

from __future__ import annotations

from collections.abc import Callable

from .variant.pythons import Magic

_MASK = (1 << 64) - 1
_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def source_hash(magic: int, python: Magic, source: bytes) -> bytes | None:
    """Return the 8 bytes of hash that bytecode with this magic number holds for a source.

    Returns None for Pythons whose hash is not known, and for those before PEP 552.
    """
    if python.implementation != "cpython" or python.header < 16:
        return None
    key = magic | int.from_bytes(b"\r\n", "little") << 16
    rounds = (1, 3) if (python.major, python.minor) >= (3, 11) else (2, 4)
    native = _native()
    if native is not None and native(key, b"") == siphash(key, b"", *rounds):
        return native(key, source)
    return siphash(key, source, *rounds)


def _native() -> Callable[[int, bytes], bytes] | None:
    """Return the running Python's own function, or None if it has none."""
    try:
        from _imp import source_hash
    except ImportError:
        return None
    return source_hash


def siphash(key: int, data: bytes, compression: int, finalization: int) -> bytes:
    """Return the SipHash-`compression`-`finalization` of data (Aumasson and Bernstein, 2012).

    The upper 64 bits of the 128-bit key are zero. The hash is returned as 8 bytes, least significant byte first.
    """
    v = _START[0] ^ key, _START[1], _START[2] ^ key, _START[3]
    end = len(data) - len(data) % 8
    words = [int.from_bytes(data[offset : offset + 8], "little") for offset in range(0, end, 8)]
    # The last word holds the remaining bytes and, in its highest byte, the length modulo 256.
    words.append(int.from_bytes(data[end:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        a, b, c, d = _rounds(compression, v[0], v[1], v[2], v[3] ^ word)
        v = a ^ word, b, c, d
    a, b, c, d = _rounds(finalization, v[0], v[1], v[2] ^ 0xFF, v[3])
    return (a ^ b ^ c ^ d).to_bytes(8, "little")


def _rounds(count: int, a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    for _ in range(count):
        a = (a + b) & _MASK
        b = (b << 13 | b >> 51) & _MASK ^ a
        a = (a << 32 | a >> 32) & _MASK
        c = (c + d) & _MASK
        d = (d << 16 | d >> 48) & _MASK ^ c
        a = (a + d) & _MASK
        d = (d << 21 | d >> 43) & _MASK ^ a
        c = (c + b) & _MASK
        b = (b << 17 | b >> 47) & _MASK ^ c
        c = (c << 32 | c >> 32) & _MASK
    return a, b, c, d
