"""Runs the command line once per request, in a fork of a process that has already imported everything.

Requests are JSON lines on standard input, and answers are JSON lines on standard output. Starting Python takes a
hundred times as long as a fork, and there are thousands of faults to try.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any

import click  # noqa: F401
import libarchive  # noqa: F401
import rattler  # noqa: F401
import zstandard  # noqa: F401

import conda_prune.cli
import conda_prune.cli.check
import conda_prune.cli.fix
import conda_prune.cli.prefix
import conda_prune.environment.prefix
import conda_prune.operations.fix
import conda_prune.report.output


def serve() -> None:
    """Answer requests until there are no more."""
    shim = ctypes.CDLL(os.environ["SHIM"])
    shim.arm.argtypes = [ctypes.c_char_p, ctypes.c_long, *[ctypes.c_int] * 3, ctypes.c_long, ctypes.c_int]
    shim.counted.restype = ctypes.c_long
    for line in sys.stdin:
        request = json.loads(line)
        if (child := os.fork()) == 0:
            _work(shim, request)
        _, status = os.waitpid(child, 0)
        answer: dict[str, Any] = {"code": os.waitstatus_to_exitcode(status), "calls": None}
        for name in ("stdout", "stderr", "calls"):
            path = os.path.join(request["scratch"], name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    answer[name] = file.read()
                os.unlink(path)
        print(json.dumps(answer), flush=True)


def _work(shim: Any, request: dict[str, Any]) -> None:
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        opened = os.open(os.path.join(request["scratch"], name), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(opened, descriptor)
    calls = os.open(os.path.join(request["scratch"], "calls"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    log = os.open(request["log"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC) if request["log"] else -1
    os.environ.update(request["environment"])
    for constant, value in request["constants"].items():
        module, _, name = constant.rpartition(".")
        assert isinstance(getattr(sys.modules[module], name), int)
        setattr(sys.modules[module], name, value)
    sys.argv = ["conda-prune", *request["argv"]]
    code = 0
    shim.arm(
        os.fsencode(request["watched"]), request["point"], request["action"], request["error"],
        request["reads"], request["most"], log,
    )  # fmt: skip
    try:
        code = conda_prune.cli.run()
    except SystemExit as leave:
        code = int(leave.code or 0)
    except BaseException as error:
        sys.stderr.write(f"Traceback: {error!r}")
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(calls, str(shim.counted()).encode())
    os._exit(code)


if __name__ == "__main__":
    serve()
