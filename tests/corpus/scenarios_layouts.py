"""Strays told by the layouts of other interpreters and platforms, and by having no Python of their own."""

from __future__ import annotations

from .bytecode import modules, pyc
from .packages import PackageSpec
from .scenario import Scenario, conda_forge, paths

CP313 = ("cpython-313",)

LAYOUTS = (
    Scenario(
        "free-threaded-with-gil-tree",
        PackageSpec(
            "ft",
            build="py313h1234567_0",
            depends=conda_forge("3.13", "cp313t"),
            files=modules("lib/python3.13t/site-packages", "ft/a", tags=CP313)
            | modules("lib/python3.13/site-packages", "ft/a", tags=CP313),
        ),
        "Old builders put files into lib/python3.13 of a free-threaded Python, which imports what it has not itself.",
        drops=frozenset({"lib/python3.13/site-packages/ft/__pycache__/a.cpython-313.pyc"}),
        kinds={"foreign-path": 1},
    ),
    Scenario(
        "free-threaded-in-part-with-gil-tree",
        PackageSpec(
            "ft",
            build="py313h1234567_0",
            depends=conda_forge("3.13", "cp313t"),
            files=modules("lib/python3.13t/site-packages", "p/__init__", "ns/a", tags=CP313)
            | modules("lib/python3.13/site-packages", "p/__init__", "p/b", "ns/b", "m", tags=CP313)
            | modules("lib/python3.13", "os", tags=CP313),
        ),
        "The regular package p shadows p.b; the namespace ns and the missing m shadow nothing.",
        drops=paths("lib/python3.13/site-packages/p/__pycache__/", "__init__.cpython-313.pyc", "b.cpython-313.pyc")
        | paths("lib/python3.13/__pycache__/", "os.cpython-313.pyc"),
    ),
    Scenario(
        "windows-foreign-tree",
        PackageSpec(
            "winpkg",
            build="py311h1234567_0",
            subdir="win-64",
            depends=conda_forge("3.11"),
            files=modules("Lib/python3.10/site-packages", "w/a", tags=("cpython-311",))
            | modules("Lib/site-packages", "w/a", tags=("cpython-311",)),
        ),
        "Names have no case on Windows: Lib/python3.10 is lib/python3.10.",
        drops=frozenset({"Lib/python3.10/site-packages/w/__pycache__/a.cpython-311.pyc"}),
        kinds={"foreign-path": 1},
    ),
    Scenario(
        "gil-with-free-threaded-tree",
        PackageSpec(
            "gil",
            build="py313h1234567_0",
            depends=conda_forge("3.13"),
            files=modules("lib/python3.13t/site-packages", "g/a", tags=CP313)
            | modules("lib/python3.13/site-packages", "g/a", tags=CP313),
        ),
        "The other way round.",
        drops=frozenset({"lib/python3.13t/site-packages/g/__pycache__/a.cpython-313.pyc"}),
        kinds={"foreign-path": 1},
    ),
    Scenario(
        "gil-unknown-with-foreign",
        PackageSpec(
            "either",
            build="py313h1234567_0",
            depends=("python >=3.13,<3.14.0a0",),
            files=modules("lib/python3.13/site-packages", "e/a", tags=("cpython-313", "cpython-312"))
            | modules("lib/python3.12/site-packages", "e/a", tags=CP313),
        ),
        "Not knowing GIL from free-threaded does not hide another minor version.",
        drops=frozenset(
            {
                "lib/python3.13/site-packages/e/__pycache__/a.cpython-312.pyc",
                "lib/python3.12/site-packages/e/__pycache__/a.cpython-313.pyc",
            }
        ),
        kinds={"foreign-tag": 1, "foreign-path": 1},
    ),
    Scenario(
        "pypy-with-cpython-tag",
        PackageSpec(
            "numpy",
            build="py39h60c9533_0",
            depends=("python >=3.9,<3.10.0a0", "python_abi 3.9 *_pypy39_pp73"),
            files=modules("lib/python3.9/site-packages", "n/a", tags=("pypy39", "cpython-39")),
        ),
        "The right tree, but CPython's tag.",
        drops=frozenset({"lib/python3.9/site-packages/n/__pycache__/a.cpython-39.pyc"}),
        kinds={"foreign-tag": 1},
    ),
    Scenario(
        "cpython-with-pypy-tag",
        PackageSpec(
            "numpy",
            build="py39h60c9533_0",
            depends=conda_forge("3.9"),
            files=modules("lib/python3.9/site-packages", "n/a", tags=("pypy39", "cpython-39")),
        ),
        "The same tree seen from CPython.",
        drops=frozenset({"lib/python3.9/site-packages/n/__pycache__/a.pypy39.pyc"}),
        kinds={"foreign-tag": 1},
    ),
    Scenario(
        "python-itself-with-foreign-tag",
        PackageSpec(
            "python",
            "3.15.0",
            "habeac84_0_cp315",
            depends=("python_abi 3.15.* *_cp315",),
            index_extra={"python_site_packages_path": "lib/python/site-packages"},
            files=modules("lib/python", "os", "json/decoder", tags=("cpython-315", "cpython-314")),
        ),
        "python-feedstock #929: another Python on PATH compiled the standard library.",
        drops=frozenset(
            {
                "lib/python/__pycache__/os.cpython-314.pyc",
                "lib/python/json/__pycache__/decoder.cpython-314.pyc",
            }
        ),
        kinds={"foreign-tag": 2},
    ),
    Scenario(
        "windows-foreign-tag",
        PackageSpec(
            "winpkg",
            build="py311h1234567_0",
            subdir="win-64",
            depends=conda_forge("3.11"),
            files=modules("Lib/site-packages", "w/a", tags=("cpython-311", "cpython-39"))
            | modules("Scripts", "run", tags=("cpython-39",)),
        ),
        "Only the tag can tell on Windows; __pycache__ counts anywhere in the package.",
        drops=frozenset({"Lib/site-packages/w/__pycache__/a.cpython-39.pyc", "Scripts/__pycache__/run.cpython-39.pyc"}),
        kinds={"foreign-tag": 2},
    ),
    Scenario(
        "cfep27-foreign-tag",
        PackageSpec(
            "modern",
            build="py315h1234567_0",
            depends=conda_forge("3.15"),
            files=modules("lib/python/site-packages", "m/a", tags=("cpython-315", "cpython-314")),
        ),
        "lib/python/ carries no version: the tag decides.",
        drops=frozenset({"lib/python/site-packages/m/__pycache__/a.cpython-314.pyc"}),
        kinds={"foreign-tag": 1},
    ),
    Scenario(
        "noarch-bytecode",
        PackageSpec(
            "pure",
            build="pyhd8ed1ab_0",
            subdir="noarch",
            depends=("python >=3.9",),
            index_extra={"noarch": "python", "arch": None, "platform": None},
            files=modules("site-packages", "p/a", tags=("cpython-311", "cpython-312"))
            | modules("site-packages", "p/gone", tags=("cpython-312",), sources=False)
            | {"site-packages/p/sourceless.pyc": pyc("cpython-312", "sourceless")},
        ),
        "With its source it goes; cached bytecode without source and a sourceless module stay.",
        drops=paths("site-packages/p/__pycache__/", "a.cpython-311.pyc", "a.cpython-312.pyc"),
        kinds={"noarch-bytecode": 2},
    ),
    Scenario(
        "abi3-bytecode",
        PackageSpec(
            "pyzmq",
            build="py312h70157a2_0",
            depends=("python", "_python_abi3_support 1.*", "cpython >=3.12"),
            index_extra={"noarch": "python"},
            files=modules("site-packages", "zmq/a", tags=("cpython-312",)),
        ),
        "CEP 20: any Python, although the build string names one; its own tag goes too.",
        drops=frozenset({"site-packages/zmq/__pycache__/a.cpython-312.pyc"}),
        kinds={"noarch-bytecode": 1},
    ),
    Scenario(
        "no-variant-gdal",
        PackageSpec(
            "libgdal-core",
            "3.12.4",
            "h08c5dba_2",
            depends=("libstdcxx >=14",),
            files={
                "lib/libgdal.so": b"\x7fELF",
                "lib/python3.14/site-packages/_distutils_hack/__pycache__/__init__.cpython-314.pyc": pyc(
                    "cpython-314", "hack", size=1900
                ),
            },
        ),
        "gdal-feedstock #1199, rattler-build #2481: written when Python started during the build.",
        drops=frozenset({"lib/python3.14/site-packages/_distutils_hack/__pycache__/__init__.cpython-314.pyc"}),
        kinds={"no-variant": 1},
    ),
)
