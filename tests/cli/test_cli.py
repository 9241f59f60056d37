"""The command line, run through its executable: what it prints where, and its exit codes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import conda_prune.cli
from conda_prune import interruption
from conda_prune.cli import cli

from ..corpus.packages import PackageSpec, write_package
from ..executable import EXECUTABLE, run
from ..seed import CLEAN, SEEDS, STRAY
from ..unreadable import make_unreachable, needs_unreachable
from .test_config_file import MISSING

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The output directory of a build, with every seed package in a subdirectory."""
    directory = tmp_path / "output" / "linux-64"
    directory.mkdir(parents=True)
    for seed in SEEDS:
        seed.copy(directory)
    return tmp_path / "output"


def test_nothing_to_do_exits_0(tmp_path: Path) -> None:
    package = CLEAN[0].copy(tmp_path)
    assert run("check", package).returncode == 0
    done = run("fix", package, "--in-place")
    assert done.returncode == 0
    assert done.stdout == "1 package: nothing to repair.\n"


def test_pixi_prune_is_the_same_program_with_pixis_name(tmp_path: Path) -> None:
    script = tmp_path / "pixi-prune"
    script.write_text("from conda_prune.cli import main\nmain()\n")

    def pixi_prune(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True)

    assert pixi_prune("--help").stdout.startswith("Usage: pixi prune [OPTIONS] COMMAND")
    done = pixi_prune("check")
    assert (done.returncode, "see `pixi prune check --help`" in done.stderr) == (2, True)
    assert pixi_prune("check", str(STRAY[0].path)).returncode == 1


def test_check_exits_1_and_names_the_packages(output: Path) -> None:
    done = run("check", output)
    assert done.returncode == 1
    for seed in STRAY:
        assert seed.path.name in done.stdout
    assert "foreign-path" in done.stdout
    assert done.stderr == ""


def test_fix_repairs_a_directory(output: Path) -> None:
    done = run("fix", output, "--in-place")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fixed ") == len(STRAY)
    assert run("check", output).returncode == 0
    assert f"{len(SEEDS)} packages: nothing to repair." in run("fix", output, "--in-place").stdout


def test_python_m_prints_the_same(output: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "conda_prune", "check", output], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stdout == run("check", output).stdout.encode()


def test_globs_are_expanded_without_a_shell(output: Path) -> None:
    done = run("check", f"{output}/*/*.conda")
    assert done.returncode == 1
    assert done.stdout.count(".tar.bz2") == 0
    assert sum(seed.path.name in done.stdout for seed in STRAY) == sum(s.path.suffix == ".conda" for s in STRAY)


def test_paths_are_read_from_a_file(output: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text("\n".join(str(path) for path in sorted(output.rglob("*.conda"))), "utf-8")
    expected = without_repair_command(run("check", *sorted(output.rglob("*.conda"))).stdout)
    assert run("check", "--files-from", listed).stdout == expected


def without_repair_command(printed: str) -> str:
    """Return an output without the command that repairs the paths of the command line: a list has none to type."""
    return "".join(line for line in printed.splitlines(keepends=True) if not line.startswith("To repair:"))


@pytest.mark.parametrize("jobs", [1, 2, 0])
def test_results_do_not_depend_on_the_number_of_jobs(output: Path, jobs: int) -> None:
    assert run("check", output, "-j", jobs).stdout == run("check", output).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["check"], id="no-path"),
        pytest.param(["fix", "x.conda"], id="neither-in-place-nor-directory"),
        pytest.param(["fix", "x.conda", "--in-place", "-o", "y"], id="both"),
        pytest.param(["fix", "x.conda", "--in-place", "--level", "23"], id="no-such-level"),
        pytest.param(["fix", "x.conda", "--in-place", "--level", "best"], id="level-is-not-a-number"),
        pytest.param(["check", "x.conda", "--python", "3.99"], id="no-such-python"),
        pytest.param(["check", "x.conda", "--select", "dust"], id="no-such-kind"),
        pytest.param(["check", "x.conda", "--format", "xml"], id="no-such-format"),
        pytest.param(["fix", "x.conda", "--in-place", "--backup", "a/b"], id="backup-is-a-path"),
        pytest.param(["fix", "x.conda", "-o", "y", "--backup", ".orig"], id="backup-and-directory"),
        pytest.param(["sweep"], id="no-such-command"),
    ],
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def broken(directory: Path) -> Path:
    path = directory / "broken-1.0-0.conda"
    path.write_bytes(b"PK not a zip")
    return path


