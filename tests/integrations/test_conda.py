"""The conda plugin: `conda prune`, the hooks around `conda build`, and the health check.

These tests use conda's own plugin manager, types and configuration if conda and conda-build are installed, otherwise
what conda_contract.py has recorded of them. The last tests run the real `conda build`.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest
import yaml

import conda_prune

from ..seed import CLEAN, STRAY
from ..tool_channel import REPOSITORY, load_toml
from . import conda_contract

PLUGIN = "conda_prune.integrations.conda"
EXAMPLES = REPOSITORY / "examples" / "conda-build"


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


HAS_CONDA = _is_importable("conda.plugins.types") and _is_importable("conda_build.plugin")
needs_conda = pytest.mark.skipif(
    not HAS_CONDA, reason="conda and conda-build are not installed, and PyPI does not have them"
)
HAS_LIBMAMBA = _is_importable("conda_libmamba_solver")
needs_libmamba = pytest.mark.skipif(
    not HAS_LIBMAMBA,
    reason="conda-libmamba-solver is not installed; without it, conda-build 26.7 cannot create test environments",
)
needs_plugin = pytest.mark.skipif(
    not HAS_CONDA or not any(point.value == PLUGIN for point in entry_points(group="conda")),
    reason="conda, conda-build, or the entry points of conda-prune are not installed",
)


class Conda(Protocol):
    """What the tests do with conda, or with what was recorded of it."""

    plugin: ModuleType

    def build(self, mode: str, arguments: Sequence[str], build: Callable[[], object]) -> None:
        """Run `conda build` as conda does, with another function in the place of conda-build's."""

    def hook(self, name: str) -> list[Any]:
        """Return what the plugin registers with a hook."""


class RecordedConda:
    """Calls hooks as conda 26.7 does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, module in conda_contract.modules():
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.delitem(sys.modules, PLUGIN, raising=False)
        self.plugin = importlib.import_module(PLUGIN)

    def hook(self, name: str) -> list[Any]:
        function = getattr(self.plugin, f"conda_{name}")
        assert hasattr(function, "conda_impl"), "not marked as a hook"
        return list(function())

    def build(self, mode: str, arguments: Sequence[str], build: Callable[[], object]) -> None:
        context = conda_contract.context
        context.plugins.prune_after_build = mode
        context._argparse_args = {"cmd": "build", "_args": tuple(arguments)}
        for hook in self.hook("pre_commands"):
            if "build" in hook.run_for:
                hook.action("build")
        context._argparse_args = {"recipe": [], "output_folder": None}  # conda-build replaces conda's own.
        build()
        for hook in self.hook("post_commands"):
            if "build" in hook.run_for:
                hook.action("build")


class RealConda:
    """Calls hooks through conda's plugin manager, with conda's configuration."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from conda.base.context import context, reset_context

        self._monkeypatch, self._context, self._reset = monkeypatch, context, reset_context
        monkeypatch.delitem(sys.modules, PLUGIN, raising=False)
        self.plugin = importlib.import_module(PLUGIN)
        manager = context.plugin_manager
        for name, plugin in list(manager.list_name_plugin()):
            if name == PLUGIN or getattr(plugin, "__name__", "") == PLUGIN:
                manager.unregister(plugin)
        assert manager.load_plugins(self.plugin) == 1
        manager.load_settings()

    def hook(self, name: str) -> list[Any]:
        ours = {
            "subcommands": "prune",
            "pre_commands": "conda-prune",
            "post_commands": "conda-prune",
            "settings": "prune_after_build",
            "health_checks": "stray-bytecode",
        }[name]
        return [found for found in self._context.plugin_manager.get_hook_results(name) if found.name == ours]

    def build(self, mode: str, arguments: Sequence[str], build: Callable[[], object]) -> None:
        self._monkeypatch.setenv("CONDA_PLUGINS_PRUNE_AFTER_BUILD", mode)
        self._reset()
        manager = self._context.plugin_manager
        self._context.__init__(argparse_args={"cmd": "build", "_args": tuple(arguments)})
        manager.invoke_pre_commands("build")
        self._context.__init__(argparse_args={"recipe": [], "output_folder": None})
        build()
        manager.invoke_post_commands("build")


@pytest.fixture
def conda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Conda:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONDARC", str(tmp_path / "condarc"))
    return RealConda(monkeypatch) if HAS_CONDA else RecordedConda(monkeypatch)


