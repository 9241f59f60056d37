"""Judges a build's prefix: the files that no record in `conda-meta` owns, which is what the package will hold.

So the rules see the same files before packaging as after it, and the files of other packages are out of their reach.
Other prefixes and package caches below the prefix are not searched.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import PruneError, UsageError
from ..judgement.contents import content_wanted
from ..judgement.options import Options
from ..judgement.plan import make_plan
from ..judgement.rules import RULES
from ..judgement.variant.detect import detect_variant
from ..model import File, FileKind, Result
from ..rewrite.directory import Directory
from ..system import long_path, name_key, open_regular
from .installed import result_of
from .prune import FileIdentity, prune, recover
from .records import (
    CONDA_META,
    Record,
    as_package,
    read_record,
    record_paths,
)

_SITE_PACKAGES = re.compile(r"[/\\]lib[/\\]((?:python|pypy)(\d\.\d+)(t?))[/\\]site-packages[/\\]?$")


@dataclass(frozen=True, slots=True)
class Build:
    """What a build's environment variables say about the package that is being built. Unset ones are empty.

    `python` is the minor version (PY_VER), `site_packages` the directory of SP_DIR, `subdir` the platform (SUBDIR).
    `running`: this is a build script, whose prefix may not have a `conda-meta` yet.
    """

    prefix: str = ""
    name: str = ""
    version: str = ""
    build: str = ""
    python: str = ""
    site_packages: str = ""
    running: bool = False
    subdir: str = ""


def build_of(environment: Mapping[str, str]) -> Build:
    """Return what the variables say that rattler-build and conda-build set for build scripts."""
    prefix, name, version, build, python, site_packages = (
        environment.get(key, "")
        for key in ("PREFIX", "PKG_NAME", "PKG_VERSION", "PKG_BUILD_STRING", "PY_VER", "SP_DIR")
    )
    running = environment.get("CONDA_BUILD") == "1"
    subdir = environment.get("SUBDIR", "").strip() or ("win-64" if os.name == "nt" else "")
    return Build(prefix, name, version, build, python.strip(), site_packages.strip(), running, subdir)


def judge_prefix(prefix: str, build: Build, options: Options, *, fix: bool = False) -> Result:
    """Return what is wrong with the files of a prefix that no package owns; with `fix`, repair it, all or nothing.

    Raises UsageError if neither the build nor the options name a Python, or if the directory is more than a prefix;
    NotAPackage if there is no prefix; BadMetadata if a record cannot be read, since then it is unknown who owns the
    files; and with `fix`, Changed or CannotWrite. Nothing was changed then.
    """
    started = time.perf_counter()
    with ExitStack() as opened:
        # Opened before it is judged: if the path leads elsewhere later, this directory is still the one.
        root = opened.enter_context(Directory.open(prefix)) if fix and os.path.isdir(prefix) else None
        _refuse_system_directory(prefix)
        records = _records(prefix, build)
        owned = frozenset[str]().union(*(record.owned for record in records))
        if root is not None:
            recover(root, owned)
        metadata = _metadata(build, records, options)
        seen: dict[str, FileIdentity] = {}
        # The files' dates, for example, are not yet those that they get in the package.
        not_judged = {rule.kind: rule.not_in_prefix for rule in RULES if rule.not_in_prefix}
        judged = options._replace(ignore=options.ignore | not_judged.keys())
        package = as_package(prefix, metadata.index, _files(prefix, owned, seen), prefix)
        # Here, each hard link is a file of its own, so the plan never needs more of a file's content.
        plan = make_plan(package, judged)
        result = result_of(plan, plan.status, metadata.index, prefix)
        if root is not None and plan.status == "findings" and plan.edits is not None:
            prune(root, plan.edits, seen, owned)
            result = replace(result, status="fixed")
    variant = plan.variant._replace(
        because=tuple(metadata.shown.get(text, text) for text in plan.variant.because),
        conflict=metadata.with_origins(plan.variant.conflict),
    )
    seconds = time.perf_counter() - started
    error = metadata.with_origins(result.error) if result.error else None
    result = replace(result, notes=tuple(map(metadata.with_origins, result.notes)))
    for kind, reason in not_judged.items():
        if kind in options.select | options.extend_select:
            result = replace(result, notes=(*result.notes, f"{kind} is judged in packages only: {reason}"))
    return replace(result, variant=variant, error=error, deep=True, seconds=seconds, members=len(package.files) - 1)


def _refuse_system_directory(prefix: str) -> None:
    """Raise UsageError for a directory that cannot be a build's prefix.

    The prefix of a build script may have no records, and then no file in it is owned: in a directory that is more than
    a prefix, files of the system or of the user would be removed.
    """
    if not os.path.isdir(prefix):
        return
    root = os.path.abspath(os.sep)
    real = os.path.realpath(prefix)
    if os.path.dirname(real) == real or os.path.samefile(prefix, root):
        raise UsageError(f"{prefix} is the root of a file system, not a prefix", "name the prefix of the build")
    if os.path.lexists(os.path.join(prefix, CONDA_META)):
        return
    home = os.path.realpath(os.path.expanduser("~"))
    if real in (home, *_parents(home)):
        raise UsageError(f"{prefix} holds the home directory, and no {CONDA_META}", "name the prefix of the build")
    if real in (os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix)):
        raise UsageError(
            f"{prefix} holds the Python that runs conda-prune, and no {CONDA_META}", "name the prefix of the build"
        )


def _parents(path: str) -> Iterator[str]:
    while (parent := os.path.dirname(path)) != path:
        yield (path := parent)


def _records(prefix: str, build: Build) -> list[Record]:
    is_own = build.running and bool(build.prefix) and os.path.realpath(prefix) == os.path.realpath(build.prefix)
    if is_own and os.path.isdir(prefix) and not os.path.lexists(os.path.join(prefix, CONDA_META)):
        return []  # A package without host dependencies: nothing was installed, and no file is owned.
    return [read_record(path) for path in record_paths(prefix)]


@dataclass(frozen=True, slots=True)
class _Metadata:
    """The index.json that the package would have, and the origin of each dependency that was made up for it."""

    index: Mapping[str, Any]
    shown: Mapping[str, str] = field(default_factory=dict)

    def with_origins(self, text: str) -> str:
        """Return a text with every made-up dependency replaced by its origin."""
        for spec, origin in self.shown.items():
            text = text.replace(repr(spec), repr(origin))
        return text


def _metadata(build: Build, records: Sequence[Record], options: Options) -> _Metadata:
    index = {"name": build.name, "version": build.version, "build": build.build, "subdir": build.subdir}
    python = next((record.index for record in records if record.name == "python"), None)
    # An interpreter's own package states its version. A build string alone is weaker than what follows.
    if options.python is not None or detect_variant(index | {"build": ""}, {}).kind == "exact":
        return _Metadata(index)
    if not build.python:
        there = f"--python {'.'.join(str(python['version']).split('.')[:2])}" if python else "--python 3.11"
        raise UsageError(
            "PY_VER is not set, so it is unknown which Python the files are for",
            f"run this in the build script of a package that has python in host, or use {there}, any or none",
        )
    shown = {}
    version = re.match(r"(\d\.\d+)(?![0-9])", build.python)
    if version is None:
        raise UsageError(f"PY_VER is {build.python!r}, which is not a version of Python", "use --python 3.11")
    shown[f"python {version[1]}.*"] = f"PY_VER {build.python}"
    if python is not None:
        shown[f"python {python['version']} {python['build']}"] = (
            f"{CONDA_META}: python {python['version']} {python['build']}"
        )
    if tree := _SITE_PACKAGES.search(build.site_packages):
        # Old installers use lib/python3.1 for every Python from 3.10 on.
        if tree[2] != "3.1":
            spec = f"python {tree[2]}.*" + (f" *_cp{tree[2].replace('.', '')}t" if tree[3] else "")
            shown.setdefault(spec, f"SP_DIR lib/{tree[1]}/site-packages")
    return _Metadata({**index, "depends": list(shown)}, shown)


def _files(prefix: str, owned: Collection[str], seen: dict[str, FileIdentity]) -> Iterator[File]:
    """Yield the files that no package owns, with the content that judgement needs; put their identities into `seen`."""
    for path, status in _walk(prefix):
        if name_key(path) in owned:
            continue
        seen[path] = FileIdentity.of(status)
        full = os.path.join(prefix, path)
        if stat.S_ISLNK(status.st_mode):
            yield File(path, FileKind.SYMLINK, link=os.readlink(long_path(full)).replace(os.sep, "/"))
        elif stat.S_ISREG(status.st_mode):
            content = _head(full, content_wanted(path))
            yield File(path, FileKind.FILE, status.st_size, mtime=int(status.st_mtime), content=content)
        else:
            yield File(path, FileKind.OTHER)


def _walk(prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every file of a prefix by its path there, sorted in each directory; links are not followed."""
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            with os.scandir(long_path(os.path.join(prefix, below) if below else prefix)) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise PruneError(f"the directory {below or prefix} cannot be read: {error.strerror}") from error
        names = {entry.name for entry in found}
        if below and (CONDA_META in names or (below == "pkgs" and "urls.txt" in names)):
            continue  # Another prefix, or a package cache.
        directories = []
        for entry in found:
            path = f"{below}/{entry.name}" if below else entry.name
            if path in (CONDA_META, "info"):
                continue
            if entry.is_dir(follow_symlinks=False):
                directories.append(path)
            else:
                # Not entry.stat(), whose device and inode are 0 on Windows.
                yield path, os.lstat(long_path(os.path.join(prefix, path)))
        pending += reversed(directories)


def _head(path: str, length: int) -> bytes | None:
    if not length:
        return None
    try:
        with open_regular(path, follow_links=False) as file:
            # Not `length` itself, which may be the limit on texts: a buffer of that size would be allocated.
            return file.read(min(length, os.fstat(file.fileno()).st_size))
    except OSError:
        return None  # It is gone or cannot be read, and is judged by its name.
