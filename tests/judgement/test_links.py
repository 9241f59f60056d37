"""A link is resolved as the operating system resolves it after unpacking."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conda_prune.errors import Unsupported
from conda_prune.judgement.links import (
    SymlinkResolver,
    directories,
    opened_file,
    regular_file,
)
from conda_prune.model import File, FileKind

from ..clock import cpu_time

linux = pytest.mark.skipif(sys.platform != "linux", reason="the limit on followed links is that of Linux")


def package(links: Mapping[str, str]) -> dict[str, File]:
    files = {path: File(path, FileKind.SYMLINK, link=target) for path, target in links.items()}
    return {"lib/m/a.py": File("lib/m/a.py")} | files


def resolver(files: Mapping[str, File]) -> SymlinkResolver:
    return SymlinkResolver(files, {path: file for path, file in files.items() if file.kind is FileKind.SYMLINK})


def on_disk(directory: Path, links: Mapping[str, str], path: str) -> str | None:
    """Unpack the package and return the file that is read when a path is opened, or None."""
    for name in ("lib/m", *(os.path.dirname(link) for link in links)):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "lib/m/a.py").write_text("here")
    if links and os.name == "nt":
        pytest.skip("Windows needs a privilege to make links")
    for link, target in links.items():
        (directory / link).symlink_to(target)
    try:
        (directory / path).read_text()
    except OSError:
        return None
    return Path(os.path.realpath(directory / path)).relative_to(os.path.realpath(directory)).as_posix()


def chain(length: int, detour: str = "") -> dict[str, str]:
    """Return this many links in a row, the last one to a file. Each target starts with the detour."""
    return {f"l{at}": f"{detour}l{at + 1}" if at + 1 < length else "lib/m/a.py" for at in range(length)}


@pytest.mark.parametrize(
    ("links", "path"),
    [
        pytest.param({}, "lib/m/a.py", id="no-link"),
        pytest.param({"bin/a": "../lib/m/a.py"}, "bin/a", id="a-link"),
        pytest.param({"lib64": "lib"}, "lib64/m/a.py", id="through-a-linked-directory"),
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
    symlinks = resolver(files)
    file = files.get(symlinks.resolve_chain(path)[-1])
    reached = file.path if file is not None and file.kind is FileKind.FILE else None
    assert reached == on_disk(tmp_path, links, path)
    if path in files:
        opened = opened_file(files, path, symlinks)
        assert (opened.path if opened else None) == reached


def step_by_step(files: Mapping[str, File], path: str) -> list[str]:
    """Resolve a path in the simplest way: part by part, without remembering results."""
    ahead = path.split("/")[::-1]
    done: list[str] = []
    passed: list[str] = []
    while ahead:
        part = ahead.pop()
        if part == ".." and not done:
            return passed
        if part == "..":
            done.pop()
        elif part not in ("", "."):
            done.append(part)
            file = files.get("/".join(done))
            if file is not None and file.kind is FileKind.SYMLINK:
                passed.append(file.path)
                if len(passed) > 40 or file.link.startswith("/"):
                    return passed
                ahead += file.link.split("/")[::-1]
                done.pop()
    return [*passed, "/".join(done)]


parts = st.sampled_from(["a", "b", "c", "..", "..", ".", ""])
targets = st.lists(parts, min_size=1, max_size=5).map("/".join).filter(bool)
places = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)


@given(st.dictionaries(places, targets, max_size=6), st.lists(places, max_size=4))
@example({"a/b": "../c", "c": "a/../b/.."}, ["b/x"])
@example({"a": "b", "b": "c", "c": "a", "d": "c"}, [])
def test_links_are_resolved_as_if_one_by_one(links: dict[str, str], more: list[str]) -> None:
    named = [*links, *more]
    if any(name.startswith(f"{other}/") for name in named for other in named):
        return  # A file below a link or below another file: no package has one.
    files = {path: File(path) for path in more} | package(links)
    symlinks = resolver(files)
    existing = {"", *files, *directories(files)}
    for path in files:
        resolved, plain = symlinks.resolve_chain(path), step_by_step(files, path)
        if len(plain) > 40:  # In a circle, or too many links: it leads to nothing.
            assert set(resolved) <= set(plain)
            assert resolved[-1] in links
        elif plain[-1] in existing or resolved[-1]:
            assert resolved == plain
        else:
            assert resolved[:-1] == plain[:-1]


def test_a_link_to_a_missing_directory_has_no_end() -> None:
    symlinks = resolver(package({"a": "no/such/directory", "b": "no", "c": "no/../lib/m"}))
    assert [symlinks.resolve_chain(path)[-1] for path in "abc"] == ["", "no", "lib/m"]


LONG = [
    pytest.param(lambda n: {f"l{at}": "a/" * n + "x" for at in range(20)}, id="parts"),
    pytest.param(lambda n: {f"l{at}": "lib/../" * n + "x" for at in range(20)}, id="parent directories"),
    pytest.param(lambda n: {f"l{at}": "./" * n + f"l{at + 1}" for at in range(20)}, id="links to long links"),
    pytest.param(lambda n: {f"{at}": "lib/../" * 500 + f"{at + 1}" for at in range(n)}, id="chains of long targets"),
    pytest.param(
        lambda n: chain(39, "lib/../" * 500) | {f"x{at}": "l0" for at in range(10 * n)}, id="many to a long one"
    ),
    pytest.param(lambda n: {f"l{at}": f"l{at + 1}" for at in range(10 * n)}, id="a long chain"),
]


@pytest.mark.parametrize("links", LONG)
def test_links_take_time_in_proportion_to_their_targets(links: Callable[[int], dict[str, str]]) -> None:
    def seconds(count: int) -> float:
        files = package(links(count))
        started = cpu_time()
        symlinks = resolver(files)
        for path in files:
            symlinks.resolve_chain(path)
        return cpu_time() - started

    few, many = (min(seconds(count) for _ in range(3)) for count in (250, 2000))
    assert many < 30 * few, "linear is 8, quadratic is 64"


@pytest.mark.parametrize("target", ["lib/m/a.py", "./lib/m/a.py", "././lib/m/a.py"])
def test_the_target_of_a_hard_link_may_start_with_dots(target: str) -> None:
    files = package({})
    assert regular_file(files, File("b.py", FileKind.HARDLINK, link=target)) is files["lib/m/a.py"]


def test_hard_links_in_a_circle_are_refused() -> None:
    files = {name: File(name, FileKind.HARDLINK, link=target) for name, target in (("a", "b"), ("b", "a"))}
    with pytest.raises(Unsupported, match="'a' points to 'b'"):
        regular_file(files, files["a"])


@pytest.mark.parametrize(("length", "followed"), [(39, True), (40, False)])
def test_at_most_forty_hard_links_are_followed(length: int, followed: bool) -> None:
    """Following each link of a hundred thousand in a row to its end would take hours."""
    links = {f"h{at}": f"h{at + 1}" if at + 1 < length else "lib/m/a.py" for at in range(length)}
    files = package({}) | {path: File(path, FileKind.HARDLINK, link=target) for path, target in links.items()}
    if followed:
        assert regular_file(files, files["h0"]) is files["lib/m/a.py"]
    else:
        with pytest.raises(Unsupported, match="'h0' leads to 40 others"):
            regular_file(files, files["h0"])
