"""The lines for people: what needs attention, within the width of a terminal, and one summary."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import pytest

from conda_prune import (
    Action,
    Finding,
    Format,
    Result,
    Size,
    Variant,
)
from conda_prune.model import Remainder
from conda_prune.report.output import Style
from conda_prune.report.text_report import TextReport, change_text

PYTHON_311 = Variant("exact", "3.11", because=("python 3.11.*",))
STRAY = Finding("foreign-path", "lib/python3.10/m.pyc", 2048, "lib/python3.10", Action.DROP)
COMMAND = "conda-prune fix --in-place output/"


class Terminal(io.StringIO):
    """A terminal that keeps what is printed."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def result(name: str, status: str = "findings", **fields: object) -> Result:
    findings = (STRAY,) if status in ("findings", "fixed") else ()
    values: dict[str, object] = {"format": Format.CONDA, "variant": PYTHON_311, "findings": findings}
    values |= {"before": Size(8 << 20, "")}
    return Result(f"output/{name}", status, **(values | fields))  # type: ignore[arg-type]


def printed(
    results: Sequence[Result], *, width: int = 0, monkeypatch: pytest.MonkeyPatch | None = None, **style: object
) -> list[str]:
    stream = Terminal() if width else io.StringIO()
    if width:
        assert monkeypatch is not None
        monkeypatch.setenv("COLUMNS", str(width))
    settings: dict[str, object] = {"command": "check", "repair_command": COMMAND}
    report = TextReport(stream, Style(**(settings | style)))  # type: ignore[arg-type]
    report.begin([each.path for each in results])
    for each in results:
        report.add(each)
    report.end()
    return stream.getvalue().splitlines()


NAMES = (
    "a-1-py311_0.conda",
    "a-package-with-a-rather-long-name-that-no-column-is-made-for-1.2.3-py311h1234567_0.conda",
)


def test_clean_packages_are_only_counted() -> None:
    assert printed([result(name, "clean") for name in NAMES]) == ["2 packages: nothing to repair."]


def test_a_prefix_is_not_called_a_package() -> None:
    assert printed([result("p", "clean")], command="prefix") == ["1 prefix: nothing to repair."]
    assert printed([result("p")], command="prefix")[2].startswith("1 of 1 prefix holds stray bytecode: 1 file, ")


def test_files_that_are_not_bytecode_are_called_files() -> None:
    source = STRAY._replace(kind="foreign-tree", path="lib/python3.10/m.py")
    lines = printed([result("a-1-py311_0.conda", findings=(STRAY, source))])
    assert lines[2] == "1 of 1 package holds stray files: 2 files, 4.0 KiB unpacked."


def test_each_package_is_one_line_outside_a_terminal() -> None:
    lines = printed([result(name) for name in NAMES])
    assert [line.split()[0] for line in lines[:2]] == list(NAMES)
    assert lines[2] == ""
    assert re.fullmatch(r"\S+ +8.0 MiB   Python 3.11   1 stray file, 2.0 KiB unpacked   foreign-path 1", lines[0]), (
        lines[0]
    )


