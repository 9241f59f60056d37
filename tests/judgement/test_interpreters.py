"""Interpreters inside a package: by CPython's landmarks nothing below them is foreign; a name alone proves less."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from conda_prune.judgement.contents import Contents
from conda_prune.judgement.rules import RULES
from conda_prune.judgement.variant.detect import override_variant
from conda_prune.model import Action

from .rules.test_rules import (
    MAGIC_310,
    SITE,
    cached,
    contents_with,
    found,
    head,
    paths_found,
)

CHANGES = ("foreign-path", "foreign-tag", "noarch-bytecode", "no-variant", "foreign-tree", "foreign-extension")


def changed(python: str, contents: Contents) -> set[str]:
    """Return what any of these rules would drop."""
    return {
        finding.path for kind in CHANGES for finding in found(kind, python, contents) if finding.action is Action.DROP
    }


def stdlib(directory: str) -> tuple[str, ...]:
    return f"{directory}/os.py", f"{directory}/encodings/__init__.py"


OS = "os.cpython-310.pyc"

ROOTS = [
    pytest.param(stdlib("app/python/Lib"), "app/python/Lib", id="os-next-to-encodings"),
    pytest.param(("x/os.pyc", "x/encodings/__init__.pyc"), "x", id="compiled-os-next-to-encodings"),
    pytest.param(("x/os.py", cached("x/encodings", "utf_8.cpython-310.pyc")), "x", id="compiled-encodings"),
    pytest.param(("app/python/python310.dll",), "app/python/Lib", id="dll-next-to-Lib"),
    pytest.param(("app/python/Python3.DLL",), "app/python/Lib", id="stable-abi-dll"),
    pytest.param(("app/python313t.dll",), "app/python/Lib", id="free-threaded-dll"),
    pytest.param(("python_embeded/python310._pth",), "python_embeded/Lib/site-packages", id="pth-of-the-embeddable"),
    pytest.param(("app/python._pth",), "app/python/Lib", id="pth-without-version"),
    pytest.param(("share/env/pyvenv.cfg",), "share/env/lib/python3.10/site-packages", id="venv"),
    pytest.param(stdlib("share/blender/4.2/python/lib"), "share/blender/4.2/python/lib/site-packages", id="blender"),
    pytest.param(stdlib("lib/libreoffice/program/python-core-3.10.14/lib"),
                 "lib/libreoffice/program/python-core-3.10.14/lib", id="libreoffice"),
    pytest.param(("opt/app/lib/python3.10/os.py",), "opt/app/lib/python3.10", id="os-in-lib-pythonX.Y"),
    pytest.param((cached("opt/app/lib/python3.10", OS),), "opt/app/lib/python3.10/json", id="cached-os"),
    pytest.param(("bin/python3.10", "lib/python3.10/os.py"), "lib/python3.10/site-packages", id="root-with-executable"),
    pytest.param(stdlib("lib/python3.10"), "lib/python3.10/site-packages", id="root-with-encodings"),
    pytest.param(("opt/app/bin/python3", *stdlib("opt/app/lib/python3.10")), "opt/app/share", id="prefix"),
    pytest.param(("opt/bin/python3.10t", *stdlib("opt/lib")), "opt/plugins", id="prefix-with-unversioned-library"),
    pytest.param(("opt/bin/python", "opt/lib/os.py"), "opt/lib/site-packages", id="executable-next-to-os"),
    pytest.param(("opt/bin/python.exe", *stdlib("opt/Lib")), "opt/plugins", id="windows-executable"),
]  # fmt: skip


@pytest.mark.parametrize(("landmarks", "directory"), ROOTS)
def test_nothing_is_foreign_below_an_interpreter(landmarks: Collection[str], directory: str) -> None:
    files = [
        f"{directory}/m.py",
        cached(directory, "m.cpython-310.pyc"),
        f"{directory}/m.cpython-310-x86_64-linux-gnu.so",
        f"{directory}/only.pyc",
        f"{directory}/legacy.py",
    ]
    contents = contents_with(*landmarks, *files, heads={f"{directory}/legacy.pyc": head(MAGIC_310)})
    assert not changed("3.11", contents)
    assert not paths_found("nested-path", "3.11", contents)
    embedded = found("embedded", "3.11", contents)
    assert cached(directory, "m.cpython-310.pyc") in {finding.path for finding in embedded}
    assert all(finding.quiet for finding in embedded)
    assert not changed("any", contents)


NO_ROOTS = [
    pytest.param(("app/os.py",), "app", id="os-alone"),
    pytest.param(("app/os.py", "app/sub/encodings/__init__.py"), "app", id="encodings-elsewhere"),
    pytest.param(("app/os.py", "app/xencodings/__init__.py"), "app", id="another-directory"),
    pytest.param(("app/os.py", "app/encodings.py"), "app", id="a-module-named-encodings"),
    pytest.param(("app/bin/python3",), "app/lib", id="executable-alone"),
    pytest.param(("app/bin/python-config", "app/lib/os.py"), "app/lib", id="python-config"),
    pytest.param(("app/bin/python-foo", "app/lib/os.py"), "app/lib", id="python-foo"),
    pytest.param(("app/bin/python3.10-config", "app/lib/os.py"), "app/lib", id="python3.10-config"),
    pytest.param(("app/python310.dll.a",), "app", id="import-library"),
    pytest.param(("app/python310.lib",), "app", id="static-library"),
    pytest.param(("app/xpython310.dll",), "app", id="another-dll"),
    pytest.param(("app/python/pyvenv.cfg",), "app/lib", id="landmarks-next-door"),
    pytest.param(("bin/python3.9", "lib/python3.10/os.py"), "lib/python3.10/site-packages", id="another-executable"),
    pytest.param(("bin/python3", "lib/python3.10/os.py"), "lib/python3.10/site-packages", id="the-own-executable"),
    pytest.param(("lib/python3.10/os.py",), "lib/python3.10/site-packages", id="os-in-a-tree-at-the-root"),
    pytest.param((cached("lib/python3.10", OS), "bin/python3.10"), "lib/python3.10", id="compiled-os-at-the-root"),
    pytest.param(stdlib("Lib"), "Lib", id="the-own-library-on-windows"),
    pytest.param(stdlib("lib/python3.11"), SITE, id="the-own-library"),
    pytest.param(stdlib("lib/python"), "lib/python/site-packages", id="the-own-library-of-CFEP-27"),
    pytest.param(("python311.dll", "pyvenv.cfg", "os.py", "encodings/x.py"), "Tools/scripts", id="the-package's-root"),
    pytest.param(("lib/pyvenv.cfg",), SITE, id="around-the-own-library"),
]


@pytest.mark.parametrize(("landmarks", "directory"), NO_ROOTS)
def test_what_is_no_interpreter_keeps_no_strays(landmarks: Collection[str], directory: str) -> None:
    stray = cached(directory, "m.cpython-310.pyc")
    assert stray in changed("3.11", contents_with(*landmarks, stray))


def test_the_root_of_the_package_is_no_interpreter() -> None:
    root = contents_with("python311.dll", "pyvenv.cfg", "os.py", "encodings/x.py", "bin/python3.12", "lib/os.py")
    assert root.interpreters == {}


def test_strays_go_from_the_standard_library_of_the_package_itself() -> None:
    """python-feedstock #929: another Python compiled the standard library of python 3.15."""
    library = [
        *stdlib("lib/python3.11"),
        "bin/python3.11",
        "bin/python3",
        cached("lib/python3.11", "os.cpython-311.pyc"),
    ]
    stray = cached("lib/python3.11/json", "decoder.cpython-310.pyc")
    assert changed("3.11", contents_with(*library, stray)) == {stray}


