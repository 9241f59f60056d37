"""What a repaired file takes over from the original: mode, owner, access control list and other extended attributes.

Everything is read from one open file and set on another, never by name: in a directory that belongs to somebody else,
a name can lead to a link by the time of the next call, and root would give that link's target the mode and the owner.

The mode is kept exactly, but for set-id bits of another owner. Owner and attributes are kept as far as the system
allows. An access control list that cannot be kept leaves the group no more than its own entry allowed.
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

_OF_CONTENT = frozenset({"security.ima", "security.evm", "security.capability"})
"""Attributes that vouch for the content, or that give the right to do something to it: they are not for a new one."""

_NOT_OFFERED = frozenset(
    {errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
)  # fmt: skip
"""What systems answer where a file system has no owners or modes (vfat, CIFS), where the owner has no number in a
container, and where only root may do it."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """Mode with the set-id and sticky bits, owner and extended attributes of a file."""

    mode: int
    user: int
    group: int
    extended: Mapping[str, bytes] = field(default_factory=dict)


def read_attributes(descriptor: int) -> Attributes:
    """Return the attributes of an open file; extended ones that cannot be read are left out."""
    status = os.fstat(descriptor)
    extended = {}
    for name in _names(descriptor):
        if name not in _OF_CONTENT:
            try:
                extended[name] = os.getxattr(descriptor, name)
            except OSError:
                pass
    return Attributes(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, extended)


def set_attributes(descriptor: int, wanted: Attributes) -> None:
    """Give an open file that only its owner may read these attributes; raise OSError where the file system fails.

    A file without an access control list gets none, also where its directory has a default one. Windows has only the
    read-only attribute, with which the next run could not replace the file: it is not taken over.
    """
    if not hasattr(os, "fchown"):
        return
    mode = wanted.mode
    if not _tried(os.fchown, descriptor, wanted.user, wanted.group):
        # Whoever runs a file with these bits gets the rights of its owner or its group, which were others.
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
    # Last, since a change of the owner clears the set-id bits.
    _tried(os.fchmod, descriptor, mode)


def _tried(act: Callable[..., None], *arguments: int) -> bool:
    """Return whether a call did what it should; raise OSError only where the file system could do it, but failed."""
    try:
        act(*arguments)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        return False
    return True


def _names(descriptor: int) -> list[str]:
    """Return the names of an open file's extended attributes: none where system or file system have no such thing."""
    try:
        return os.listxattr(descriptor) if hasattr(os, "listxattr") else []
    except OSError:
        return []


def _without_list(mode: int, value: bytes) -> int:
    """Return the mode for a file that cannot have its access control list.

    With a list, the mode's bits for the group are its mask: the most that any named user or group may get. Without the
    list they are the group's own, which may be fewer. A list that cannot be parsed leaves the group nothing.
    """
    allowed = 0
    if len(value) % 8 == 4 and value[:4] == _ACL_VERSION:
        permissions = {tag: bits for tag, bits, _ in struct.iter_unpack("<HHI", value[4:])}
        allowed = permissions.get(_GROUP, 0) & permissions.get(_MASK, 7)
    return mode & ~stat.S_IRWXG | (allowed & 7) << 3
