"""What the plugin uses of conda and conda-build, recorded for where they cannot be installed: they are not on PyPI.

Recorded from conda 26.7.1 and conda-build 26.7.0: names, fields, defaults and parameters, and in which order `conda
build` calls hooks and replaces its arguments (`do_call` in conda/cli/conda_argparse.py, `execute` in
conda_build/cli/main_build.py). Where conda is installed, test_conda.py runs with it instead of this module, and
`test_the_contract_matches_conda` compares the two.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

CONDA, CONDA_BUILD = "26.7.1", "26.7.0"
"""The versions that this was recorded from."""

OK_MARK, X_MARK = "✅", "❌"
HOST_SUBDIR = "linux-64"
KNOWN_SUBDIRS = ("noarch", "linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64")
"""conda has more of them."""


class CondaError(Exception):
    def __init__(self, message: str | None, caused_by: Any = None, **kwargs: Any) -> None:
        super().__init__(message)


class PrimitiveParameter:
    def __init__(self, default: Any, element_type: Any = None, validation: Any = None) -> None:
        self.default = default
        self.validation = validation


@dataclass
class CondaPlugin:
    name: str

    def __post_init__(self) -> None:
        self.name = self.name.lower().strip()


@dataclass
class CondaSubcommand(CondaPlugin):
    name: str
    summary: str
    action: Callable[[tuple[str, ...]], int | None]
    aliases: tuple[str, ...] = field(default_factory=tuple)
    configure_parser: Callable[[argparse.ArgumentParser], None] | None = field(default=None)


@dataclass
class CondaPreCommand(CondaPlugin):
    name: str
    action: Callable[[str], None]
    run_for: set[str]


@dataclass
class CondaPostCommand(CondaPlugin):
    name: str
    action: Callable[[str], None]
    run_for: set[str]


@dataclass
class CondaSetting(CondaPlugin):
    name: str
    description: str
    parameter: PrimitiveParameter
    aliases: tuple[str, ...] = ()


@dataclass
class CondaHealthCheck(CondaPlugin):
    name: str
    action: Callable[[str, bool], None]
    fixer: Callable[..., int] | None = None
    summary: str | None = None
    fix: str | None = None


def hookimpl(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a hook as pluggy does for the project `conda`."""
    function.conda_impl = {}  # type: ignore[attr-defined]
    return function


class Config:
    """The attributes of conda-build's Config that the plugin reads."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.host_subdir = HOST_SUBDIR
        self.output_folder = options["output_folder"] or "conda-bld"
        self.token, self.user = options["token"], options["user"]
        self.anaconda_upload = options["anaconda_upload"]


def parse_args(args: Sequence[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser("conda build")
    parser.add_argument("recipe", nargs="+")
    parser.add_argument("--output-folder")
    parser.add_argument("--no-anaconda-upload", action="store_false", dest="anaconda_upload", default=None)
    parser.add_argument("--token")
    parser.add_argument("--user")
    parser.add_argument("--build-only", "-b", action="store_true")
    parser.add_argument("--post", action="store_true")
    parser.add_argument("--no-test", action="store_true")
    return parser, parser.parse_args(args)


def get_or_merge_config(config: Any, variant: Any = None, **kwargs: Any) -> Config:
    return Config(kwargs)


def is_v1_recipe(recipe_dir: Any) -> bool:
    return (Path(recipe_dir) / "recipe.yaml").exists() and not (Path(recipe_dir) / "meta.yaml").exists()


class Context:
    """The attributes of conda's context that the plugin reads."""

    def __init__(self) -> None:
        self.plugins = SimpleNamespace(prune_after_build="off")
        self._argparse_args: dict[str, Any] = {}


context = Context()

_TYPES = (CondaHealthCheck, CondaPostCommand, CondaPreCommand, CondaSetting, CondaSubcommand)
MODULES: dict[str, Mapping[str, Any]] = {
    "conda": {"CondaError": CondaError},
    "conda.base": {},
    "conda.base.constants": {"KNOWN_SUBDIRS": KNOWN_SUBDIRS, "OK_MARK": OK_MARK, "X_MARK": X_MARK},
    "conda.base.context": {"context": context},
    "conda.common": {},
    "conda.common.configuration": {"PrimitiveParameter": PrimitiveParameter},
    "conda.plugins": {"hookimpl": hookimpl},
    "conda.plugins.types": {class_.__name__: class_ for class_ in _TYPES},
    "conda_build": {},
    "conda_build.cli": {},
    "conda_build.cli.main_build": {"parse_args": parse_args},
    "conda_build.config": {"get_or_merge_config": get_or_merge_config},
    "conda_build.utils": {"is_v1_recipe": is_v1_recipe},
}
"""What each module of conda and conda-build contains."""


def modules() -> Iterator[tuple[str, ModuleType]]:
    """Yield modules with the recorded content, by name, for `sys.modules`."""
    for name, content in MODULES.items():
        module = ModuleType(name)
        module.__path__ = []
        vars(module).update(content)
        yield name, module


def install() -> None:
    """Let this process import the recorded conda."""
    sys.modules.update(modules())
