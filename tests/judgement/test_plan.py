"""What follows from a drop, and what a plan says: links, directories, listings, notes, and what it never does."""

from __future__ import annotations

import bz2
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from conda_prune import (
    Result,
    check,
    fix,
    model,
)
from conda_prune.errors import PruneError, Unsupported
from conda_prune.judgement.contents import Contents
from conda_prune.judgement.options import KINDS, Options, rule_of
from conda_prune.judgement.plan import refuse_dangling_links
from conda_prune.judgement.rules import RULES
from conda_prune.model import (
    Action,
    Component,
    Drop,
    FileKind,
    Format,
    Identity,
    Package,
    Plan,
    Rewrite,
    Variant,
)
from conda_prune.operations import planning

from ..corpus.bytecode import cached, modules, pyc
from ..corpus.crafted import from_tar, tar_of
from ..corpus.entries import AnyEntry
from ..corpus.packages import (
    FORMATS,
    Directory,
    File,
    Hardlink,
    PackageSpec,
    Symlink,
    component_tars,
    write_package,
)
from ..corpus.scenario import for_311
from ..corpus.scenarios import SCENARIOS
from ..corpus.tars import (
    END,
    read_components,
    read_tar_members,
    tar_member,
)
from ..seed import SEEDS, Seed

SITE = "lib/python3.11/site-packages"
OTHER = "lib/python3.10/site-packages"
OWN = modules(SITE, "m/a", tags=("cpython-311",))
CACHE = f"{SITE}/m/__pycache__"
STRAY, OPTIMIZED, OWN_PYC = (f"{CACHE}/a.cpython-{tag}.pyc" for tag in ("310", "310.opt-1", "311"))
CONTENT = pyc("cpython-310", "stray")


def make(directory: Path, files: dict[str, AnyEntry], **options: Any) -> Path:
    """Write a package for Python 3.11; what the description takes goes there, the rest to the writer."""
    described = {key: options.pop(key) for key in ("paths_json", "legacy_listings", "info") if key in options}
    return write_package(for_311("planned", OWN | files, **described), directory, **options)


def members(path: Path) -> set[str]:
    return {name for found in read_tar_members(path).values() for name, _ in found if not name.startswith("info/")}


def contents(path: Path) -> dict[str, bytes]:
    """Return the content of every regular member and of every hard link, read by tarfile."""
    found = {}
    for tar in read_components(path).values():
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
            for member in archive:
                if not member.issym() and (file := archive.extractfile(member)):
                    found[member.name] = file.read()
    return found


def rows(path: Path) -> dict[str, dict[str, Any]]:
    return {row["_path"]: row for row in json.loads(contents(path)["info/paths.json"])["paths"]}


def done(result: Result) -> dict[str, str]:
    return {finding.path: finding.action.value for finding in result.findings if not finding.quiet}


def fixed(path: Path, **options: Any) -> Result:
    """Fix a package; whatever it was, it is clean then, and installers find what the listing names."""
    result = fix(path, in_place=True, **options)
    assert check(path, deep=True, **options).status == "clean"
    assert fix(path, in_place=True, **options).status == "clean"
    links = {name for name, row in rows(path).items() if row.get("path_type") == "softlink"}
    files = {name for name, row in rows(path).items() if row.get("path_type", "hardlink") == "hardlink"}
    assert files | links <= members(path)
    return result


# Symbolic links


