"""Files other than bytecode in another Python's tree are dropped on request."""

from __future__ import annotations

import pytest

from ..builders import SITE, SITE310, Case, case, check_case, in_cache


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
