"""Synthetic results of an audit, as `audit` writes them."""

from __future__ import annotations

import random
from typing import Any

CHANNEL = "https://conda.anaconda.org/conda-forge"
_NAMES = 30_000
_SUBDIRS = ("linux-64", "linux-aarch64", "noarch", "osx-64", "osx-arm64", "win-64")


def result(number: int, choose: random.Random) -> dict[str, Any]:
    """Return a result as `audit` writes it."""
    name, subdir = f"package-{int(_NAMES * choose.random() ** 2)}", choose.choice(_SUBDIRS)
    python = choose.choice(("3.9", "3.10", "3.11", "3.12", "3.13"))
    build = f"py{python.replace('.', '')}h{number:07x}_0"
    file_name = f"{name}-1.{number % 50}.0-{build}.conda"
    url = f"https://conda.anaconda.org/conda-forge/{subdir}/{file_name}"
    tag = python.replace(".", "")
    findings: list[dict[str, Any]] = []
    for index in range(choose.randrange(1, 40) if choose.random() < 0.01 else 0):
        path = f"lib/python{python}/site-packages/{name}/__pycache__/m{index}.cpython-38.pyc"
        about = {"kind": "foreign-tag", "path": path, "size": choose.randrange(200, 40_000)}
        findings.append(about | {"detail": "cpython-38", "action": "drop", "fixed": False})
    size = sum(finding["size"] for finding in findings)
    kinds = {"foreign-tag": {"files": len(findings), "bytes": size}} if findings else {}
    package = {"name": name, "version": f"1.{number % 50}.0", "build": build, "subdir": subdir, "format": ".conda"}
    variant = {
        "python": python, "kind": "exact", "tags": [f"cpython-{tag}"], "trees": [f"python{python}"],
        "because": [f"python_abi {python}.* *_cp{tag}"], "inferred": [], "conflict": None,
    }  # fmt: skip
    summary = {
        "members": 60, "dropped": len(findings), "dropped_bytes": size, "corrected": 0, "restamped": 0, "kinds": kinds
    }  # fmt: skip
    return {
        "schema_version": 1, "path": url, "status": "findings" if findings else "clean", "package": package,
        "variant": variant, "deep": False, "summary": summary, "before": {"size": 970_000, "sha256": None},
        "after": None, "output": None, "compression": None, "findings": findings, "notes": [], "warnings": [],
        "seconds": 0.001, "records": [], "error": None, "channel": "https://conda.anaconda.org/conda-forge",
        "subdir": subdir, "file_name": file_name, "sha256": f"{number:064x}",
        "uploaded": f"20{choose.randrange(20, 26)}-{choose.randrange(1, 13):02}-10T12:00:00Z",
        "feedstock": name.replace("package", "feedstock"), "rules_version": "0.1.0", "judged_from": "info",
    }  # fmt: skip