@pytest.mark.parametrize(
    ("python", "library"),
    [("graalpy3.10", "lib/graalpy23.0"), ("pypy3.9", "lib/pypy3.9"), ("pypy3.9", "lib-python/3")],
)
def test_other_implementations_have_a_library_of_their_own(python: str, library: str) -> None:
    stray = cached(library, "m.cpython-311.pyc")
    assert stray in changed(python, contents_with(*stdlib(library), stray))


# Several Pythons in one tree


def test_bytecode_of_several_pythons_is_no_interpreters() -> None:
    strays = {cached("app/lib", f"m.cpython-{tag}.pyc") for tag in ("39", "310")}
    assert changed("3.11", contents_with(*stdlib("app/lib"), *strays)) == strays
    named = {cached(f"{SITE}/cv2/python-3.10", f"loader.cpython-{tag}.pyc") for tag in ("310", "311")}
    assert changed("3.11", contents_with(*named)) == {cached(f"{SITE}/cv2/python-3.10", "loader.cpython-310.pyc")}


def test_what_build_tools_compile_does_not_hide_an_interpreter() -> None:
    """rattler-build compiles every source that it packs with the host's Python."""
    both = [cached("app/lib", f"m.cpython-{tag}.pyc") for tag in ("310", "311")]
    assert not changed("3.11", contents_with(*stdlib("app/lib"), *both))
    root = [cached("lib/python3.10", f"m.cpython-{tag}.pyc") for tag in ("310", "311")]
    assert not changed("3.11", contents_with(*stdlib("lib/python3.10"), *root, "lib/python3.10/only.pyc"))


