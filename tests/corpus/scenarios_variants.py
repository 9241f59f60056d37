"""Healthy packages of every variant, and packages whose variant only weak evidence names, or none."""

from __future__ import annotations

import json

from .bytecode import (
    UNKNOWN_MAGIC,
    cached,
    modules,
    pyc,
)
from .packages import File, PackageSpec
from .scenario import Scenario, conda_forge, paths

SITE = "lib/python3.11/site-packages"
CP311 = ("cpython-311",)

RENDERED_RECIPE = b"""\
recipe:
  package: {name: rendered, version: 1.2.3}
build_configuration:
  target_platform: linux-64
  variant:
    python: 3.11.* *_cpython
    target_platform: linux-64
finalized_dependencies:
  host:
    specs:
    - variant: python
      spec: python 3.11.* *_cpython
    resolved:
    - name: python
      version: 3.11.9
      build: hb806964_0_cpython
      subdir: linux-64
      depends: []
"""

HEALTHY = (
    Scenario(
        "clean-cp311",
        PackageSpec(
            "numba-cuda",
            build="py311h38be061_0",
            depends=(*conda_forge("3.11"), "numpy"),
            files=modules(SITE, "m/__init__", "m/a", "m/sub/b", tags=CP311) | {"bin/m": File(b"#!", 0o755)},
        ),
        "The ordinary package of conda-forge.",
    ),
    Scenario(
        "clean-noarch",
        PackageSpec(
            "pure",
            build="pyhd8ed1ab_0",
            subdir="noarch",
            depends=("python >=3.9",),
            index_extra={"noarch": "python", "arch": None, "platform": None},
            files=modules("site-packages", "pure/__init__", "pure/a"),
            info={"info/link.json": b'{"noarch": {"type": "python"}, "package_metadata_version": 1}'},
        ),
        "noarch: python as builders make it: no bytecode.",
    ),
    Scenario(
        "clean-abi3",
        PackageSpec(
            "py-rattler",
            build="py310h70157a2_1",
            depends=("python", "_python_abi3_support 1.*", "cpython >=3.10"),
            index_extra={"noarch": "python"},
            files=modules("site-packages", "rattler/__init__") | {"site-packages/rattler/r.abi3.so": b"\x7fELF"},
        ),
        "CEP 20: version-independent although subdir is a platform and the build string says py310.",
    ),
    Scenario(
        "clean-free-threaded",
        PackageSpec(
            "ft",
            build="py313h1234567_0",
            depends=conda_forge("3.13", "cp313t"),
            files=modules("lib/python3.13t/site-packages", "ft/__init__", "ft/a", tags=("cpython-313",)),
        ),
        "The tag of a free-threaded Python has no t; its tree does.",
    ),
    Scenario(
        "clean-gil-unknown",
        PackageSpec(
            "either",
            build="py313h1234567_0",
            depends=("python >=3.13,<3.14.0a0",),
            files=modules("lib/python3.13/site-packages", "e/__init__", tags=("cpython-313",))
            | modules("lib/python3.13t/site-packages", "e/__init__", tags=("cpython-313",)),
        ),
        "GIL or free-threaded not known: both trees fit.",
    ),
    Scenario(
        "clean-cfep27",
        PackageSpec(
            "modern",
            build="py315h1234567_0",
            depends=conda_forge("3.15"),
            files=modules("lib/python/site-packages", "m/__init__", "m/a", tags=("cpython-315",)),
        ),
        "CFEP 27: from 3.15 on the tree carries no version.",
    ),
    Scenario(
        "clean-pypy39",
        PackageSpec(
            "numpy",
            build="py39h60c9533_0",
            depends=("pypy3.9 >=7.3.11", "python >=3.9,<3.10.0a0", "python_abi 3.9 *_pypy39_pp73"),
            files=modules("lib/python3.9/site-packages", "numpy/__init__", "numpy/a", tags=("pypy39",))
            | modules("lib/pypy3.9", "extra", tags=("pypy39",)),
        ),
        "PyPy on conda-forge installs into lib/python3.9; the build string looks like CPython's.",
    ),
    Scenario(
        "clean-graalpy",
        PackageSpec(
            "numpy",
            build="py310h60c9533_0",
            depends=("python >=3.10,<3.11.0a0", "python_abi 3.10.* *_graalpy230_310_native"),
            files=modules("lib/python3.10/site-packages", "numpy/__init__", tags=("graalpy230-310",)),
        ),
        "GraalPy likewise.",
    ),
    Scenario(
        "clean-windows",
        PackageSpec(
            "winpkg",
            build="py311h1234567_0",
            subdir="win-64",
            depends=conda_forge("3.11"),
            files=modules("Lib/site-packages", "w/__init__", "w/a", tags=CP311) | {"Scripts/w.exe": b"MZ\0"},
        ),
        "Lib/ carries no version.",
    ),
    Scenario(
        "clean-py27",
        PackageSpec(
            "ancient",
            build="py27_0",
            depends=("python >=2.7,<2.8.0a0",),
            files=modules("lib/python2.7/site-packages", "ancient")
            | {"lib/python2.7/site-packages/ancient.pyc": File(pyc("cpython-27", "ancient"))},
        ),
        "Python 2 keeps bytecode beside the source, with a header of 8 bytes.",
        payload=True,
    ),
    Scenario(
        "clean-cp37m",
        PackageSpec(
            "older",
            build="py37h1234567_0",
            depends=("python >=3.7,<3.8.0a0", "python_abi 3.7.* *_cp37m"),
            files=modules("lib/python3.7/site-packages", "o/__init__", tags=("cpython-37",)),
        ),
        "An ABI flag behind the version.",
    ),
    Scenario(
        "clean-two-agreeing-specs",
        PackageSpec(
            "cross",
            build="py313h1234567_0",
            subdir="osx-arm64",
            depends=(*conda_forge("3.13"), "python >=3.13,<3.14.0a0 *_cp313"),
            files=modules("lib/python3.13/site-packages", "c/__init__", tags=("cpython-313",)),
        ),
        "Cross builds carry two specs of python that say the same.",
    ),
    Scenario(
        "clean-python-311",
        PackageSpec(
            "python",
            "3.11.9",
            "hb806964_0_cpython",
            depends=("libzlib >=1.2.13",),
            index_extra={"constrains": ["python_abi 3.11.* *_cp311"]},
            files=modules("lib/python3.11", "os", "lib2to3/tests/data/x", tags=CP311)
            | modules("lib/python3.11", "encodings/utf_8", tags=("cpython-311", "cpython-311.opt-1")),
        ),
        "The interpreter names its variant by its own version.",
    ),
    Scenario(
        "clean-python-314t",
        PackageSpec(
            "python",
            "3.14.0",
            "h92d6c8b_100_cp314t",
            depends=("python_abi 3.14.* *_cp314t",),
            index_extra={"python_site_packages_path": "lib/python3.14t/site-packages"},
            files=modules("lib/python3.14t", "os", tags=("cpython-314",)),
        ),
        "CEP 17: python_site_packages_path counts on python itself.",
    ),
    Scenario(
        "clean-python-windows",
        PackageSpec(
            "python",
            "3.12.4",
            "h889d299_0_cpython",
            subdir="win-64",
            index_extra={"constrains": ["python_abi 3.12.* *_cp312"]},
            files=modules("Lib", "os", "json/decoder", tags=("cpython-312",)) | {"DLLs/_ssl.pyd": b"MZ\0"},
        ),
        "The standard library on Windows lies in Lib/.",
    ),
    Scenario(
        "clean-pypy",
        PackageSpec(
            "pypy3.9",
            "7.3.15",
            "h9557127_1",
            files=modules("lib/pypy3.9", "os", "json/decoder", tags=("pypy39",)),
        ),
        "PyPy's own library.",
    ),
    Scenario(
        "clean-metapackage",
        PackageSpec("python_abi", "3.11", "5_cp311", index_extra={"constrains": ["python 3.11.* *_cpython"]}),
        "A package without files.",
    ),
    Scenario(
        "clean-no-python",
        PackageSpec("zlib", depends=("libgcc-ng >=7.3.0",), files={"lib/libz.so": b"\x7fELF", "include/zlib.h": "x"}),
        "No Python anywhere.",
    ),
)

