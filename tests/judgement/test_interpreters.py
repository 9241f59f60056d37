"""Nothing is foreign below an interpreter that the package contains, recognized by landmarks or by a name."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from conda_prune.judgement.rules import RULES
from conda_prune.judgement.variant.detect import override_variant
from conda_prune.model import Action

from ..clock import cpu_time
from .builders import (
    MAGIC_310,
    SITE,
    contents_with,
    findings_of,
    in_cache,
    paths_dropped,
    paths_found,
    pyc_head,
    standard_library,
)

OS = "os.cpython-310.pyc"

ROOTS = [
    pytest.param(standard_library("app/python/Lib"), "app/python/Lib", id="os-next-to-encodings"),
    pytest.param(("x/os.pyc", "x/encodings/__init__.pyc"), "x", id="compiled-os-next-to-encodings"),
    pytest.param(("x/os.py", in_cache("x/encodings", "utf_8.cpython-310.pyc")), "x", id="compiled-encodings"),
    pytest.param(("app/python/python310.dll",), "app/python/Lib", id="dll-next-to-Lib"),
    pytest.param(("app/python/Python3.DLL",), "app/python/Lib", id="stable-abi-dll"),
    pytest.param(("app/python313t.dll",), "app/python/Lib", id="free-threaded-dll"),
    pytest.param(("python_embeded/python310._pth",), "python_embeded/Lib/site-packages", id="pth-of-the-embeddable"),
    pytest.param(("app/python._pth",), "app/python/Lib", id="pth-without-version"),
    pytest.param(("share/env/pyvenv.cfg",), "share/env/lib/python3.10/site-packages", id="venv"),
    pytest.param(
        standard_library("share/blender/4.2/python/lib"), "share/blender/4.2/python/lib/site-packages", id="blender"
    ),
    pytest.param(
        standard_library("lib/libreoffice/program/python-core-3.10.14/lib"),
        "lib/libreoffice/program/python-core-3.10.14/lib",
        id="libreoffice",
    ),
    pytest.param(("opt/app/lib/python3.10/os.py",), "opt/app/lib/python3.10", id="os-in-lib-pythonX.Y"),
    pytest.param((in_cache("opt/app/lib/python3.10", OS),), "opt/app/lib/python3.10/json", id="cached-os"),
    pytest.param(("bin/python3.10", "lib/python3.10/os.py"), "lib/python3.10/site-packages", id="root-with-executable"),
    pytest.param(standard_library("lib/python3.10"), "lib/python3.10/site-packages", id="root-with-encodings"),
    pytest.param(("opt/app/bin/python3", *standard_library("opt/app/lib/python3.10")), "opt/app/share", id="prefix"),
    pytest.param(
        ("opt/bin/python3.10t", *standard_library("opt/lib")), "opt/plugins", id="prefix-with-unversioned-library"
    ),
    pytest.param(("opt/bin/python", "opt/lib/os.py"), "opt/lib/site-packages", id="executable-next-to-os"),
    pytest.param(("opt/bin/python.exe", *standard_library("opt/Lib")), "opt/plugins", id="windows-executable"),
]


@pytest.mark.parametrize(("landmarks", "directory"), ROOTS)
def test_nothing_is_foreign_below_an_interpreter(landmarks: Collection[str], directory: str) -> None:
    files = [
        f"{directory}/m.py",
        in_cache(directory, "m.cpython-310.pyc"),
        f"{directory}/m.cpython-310-x86_64-linux-gnu.so",
        f"{directory}/only.pyc",
        f"{directory}/legacy.py",
    ]
    contents = contents_with(*landmarks, *files, heads={f"{directory}/legacy.pyc": pyc_head(MAGIC_310)})
    assert not paths_dropped("3.11", contents)
    assert not paths_found("nested-path", "3.11", contents)
    embedded = findings_of("embedded", "3.11", contents)
    assert in_cache(directory, "m.cpython-310.pyc") in {finding.path for finding in embedded}
    assert all(finding.quiet for finding in embedded)
    assert not paths_dropped("any", contents)


NO_ROOTS = [
    pytest.param(("app/os.py",), "app", id="os-only"),
    pytest.param(("app/os.py", "app/sub/encodings/__init__.py"), "app", id="encodings-elsewhere"),
    pytest.param(("app/os.py", "app/xencodings/__init__.py"), "app", id="another-directory"),
    pytest.param(("app/os.py", "app/encodings.py"), "app", id="a-module-named-encodings"),
    pytest.param(("app/bin/python3",), "app/lib", id="executable-only"),
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
    pytest.param((in_cache("lib/python3.10", OS), "bin/python3.10"), "lib/python3.10", id="compiled-os-at-the-root"),
    pytest.param(standard_library("Lib"), "Lib", id="the-own-library-on-windows"),
    pytest.param(standard_library("lib/python3.11"), SITE, id="the-own-library"),
    pytest.param(standard_library("lib/python"), "lib/python/site-packages", id="the-own-library-of-CFEP-27"),
    pytest.param(("python311.dll", "pyvenv.cfg", "os.py", "encodings/x.py"), "Tools/scripts", id="the-package's-root"),
    pytest.param(("lib/pyvenv.cfg",), SITE, id="around-the-own-library"),
]


@pytest.mark.parametrize(("landmarks", "directory"), NO_ROOTS)
def test_stray_files_are_dropped_without_an_interpreter(landmarks: Collection[str], directory: str) -> None:
    stray = in_cache(directory, "m.cpython-310.pyc")
    assert stray in paths_dropped("3.11", contents_with(*landmarks, stray))


def test_the_root_of_the_package_is_never_an_interpreter() -> None:
    root = contents_with("python311.dll", "pyvenv.cfg", "os.py", "encodings/x.py", "bin/python3.12", "lib/os.py")
    assert root.interpreters == {}


def test_stray_files_are_dropped_from_pythons_own_library() -> None:
    """python-feedstock #929: another Python compiled the standard library of python 3.15."""
    library = [
        *standard_library("lib/python3.11"),
        "bin/python3.11",
        "bin/python3",
        in_cache("lib/python3.11", "os.cpython-311.pyc"),
    ]
    stray = in_cache("lib/python3.11/json", "decoder.cpython-310.pyc")
    assert paths_dropped("3.11", contents_with(*library, stray)) == {stray}


