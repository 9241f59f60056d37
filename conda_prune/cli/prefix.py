"""`prefix`: check or repair a prefix before it is packaged, from a build script."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from .configurable_command import ConfigurableCommand
from .exit_codes import exit_code, exit_codes_help
from .many_packages import failed
from .options import (
    judgement_options,
    open_output,
    options_of,
    report_options,
    warn_of_unused_keep,
)

_ENVIRONMENT = """\b
Environment:
  PREFIX, PY_VER, SP_DIR, PKG_NAME, PKG_VERSION, PKG_BUILD_STRING and CONDA_BUILD, which rattler-build and
  conda-build set for a build script
"""


@click.command(cls=ConfigurableCommand, epilog=f"{exit_codes_help('prefix')}\n\n{_ENVIRONMENT}")
@click.argument("directory", metavar="[PREFIX]", required=False)
@click.option("--fix", is_flag=True, help="Repair the prefix: remove the stray files.")
@judgement_options
@report_options
def prefix(directory: str | None, fix: bool, **flags: Any) -> None:
    """Check or repair the prefix of a build before it is packaged. Use this as the last line of a build script.

    Only files that no record in PREFIX/conda-meta owns are judged, because only those will be packaged. By
    default, PREFIX and the Python that it is for are taken from the environment of the build.

    After the script, rattler-build compiles every source that it finds, including those in the tree of another
    Python. Remove these sources too, with --extend-select foreign-tree, or fix the package after the build.

    \b
    Examples:
      conda-prune prefix --fix                     (in a build script)
      conda-prune prefix /opt/env --python 3.11    (report what is stray in an environment)
    """
    from ..environment.prefix import build_of, judge_prefix
    from ..errors import PruneError, UsageError

    build = build_of(os.environ)
    path = directory or build.prefix
    if not path:
        raise click.UsageError("name a prefix, because PREFIX is not set (it is set in a build)")
    options = options_of(flags)
    repair = () if fix else ("prefix --fix", path)
    with open_output("fix" if fix else "check", flags, repair=repair) as output:
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
