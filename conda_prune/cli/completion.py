"""`completion`: the script by which a shell completes this command."""

from __future__ import annotations

import click


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes a shell complete commands, options and kinds.

    \b
    Examples:
      echo 'eval "$(conda-prune completion bash)"' >> ~/.bashrc
      echo 'eval "$(conda-prune completion zsh)"' >> ~/.zshrc
      conda-prune completion fish > ~/.config/fish/completions/conda-prune.fish
    """
    from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

    from . import cli

    class_ = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    # The base class's source: bash's own starts a bash to ask for its version, and warns where there is none.
    print(ShellComplete.source(class_(cli, {}, "conda-prune", "_CONDA_PRUNE_COMPLETE")))
