"""A package that is repaired in one pass, although it is small enough to try every system call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conda_prune import fix
from conda_prune.operations import one_pass
from tests.corpus.bytecode import pyc
from tests.corpus.crafted import BASE
from tests.corpus.entries import File
from tests.corpus.packages import write_package

ONE_PASS = {"conda_prune.operations.one_pass.LEAST": 0}
"""Without it, small packages are read before they are written."""
_SITE = "lib/python3.10/site-packages"
_STRAY = f"{_SITE}/m/__pycache__/stray.cpython-310.pyc"


def package_for_one_pass(folder: Path) -> Path:
    """Write the package, which unpacks to several of zstd's jobs, and make sure that one pass is enough for it."""
    files = {
        **BASE.files,
        "bin/a": File(b"before\n" * 300_000),
        _STRAY: File(pyc("cpython-310", _STRAY)),
        f"{_SITE}/m-1.dist-info/RECORD": File(b"m/__pycache__/stray.cpython-310.pyc,,\nm/a.py,,\n"),
        "share/z": File(b"after it\n" * 700_000),
    }
    package = write_package(replace(BASE, files=files), folder, level=1)
    real: Any = vars(one_pass)["rewrite_in_one_pass"]
    written: list[Any] = []

    def recorded(*arguments: Any) -> Any:
        written.append(real(*arguments))
        return written[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_pass, "LEAST", 0)
        patch.setattr(one_pass, "rewrite_in_one_pass", recorded)
        fix(package, output_dir=folder.parent / f"{folder.name}-tried", threads=2)
    assert written
    assert written[0] is not None
    return package