def test_a_version_in_a_landmark_keeps_its_own_tag() -> None:
    own, other = (cached("app/python/Lib", f"m.cpython-{tag}.pyc") for tag in ("310", "39"))
    assert changed("3.11", contents_with("app/python/python310.dll", own, other)) == {other}


# Names


@pytest.mark.parametrize(
    "path",
    [
        cached("share/blender/4.2/python/lib/python3.10", "re.cpython-310.pyc"),
        cached("opt/python3.10/lib/python3.10/json", "decoder.cpython-310.pyc"),
        cached("pkgs/python-3.10.4-h1234567_0_cpython/lib/python3.10", "re.cpython-310.pyc"),
        cached("program/python-core-3.10.14/lib", "re.cpython-310.pyc"),
        cached("python_embeded/Lib/site-packages", "m.cpython-310.pyc"),
        cached("tools/python-3.10-embed-amd64/Lib", "m.cpython-310.pyc"),
        cached("Library/app/Python310/Lib", "m.cpython-310.pyc"),
    ],
)
def test_directories_named_after_an_interpreter_are_embedded(path: str) -> None:
    contents = contents_with(path)
    assert not changed("3.11", contents)
    assert not paths_found("nested-path", "3.11", contents)
    assert paths_found("embedded", "3.11", contents) == {path}


NESTED = [
    cached("opt/ros/humble/lib/python3.10/site-packages/rclpy", "node.cpython-310.pyc"),
    cached("opt/ros/humble/lib/python3.10/site-packages/rclpy", "node.cpython-311.pyc"),
    cached("Library/lib/python3.10/site-packages", "m.cpython-310.pyc"),
    cached("usr/lib64/python3.9/site-packages", "m.cpython-311.opt-1.pyc"),
    cached("opt/x/lib/pypy3.9", "m.pypy39.pyc"),
    cached("opt/x/lib/python3.13t/site-packages", "m.cpython-311.pyc"),
    cached(f"{SITE}/data/lib/python3.10", "m.cpython-310.pyc"),
    "opt/ros/humble/lib/python3.10/site-packages/only.pyc",
    "opt/ros/humble/lib/python3.10/site-packages/m.pyc",
]


@pytest.mark.parametrize("path", NESTED)
def test_another_pythons_tree_in_another_prefix_is_a_nested_path(path: str) -> None:
    contents = contents_with(path, "opt/ros/humble/lib/python3.10/site-packages/m.py")
    assert not changed("3.11", contents)
    (finding,) = found("nested-path", "3.11", contents)
    assert finding.path == path
    assert path.startswith(f"{finding.detail}/")
    assert not paths_found("embedded", "3.11", contents)