STRAY = "lib/python3.11/site-packages/m/__pycache__/a.cpython-310.pyc"
BOTH_TAGS = modules(SITE, "m/__init__", tags=CP311) | modules(SITE, "m/a", tags=("cpython-311", "cpython-310"))

EVIDENCE = (
    Scenario(
        "evidence-abi-tag-alone",
        PackageSpec("gil", build="h1234567_0", depends=("python_abi * *_cp311",), files=BOTH_TAGS),
        "The version of python_abi may be *: the tag is enough.",
        drops=frozenset({STRAY}),
        kinds={"foreign-tag": 1},
    ),
    Scenario(
        "evidence-hash-input",
        PackageSpec(
            "hashed",
            depends=("python",),
            files=BOTH_TAGS,
            info={"info/hash_input.json": json.dumps({"python": "3.11.* *_cpython"}).encode()},
        ),
        "Packages of pixi have no info/recipe: hash_input.json fills in where depends says only python.",
        drops=frozenset({STRAY}),
        kinds={"foreign-tag": 1},
    ),
    Scenario(
        "evidence-rendered-recipe",
        PackageSpec(
            "rendered",
            depends=("python",),
            files=BOTH_TAGS,
            info={"info/recipe/rendered_recipe.yaml": RENDERED_RECIPE},
        ),
        "The recipe itself asks for python in the host environment, and rattler-build records which one it got.",
        drops=frozenset({STRAY}),
        kinds={"foreign-tag": 1},
    ),
    Scenario(
        "evidence-rendered-recipe-transitive",
        PackageSpec(
            "rendered",
            depends=("python",),
            files=BOTH_TAGS,
            info={
                "info/recipe/rendered_recipe.yaml": RENDERED_RECIPE.replace(
                    b"- variant: python\n      spec: python 3.11.* *_cpython", b"- source: pip"
                )
            },
        ),
        "The host environment has python because pip needs it: the package itself may be for another one.",
    ),
    Scenario(
        "evidence-conda-build-config",
        PackageSpec(
            "configured",
            depends=("python",),
            files=BOTH_TAGS,
            info={"info/recipe/conda_build_config.yaml": b"python: 3.11.* *_cpython\npython_impl: cpython\n"},
        ),
        "The feedstock's value, which need not be what the package was built with.",
    ),
    Scenario(
        "evidence-build-string",
        PackageSpec("pytorch", build="cuda126_mkl_py311_h5dc7ac5_309", depends=("python",), files=BOTH_TAGS),
        "Only the middle of the build string tells.",
        drops=frozenset({STRAY}),
        kinds={"foreign-tag": 1},
    ),
    Scenario(
        "evidence-weak-outside-of-versioned-trees",
        PackageSpec(
            "tool",
            build="py311h1234567_0",
            depends=("python >=3.8",),
            files=BOTH_TAGS
            | modules("share/tool", "run", tags=("cpython-310", "cpython-312"))
            | modules("lib/python3.10/site-packages", "m/b", tags=("cpython-311",)),
        ),
        "Built with 3.11, but any Python from 3.8 on may run share/tool; lib/python3.11 is 3.11's alone.",
        drops=frozenset({STRAY, "lib/python3.10/site-packages/m/__pycache__/b.cpython-311.pyc"}),
        kinds={"foreign-tag": 1, "foreign-path": 1},
    ),
    Scenario(
        "evidence-hash-input-of-a-package-without-python",
        PackageSpec(
            "library",
            files=modules(SITE, "own", tags=CP311)
            | modules(SITE, "used", tags=CP311, sources=False)
            | {"lib/liba.so": b"\x7fELF"},
            info={"info/hash_input.json": json.dumps({"python": "3.11.* *_cpython"}).encode()},
        ),
        "Python took part in the build, but the index names none: cached bytecode without its source is a stray.",
        drops=frozenset({cached(f"{SITE}/used.py", "cpython-311")}),
        kinds={"no-variant": 1},
    ),
    Scenario(
        "evidence-cpython-metapackage",
        PackageSpec("meta", depends=("cpython >=3.11,<3.12.0a0",), files=BOTH_TAGS),
        "A dependency on cpython pins the version as one on python does.",
        drops=frozenset({STRAY}),
        kinds={"foreign-tag": 1},
    ),
    Scenario(
        "unknown-pyston",
        PackageSpec(
            "fast",
            build="py38h1234567_0",
            depends=("python >=3.8,<3.9.0a0", "python_abi 3.8 *_23_pyston"),
            files=modules("lib/python3.8/site-packages", "fast", tags=("cpython-38", "cpython-39")),
        ),
        "Pyston is not CPython: which of the files it reads is not known.",
    ),
    Scenario(
        "evidence-graalpy-release",
        PackageSpec(
            "numpy",
            build="py310h60c9533_0",
            depends=("python >=3.10,<3.11.0a0", "python_abi 3.10.* *_graalpy231_310_native"),
            files=modules("lib/python3.10/site-packages", "numpy/__init__", tags=("graalpy230-310",)),
        ),
        "GraalPy 23.1 does not read the bytecode of 23.0, though both are Python 3.10.",
        drops=frozenset({"lib/python3.10/site-packages/numpy/__pycache__/__init__.graalpy230-310.pyc"}),
        kinds={"foreign-tag": 1},
    ),
    Scenario(
        "unknown-impossible-build-string",
        PackageSpec("pip", "99.99.99", "py399_0", depends=("python",), files=BOTH_TAGS),
        "There is no Python 3.99: unknown, everything stays.",
    ),
    Scenario(
        "unknown-range",
        PackageSpec("ranged", depends=("python >=3.10,<3.13.0a0",), files=BOTH_TAGS),
        "Several minor versions fit: unknown, everything stays.",
    ),
    Scenario(
        "unknown-range-with-foreign-tree",
        PackageSpec(
            "ranged",
            depends=("python >=3.9",),
            files=BOTH_TAGS | modules("lib/python3.10/site-packages", "m/a", tags=("cpython-310", "cpython-311")),
        ),
        "Unknown variant: no foreign-* rule may fire.",
    ),
    Scenario(
        "contradiction-build-string",
        PackageSpec("torn", build="py310h1234567_0", depends=conda_forge("3.11"), files=BOTH_TAGS),
        "The dependencies say 3.11, the build string 3.10, and a file would be dropped.",
        refused=True,
    ),
    Scenario(
        "contradiction-build-string-that-no-file-supports",
        PackageSpec(
            "renamed",
            build="py310h1234567_0",
            depends=conda_forge("3.11"),
            files=modules(SITE, "m/__init__", "m/a", tags=CP311),
        ),
        "Every file agrees with the dependencies: clean, with a note.",
    ),
    Scenario(
        "contradiction-two-abis",
        PackageSpec(
            "torn",
            build="h1234567_0",
            depends=("python_abi 3.10.* *_cp310", "python_abi 3.11.* *_cp311"),
            files=BOTH_TAGS,
        ),
        "Two python_abi that cannot both be installed.",
        refused=True,
    ),
    Scenario(
        "contradiction-without-bytecode",
        PackageSpec("torn", build="py310h1234567_0", depends=conda_forge("3.11"), files=modules(SITE, "m/a")),
        "The same contradiction decides nothing where there is no bytecode.",
    ),
    Scenario(
        "unknown-magic-kept",
        PackageSpec(
            "odd",
            build="py311h1234567_0",
            depends=conda_forge("3.11"),
            files=modules(SITE, "odd") | {f"{SITE}/odd.pyc": File(pyc("cpython-311", "odd", magic=UNKNOWN_MAGIC))},
        ),
        "A magic number of no known Python is never a reason to drop.",
        payload=True,
    ),
    Scenario(
        "noarch-generic",
        PackageSpec(
            "data",
            build="0",
            subdir="noarch",
            index_extra={"noarch": "generic", "arch": None, "platform": None},
            files=modules("share/data", "plugin", tags=CP311),
        ),
        "No Python declared, but the bytecode lies outside of any Python tree.",
    ),
)