def test_a_failure_exits_3_after_the_other_packages_are_repaired(output: Path) -> None:
    path = broken(output)
    done = run("fix", output, "--in-place")
    assert done.returncode == 3
    errors = done.stderr.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {path}: ")
    assert done.stdout.count("fixed ") == len(STRAY)
    assert path.read_bytes() == b"PK not a zip"


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_wins_over_findings(output: Path, jobs: int) -> None:
    broken(output)
    assert run("check", output, "-j", jobs).returncode == 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("absent.conda", "no such file", id="absent"),
        pytest.param("package.zip", "neither in .conda nor in .tar.bz2", id="another-ending"),
    ],
)
def test_a_wrong_path_is_one_error_line(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "package.zip").write_bytes(b"PK")
    done = run("check", tmp_path / name)
    assert done.returncode == 3
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_contradictory_evidence_is_refused_without_the_python_option(tmp_path: Path) -> None:
    cached = "lib/python3.11/site-packages/__pycache__/a.cpython-310.pyc"
    spec = PackageSpec(
        name="odd",
        version="1.0",
        build="py310h1234567_0",
        subdir="linux-64",
        depends=("python_abi 3.11.* *_cp311",),
        files={"lib/python3.11/site-packages/a.py": b"a = 1\n", cached: b"\x6f\x0d\r\n" + bytes(60)},
    )
    package = write_package(spec, tmp_path, format=".conda", writer="rattler")
    before = package.read_bytes()
    done = run("fix", package, "--in-place")
    assert done.returncode == 3
    assert "python_abi 3.11.* *_cp311" in done.stdout
    assert "py310h1234567_0" in done.stdout
    assert "--python" in done.stdout
    assert package.read_bytes() == before
    assert run("fix", package, "--in-place", "--python", "3.11").returncode == 0
    assert package.read_bytes() != before


def test_a_read_only_package_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    package = STRAY[0].copy(tmp_path)
    package.chmod(0o444)
    done = run("fix", package, "--in-place")
    assert done.returncode == 3
    assert "read-only" in done.stderr
    assert package.read_bytes() == STRAY[0].path.read_bytes()
    assert os.listdir(tmp_path) == [package.name]
    assert run("check", package).returncode == 1


