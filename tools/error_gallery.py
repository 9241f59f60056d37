"""Writes docs/errors.md: what is said about every hostile input of the tests, and about what else goes wrong.

`python -m tools.error_gallery` writes the page anew; a test compares it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import zstandard

from conda_prune import Limits, PruneError, fix
from conda_prune.judgement.options import Options
from conda_prune.operations.fix import FixOptions, fix_package
from conda_prune.report.escape import escaped
from tests.corpus.crafted import BASE
from tests.corpus.hostile import HOSTILE
from tests.corpus.packages import write_package

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"

HEAD = """# What errors say

An error ends the work on its package and on no other: the package and its directory are as they were, the others are
done, the exit code is 3. On standard error stands one line: the package, what is wrong with the evidence, what to do.
With `--format json`, the same text is the package's `error`.

Every line below was made by an input of the tests: a damaged or crafted package, or a circumstance. The page is
written by `python -m tools.error_gallery`, and a test keeps it true.
"""

GROUPS = {
    "Around the package": ("around-",),
    "The file": ("empty-", "html-", "half-", "bz2-", "zip-without-last"),
    "The zip of a .conda": ("zip-",),
    "Compressed data": ("zstd-",),
    "The tar": ("tar-",),
    "Metadata": ("paths-", "index-"),
}


def _read_only(package: Path) -> None:
    package.chmod(0o444)
    fix(package, in_place=True)


def _backup(package: Path) -> None:
    package.with_name(package.name + ".orig").write_bytes(b"")
    fix(package, in_place=True, backup=".orig")


def _link(package: Path) -> None:
    package.unlink()
    package.symlink_to("nowhere")
    fix(package, in_place=True)


def _renamed(package: Path) -> None:
    os.rename(package, package.with_suffix(".zip"))
    fix(package.with_suffix(".zip"), in_place=True)


CIRCUMSTANCES: dict[str, Callable[[Path], object]] = {
    "around-no-file": lambda package: fix(package.with_name("absent.conda"), in_place=True),
    "around-directory": lambda package: fix(package.parent, in_place=True),
    "around-name": _renamed,
    "around-dangling-link": _link,
    "around-read-only": _read_only,
    "around-backup-exists": _backup,
    "around-output-is-input": lambda package: fix(package, output_dir=package.parent),
    "around-unpacked": lambda package: fix(package, in_place=True, limits=Limits(unpacked=1000)),
    "around-members": lambda package: fix(package, in_place=True, limits=Limits(members=2)),
    "around-text": lambda package: fix(package, in_place=True, limits=Limits(text=64)),
    # As the command line does: it may work on packages of both formats.
    "around-level": lambda package: fix_package(str(package), Options(), FixOptions(level=99)),
}


def errors() -> Iterator[tuple[str, str]]:
    """Yield every input's name with the line that its error prints."""
    for id, work in CIRCUMSTANCES.items():
        yield id, _line(lambda directory, work=work: work(write_package(BASE, directory)))  # type: ignore[misc]
    for hostile in HOSTILE:
        yield hostile.id, _line(lambda directory, make=hostile.make: fix(make(directory), in_place=True))  # type: ignore[misc]


def _line(work: Callable[[Path], object]) -> str:
    with tempfile.TemporaryDirectory(suffix=".conda") as directory:
        try:
            work(Path(directory))
        except PruneError as error:
            return escaped(str(error)).replace(directory, "output")
    raise AssertionError("there was no error")


def versions() -> str:
    """The libraries whose own words are part of some lines."""
    return f"Python {sys.version_info.major}.{sys.version_info.minor}, zstandard {zstandard.__version__}"


def page() -> str:
    """Return the whole page."""
    lines = [HEAD, f"Made with {versions()}.", ""]
    left = dict(errors())
    for title, prefixes in GROUPS.items():
        lines += [f"## {title}", "", "```text"]
        for id in [id for id in left if id.startswith(prefixes)]:
            lines.append(f"{id.removeprefix('around-')}: {left.pop(id)}")
        lines += ["```", ""]
    if left:
        raise AssertionError(f"no group takes {sorted(left)}")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
