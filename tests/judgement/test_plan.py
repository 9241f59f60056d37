"""Which findings a plan repairs, what is refused, and what its notes say."""

from __future__ import annotations

from pathlib import Path

import pytest

from conda_prune import check, fix, model
from conda_prune.errors import PruneError
from conda_prune.judgement.contents import Contents
from conda_prune.judgement.options import KINDS, Options, rule_of
from conda_prune.judgement.plan import refuse_dangling_links
from conda_prune.judgement.rules import RULES
from conda_prune.model import (
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

from ..corpus.bytecode import pyc
from ..corpus.entries import AnyEntry
from ..corpus.packages import (
    FORMATS,
    File,
    PackageSpec,
    write_package,
)
from ..corpus.scenario import for_311
from ..corpus.scenarios import SCENARIOS
from .packages import (
    CACHE,
    CONTENT,
    OTHER_TREE,
    OWN,
    STRAY,
    TREE,
    actions_of,
    fix_and_recheck,
    read_entries,
    read_files,
    with_listing,
    write,
)


def test_a_rule_skips_files_that_belong_to_an_earlier_one(tmp_path: Path) -> None:
    taken, left = f"{OTHER_TREE}/m/__pycache__/a.cpython-310.opt-1.pyc", f"{TREE}/m/__pycache__/a.cpython-311.opt-1.pyc"
    path = write(tmp_path, {taken: CONTENT, left: CONTENT})
    kinds = {
        finding.path: finding.kind
        for finding in fix_and_recheck(path, extend_select=["optimized"]).findings
        if not finding.quiet
    }
    assert kinds == {taken: "foreign-path", left: "optimized"}


@pytest.mark.parametrize("format_", FORMATS)
def test_files_of_an_ignored_kind_are_left_alone(format_: str, tmp_path: Path) -> None:
    """The files also have another Python's tag, no source, or a stale stamp, and are still left alone."""
    files: dict[str, AnyEntry] = {
        f"{OTHER_TREE}/m/__pycache__/a.cpython-310.pyc": CONTENT,
        f"{OTHER_TREE}/m/__pycache__/a.cpython-310.opt-1.pyc": CONTENT,
        f"{OTHER_TREE}/m/__pycache__/a.cpython-310.pyc.123": CONTENT,
        f"{OTHER_TREE}/m/__pycache__/a.cpython-311.pyc": pyc("cpython-311", "x = 1\n"),
        f"{OTHER_TREE}/m/a.py": "x = 1\n",
    }
    path = write(tmp_path, files, format=format_)
    before = path.read_bytes()
    assert set(actions_of(check(path, select=["all"]))) >= files.keys()
    for select in ([], ["all"]):
        result = fix(path, in_place=True, select=select, ignore=["foreign-path", "foreign-tree"])
        assert (result.status, actions_of(result)) == ("clean", {})
    assert path.read_bytes() == before


def test_the_entry_of_an_ignored_file_is_corrected(tmp_path: Path) -> None:
    stray = f"{OTHER_TREE}/m/__pycache__/a.cpython-310.pyc"
    path = write(
        tmp_path, {stray: CONTENT}, paths_json=with_listing(lambda by, all_: by[stray].update(size_in_bytes=1))
    )
    assert actions_of(fix(path, ignore=["foreign-path"], in_place=True)) == {stray: "correct"}
    assert read_entries(path)[stray]["size_in_bytes"] == len(CONTENT)


def test_ignoring_a_kind_leaves_only_its_files_alone(tmp_path: Path) -> None:
    nested = "opt/x/lib/python3.10/m/__pycache__/a.cpython-311.pyc"
    path = write(tmp_path, {STRAY: CONTENT, nested: CONTENT, f"{OTHER_TREE}/x.pyc": CONTENT})
    kinds = {finding.path: finding.kind for finding in check(path).findings if not finding.quiet}
    assert kinds == {STRAY: "foreign-tag", nested: "nested-path", f"{OTHER_TREE}/x.pyc": "foreign-path"}
    for path_, kind in kinds.items():
        assert {finding.path for finding in check(path, ignore=[kind]).findings} == kinds.keys() - {path_}
    selected = check(path, select=["orphan"], ignore=["nested-path"])
    assert nested not in actions_of(selected), "it has no source, either"


def test_a_kind_that_is_not_selected_owns_no_files(tmp_path: Path) -> None:
    """An optimized orphan is dropped as an orphan, unless `optimized` is ignored by name."""
    path = write(tmp_path, {f"{CACHE}/gone.cpython-311.opt-1.pyc": CONTENT})
    assert actions_of(check(path, select=["orphan"])) == {f"{CACHE}/gone.cpython-311.opt-1.pyc": "drop"}
    assert actions_of(check(path, select=["all"], ignore=["optimized"])) == {}


@pytest.mark.parametrize("format_", FORMATS)
def test_a_package_without_listings_is_judged_by_its_payload(format_: str, tmp_path: Path) -> None:
    path = write(tmp_path, {STRAY: CONTENT}, format=format_, paths_json=None)
    assert "info/files" not in read_files(path)
    assert actions_of(check(path)) == {STRAY: "drop"}


def test_every_kind_has_one_rule_with_its_explanation() -> None:
    assert len(set(KINDS)) == len(KINDS) == len(RULES)
    for kind in KINDS:
        docstring = rule_of(kind).find.__doc__ or ""
        for heading in ("Causes:", "Fix:", "Prevention:"):
            assert docstring.count(heading) == 1, f"{kind}: {heading}"


def test_contradictory_evidence_refuses_only_packages_with_bytecode(tmp_path: Path) -> None:
    depends = ("python_abi 3.11.* *_cp311", "python_abi 3.10.* *_cp310")
    wrong = with_listing(lambda by, all_: by["share/x"].update(size_in_bytes=9))
    spec = PackageSpec("torn", depends=depends, files={"share/x": b"x"}, paths_json=wrong)
    assert actions_of(fix(write_package(spec, tmp_path), in_place=True)) == {"share/x": "correct"}
    spec = PackageSpec("torn", depends=depends, files={"share/x": b"x", STRAY: CONTENT}, paths_json=wrong)
    assert fix(write_package(spec, tmp_path), in_place=True).status == "refused"


def with_wrong_build_string(*files: str) -> PackageSpec:
    """Return a package for 3.11, by its dependencies, whose build string says 3.10."""
    depends = ("python_abi 3.11.* *_cp311",)
    content = OWN | dict.fromkeys(files, File(CONTENT))
    return PackageSpec("renamed", build="py310h1234567_0", depends=depends, files=content)


NOTE = (
    "'python_abi 3.11.* *_cp311' contradicts 'build string py310h1234567_0'; the first is the stronger evidence and "
    "was used, which drops nothing"
)


@pytest.mark.parametrize("deep", [False, True])
def test_weak_evidence_against_all_files_gives_a_note(deep: bool, tmp_path: Path) -> None:
    package = write_package(with_wrong_build_string(), tmp_path)
    before = package.read_bytes()
    assert (check(package, deep=deep).status, check(package, deep=deep).notes) == ("clean", (NOTE,))
    assert (fix(package, in_place=True).status, fix(package, in_place=True).notes) == ("clean", (NOTE,))
    assert package.read_bytes() == before


@pytest.mark.parametrize("deep", [False, True])
def test_weak_evidence_refuses_a_package_that_would_lose_files(deep: bool, tmp_path: Path) -> None:
    package = write_package(with_wrong_build_string(STRAY), tmp_path)
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
    assert actions_of(fix(package, in_place=True, python="3.11")) == {STRAY: "drop"}


def test_pip_21_2_4_is_clean_with_a_note(tmp_path: Path) -> None:
    """Its dependencies, its tree and all of its 388 tags say 3.9; only the build string says 3.7."""
    scenario = next(scenario for scenario in SCENARIOS if scenario.id == "real-pip-21.2.4-osx-64")
    result = fix(write_package(scenario.spec, tmp_path), in_place=True)
    assert result.status == "clean"
    (note,) = result.notes
    assert "contradicts 'build string py37hecd8cb5_0'" in note


@pytest.mark.parametrize(("directory", "read"), [(TREE, True), ("share/tool", False)])
def test_the_payload_is_read_only_for_untagged_bytecode_that_counts(directory: str, read: bool, tmp_path: Path) -> None:
    files = {f"{directory}/m.py": File(b""), f"{directory}/m.pyc": File(pyc("cpython-310"))}
    package = write_package(PackageSpec("p", build="py311h1_0", depends=("python",), files=files), tmp_path)
    assert check(package).deep is read


def test_weak_evidence_gives_no_note_without_bytecode(tmp_path: Path) -> None:
    spec = PackageSpec("p", build="py310h1_0", depends=("python 3.11.*",), files={f"{TREE}/m.py": b""})
    assert check(write_package(spec, tmp_path)).notes == ()


@pytest.mark.parametrize("kind", [FileKind.HARDLINK, FileKind.SYMLINK])
def test_a_plan_that_leaves_a_link_dangling_is_refused(kind: FileKind) -> None:
    """No rule makes such a plan. If one ever does, nothing is written."""
    files = (model.File("a.pyc", size=1), model.File("b.pyc", kind, link="a.pyc"))
    component = Component("tar", files, (), 0)
    package = Package("p.conda", Format.CONDA, Identity(0, 0, 0, 0), (component,), complete=True)
    refuse_dangling_links(package, {"b.pyc": Drop(), "a.pyc": Drop()})
    with pytest.raises(PruneError, match=r"leave the link 'b.pyc' without its target; please report this"):
        refuse_dangling_links(package, {"a.pyc": Drop()})


def test_a_plan_that_breaks_a_chain_of_hard_links_is_refused() -> None:
    links = (model.File("b.pyc", FileKind.HARDLINK, link="a.pyc"), model.File("c", FileKind.HARDLINK, link="b.pyc"))
    component = Component("tar", (model.File("a.pyc", size=1), *links), (), 0)
    package = Package("p.conda", Format.CONDA, Identity(0, 0, 0, 0), (component,), complete=True)
    refuse_dangling_links(package, {"b.pyc": Drop(), "c": Rewrite(b"", "")})
    with pytest.raises(PruneError, match=r"leave the link 'c' without its target; please report this"):
        refuse_dangling_links(package, {"b.pyc": Drop()})


def test_planning_ends_if_content_never_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def never_content(package: Package, options: Options, contents: Contents) -> Plan:
        asked.append(package.complete)
        return Plan(package, Variant("none"), (), "findings", needs=frozenset({STRAY}))

    package = write_package(for_311("p", OWN), tmp_path)
    before = package.read_bytes()
    monkeypatch.setattr(planning, "make_plan", never_content)
    with pytest.raises(PruneError, match="too large to be held in memory"):
        fix(package, in_place=True)
    assert asked == [False, True, True]  # the forecast, the whole package, and once more with the content asked for
    assert package.read_bytes() == before
