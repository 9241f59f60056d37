"""What maintainers run names modules and tests that exist, and adds up what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import mutation, windows_counts

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("path", [*mutation.OWN, *mutation.TESTS])
def test_mutation_testing_names_files_that_exist(path: str) -> None:
    assert (REPOSITORY / path).is_file()


def test_the_counts_of_pieces_are_added_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skipped = '<testcase classname="c" name="s"><skipped message="Windows has no fork"/></testcase>'
    for name, cases in (("a", skipped + '<testcase classname="c" name="p"/>'), ("b", skipped)):
        (tmp_path / f"{name}.piece").touch()
        (tmp_path / f"{name}.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    assert windows_counts.add_up(tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| a | 1 | 1 | 0 |",
        "| b | 0 | 1 | 0 |",
        "| together | 1 | 2 | 0 |",
        "",
        "| skipped | reason |",
        "|--:|---|",
        "| 2 | Windows has no fork |",
    ]
    (tmp_path / "b.xml").write_text('<a><testcase classname="c" name="f"><failure/></testcase></a>')
    (tmp_path / "c.piece").touch()
    assert windows_counts.add_up(tmp_path) == 1
    assert capsys.readouterr().err.splitlines() == ["failed: c.f", "failed: c did not end"]
