"""The conda plugin: `conda prune`, a check or a repair after `conda build`, and a health check for `conda doctor`.

conda imports this module whenever it starts. So on import, it only uses what conda has already loaded.

The work is done by a child process, with the same result as that of the executable. The command line ends its process
without shutting the interpreter down, and handles signals and broken pipes in its own way; conda's process must not be
affected by that. A dependency that is broken in conda's environment cannot break conda either. The price is the start
of another Python, about a tenth of a second.

The hooks work with conda 26.7 and conda-build 26.7. conda passes only the name of the command to them. So the arguments
of the build are taken from `context._argparse_args`, before the command: conda-build replaces them. If that does not
work with another version, the build fails: a gate that has checked nothing must not pass.

https://docs.conda.io/projects/conda/en/stable/dev-guide/plugins/
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from conda.common.configuration import PrimitiveParameter
from conda.plugins import hookimpl
from conda.plugins.types import (
    CondaHealthCheck,
    CondaPostCommand,
    CondaPreCommand,
    CondaSetting,
    CondaSubcommand,
)

if TYPE_CHECKING:
    from subprocess import CompletedProcess, Popen

SETTING = "prune_after_build"
_OFF, _CHECK, _FIX = _MODES = ("off", "check", "fix")


class _Build(NamedTuple):
    """What is known about a build before it starts.

    `directories` are those that packages are written to, `before` the packages in them. `uploads`: conda-build uploads
    each package as soon as it is built. `is_recipe_yaml`: rattler-build builds the packages.
    """

    mode: str
    directories: tuple[str, ...]
    before: Mapping[str, tuple[int, int]]
    uploads: bool
    is_recipe_yaml: bool


_build: _Build | None = None
"""The build that is running, if there is something to do after it."""


@hookimpl
def conda_settings() -> Iterator[CondaSetting]:
    """Register the setting `plugins.prune_after_build`."""
    yield CondaSetting(
        name=SETTING,
        description="What conda-prune does with packages that `conda build` has built: off (the default), check (the "
        "command fails if there is stray Python bytecode) or fix (stray Python bytecode is removed).",
        parameter=PrimitiveParameter(_OFF, element_type=str, validation=_invalid_mode),
    )


@hookimpl
def conda_subcommands() -> Iterator[CondaSubcommand]:
    """Register `conda prune`."""
    yield CondaSubcommand(
        name="prune", summary="Remove stray Python bytecode from conda packages that are already built.", action=_prune
    )


@hookimpl
def conda_pre_commands() -> Iterator[CondaPreCommand]:
    """Register what runs before `conda build`."""
    yield CondaPreCommand(name="conda-prune", action=_before_build, run_for={"build"})


@hookimpl
def conda_post_commands() -> Iterator[CondaPostCommand]:
    """Register what runs after `conda build`. conda skips it if the build raises an error."""
    yield CondaPostCommand(name="conda-prune", action=_after_build, run_for={"build"})


@hookimpl
def conda_health_checks() -> Iterator[CondaHealthCheck]:
    """Register the health check. It has no fixer: what an environment's packages consist of is up to their builds."""
    yield CondaHealthCheck(
        name="stray-bytecode",
        action=_check_environment,
        summary="Detect packages with Python bytecode that their Python never reads",
    )


def _invalid_mode(value: str) -> bool | str:
    return _mode_of(value) in _MODES or f"Use one of: {', '.join(_MODES)}."


def _mode_of(value: str) -> str:
    """Return the mode that a value means. An unquoted `false`, and `off` in YAML 1.1, is a boolean."""
    value = value.strip().lower()
    return _OFF if value == "false" else value


def _prune(arguments: Sequence[str]) -> int:
    return _run(arguments).returncode


def _before_build(command: str) -> None:
    """Remember which packages exist before the build."""
    global _build
    from conda.base.context import context

    _build = None
    mode = _mode_of(getattr(context.plugins, SETTING))
    if mode != _OFF:
        _build = _expected_build(mode, list(context._argparse_args.get("_args", ())))  # noqa: SLF001


def _expected_build(mode: str, arguments: Sequence[str]) -> _Build | None:
    """Return what is known about a build with these arguments; None if conda-build will not get as far as building."""
    from conda import CondaError
    from conda.base.constants import KNOWN_SUBDIRS

    try:
        from conda_build.utils import is_v1_recipe

        parsed, config = _parse_arguments(arguments)
        # The platform can also come from the variants, so packages may be written to any of these directories.
        subdirs = dict.fromkeys((*KNOWN_SUBDIRS, config.host_subdir))
        directories = tuple(os.path.join(os.path.abspath(config.output_folder), subdir) for subdir in subdirs)
        # See handle_anaconda_upload in conda_build/build.py: a token or a user name requests an upload, too.
        uploads = bool(config.token or config.user or config.anaconda_upload) and not (parsed.build_only or parsed.post)
        is_recipe_yaml = any(map(is_v1_recipe, parsed.recipe))
    except SystemExit:
        return None  # --help, or a mistake that conda-build is about to report.
    except (ImportError, AttributeError, TypeError) as error:
        raise CondaError(
            f"conda-prune cannot find out where this version of conda-build writes packages: {error}; "
            f"set plugins.{SETTING} to {_OFF}, and run `conda prune` on the packages"
        ) from error
    if uploads and mode == _FIX:
        _warn("conda-build uploads packages before they can be repaired; build with --no-anaconda-upload, upload later")
    return _Build(mode, directories, dict(_packages(directories)), uploads, is_recipe_yaml)


def _parse_arguments(arguments: Sequence[str]) -> tuple[Any, Any]:
    """Return conda-build's parsed arguments and its configuration. Nothing is printed: conda-build does that itself."""
    import io
    import warnings
    from contextlib import redirect_stderr, redirect_stdout

    from conda_build.cli.main_build import parse_args
    from conda_build.config import get_or_merge_config

    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, parsed = parse_args(list(arguments))
        return parsed, get_or_merge_config(None, **vars(parsed))