@pytest.mark.parametrize(
    ("python", "library"),
    [("graalpy3.10", "lib/graalpy23.0"), ("pypy3.9", "lib/pypy3.9"), ("pypy3.9", "lib-python/3")],
)
def test_own_libraries_of_other_implementations_are_not_embedded(python: str, library: str) -> None:
    stray = in_cache(library, "m.cpython-311.pyc")
    assert stray in paths_dropped(python, contents_with(*standard_library(library), stray))


# Several Pythons in one tree


def test_a_directory_with_several_pythons_is_not_an_interpreter() -> None:
    strays = {in_cache("app/lib", f"m.cpython-{tag}.pyc") for tag in ("39", "310")}
    assert paths_dropped("3.11", contents_with(*standard_library("app/lib"), *strays)) == strays
    named = {in_cache(f"{SITE}/cv2/python-3.10", f"loader.cpython-{tag}.pyc") for tag in ("310", "311")}
    assert paths_dropped("3.11", contents_with(*named)) == {
        in_cache(f"{SITE}/cv2/python-3.10", "loader.cpython-310.pyc")
    }


def test_bytecode_of_build_tools_does_not_hide_an_interpreter() -> None:
    """rattler-build compiles every source that it packs with the host's Python."""
    both = [in_cache("app/lib", f"m.cpython-{tag}.pyc") for tag in ("310", "311")]
    assert not paths_dropped("3.11", contents_with(*standard_library("app/lib"), *both))
    root = [in_cache("lib/python3.10", f"m.cpython-{tag}.pyc") for tag in ("310", "311")]
    assert not paths_dropped(
        "3.11", contents_with(*standard_library("lib/python3.10"), *root, "lib/python3.10/only.pyc")
    )


def test_a_landmark_keeps_the_tag_of_its_version() -> None:
    own, other = (in_cache("app/python/Lib", f"m.cpython-{tag}.pyc") for tag in ("310", "39"))
    assert paths_dropped("3.11", contents_with("app/python/python310.dll", own, other)) == {other}


# Names


@pytest.mark.parametrize(
    "path",
    [
        in_cache("share/blender/4.2/python/lib/python3.10", "re.cpython-310.pyc"),
        in_cache("opt/python3.10/lib/python3.10/json", "decoder.cpython-310.pyc"),
        in_cache("pkgs/python-3.10.4-h1234567_0_cpython/lib/python3.10", "re.cpython-310.pyc"),
        in_cache("program/python-core-3.10.14/lib", "re.cpython-310.pyc"),
        in_cache("python_embeded/Lib/site-packages", "m.cpython-310.pyc"),
        in_cache("tools/python-3.10-embed-amd64/Lib", "m.cpython-310.pyc"),
        in_cache("Library/app/Python310/Lib", "m.cpython-310.pyc"),
    ],
)
def test_directories_named_after_an_interpreter_are_embedded(path: str) -> None:
    contents = contents_with(path)
    assert not paths_dropped("3.11", contents)
    assert not paths_found("nested-path", "3.11", contents)
    assert paths_found("embedded", "3.11", contents) == {path}


# Windows


def test_names_on_windows_are_not_case_sensitive() -> None:
    strays = [
        in_cache("Lib/python3.10/site-packages", "m.cpython-311.pyc"),
        in_cache("LIB/Python3.10/site-packages", "n.cpython-311.pyc"),
        "lib/python3.10/only.pyc",
    ]
    own = [
        in_cache("Lib/Python3.11/site-packages", "m.cpython-311.pyc"),
        in_cache("Lib/site-packages", "m.cpython-311.pyc"),
    ]
    windows = contents_with(*strays, *own, subdir="win-64")
    assert paths_found("foreign-path", "3.11", windows) == set(strays)
    assert paths_found("foreign-path", "3.11", contents_with(*strays, *own)) == {strays[2]}
    nested = in_cache("Library/Lib/Python3.10/site-packages", "m.cpython-311.pyc")
    assert paths_found("nested-path", "3.11", contents_with(nested, subdir="win-64")) == {nested}
    assert not paths_found("nested-path", "3.11", contents_with(nested))
    hack = in_cache("lib/site-packages", "m.cpython-311.pyc")
    (finding,) = findings_of("no-variant", "none", contents_with(hack, subdir="win-64"))
    assert finding.action is Action.DROP
    (finding,) = findings_of("no-variant", "none", contents_with(hack))
    assert finding.action is Action.REPORT


def test_many_interpreters_take_linear_time() -> None:

    variant = override_variant("3.11")

    def seconds(count: int) -> float:
        best = 9.0
        for _ in range(3):
            files = []
            for number in range(count):
                files += [f"e{number}/pyvenv.cfg", in_cache(f"e{number}/a/b/c", "m.cpython-310.pyc")]
                files += [
                    *standard_library(f"s{number}/lib"),
                    in_cache(f"p/lib/python3.9/d{number}", "m.cpython-39.pyc"),
                ]
            contents = contents_with(*files)
            started = cpu_time()
            for rule in RULES:
                if rule.phase != "remainder":
                    list(rule.find(contents, variant))
            best = min(best, cpu_time() - started)
        return best

    assert seconds(3200) < 64 * max(seconds(200), 1e-3)
