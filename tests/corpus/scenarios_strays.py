"""Packages with stray bytecode of every kind seen in the wild, and exactly what goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .bytecode import modules, pyc, record
from .packages import File, PackageSpec
from .scenario import (
    Scenario,
    conda_forge,
    for_311,
    paths,
)

if TYPE_CHECKING:
    from .entries import AnyEntry

SITE = "lib/python3.11/site-packages"
SITE310 = "lib/python3.10/site-packages"
SITE312 = "lib/python3.12/site-packages"
CP310 = ("cpython-310",)
CP311 = ("cpython-311",)


def pixi_4878() -> PackageSpec:
    """The third variant of a shared host prefix: its own tree, and those of 3.10 and 3.11 before it.

    Each earlier tree holds bytecode of the tag it was installed with and, compiled again by
    rattler-build, of the tag of the package: 1 N own files and 2 N per foreign tree.
    """
    files: dict[str, AnyEntry] = {}
    for site, tags in (
        (SITE310, ("cpython-310", "cpython-312")),
        (SITE, ("cpython-311", "cpython-312")),
        (SITE312, ("cpython-312",)),
    ):
        own = modules(site, "numba_cuda/__init__", "numba_cuda/a", tags=tags)
        info = f"{site}/numba_cuda-0.20.0.dist-info"
        files |= own | {f"{info}/RECORD": record(site, own, "numba_cuda-0.20.0.dist-info/RECORD")}
        files |= {f"{info}/METADATA": File(b"Metadata-Version: 2.1\nName: numba-cuda\nVersion: 0.20.0\n")}
    return PackageSpec(
        "numba-cuda", "0.20.0", "py312h7813266_0", depends=("python >=3.9", *conda_forge("3.12")), files=files
    )


PYTORCH = modules(SITE, "torch/__init__", "torch/a", tags=("cpython-311", "cpython-313"))
MOCK = modules(SITE, "mock/__init__", tags=("cpython-311", "cpython-310"))

STRAYS = (
    Scenario(
        "pixi-4878",
        pixi_4878(),
        "Right tags in wrong trees: the path decides. Sources and dist-info of the foreign trees stay.",
        drops=paths(
            "lib/python3.10/site-packages/numba_cuda/__pycache__/",
            "__init__.cpython-310.pyc",
            "__init__.cpython-312.pyc",
            "a.cpython-310.pyc",
            "a.cpython-312.pyc",
        )
        | paths(
            "lib/python3.11/site-packages/numba_cuda/__pycache__/",
            "__init__.cpython-311.pyc",
            "__init__.cpython-312.pyc",
            "a.cpython-311.pyc",
            "a.cpython-312.pyc",
        ),
        kinds={"foreign-path": 8},
        edited=frozenset(
            {
                "lib/python3.10/site-packages/numba_cuda-0.20.0.dist-info/RECORD",
                "lib/python3.11/site-packages/numba_cuda-0.20.0.dist-info/RECORD",
            }
        ),
    ),
    Scenario(
        "foreign-tag-in-right-tree",
        PackageSpec(
            "pytorch",
            build="cpu_mkl_py311h1234567_100",
            depends=conda_forge("3.11"),
            files=PYTORCH | {f"{SITE}/torch.dist-info/RECORD": record(SITE, PYTORCH, "torch.dist-info/RECORD")},
        ),
        "pytorch-cpu-feedstock #329: the build environment's Python compiled too.",
        drops=paths("lib/python3.11/site-packages/torch/__pycache__/", "__init__.cpython-313.pyc", "a.cpython-313.pyc"),
        kinds={"foreign-tag": 2},
        edited=frozenset({"lib/python3.11/site-packages/torch.dist-info/RECORD"}),
    ),
    Scenario(
        "installed-files",
        for_311(
            "mock",
            files=MOCK
            | {
                f"{SITE}/mock-2.0.0.egg-info/installed-files.txt": "../mock/__init__.py\n"
                "../mock/__pycache__/__init__.cpython-310.pyc\n../mock/__pycache__/__init__.cpython-311.pyc\nPKG-INFO\n",
                f"{SITE}/mock-2.0.0.egg-info/PKG-INFO": "Name: mock\n",
            },
        ),
        "setuptools' installed-files.txt names bytecode relative to the egg-info directory.",
        drops=frozenset({"lib/python3.11/site-packages/mock/__pycache__/__init__.cpython-310.pyc"}),
        kinds={"foreign-tag": 1},
        edited=frozenset({"lib/python3.11/site-packages/mock-2.0.0.egg-info/installed-files.txt"}),
    ),
    Scenario(
        "pytest-tag",
        for_311(
            "tested",
            files=modules(SITE, "t/test_a", tags=("cpython-311-pytest-8.0.0", "cpython-313-pytest-8.0.0")),
        ),
        "pytest's rewritten modules: the interpreter is what stands before -pytest.",
        drops=frozenset({"lib/python3.11/site-packages/t/__pycache__/test_a.cpython-313-pytest-8.0.0.pyc"}),
        kinds={"foreign-tag": 1},
    ),
    Scenario(
        "optimized-foreign",
        for_311(
            "opt",
            files=modules(SITE, "o/a", tags=("cpython-311", "cpython-311.opt-1", "cpython-310.opt-1")),
        ),
        "opt-1 of the own Python stays by default, that of another one goes.",
        drops=frozenset({"lib/python3.11/site-packages/o/__pycache__/a.cpython-310.opt-1.pyc"}),
        kinds={"foreign-tag": 1},
    ),
    Scenario(
        "dotted-module",
        for_311(
            "dotted",
            files=modules(SITE, "d/a.b", "d/cpython-310.x", tags=("cpython-311", "cpython-310")),
        ),
        "Names are parsed from the right.",
        drops=paths(
            "lib/python3.11/site-packages/d/__pycache__/",
            "a.b.cpython-310.pyc",
            "cpython-310.x.cpython-310.pyc",
        ),
        kinds={"foreign-tag": 2},
    ),
    Scenario(
        "leftovers",
        for_311(
            "leftover",
            files=modules(SITE, "l/a", tags=CP311)
            | {
                f"{SITE}/l/__pycache__/a.cpython-311.pyc.140234567890": pyc("cpython-311", "left"),
                "lib/python3.10/site-packages/l/__pycache__/a.cpython-311.pyc.123": pyc("cpython-311", "right"),
            },
        ),
        "An interrupted write (pybind11 #5838): with the foreign tree it goes, elsewhere only on request.",
        drops=frozenset({"lib/python3.10/site-packages/l/__pycache__/a.cpython-311.pyc.123"}),
        kinds={"foreign-path": 1},
    ),
    Scenario(
        "foreign-tree-any-name",
        for_311(
            "anyname",
            files=modules(SITE, "a", tags=CP311)
            | {
                "lib/python2.7/site-packages/a.pyo": pyc("cpython-27", "pyo"),
                "lib/python3.10/site-packages/only.pyc": pyc("cpython-310", "only"),
                "lib/python3.10/site-packages/a.py": "x = 1\n",
                "lib64/python3.10/site-packages/__pycache__/a.cpython-310.pyc": pyc("cpython-310", "64"),
                "lib/pypy3.9/__pycache__/os.pypy39.pyc": pyc("pypy39", "os"),
                "lib/python3.10/lib-dynload/x.so": b"\x7fELF",
            },
        ),
        "Bytecode of any name below another Python's root tree; lib64 and pypy trees count.",
        drops=frozenset(
            {
                "lib/python2.7/site-packages/a.pyo",
                "lib/python3.10/site-packages/only.pyc",
                "lib64/python3.10/site-packages/__pycache__/a.cpython-310.pyc",
                "lib/pypy3.9/__pycache__/os.pypy39.pyc",
            }
        ),
        kinds={"foreign-path": 4},
    ),
    Scenario(
        "sizes",
        for_311(
            "sizes",
            files=modules(SITE, "s/a", tags=CP311)
            | {
                f"{SITE}/s/__pycache__/empty.cpython-310.pyc": b"",
                f"{SITE}/s/__pycache__/four.cpython-310.pyc": pyc("cpython-310", size=4),
                f"{SITE}/s/__pycache__/sixteen.cpython-310.pyc": pyc("cpython-310", size=16),
                f"{SITE}/s/__pycache__/block.cpython-310.pyc": pyc("cpython-310", size=512),
                f"{SITE}/s/__pycache__/large.cpython-310.pyc": pyc("cpython-310", size=(1 << 20) + 4321),
                f"{SITE}/s/__pycache__/empty.cpython-311.pyc": b"",
                f"{SITE}/s/__pycache__/large.cpython-311.pyc": pyc("cpython-311", size=(1 << 20) + 1),
            },
        ),
        "Empty, shorter than a header, exactly a block, more than 1 MiB.",
        drops=paths(
            "lib/python3.11/site-packages/s/__pycache__/",
            "empty.cpython-310.pyc",
            "four.cpython-310.pyc",
            "sixteen.cpython-310.pyc",
            "block.cpython-310.pyc",
            "large.cpython-310.pyc",
        ),
        kinds={"foreign-tag": 5},
    ),
    Scenario(
        "legacy-foreign-magic",
        for_311(
            "legacy",
            files=modules(SITE, "m", "n", tags=CP311)
            | {f"{SITE}/m.pyc": pyc("cpython-310", "m"), f"{SITE}/n.pyc": pyc("cpython-311", "n")},
        ),
        "m.pyc beside m.py: the magic number belongs to 3.10; that of n.pyc to the package's own Python.",
        drops=frozenset({"lib/python3.11/site-packages/m.pyc"}),
        kinds={"foreign-tag": 1},
        payload=True,
    ),
    Scenario(
        "embedded-of-another-kind",
        for_311(
            "app",
            files=modules("opt/app/lib/python3.9", "x", tags=("cpython-39", "cpython-310", "cpython-311")),
        ),
        "An embedded 3.9 explains its own tag, not that of a 3.10.",
        drops=frozenset({"opt/app/lib/python3.9/__pycache__/x.cpython-310.pyc"}),
        kinds={"foreign-tag": 1},
    ),
)