LINKS = [
    pytest.param({"share/a": Symlink(f"../{SITE}/m/a.py"), STRAY: CONTENT}, {STRAY}, id="to a file that stays"),
    pytest.param({"share/a": Symlink("nowhere"), STRAY: CONTENT}, {STRAY}, id="to nothing, as before"),
    pytest.param({"share/a": Symlink("/etc/passwd"), STRAY: CONTENT}, {STRAY}, id="to an absolute path"),
    pytest.param({"share/a": Symlink("b"), "share/b": Symlink("a"), STRAY: CONTENT}, {STRAY}, id="in a circle"),
    pytest.param({"share/a": Symlink(f"../{STRAY}"), STRAY: CONTENT}, set(), id="no bytecode: its target stays"),
    pytest.param({f"{CACHE}/b.cpython-311.pyc": Symlink("a.cpython-310.pyc"), STRAY: CONTENT},
                 {STRAY, f"{CACHE}/b.cpython-311.pyc"}, id="bytecode: goes with its target"),
    pytest.param({"share/a": Symlink(f"../{CACHE}/b.cpython-311.pyc"),
                  f"{CACHE}/b.cpython-311.pyc": Symlink("a.cpython-310.pyc"), STRAY: CONTENT},
                 set(), id="no bytecode, by bytecode: all stay"),
    pytest.param({f"{CACHE}/c.cpython-311.pyc": Symlink("b.cpython-311.pyc"),
                  f"{CACHE}/b.cpython-311.pyc": Symlink("a.cpython-310.pyc"), STRAY: CONTENT},
                 {STRAY, f"{CACHE}/b.cpython-311.pyc", f"{CACHE}/c.cpython-311.pyc"}, id="bytecode, by bytecode"),
    pytest.param({f"{CACHE}/c.cpython-311.pyc": Symlink("b.cpython-310.pyc"),
                  f"{CACHE}/b.cpython-310.pyc": Symlink("a.cpython-310.pyc"), STRAY: CONTENT},
                 {STRAY, f"{CACHE}/b.cpython-310.pyc", f"{CACHE}/c.cpython-311.pyc"}, id="bytecode, by stray bytecode"),
    pytest.param({"share/cache": Symlink(f"../{CACHE}"), "share/a": Symlink("cache/a.cpython-310.pyc"), STRAY: CONTENT},
                 set(), id="by way of a linked directory"),
    pytest.param({"share/other": Symlink("p/__pycache__"), "share/p/__pycache__/x.cpython-310.pyc": CONTENT}, set(),
                 id="to a directory that would vanish"),
    pytest.param({"share/cache": Symlink(f"../{CACHE}"), STRAY: CONTENT}, {STRAY}, id="to a directory that stays"),
    pytest.param({f"{SITE}/e/__pycache__": Directory(), "share/e": Symlink(f"../{SITE}/e/__pycache__"),
                  f"{SITE}/e/__pycache__/x.cpython-310.pyc": CONTENT},
                 {f"{SITE}/e/__pycache__/x.cpython-310.pyc"}, id="to a directory entry, which stays, empty"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "gone"), LINKS)
@pytest.mark.parametrize("format_", FORMATS)
def test_symbolic_links(files: dict[str, AnyEntry], gone: set[str], format_: str, tmp_path: Path) -> None:
    path = make(tmp_path, files, format=format_)
    before = members(path)
    assert check(path).status == ("findings" if gone else "clean")
    result = fixed(path)
    assert before - members(path) == gone
    assert sorted(f.path for f in result.findings if f.action is Action.DROP) == sorted(gone), "each is reported once"


@pytest.mark.parametrize("listed", [False, True], ids=["not listed", "listed as a file"])
@pytest.mark.parametrize(
    ("link", "target", "stays"),
    [("share/a", f"../{STRAY}", True), (f"{CACHE}/b.cpython-311.pyc", STRAY.rpartition("/")[2], False)],
    ids=["no bytecode", "bytecode"],
)
def test_a_link_is_one_whatever_the_listing_says(
    link: str, target: str, stays: bool, listed: bool, tmp_path: Path
) -> None:
    def misled(by: dict[str, Any], all_: list[Any]) -> None:
        by[link].update(path_type="hardlink")
        if not listed:
            all_.remove(by[link])

    path = make(tmp_path, {link: Symlink(target), STRAY: CONTENT}, paths_json=edit(misled))
    result = fix(path, in_place=True)
    assert {link, STRAY} & members(path) == ({link, STRAY} if stays else set())
    told = [finding.path for finding in result.findings]
    assert len(told) == len(set(told)), "what goes is not corrected as well"


def test_a_target_that_stays_is_reported_with_the_reason(tmp_path: Path) -> None:
    result = check(make(tmp_path, {"share/a": Symlink(f"../{STRAY}"), STRAY: CONTENT}))
    assert [(f.path, f.action.value, f.detail) for f in result.findings] == [
        (STRAY, "report", "kept: share/a links to it")
    ]
    assert f"{STRAY} is kept: share/a links to it" in result.notes


def test_keep_wins_over_the_rule_that_links_go_with_their_target(tmp_path: Path) -> None:
    link = f"{CACHE}/b.cpython-311.pyc"
    path = make(tmp_path, {link: Symlink("a.cpython-310.pyc"), STRAY: CONTENT})
    assert fixed(path, keep=["*/b.*"]).status == "clean"
    assert {link, STRAY} <= members(path)


# Hard links


