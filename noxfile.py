"""The project's chores, each in a virtual environment of its own: `nox -s tests`, `nox -s lint`, `nox -l` for all.

Nothing here is needed to use conda-prune or to run its tests; `.ci/run` does without nox. Sessions that take more than
a few minutes are not run by default.
"""

from __future__ import annotations

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "tests"]
nox.options.error_on_missing_interpreters = False
nox.options.default_venv_backend = "uv|venv"

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the test suite; arguments after `--` go to pytest."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Run ruff and mypy, as CI does."""
    session.install("-e", ".[test,lint,bench]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/; a broken link fails it."""
    session.install("-e", ".[docs]")
    session.run("mkdocs", "build", "--strict", *session.posargs)


@nox.session(name="long")
def long_tests(session: nox.Session) -> None:
    """Run what takes too long for every change: all kill points, all truncations, 5,000 generated cuts (an hour)."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-m", "long", *session.posargs)
    session.run(
        "python",
        "-m",
        "pytest",
        "tests/compression",
        "-k",
        "generated",
        *session.posargs,
        env={"CONDA_PRUNE_LONG": "1"},
    )


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz one parser with atheris: `nox -s fuzz -- zip 3600` (target and seconds)."""
    session.install("-e", ".[test]", "atheris")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure line and branch coverage, subprocesses included; fails below the bar in tools/coverage.py."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tools.coverage", *session.posargs)


@nox.session
def mutation(session: nox.Session) -> None:
    """Plant small faults and report those that no test notices: `nox -s mutation -- conda_prune/judgement`."""
    session.install("-e", ".[test]", "cosmic-ray")
    session.run("python", "-m", "tools.mutation", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Print the ratios against what a user would pick instead (downloads 200 MB, takes about an hour)."""
    session.install("-e", ".[bench]")
    session.run("python", "benchmarks/compare.py", *session.posargs)
