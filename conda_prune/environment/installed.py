"""Judges an installed package by its record: its files as the installer unpacked them, and its metadata.

Nothing is ever written here. Files that the installer made itself (bytecode of noarch packages, entry points) do not
belong to the package and are not judged. A record that cannot be read is an error of its own package only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from ..errors import NotAPackage, PruneError
from ..judgement.bytecode import HEADER, parse_bytecode
from ..judgement.contents import content_wanted
from ..judgement.options import Options
from ..judgement.plan import make_plan
from ..model import (
    File,
    FileKind,
    Plan,
    Result,
)
from ..system import open_regular
from .records import (
    CONDA_META,
    Record,
    as_package,
    read_record,
    record_paths,
)


def check_installed(prefix: str, name: str | None, options: Options, *, deep: bool = False) -> Iterator[Result]:
    """Yield what is wrong with the package `name` of a prefix, or with every package if that is None.

    The path of a result is that of the record. `deep` reads the magic number of every bytecode file, not only of those
    whose names do not state their Python. Raises NotAPackage if there is no prefix, or no such package in it.
    """
    paths = record_paths(prefix)
    found = False
    for path in paths:
        try:
            if name is not None and not _may_be(path, name):
                continue
            record = read_record(path)
            if name is not None and record.name != name:
                continue
            found = True
            yield _check(prefix, record, options, deep)
        except PruneError as error:
            found = True
            yield Result(path=path, status="error", error=str(error))
    if name is not None and not found:
        raise NotAPackage(f"{name} is not installed there: {CONDA_META} has no record of that name")


def _may_be(path: str, name: str) -> bool:
    """Return whether a record's file name, NAME-VERSION-BUILD.json, is that of a package."""
    return os.path.basename(path).removesuffix(".json").rsplit("-", 2)[0] == name


def _check(prefix: str, record: Record, options: Options, deep: bool) -> Result:
    plan = make_plan(as_package(record.path, record.index, _files(prefix, record, deep), prefix), options)
    result = result_of(plan, plan.status, record.index, record.path)
    return replace(result, members=len(record.packed), deep=deep)


def _files(prefix: str, record: Record, deep: bool) -> Iterator[File]:
    noarch = record.index.get("noarch") == "python"
    for file in record.packed:
        bytecode = parse_bytecode(file.path)
        if bytecode is not None and not record.typed and noarch and bytecode.cached:
            continue  # An old record does not say whether it is the package's or the installer's.
        if file.kind is FileKind.SYMLINK:
            yield file._replace(link=_link(prefix, file.path))
        elif bytecode is not None and (deep or not bytecode.cached):
            yield file._replace(content=_head(prefix, file.path, HEADER))
        elif file.path.endswith(".pth") and (length := content_wanted(file.path)):
            # Installers write the prefix into it, so its size may not be the recorded one.
            content = _head(prefix, file.path, length + 1)
            yield file._replace(content=content, size=len(content) if content and len(content) <= length else None)
        else:
            yield file


def _inside(prefix: str, path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise OSError(f"{path} leaves the prefix")
    return os.path.join(prefix, path)


def _link(prefix: str, path: str) -> str:
    try:
        return os.readlink(_inside(prefix, path))
    except (OSError, ValueError):
        return ""


def _head(prefix: str, path: str, length: int) -> bytes | None:
    """Return the first bytes of an installed file, or None if there is no such regular file anymore."""
    try:
        with open_regular(_inside(prefix, path), buffering=0) as file:
            return file.read(min(length, os.fstat(file.fileno()).st_size))
    except (OSError, ValueError):
        return None


def result_of(plan: Plan, status: str, index: object, path: str) -> Result:
    """Return the result of a plan for something other than an archive, which has neither format nor size."""
    index = index if isinstance(index, dict) else {}
    name, version, build, subdir = (str(index.get(key) or "") for key in ("name", "version", "build", "subdir"))
    return Result(
        path=path,
        status=status,  # type: ignore[arg-type]
        name=name,
        version=version,
        build=build,
        subdir=subdir,
        variant=plan.variant,
        members=len(plan.package.files) - 1,
        findings=plan.findings,
        notes=plan.notes,
        error=plan.refusal or None,
        unused_keep=plan.unused_keep,
        remainders=plan.remainders,
    )
