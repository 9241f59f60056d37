"""What is ready to copy can be copied: every file is valid for the tool that reads it, and what it runs, runs.

The two recipes are built in tests/test_conda_package.py, against a channel that has conda-prune.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

import conda_prune

from .command_lines import find_commands, parse
from .seed import SEED, SEEDS, STRAY
from .tool_channel import (
    REPOSITORY,
    build_with_hatchling,
    installed,
    load_toml,
    outside_python,
)

EXAMPLES = REPOSITORY / "examples"
ACTION = REPOSITORY / "action.yml"
CI = REPOSITORY / ".github" / "workflows" / "ci.yml"
RELEASE = REPOSITORY / ".github" / "workflows" / "release.yml"
WORKFLOW = EXAMPLES / "github" / "workflow.yml"
AUDIT_WORKFLOW = EXAMPLES / "github" / "audit.yml"
GITLAB = EXAMPLES / "gitlab" / ".gitlab-ci.yml"
TEXTS = sorted(path for path in [ACTION, *EXAMPLES.rglob("*")] if path.is_file() and path.suffix != ".py")

needs_bash = pytest.mark.skipif(
    os.name == "nt" or shutil.which("bash") is None, reason="the scripts are for bash on a POSIX system"
)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        pytest.param(CI, "github-workflows", id="ci.yml"),
        pytest.param(RELEASE, "github-workflows", id="release.yml"),
        pytest.param(WORKFLOW, "github-workflows", id="workflow.yml"),
        pytest.param(AUDIT_WORKFLOW, "github-workflows", id="audit.yml"),
        pytest.param(ACTION, "github-actions", id="action.yml"),
        pytest.param(GITLAB, "gitlab-ci", id=".gitlab-ci.yml"),
    ],
)
def test_ci_files_are_valid_by_their_schemas(path: Path, schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_wrong_ci_file_is_not_valid(tmp_path: Path) -> None:
    broken = tmp_path / "workflow.yml"
    broken.write_text(WORKFLOW.read_text(encoding="utf-8").replace("runs-on:", "runs-at:"), encoding="utf-8")
    with pytest.raises(AssertionError, match="runs-on"):
        test_ci_files_are_valid_by_their_schemas(broken, "github-workflows")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_command_in_the_examples_exists(path: Path) -> None:
    for command in find_commands(path.read_text(encoding="utf-8")):
        parse(command.replace("$COMMAND", "check").replace("$PART", "1"), path.name)


def test_each_example_runs_conda_prune() -> None:
    commands = {command for path in TEXTS for command in find_commands(path.read_text(encoding="utf-8"))}
    assert {"prefix --fix", "fix --in-place output", "check --installed ${{ name }}"} <= commands


def scripts(value: Any) -> Iterator[str]:
    """Yield every shell script in a workflow, an action or a GitLab file."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("run", "script"):
                yield inner if isinstance(inner, str) else "\n".join(inner)
            else:
                yield from scripts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from scripts(inner)


