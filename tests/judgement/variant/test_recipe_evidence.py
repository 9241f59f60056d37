"""The recipe that rattler-build packs names a Python only if the recipe itself requires one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conda_prune import check
from conda_prune.model import Variant

from ...corpus.packages import PackageSpec, write_package
from ...real_build import (
    VERSION,
    Channel,
    build,
    make_channel,
    reindex,
)

LIBRARY = "needs-python"


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    """A channel with the running Python and a library that depends on it."""
    channel = make_channel(tmp_path_factory.mktemp("evidence"))
    spec = PackageSpec(LIBRARY, subdir=channel.subdir, depends=("python",), files={"share/library": b"x"})
    write_package(spec, channel.packages)
    reindex(channel)
    return channel


def built(channel: Channel, directory: Path, host: list[str], run: list[str]) -> Variant:
    """Build a package with these requirements and return its variant."""
    recipe = directory / "recipe.yaml"
    recipe.write_text(
        json.dumps(
            {
                "package": {"name": "tool", "version": "1.0.0"},
                "build": {"script": ["mkdir -p $PREFIX/share", "touch $PREFIX/share/tool"]},
                "requirements": {"host": host, "run": run},
            }
        )
    )
    variant = check(build(channel, recipe, directory / "output")).variant
    assert variant is not None
    return variant


def test_a_requirement_of_the_recipe_names_the_python(channel: Channel, tmp_path: Path) -> None:
    # Not just `python`: then the build variant's python is used, and hash_input.json already names it.
    variant = built(channel, tmp_path, ["python >=3.8"], ["python"])
    assert (variant.kind, variant.python, variant.inferred[:1]) == ("exact", VERSION, ("version",))
    assert variant.because[0] == "python"
    assert variant.because[1].startswith(f"info/recipe/rendered_recipe.yaml: host python {VERSION}.")


def test_a_requirement_of_a_library_names_no_python(channel: Channel, tmp_path: Path) -> None:
    variant = built(channel, tmp_path, [LIBRARY], ["python"])
    assert (variant.kind, variant.because) == ("unknown", ("python",))


def test_a_package_that_names_no_python_has_none(channel: Channel, tmp_path: Path) -> None:
    variant = built(channel, tmp_path, ["python >=3.8"], [])
    assert (variant.kind, variant.because) == ("none", ())
