"""The exit codes and their meanings.

The help texts are generated from this list, and a test compares the tables in README.md and docs/output.md with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model import Result


class ExitCode(IntEnum):
    """The exit code of a command. If several apply, USAGE wins over FAILED, and FAILED wins over FINDINGS."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        """Create an exit code that also has a meaning."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    OK = 0, "nothing to do, or everything fixed"
    FINDINGS = 1, "something to fix (check, fix --dry-run, prefix without --fix), or an unexpected difference (diff)"
    USAGE = 2, "wrong usage or configuration, or no package found"
    FAILED = 3, "a package could not be processed (it is unchanged; the others are done), or results were not written"
    INTERRUPTED = 130, "interrupted (Ctrl-C); no partial output is left"
    PIPE_CLOSED = 141, "the pipe that results are written to was closed; fix and prefix still finish their work"
    TERMINATED = 143, "terminated; no partial output is left"


_COMMANDS: dict[str, dict[ExitCode, str]] = {
    "": {code: code.meaning for code in ExitCode},
    "check": {
        ExitCode.OK: "nothing to do",
        ExitCode.FINDINGS: "at least one package has something to fix",
        ExitCode.USAGE: ExitCode.USAGE.meaning,
        ExitCode.FAILED: "at least one package could not be processed; the others are done",
    },
    "fix": {
        ExitCode.OK: ExitCode.OK.meaning,
        ExitCode.FINDINGS: "with --dry-run: at least one package has something to fix",
        ExitCode.USAGE: ExitCode.USAGE.meaning,
        ExitCode.FAILED: ExitCode.FAILED.meaning,
    },
    "prefix": {
        ExitCode.OK: ExitCode.OK.meaning,
        ExitCode.FINDINGS: "without --fix: there is something to fix",
        ExitCode.USAGE: "wrong usage: no prefix is given, or neither PY_VER nor --python is set",
        ExitCode.FAILED: "the prefix could not be processed; it is unchanged",
    },
    "show": {
        ExitCode.OK: "shown",
        ExitCode.USAGE: "wrong usage or configuration",
        ExitCode.FAILED: "the package cannot be read, or contradicts itself about its Python",
    },
    "diff": {
        ExitCode.OK: "NEW is OLD minus its stray files, or the same package",
        ExitCode.FINDINGS: "at least one difference is not explained by removing stray files",
        ExitCode.USAGE: "wrong usage or configuration",
        ExitCode.FAILED: "a package cannot be read, or contradicts itself about its Python",
    },
    "config": {
        ExitCode.OK: "shown",
        ExitCode.USAGE: "wrong usage, or an invalid configuration file or variable",
    },
    "audit": {
        ExitCode.OK: "every package was judged or skipped, whatever was found",
        ExitCode.USAGE: "wrong usage or configuration, or no package found",
        ExitCode.FAILED: "a package or a source could not be read or contradicts itself, or results were not written",
        ExitCode.INTERRUPTED: "interrupted (Ctrl-C); the results file has every result so far",
    },
    "report": {
        ExitCode.OK: "every file was read, regardless of the results in it",
        ExitCode.USAGE: "wrong usage",
        ExitCode.FAILED: "a file could not be read; the others are merged",
    },
}


def exit_codes_help(command: str = "") -> str:
    """Return the paragraph of a command's help that lists its exit codes. Without a command, list all of them."""
    codes = _COMMANDS[command]
    width = max(len(str(int(code))) for code in codes)
    return "\n".join(["\b", "Exit codes:", *(f"  {int(code):<{width}}  {text}" for code, text in codes.items())])


def exit_code(results: Iterable[Result]) -> ExitCode:
    """Return the exit code for results. A failure wins over findings."""
    statuses = {result.status for result in results}
    if statuses & {"error", "refused"}:
        return ExitCode.FAILED
    return ExitCode.FINDINGS if "findings" in statuses else ExitCode.OK