@pytest.mark.parametrize("format_", FORMATS)
def test_every_kept_name_of_a_dropped_file_keeps_its_content(format_: str, tmp_path: Path) -> None:
    first = f"{CACHE}/a.cpython-310.opt-1.pyc"
    names = ["share/one", "share/two"]
    files: dict[str, AnyEntry] = {first: CONTENT, STRAY: Hardlink(first)}
    files |= {name: Hardlink(first) for name in names}
    path = make(tmp_path, files, format=format_, writer="conda-build")
    assert done(fixed(path)) == {first: "drop", STRAY: "drop"}
    found = contents(path)
    assert [found[name] for name in names] == [CONTENT, CONTENT]
    listed = rows(path)
    assert all(listed[name]["inode_paths"] == names for name in names)
    assert not {first, STRAY} & found.keys()


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("links", "gone"),
    [
        pytest.param({STRAY: OWN_PYC, "share/one": STRAY, "share/two": "share/one"}, {STRAY}, id="the second goes"),
        pytest.param({"share/one": OWN_PYC, STRAY: "share/one", "share/two": STRAY}, {STRAY}, id="the third goes"),
        pytest.param({STRAY: OWN_PYC, OPTIMIZED: STRAY, "share/one": OPTIMIZED}, {STRAY, OPTIMIZED}, id="two go"),
        pytest.param({"share/one": OWN_PYC, "share/two": "share/one", STRAY: "share/two"}, {STRAY}, id="the last goes"),
        pytest.param({"share/s": None, STRAY: "share/s", "share/one": STRAY}, set(), id="to a symbolic link: all stay"),
    ],
)
def test_hard_links_that_lead_from_one_to_another_keep_their_content(
    links: dict[str, str | None], gone: set[str], format_: Any, tmp_path: Path
) -> None:
    """No writer makes them, but all clients read them: each link is a name of the one that it names."""
    linked = [
        tar_member(name, type=b"1" if target else b"2", linkname=target or f"../{OWN_PYC}")
        for name, target in links.items()
    ]
    spec = for_311("planned", OWN, paths_json=None)
    path = from_tar(lambda members: tar_of([*members, *linked]), format_, spec)(tmp_path)
    before = contents(path)
    fix(path, in_place=True)
    after = contents(path)
    assert after.keys() == before.keys() - gone
    assert {name: before[name] for name in after} == after


def test_a_licence_below_info_may_be_a_name_of_what_goes(tmp_path: Path) -> None:
    """conda-build may link them; in a .tar.bz2 both are in one tar."""
    licence = f"{OTHER}/m-1.dist-info/LICENSE"
    spec = for_311("planned", OWN | {licence: b"Permission is granted\n"})
    info, pkg = component_tars(spec)
    link = tar_member("info/licenses/LICENSE", type=b"1", linkname=licence)
    path = tmp_path / f"{spec.stem}.tar.bz2"
    path.write_bytes(bz2.compress(b"".join([*pkg, *info, link, END])))
    assert done(fixed(path, extend_select=["foreign-tree"])) == {licence: "drop"}
    assert contents(path)["info/licenses/LICENSE"] == b"Permission is granted\n"


@pytest.mark.parametrize("target", ["m-1.dist-info/LICENSE", "m-1.dist-info"], ids=["file", "directory"])
@pytest.mark.parametrize("link", ["info/licenses/LICENSE", "info/licenses/x.pyc"])
def test_what_a_symbolic_link_below_info_leads_to_stays(link: str, target: str, tmp_path: Path) -> None:
    licence = f"{OTHER}/m-1.dist-info/LICENSE"
    spec = for_311("planned", OWN | {licence: b"Permission is granted\n", STRAY: CONTENT})
    info, pkg = component_tars(spec)
    path = tmp_path / f"{spec.stem}.tar.bz2"
    member = tar_member(link, type=b"2", linkname=f"../../{OTHER}/{target}")
    path.write_bytes(bz2.compress(b"".join([*pkg, *info, member, END])))
    foretold = done(check(path, extend_select=["foreign-tree"]))
    assert done(fixed(path, extend_select=["foreign-tree"])) == foretold == {STRAY: "drop", licence: "report"}
    assert contents(path)[licence] == b"Permission is granted\n"


def test_a_hard_link_to_nothing_is_refused(tmp_path: Path) -> None:
    spec = for_311("planned", OWN)
    info, pkg = component_tars(spec)
    path = tmp_path / f"{spec.stem}.tar.bz2"
    path.write_bytes(bz2.compress(b"".join([*info, *pkg, tar_member("share/x", type=b"1", linkname="gone"), END])))
    with pytest.raises(Unsupported, match="hard link 'share/x' points to 'gone'"):
        fix(path, in_place=True)


def test_a_rule_that_finds_what_another_took_goes_on_to_the_next(tmp_path: Path) -> None:
    taken, left = f"{OTHER}/m/__pycache__/a.cpython-310.opt-1.pyc", f"{SITE}/m/__pycache__/a.cpython-311.opt-1.pyc"
    path = make(tmp_path, {taken: CONTENT, left: CONTENT})
    found = {
        finding.path: finding.kind for finding in fixed(path, extend_select=["optimized"]).findings if not finding.quiet
    }
    assert found == {taken: "foreign-path", left: "optimized"}


# A file belongs to one kind