def conda_error() -> type[Exception]:
    """Return conda's own error; its subclasses include that for an invalid setting."""
    error: type[Exception] = importlib.import_module("conda").CondaError
    return error


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An output directory with a package from before the build, which nobody asked to repair."""
    subdir = tmp_path / "out" / "linux-64"
    subdir.mkdir(parents=True)
    STRAY[0].copy(subdir)
    return subdir


ARGUMENTS = ("recipe", "--output-folder", "out")


def statuses(*packages: Path) -> list[str]:
    return [conda_prune.check(package).status for package in packages]


def test_pyproject_registers_the_plugin_and_pixi_prune() -> None:
    project = load_toml(REPOSITORY / "pyproject.toml")["project"]
    assert project["entry-points"] == {"conda": {"conda-prune": PLUGIN}}
    assert project["scripts"]["pixi-prune"] == project["scripts"]["conda-prune"] == "conda_prune.cli:main"


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=needs_conda)])
def test_importing_the_plugin_imports_nothing_else(real: bool) -> None:
    prepare = "import conda.cli.main, conda.plugins.manager" if real else "install()"
    script = f"""
import sys
from tests.integrations.conda_contract import install
{prepare}
before = set(sys.modules)
import {PLUGIN}
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["conda_prune", "conda_prune.integrations", PLUGIN]


def test_the_subcommand_has_the_executables_exit_codes(conda: Conda, capfd: pytest.CaptureFixture[str]) -> None:
    (subcommand,) = conda.hook("subcommands")
    assert (subcommand.name, subcommand.configure_parser) == ("prune", None)
    assert subcommand.action(("--version",)) == 0
    assert capfd.readouterr().out == f"conda-prune, version {conda_prune.__version__}\n"
    assert subcommand.action(("check", str(CLEAN[0].path))) == 0
    assert subcommand.action(("check", str(STRAY[0].path))) == 1
    assert subcommand.action(("check",)) == 2
    assert subcommand.action(("check", "no-such-file")) == 3


def test_messages_of_the_subcommand_call_it_conda_prune(conda: Conda, capfd: pytest.CaptureFixture[str]) -> None:
    (subcommand,) = conda.hook("subcommands")
    assert subcommand.action(("check", "--help")) == 0
    assert capfd.readouterr().out.startswith("Usage: conda prune check ")
    assert subcommand.action(("check",)) == 2
    assert "see `conda prune check --help`" in capfd.readouterr().err


def test_the_setting_is_off_by_default(conda: Conda) -> None:
    (setting,) = conda.hook("settings")
    assert setting.name == "prune_after_build"
    if HAS_CONDA:
        from conda.base.context import context, reset_context

        reset_context()
        assert context.plugins.prune_after_build == "off"
    else:
        assert setting.parameter.default == "off"


@pytest.mark.parametrize(("value", "is_valid"), [("off", True), ("check", True), ("Fix", True), ("False", True),
                                                 ("mend", False), ("on", False), ("", False)])  # fmt: skip
def test_only_three_settings_are_valid(conda: Conda, value: str, is_valid: bool) -> None:
    message = conda.plugin._invalid_mode(value)
    assert message is True or message == "Use one of: off, check, fix."
    assert (message is True) is is_valid


def test_the_example_turns_the_repair_on(conda: Conda) -> None:
    example = yaml.safe_load((EXAMPLES / "condarc").read_text(encoding="utf-8"))
    (setting,) = conda.hook("settings")
    assert example == {"plugins": {setting.name: "fix"}}


