"""Judges a package from the texts of its info component, or from its record and the names of its files.

The judgement is that of `check`. What differs: the payload is not at hand. A kind that needs it is judged as far as the
metadata goes, and a note says so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import LimitExceeded, NotAPackage, PruneError
from ..judgement.bytecode import Bytecode
from ..judgement.contents import INDEX, Contents, content_wanted, contents_of, has_listing
from ..judgement.listings.line_lists import FILES
from ..judgement.options import Options
from ..judgement.plan import make_plan
from ..model import LONGEST_PATH, Component, File, Format, Identity, Limits, Package, Result
from ..operations.planning import JudgedPackage, result_of
from .item import Item

_METADATA_ALONE = "judged from metadata alone"
_OF_THE_CHANNEL = frozenset({"fn", "url", "channel"})
"""Keys that py-rattler adds to a record: where it was found."""


def judge_texts(item: Item, texts: Mapping[str, bytes], options: Options, limits: Limits) -> Result:
    """Return the result for a package whose info component holds these texts.

    Raises PruneError where they cannot be judged: they are too large, malformed, those of another package than the
    index lists, or do not say what the package holds.
    """
    return _judge(item, texts, options, limits, lambda contents: contents)


def _judge(
    item: Item,
    texts: Mapping[str, bytes],
    options: Options,
    limits: Limits,
    adapt: Callable[[Contents], Contents],
) -> Result:
    started = time.perf_counter()
    if item.size is not None:
        limits = limits.within(item.size)
    if (size := sum(map(len, texts.values()))) > limits.text:
        reason = f"its metadata takes {size} bytes, and more than {limits.text} are not held in memory"
        raise LimitExceeded(reason, f"raise {limits.text_option} if you trust it")
    files = tuple(File(path, size=len(text), content=text[: content_wanted(path)]) for path, text in texts.items())
    component = Component("info", files, (), 0)
    package = Package(
        item.shown, Format.CONDA, Identity(0, 0, item.size or 0, 0), (component,), complete=False, limits=limits
    )
    contents = adapt(contents_of(package))
    _check_same(item, contents.index)
    if not has_listing(contents):
        raise PruneError(
            "it does not list its files: it has neither info/paths.json nor info/files",
            "read all of it with --download",
        )
    plan = make_plan(package, options, contents)
    result = result_of(
        JudgedPackage(package, contents, plan), plan.status, deep=False, seconds=time.perf_counter() - started
    )
    notes = result.notes
    if plan.needs_payload and not any(note.startswith(_METADATA_ALONE) for note in notes):
        notes += (f"{_METADATA_ALONE}: the payload was not read and may change what is found",)
    return replace(result, notes=notes, before=result.before if item.size is not None else None)


def judge_paths(
    item: Item,
    record: Mapping[str, Any],
    files: Mapping[str, File],
    bytecode: tuple[Bytecode, ...],
    options: Options,
    limits: Limits,
) -> Result:
    """Return the result for a package of which its record in the index and its files are known.

    `bytecode` are those of the files that have the name of a bytecode file, in the order of `files`. Both can be made
    once for many packages. Raises PruneError where they cannot be judged.
    """
    index = {key: value for key, value in record.items() if key not in _OF_THE_CHANNEL}
    texts = {INDEX: json.dumps(index).encode(), FILES: b""}
    item = item._replace(size=None)
    if _is_within(files, limits):
        result = _judge(item, texts, options, limits, lambda contents: _with_files(contents, files, bytecode))
    else:
        texts[FILES] = "".join(f"{path}\n" for path in files).encode("utf-8", "surrogateescape")
        result = judge_texts(item, texts, options, limits)
    note = f"{_METADATA_ALONE}: no sizes, links and recipe are known, only the record in repodata.json and the paths"
    return replace(result, notes=(*result.notes, note))


def _with_files(contents: Contents, files: Mapping[str, File], bytecode: tuple[Bytecode, ...]) -> Contents:
    """Return contents with files that need not be parsed from a listing."""
    return replace(contents, files=files, known_bytecode=bytecode)


def _is_within(files: Mapping[str, File], limits: Limits) -> bool:
    """Return whether the limits on a listing certainly allow these files; if not, they are checked one by one.

    The paths of all directories together are at most as long as each path times its depth, which its length exceeds.
    """
    longest = max(map(len, files), default=0)
    if len(files) > limits.listed or longest > LONGEST_PATH:
        return False
    size = 4 * (sum(map(len, files)) + len(files))  # A character takes up to four bytes.
    # Counting slashes takes longer than all before it, and nearly no package needs it.
    return size * (longest + 1) <= limits.text or size * (max(path.count("/") for path in files) + 1) <= limits.text


def _check_same(item: Item, index: Mapping[str, object]) -> None:
    """Raise NotAPackage where the server sent another package than its index lists."""
    if item.sha256 is None or item.local:
        return
    found = f"{index.get('name')}-{index.get('version')}-{index.get('build')}"
    stem = item.file_name.removesuffix(Format.CONDA.value).removesuffix(Format.TAR_BZ2.value)
    if found != stem:
        raise NotAPackage(f"the server sent another package: {found}", "tell the channel's operator")