@pytest.mark.parametrize("format_", FORMATS)
def test_files_of_an_ignored_kind_are_left_alone(format_: str, tmp_path: Path) -> None:
    """They carry another Python's tag as well, lack their sources and have stale stamps."""
    files: dict[str, AnyEntry] = {
        f"{OTHER}/m/__pycache__/a.cpython-310.pyc": CONTENT,
        f"{OTHER}/m/__pycache__/a.cpython-310.opt-1.pyc": CONTENT,
        f"{OTHER}/m/__pycache__/a.cpython-310.pyc.123": CONTENT,
        f"{OTHER}/m/__pycache__/a.cpython-311.pyc": pyc("cpython-311", "x = 1\n"),
        f"{OTHER}/m/a.py": "x = 1\n",
    }
    path = make(tmp_path, files, format=format_)
    before = path.read_bytes()
    assert set(done(check(path, select=["all"]))) >= files.keys()
    for select in ([], ["all"]):
        result = fix(path, in_place=True, select=select, ignore=["foreign-path", "foreign-tree"])
        assert (result.status, done(result)) == ("clean", {})
    assert path.read_bytes() == before


def test_the_entry_of_an_ignored_file_is_made_true(tmp_path: Path) -> None:
    stray = f"{OTHER}/m/__pycache__/a.cpython-310.pyc"
    path = make(tmp_path, {stray: CONTENT}, paths_json=edit(lambda by, all_: by[stray].update(size_in_bytes=1)))
    assert done(fix(path, ignore=["foreign-path"], in_place=True)) == {stray: "correct"}
    assert rows(path)[stray]["size_in_bytes"] == len(CONTENT)


def test_an_ignored_kind_leaves_the_files_of_others(tmp_path: Path) -> None:
    nested = "opt/x/lib/python3.10/m/__pycache__/a.cpython-311.pyc"
    path = make(tmp_path, {STRAY: CONTENT, nested: CONTENT, f"{OTHER}/x.pyc": CONTENT})
    kinds = {finding.path: finding.kind for finding in check(path).findings if not finding.quiet}
    assert kinds == {STRAY: "foreign-tag", nested: "nested-path", f"{OTHER}/x.pyc": "foreign-path"}
    for path_, kind in kinds.items():
        assert {finding.path for finding in check(path, ignore=[kind]).findings} == kinds.keys() - {path_}
    selected = check(path, select=["orphan"], ignore=["nested-path"])
    assert nested not in done(selected), "it has no source, either"


def test_a_kind_that_nobody_asked_for_has_no_files(tmp_path: Path) -> None:
    """An optimized orphan goes with the orphans, unless `optimized` was left out by name."""
    path = make(tmp_path, {f"{CACHE}/gone.cpython-311.opt-1.pyc": CONTENT})
    assert done(check(path, select=["orphan"])) == {f"{CACHE}/gone.cpython-311.opt-1.pyc": "drop"}
    assert done(check(path, select=["all"], ignore=["optimized"])) == {}


@pytest.mark.parametrize("format_", FORMATS)
def test_a_nested_tree_is_reported_and_dropped_on_request(format_: str, tmp_path: Path) -> None:
    tree = "opt/ros/humble/lib/python3.10/site-packages"
    files = modules(tree, "r/a", tags=("cpython-310", "cpython-311"))
    caches = {path for path in files if path.endswith(".pyc")}
    path = make(tmp_path, files, format=format_)
    for result in (check(path), check(path, deep=True), fix(path, in_place=True)):
        assert (result.status, done(result)) == ("clean", dict.fromkeys(caches, "report"))
        assert {finding.kind for finding in result.findings} == {"nested-path"}
    assert done(check(path, ignore=["nested-path"])) == {}
    assert done(fixed(path, extend_select=["nested-path"])) == dict.fromkeys(caches, "drop")
    assert members(path) == OWN.keys() | files.keys() - caches


# Directories


def test_a_directory_goes_only_where_all_below_it_goes(tmp_path: Path) -> None:
    cache = f"{OTHER}/m/__pycache__"
    files: dict[str, AnyEntry] = {
        OTHER: Directory(),
        f"{OTHER}/m": Directory(),
        f"{OTHER}/m/empty": Directory(),
        cache: Directory(),
        f"{cache}/a.cpython-310.pyc": CONTENT,
        "share/empty": Directory(),
    }
    path = make(tmp_path, files)
    fixed(path)
    assert not {cache, f"{cache}/a.cpython-310.pyc"} & (members(path) | rows(path).keys())
    kept = {OTHER, f"{OTHER}/m", f"{OTHER}/m/empty", "share/empty"}
    assert kept <= members(path)
    assert kept <= rows(path).keys()


def test_a_directory_that_is_not_listed_goes_as_well(tmp_path: Path) -> None:
    cache = f"{OTHER}/m/__pycache__"

    def unlisted(by: dict[str, Any], all_: list[Any]) -> None:
        all_[:] = [row for row in all_ if row["path_type"] != "directory"]

    files: dict[str, AnyEntry] = {cache: Directory(), f"{cache}/a.cpython-310.pyc": CONTENT, "share/empty": Directory()}
    path = make(tmp_path, files, paths_json=edit(unlisted))
    assert cache in members(path)
    fixed(path)
    assert cache not in members(path)
    assert "share/empty" in members(path)


