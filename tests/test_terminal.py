"""The terminal of the documentation's pictures shows what a real one would."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tools.terminal import Screen, record


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        pytest.param("one\r\ntwo\r\n", ["one", "two"], id="lines"),
        pytest.param("10%\r20%", ["20%"], id="a carriage return overwrites"),
        pytest.param("longer\r\x1b[2Kbar", ["bar"], id="erase a line"),
        pytest.param("longer\r\x1b[Kbar", ["bar"], id="erase to the end of a line"),
        pytest.param("a\r\nbar\r\nname\x1b[1A\r\x1b[Jb", ["a", "b"], id="erase everything below"),
        pytest.param("a\r\nb\x1b[A\rc", ["c", "b"], id="move up"),
        pytest.param("0123456789", ["0123456789"], id="a full line"),
        pytest.param("0123456789ab", ["0123456789", "ab"], id="a line that is too long"),
        pytest.param("0123456789\r\nab", ["0123456789", "ab"], id="a line end after a full line"),
        pytest.param("\x1b[31mred\x1b[0m\x1b[?25l", ["red"], id="colors and the cursor"),
    ],
)
def test_a_screen_shows_what_is_printed(printed: str, lines: list[str]) -> None:
    screen = Screen(10)
    screen.write(printed)
    assert screen.text() == lines


def test_colors_are_kept() -> None:
    screen = Screen(10)
    screen.write("a\x1b[31mb\x1b[0mc")
    assert screen.styled() == ["a\x1b[0m\x1b[31mb\x1b[0mc"]


@pytest.mark.skipif(os.name != "posix", reason="the standard library of Windows has no pseudo-terminals")
def test_a_command_sees_a_terminal_of_this_width(tmp_path: Path) -> None:
    program = (
        "import os, sys; print(sys.stdout.isatty(), os.get_terminal_size().columns, 'CI' in os.environ); sys.exit(3)"
    )
    recording = record([sys.executable, "-c", program], tmp_path, 72)
    assert recording.final.text() == ["True 72 False"]
    assert recording.code == 3
