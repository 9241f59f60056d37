"""The two formats of conda packages (CEP 35): a .conda is a zip of zstd-compressed tars, a .tar.bz2 is one bz2 tar.

`Archive` finds the compressed components and refuses files that clients would read differently. It reads by position
from one open file, so a package that is replaced in the meantime is still read consistently.
"""

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
from ..model import BlockInfo, Format, Identity, Limits
from . import zip as zips

if TYPE_CHECKING:
    from .zip_write import NewContent

_METADATA = "metadata.json"
_METADATA_LIMIT = 1 << 20
_CHANGED, _HINT = "the file was changed while it was being read", "try again when nothing writes to it"


class PackedComponent(NamedTuple):
    """A component as it is in the file, compressed: `name` is `info`, `pkg` or `tar`, `byte_range` where its bytes are.

    `entry` is its name in the zip, and `crc` the CRC-32 of the compressed bytes that the zip states; a .tar.bz2 has
    neither ("" and None).
    """

    name: str
    entry: str
    codec: Literal["zstd", "bzip2"]
    byte_range: ByteRange
    crc: int | None


class Archive:
    """A package's file, opened for reading. Use it in a `with` statement.

    Opening raises NotAPackage, Damaged, Unsupported or BadMetadata, before any payload is read. `notes` describe
    oddities that do not stop the work. `held` is the content of the bz2 blocks that were read first, by their bit
    offset, up to `hold` bytes in total: for a caller that is going to need them again.
    """

    def __init__(self, path: str, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self.notes: list[str] = []
        self.hold = 0
        self.held: dict[int, bytes] = {}
        self._block: list[bytes] = []
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
                self.components: tuple[PackedComponent, ...] = (PackedComponent("tar", "", "bzip2", self._whole, None),)
            else:
                self._zip = zips.read_zip(self._whole)
                self._check_metadata(self._zip)
                self.components = tuple(self._conda_components(self._zip))
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

        If `error` is given and the file has changed since it was opened, raise Changed from it: the change is the
        likely cause.
        """
        changed = isinstance(error, Exception) and not self._file.closed and (self._written() or self._replaced())
        self._open.close()
        if changed:
            raise Changed(_CHANGED, _HINT) from error

    def check_unwritten(self) -> None:
        """Raise Changed if the open file was written to. If another file has replaced it, that does not matter here."""
        if self._written():
            raise Changed(_CHANGED, _HINT)

    def _written(self) -> bool:
        return identity_of(os.fstat(self._file.fileno())) != self.identity

    def _replaced(self) -> bool:
        try:
            return identity_of(os.stat(self.path)) != self.identity
        except OSError:
            return True

    @property
    def descriptor(self) -> int:
        """The descriptor of the open file, which is still the same file if another one replaces it at its path."""
        return self._file.fileno()

    @property
    def whole(self) -> ByteRange:
        """All bytes of the file."""
        return self._whole

    def component(self, name: str) -> PackedComponent | None:
        """Return the component with that name, or None if the format has no such component."""
        return next((packed for packed in self.components if packed.name == name), None)

    @property
    def entry_names(self) -> tuple[str, ...]:
        """The names in the zip, in file order; none for a .tar.bz2."""
        return tuple(entry.name for entry in self._zip.in_file_order) if self._zip else ()

    @property
    def content_size(self) -> int:
        """How many bytes the package unpacks to; an estimate if its streams do not state it."""
        return sum(self.stated_size(packed) or 0 for packed in self.components) or 4 * self._whole.size

    def stated_size(self, packed: PackedComponent) -> int | None:
        """Return how many bytes a component says that it unpacks to, or None if it does not say so."""
        return zstd.read_frame(packed.byte_range).content_size if packed.codec == "zstd" else None

    def check_window(self, packed: PackedComponent) -> None:
        """Raise LimitExceeded if zstd would need more memory than the limit to decompress a component."""
        if packed.codec == "zstd":
            zstd.check_window(zstd.read_frame(packed.byte_range), self.limits.window)

    def has_huge_window(self, packed: PackedComponent) -> bool:
        """Return whether a component's zstd window is larger than clients accept, so that a fix must not keep it."""
        return packed.codec == "zstd" and zstd.read_frame(packed.byte_range).window > zstd.MAX_WINDOW

    def check_crc(self, packed: PackedComponent) -> None:
        """Raise Damaged unless the compressed bytes have the CRC-32 that the zip states."""
        if packed.crc is None:
            return
        crc = 0
        for piece in packed.byte_range.chunks():
            crc = zlib.crc32(piece, crc)
        if crc != packed.crc:
            raise Damaged(f"the CRC-32 of {packed.entry} is wrong: the file is damaged", "download or build it again")

    def hold_block(self, piece: bytes, block: BlockInfo | None) -> None:
        """Take the next piece of a component that is being read. `block` describes the block that ends with it, if any.

        Its content is added to `held`. This ends with the first block that finds no room.
        """
        if not self.hold:
            return
        self._block.append(piece)
        if block is not None and block.start in self.held:
            self._block.clear()
        elif sum(map(len, self._block)) > self.hold:
            self._block.clear()
            self.hold = 0
        elif block is not None:
            self.held[block.start] = piece if len(piece) == block.size else b"".join(self._block)
            self.hold -= block.size
            self._block.clear()

    def write(self, out: BinaryIO, contents: Mapping[str, NewContent]) -> None:
        """Write the package to `out`, from the start: the components in `contents` get new content, the rest is copied.

        Exceptions of writing new content are passed on. Discard `out` then.
        """
        if self._zip is None:
            contents["tar"].write(out)
            return
        from .zip_write import write_zip

        by_entry = {packed.entry: contents[packed.name] for packed in self.components if packed.name in contents}
        write_zip(out, self._whole, self._zip, by_entry)

    def _conda_components(self, contents: zips.Zip) -> list[PackedComponent]:
        components = []
        for entry in contents.in_file_order:
            for name in ("info", "pkg"):
                if entry.name.startswith(name + "-") and entry.name.endswith(".tar.zst"):
                    components.append(PackedComponent(name, entry.name, "zstd", self._packed(entry), entry.crc))
        for name in ("info", "pkg"):
            entries = [packed.entry for packed in components if packed.name == name]
            if not entries:
                raise NotAPackage(f"the zip has no {name}-*.tar.zst (CEP 35)", "check what built it")
            if len(entries) > 1:
                raise Unsupported(f"the zip has {len(entries)} {name}- archives: {', '.join(entries)}")
        known = [packed.entry for packed in components]
        stems = tuple(entry.removesuffix(".tar.zst") for entry in known)
        for other in (entry.name for entry in contents.entries if entry.name not in known):
            # rattler unpacks every name with this ending; conda unpacks every name that starts like a component's.
            if other.endswith(".tar.zst") or other.startswith(stems):
                raise Unsupported(f"the zip has an entry {other!r}, which only some clients would unpack")
        return components

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

    def _check_metadata(self, contents: zips.Zip) -> None:
        entry = next((entry for entry in contents.entries if entry.name == _METADATA), None)
        if contents.comment:
            self.notes.append("the zip has a comment")
        if any(entry.descriptor for entry in contents.entries):
            self.notes.append("the zip uses data descriptors, with which rattler cannot install it")
        if entry is None:
            self.notes.append(f"{_METADATA} is missing (CEP 35)")
            return
        if entry.size > _METADATA_LIMIT:
            raise BadMetadata(f"{_METADATA} is too large: {entry.size} bytes")
        raw = b"".join(zips.inflate(self._whole, entry, _METADATA_LIMIT))
        try:
            version = json.loads(raw)["conda_pkg_format_version"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadMetadata(f"{_METADATA} does not state the format version: {error}") from error
        if version != 2:
            raise BadMetadata(f"the package's format version is {version!r}, and only 2 is known (CEP 35)")


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def format_of(path: str) -> Format:
    """Return the format that a file's name ends in; raise NotAPackage if it ends in neither."""
    for format_ in Format:
        if path.endswith(format_.value):
            return format_
    raise NotAPackage("its name ends neither in .conda nor in .tar.bz2", "name a conda package")


def identity_of(status: os.stat_result) -> Identity:
    """Return which version of which file a stat result describes."""
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _open_regular(path: str) -> BinaryIO:
    try:
        try:
            return system.open_regular(path, buffering=0)
        except system.NotRegular as error:
            if error.errno == errno.EISDIR:
                # The user named a directory for the packages in it. If it cannot be listed, say that instead.
                os.scandir(path).close()
            raise NotAPackage(f"{error.strerror}", "name a conda package") from error
    except FileNotFoundError as error:
        hint = "its link points to nothing" if os.path.islink(path) else "check the path"
        raise NotAPackage("there is no such file", hint) from error
    except OSError as error:
        raise PruneError(f"it cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NotAPackage(f"its name cannot be a path: {error}") from error