@pytest.mark.parametrize("kind", ["softlink", "hardlink"])
@pytest.mark.parametrize("format_", FORMATS)
def test_a_directory_that_is_listed_as_a_file_goes_with_what_was_in_it(kind: str, format_: str, tmp_path: Path) -> None:
    tree = "lib/python3.10"
    wrong = edit(lambda by, all_: all_.append({"_path": tree, "path_type": kind}))
    path = make(tmp_path, {f"{OTHER}/m/__pycache__/a.cpython-310.pyc": CONTENT}, format=format_, paths_json=wrong)
    assert done(fixed(path)) == {f"{OTHER}/m/__pycache__/a.cpython-310.pyc": "drop", tree: "correct"}
    assert tree not in rows(path)


def test_a_directory_that_is_only_listed_goes_too(tmp_path: Path) -> None:
    def with_directories(listing: bytes) -> bytes:
        document = json.loads(listing)
        document["paths"] += [{"_path": path, "path_type": "directory"} for path in (f"{OTHER}/m", "share/empty")]
        return json.dumps(document, indent=2).encode()

    files: dict[str, AnyEntry] = {f"{OTHER}/m/__pycache__/a.cpython-310.pyc": CONTENT}
    path = make(tmp_path, files, paths_json=with_directories)
    fixed(path)
    assert f"{OTHER}/m" not in rows(path)
    assert "share/empty" in rows(path)


# Listings


def edit(change: Any) -> Any:
    def edited(listing: bytes) -> bytes:
        document = json.loads(listing)
        change({row["_path"]: row for row in document["paths"]}, document["paths"])
        return json.dumps(document, indent=2).encode()

    return edited


STALE = [
    pytest.param(lambda by, all_: None, {}, id="nothing"),
    pytest.param(lambda by, all_: by["share/x"].update(sha256=by["share/x"]["sha256"].upper()), {}, id="upper case"),
    pytest.param(lambda by, all_: by["share/x"].pop("sha256"), {}, id="no hash stated"),
    pytest.param(lambda by, all_: by["share/l"].update(sha256="1" * 64, size_in_bytes=7), {}, id="softlink, wrong"),
    pytest.param(lambda by, all_: all_.append({"_path": "share/d", "path_type": "directory"}), {}, id="a directory"),
    pytest.param(lambda by, all_: all_.append({"_path": "info/x"}), {"info/x": "correct"}, id="absent below info"),
    pytest.param(lambda by, all_: by["share/x"].update(sha256="1" * 64), {"share/x": "correct"}, id="wrong hash"),
    pytest.param(lambda by, all_: by["share/x"].update(sha256=None), {"share/x": "correct"}, id="null hash"),
    pytest.param(lambda by, all_: by["share/x"].update(size_in_bytes=9), {"share/x": "correct"}, id="wrong size"),
    pytest.param(lambda by, all_: by["share/x"].update(size_in_bytes="1"), {"share/x": "correct"}, id="size as text"),
    pytest.param(lambda by, all_: (by["share/x"].pop("size_in_bytes"), by["share/x"].update(sha256="1" * 64)),
                 {"share/x": "correct"}, id="wrong hash, no size stated"),
    pytest.param(lambda by, all_: all_.remove(by["share/x"]), {"share/x": "correct"}, id="no entry"),
    pytest.param(lambda by, all_: all_.remove(by["share/l"]), {"share/l": "correct"}, id="no entry of a softlink"),
    pytest.param(lambda by, all_: all_.append({"_path": "share/y"}), {"share/y": "correct"}, id="no file"),
    pytest.param(lambda by, all_: all_.append({"_path": "share/y", "path_type": "softlink"}), {"share/y": "correct"},
                 id="no softlink"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), STALE)
def test_a_listing_that_disagrees_is_corrected(change: Any, expected: dict[str, str], tmp_path: Path) -> None:
    files: dict[str, AnyEntry] = {"share/x": b"x", "share/l": Symlink("x")}
    path = make(tmp_path, files, paths_json=edit(change))
    before = rows(path)
    assert check(path).findings == (), "without the payload, nothing is known"
    assert done(fixed(path)) == expected
    after = rows(path)
    for name in before.keys() | after.keys() - expected.keys():
        if name not in expected:
            assert after[name] == before[name]
    (tmp_path / "true").mkdir()
    true = rows(make(tmp_path / "true", files))
    for name in expected.keys() & true.keys():
        stated = after[name].keys()
        assert after[name] == {key: value for key, value in true[name].items() if key in stated} | (
            {"size_in_bytes": 1} if name == "share/l" else {}
        ), "what is stated is true (CEP 34: of a softlink, of its target)"
    assert expected.keys() - true.keys() == expected.keys() - after.keys()


