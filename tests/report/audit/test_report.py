"""`report` of audits: the last result of each package counts, and the sums are those of the results."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ...executable import EXECUTABLE, run
from .results import result


def results(count: int, seed: int = 0) -> list[dict[str, Any]]:
    choose = random.Random(seed)
    return [result(number, choose) for number in range(count)]


def with_findings(count: int) -> list[dict[str, Any]]:
    """Return the first results with findings, the worst first."""
    found = [entry for entry in results(100 * count + 1000) if entry["status"] == "findings"][:count]
    assert len(found) == count
    return sorted(found, key=lambda entry: -entry["summary"]["dropped_bytes"])


def failure(number: int, status: str = "error") -> dict[str, Any]:
    entry = result(number, random.Random(1))
    nothing: dict[str, Any] = {
        "package": None, "variant": None, "findings": [], "judged_from": None, "feedstock": None,
        "summary": entry["summary"] | {"dropped": 0, "dropped_bytes": 0, "kinds": {}},
    }  # fmt: skip
    return entry | nothing | {"status": status, "error": f"reason {status}"}


def write(path: Path, entries: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), "ascii")
    return path


def report(*paths: Path, format: str = "text") -> str:
    return run("report", *paths, "--format", format).stdout


def test_the_sums_are_those_of_the_results(tmp_path: Path) -> None:
    entries = results(3000)
    path = write(tmp_path / "a.jsonl", [*entries, failure(5000), failure(5001, "skipped")])
    rows = read_page(report(path, format="html"))
    affected = [entry for entry in entries if entry["findings"]]
    assert len(affected) > 10
    for id, key in (("subdirs", "subdir"), ("feedstocks", "feedstock")):
        for value in {entry[key] for entry in affected}:
            of_it = [entry for entry in entries if entry[key] == value]
            size = sum(entry["summary"]["dropped_bytes"] for entry in of_it)
            files = sum(entry["summary"]["dropped"] for entry in of_it)
            (row,) = [row for row in rows[id] if row[0] == value]
            assert row[1] == len(of_it)
            assert (row[4], row[5], row[6]) == (files, size, round(0.2 * size))
    assert sum(row[5] for row in rows["months"]) == sum(row[5] for row in rows["names"])
    assert [row[0] for row in rows["months"]] == sorted(row[0] for row in rows["months"])
    assert sum(row[-1] for row in rows["subdirs"]) == 2


def read_page(page: str) -> dict[str, list[list[Any]]]:
    """Return the rows of each table of a page by its id."""
    data = page.split('<script type="application/json" id="data">')[1].split("</script>", maxsplit=1)[0]
    return {table["id"]: table["rows"] for table in json.loads(data)}


@pytest.mark.parametrize("format", ["text", "markdown", "html"])
def test_a_resumed_run_gives_the_same_report(format: str, tmp_path: Path) -> None:
    entries = results(1000)
    failed = [
        failure(0) | {key: entry[key] for key in ("channel", "subdir", "file_name", "sha256")}
        for entry in entries[10:20]
    ]
    once = write(tmp_path / "once.jsonl", entries)
    resumed = write(tmp_path / "resumed.jsonl", [*entries[500:], *failed, *reversed(entries[:500])])
    expected = report(once, format=format)
    assert report(resumed, format=format) == expected
    parts = [write(tmp_path / f"{number}.jsonl", entries[number::3]) for number in range(3)]
    assert report(*parts, format=format) == expected


def test_the_last_line_of_a_package_counts(tmp_path: Path) -> None:
    worst = with_findings(1)[0]
    clean = failure(0) | {key: worst[key] for key in ("channel", "subdir", "file_name", "sha256")}
    path = write(tmp_path / "a.jsonl", [worst, clean])
    assert "0 packages judged, 1 failed" in report(path)
    assert "1 package judged\n" in report(write(tmp_path / "b.jsonl", [clean, worst]))
    later = write(tmp_path / "c.jsonl", [clean])
    assert "0 packages judged, 1 failed" in report(tmp_path / "b.jsonl", later)


def test_a_partial_last_line_is_left_out(tmp_path: Path) -> None:
    entries = results(50)
    whole = write(tmp_path / "whole.jsonl", entries)
    partial = write(tmp_path / "partial.jsonl", entries)
    with partial.open("a") as file:
        file.write(json.dumps(result(99, random.Random(0)))[:200])
    assert report(partial) == report(whole)


def test_lines_longer_than_a_piece_are_read(tmp_path: Path) -> None:
    """A result is longer than what is read at a time, and so are all lines together."""
    entries = with_findings(3)
    finding = entries[1]["findings"][0]
    entries[1]["findings"] = [finding | {"path": f"{number}/{finding['path']}"} for number in range(15_000)]
    path = write(tmp_path / "a.jsonl", [*results(2000, 7), *entries])
    assert path.stat().st_size > 4 << 20
    assert "15,000" in report(path)


def test_a_line_that_is_no_result_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", results(5))
    with path.open("a") as file:
        file.write('{"schema_version": 2}\n\nnonsense\n')
    done = run("report", path, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {path}: line 6 is not a result of an audit (and 1 other line): ")
    assert done.stderr.endswith("; remove them, and run the audit again with --resume\n")
    assert "5 packages judged" in done.stdout


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "it is not JSON"),
        ("5", "it is not a JSON object"),
        ("{}", "it has no 'status'"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"schema_version": 2, "status": "clean"}', "it has schema version 2, and this conda-prune reads 1"),
        ('{"schema_version": 1, "status": 5}', "unknown status 5 of an audit"),
    ],
)
def test_the_reason_is_not_an_error_of_python(line: str, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", results(2))
    with path.open("a") as file:
        file.write(f"{line}\n")
    done = run("report", path, check=False)
    advice = "remove it, and run the audit again with --resume"
    assert done.stderr == f"error: {path}: line 3 is not a result of an audit: {reason}; {advice}\n"


@pytest.mark.parametrize("change", [{"findings": [{"kind": "x", "action": "drop", "size": 1}]}, {"summary": None}])
def test_a_result_that_does_not_fit_into_parquet_is_left_out(change: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [*results(2), results(3)[2] | change])
    done = run("report", path, "--format", f"parquet={tmp_path / 'x'}", check=False)
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {path}: line 3 is not a result of an audit: ")
    assert (tmp_path / "x").stat().st_size > 0


@pytest.mark.parametrize("change", [{"status": "x"}, {"findings": 3}, {"uploaded": 3}, {"package": []}, {"path": 1}])
def test_a_result_of_another_shape_is_an_error(change: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [*results(2), results(3)[2] | change])
    for format in ("text", f"parquet={tmp_path / 'x'}"):
        done = run("report", path, "--format", format, check=False)
        assert done.returncode == 3
        assert "Traceback" not in done.stderr


def test_standard_input_and_pipes_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", results(100))
    with path.open("rb") as file:
        piped = subprocess.run([EXECUTABLE, "report", "-"], stdin=file, capture_output=True, text=True, check=True)
    assert piped.stdout == report(path)


def test_several_formats_are_written_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", results(1000))
    done = run("report", path, "--format", f"html={tmp_path / 'r.html'}", "--format", "text")
    assert done.stdout == report(path)
    assert (tmp_path / "r.html").read_text("utf-8") == report(path, format="html")


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        (["json"], "format 'json'"),
        (["text", "html"], "only one can go to standard output"),
        (["html=x.conda"], "the name of a package"),
        (["html=a.jsonl"], "the command reads it"),
    ],
)
def test_formats_that_cannot_be_written_are_refused(formats: list[str], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", results(3))
    before = path.read_bytes()
    arguments = [argument for format in formats for argument in ("--format", format)]
    done = subprocess.run(
        [EXECUTABLE, "report", path.name, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert path.read_bytes() == before


def test_runs_and_audits_are_not_mixed(tmp_path: Path) -> None:
    audit = write(tmp_path / "a.jsonl", results(3))
    other = dict(results(1)[0])
    del other["judged_from"]
    check = write(tmp_path / "b.jsonl", [other])
    done = run("report", audit, check, check=False)
    assert done.returncode == 2
    assert "report them one by one" in done.stderr
    done = run("report", check, "--format", f"parquet={tmp_path / 'x'}", check=False)
    assert done.returncode == 2


def kept(path: Path, code: int, *arguments: object) -> str:
    """Assert that a report fails and leaves the file, and the directory, as they were; return what it says."""
    path.write_text("keep")
    before = sorted(os.listdir(path.parent))
    done = run("report", *arguments, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert path.read_text() == "keep"
    assert sorted(os.listdir(path.parent)) == before
    return done.stderr


def test_a_report_that_fails_leaves_its_file_as_it_was(tmp_path: Path) -> None:
    audit = write(tmp_path / "a.jsonl", results(3))
    other = dict(results(1)[0])
    del other["judged_from"]
    check = write(tmp_path / "b.jsonl", [other])
    bad = write(tmp_path / "c.jsonl", [other | {"judged_from": "info", "status": "x"}])
    path = tmp_path / "keep"
    assert "only results of audits" in kept(path, 2, check, "--format", f"parquet={path}")
    assert f"{tmp_path / 'missing'}: " in kept(path, 3, tmp_path / "missing", "--format", f"html={path}")
    assert "report them one by one" in kept(path, 2, audit, check, "--format", f"html={path}")
    assert "is not a result of an audit" in kept(path, 3, bad, "--format", f"html={path}")
    assert "no format 'x'" in kept(path, 2, audit, "--format", f"html={path}", "--format", "x")
    other_path = tmp_path / "missing" / "x.html"
    message = kept(path, 2, audit, "--format", f"html={path}", "--format", f"markdown={other_path}")
    assert f"markdown={other_path}: No such file or directory" in message


@pytest.mark.skipif(os.name == "nt", reason="Windows has no ulimit")
@pytest.mark.parametrize("format", ["html", "parquet"])
def test_a_report_that_cannot_be_written_completely_leaves_its_file_as_it_was(format: str, tmp_path: Path) -> None:
    audit = write(tmp_path / "a.jsonl", results(3000))
    path = tmp_path / "keep"
    path.write_text("keep")
    command = f"ulimit -f 4; exec {EXECUTABLE} report {audit} --format {format}={path}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr == f"error: {path} cannot be written: File too large\n"
    assert path.read_text() == "keep"
    assert sorted(os.listdir(tmp_path)) == ["a.jsonl", "keep"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions, and links need a privilege there")
def test_a_report_keeps_modes_and_links(tmp_path: Path) -> None:
    audit = write(tmp_path / "a.jsonl", results(30))
    expected = report(audit, format="html")
    for name in ("plain", "target", "hard"):
        (tmp_path / name).write_text("x" * 1_000_000)
        (tmp_path / name).chmod(0o640)
    (tmp_path / "symbolic").symlink_to("target")
    (tmp_path / "dangling").symlink_to("made")
    os.link(tmp_path / "hard", tmp_path / "other")
    names = ("plain", "symbolic", "dangling", "hard", "new")
    for name in names:
        assert run("report", audit, "--format", f"html={tmp_path / name}").stderr == ""
        assert (tmp_path / name).read_text("utf-8") == expected
    assert (tmp_path / "symbolic").is_symlink()
    assert (tmp_path / "dangling").is_symlink()
    assert (tmp_path / "other").read_text("utf-8") == expected
    for name in ("plain", "target", "hard"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o640
    (tmp_path / "fresh").touch()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "fresh").stat().st_mode
    assert sorted(os.listdir(tmp_path)) == sorted([*names, "a.jsonl", "target", "made", "other", "fresh"])


@pytest.mark.skipif(os.name == "nt", reason="Windows needs a privilege to make links")
def test_two_formats_in_one_file_are_refused(tmp_path: Path) -> None:
    audit = write(tmp_path / "a.jsonl", results(3))
    path = tmp_path / "keep"
    path.touch()
    os.link(path, tmp_path / "linked")
    arguments = ("--format", f"html={path}", "--format", f"markdown={tmp_path / 'linked'}")
    assert "two formats cannot be written to one file" in kept(path, 2, audit, *arguments)


def test_names_from_packages_are_harmless(tmp_path: Path) -> None:
    entry = with_findings(1)[0]
    evil = "</script><img src=x onerror=alert(1)>\x1b[31m\u202e|::error::"
    entry |= {"file_name": evil, "feedstock": evil, "subdir": evil, "channel": evil}
    entry["package"] |= {"name": evil}
    path = write(tmp_path / "a.jsonl", [entry])
    for format in ("text", "markdown", "html"):
        page = report(path, format=format)
        assert "\x1b" not in page
        assert "\u202e" not in page
        assert format != "html" or "<img" not in page
        assert format == "html" or not any(line.startswith("::") for line in page.splitlines())


def test_the_page_is_the_same_in_every_encoding(tmp_path: Path) -> None:
    entry = with_findings(1)[0] | {"channel": "https://example.org/é→"}
    path = write(tmp_path / "a.jsonl", [entry])
    done = run("report", path, "--format", "html", PYTHONIOENCODING="ascii")
    assert done.stdout == report(path, format="html")
    assert done.stdout.isascii()
    assert "&#233;" in done.stdout


def test_sizes_that_are_not_known_are_said_to_be(tmp_path: Path) -> None:
    entry = with_findings(1)[0]
    findings = [finding | {"size": 0} for finding in entry["findings"]]
    path = write(tmp_path / "a.jsonl", [entry | {"judged_from": "paths", "findings": findings}])
    assert "are not known" in report(path)
    assert "unpacked" not in report(path).splitlines()[1]
    assert "By Python: stray files" in report(path, format="html")


def test_what_a_page_leaves_out_is_counted(tmp_path: Path) -> None:
    entries = with_findings(25)
    text = report(write(tmp_path / "a.jsonl", entries))
    assert "5 more are not shown" in text
    assert entries[0]["file_name"] in text
    assert entries[-1]["file_name"] not in text


@pytest.mark.parametrize("files", [1, 3])
def test_a_report_is_fast(files: int, tmp_path: Path) -> None:
    """30,000 results; the limit of 60 s for a million leaves 1.8 s, and this machine may be ten times as slow."""
    paths = [write(tmp_path / f"{number}.jsonl", results(30_000 // files, number)) for number in range(files)]
    began = time.perf_counter()
    report(*paths, format="html")
    assert time.perf_counter() - began < 18


@pytest.mark.skipif(os.name == "nt", reason="Windows has no /dev/full")
def test_a_report_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    path = write(tmp_path / "a.jsonl", results(3))
    for format in ("html", "parquet"):
        done = run("report", path, "--format", f"{format}=/dev/full", check=False)
        assert done.returncode == 3
        assert "Traceback" not in done.stderr
