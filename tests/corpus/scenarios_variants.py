"""Healthy packages of every variant, and variants that only lesser evidence tells, or none."""

from __future__ import annotations

import json

from .bytecode import UNKNOWN_MAGIC, modules, pyc
from .packages import File, PackageSpec
from .scenario import Scenario, conda_forge

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
    specs: []
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
        "rattler-build's rendered recipe holds the Python of the host environment.",
        drops=frozenset({STRAY}),
        kinds={"foreign-tag": 1},
    ),
    Scenario(
        "evidence-conda-build-config",
        PackageSpec(
            "configured",
            depends=("python",),
            files=BOTH_TAGS,
            info={"info/recipe/conda_build_config.yaml": b"python: 3.11.* *_cpython\npython_impl: cpython\n"},
        ),
        "conda-build's used variant.",
        drops=frozenset({STRAY}),
        kinds={"foreign-tag": 1},
    ),
    Scenario(
        "evidence-build-string",
        PackageSpec("pytorch", build="cuda126_mkl_py311_h5dc7ac5_309", depends=("python",), files=BOTH_TAGS),
        "Only the middle of the build string tells.",
        drops=frozenset({STRAY}),
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
        "depends says 3.11, the build string 3.10.",
        refused=True,
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

VARIANTS = HEALTHY + EVIDENCE