def test_a_correction_that_was_not_asked_for_is_not_made(tmp_path: Path) -> None:
    wrong = edit(lambda by, all_: by["share/x"].update(size_in_bytes=9))
    record = f"{SITE}/m-1.dist-info/RECORD"
    names = f"m/a.py,,\nm/__pycache__/{STRAY.rpartition('/')[2]},,\n"
    path = make(tmp_path, {"share/x": b"x", STRAY: CONTENT, record: names.encode()}, paths_json=wrong)
    assert done(fix(path, in_place=True, ignore=["stale-listing"])) == {STRAY: "drop"}
    assert rows(path)["share/x"]["size_in_bytes"] == 9
    assert contents(path)[record] == b"m/a.py,,\n", "though entries of files that change are written anew"
    assert rows(path)[record]["size_in_bytes"] == len(b"m/a.py,,\n")


def test_a_new_entry_of_a_link_is_about_the_file_it_leads_to(tmp_path: Path) -> None:
    """CEP 34: size and hash of a softlink are those of its target."""
    gone = edit(lambda by, all_: (all_.remove(by["share/l"]), all_.remove(by["share/n"])))
    path = make(tmp_path, {"share/x": b"xyz", "share/l": Symlink("x"), "share/n": Symlink("no")}, paths_json=gone)
    fixed(path)
    listed = rows(path)
    assert listed["share/l"] == {**listed["share/x"], "_path": "share/l", "path_type": "softlink"}
    assert listed["share/n"]["size_in_bytes"] == 0


def test_a_name_that_json_cannot_hold_is_reported_and_left(tmp_path: Path) -> None:
    spec = for_311("planned", OWN)
    info, pkg = component_tars(spec)
    path = tmp_path / f"{spec.stem}.tar.bz2"
    path.write_bytes(bz2.compress(b"".join([*info, *pkg, tar_member("share/\udce9", b"x"), END])))
    result = fix(path, in_place=True)
    assert result.status == "clean"
    assert done(result) == {"share/\udce9": "report"}


def test_the_older_lists_are_corrected_as_well(tmp_path: Path) -> None:
    lists: dict[str, bytes | None] = {
        "info/files": "".join(f"{name}\n" for name in [*OWN, "share/gone"]).encode(),
        "info/has_prefix": b"/opt/p text share/gone\n/opt/p text share/x\n",
        "info/no_link": b"share/gone\n",
    }
    path = make(tmp_path, {"share/x": b"x"}, paths_json=None, info=lists)
    result = fix(path, in_place=True)
    assert done(result) == {"share/gone": "correct", "share/x": "correct"}
    found = contents(path)
    assert found["info/files"].decode().splitlines() == [*OWN, "share/x"]
    assert found["info/has_prefix"] == b"/opt/p text share/x\n"
    assert found["info/no_link"] == b""
    assert check(path, deep=True).status == "clean"


def test_lists_with_backslashes_name_the_same_files(tmp_path: Path) -> None:
    names = "".join(name.replace("/", "\\") + "\r\n" for name in [*OWN, STRAY])
    path = make(tmp_path, {STRAY: CONTENT}, paths_json=None, info={"info/files": names.encode()})
    assert done(fix(path, in_place=True)) == {STRAY: "drop"}
    assert contents(path)["info/files"].decode().split() == [name.replace("/", "\\") for name in OWN]
    assert check(path, deep=True).status == "clean"


def test_lists_that_name_directories_are_right(tmp_path: Path) -> None:
    names = "".join(f"{name}\n" for name in [*OWN, "share/d", "lib/python3.11"]).encode()
    path = make(tmp_path, {"share/d": Directory()}, paths_json=None, info={"info/files": names})
    assert fix(path, in_place=True).status == "clean"


def test_record_with_the_absolute_names_of_the_build_prefix(tmp_path: Path) -> None:
    prefix = "/home/build/_h_env_placehold"
    record = f"m/a.py,,\n{prefix}/{STRAY},,\nm-1.dist-info/RECORD,,\n"
    name = f"{SITE}/m-1.dist-info/RECORD"
    path = make(tmp_path, {STRAY: CONTENT, name: File(record.encode(), prefix_placeholder=prefix)})
    fixed(path)
    assert contents(path)[name] == b"m/a.py,,\nm-1.dist-info/RECORD,,\n"


# Another Python's trees