@pytest.mark.parametrize("command", ["check", "fix"])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_lines_fit_a_terminal_and_names_are_whole(command: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    results = [
        *(result(name) for name in NAMES),
        result("b-1-0.conda", "refused", error="two statements contradict each other " * 5),
        result("c-1-0.conda", notes=("a note of many words " * 10,)),
        result("d-1-0.conda", remainders=(Remainder("foreign-tree", 12, 4096, "12 files"),)),
    ]
    lines = printed(results, width=width, monkeypatch=monkeypatch, command=command)
    assert all(len(line) <= width for line in lines if not any(name in line for name in (*NAMES, COMMAND)))
    text = "\n".join(lines)
    for each in results:
        assert each.path.removeprefix("output/") in text
    words = {word for each in results for word in f"{each.error or ''} {' '.join(each.notes)}".split()}
    assert words <= set(text.split()), "no word is cut"


def test_details_share_the_line_of_a_wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    packages = [result("a-1-py311_0.conda")]
    assert len(printed(packages, width=200, monkeypatch=monkeypatch)) == len(printed(packages))
    assert len(printed(packages, width=80, monkeypatch=monkeypatch)) == len(printed(packages)) + 1


def test_the_summary_adds_up_what_remains_and_names_one_command() -> None:
    remains = (Remainder("foreign-tree", 2, 1024, "2 files of another Python's tree remain"),)
    lines = printed([result(name, remainders=remains, notes=(remains[0].text,)) for name in NAMES])
    assert lines[3:] == [
        "2 of 2 packages hold stray bytecode: 2 files, 4.0 KiB unpacked.",
        "4 files of another Python's tree remain (2.0 KiB): use --extend-select foreign-tree to drop them.",
        f"To repair:  {COMMAND}",
        "To prevent: conda-prune explain foreign-path",
    ]


def test_a_repair_prints_sizes_and_percent() -> None:
    (line, _, summary) = printed(
        [result("a-1-0.conda", "fixed", after=Size(2 << 20, ""))], command="fix", repair_command=""
    )
    assert "8.0 MiB → 2.0 MiB, −75%   1 file dropped, 2.0 KiB unpacked   foreign-path 1" in line
    assert summary == "1 of 1 package repaired: 1 file, 2.0 KiB unpacked, 8.0 MiB → 2.0 MiB, −75%."


def test_failures_are_repeated_if_they_scrolled_away() -> None:
    failure = Result("output/bad.conda", "error", error="it is truncated")
    refusal = result("odd.conda", "refused", error="it contradicts itself")
    few, many = ([result(f"p{number}-1-0.conda") for number in range(count)] for count in (5, 50))
    assert not any("it is truncated" in line for line in printed([failure, *few]))
    lines = printed([failure, refusal, *many])
    assert "error: output/bad.conda: it is truncated" in lines
    assert "refused: output/odd.conda: it contradicts itself" in lines
    assert "1 package could not be processed." in lines
    assert "1 package contradicts itself and was left alone." in lines


def test_verbose_lists_every_file() -> None:
    lines = printed([result("a-1-0.conda"), result("b-1-0.conda", "clean")], verbose=True)
    assert "    drop     foreign-path       lib/python3.10/m.pyc  2.0 KiB  (lib/python3.10)" in lines
    assert any(line.startswith("b-1-0.conda") and line.endswith("evidence: python 3.11.*") for line in lines)


def test_undecided_packages_get_a_hint() -> None:
    unknown = Finding("unknown-variant", "m.cpython-311.pyc", 9, "cpython-311", Action.REPORT)
    lines = printed([result("a-1-0.conda", "clean", variant=Variant("unknown"), findings=(unknown,))])
    assert "1 file undecided   unknown-variant 1" in lines[0]
    assert (
        "1 package has bytecode of an unknown Python (1 file): say which one with --python, such as --python 3.13."
        in (lines)
    )


@pytest.mark.parametrize(("status", "color"), [("findings", 33), ("fixed", 32), ("refused", 31)])
def test_each_status_has_its_color(status: str, color: int) -> None:
    lines = printed([result("a-1-0.conda", status)], colors=True)
    assert lines[0].startswith(f"\033[{color}ma-1-0.conda\033[0m")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(1000, 430, "1000 B → 430 B, −57%"), (10, 12, "10 B → 12 B, +20%"), (10, 10, "10 B → 10 B"), (0, 5, "0 B → 5 B")],
)
def test_changes_have_a_percentage(before: int, after: int, expected: str) -> None:
    assert change_text(before, after) == expected


def test_an_undecided_package_is_not_called_clean() -> None:
    finding = Finding("unknown-variant", "lib/python3.11/m.pyc", 10, "", Action.REPORT)
    undecided = result("p-1-0.conda", "clean", variant=Variant("unknown"), findings=(finding,))
    text = "\n".join(printed([undecided]))
    assert "nothing to repair" not in text
    assert "say which one with --python" in text
    assert "1 package is clean." in "\n".join(printed([undecided, result("a-1-0.conda", "clean")]))