@pytest.mark.parametrize(
    ("python", "path"),
    [
        pytest.param("3.11", cached("opt/app/lib/python3.11", "m.cpython-311.pyc"), id="the-own-version"),
        pytest.param("3.11", cached("lib/python3.10", "m.cpython-310.pyc"), id="at-the-root"),
        pytest.param("3.11", cached("opt/python3.10/site-packages", "m.cpython-310.pyc"), id="not-below-lib"),
        pytest.param("3.11", cached("opt/lib/python3/site-packages", "m.cpython-311.pyc"), id="no-minor-version"),
        pytest.param("3.11", cached("opt/mylib/python3.10", "m.cpython-311.pyc"), id="another-directory"),
        pytest.param("3.11", "opt/lib/python3.10/site-packages/m.py", id="no-bytecode"),
        pytest.param("any", cached("opt/lib/python3.10", "m.cpython-310.pyc"), id="any-python"),
        pytest.param("none", cached("opt/lib/python3.10", "m.cpython-310.pyc"), id="no-python"),
        pytest.param("pypy3.9", cached("opt/lib/python3.9", "m.pypy39.pyc"), id="pypy"),
    ],
)
def test_other_trees_are_no_nested_paths(python: str, path: str) -> None:
    assert not paths_found("nested-path", python, contents_with(path))


def test_a_third_pythons_tag_in_a_nested_tree_is_foreign() -> None:
    tree = "opt/app/lib/python3.9"
    files = {tag: cached(tree, f"x.cpython-{tag}.pyc") for tag in ("39", "310", "311")}
    contents = contents_with(*files.values())
    assert paths_found("foreign-tag", "3.11", contents) == {files["310"]}
    assert {files["39"], files["311"]} <= paths_found("nested-path", "3.11", contents)


def test_several_tags_count_more_than_landmarks_in_a_nested_tree() -> None:
    tree = "share/blender/4.2/python/lib/python3.10"
    files = {cached(tree, f"x.cpython-{tag}.pyc") for tag in ("310", "311")}
    contents = contents_with(*stdlib(tree), *files)
    assert not changed("3.11", contents)
    assert paths_found("nested-path", "3.11", contents) == files


def test_what_a_link_leads_to_is_no_nested_path() -> None:
    path = cached("opt/ros/humble/lib/python3.10/site-packages/p", "m.cpython-311.pyc")
    linked = contents_with(path, links={SITE: "../../../opt/ros/humble/lib/python3.10/site-packages/p"})
    assert not paths_found("nested-path", "3.11", linked)
    renamed = contents_with(path, links={"opt/now": "ros"})
    assert paths_found("nested-path", "3.11", renamed) == {path}


# Windows


def test_names_on_windows_have_no_case() -> None:
    strays = [
        cached("Lib/python3.10/site-packages", "m.cpython-311.pyc"),
        cached("LIB/Python3.10/site-packages", "n.cpython-311.pyc"),
        "lib/python3.10/only.pyc",
    ]
    own = [
        cached("Lib/Python3.11/site-packages", "m.cpython-311.pyc"),
        cached("Lib/site-packages", "m.cpython-311.pyc"),
    ]
    windows = contents_with(*strays, *own, subdir="win-64")
    assert paths_found("foreign-path", "3.11", windows) == set(strays)
    assert paths_found("foreign-path", "3.11", contents_with(*strays, *own)) == {strays[2]}
    nested = cached("Library/Lib/Python3.10/site-packages", "m.cpython-311.pyc")
    assert paths_found("nested-path", "3.11", contents_with(nested, subdir="win-64")) == {nested}
    assert not paths_found("nested-path", "3.11", contents_with(nested))
    hack = cached("lib/site-packages", "m.cpython-311.pyc")
    (finding,) = found("no-variant", "none", contents_with(hack, subdir="win-64"))
    assert finding.action is Action.DROP
    (finding,) = found("no-variant", "none", contents_with(hack))
    assert finding.action is Action.REPORT


def test_a_package_with_many_interpreters_takes_linear_time() -> None:
    import time

    variant = override_variant("3.11")

    def seconds(count: int) -> float:
        best = 9.0
        for _ in range(3):
            files = []
            for number in range(count):
                files += [f"e{number}/pyvenv.cfg", cached(f"e{number}/a/b/c", "m.cpython-310.pyc")]
                files += [*stdlib(f"s{number}/lib"), cached(f"p/lib/python3.9/d{number}", "m.cpython-39.pyc")]
            contents = contents_with(*files)
            started = time.process_time()
            for rule in RULES:
                if rule.phase != "remainder":
                    list(rule.find(contents, variant))
            best = min(best, time.process_time() - started)
        return best

    assert seconds(3200) < 64 * max(seconds(200), 1e-3)