@pytest.mark.parametrize("seed", SEEDS, ids=[seed.id for seed in SEEDS])
def test_on_request_nothing_is_left_but_the_package_s_own_tree(seed: Seed, tmp_path: Path) -> None:
    path = seed.copy(tmp_path)
    own = f"lib/python{seed.facts['python']}/"
    before = members(path)
    fixed(path, extend_select=["foreign-tree"])
    assert members(path) == {name for name in before if name.startswith(own)}
    assert set(rows(path)) == members(path)
    modules_ = {name.removeprefix(own) for name in members(path) if not name.endswith(".pyc")}
    first = next(seed for seed in SEEDS if seed.facts["python"] == "3.10")
    assert modules_ == {
        name.removeprefix("lib/python3.10/") for name in members(first.path) if not name.endswith(".pyc")
    }, "the same files as in the package that was built first"


def test_the_whole_tree_goes_with_directories_and_licences(tmp_path: Path) -> None:
    files: dict[str, AnyEntry] = modules(OTHER, "m/a", tags=("cpython-310",)) | {
        "lib/python3.10": Directory(),
        OTHER: Directory(),
        f"{OTHER}/m": Directory(),
        f"{OTHER}/m-1.dist-info/RECORD": "m/a.py,,\n",
        f"{OTHER}/m-1.dist-info/licenses/LICENSE": "L",
        f"{OTHER}/m/_c.cpython-310-x86_64-linux-gnu.so": b"\x7fELF",
        f"{OTHER}/m/link.py": Symlink("a.py"),
        f"{OTHER}/m/dir": Symlink("../m"),
    }
    path = make(tmp_path, files)
    fixed(path, extend_select=["foreign-tree"])
    assert members(path) == OWN.keys() == rows(path).keys()


def test_what_remains_of_another_tree_is_said_with_the_way_to_remove_it(tmp_path: Path) -> None:
    files = modules(OTHER, "m/a", "m/b", tags=("cpython-310",)) | {f"{OTHER}/data": b"x" * 5000}
    size = sum(len(e.data) for p, e in PackageSpec("x", files=files).entries.items()
               if isinstance(e, File) and not p.endswith(".pyc"))  # fmt: skip
    note = f"3 files of another Python's tree remain ({size / 1024:.1f} KiB): --extend-select foreign-tree"
    path = make(tmp_path, files)
    assert check(path).notes == (note,)
    assert check(path, extend_select=["foreign-tree"]).notes == ()
    assert check(path, ignore=["foreign-tree"]).notes == ()
    assert fixed(path).notes == (note,)
    assert check(path).notes == (note,)
    assert fixed(path, extend_select=["foreign-tree"]).notes == ()


@pytest.mark.parametrize(("size", "text"), [(1, "1 B"), (1 << 10, "1.0 KiB"), (1 << 20, "1.0 MiB")])
def test_one_file_remains_in_the_singular(size: int, text: str, tmp_path: Path) -> None:
    path = make(tmp_path, {f"{OTHER}/x": bytes(size), cached(f"{OTHER}/x.py", "cpython-310"): CONTENT})
    assert check(path).notes == (f"1 file of another Python's tree remains ({text}): --extend-select foreign-tree",)


@pytest.mark.parametrize("format_", FORMATS)
def test_without_any_listing_the_payload_is_read_for_its_names(format_: str, tmp_path: Path) -> None:
    path = make(tmp_path, {STRAY: CONTENT}, format=format_, paths_json=None)
    assert "info/files" not in contents(path)
    assert done(check(path)) == {STRAY: "drop"}


# The kinds


def test_every_kind_has_one_rule_with_its_explanation() -> None:
    assert len(set(KINDS)) == len(KINDS) == len(RULES)
    for kind in KINDS:
        docstring = rule_of(kind).find.__doc__ or ""
        for heading in ("Causes:", "Fix:", "Prevention:"):
            assert docstring.count(heading) == 1, f"{kind}: {heading}"


def test_a_contradiction_refuses_only_where_there_is_bytecode(tmp_path: Path) -> None:
    depends = ("python_abi 3.11.* *_cp311", "python_abi 3.10.* *_cp310")
    wrong = edit(lambda by, all_: by["share/x"].update(size_in_bytes=9))
    spec = PackageSpec("torn", depends=depends, files={"share/x": b"x"}, paths_json=wrong)
    assert done(fix(write_package(spec, tmp_path), in_place=True)) == {"share/x": "correct"}
    spec = PackageSpec("torn", depends=depends, files={"share/x": b"x", STRAY: CONTENT}, paths_json=wrong)
    assert fix(write_package(spec, tmp_path), in_place=True).status == "refused"


def renamed(*files: str) -> PackageSpec:
    """Return a package for 3.11 whose build string says 3.10, with the metadata of one that rattler-build made."""
    depends = ("python_abi 3.11.* *_cp311",)
    content = OWN | dict.fromkeys(files, File(CONTENT))
    return PackageSpec("renamed", build="py310h1234567_0", depends=depends, files=content)


NOTE = (
    "'python_abi 3.11.* *_cp311' contradicts 'build string py310h1234567_0'; the first is the stronger evidence and "
    "was used, which drops nothing"
)


