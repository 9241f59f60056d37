"""Puts links in the place of names at every step of a run, as anybody who may write to its directory can.

Python reports each of its system calls that concerns a file before it makes the call (PEP 578). At one of these points
an attack takes place; there is a run for every point, each in a process of its own. Afterwards, nothing outside the
directory may be different.

    python -m tests.attack DIRECTORY ATTACK STEP COMMAND_LINE...

DIRECTORY holds `original`, which is copied to `work` for each run, and `victim`, which must not change. Of the points,
every STEP-th is tried. The output is a JSON object: how many points there were, the exit codes, and what of the victim
has changed.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import conda_prune.cli
import conda_prune.cli.check
import conda_prune.cli.fix
import conda_prune.cli.prefix
import conda_prune.environment.prefix
import conda_prune.environment.prune
import conda_prune.operations.fix
import conda_prune.report.output

Attack = Callable[[Path, Path], None]


def temporary_becomes_link(work: Path, victim: Path) -> None:
    """Swap every temporary file for a link to somebody else's file."""
    for path in [*work.rglob(".conda-prune-*"), *work.rglob("*.tmp")]:
        if path.is_file() and not path.is_symlink():
            os.rename(path, path.with_name("moved"))
            path.symlink_to(victim / "file")


def temporary_becomes_hard_link(work: Path, victim: Path) -> None:
    """Swap every temporary file for another name of somebody else's file."""
    for path in [*work.rglob(".conda-prune-*"), *work.rglob("*.tmp")]:
        if path.is_file() and not path.is_symlink():
            os.rename(path, path.with_name("moved"))
            os.link(victim / "file", path)


def files_become_links(work: Path, victim: Path) -> None:
    """Swap every file that the run works on for a link to somebody else's."""
    for path in list(work.rglob("*")):
        if path.is_file() and not path.is_symlink() and not path.name.startswith(".conda-prune"):
            path.unlink()
            path.symlink_to(victim / "file")


def directories_become_links(work: Path, victim: Path) -> None:
    """Swap the deepest directories for links to one in which the same names are somebody else's."""
    for path in list(work.rglob("*")):
        if path.is_dir() and not path.is_symlink() and not any(below.is_dir() for below in path.iterdir()):
            os.rename(path, path.with_name(path.name + "-moved"))
            path.symlink_to(victim / "tree")


def work_becomes_link(work: Path, victim: Path) -> None:
    """Swap the topmost directory for a link to a copy of it that is somebody else's."""
    os.rename(work / "top", work / "top-moved")
    (work / "top").symlink_to(victim / "top")


def once_it_writes(attack: Attack) -> Attack:
    """Return an attack that waits for the run's temporary file.

    Before it has opened its output directory, a run cannot know that a link there is not what the user wants.
    """

    def waiting(work: Path, victim: Path) -> None:
        if any(work.rglob(".conda-prune-*")):
            attack(work, victim)

    return waiting


AT_ANY_TIME: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        temporary_becomes_link, temporary_becomes_hard_link, files_become_links, directories_become_links,
        work_becomes_link,
    )
}  # fmt: skip
ONCE_IT_WRITES: dict[str, Attack] = {
    f"{name}_once_it_writes": once_it_writes(attack) for name, attack in AT_ANY_TIME.items()
}
ATTACKS = AT_ANY_TIME | ONCE_IT_WRITES


def snapshot(directory: Path) -> dict[str, object]:
    """Return all that a run could have changed of the files below a directory."""
    found: dict[str, object] = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        extended = {name: os.getxattr(path, name).hex() for name in os.listxattr(path)} if path.is_file() else {}
        content = path.read_bytes().hex() if path.is_file() else ""
        found[str(path.relative_to(directory))] = [status.st_mode, status.st_uid, status.st_gid, extended, content]
    return found


class Hook:
    """Counts the calls that concern the directory, and attacks before one of them."""

    def __init__(self, work: Path, attack: Callable[[], None], point: int) -> None:
        self.calls = 0
        self._below = str(work)
        self._attack = attack
        self._point = point
        self._busy = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._busy or not (event == "open" or event.startswith("os.")) or not self._concerns(arguments):
            return
        self.calls += 1
        if self.calls == self._point:
            self._busy = True
            self._attack()
            self._busy = False

    def _concerns(self, arguments: tuple[object, ...]) -> bool:
        for argument in arguments[:2]:
            name = os.fsdecode(argument) if isinstance(argument, str | bytes) else None
            if name and (name.startswith(self._below) or ("/" not in name and len(name) > 3)):
                return True
        return isinstance(arguments[0], int)


def run(work: Path, victim: Path, attack: Attack, point: int, command: list[str], report: Path) -> None:
    """Run the command line in this process and leave with its exit code."""
    hook = Hook(work, lambda: attack(work, victim), point)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    sys.argv = ["conda-prune", *command]
    sys.addaudithook(hook)
    code: object = 0
    try:
        code = conda_prune.cli.run()
    except SystemExit as leave:
        code = leave.code
    calls, hook._point = hook.calls, 0
    report.write_text(json.dumps(calls))
    os._exit(code if isinstance(code, int) else 0)


def main(directory: Path, name: str, step: int, command: list[str]) -> None:
    """Run the command once for every point, and print what came of it."""
    work, victim, report = directory / "work", directory / "victim", directory / "report"
    before = snapshot(victim)
    codes: dict[int, int] = {}
    changed: dict[str, int] = {}
    for point in itertools.count(1, step):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(directory / "original", work, symlinks=True)
        if (child := os.fork()) == 0:
            run(work, victim, ATTACKS[name], point, command, report)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        codes[code] = codes.get(code, 0) + 1
        after = snapshot(victim)
        for path in before.keys() | after.keys():
            if before.get(path) != after.get(path):
                changed.setdefault(path, point)
        if json.loads(report.read_text()) < point:
            break
    print(json.dumps({"points": point - step, "codes": codes, "changed": changed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:])