CODEGEN = (
    "codegen/__init__", "codegen/codegen", "codegen/codegen_docbook", "codegen/codegen_main", "codegen/codegen_rst",
    "codegen/config", "codegen/dbustypes", "codegen/parser", "codegen/utils", "gdb/glib_gdb", "gdb/gobject_gdb",
)  # fmt: skip
XCBGEN = "lib/python3.11/site-packages/xcbgen/"
XCBGEN_MODULES = ("__init__", "align", "error", "expr", "matcher", "state", "xtypes")
PIP_MODULES = ("pip/__init__", "pip/__main__", "pip/_internal/__init__", "pip/_internal/cache", "pip/_vendor/six")


def recipe_of_conda_build(configured: str, *host: str) -> dict[str, bytes]:
    """The recipe that conda-build packs: the feedstock's python, and the solved host environment."""
    environment = "".join(f"    - {spec}\n" for spec in host)
    return {
        "info/recipe/conda_build_config.yaml": f"python: {configured}\n".encode(),
        "info/recipe/meta.yaml": f"requirements:\n  host:\n{environment}".encode(),
    }


MISJUDGED = (
    Scenario(
        "real-glib-2.74.1-win-64",
        PackageSpec(
            "glib",
            "2.74.1",
            "h12be248_0",
            subdir="win-64",
            depends=("glib-tools 2.74.1 h12be248_0", "libglib 2.74.1 h79619a9_0", "python *"),
            files=modules("Library/share/glib-2.0", *CODEGEN, tags=CP311) | {"Library/bin/gdbus-codegen": b"#!"},
            info=recipe_of_conda_build(
                "3.9.* *_cpython", "libffi 3.4.2 h8ffe710_5", "python 3.11.0 hcf16a7b_0_cpython"
            ),
        ),
        "Works with any Python. The recipe says 3.9 in one place, and 3.11 in another: all 11 files stay.",
    ),
    Scenario(
        "real-gstreamer-1.21.1-win-64",
        PackageSpec(
            "gstreamer",
            "1.21.1",
            "h6b5321d_1",
            subdir="win-64",
            depends=("gettext >=0.21.1,<1.0a0", "glib >=2.74.1,<3.0a0", "libglib >=2.74.1,<3.0a0"),
            files=modules("Library/share/gstreamer-1.0/gdb", "glib_gobject_helper", "gst_gdb", tags=CP311),
            info=recipe_of_conda_build("3.9.* *_cpython", "glib 2.74.1 h12be248_0", "python 3.11.0 hcf16a7b_0_cpython"),
        ),
        "Names no Python; the host environment has one because glib needs it.",
    ),
    Scenario(
        "real-libxcb-1.15-osx-arm64",
        PackageSpec(
            "libxcb",
            "1.15",
            "hf346824_0",
            subdir="osx-arm64",
            depends=("pthread-stubs", "xorg-libxau", "xorg-libxdmcp"),
            files=modules(XCBGEN, *XCBGEN_MODULES, tags=("cpython-310",), sources=False)
            | {"lib/libxcb.1.dylib": b"\xcf\xfa\xed\xfe", "include/xcb/xcb.h": "x"},
            info=recipe_of_conda_build("3.9.* *_cpython", "python 3.11.0 h3ba56d0_1_cpython", "xcb-proto 1.15.1 h0_0"),
        ),
        "Names no Python and has no sources: what xcb-proto's modules left behind in the build.",
        drops=paths(f"{XCBGEN}__pycache__/", *(f"{name}.cpython-310.pyc" for name in XCBGEN_MODULES)),
        kinds={"no-variant": 7},
    ),
    Scenario(
        "real-pip-21.2.4-osx-64",
        PackageSpec(
            "pip",
            "21.2.4",
            "py37hecd8cb5_0",
            subdir="osx-64",
            depends=("python >=3.9,<3.10.0a0", "setuptools", "wheel"),
            files=modules("lib/python3.9/site-packages", *PIP_MODULES, tags=("cpython-39",)),
        ),
        "Only the build string says 3.7: clean, with a note.",
    ),
)
"""Real packages that recipes or build strings led astray, with the metadata that decides and their bytecode, shortened
for pip."""

VARIANTS = HEALTHY + EVIDENCE + MISJUDGED
