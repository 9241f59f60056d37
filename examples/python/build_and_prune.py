"""Builds a recipe with rattler-build's Python API, repairs every package, and runs the recipe's tests on the result.

The record of each repaired package in the output's repodata.json is also refreshed.
"""

from __future__ import annotations

import argparse

import rattler_build

import conda_prune


def build_and_prune(recipe: str, output: str, channels: list[str], pythons: list[str]) -> list[conda_prune.Result]:
    """Return what became of each package that was built, one for each Python. Raises RuntimeError if a test fails."""
    results = []
    variants = rattler_build.Stage0Recipe.from_file(recipe).render(rattler_build.VariantConfig({"python": pythons}))
    for variant in variants:
        for package in variant.run_build(output_dir=output, channels=channels).packages:
            results.append(conda_prune.fix(package, in_place=True))
            if not all(rattler_build.Package.from_file(package).run_tests(channel=[output, *channels])):
                raise RuntimeError(f"{package}: its tests fail")
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--output", default="output")
    parser.add_argument("--channel", action="append", default=[])
    parser.add_argument("--python", action="append", default=[])
    arguments = parser.parse_args()
    channels = arguments.channel or ["conda-forge"]
    for result in build_and_prune(arguments.recipe, arguments.output, channels, arguments.python or ["3.13"]):
        dropped = sum(finding.action is conda_prune.Action.DROP for finding in result.findings)
        print(f"{result.status}  {result.path}  {dropped} files dropped")
