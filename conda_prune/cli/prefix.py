"""`prefix`: the judgement of `check` and `fix` on an unpacked prefix, from inside a build script."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from .configurable_command import ConfigurableCommand
from .exit_codes import exit_code, exit_codes_help
from .many_packages import failed
from .options import (
    judging,
    open_output,
    options_of,
    reporting,
    warn_of_unused_keep,
)

_ENVIRONMENT = """\b
Environment:
  PREFIX, PY_VER, SP_DIR, PKG_NAME, PKG_VERSION, PKG_BUILD_STRING, CONDA_BUILD: as rattler-build and
  conda-build set them for a build script
"""


@click.command(cls=ConfigurableCommand, epilog=f"{exit_codes_help('prefix')}\n\n{_ENVIRONMENT}")
@click.argument("directory", metavar="[PREFIX]", required=False)
@click.option("--fix", is_flag=True, help="Repair the prefix: remove what does not belong in it.")
@judging
@reporting
def prefix(directory: str | None, fix: bool, **flags: Any) -> None:
    """Judge the files of a build's prefix before they are packaged: the last line of a build script.

    Only files that no record in PREFIX/conda-meta owns are looked at: those that a package would hold. PREFIX and the
    Python that it is for come from the build's environment where they are not given.

    rattler-build compiles afterwards what sources it finds, in another Python's tree as well: remove those, too, with
    --extend-select foreign-tree, or fix the package after the build.

    \b
    Examples:
      conda-prune prefix --fix                     in a recipe's build script
      conda-prune prefix /opt/env --python 3.11    say what is stray in an environment
    """
    from ..environment.prefix import build_of, judge_prefix
    from ..errors import PruneError, UsageError

    build = build_of(os.environ)
    path = directory or build.prefix
    if not path:
        raise click.UsageError("name a prefix: PREFIX is not set, so this is no build's environment")
    options = options_of(flags)
    with open_output("fix" if fix else "check", flags) as output:
        output.begin([path])
        try:
            result = judge_prefix(path, build, options, fix=fix)
        except UsageError as error:
            raise click.UsageError(str(error)) from error
        except PruneError as error:
            result = failed(path, str(error))
        except OSError as error:
            result = failed(path, f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
        output.add(result)
    warn_of_unused_keep([result])
    sys.exit(exit_code([result]))
