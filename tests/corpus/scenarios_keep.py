"""Packages whose bytecode looks stray to a careless eye and must stay."""

from __future__ import annotations

from .bytecode import modules, pyc
from .packages import File, PackageSpec
from .scenario import Scenario, for_311

SITE = "lib/python3.11/site-packages"
CP311 = ("cpython-311",)

KEEP = (
    Scenario(
        "several-pythons-with-sources",
        PackageSpec(
            "fat",
            depends=("libstdcxx >=14",),
            files=modules("lib/python3.10/site-packages", "f/a", tags=("cpython-310",))
            | modules("lib/python3.11/site-packages", "f/a", tags=("cpython-311",))
            | modules("lib/python3.12/site-packages", "f/a", tags=("cpython-312",)),
        ),
        "No Python declared, several shipped on purpose.",
    ),
    Scenario(
        "no-python-with-source",
        PackageSpec("tool", files=modules("lib/python3.12/site-packages", "t/a", tags=("cpython-312",))),
        "No Python declared, but the package ships the source itself.",
    ),
    Scenario(
        "no-python-outside-trees",
        PackageSpec("gdb", files=modules("share/gdb/python", "g", tags=("cpython-312",), sources=False)),
        "Outside of a Python's tree it is reported, and stays.",
    ),
    Scenario(
        "no-python-with-source-of-another-language",
        PackageSpec(
            "hy",
            files={
                "lib/python3.12/site-packages/hyrule/control.hy": "(+ 1 1)\n",
                "lib/python3.12/site-packages/hyrule/__pycache__/control.cpython-312.pyc": pyc("cpython-312", "hy"),
            },
        ),
        "importlib maps every m.* to the cache of m.",
    ),
    Scenario(
        "embedded-interpreter",
        for_311(
            "blender",
            files=modules("share/blender/4.2/python/lib/python3.10", "os", "re", tags=("cpython-310",))
            | modules("opt/app/lib/python3.9", "os", tags=("cpython-39",))
            | modules("opt/pypy3.9/lib-python", "os", tags=("pypy39",))
            | modules(SITE, "b/a", tags=CP311),
        ),
        "Interpreters inside the package, their own version in the path.",
    ),
    Scenario(
        "embedded-without-variant",
        PackageSpec("bundle", files=modules("opt/b/lib/python3.9", "os", tags=("cpython-39",), sources=False)),
        "The same in a package without a Python.",
    ),
    Scenario(
        "embedded-interpreter-by-landmarks",
        for_311(
            "windows-apps",
            subdir="win-64",
            files=modules("Library/app/python/Lib", "m", tags=("cpython-310",))
            | {"Library/app/python/python310.dll": b"MZ\0"}
            | modules("blender/4.2/python/lib", "os", "encodings/__init__", "m", tags=("cpython-310",))
            | modules("python_embeded/Lib/site-packages", "m", tags=("cpython-310",))
            | {"python_embeded/python310._pth": b"python310.zip\n.\n"}
            | modules("share/env/Lib/site-packages", "m", tags=("cpython-310",))
            | {"share/env/pyvenv.cfg": b"version = 3.10.4\n"},
        ),
        "No directory's name says 3.10; os.py next to encodings/, python3*.dll, python*._pth and pyvenv.cfg do.",
    ),
    Scenario(
        "second-interpreter-at-the-root",
        for_311(
            "both",
            files=modules("lib/python3.10", "os", "encodings/__init__", "site-packages/m", tags=("cpython-310",))
            | {"bin/python3.10": File(b"\x7fELF", 0o755)}
            | modules(SITE, "m", tags=CP311),
        ),
        "A whole Python 3.10 next to that of the package.",
    ),
    Scenario(
        "nested-tree",
        for_311(
            "ros",
            files=modules("opt/ros/humble/lib/python3.10/site-packages", "r/a", tags=("cpython-310", "cpython-311"))
            | modules(SITE, "r/a", tags=CP311),
        ),
        "pixi #4878 below another install prefix, or a program's own: reported as nested-path.",
    ),
    Scenario(
        "tree-that-a-pth-file-leads-to",
        for_311(
            "road",
            files=modules("lib/python3.10/site-packages", "r/a", tags=CP311)
            | {f"{SITE}/road.pth": "../../python3.10/site-packages\n"},
        ),
        "site puts the other tree on the path.",
        payload=True,
    ),
    Scenario(
        "decompiler-samples",
        for_311(
            "decompyle",
            files={
                f"{SITE}/d/samples/m.py": "x = 1\n",
                f"{SITE}/d/samples/m.pyc": pyc("cpython-310", "m"),
            },
        ),
        "Test data that is read by name.",
        payload=True,
    ),
    Scenario(
        "versioned-directory-in-own-tree",
        for_311("opencv", files=modules(f"{SITE}/cv2/python-3.10", "loader", tags=("cpython-310",))),
        "A directory below the root that says another Python, agreeing with the tag.",
    ),
    Scenario(
        "sourceless-module",
        for_311(
            "closed",
            files={
                f"{SITE}/closed/__init__.pyc": pyc("cpython-311", "init"),
                f"{SITE}/closed/core.pyc": pyc("cpython-310", "core"),
            },
        ),
        "rattler-build #1191: the only copy of a module, whatever its magic number.",
        payload=True,
    ),
    Scenario(
        "test-bytecode",
        for_311(
            "xdis",
            files=modules(SITE, "xdis/a", tags=CP311)
            | {
                f"{SITE}/xdis/test/bytecode_3.9/05_a.pyc": pyc("cpython-39", "05"),
                f"{SITE}/xdis/test/bytecode_3.10/a.cpython-310.pyc": pyc("cpython-310", "06"),
            },
        ),
        "Test data: a tag counts only directly inside __pycache__.",
    ),
    Scenario(
        "bytecode-under-info",
        for_311(
            "tested",
            files=modules(SITE, "t/a", tags=CP311),
            info={
                "info/test/run_test.py": b"import t\n",
                "info/test/__pycache__/run_test.cpython-310.pyc": pyc("cpython-310", "test"),
            },
        ),
        "Nothing under info/ is ever touched.",
    ),
    Scenario(
        "orphans",
        for_311("orphan", files=modules(SITE, "numpy/core", tags=CP311, sources=False)),
        "conda-build #718: the right tag without a source goes on request only.",
    ),
    Scenario(
        "untagged-in-pycache",
        for_311(
            "untagged",
            files=modules(SITE, "u/a", tags=CP311)
            | {
                f"{SITE}/u/__pycache__/b.pyc": pyc("cpython-310", "b"),
                f"{SITE}/u/__pycache__/a.f-12.py310.nbi": b"numba",
                f"{SITE}/u/__pycache__/notes.txt": b"text",
            },
        ),
        "Names without a tag, and files that are not bytecode at all. Open: b.pyc has no tag to judge.",
        payload=True,
    ),
    Scenario(
        "foreign-tree-without-bytecode",
        for_311(
            "rest",
            files=modules(SITE, "r/a", tags=CP311)
            | {
                "lib/python3.10/site-packages/r/a.py": "x = 1\n",
                "lib/python3.10/site-packages/r/ext.cpython-310-x86_64-linux-gnu.so": b"\x7fELF",
                "lib/python3.10/site-packages/r-1.dist-info/RECORD": "r/a.py,,\nr/__pycache__/a.cpython-310.pyc,,\n",
            },
        ),
        "Files other than bytecode go on request only; a RECORD that was stale before is not ours to mend.",
    ),
    Scenario(
        "unversioned-trees",
        for_311(
            "unversioned",
            files=modules("site-packages", "a", tags=CP311)
            | modules("lib/python/site-packages", "b", tags=CP311)
            | modules("lib/python3/site-packages", "c", tags=CP311)
            | modules("Lib/site-packages", "d", tags=CP311),
        ),
        "Trees without a minor version never fire foreign-path.",
    ),
)
