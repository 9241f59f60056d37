"""Files other than bytecode in another Python's tree are dropped on request."""

from __future__ import annotations

from pathlib import Path

import pytest

from conda_prune import check

from ...corpus.bytecode import cached, modules
from ...corpus.entries import AnyEntry
from ...corpus.packages import Directory, File, PackageSpec, Symlink
from ...seed import SEEDS, Seed
from ..builders import SITE, SITE310, Case, case, check_case, in_cache
from ..packages import CONTENT, OTHER_TREE, OWN, fix_and_recheck, member_names, read_entries, write


@pytest.mark.parametrize(
    "case",
    [
        case(
            "own-tree", "3.11", keeps=[f"{SITE}/a.py", "lib/python3.1/a.py", "lib/libpython3.10.so", "bin/python3.10"]
        ),
        case(
            "bytecode-belongs-to-foreign-path",
            "3.11",
            keeps=[f"{SITE310}/a.pyc", in_cache(SITE310, "a.cpython-310.pyc")],
        ),
        case("any-python", "any", keeps=[f"{SITE310}/a.py"]),
        case("no-python", "none", keeps=[f"{SITE310}/a.py"]),
        case(
            "linked-from-the-own-tree",
            "3.11",
            keeps=[f"{SITE310}/a.py"],
            links={SITE: "../../python3.10/site-packages/p"},
        ),
        case(
            "everything-else",
            "3.11",
            drops=[
                f"{SITE310}/a.py",
                f"{SITE310}/a.cpython-310-darwin.so",
                "lib/python3.10/site-packages/p-1.dist-info/RECORD",
                in_cache(SITE310, "a.f-1.py310.nbi"),
                "lib/pypy3.9/os.py",
            ],
        ),
    ],
)
def test_only_other_files_in_other_pythons_trees_are_dropped(case: Case) -> None:
    check_case("foreign-tree", case)


@pytest.mark.parametrize("seed", SEEDS, ids=[seed.id for seed in SEEDS])
def test_only_the_own_tree_of_a_real_package_remains(seed: Seed, tmp_path: Path) -> None:
    path = seed.copy(tmp_path)
    own = f"lib/python{seed.facts['python']}/"
    before = member_names(path)
    fix_and_recheck(path, extend_select=["foreign-tree"])
    assert member_names(path) == {name for name in before if name.startswith(own)}
    assert set(read_entries(path)) == member_names(path)
    modules_ = {name.removeprefix(own) for name in member_names(path) if not name.endswith(".pyc")}
    first = next(seed for seed in SEEDS if seed.facts["python"] == "3.10")
    assert modules_ == {
        name.removeprefix("lib/python3.10/") for name in member_names(first.path) if not name.endswith(".pyc")
    }, "the same files as in the package that was built first"


def test_a_whole_tree_is_dropped_with_directories_and_licenses(tmp_path: Path) -> None:
    files: dict[str, AnyEntry] = modules(OTHER_TREE, "m/a", tags=("cpython-310",)) | {
        "lib/python3.10": Directory(),
        OTHER_TREE: Directory(),
        f"{OTHER_TREE}/m": Directory(),
        f"{OTHER_TREE}/m-1.dist-info/RECORD": "m/a.py,,\n",
        f"{OTHER_TREE}/m-1.dist-info/licenses/LICENSE": "L",
        f"{OTHER_TREE}/m/_c.cpython-310-x86_64-linux-gnu.so": b"\x7fELF",
        f"{OTHER_TREE}/m/link.py": Symlink("a.py"),
        f"{OTHER_TREE}/m/dir": Symlink("../m"),
    }
    path = write(tmp_path, files)
    fix_and_recheck(path, extend_select=["foreign-tree"])
    assert member_names(path) == OWN.keys() == read_entries(path).keys()


def test_a_note_says_how_to_drop_what_remains(tmp_path: Path) -> None:
    files = modules(OTHER_TREE, "m/a", "m/b", tags=("cpython-310",)) | {f"{OTHER_TREE}/data": b"x" * 5000}
    size = sum(len(e.data) for p, e in PackageSpec("x", files=files).entries.items()
               if isinstance(e, File) and not p.endswith(".pyc"))  # fmt: skip
    note = f"3 files of another Python's tree remain ({size / 1024:.1f} KiB): --extend-select foreign-tree"
    path = write(tmp_path, files)
    assert check(path).notes == (note,)
    assert check(path, extend_select=["foreign-tree"]).notes == ()
    assert check(path, ignore=["foreign-tree"]).notes == ()
    assert fix_and_recheck(path).notes == (note,)
    assert check(path).notes == (note,)
    assert fix_and_recheck(path, extend_select=["foreign-tree"]).notes == ()


@pytest.mark.parametrize(("size", "text"), [(1, "1 B"), (1 << 10, "1.0 KiB"), (1 << 20, "1.0 MiB")])
def test_the_note_about_one_file_is_in_the_singular(size: int, text: str, tmp_path: Path) -> None:
    path = write(tmp_path, {f"{OTHER_TREE}/x": bytes(size), cached(f"{OTHER_TREE}/x.py", "cpython-310"): CONTENT})
    assert check(path).notes == (f"1 file of another Python's tree remains ({text}): --extend-select foreign-tree",)
