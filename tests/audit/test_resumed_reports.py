"""What `report` says after `--resume`: the same as if nothing had gone wrong before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ..channels import SUBDIR, write_stray
from ..executable import run
from ..report.test_schema import VALIDATOR
from .conftest import audit, names, results
from .servers import FaultyServer


def report(*paths: Path) -> str:
    return run("report", *paths).stdout


def no_index(server: FaultyServer) -> None:
    server.fault = lambda request: "404" if "repodata" in request.path else ""


def no_fault(server: FaultyServer) -> None:
    server.fault = lambda request: ""


def test_a_source_that_is_listed_by_the_second_run_is_not_reported(channel: Path, tmp_path: Path) -> None:
    output, once = tmp_path / "out.jsonl", tmp_path / "once.jsonl"
    with FaultyServer(channel).running() as server:
        source = f"{server.url}/{SUBDIR}"
        no_index(server)
        assert audit(output, source).returncode == 3
        assert "1 source could not be listed" in report(output)
        (failure,) = results(output).values()
        assert (failure["channel"], failure["subdir"]) == (server.url, SUBDIR)
        assert "shard" not in failure
        no_fault(server)
        assert audit(output, source, "--resume").returncode == 0
        audit(once, source)
    assert report(output) == report(once)


@pytest.mark.parametrize("joined", [True, False])
def test_shards_that_were_resumed_give_the_report_of_one_run(joined: bool, channel: Path, tmp_path: Path) -> None:
    once, parts = tmp_path / "once.jsonl", [tmp_path / f"{number}.jsonl" for number in (1, 2, 3)]
    whole = tmp_path / "whole.jsonl"

    def reported() -> str:
        whole.write_bytes(b"".join(part.read_bytes() for part in parts))
        return report(whole) if joined else report(*parts)

    with FaultyServer(channel).running() as server:
        source = f"{server.url}/{SUBDIR}"
        for number, part in enumerate(parts, 1):
            (no_fault if number == 3 else no_index)(server)
            audit(part, source, "--shard", f"{number}/3")
        (failure,) = results(parts[0]).values()
        VALIDATOR.validate(failure)
        assert failure["shard"] == "1/3"
        assert "1 source could not be listed" in reported()
        no_fault(server)
        audit(parts[1], source, "--shard", "2/3", "--resume")
        assert "1 source could not be listed" in reported()
        audit(parts[0], source, "--shard", "1/3", "--resume")
        audit(once, source)
    assert reported() == report(once)
    assert f"{len(names(channel, '.conda'))} packages judged" in report(once)


def test_a_package_that_was_repaired_counts_once(tmp_path: Path) -> None:
    subdir = tmp_path / "output" / SUBDIR
    subdir.mkdir(parents=True)
    write_stray(subdir, "stray")
    output = tmp_path / "out.jsonl"
    audit(output, tmp_path / "output")
    assert "1 package (100.00 %) with 1 stray file" in report(output)
    run("fix", "--in-place", tmp_path / "output")
    audit(output, tmp_path / "output", "--resume")
    assert len(output.read_text().splitlines()) == 2
    audit(tmp_path / "once.jsonl", tmp_path / "output")
    assert report(output) == report(tmp_path / "once.jsonl")
    assert report(output).startswith("1 package judged\nno stray files")


def test_a_local_package_that_was_missing_at_first_counts_once(tmp_path: Path) -> None:
    subdir = tmp_path / "output" / SUBDIR
    subdir.mkdir(parents=True)
    write_stray(subdir, "stray")
    listed = tmp_path / "urls.txt"
    listed.write_text(f"{(tmp_path / 'output').as_uri()}/{SUBDIR}/gone-1-0.conda\n")
    output = tmp_path / "out.jsonl"
    assert audit(output, listed).returncode == 3
    shutil.copy(next(subdir.iterdir()), subdir / "gone-1-0.conda")
    audit(output, listed, "--resume")
    assert "1 package judged\n" in report(output)