def test_two_packages_with_one_name_cannot_overwrite_each_other(tmp_path: Path) -> None:
    for subdir in ("a", "b"):
        (tmp_path / subdir).mkdir()
        STRAY[0].copy(tmp_path / subdir)
    done = run("fix", tmp_path / "a" / STRAY[0].path.name, tmp_path / "b" / STRAY[0].path.name, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert not (tmp_path / "out").exists()


def test_subdirectories_are_kept_in_the_output_directory(output: Path, tmp_path: Path) -> None:
    assert run("fix", output, "-o", tmp_path / "out").returncode == 0
    assert {path.name for path in (tmp_path / "out" / "linux-64").iterdir()} == {seed.path.name for seed in SEEDS}


def test_json_has_one_object_per_package(output: Path) -> None:
    path = broken(output)
    objects = json.loads(run("check", output, "--format", "json").stdout)
    assert [object_["status"] for object_ in objects].count("findings") == len(STRAY)
    failed = next(object_ for object_ in objects if object_["path"] == str(path))
    assert failed["status"] == "error"
    assert failed["error"]
    assert all(object_["schema_version"] == 1 for object_ in objects)


def test_json_describes_what_was_done(output: Path) -> None:
    objects = json.loads(run("fix", output, "--in-place", "--format", "json").stdout)
    fixed = [object_ for object_ in objects if object_["status"] == "fixed"]
    assert len(fixed) == len(STRAY)
    for object_ in fixed:
        assert object_["before"]["size"] > object_["after"]["size"] > 0
        assert object_["compression"]["level"] in (9, 15)
        compression = object_["compression"]
        assert compression["reused_bytes"] + compression["recompressed_bytes"] > 0
        assert all(finding["fixed"] for finding in object_["findings"] if finding["action"] != "report")


def test_a_format_can_be_written_to_a_file(output: Path, tmp_path: Path) -> None:
    done = run("check", output, "--format", "text", "--format", f"json={tmp_path / 'results.json'}")
    assert "foreign-path" in done.stdout
    assert len(json.loads((tmp_path / "results.json").read_text("utf-8"))) == len(SEEDS)


def test_colors_and_progress_need_a_terminal(output: Path) -> None:
    done = run("fix", output, "--in-place")
    assert "\033" not in done.stdout + done.stderr


def test_no_color_wins_over_force_color(output: Path) -> None:
    assert "\033[" in run("check", output, "--color", "always").stdout
    assert "\033[" in run("check", output, FORCE_COLOR="1").stdout
    assert "\033" not in run("check", output, FORCE_COLOR="1", NO_COLOR="1").stdout


def test_quiet_prints_errors_only(output: Path) -> None:
    broken(output)
    done = run("check", output, "-q")
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_the_version_is_printed() -> None:
    import conda_prune

    assert run("-V", check=True).stdout.strip().endswith(conda_prune.__version__)


def test_a_missing_libarchive_is_a_warning(tmp_path: Path) -> None:
    package = STRAY[0].copy(tmp_path)
    done = run("fix", package, "--in-place", LIBARCHIVE="/there/is/no/such/library.so")
    assert done.returncode == 0, done.stderr
    assert "libarchive" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    other = tmp_path / "other"
    other.mkdir()
    package_2 = STRAY[0].copy(other)
    assert run("fix", package_2, "--in-place").returncode == 0
    assert package_2.read_bytes() == package.read_bytes()


def test_show_prints_the_variant_and_its_evidence() -> None:
    done = run("show", STRAY[-1].path)
    assert done.returncode == 0
    assert f"Python {STRAY[-1].facts['python']}" in done.stdout
    assert "python_abi" in done.stdout
    for path in STRAY[-1].stray:
        assert any(path in line and "drop" in line for line in done.stdout.splitlines())


def test_paths_are_read_from_standard_input(output: Path) -> None:
    for arguments in (["-"], ["--files-from", "-"]):
        done = subprocess.run(
            [EXECUTABLE, "check", *arguments], input=f"{output}\n\n", capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stdout == without_repair_command(run("check", output).stdout)


@needs_unreachable
def test_an_unreadable_directory_does_not_stop_the_others(output: Path) -> None:
    make_unreachable(output)
    done = run("fix", "--in-place", output)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.endswith("dddd: it cannot be read: File name too long")
    assert run("check", output / "linux-64").returncode == 0


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="Windows has no modes, and root reads files of any mode"
)
def test_a_directory_without_permission_is_an_error(output: Path) -> None:
    (output / "linux-64").chmod(0)
    try:
        done = run("check", output)
    finally:
        (output / "linux-64").chmod(0o755)
    assert (done.returncode, done.stderr) == (
        3,
        f"error: {output / 'linux-64'}: it cannot be read: Permission denied\n",
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), 3),
        (ImportError("libx.so: failed to map segment from shared object"), 3),
        (ImportError("cannot import name 'x'"), None),
    ],
    ids=["no memory", "no memory for a module", "no module"],
)
def test_only_a_lack_of_memory_is_reported_as_one(
    error: Exception, code: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(**options: object) -> int:
        raise error

    monkeypatch.setattr("conda_prune.cli.cli", fails)
    before = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    try:
        if code is None:
            with pytest.raises(ImportError):
                conda_prune.cli.run()
        else:
            assert conda_prune.cli.run() == code
            assert "not enough memory" in capsys.readouterr().err
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_wrong_value_names_the_environment_variable(tmp_path: Path) -> None:
    done = run("check", tmp_path, CONDA_PRUNE_SELECT="foreign")
    assert done.returncode == 2
    assert "CONDA_PRUNE_SELECT: there is no kind 'foreign'" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a directory that somebody is in")
def test_the_current_directory_may_have_been_removed(tmp_path: Path) -> None:
    package = CLEAN[0].copy(tmp_path)
    (tmp_path / "gone").mkdir()
    script = 'cd "$1" && rmdir "$1" && "$2" check "$3"'
    command = ["sh", "-c", script, "sh", str(tmp_path / "gone"), EXECUTABLE, str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ESTALE, "Stale file handle"), "it cannot be read: Stale file handle"),
        (ZeroDivisionError("a defect"), "internal error: ZeroDivisionError: a defect (test_cli.py:"),
        (RuntimeError("a defect"), "internal error: RuntimeError: a defect (test_cli.py:"),
        (RuntimeError("can't start new thread"), "there is not enough memory"),
        (MemoryError(), "there is not enough memory"),
    ],
    ids=["system", "defect", "another defect", "no threads", "no memory"],
)
def test_an_unexpected_error_costs_only_one_package(
    error: Exception, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A system call that hardly ever fails does, or a bug of ours raises in the same place."""
    packages = [seed.copy(tmp_path) for seed in STRAY[:2]]
    inode = packages[0].stat().st_ino
    real = os.fstat

    def fails(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        if status.st_ino == inode:
            raise error
        return status

    monkeypatch.setattr(os, "fstat", fails)
    with pytest.raises(SystemExit) as left:
        cli.main(["check", *map(str, packages)], standalone_mode=False)
    monkeypatch.undo()
    printed = capsys.readouterr()
    assert left.value.code == 3
    (line,) = printed.err.splitlines()
    assert line.startswith(f"error: {packages[0]}: {message}")
    assert packages[1].name in printed.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chekc", "x"], "there is no command 'chekc'; did you mean `check`?"),
        (["sweep"], "there is no command 'sweep'; choose from check, fix, "),
        (["testdata"], "there is no command 'testdata'; did you mean `conda-prune check testdata`?"),
        (["check", "--selct", "orphan", "x"], "there is no option --selct; did you mean `--select`?"),
        (["fix", "--inplace", "x"], "there is no option --inplace; did you mean `--in-place`?"),
        (["fix", "--deep", "x"], "fix has no option --deep; it is an option of check and show"),
        (["show", "--level", "3", "x"], "show has no option --level; it is an option of fix"),
        (["report", "-j", "2", "x"], "report has no option -j; it is an option of check, fix and prefix"),
        (["fix", "--output", "y", "x"], "there is no option --output; did you mean `--output-dir`?"),
        (["check", "--zzz", "x"], "there is no option --zzz; see `conda-prune check --help`"),
        (["--fix"], "there is no option --fix; see `conda-prune --help`"),
        (["check", "--fix", "x"], "check never writes, so it has no option --fix; did you mean `conda-prune fix`?"),
        (["check", "--in-place", "x"], "so it has no option --in-place; did you mean `conda-prune fix`?"),
        (["check", "-o", "y", "x"], "check never writes, so it has no option -o; did you mean `conda-prune fix`?"),
        (["check", "--format", "jsno", "x"], "there is no format 'jsno'; did you mean `json`?"),
        (["check", "--select", "foreign-tre", "x"], "there is no kind 'foreign-tre'; did you mean `foreign-tree`?"),
        (["explain", "foreign-tre"], "there is no kind 'foreign-tre'; did you mean `foreign-tree`?"),
    ],
)  # fmt: skip
def test_unknown_names_get_a_suggestion(arguments: list[str], message: str) -> None:
    command = [EXECUTABLE, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())


def test_help_is_printed_without_arguments() -> None:
    done = run()
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == run("--help").stdout


# --keep


def test_keep_that_matches_nothing_is_a_warning(output: Path) -> None:
    def warnings(*arguments: object) -> list[str]:
        done = run(*arguments)
        assert done.returncode == 1
        return [line for line in done.stderr.splitlines() if line.startswith("warning: ")]

    expected = ["warning: --keep shara/** matches no file"]
    keep = ("--keep", "shara/**", "--keep", "lib/*/site-packages/*.py")
    assert warnings("check", output, *keep) == expected
    assert warnings("check", output, "-j", "2", *keep) == expected
    assert warnings("fix", "--dry-run", output, *keep) == expected
    # There is no warning if it matches in one package of the run.
    assert warnings("check", output, "--keep", "lib/python3.12/**") == []
    done = run("check", output, CONDA_PRUNE_KEEP="shara/**")
    assert "warning: CONDA_PRUNE_KEEP shara/** matches no file\n" in done.stderr


def test_keep_is_not_reported_if_a_package_failed(output: Path) -> None:
    broken(output)
    assert "matches no file" not in run("check", output, "--keep", "shara/**").stderr


def test_show_warns_about_keep_that_matches_nothing() -> None:
    assert "--keep shara/** matches no file" in run("show", STRAY[0].path, "--keep", "shara/**").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("chek output", "there is no command 'chek'; did you mean `check`?"),
        ("check --fix output", "check never writes, so it has no option --fix; did you mean `conda-prune fix`?"),
        ("check --selct all output", "there is no option --selct; did you mean `--select`?"),
        ("check -j -1 output", "invalid value for '-j' / '--jobs': -1 is not in the range x>=0"),
        ("check -j x output", "invalid value for '-j' / '--jobs': 'x' is not a whole number"),
        ("audit x --timeout soon", "invalid value for '--timeout': 'soon' is not a number"),
        ("check -j", "option '-j' requires an argument; see `conda-prune --help`"),
        ("check", "name packages, directories or globs; see `conda-prune check --help`"),
        ("diff old.conda", "missing argument 'NEW'; see `conda-prune diff --help`"),
        ("fix output", "choose where to write the results: --in-place or -o DIR; see `conda-prune fix --help`"),
        ("fix --in-place -o repaired output", "--in-place and --output-dir cannot be combined; use only one"),
        ("fix --in-place --level 99 output", "--level 99: use same, -7 to 22 for .conda, or 1 to 9 for .tar.bz2"),
        ("fix --in-place --reindex some output", "invalid value for '--reindex': 'some' is not one of 'auto', "),
        ("show --only some p.conda", "invalid value for '--only': 'some' is not one of 'drop', 'edit', 'keep'"),
        ("completion csh", "invalid value for '{bash|zsh|fish}': 'csh' is not one of 'bash', 'zsh', 'fish'"),
        ("explain strays", "there is no kind 'strays'; choose from "),
        ("config --config absent.toml", f"absent.toml cannot be read: {MISSING}"),
    ],
)
def test_wrong_usage_is_one_line_that_says_what_to_do(arguments: str, message: str) -> None:
    done = run(*arguments.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert ";" in done.stderr, "what to do comes after a semicolon"


@pytest.mark.parametrize(
    ("command", "variable", "value", "message"),
    [
        ("check", "CONDA_PRUNE_COLOR", "foo", "invalid value for {}: 'foo' is not one of 'auto', 'always', 'never'"),
        ("check", "CONDA_PRUNE_VERBOSE", "maybe", "invalid value for {}: 'maybe' is neither true nor false"),
        ("check", "CONDA_PRUNE_NO_CONFIG", "maybe", "invalid value for {}: 'maybe' is neither true nor false"),
        ("check", "CONDA_PRUNE_CHECK_JOBS", "x", "invalid value for {}: 'x' is not a whole number"),
        ("check", "CONDA_PRUNE_CHECK_SELECT", "foo", "{}: there is no kind 'foo'"),
        ("check", "CONDA_PRUNE_FORMAT", "foo", "{} foo: there is no format 'foo'"),
        ("fix --in-place", "CONDA_PRUNE_LEVEL", "99", "{} 99: use same, -7 to 22"),
        ("fix --in-place", "CONDA_PRUNE_FIX_BACKUP", "/", "{}: the backup suffix '/'"),
        ("fix --in-place", "CONDA_PRUNE_OUTPUT_DIR", "repaired", "--in-place and {} cannot be combined"),
    ],
)
def test_an_error_about_a_variable_names_it(
    output: Path, command: str, variable: str, value: str, message: str
) -> None:
    done = run(*command.split(), output, check=False, **{variable: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message.format(variable)}")
    assert done.stderr.count("\n") == 1
