"""Child processes of ours import from where this process imports, and never from the current directory.

`python -c` and `python -m` put the current directory first on the module search path. The current directory is whatever
the user is in: an unpacked archive or a shared folder may hold a `signal.py` or a `rattler.py`, and a child that finds
it there executes it. Two things prevent that:

* `-I`: on every Python that we support, the child starts without the current directory, PYTHONPATH and the user's
  site-packages. (PYTHONSAFEPATH would be enough from 3.11 on, but does not exist in 3.10, and an empty entry in
  PYTHONPATH, as `PYTHONPATH=$UNSET:/x` makes it, also means the current directory.)
* The child then searches what this process searches, made absolute, without the current directory. This package
  itself is loaded from where this process loaded it, even if that is the current directory: `python -m conda_prune`
  in a checkout that is not installed.

The first statement that the child runs imports `sys`, which is built in.
"""

from __future__ import annotations

import os
import sys

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
    """Return the command that runs a module of this package as `__main__`, with `sys.argv[1:]` being `arguments`.

    `module` is its full name, such as `conda_prune.channel.indexer`. The command does not depend on the environment
    (`PYTHON*` variables); what they set for this process is passed on where it matters: where bytecode is written, and
    UTF-8 mode, so that both sides agree on the names of files.
    """
    options = ["-I", "-X", f"utf8={sys.flags.utf8_mode}"]
    if sys.dont_write_bytecode:
        options.append("-B")
    if sys.pycache_prefix:
        options += ["-X", f"pycache_prefix={sys.pycache_prefix}"]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    start = _START.format(path=_search_path(), package=__package__, root=root, module=module)
    return [sys.executable, *options, "-c", start, *arguments]


def _search_path() -> list[str]:
    """Return this process's module search path, made absolute, without the current directory.

    Where the current directory is one of the interpreter's own (somebody is in site-packages), the child finds it by
    itself when it starts.
    """
    found = []
    for entry in sys.path:
        try:
            if entry and not _is_current_directory(entry):
                found.append(os.path.abspath(entry))
        except OSError:  # A relative entry, and the current directory was removed.
            continue
    return found


def _is_current_directory(entry: str) -> bool:
    try:
        return os.path.samefile(entry, os.curdir)
    except OSError:  # It does not exist: the zip file that the interpreter names is missing on most machines.
        return False
