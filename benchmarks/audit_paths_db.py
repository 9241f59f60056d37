"""Measures `conda-prune audit --paths-db` on a synthetic database: 2 million paths of 50,000 packages.

    python benchmarks/audit_paths_db.py DIR [--builds 20]

Each path is in one to so many packages, as in successive builds of the same version: with 20, in 10.5 on average, which
makes 420 paths for each package; with 1, in one, which makes 40. Prints seconds and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.audit.servers import FaultyServer  # noqa: E402

_PACKAGES, _PATHS, _SUBDIR = 50_000, 2_000_000, "linux-64"


def make(directory: Path, builds: int) -> None:
    """Write the database and the channel's repodata.json."""
    choose = random.Random(0)
    records = {}
    with sqlite3.connect(directory / "paths.db") as connection:
        connection.execute("CREATE TABLE Artifacts (id INTEGER PRIMARY KEY, artifact TEXT UNIQUE, timestamp INTEGER)")
        connection.execute("CREATE TABLE PathToArtifactIds (path TEXT PRIMARY KEY, basename TEXT, artifact_ids TEXT)")
        for number in range(_PACKAGES):
            name, build = f"package-{number // builds}", f"py311h{number:07x}_0"
            records[f"{name}-1.0-{build}.conda"] = {
                "name": name, "version": "1.0", "build": build, "build_number": 0, "subdir": _SUBDIR,
                "depends": ["python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311"], "timestamp": 1704067200000,
                "sha256": f"{number:064x}", "md5": f"{number:032x}", "size": 1000,
            }  # fmt: skip
            connection.execute(
                "INSERT INTO Artifacts VALUES (?, ?, 0)", (number + 1, f"cf/{_SUBDIR}/{name}-1.0-{build}")
            )
        for number in range(_PATHS):
            group = choose.randrange(_PACKAGES // builds)
            tag = "310" if number % 1000 == 0 else "311"
            module = f"m{number}/__pycache__/a.cpython-{tag}.pyc" if number % 3 == 0 else f"m{number}/a.py"
            ids = choose.sample(range(group * builds + 1, (group + 1) * builds + 1), choose.randint(1, builds))
            path = f"lib/python3.11/site-packages/{module}"
            row = (path, path.rpartition("/")[2], ",".join(map(str, sorted(ids))))
            connection.execute("INSERT INTO PathToArtifactIds VALUES (?, ?, ?)", row)
    connection.close()
    subdir = directory / "channel" / _SUBDIR
    subdir.mkdir(parents=True)
    repodata = {"info": {"subdir": _SUBDIR}, "packages": {}, "packages.conda": records, "repodata_version": 1}
    (subdir / "repodata.json").write_text(json.dumps(repodata))


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--builds", type=int, default=20)
    arguments: Any = parser.parse_args()
    directory: Path = arguments.directory / f"builds-{arguments.builds}"
    if not (directory / "channel").exists():
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "paths.db").unlink(missing_ok=True)
        make(directory, arguments.builds)
    output = directory / "results.jsonl"
    output.unlink(missing_ok=True)
    with FaultyServer(directory / "channel").running() as server:
        command = [sys.executable, "-m", "conda_prune", "audit", f"{server.url}/{_SUBDIR}", "-o", str(output)]
        began = time.perf_counter()
        subprocess.run([*command, "--paths-db", str(directory / "paths.db")], check=True, cwd=ROOT, env=os.environ)
        seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{_PATHS} paths, each in up to {arguments.builds} of {_PACKAGES} packages")
    print(f"{seconds:.1f} s, peak memory {memory:.0f} MiB")


if __name__ == "__main__":
    main()