def _packages(directories: Sequence[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the packages in some directories, each with its modification time (nanoseconds) and size (bytes)."""
    for directory in directories:
        try:
            entries = list(os.scandir(directory))
        except OSError:
            continue  # There is none (yet) for this platform.
        for entry in entries:
            if entry.name.endswith((".conda", ".tar.bz2")) and entry.is_file():
                status = os.stat(entry.path)
                yield entry.path, (status.st_mtime_ns, status.st_size)


def _after_build(command: str) -> None:
    """Check or fix the packages that are new or changed. Raises CondaError if that failed, or a check found anything.

    Nothing is printed if nothing was built, because scripts read the output of `conda build --output`.
    """
    global _build
    build, _build = _build, None
    if build is None:
        return
    built = {path: version for path, version in _packages(build.directories) if build.before.get(path) != version}
    if not built:
        return
    from conda import CondaError

    fixes = build.mode == _FIX and not build.uploads
    arguments = [_FIX, "--in-place"] if fixes else [_CHECK]
    # A package may be gone by now: that none is left is not an error.
    code = _run([*arguments, "--allow-empty", "--files-from", "-"], input=_lines(sorted(built))).returncode
    if code == 1 and build.uploads:
        message = (
            "these packages contain stray bytecode and are already uploaded; rebuild them with a higher build number"
        )
        if build.mode == _CHECK:
            raise CondaError(f"conda-prune: {message}")
        _warn(f"{message}; nothing was repaired")
    elif code == 1:
        raise CondaError(
            f"conda-prune: the packages above contain stray bytecode; set plugins.{SETTING} to {_FIX}, or run:\n"
            f"  conda prune fix --in-place {' '.join(map(_quoted, sorted(built)))}"
        )
    elif code != 0:
        raise CondaError(f"conda-prune failed with exit code {code}, for the reasons above")
    now = dict(_packages(build.directories))
    repaired = [path for path, version in sorted(built.items()) if now.get(path, version) != version]
    if repaired:
        _advise_tests(repaired, build)


def _quoted(path: str) -> str:
    """Return a path quoted for a shell of this system."""
    if os.name == "nt":
        from ..windows import quoted

        return quoted(path)
    import shlex

    return shlex.quote(path)


def _advise_tests(paths: Sequence[str], build: _Build) -> None:
    """Print how to test the repaired packages: any tests so far ran on what is not shipped."""
    print("conda build has not tested the repaired packages. To test what you will ship:")
    for path in paths:
        test = "rattler-build test --package-file" if build.is_recipe_yaml else "conda build --test"
        print(f"  {test} {_quoted(path)}")


def _check_environment(prefix: str, verbose: bool) -> None:
    """Print whether the packages of an environment contain stray bytecode."""
    import json

    from conda.base.constants import OK_MARK, X_MARK

    done = _run(["check", "--no-config", "--format", "json", "--prefix", prefix], capture=True)
    if done.returncode not in (0, 1, 3):
        raise RuntimeError(f"conda-prune failed with exit code {done.returncode}")
    strays: dict[str, list[str]] = {}
    failures: dict[str, str] = {}
    for result in json.loads(done.stdout):
        name = os.path.basename(result["path"]).removesuffix(".json")
        paths = [finding["path"] for finding in result["findings"] if finding["action"] != "report"]
        if result["status"] in ("error", "refused"):
            failures[name] = result["error"] or ""
        elif paths:
            strays[name] = paths
    if strays:
        print(f"{X_MARK} Stray bytecode in this environment:\n")
        for name, paths in strays.items():
            print("\n  ".join([f"{name}:", *paths]) if verbose else f"{name}: {len(paths)}")
        print()
    elif not failures:
        print(f"{OK_MARK} There is no stray bytecode in this environment.\n")
    if failures:
        print(f"{X_MARK} Not checked for stray bytecode:\n")
        for name, error in failures.items():
            print(f"{name}: {error}" if error else name)
        print()


def _lines(paths: Sequence[str]) -> bytes:
    return "".join(f"{path}\n" for path in paths).encode("utf-8", "surrogateescape")


def _warn(message: str) -> None:
    print(f"warning: conda-prune: {message}", file=sys.stderr)


def _run(arguments: Sequence[str], *, input: bytes | None = None, capture: bool = False) -> CompletedProcess[bytes]:
    """Run the command line in a child process, and return its exit code, and its standard output if it is captured."""
    import subprocess

    from .. import isolation

    sys.stdout.flush()
    sys.stderr.flush()
    command = isolation.command(f"{__package__}.conda_command", *arguments)
    stdin, stdout = (subprocess.PIPE if piped else None for piped in (input is not None, capture))
    with subprocess.Popen(command, stdin=stdin, stdout=stdout) as process, _signals_forwarded(process):
        output, _ = process.communicate(input)
    code = process.returncode
    return subprocess.CompletedProcess(command, code if code >= 0 else 128 - code, output)


@contextmanager
def _signals_forwarded(process: Popen[bytes]) -> Iterator[None]:
    """Pass signals that ask this process to end on to a child process, which then ends within a second.

    Otherwise, this process could end first, and leave the child at work. Ctrl-C reaches both processes, so the child
    may receive it twice; it ignores the second one.
    """
    import signal
    import threading

    from ..interruption import SIGNALS

    def forward(number: int, frame: object) -> None:
        with suppress(OSError, ValueError):  # Windows cannot send Ctrl-C to one process, and does not have to.
            process.send_signal(number)

    handlers = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    handlers[number] = signal.signal(number, forward)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
