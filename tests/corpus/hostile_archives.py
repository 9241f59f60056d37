"""Files, zips and compressed streams that must be refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import zstandard

from .crafted import (
    SKIPPABLE,
    from_bytes,
    from_file,
    from_frame,
    from_zip,
)
from .packages import FORMATS, zstd_frame
from .refused import Hostile
from .zips import ENCRYPTED, ZipMember, zip_archive

if TYPE_CHECKING:
    from collections.abc import Callable

    from .packages import Format

TRUNCATED = ("truncated", "ends early", "missing", "incomplete")


def flipped(data: bytes, position: int) -> bytes:
    """The data with one bit inverted."""
    changed = bytearray(data)
    changed[position] ^= 0x10
    return bytes(changed)


def of_both_formats(id: str, make: Callable[[Format], Hostile]) -> tuple[Hostile, ...]:
    """The same fault in a .conda and in a .tar.bz2."""
    return tuple(replace(make(format), id=f"{id}{format}") for format in FORMATS)


FILES = (
    *of_both_formats("empty-file", lambda f: Hostile("", f, from_bytes(b"", f), reasons=("empty", "not a"))),
    *of_both_formats(
        "html-page",
        lambda f: Hostile(
            "",
            f,
            from_bytes(b"<!DOCTYPE html><title>404</title>" * 40, f),
            reasons=("not a zip", "not bz2", "bz2"),
        ),
    ),
    Hostile(
        "half-a-zip",
        ".conda",
        from_file(lambda data: data[: len(data) // 2], ".conda"),
        reasons=(*TRUNCATED, "not a zip"),
    ),
    Hostile("zip-without-last-byte", ".conda", from_file(lambda data: data[:-1], ".conda"), reasons=TRUNCATED),
    Hostile(
        "half-a-bz2",
        ".tar.bz2",
        from_file(lambda data: data[: len(data) // 2], ".tar.bz2"),
        reasons=TRUNCATED,
    ),
    Hostile("bz2-without-last-byte", ".tar.bz2", from_file(lambda data: data[:-1], ".tar.bz2"), reasons=TRUNCATED),
    Hostile(
        "bz2-bit-flip",
        ".tar.bz2",
        from_file(lambda data: flipped(data, len(data) // 2), ".tar.bz2"),
        reasons=("damaged", "crc", "corrupt", "invalid"),
    ),
    Hostile(
        "bz2-second-stream",
        ".tar.bz2",
        from_file(lambda data: data + data, ".tar.bz2"),
        "rattler reads the first stream only and reports success.",
        reasons=("stream",),
    ),
    Hostile(
        "bz2-trailing-garbage",
        ".tar.bz2",
        from_file(lambda data: data + b"garbage", ".tar.bz2"),
        reasons=("follow", "after", "trailing", "garbage", "stream"),
    ),
)


def zip_case(id: str, build: Callable[[list[ZipMember]], bytes], *reasons: str, payload: bool = False) -> Hostile:
    """A .conda with a fault in the zip around its components."""
    return Hostile(id, ".conda", from_zip(build), payload=payload, reasons=reasons)


def with_pkg(**changes: object) -> Callable[[list[ZipMember]], bytes]:
    """The zip with some fields of its pkg- member changed."""
    return lambda m: zip_archive([m[0], replace(m[1], **changes), m[2]])  # type: ignore[arg-type]


DISAGREE = ("disagree", "differ", "mismatch", "contradict")
UNOWNED = ("between", "gap", "hidden", "no directory entry", "junk", "unknown bytes")

ZIPS = (
    zip_case("zip-wrong-crc", with_pkg(crc=0x12345678), "crc", payload=True),
    zip_case(
        "zip-version-of-a-megabyte",
        lambda m: zip_archive([replace(m[0], data=b'{"conda_pkg_format_version": "%s"}' % (b"2" * 1_000_000)), *m[1:]]),
        "version",
    ),
    zip_case("zip-encrypted", with_pkg(flags=ENCRYPTED), "encrypted"),
    zip_case(
        "zip-hidden-member",
        lambda m: zip_archive([m[0], replace(m[0], in_directory=False), *m[1:]]),
        *UNOWNED,
    ),
    zip_case("zip-hidden-last", lambda m: zip_archive([*m, replace(m[0], in_directory=False)]), *UNOWNED),
    zip_case("zip-gap", lambda m: zip_archive(m, gap=b"\0" * 64), *UNOWNED),
    zip_case("zip-local-name", with_pkg(local_name="pkg-other-1-0.tar.zst"), *DISAGREE),
    zip_case("zip-local-method", with_pkg(local_method=8), *DISAGREE),
    zip_case("zip-local-size", with_pkg(local_size=7), *DISAGREE),
    zip_case(
        "zip-junk-before",
        lambda m: zip_archive(m, before=b"#!/bin/sh\nexit\n"),
        "before",
        "not a zip",
        *UNOWNED,
    ),
    zip_case("zip-prepended", lambda m: b"MZ" + bytes(510) + zip_archive(m), "before", "not a zip", *UNOWNED),
    zip_case("zip-junk-after", lambda m: zip_archive(m, after=b"junk" * 9), "follow", "after", "end of the zip"),
    zip_case("zip-duplicate-metadata", lambda m: zip_archive([m[0], *m]), "two", "duplicate", "twice"),
    zip_case("zip-duplicate-pkg", lambda m: zip_archive([*m[:2], m[1], m[2]]), "two", "2", "duplicate"),
    zip_case(
        "zip-two-pkg",
        lambda m: zip_archive([*m, replace(m[1], name="pkg-other-1-0.tar.zst")]),
        "two",
        "2",
        "several",
        "more than one",
    ),
    zip_case("zip-no-info", lambda m: zip_archive(m[:2]), "no info", "info-"),
    zip_case("zip-no-pkg", lambda m: zip_archive([m[0], m[2]]), "no pkg", "pkg-"),
)


def checksummed(tar: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(tar)


def wide(tar: bytes) -> bytes:
    """A frame that demands a window of 256 MiB, as zstd --long=28 does."""
    parameters = zstandard.ZstdCompressionParameters(window_log=28, chain_log=16, hash_log=16, write_content_size=False)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return stream.compress(tar) + stream.flush()


def for_a_dictionary(tar: bytes) -> bytes:
    """A frame whose header names a dictionary."""
    frame = zstd_frame(tar)
    single_segment = frame[4] & 0x20
    at = 5 if single_segment else 6
    return frame[:4] + bytes([frame[4] | 3]) + frame[5:at] + b"\x01\x02\x03\x04" + frame[at:]


def of_another_size(tar: bytes) -> bytes:
    """A frame that claims 512 bytes more than it holds."""
    frame = zstandard.ZstdCompressor().compress(tar)
    width = {0: 1, 1: 2, 2: 4, 3: 8}[frame[4] >> 6]
    at = 5 if frame[4] & 0x20 else 6
    size = int.from_bytes(frame[at : at + width], "little") + 512
    return frame[:at] + size.to_bytes(width, "little") + frame[at + width :]


def header_size(tar: bytes) -> int:
    return zstandard.frame_header_size(zstd_frame(tar))


def reserved(tar: bytes) -> bytes:
    """A frame whose descriptor has the bit set that RFC 8878 reserves."""
    frame = zstd_frame(tar)
    return frame[:4] + bytes([frame[4] | 8]) + frame[5:]


def frame_case(id: str, edit: Callable[[bytes], bytes], *reasons: str) -> tuple[Hostile, ...]:
    """The fault in the info component, and in the pkg component."""
    return tuple(
        Hostile(f"{id}-{part}", ".conda", from_frame(edit, part), payload=part == "pkg", reasons=reasons)
        for part in ("info", "pkg")
    )


FRAMES = (
    *frame_case("zstd-none", lambda tar: tar, "zstd"),
    *frame_case("zstd-empty", lambda tar: b"", "zstd", *TRUNCATED),
    *frame_case("zstd-half", lambda tar: zstd_frame(tar)[:-20], *TRUNCATED, "damaged"),
    *frame_case("zstd-two-frames", lambda tar: zstd_frame(tar[:1024]) + zstd_frame(tar[1024:]), "frame"),
    *frame_case("zstd-empty-second-frame", lambda tar: zstd_frame(tar) + zstd_frame(b""), "frame"),
    *frame_case("zstd-trailing-garbage", lambda tar: zstd_frame(tar) + b"garbage", "follow", "after", "trailing"),
    *frame_case("zstd-skippable-first", lambda tar: SKIPPABLE + zstd_frame(tar), "skippable"),
    *frame_case("zstd-skippable-last", lambda tar: zstd_frame(tar) + SKIPPABLE, "skippable", "frame", "follow"),
    *frame_case("zstd-cut-before-its-blocks", lambda tar: zstd_frame(tar)[: header_size(tar) + 2], *TRUNCATED),
    *frame_case("zstd-cut-in-its-checksum", lambda tar: checksummed(tar)[:-2], *TRUNCATED),
    *frame_case("zstd-reserved-bit", reserved, "header", "damaged"),
    *frame_case("zstd-window", wide, "window", "memory"),
    *frame_case("zstd-dictionary", for_a_dictionary, "dictionary"),
    *frame_case("zstd-checksum", lambda tar: flipped(checksummed(tar), -1), "checksum", "damaged", "corrupt"),
    *frame_case("zstd-content-size", of_another_size, "says that", "size", "damaged", "corrupt"),
)
