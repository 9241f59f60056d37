"""Child processes import from where this process imports, but never from the current directory.

`python -c` and `python -m` put the current directory first on the module search path. The user may be in an unpacked
archive or a shared folder, which may contain a `signal.py` or a `rattler.py`, and the child would execute it. Two
things prevent this:

* With `-I`, the child starts without the current directory, without PYTHONPATH and without the user's site-packages.
  (PYTHONSAFEPATH does not exist in Python 3.10. Also, an empty entry in PYTHONPATH, as in `PYTHONPATH=$UNSET:/x`, means
  the current directory.)
* Then the child sets the search path of this process, with absolute paths and without the current directory. This
  package itself is loaded from where this process loaded it, even if that is the current directory: `python -m
  conda_prune` works in a checkout that is not installed.

The first statement of the child imports `sys`, which is built in and needs no search path.
"""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

_START = """\
import sys
sys.path[:] = [*{path!a}, *(entry for entry in sys.path if entry not in {path!a})]
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
spec = PathFinder.find_spec({package!a}, [{root!a}])
sys.modules[spec.name] = module_from_spec(spec)
spec.loader.exec_module(sys.modules[spec.name])
import runpy
runpy.run_module({module!a}, run_name="__main__", alter_sys=True)
"""


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module as `__main__`, with `arguments` as its `sys.argv[1:]`.

    `module` is the full name of a module, such as `conda_prune.channel.indexer`. The child ignores `PYTHON*` variables,
    so the settings that matter are passed as options: where bytecode is written, and UTF-8 mode, so that both processes
    decode file names the same way.
    """
    options = ["-I", "-X", f"utf8={sys.flags.utf8_mode}"]
    if sys.dont_write_bytecode:
        options.append("-B")
    if sys.pycache_prefix:
        options += ["-X", f"pycache_prefix={sys.pycache_prefix}"]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    start = _START.format(path=_search_path(), package=__package__, root=root, module=module)
    return [sys.executable, *options, "-c", start, *arguments]


def take_over_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return this process's standard input and output, and redirect descriptors 0 and 1 to the null device.

    A child that answers on its standard output calls this first. Otherwise, what a library prints could get between
    its answers.
    """
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return requests, answers


def _search_path() -> list[str]:
    """Return this process's module search path with absolute paths, without the current directory.

    If the current directory is one of the interpreter's own directories, such as site-packages, the child adds it by
    itself when it starts.
    """
    path = []
    for entry in sys.path:
        try:
            if entry and not _is_current_directory(entry):
                path.append(os.path.abspath(entry))
        except OSError:  # The entry is relative, and the current directory no longer exists.
            continue
    return path


def _is_current_directory(entry: str) -> bool:
    try:
        return os.path.samefile(entry, os.curdir)
    except OSError:  # It does not exist, such as the zip of the standard library on most machines.
        return False