@needs_bash
@pytest.mark.parametrize("path", [ACTION, CI, WORKFLOW, GITLAB], ids=lambda path: path.name)
def test_scripts_are_valid_shell(path: Path) -> None:
    found = list(scripts(load(path)))
    assert found
    for script in found:
        plain = re.sub(r"\$\{\{.*?\}\}", "x", script)
        done = subprocess.run(["bash", "-n"], input=plain, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_ci_runs_the_readme_command_on_every_system() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    (.*-m pytest.*)$", readme, re.MULTILINE)
    job = load(CI)["jobs"]["tests"]
    runs = [step["run"] for step in job["steps"] if "pytest" in step.get("run", "")]
    windows = command.replace(".venv/bin/", ".venv/Scripts/").replace("python3 ", "python ")
    assert runs == [command, windows]
    matrix = job["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    project = load_toml(REPOSITORY / "pyproject.toml")["project"]
    assert project["requires-python"] == f">={matrix['python'][0]}"
    assert sorted(matrix["python"], key=lambda version: int(version.partition(".")[2])) == matrix["python"]


def test_the_workflow_uses_existing_inputs_of_the_action() -> None:
    inputs = load(ACTION)["inputs"]
    for path in (WORKFLOW, CI):
        steps = [step for job in load(path)["jobs"].values() for step in job["steps"]]
        used = [step for step in steps if step.get("uses") == "./" or "conda-prune@" in step.get("uses", "")]
        assert used
        for step in used:
            assert step.get("with", {}).keys() <= inputs.keys()
            assert step.get("with", {}).get("command", "check") in ("check", "fix")


def test_the_workflow_repairs_before_it_tests_and_uploads() -> None:
    (job,) = load(WORKFLOW)["jobs"].values()
    steps = [step.get("run", "") + step.get("uses", "") for step in job["steps"]]
    order = ["rattler-build build --test skip", "conda-prune@", "upload-artifact@"]
    places = [next(number for number, step in enumerate(steps) if what in step) for what in order]
    assert places == sorted(places)
    assert job["steps"][places[1]]["with"]["test"] == "rattler-build test --package-file"


def test_both_example_recipes_build_the_same_package() -> None:
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(
        (EXAMPLES / "conda-build" / "meta.yaml").read_text(encoding="utf-8")
    )
    meta, recipe = yaml.safe_load(template.render()), load(EXAMPLES / "rattler-build" / "recipe.yaml")
    assert meta["package"] == {"name": recipe["context"]["name"], "version": recipe["context"]["version"]}
    assert meta["requirements"] == recipe["requirements"]
    assert (EXAMPLES / "conda-build" / meta["source"]["path"] / "pyproject.toml").is_file()
    assert "conda-prune" in meta["test"]["requires"]
    assert f"conda-prune check --installed {meta['package']['name']}" in meta["test"]["commands"]


def test_the_pixi_tasks_run_in_order() -> None:
    manifest = load_toml(EXAMPLES / "pixi" / "pixi.toml")
    tasks = manifest["tasks"]
    assert "--target-dir output" in tasks["build"]
    assert tasks["prune"]["depends-on"] == ["build"]
    assert tasks["test"]["depends-on"] == ["prune"]
    assert tasks["publish"]["depends-on"] == ["test"]
    assert {"conda-prune", "rattler-build"} <= manifest["dependencies"].keys()
    assert "pixi build" not in str(tasks), "a deprecated alias"


@needs_bash
def test_the_pixi_task_tests_every_package(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    for name in ("one.conda", "two.conda", "other.txt"):
        (output / name).touch()
    fake = tmp_path / "rattler-build"
    fake.write_text('#!/bin/sh\necho "$@" >> calls\ncase "$3" in */two.conda) exit 1 ;; esac\n')
    fake.chmod(0o755)
    command = [sys.executable, str(EXAMPLES / "pixi" / "test_packages.py"), "output"]
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode != 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == [f"test --package-file output/{name}.conda" for name in ("one", "two")]


@needs_bash
def test_the_commands_after_the_build_repair_its_output(wheel_commands: Path, tmp_path: Path) -> None:
    tasks = load_toml(EXAMPLES / "pixi" / "pixi.toml")["tasks"]
    job = next(line for line in load(GITLAB)["prune"]["script"] if line.startswith("conda-prune"))
    for number, command in enumerate([tasks["prune"]["cmd"], job]):
        output = tmp_path / str(number) / "output" / "linux-64"
        output.mkdir(parents=True)
        for seed in SEEDS:
            seed.copy(output)
        path = f"{wheel_commands / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = outside_python() | {"PATH": path, "PYTHONPATH": str(wheel_commands / "libraries")}
        subprocess.run(["bash", "-c", command], cwd=tmp_path / str(number), env=environment, check=True)
        assert {conda_prune.check(package, deep=True).status for package in output.iterdir()} == {"clean"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_with_hatchling(REPOSITORY, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel_commands(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """A directory with `bin/conda-prune`, and `libraries/` with everything that it imports."""
    directory = tmp_path_factory.mktemp("commands")
    libraries = directory / "libraries"
    libraries.mkdir()
    for name in installed(("conda-prune",)) - {"conda-prune"}:
        dist = distribution(name)
        for top in {path.parts[0] for path in dist.files or ()} - {".."}:
            (libraries / top).symlink_to(Path(str(dist.locate_file(top))))
    options = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check", "--no-warn-script-location"]
    target = ["--prefix", str(directory), "--ignore-installed"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *target, str(wheel)], check=True)
    (site_packages,) = {path.parents[1] for path in directory.rglob("conda_prune/__init__.py")}
    (libraries / "conda_prune").symlink_to(site_packages / "conda_prune")
    return directory


@dataclass(frozen=True)
class Runner:
    """The parts of a GitHub runner that the steps of the action use."""

    directory: Path
    libraries: Path

    def outputs(self) -> dict[str, str]:
        """Return the outputs that the last step has set, by the names that the action gives them."""
        lines = (self.directory / "outputs").read_text(encoding="utf-8").splitlines()
        given = {f"steps.run.outputs.{name}": value for name, _, value in (line.partition("=") for line in lines)}
        return {name: expanded(output["value"], given) for name, output in load(ACTION)["outputs"].items()}

    def run(self, step: Mapping[str, Any], **inputs: str) -> tuple[int, str]:
        """Run a step of the action; return its exit code and what it printed."""
        inputs = {name.replace("_", "-"): value for name, value in inputs.items()}
        defaults = {name: str(given.get("default", "")) for name, given in load(ACTION)["inputs"].items()}
        (self.directory / "outputs").write_text("", encoding="utf-8")
        assert inputs.keys() <= defaults.keys()
        values = {f"inputs.{name}": value for name, value in (defaults | inputs).items()}
        values["github.action_path"] = str(REPOSITORY)
        environment = {key: value for key, value in outside_python().items() if not key.startswith("GITHUB_")} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "RUNNER_TEMP": str(self.directory / "temp"),
            "GITHUB_STEP_SUMMARY": str(self.directory / "summary.md"),
            "GITHUB_OUTPUT": str(self.directory / "outputs"),
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.directory),
            # pip must not download anything: everything is installed already.
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PYTHONPATH": str(self.libraries),
        }
        assert step["shell"] == "bash"
        given = {key: expanded(value, values) for key, value in step["env"].items()}
        script = self.directory / "temp" / "step.sh"
        script.parent.mkdir(exist_ok=True)
        script.write_text(step["run"], encoding="utf-8")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.directory,
            env=environment | given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        return done.returncode, done.stdout


def expanded(text: str, values: Mapping[str, str]) -> str:
    """Return an action's text with its expressions replaced: names, and `a || b`."""

    def value(match: re.Match[str]) -> str:
        return next(filter(None, (values[name.strip()] for name in match[1].split("||"))), "")

    return re.sub(r"\$\{\{(.*?)\}\}", value, text)


def annotation_levels(printed: str) -> list[str]:
    return re.findall(r"^::(error|warning|notice)\b", printed, re.MULTILINE)


@needs_bash
def test_the_action_repairs_and_then_passes(wheel: Path, wheel_commands: Path, tmp_path: Path) -> None:
    shutil.copytree(SEED, tmp_path / "output" / "linux-64")
    libraries = tmp_path / "libraries"
    shutil.copytree(wheel_commands / "libraries", libraries, symlinks=True)
    (libraries / "conda_prune").unlink()
    runner = Runner(tmp_path, libraries)
    install, work, test = load(ACTION)["runs"]["steps"]

    code, printed = runner.run(install, requirement=str(wheel))
    assert (code, conda_prune.__version__ in printed) == (0, True), printed

    code, printed = runner.run(work)
    assert code == 1, printed
    assert annotation_levels(printed) == ["error"] * len(STRAY)
    stray = sum(len(seed.stray) for seed in STRAY)
    assert runner.outputs() == {"findings": str(stray), "fixed": "0", "failed": "0", "bytes-saved": "0"}
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8").replace("\\", "")
    assert all(seed.path.name in summary for seed in STRAY)

    code, printed = runner.run(work, fail_on="error")
    assert (code, annotation_levels(printed)) == (0, ["warning"] * len(STRAY)), printed

    code, printed = runner.run(work, command="fix", arguments="--threads 1 --backup .orig")
    assert code == 0, printed
    backups = list(tmp_path.glob("output/linux-64/*.orig"))
    assert len(backups) == len(STRAY)
    saved = sum(backup.stat().st_size - backup.with_suffix("").stat().st_size for backup in backups)
    assert runner.outputs() == {
        "findings": str(stray), "fixed": str(len(STRAY)), "failed": "0", "bytes-saved": str(saved)
    }  # fmt: skip
    # The tests see every package, also the clean ones, and the first that fails ends the step.
    code, printed = runner.run(test, test="echo tested:")
    assert (code, printed.count("tested: ")) == (0, len(SEEDS)), printed
    assert all(seed.path.name in printed for seed in SEEDS)
    code, printed = runner.run(test, test="false")
    assert code == 1, printed
    code, printed = runner.run(work, paths="output/*\n\noutput/*/*.conda\n")
    assert code == 0, printed
    assert runner.outputs() == dict.fromkeys(load(ACTION)["outputs"], "0")

    (tmp_path / "output" / "linux-64" / "broken.conda").write_bytes(b"PK")
    for fail_on, expected, level in [("findings", 3, "error"), ("error", 3, "error"), ("never", 0, "warning")]:
        code, printed = runner.run(work, fail_on=fail_on)
        levels = [found for found in annotation_levels(printed) if found != "notice"]
        assert (code, levels, runner.outputs()["failed"]) == (expected, [level], "1"), printed

    # A skipped build creates nothing, not even the directory.
    code, printed = runner.run(work, command="fix", paths="skipped")
    assert (code, "no conda packages in skipped" in printed) == (0, True), printed

    code, printed = runner.run(work, command="mend")
    assert (code, "neither check nor fix" in printed) == (2, True)
    code, printed = runner.run(work, fail_on="always")
    assert (code, "neither findings, error nor never" in printed) == (2, True)
    code, printed = runner.run(work, arguments="--no-such-option", fail_on="never")
    assert code == 2, printed


RECIPE = """
package: {name: two, version: "1"}
build:
  script: |
    for version in 3.9 "${{ python }}"; do
      directory="$PREFIX/lib/python$version/site-packages/two/__pycache__"
      mkdir -p "$directory"
      echo > "$directory/__init__.cpython-$(echo "$version" | tr -d .).pyc"
    done
requirements:
  run: ["python_abi ${{ python }}.*"]
"""


@needs_bash
def test_the_python_example_repairs_each_built_package(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    channel = tmp_path / "channel"
    for subdir in ("noarch", "linux-64", "linux-aarch64", "osx-64", "osx-arm64"):
        (channel / subdir).mkdir(parents=True)
        (channel / subdir / "repodata.json").write_text(json.dumps({"packages": {}, "packages.conda": {}}))
    script = EXAMPLES / "python" / "build_and_prune.py"
    options = ["--output", tmp_path / "output", "--channel", channel.as_uri(), "--python", "3.12", "--python", "3.13"]
    command = [sys.executable, script, recipe, *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if "files dropped" in line]
    assert [line.split()[0] for line in lines] == ["fixed", "fixed"], done.stderr
    assert all(line.endswith("1 files dropped") for line in lines)
    packages = list((tmp_path / "output").glob("*/two-1-*.conda"))
    assert len(packages) == 2
    assert {conda_prune.check(package, deep=True).status for package in packages} == {"clean"}
    for package in packages:
        index = json.loads((package.parent / "repodata.json").read_text(encoding="utf-8"))
        assert index["packages.conda"][package.name]["sha256"] == hashlib.sha256(package.read_bytes()).hexdigest()
