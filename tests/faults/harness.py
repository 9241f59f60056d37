"""Runs the command line with faults: the n-th system call fails, or kills the process. It can also log all calls."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).parent
NOTHING, FAIL, FAIL_FROM, KILL_BEFORE, KILL_AFTER = range(5)
ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EACCES": errno.EACCES}


def why_not() -> str:
    """Return why faults cannot be injected here, or "" if they can."""
    if sys.platform != "linux":
        return "faults are injected with LD_PRELOAD, which only Linux has"
    return "" if shutil.which("cc") else "no C compiler is installed to build the fault injection"


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `calls` is the number of counted system calls, or None if the run was killed."""

    code: int
    stdout: str
    stderr: str
    calls: int | None


class Harness:
    """A process that runs the command line on request. Use it in a `with` statement."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._shim = scratch / "shim.so"
        command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(self._shim)]
        subprocess.run([*command, str(HERE / "shim.c"), "-ldl"], check=True)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server"],
            cwd=HERE.parent.parent,
            env={**os.environ, "LD_PRELOAD": str(self._shim), "SHIM": str(self._shim), "CI": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Harness:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def run(
        self,
        argv: list[str],
        watched: Path,
        *,
        action: int = NOTHING,
        point: int = 0,
        error: int = errno.EIO,
        reads: bool = False,
        most: int = 0,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        constants: Mapping[str, int] | None = None,
    ) -> Outcome:
        """Run the command line with a fault at the `point`-th system call for a path below `watched`.

        Reading calls are counted if `reads` is set, otherwise writing calls. `most` limits the bytes that one call may
        read or write (0: no limit). `environment` is added to the variables of this process, and `constants` of
        modules (`module.NAME`) get other values. There are many parameters because each is one property of a fault.
        """
        request = {
            "argv": argv,
            "watched": str(watched),
            "action": action,
            "point": point,
            "error": error,
            "reads": int(reads),
            "most": most,
            "log": str(log) if log else "",
            "scratch": str(self.scratch),
            "environment": dict(environment or {}),
            "constants": dict(constants or {}),
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        calls = int(answer["calls"]) if answer["calls"] else None
        return Outcome(answer["code"], answer.get("stdout", ""), answer.get("stderr", ""), calls)
