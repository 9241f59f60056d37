"""A link leads where the operating system takes it once the package is unpacked."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from conda_prune.errors import Unsupported
from conda_prune.judgement.links import opened_file, regular_file, trail
from conda_prune.model import File, FileKind

linux = pytest.mark.skipif(sys.platform != "linux", reason="how many links are followed is Linux's number")


def package(links: Mapping[str, str]) -> dict[str, File]:
    files = {path: File(path, FileKind.SYMLINK, link=target) for path, target in links.items()}
    return {"lib/m/a.py": File("lib/m/a.py")} | files


def on_disk(directory: Path, links: Mapping[str, str], path: str) -> str | None:
    """Unpack the package, and return the file that opening a path reads there."""
    for name in ("lib/m", *(os.path.dirname(link) for link in links)):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "lib/m/a.py").write_text("here")
    for link, target in links.items():
        (directory / link).symlink_to(target)
    try:
        (directory / path).read_text()
    except OSError:
        return None
    return os.path.relpath(os.path.realpath(directory / path), os.path.realpath(directory))


def chain(length: int) -> dict[str, str]:
    """Return so many links in a row, of which the last leads to a file."""
    return {f"l{at}": f"l{at + 1}" if at + 1 < length else "lib/m/a.py" for at in range(length)}


@pytest.mark.parametrize(
    ("links", "path"),
    [
        pytest.param({}, "lib/m/a.py", id="no-link"),
        pytest.param({"bin/a": "../lib/m/a.py"}, "bin/a", id="a-link"),
        pytest.param({"lib64": "lib"}, "lib64/m/a.py", id="by-way-of-a-directory"),
        pytest.param({"lib64": "lib/./", "x": ".//lib64/m/../m/a.py"}, "x", id="dots-and-slashes"),
        pytest.param({"a": "b", "b": "a"}, "a", id="a-circle"),
        pytest.param({"a": "lib/m"}, "a", id="to-a-directory"),
        pytest.param({"a": "nowhere"}, "a", id="to-nothing"),
        pytest.param(chain(40), "l0", id="as-many-links-as-are-followed", marks=linux),
        pytest.param(chain(41), "l0", id="one-link-more", marks=linux),
    ],
)
def test_a_path_leads_where_it_leads_on_disk(links: Mapping[str, str], path: str, tmp_path: Path) -> None:
    files = package(links)
    *_, end = trail(files, path)
    file = files.get(end)
    reached = file.path if file is not None and file.kind is FileKind.FILE else None
    assert reached == on_disk(tmp_path, links, path)
    if path in files:
        opened = opened_file(files, path)
        assert (opened.path if opened else None) == reached


@pytest.mark.parametrize("target", ["lib/m/a.py", "./lib/m/a.py", "././lib/m/a.py"])
def test_a_hard_link_may_name_its_file_from_the_root(target: str) -> None:
    files = package({})
    assert regular_file(files, File("b.py", FileKind.HARDLINK, link=target)) is files["lib/m/a.py"]


def test_hard_links_in_a_circle_are_refused() -> None:
    files = {name: File(name, FileKind.HARDLINK, link=target) for name, target in (("a", "b"), ("b", "a"))}
    with pytest.raises(Unsupported, match="'a' points to 'b'"):
        regular_file(files, files["a"])


@pytest.mark.parametrize(("length", "followed"), [(39, True), (40, False)])
def test_hard_links_lead_to_each_other_forty_times_at_most(length: int, followed: bool) -> None:
    """Each is followed to its end: of a hundred thousand in a row, that would take hours."""
    links = {f"h{at}": f"h{at + 1}" if at + 1 < length else "lib/m/a.py" for at in range(length)}
    files = package({}) | {path: File(path, FileKind.HARDLINK, link=target) for path, target in links.items()}
    if followed:
        assert regular_file(files, files["h0"]) is files["lib/m/a.py"]
    else:
        with pytest.raises(Unsupported, match="'h0' leads to 40 others"):
            regular_file(files, files["h0"])
