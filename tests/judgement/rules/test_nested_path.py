"""Bytecode in another Python's tree inside another install prefix is reported, and dropped on request."""

from __future__ import annotations

from pathlib import Path

import pytest

from conda_prune import check, fix

from ...corpus.bytecode import modules
from ...corpus.packages import FORMATS
from ..builders import SITE, contents_with, findings_of, in_cache, paths_dropped, paths_found, standard_library
from ..packages import OWN, actions_of, fix_and_recheck, member_names, write

NESTED = [
    in_cache("opt/ros/humble/lib/python3.10/site-packages/rclpy", "node.cpython-310.pyc"),
    in_cache("opt/ros/humble/lib/python3.10/site-packages/rclpy", "node.cpython-311.pyc"),
    in_cache("Library/lib/python3.10/site-packages", "m.cpython-310.pyc"),
    in_cache("usr/lib64/python3.9/site-packages", "m.cpython-311.opt-1.pyc"),
    in_cache("opt/x/lib/pypy3.9", "m.pypy39.pyc"),
    in_cache("opt/x/lib/python3.13t/site-packages", "m.cpython-311.pyc"),
    in_cache(f"{SITE}/data/lib/python3.10", "m.cpython-310.pyc"),
    "opt/ros/humble/lib/python3.10/site-packages/only.pyc",
    "opt/ros/humble/lib/python3.10/site-packages/m.pyc",
]


@pytest.mark.parametrize("path", NESTED)
def test_another_pythons_tree_in_another_prefix_is_found(path: str) -> None:
    contents = contents_with(path, "opt/ros/humble/lib/python3.10/site-packages/m.py")
    assert not paths_dropped("3.11", contents)
    (finding,) = findings_of("nested-path", "3.11", contents)
    assert finding.path == path
    assert path.startswith(f"{finding.detail}/")
    assert not paths_found("embedded", "3.11", contents)


@pytest.mark.parametrize(
    ("python", "path"),
    [
        pytest.param("3.11", in_cache("opt/app/lib/python3.11", "m.cpython-311.pyc"), id="the-own-version"),
        pytest.param("3.11", in_cache("lib/python3.10", "m.cpython-310.pyc"), id="at-the-root"),
        pytest.param("3.11", in_cache("opt/python3.10/site-packages", "m.cpython-310.pyc"), id="not-below-lib"),
        pytest.param("3.11", in_cache("opt/lib/python3/site-packages", "m.cpython-311.pyc"), id="no-minor-version"),
        pytest.param("3.11", in_cache("opt/mylib/python3.10", "m.cpython-311.pyc"), id="another-directory"),
        pytest.param("3.11", "opt/lib/python3.10/site-packages/m.py", id="no-bytecode"),
        pytest.param("any", in_cache("opt/lib/python3.10", "m.cpython-310.pyc"), id="any-python"),
        pytest.param("none", in_cache("opt/lib/python3.10", "m.cpython-310.pyc"), id="no-python"),
        pytest.param("pypy3.9", in_cache("opt/lib/python3.9", "m.pypy39.pyc"), id="pypy"),
    ],
)
def test_other_trees_are_not_found(python: str, path: str) -> None:
    assert not paths_found("nested-path", python, contents_with(path))


def test_bytecode_of_a_third_python_belongs_to_foreign_tag() -> None:
    tree = "opt/app/lib/python3.9"
    files = {tag: in_cache(tree, f"x.cpython-{tag}.pyc") for tag in ("39", "310", "311")}
    contents = contents_with(*files.values())
    assert paths_found("foreign-tag", "3.11", contents) == {files["310"]}
    assert {files["39"], files["311"]} <= paths_found("nested-path", "3.11", contents)


def test_a_tree_with_several_tags_is_found_despite_landmarks() -> None:
    tree = "share/blender/4.2/python/lib/python3.10"
    files = {in_cache(tree, f"x.cpython-{tag}.pyc") for tag in ("310", "311")}
    contents = contents_with(*standard_library(tree), *files)
    assert not paths_dropped("3.11", contents)
    assert paths_found("nested-path", "3.11", contents) == files


def test_a_tree_that_a_link_leads_to_is_not_found() -> None:
    path = in_cache("opt/ros/humble/lib/python3.10/site-packages/p", "m.cpython-311.pyc")
    linked = contents_with(path, links={SITE: "../../../opt/ros/humble/lib/python3.10/site-packages/p"})
    assert not paths_found("nested-path", "3.11", linked)
    renamed = contents_with(path, links={"opt/now": "ros"})
    assert paths_found("nested-path", "3.11", renamed) == {path}


@pytest.mark.parametrize("format_", FORMATS)
def test_a_nested_tree_is_reported_and_dropped_on_request(format_: str, tmp_path: Path) -> None:
    tree = "opt/ros/humble/lib/python3.10/site-packages"
    files = modules(tree, "r/a", tags=("cpython-310", "cpython-311"))
    caches = {path for path in files if path.endswith(".pyc")}
    path = write(tmp_path, files, format=format_)
    for result in (check(path), check(path, deep=True), fix(path, in_place=True)):
        assert (result.status, actions_of(result)) == ("clean", dict.fromkeys(caches, "report"))
        assert {finding.kind for finding in result.findings} == {"nested-path"}
    assert actions_of(check(path, ignore=["nested-path"])) == {}
    assert actions_of(fix_and_recheck(path, extend_select=["nested-path"])) == dict.fromkeys(caches, "drop")
    assert member_names(path) == OWN.keys() | files.keys() - caches
