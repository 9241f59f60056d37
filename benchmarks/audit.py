"""Measures `conda-prune audit`: a channel of synthetic packages with real metadata, behind nginx on the loopback.

    python benchmarks/audit.py DIR [--packages 3000]

Makes the channel in DIR if it is not there, indexes it with py-rattler, and prints packages a second, requests and
bytes for each package (from nginx's log), the processor time without nginx's, and the most memory that a process of the
run took. Then the same packages are read with conda-package-streaming and judged by the same function, one after the
other in one process, for ratios: of the time that passed, and of the processor time, which other work changes less.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.audit.servers import nginx  # noqa: E402
from tests.channels import index_with_rattler  # noqa: E402
from tests.corpus.entries import PackageSpec  # noqa: E402
from tests.corpus.packages import write_package  # noqa: E402

SUBDIR = "linux-64"
_MOST_FILES = 500
_LEVEL = 1


def make_channel(directory: Path, count: int) -> Path:
    """Return a channel of so many packages: the metadata of real ones, and random payloads of 1 MB on average."""
    channel = directory / f"channel-{count}"
    if channel.exists():
        return channel
    partial = directory / f"channel-{count}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / SUBDIR).mkdir(parents=True)
    with lzma.open(ROOT / "testdata" / "real.jsonl.xz", "rt", encoding="utf-8") as lines:
        real = [json.loads(line) for line in lines]
    real = [index for index in real if len(index["paths"]) <= _MOST_FILES]
    choose = random.Random(0)
    for number in range(count):
        index = real[number % len(real)]
        files: dict[str, bytes] = dict.fromkeys(index["paths"], b"")
        files["share/payload"] = choose.randbytes(int(choose.lognormvariate(13.3, 1)))
        spec = PackageSpec(
            index["name"],
            f"{index['version']}.{number}",
            index["build"],
            SUBDIR,
            tuple(index.get("depends", ())),
            files,
            index_extra={"noarch": index.get("noarch")},
        )
        write_package(spec, partial / SUBDIR, level=_LEVEL)
    index_with_rattler(partial)
    partial.rename(channel)
    return channel


class Cost(NamedTuple):
    """What a run took: seconds that passed, and seconds of processor time."""

    seconds: float
    processor: float


def run_audit(url: str, output: Path) -> tuple[Cost, int]:
    """Return what a run took, and the most memory that one of its processes took, in bytes."""
    output.unlink(missing_ok=True)
    before, began = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "conda_prune", "audit", f"{url}/{SUBDIR}", "-o", str(output), "-q"]
    subprocess.run(command, check=True, cwd=ROOT)
    seconds, after = time.perf_counter() - began, os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(seconds, processor), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def read_with_streaming(url: str, names: list[str]) -> Cost:
    """Return what conda-package-streaming and our judgement take for these packages."""
    from conda_package_streaming.url import conda_reader_for_url, stream_conda_info

    from conda_prune.audit.item import item_at
    from conda_prune.audit.judge import judge_texts
    from conda_prune.audit.settings import Settings
    from conda_prune.judgement.contents import METADATA

    assert conda_reader_for_url is not None
    settings = Settings()
    began, before = time.perf_counter(), time.process_time()
    for name in names:
        texts: dict[str, bytes] = {}
        for tar, member in stream_conda_info(f"{url}/{SUBDIR}/{name}"):
            if member.name in METADATA:
                content = tar.extractfile(member)
                texts[member.name] = content.read() if content is not None else b""
        judge_texts(item_at(f"{url}/{SUBDIR}/{name}"), texts, settings.options, settings.limits)
    return Cost(time.perf_counter() - began, time.process_time() - before)


def requests_and_bytes(log: Path) -> tuple[int, int]:
    """Return the number of requests for packages in nginx's log, and the bytes that were sent for them."""
    found = re.findall(r'"GET [^"]+\.conda HTTP/[\d.]+" 206 (\d+)', log.read_text(encoding="utf-8"))
    return len(found), sum(map(int, found))


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--packages", type=int, default=3000)
    arguments: Any = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    channel = make_channel(arguments.directory, arguments.packages)
    names = sorted(name for name in os.listdir(channel / SUBDIR) if name.endswith(".conda"))
    total = sum(os.path.getsize(channel / SUBDIR / name) for name in names)
    with nginx(channel) as server:
        cost, memory = run_audit(server.url, arguments.directory / "results.jsonl")
        requests, sent = requests_and_bytes(server.log)
        few = names[:: max(1, len(names) // 300)]
        streaming = read_with_streaming(server.url, few)
    lines = (arguments.directory / "results.jsonl").read_text(encoding="utf-8").splitlines()
    statuses = [json.loads(line)["status"] for line in lines]
    assert len(statuses) == len(names)
    print(f"packages: {len(names)}, {total / len(names) / 1e6:.2f} MB on average")
    print(
        f"packages a second: {len(names) / cost.seconds:.0f} ({cost.seconds:.1f} s), "
        f"peak memory {memory / 2**20:.0f} MiB"
    )
    print(f"processor time: {cost.processor:.1f} s, {1000 * cost.processor / len(names):.2f} ms for each package")
    print(f"requests per package: {requests / len(names):.3f}, bytes per package: {sent / len(names) / 1024:.1f} KiB")
    print(f"share of the channel's bytes transferred: {100 * sent / total:.1f} %")
    passed = streaming.seconds / len(few) / (cost.seconds / len(names))
    processor = streaming.processor / len(few) / (cost.processor / len(names))
    print(f"conda-package-streaming takes {passed:.1f} times as long, {processor:.1f} times the processor time")
    print(f"not judged: {len(statuses) - statuses.count('clean') - statuses.count('findings')}")


if __name__ == "__main__":
    main()
