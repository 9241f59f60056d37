"""Reads the records of an environment's packages: one file per package in `conda-meta`.

A record is the package's index.json (CEP 34) plus what the installer did (conda's PrefixRecord). Only what judgement
needs is read and checked, since three installers write records, each with keys of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BadMetadata, NotAPackage
from ..model import (
    Component,
    File,
    FileKind,
    Format,
    Identity,
    Package,
)
from ..system import name_key, open_regular

CONDA_META = "conda-meta"
_MADE_BY_INSTALLER = frozenset(
    {
        "pyc_file",
        "unix_python_entry_point",
        "windows_python_entry_point_script",
        "windows_python_entry_point_exe",
        "linked_package_record",
    }
)
"""The `path_type` of files that the installer made, and that are not in the package (conda's PathType)."""
_KINDS = {"softlink": FileKind.SYMLINK, "directory": FileKind.DIRECTORY}


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `index` is its whole content, `packed` are the files from the package, `owned` all files.

    `typed`: the record distinguishes the package's files from those that the installer made.
    """

    path: str
    index: Mapping[str, Any]
    packed: tuple[File, ...]
    owned: frozenset[str]
    typed: bool

    @property
    def name(self) -> str:
        """The package's name."""
        return str(self.index["name"])


def record_paths(prefix: str) -> list[str]:
    """Return the paths of a prefix's records, sorted. Raises NotAPackage if it is not a prefix."""
    directory = os.path.join(prefix, CONDA_META)
    try:
        names = os.listdir(directory)
    except OSError as error:
        raise NotAPackage(_not_a_prefix(prefix, error), "check the path") from error
    return [os.path.join(directory, name) for name in sorted(names) if name.endswith(".json")]


def _not_a_prefix(prefix: str, error: OSError) -> str:
    if not os.path.lexists(prefix):
        return "there is no such directory"
    if not os.path.isdir(prefix):
        return "it is not a prefix: it is not a directory"
    if os.path.lexists(os.path.join(prefix, CONDA_META)):
        return f"its {CONDA_META} cannot be read: {error.strerror}"
    return f"it is not a prefix: it has no {CONDA_META} directory"


def read_record(path: str) -> Record:
    """Return a record. Raises BadMetadata with what is wrong, also if it is not a regular file."""
    name = f"{CONDA_META}/{os.path.basename(path)}"
    try:
        with open_regular(path) as file:
            value = json.loads(file.read().decode("utf-8"))
    except OSError as error:
        hint = "make it a readable file, or install the package again"
        raise BadMetadata(f"the record {name} cannot be read: {error.strerror}", hint) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadMetadata(f"the record {name} is not valid JSON: {error.msg} in {place}", _REINSTALL) from error
    except UnicodeDecodeError as error:
        raise BadMetadata(f"the record {name} is not UTF-8: byte {error.start}", _REINSTALL) from error
    except (ValueError, RecursionError) as error:
        what = "is nested too deeply, or holds a number that is too long"
        raise BadMetadata(f"the record {name} {what}", _REINSTALL) from error
    if not isinstance(value, dict):
        raise BadMetadata(f"the record {name} is not a JSON object", _REINSTALL)
    for key in ("name", "version", "build"):
        if not isinstance(value.get(key), str):
            raise BadMetadata(f"the record {name} has no {key}", _REINSTALL)
    for key in ("depends", "constrains", "files"):
        if key in value and not _are_strings(value[key]):
            raise BadMetadata(f"the record {name} has {key} that are not a list of strings", _REINSTALL)
    entries = _entries(value, name)
    if entries is None and "files" not in value:
        raise BadMetadata(f"the record {name} lists no files", _REINSTALL)
    listed = value.get("files", [])
    if entries is None:
        packed: Iterable[File] = map(File, dict.fromkeys(listed))
    else:
        packed = _packed(entries)
    owned = {*listed, *(str(entry["_path"]) for entry in entries or ())}
    return Record(path, value, tuple(packed), frozenset(map(name_key, owned)), entries is not None)


_REINSTALL = "install the package again"


def _entries(record: Mapping[str, Any], name: str) -> list[Mapping[str, Any]] | None:
    """Return the entries of `paths_data`, or None if the record has none, as those of old installers."""
    data = record.get("paths_data")
    if data is None:
        return None
    entries = data.get("paths") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("_path"), str) for entry in entries
    ):
        raise BadMetadata(f"the record {name} has paths_data without a list of paths", _REINSTALL)
    # Some installers write empty paths_data and a full list of files.
    return entries if entries or not record.get("files") else None


def _packed(entries: Iterable[Mapping[str, Any]]) -> Iterable[File]:
    files = {}
    for entry in entries:
        kind = entry.get("path_type", "hardlink")
        if kind not in _MADE_BY_INSTALLER:
            size = entry.get("size_in_bytes")
            known = isinstance(size, int) and not isinstance(size, bool) and size >= 0
            path = entry["_path"]
            files[path] = File(path, _KINDS.get(kind, FileKind.FILE), size if known else None)
    return files.values()


def _are_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def as_package(path: str, index: Mapping[str, Any], files: Iterable[File], prefix: str) -> Package:
    """Return files and metadata as the package that would hold them, without an archive and a listing."""
    text = json.dumps(index).encode()
    info = File("info/index.json", size=len(text), content=text)
    component = Component("pkg", (info, *files), (), 0)
    installed_in = os.path.abspath(prefix).replace(os.sep, "/")
    return Package(path, Format.CONDA, Identity(0, 0, 0, 0), (component,), complete=True, prefix=installed_in)