@pytest.mark.parametrize("deep", [False, True])
def test_weak_evidence_that_no_file_supports_is_a_note(deep: bool, tmp_path: Path) -> None:
    package = write_package(renamed(), tmp_path)
    before = package.read_bytes()
    assert (check(package, deep=deep).status, check(package, deep=deep).notes) == ("clean", (NOTE,))
    assert (fix(package, in_place=True).status, fix(package, in_place=True).notes) == ("clean", (NOTE,))
    assert package.read_bytes() == before


@pytest.mark.parametrize("deep", [False, True])
def test_weak_evidence_refuses_a_package_that_would_lose_a_file(deep: bool, tmp_path: Path) -> None:
    package = write_package(renamed(STRAY), tmp_path)
    before = package.read_bytes()
    for result in (check(package, deep=deep), fix(package, in_place=True)):
        assert result.status == "refused"
        assert result.error == (
            "'python_abi 3.11.* *_cp311' contradicts 'build string py310h1234567_0', and 1 file would be dropped, "
            f"such as {STRAY!r}; say which Python is meant with --python"
        )
    assert package.read_bytes() == before
    assert NOTE in check(package, keep=(STRAY,), deep=deep).notes
    assert NOTE in check(package, ignore=("foreign-tag",), deep=deep).notes
    assert done(fix(package, in_place=True, python="3.11")) == {STRAY: "drop"}


def test_pip_21_2_4_is_clean_with_a_note(tmp_path: Path) -> None:
    """Its dependencies, its tree and all of its 388 tags say 3.9; only the build string says 3.7."""
    scenario = next(scenario for scenario in SCENARIOS if scenario.id == "real-pip-21.2.4-osx-64")
    result = fix(write_package(scenario.spec, tmp_path), in_place=True)
    assert result.status == "clean"
    (note,) = result.notes
    assert "contradicts 'build string py37hecd8cb5_0'" in note


@pytest.mark.parametrize(("directory", "read"), [(SITE, True), ("share/tool", False)])
def test_the_payload_is_read_for_legacy_bytecode_that_is_judged(directory: str, read: bool, tmp_path: Path) -> None:
    files = {f"{directory}/m.py": File(b""), f"{directory}/m.pyc": File(pyc("cpython-310"))}
    package = write_package(PackageSpec("p", build="py311h1_0", depends=("python",), files=files), tmp_path)
    assert check(package).deep is read


def test_weak_evidence_about_no_bytecode_is_not_worth_a_note(tmp_path: Path) -> None:
    spec = PackageSpec("p", build="py310h1_0", depends=("python 3.11.*",), files={f"{SITE}/m.py": b""})
    assert check(write_package(spec, tmp_path)).notes == ()


@pytest.mark.parametrize("kind", [FileKind.HARDLINK, FileKind.SYMLINK])
def test_a_plan_that_would_leave_a_link_to_nothing_is_not_carried_out(kind: FileKind) -> None:
    """No rule makes such a plan; should one ever, it ends before anything is written."""
    files = (model.File("a.pyc", size=1), model.File("b.pyc", kind, link="a.pyc"))
    component = Component("tar", files, (), 0)
    package = Package("p.conda", Format.CONDA, Identity(0, 0, 0, 0), (component,), complete=True)
    refuse_dangling_links(package, {"b.pyc": Drop(), "a.pyc": Drop()})
    with pytest.raises(PruneError, match=r"leave the link 'b.pyc' without its target; please report this"):
        refuse_dangling_links(package, {"a.pyc": Drop()})


def test_a_plan_that_would_take_a_hard_link_from_another_is_not_carried_out() -> None:
    links = (model.File("b.pyc", FileKind.HARDLINK, link="a.pyc"), model.File("c", FileKind.HARDLINK, link="b.pyc"))
    component = Component("tar", (model.File("a.pyc", size=1), *links), (), 0)
    package = Package("p.conda", Format.CONDA, Identity(0, 0, 0, 0), (component,), complete=True)
    refuse_dangling_links(package, {"b.pyc": Drop(), "c": Rewrite(b"", "")})
    with pytest.raises(PruneError, match=r"leave the link 'c' without its target; please report this"):
        refuse_dangling_links(package, {"b.pyc": Drop()})


def test_a_plan_that_keeps_asking_for_content_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def never_content(package: Package, options: Options, contents: Contents) -> Plan:
        asked.append(package.complete)
        return Plan(package, Variant("none"), (), "findings", needs=frozenset({STRAY}))

    package = write_package(for_311("p", OWN), tmp_path)
    before = package.read_bytes()
    monkeypatch.setattr(planning, "make_plan", never_content)
    with pytest.raises(PruneError, match="too large to be held in memory"):
        fix(package, in_place=True)
    assert asked == [False, True]
    assert package.read_bytes() == before
