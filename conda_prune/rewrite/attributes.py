"""Copies the mode, owner, access control list and other extended attributes of the original to the repaired file.

Everything is read from one open file and set on another, never by name. In a directory that belongs to another user, a
name may be replaced by a link before the next call, and root would then change the mode and owner of the link's target.

The mode is kept exactly, except for set-id bits if the owner cannot be kept. Owner and attributes are kept as far as
the system allows. If an access control list cannot be kept, the group gets no more than its own entry allowed.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

ACCESS_ACL = "system.posix_acl_access"
"""The attribute that holds a file's access control list (acl(5)) on Linux, in the layout of linux/posix_acl_xattr.h."""
_ACL_VERSION = struct.pack("<I", 2)
_GROUP, _MASK = 0x04, 0x10
"""Tags of the entries of the file's own group, and of the mask."""

_OF_OLD_CONTENT = frozenset({"security.ima", "security.evm", "security.capability"})
"""Attributes that sign the content or give it privileges. New content must not inherit them."""

_UNSUPPORTED = frozenset(
    {errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
)  # fmt: skip
"""Errors that mean "not possible here": the file system has no owners or modes (vfat, CIFS), the owner has no id in a
container, or only root may do it."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """The mode (with set-id and sticky bits), owner, group and extended attributes of a file."""

    mode: int
    user: int
    group: int
    extended: Mapping[str, bytes] = field(default_factory=dict)


def read_attributes(descriptor: int) -> Attributes:
    """Return the attributes of an open file. Extended attributes that cannot be read are left out."""
    status = os.fstat(descriptor)
    extended = {}
    for name in _names(descriptor):
        if name not in _OF_OLD_CONTENT:
            try:
                extended[name] = os.getxattr(descriptor, name)
            except OSError:
                pass
    return Attributes(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, extended)


def set_attributes(descriptor: int, wanted: Attributes) -> None:
    """Set the attributes of an open file that only its owner may read so far; raise OSError if the file system fails.

    If the original has no access control list, neither has the result, even if its directory has a default list.
    Windows has only a read-only attribute, which is not copied, because the next run could not replace the file.
    """
    if not hasattr(os, "fchown"):
        return
    mode = wanted.mode
    if not _tried(os.fchown, descriptor, wanted.user, wanted.group):
        # These bits give everyone who runs the file the rights of its owner or group, and those are different now.
        mode &= ~stat.S_ISUID
        if not _tried(os.fchown, descriptor, -1, wanted.group):
            mode &= ~stat.S_ISGID
    for name, value in wanted.extended.items():
        try:
            os.setxattr(descriptor, name, value)
        except OSError:
            if name == ACCESS_ACL:
                mode = _without_list(mode, value)
    if ACCESS_ACL not in wanted.extended and ACCESS_ACL in _names(descriptor):
        os.removexattr(descriptor, ACCESS_ACL)
    # The mode comes last, because changing the owner clears the set-id bits.
    _tried(os.fchmod, descriptor, mode)


def _tried(act: Callable[..., None], *arguments: int) -> bool:
    """Call a function; return False if that is not possible on this file system, raise OSError if it fails."""
    try:
        act(*arguments)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return True


def _names(descriptor: int) -> list[str]:
    """Return the names of an open file's extended attributes; none if the system or file system has no such thing."""
    try:
        return os.listxattr(descriptor) if hasattr(os, "listxattr") else []
    except OSError:
        return []


def _without_list(mode: int, value: bytes) -> int:
    """Return the mode for a file whose access control list could not be set.

    With a list, the group bits of the mode are the list's mask: the most that any named user or group may get. Without
    a list, they are the rights of the group itself, which may be fewer. If the list cannot be parsed, the group gets no
    rights.
    """
    allowed = 0
    if len(value) % 8 == 4 and value[:4] == _ACL_VERSION:
        permissions = {tag: bits for tag, bits, _ in struct.iter_unpack("<HHI", value[4:])}
        allowed = permissions.get(_GROUP, 0) & permissions.get(_MASK, 7)
    return mode & ~stat.S_IRWXG | (allowed & 7) << 3
