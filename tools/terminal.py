"""Runs a command in a pseudo-terminal of a given width, and keeps what its screen shows.

It understands what a progress display needs: carriage return, line feed, moving the cursor, erasing, and colors. Lines
that scroll out of sight are kept, so a picture can have all of them.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b[=>78]")
ROWS = 200
"""Lines of the terminal: more than any picture has, so that nothing scrolls."""


@dataclass
class Screen:
    """The lines of a terminal: for each column, a character and the color codes that it was written with."""

    columns: int
    lines: list[dict[int, tuple[str, str]]] = field(default_factory=lambda: [{}])
    row: int = 0
    column: int = 0
    style: str = ""

    def write(self, text: str) -> None:
        """Write what a program has printed."""
        position = 0
        for match in _SEQUENCE.finditer(text):
            self._characters(text[position : match.start()])
            if match[2]:
                self._control(match[1], match[2])
            position = match.end()
        self._characters(text[position:])

    def _characters(self, text: str) -> None:
        for character in text:
            if character == "\r":
                self.column = 0
            elif character == "\n":
                self._move(self.row + 1)
            elif character >= " ":
                if self.column >= self.columns:
                    self._move(self.row + 1)
                    self.column = 0
                self.lines[self.row][self.column] = (character, self.style)
                self.column += 1

    def _move(self, row: int) -> None:
        self.row = max(0, row)
        while len(self.lines) <= self.row:
            self.lines.append({})

    def _control(self, arguments: str, letter: str) -> None:
        number = int(arguments) if arguments.isdecimal() else 1
        if letter == "m":
            self.style = "" if arguments in ("", "0") else f"{self.style}\x1b[{arguments}m"
        elif letter in "AB":
            self._move(self.row - number if letter == "A" else self.row + number)
        elif letter in "CD":
            self.column = max(0, self.column + (number if letter == "C" else -number))
        elif letter == "G":
            self.column = number - 1
        elif letter == "K":
            self._erase_line(arguments)
        elif letter == "J":
            self._erase_line(arguments)
            del self.lines[self.row + 1 :]

    def _erase_line(self, arguments: str) -> None:
        line = self.lines[self.row]
        for column in list(line):
            if arguments == "2" or column >= self.column:
                del line[column]

    def text(self) -> list[str]:
        """Return the lines as plain text, without empty lines at the end."""
        return self._trimmed([self._line(line, styled=False) for line in self.lines])

    def styled(self) -> list[str]:
        """Return the lines with their color codes, without empty lines at the end."""
        return self._trimmed([self._line(line, styled=True) for line in self.lines])

    def _line(self, line: Mapping[int, tuple[str, str]], *, styled: bool) -> str:
        parts, current = [], ""
        for column in range(max(line, default=-1) + 1):
            character, style = line.get(column, (" ", ""))
            if styled and style != current:
                parts.append(f"\x1b[0m{style}")
                current = style
            parts.append(character)
        return "".join(parts).rstrip() + ("\x1b[0m" if current else "")

    def _trimmed(self, lines: list[str]) -> list[str]:
        while lines and not lines[-1]:
            lines.pop()
        return lines


@dataclass(frozen=True)
class Recording:
    """What a command showed: the screen at its end, and the screens on the way, without repetitions."""

    final: Screen
    frames: list[list[str]]
    styled_frames: list[list[str]]
    code: int


def record(command: list[str], directory: Path, columns: int, *, frames: bool = False) -> Recording:
    """Run a command in a terminal and return what it showed. `frames`: also keep what is shown on the way."""
    # These modules do not exist on Windows, where the rest of this module can be imported.
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    dropped = ("CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "CONDA_PRUNE", "GITHUB_", "PYTEST")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    environment |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}
    screen = Screen(columns)
    texts: list[list[str]] = []
    styles: list[list[str]] = []
    with subprocess.Popen(
        command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        pending = b""
        while chunk := _read(master):
            text, pending = _decoded(pending + chunk)
            screen.write(text)
            if frames and (not texts or texts[-1] != screen.text()):
                texts.append(screen.text())
                styles.append(screen.styled())
    os.close(master)
    return Recording(screen, texts, styles, process.returncode)


def _read(master: int) -> bytes:
    try:
        return os.read(master, 1 << 16)
    except OSError:  # Linux reports the end of a terminal as an error, and macOS as an empty read.
        return b""


def _decoded(data: bytes) -> tuple[str, bytes]:
    """Return the text in the data, and the bytes of a character or a control sequence that is cut off at the end."""
    start = data.rfind(b"\x1b")
    tail = b""
    if start >= 0 and not _SEQUENCE.match(data[start:].decode(errors="replace")):
        data, tail = data[:start], data[start:]
    for cut in range(4):
        try:
            return data[: len(data) - cut].decode(), data[len(data) - cut :] + tail
        except UnicodeDecodeError:
            continue
    return data.decode(errors="replace"), tail
