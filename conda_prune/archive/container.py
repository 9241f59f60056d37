"""The two formats of conda packages, as components in the order found: a zip of zstd tars, or one bz2 tar (CEP 35)."""

from __future__ import annotations

import errno
import json
import os
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, cast

from .. import system
from ..compression.byte_range import ByteRange
from ..compression.zstd import frame as zstd
from ..errors import (
    BadMetadata,
    CannotWrite,
    Changed,
    Damaged,
    NotAPackage,
    PruneError,
    Unsupported,
)
from ..model import Format, Identity, Limits
from . import zip as zips

if TYPE_CHECKING:
    from .zip_write import NewContent

_METADATA = "metadata.json"
_METADATA_LIMIT = 1 << 20
_CHANGED, _AGAIN = "the file was changed while it was being read", "try again when nothing writes to it"


class Part(NamedTuple):
    """One compressed tar stream: `component` is `info`, `pkg` or `tar`; `entry` its name in the zip.

    `crc` is the CRC-32 that the zip states, None in a .tar.bz2. `byte_range` holds the compressed bytes.
    """

    component: str
    entry: str
    codec: Literal["zstd", "bzip2"]
    byte_range: ByteRange
    crc: int | None


class Archive:
    """A package's file, opened for reading; use it in a `with` statement.

    Raises NotAPackage, Damaged, Unsupported or BadMetadata, before any payload is read. `notes` are oddities in words.
    """

    def __init__(self, path: str, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self.notes: list[str] = []
        self._zip: zips.Zip | None = None
        self._file = _open_regular(path)
        self._open = ExitStack()
        self._open.enter_context(self._file)
        self.identity = identity_of(os.fstat(self._file.fileno()))
        try:
            self.format = format_of(path)
            self._whole = ByteRange(self._file, 0, self.identity.size)
            if self._whole.size == 0:
                raise NotAPackage("the file is empty", "download or build it again")
            if self.format is Format.TAR_BZ2:
                self.parts: tuple[Part, ...] = (Part("tar", "", "bzip2", self._whole, None),)
            else:
                self._zip = zips.read_zip(self._whole)
                self._check_metadata(self._zip)
                self.parts = tuple(self._conda_parts(self._zip))
        except BaseException as error:
            self.close(error)
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)

    def close(self, error: BaseException | None = None) -> None:
        """Close the file. Windows cannot replace a file that is open.

        Raises Changed from `error` where the file is not what was opened any more: that is why something went wrong.
        """
        changed = isinstance(error, Exception) and not self._file.closed and (self._written() or self._replaced())
        self._open.close()
        if changed:
            raise Changed(_CHANGED, _AGAIN) from error

    def check_unwritten(self) -> None:
        """Raise Changed when the file was written since it was opened; one replaced meanwhile is still what it was."""
        if self._written():
            raise Changed(_CHANGED, _AGAIN)

    def _written(self) -> bool:
        return identity_of(os.fstat(self._file.fileno())) != self.identity

    def _replaced(self) -> bool:
        try:
            return identity_of(os.stat(self.path)) != self.identity
        except OSError:
            return True

    @property
    def descriptor(self) -> int:
        """The open file's descriptor: it stays that of the file that is read when another file takes its name."""
        return self._file.fileno()

    @property
    def whole(self) -> ByteRange:
        """The file's bytes."""
        return self._whole

    def part(self, component: str) -> Part | None:
        """Return the part of that name, or None where the format has no such part."""
        return next((part for part in self.parts if part.component == component), None)

    @property
    def entry_names(self) -> tuple[str, ...]:
        """The names in the zip in the order found; none for a .tar.bz2."""
        return tuple(entry.name for entry in self._zip.in_file_order) if self._zip else ()

    @property
    def content_size(self) -> int:
        """The bytes that the package unpacks to, estimated where its streams do not say."""
        return sum(self.stated_size(part) or 0 for part in self.parts) or 4 * self._whole.size

    def stated_size(self, part: Part) -> int | None:
        """Return the bytes that a part says it unpacks to, None where it does not say."""
        return zstd.read_frame(part.byte_range).content_size if part.codec == "zstd" else None

    def check_window(self, part: Part) -> None:
        """Raise LimitExceeded where zstd would hold more than the limit to decompress a part."""
        if part.codec == "zstd":
            zstd.check_window(zstd.read_frame(part.byte_range), self.limits.window)

    def is_wide(self, part: Part) -> bool:
        """Return whether a part's zstd window is larger than clients accept, so that it must not stay."""
        return part.codec == "zstd" and zstd.read_frame(part.byte_range).window > zstd.MAX_WINDOW

    def check_crc(self, part: Part) -> None:
        """Raise Damaged unless the compressed bytes have the CRC-32 that the zip states."""
        if part.crc is None:
            return
        crc = 0
        for piece in part.byte_range.chunks():
            crc = zlib.crc32(piece, crc)
        if crc != part.crc:
            raise Damaged(f"the CRC-32 of {part.entry} is wrong: the file is damaged", "download or build it again")

    def write(self, out: BinaryIO, contents: Mapping[str, NewContent]) -> None:
        """Write the package again to `out`, from its start: the parts named in `contents` get new content, the rest is
        copied. Raises whatever writing them raises; what was written then is of no use.
        """
        if self._zip is None:
            contents["tar"].write(out)
            return
        from .zip_write import write_zip

        by_entry = {part.entry: contents[part.component] for part in self.parts if part.component in contents}
        write_zip(out, self._whole, self._zip, by_entry)

    def _conda_parts(self, found: zips.Zip) -> list[Part]:
        parts = []
        for entry in found.in_file_order:
            for component in ("info", "pkg"):
                if entry.name.startswith(component + "-") and entry.name.endswith(".tar.zst"):
                    parts.append(Part(component, entry.name, "zstd", self._packed(entry), entry.crc))
        for component in ("info", "pkg"):
            names = [part.entry for part in parts if part.component == component]
            if not names:
                raise NotAPackage(f"the zip holds no {component}-*.tar.zst (CEP 35)", "check what built it")
            if len(names) > 1:
                raise Unsupported(f"the zip holds {len(names)} {component}- archives: {', '.join(names)}")
        components = [part.entry for part in parts]
        stems = tuple(name.removesuffix(".tar.zst") for name in components)
        for name in (entry.name for entry in found.entries if entry.name not in components):
            # rattler unpacks everything that ends so; conda takes all that begin like a component for it.
            if name.endswith(".tar.zst") or name.startswith(stems):
                raise Unsupported(f"the zip holds {name!r}, which only some clients would unpack")
        return parts

    def _packed(self, entry: zips.Entry) -> ByteRange:
        if entry.method == zips.STORED:
            return self._whole.slice(entry.data, entry.data + entry.packed)
        self.notes.append(f"{entry.name} is deflated; a .conda's entries must be stored (CEP 35)")
        import tempfile

        pieces = zips.inflate(self._whole, entry, self.limits.unpacked)
        try:
            file = cast("BinaryIO", self._open.enter_context(tempfile.TemporaryFile(buffering=0)))  # noqa: SIM115
            for piece in pieces:
                _write_all(file, piece)
        except OSError as error:
            where = f"its deflated entries cannot be unpacked in {tempfile.gettempdir()}"
            raise CannotWrite(f"{where}: {error.strerror}", "set TMPDIR to a directory with more room") from error
        return ByteRange(file, 0, entry.size)

    def _check_metadata(self, found: zips.Zip) -> None:
        entry = next((entry for entry in found.entries if entry.name == _METADATA), None)
        if found.comment:
            self.notes.append("the zip has a comment")
        if any(entry.descriptor for entry in found.entries):
            self.notes.append("the zip uses data descriptors, with which rattler cannot install it")
        if entry is None:
            self.notes.append(f"{_METADATA} is missing (CEP 35)")
            return
        if entry.size > _METADATA_LIMIT:
            raise BadMetadata(f"{_METADATA} takes {entry.size} bytes")
        raw = b"".join(zips.inflate(self._whole, entry, _METADATA_LIMIT))
        try:
            version = json.loads(raw)["conda_pkg_format_version"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadMetadata(f"{_METADATA} does not say the format's version: {error}") from error
        if version != 2:
            raise BadMetadata(f"the package's format version is {version!r}, and only 2 is known (CEP 35)")


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def format_of(path: str) -> Format:
    """Return the format that a file's name says; raise NotAPackage where it says neither."""
    for format_ in Format:
        if path.endswith(format_.value):
            return format_
    raise NotAPackage("its name ends neither in .conda nor in .tar.bz2", "name a conda package")


def identity_of(status: os.stat_result) -> Identity:
    """Return which version of a file a stat result is of."""
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _open_regular(path: str) -> BinaryIO:
    try:
        try:
            return system.open_regular(path, buffering=0)
        except system.NotRegular as error:
            if error.errno == errno.EISDIR:
                # One that cannot be read is reported as such: it was named for the packages in it.
                os.scandir(path).close()
            raise NotAPackage(f"{error.strerror}", "name a conda package") from error
    except FileNotFoundError as error:
        hint = "its link points to nothing" if os.path.islink(path) else "check the path"
        raise NotAPackage("there is no such file", hint) from error
    except OSError as error:
        raise PruneError(f"it cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NotAPackage(f"its name cannot be a path: {error}") from error