@needs_conda
@pytest.mark.parametrize(("text", "expected"), [("off", "off"), ("false", "off"), ("fix", "fix"), ("mend", None)])
def test_the_setting_is_read_from_condarc(
    conda: Conda, text: str, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from conda.base.context import context, reset_context

    condarc = tmp_path / "condarc.yml"
    condarc.write_text(f"plugins:\n  prune_after_build: {text}\n")
    monkeypatch.setenv("CONDARC", str(condarc))
    reset_context([str(condarc)])
    if expected is None:
        with pytest.raises(conda_error(), match="Use one of: off, check, fix"):
            _ = context.plugins.prune_after_build
    else:
        assert conda.plugin._mode_of(context.plugins.prune_after_build) == expected


@pytest.mark.parametrize("mode", ["off", "False"])
def test_off_does_nothing(conda: Conda, output: Path, mode: str, capfd: pytest.CaptureFixture[str]) -> None:
    conda.build(mode, ARGUMENTS, lambda: STRAY[1].copy(output))
    assert statuses(output / STRAY[1].path.name) == ["findings"]
    assert capfd.readouterr() == ("", "")


def test_check_fails_the_build_if_it_left_stray_bytecode(
    conda: Conda, output: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(conda_error(), match="the packages above contain stray bytecode") as error:
        conda.build("check", ARGUMENTS, lambda: STRAY[1].copy(output))
    assert str(error.value).endswith(f"\n  conda prune fix --in-place {output / STRAY[1].path.name}")
    printed = capfd.readouterr().out
    assert STRAY[1].path.name in printed
    assert STRAY[0].path.name not in printed
    assert statuses(output / STRAY[1].path.name) == ["findings"]


def test_check_passes_if_the_build_is_clean(conda: Conda, output: Path) -> None:
    conda.build("check", ARGUMENTS, lambda: CLEAN[0].copy(output))


@pytest.mark.parametrize("subdir", ["linux-64", "noarch", "osx-arm64"])
def test_fix_repairs_what_was_built_for_any_platform(
    conda: Conda, output: Path, subdir: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def build() -> None:
        (output.parent / subdir).mkdir(exist_ok=True)
        STRAY[1].copy(output.parent / subdir)

    conda.build("fix", ARGUMENTS, build)
    built = output.parent / subdir / STRAY[1].path.name
    assert statuses(built, output / STRAY[0].path.name) == ["clean", "findings"]
    assert f"To test what you will ship:\n  conda build --test {built}\n" in capfd.readouterr().out


def test_fix_repairs_a_package_that_was_built_again(conda: Conda, output: Path) -> None:
    def build() -> None:
        os.utime(STRAY[0].copy(output), ns=(1, 1))

    conda.build("fix", ARGUMENTS, build)
    assert statuses(output / STRAY[0].path.name) == ["clean"]


def test_a_clean_package_needs_no_further_test(conda: Conda, output: Path, capfd: pytest.CaptureFixture[str]) -> None:
    conda.build("fix", ARGUMENTS, lambda: CLEAN[0].copy(output))
    assert "To test" not in capfd.readouterr().out


def test_a_recipe_yaml_is_tested_by_rattler_build(
    conda: Conda, output: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # conda-build cannot test a package that has no meta.yaml in it.
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "recipe.yaml").write_text("package: {name: a, version: 1}\n")
    conda.build("fix", ARGUMENTS, lambda: STRAY[1].copy(output))
    built = output / STRAY[1].path.name
    assert f"  rattler-build test --package-file {built}\n" in capfd.readouterr().out


@pytest.mark.parametrize("mode", ["check", "fix"])
def test_nothing_is_printed_if_nothing_was_built(
    conda: Conda, output: Path, mode: str, capfd: pytest.CaptureFixture[str]
) -> None:
    conda.build(mode, ARGUMENTS, lambda: (output / "index.html").write_text("new"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("arguments", [["--help"], ["--no-such-option"], []])
def test_arguments_that_build_nothing_are_left_to_conda_build(
    conda: Conda, output: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    conda.build("check", arguments, lambda: STRAY[1].copy(output))
    assert capfd.readouterr() == ("", "")


def test_fix_warns_before_an_upload_and_repairs_nothing(
    conda: Conda, output: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = []

    def build() -> None:
        before.append(capfd.readouterr().err)
        STRAY[1].copy(output)

    conda.build("fix", (*ARGUMENTS, "--user", "me"), build)
    assert "build with --no-anaconda-upload" in before[0]
    assert "already uploaded" in capfd.readouterr().err
    assert statuses(output / STRAY[1].path.name) == ["findings"]


def test_check_fails_after_an_upload_too(conda: Conda, output: Path) -> None:
    with pytest.raises(conda_error(), match="already uploaded; rebuild them with a higher build number"):
        conda.build("check", (*ARGUMENTS, "--user", "me"), lambda: STRAY[1].copy(output))


@pytest.mark.parametrize("option", ["--build-only", "--post"])
def test_a_build_that_does_not_upload_is_repaired(conda: Conda, output: Path, option: str) -> None:
    conda.build("fix", (*ARGUMENTS, "--user", "me", option), lambda: STRAY[1].copy(output))
    assert statuses(output / STRAY[1].path.name) == ["clean"]


@pytest.mark.parametrize("mode", ["check", "fix"])
def test_a_package_that_cannot_be_read_fails_the_build(conda: Conda, output: Path, mode: str) -> None:
    with pytest.raises(conda_error(), match="failed with exit code 3"):
        conda.build(mode, ARGUMENTS, lambda: (output / "a-1-0.conda").write_bytes(b"PK"))


def test_a_failed_build_does_not_affect_the_next_one(conda: Conda, output: Path) -> None:
    def fail() -> None:
        STRAY[1].copy(output)
        raise OSError("the script failed")

    with pytest.raises(OSError, match="the script failed"):
        conda.build("fix", ARGUMENTS, fail)
    conda.build("fix", ARGUMENTS, lambda: CLEAN[0].copy(output))
    assert statuses(output / STRAY[1].path.name) == ["findings"]


def test_a_conda_build_that_works_otherwise_fails_the_build(
    conda: Conda, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(importlib.import_module("conda_build.config"), "get_or_merge_config")
    with pytest.raises(conda_error(), match="cannot find out where this version of conda-build writes packages"):
        conda.build("check", ARGUMENTS, lambda: pytest.fail("the build was not stopped"))


def test_a_directory_with_wildcards_in_its_name_is_repaired(conda: Conda, tmp_path: Path) -> None:
    subdir = tmp_path / "[x] y" / "linux-64"
    subdir.mkdir(parents=True)
    conda.build("fix", ("recipe", "--output-folder", "[x] y"), lambda: STRAY[1].copy(subdir))
    assert statuses(subdir / STRAY[1].path.name) == ["clean"]


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An environment with two packages, of which one has bytecode of another Python."""
    for name, tags in {"clean": ["311"], "strayed": ["311", "310"]}.items():
        files = [f"lib/python3.11/site-packages/{name}.py"]
        files += [f"lib/python3.11/site-packages/__pycache__/{name}.cpython-{tag}.pyc" for tag in tags]
        for file in files:
            path = tmp_path / "env" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        record = {"name": name, "version": "1", "build": "py311_0", "build_number": 0, "files": files,
                  "depends": ["python >=3.11,<3.12.0a0"], "subdir": "linux-64"}  # fmt: skip
        (tmp_path / "env" / "conda-meta").mkdir(exist_ok=True)
        (tmp_path / "env" / "conda-meta" / f"{name}-1-py311_0.json").write_text(json.dumps(record))
    return tmp_path / "env"


def test_the_health_check_counts_stray_files(conda: Conda, prefix: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (check,) = conda.hook("health_checks")
    assert check.fixer is None
    check.action(str(prefix), False)
    assert capfd.readouterr().out == "❌ Stray bytecode in this environment:\n\nstrayed-1-py311_0: 1\n\n"
    check.action(str(prefix), True)
    assert "\n  lib/python3.11/site-packages/__pycache__/strayed.cpython-310.pyc\n" in capfd.readouterr().out


def test_the_health_check_passes_a_clean_environment(
    conda: Conda, prefix: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    next(prefix.glob("conda-meta/strayed-*")).unlink()
    (check,) = conda.hook("health_checks")
    check.action(str(prefix), False)
    assert capfd.readouterr().out == "✅ There is no stray bytecode in this environment.\n\n"


def test_the_health_check_names_what_it_could_not_check(
    conda: Conda, prefix: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    next(prefix.glob("conda-meta/strayed-*")).write_text("{")
    (check,) = conda.hook("health_checks")
    check.action(str(prefix), False)
    printed = capfd.readouterr().out
    assert printed.startswith("❌ Not checked for stray bytecode:\n\nstrayed-1-py311_0: ")
    assert "There is no stray bytecode" not in printed


@pytest.mark.skipif(os.name == "nt", reason="Windows does not send signals to other processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_work_before_conda_ends(number: signal.Signals, tmp_path: Path) -> None:
    # The command reads paths from standard input, so it works until it is interrupted.
    script = f"""
import sys
from tests.integrations.conda_contract import install
install()
from {PLUGIN} import _prune
print("ready", flush=True)
sys.exit(_prune(["check", "-v", "-", "--format", "json"]))
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if not children.exists():
            pytest.skip("needs /proc to know when the child handles signals")
        while not (ours := children.read_text().split()) or not _handles(int(ours[0]), number):
            assert process.poll() is None
        process.send_signal(number)
        assert process.wait(30) == 128 + number
        assert not Path(f"/proc/{ours[0]}").exists()


def _handles(pid: int, number: int) -> bool:
    """Return whether a process is conda-prune, and has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    # Python itself handles SIGINT. conda-prune also handles SIGTERM, which Python does not.
    return all(int(caught, 16) >> (each - 1) & 1 for each in (number, signal.SIGTERM))


@needs_conda
def test_the_contract_matches_conda() -> None:
    from conda import __version__
    from conda_build import __version__ as build_version
    from conda_build.cli.main_build import parse_args
    from conda_build.config import get_or_merge_config

    for class_ in conda_contract._TYPES:
        real = getattr(importlib.import_module("conda.plugins.types"), class_.__name__)
        assert [(field.name, field.default) for field in dataclasses.fields(real)] == [
            (field.name, field.default) for field in dataclasses.fields(class_)
        ], f"{class_.__name__} of conda {__version__} is not that of {conda_contract.CONDA}"
    for module, content in conda_contract.MODULES.items():
        for name, ours in content.items():
            real = getattr(importlib.import_module(module), name)
            if inspect.isfunction(ours) and name != "hookimpl":
                expected, found = (list(inspect.signature(function).parameters) for function in (ours, real))
                assert found == expected, f"{module}.{name} of conda-build {build_version}"
    from conda.common.configuration import PrimitiveParameter

    assert inspect.signature(PrimitiveParameter).parameters.keys() == (
        inspect.signature(conda_contract.PrimitiveParameter).parameters.keys()
    )
    _, recorded = conda_contract.parse_args(["recipe"])
    _, parsed = parse_args(["recipe"])
    assert vars(recorded).keys() - {"no_test"} <= vars(parsed).keys()
    config = get_or_merge_config(None, **vars(parsed))
    assert all(hasattr(config, name) for name in vars(conda_contract.Config(vars(recorded))))
    constants = importlib.import_module("conda.base.constants")
    assert set(conda_contract.KNOWN_SUBDIRS) <= set(constants.KNOWN_SUBDIRS)
    assert (constants.OK_MARK, constants.X_MARK) == (conda_contract.OK_MARK, conda_contract.X_MARK)


STRAY_PATH = "lib/python3.9/site-packages/a/__pycache__/__init__.cpython-39.pyc"
SCRIPT = f'mkdir -p "$PREFIX/{os.path.dirname(STRAY_PATH)}" && echo stray > "$PREFIX/{STRAY_PATH}"'
RECIPES = {
    "meta.yaml": f"package: {{name: made, version: '1'}}\nbuild: {{script: '{SCRIPT}'}}\n",
    "recipe.yaml": f"package: {{name: made, version: '1'}}\nbuild: {{script: '{SCRIPT}'}}\n",
}


class CondaBuild:
    """Runs conda offline, with a channel that has no packages."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        channel = directory / "channel"
        for subdir in ("noarch", "linux-64", "linux-aarch64", "osx-64", "osx-arm64"):
            (channel / subdir).mkdir(parents=True)
            (channel / subdir / "repodata.json").write_text('{"packages": {}, "packages.conda": {}}')
        solver = "libmamba" if HAS_LIBMAMBA else "classic"
        self.settings = {"solver": solver, "offline": True, "channels": [channel.as_uri()],
                         "pkgs_dirs": [str(directory / "pkgs")]}  # fmt: skip
        self.environment = {"CONDARC": str(directory / "condarc"), "HOME": str(directory),
                            "CONDA_BLD_PATH": str(directory / "croot")}  # fmt: skip

    def run(self, *arguments: object, mode: str = "off") -> subprocess.CompletedProcess[str]:
        settings = {**self.settings, "plugins": {"prune_after_build": mode}}
        (self.directory / "condarc").write_text(json.dumps(settings))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONDA_")}
        return subprocess.run(
            [sys.executable, "-m", "conda", *map(str, arguments)],
            cwd=self.directory,
            env={**kept, **self.environment},
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )

    def build(self, recipe: str, mode: str, *options: str) -> tuple[subprocess.CompletedProcess[str], Path]:
        (self.directory / "recipe").mkdir()
        (self.directory / "recipe" / recipe).write_text(RECIPES[recipe])
        arguments = ["--no-test", "--no-anaconda-upload", "--output-folder", "out", *options]
        done = self.run("build", "recipe", *arguments, mode=mode)
        (package,) = self.directory.glob("out/*/made-1-*.conda")
        return done, package


@pytest.fixture
def conda_build(tmp_path: Path) -> CondaBuild:
    return CondaBuild(tmp_path)


@needs_plugin
@pytest.mark.parametrize("recipe", ["meta.yaml", "recipe.yaml"])
@pytest.mark.parametrize(("mode", "code", "status"), [("off", 0, "findings"), ("check", 1, "findings"),
                                                      ("fix", 0, "clean")])  # fmt: skip
def test_conda_build_runs_the_hook(conda_build: CondaBuild, recipe: str, mode: str, code: int, status: str) -> None:
    done, package = conda_build.build(recipe, mode)
    assert done.returncode == code, done.stderr
    assert statuses(package) == [status]
    assert ("CondaError: conda-prune: the packages above" in done.stderr) is (mode == "check")
    test = "conda build --test" if recipe == "meta.yaml" else "rattler-build test --package-file"
    assert (f"  {test} {package}\n" in done.stdout) is (mode == "fix")


@needs_plugin
def test_conda_build_for_another_platform_is_repaired(conda_build: CondaBuild) -> None:
    done, package = conda_build.build("meta.yaml", "fix", "--variants", "{target_platform: osx-arm64}")
    assert (done.returncode, package.parent.name) == (0, "osx-arm64"), done.stderr
    assert statuses(package) == ["clean"]


@needs_plugin
@needs_libmamba
@pytest.mark.skipif(os.name == "nt", reason="the build scripts are for a POSIX shell")
def test_the_example_script_tests_the_repaired_package(conda_build: CondaBuild) -> None:
    conda_build.run("info", mode="fix")  # writes the settings
    commands = conda_build.directory / "commands"
    commands.mkdir()
    (commands / "conda").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m conda "$@"\n')
    (commands / "conda").chmod(0o755)
    (conda_build.directory / "meta.yaml").write_text(
        RECIPES["meta.yaml"] + "test: {commands: ['test ! -e \"$PREFIX/" + STRAY_PATH + "\"', 'echo TESTED']}\n"
    )
    environment = {**os.environ, **conda_build.environment, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
    script = EXAMPLES / "build_and_test.sh"
    done = subprocess.run(
        ["sh", script], cwd=conda_build.directory, env=environment, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert "\nTESTED\n" in done.stdout, done.stdout
    (package,) = conda_build.directory.glob("output/*/made-1-*.conda")
    assert statuses(package) == ["clean"]


@needs_plugin
def test_conda_build_output_prints_only_paths(conda_build: CondaBuild) -> None:
    _, package = conda_build.build("meta.yaml", "fix")
    done = conda_build.run("build", "recipe", "--output", "--output-folder", "out", mode="fix")
    assert done.stdout.splitlines() == [str(package.relative_to(conda_build.directory))]


@needs_plugin
def test_the_executable_conda_build_runs_no_plugins(conda_build: CondaBuild) -> None:
    executable = shutil.which("conda-build", path=os.path.dirname(sys.executable))
    if executable is None:
        pytest.skip("conda-build is not installed as an executable")
    conda_build.run("info", mode="fix")  # writes the settings
    (conda_build.directory / "recipe").mkdir()
    (conda_build.directory / "recipe" / "meta.yaml").write_text(RECIPES["meta.yaml"])
    environment = {**os.environ, **conda_build.environment}
    command = [executable, "recipe", "--no-test", "--no-anaconda-upload", "--output-folder", "out"]
    subprocess.run(command, cwd=conda_build.directory, env=environment, check=True, capture_output=True)
    (package,) = conda_build.directory.glob("out/*/made-1-*.conda")
    assert statuses(package) == ["findings"]


@needs_plugin
def test_conda_runs_the_subcommand_and_the_health_check(conda_build: CondaBuild, prefix: Path) -> None:
    (prefix / "conda-meta" / "history").write_text("")
    done = conda_build.run("prune", "check", "--format", "json", "-v", STRAY[0].path)
    assert (done.returncode, json.loads(done.stdout)[0]["status"]) == (1, "findings")
    assert conda_build.run("prune", "--help").stdout.startswith("Usage: conda prune ")
    assert "stray-bytecode" in conda_build.run("doctor", "--list").stdout
    assert "strayed-1-py311_0: 1\n" in conda_build.run("doctor", "-p", prefix, "stray-bytecode").stdout
