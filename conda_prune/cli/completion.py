"""`completion`: print the script that adds completion to a shell."""

from __future__ import annotations

import click


@click.command(short_help="Print a completion script for your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that makes your shell complete commands, options and kinds of findings.

    \b
    Examples:
      echo 'eval "$(conda-prune completion bash)"' >> ~/.bashrc
      echo 'eval "$(conda-prune completion zsh)"' >> ~/.zshrc
      conda-prune completion fish > ~/.config/fish/completions/conda-prune.fish
    """
    from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

    from . import cli

    class_ = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    # Use the method of the base class: the one for bash runs bash to get its version, and warns if there is none.
    print(ShellComplete.source(class_(cli, {}, "conda-prune", "_CONDA_PRUNE_COMPLETE")))
