"""The process that does the work of the conda plugin: the command line, called `conda prune` in its messages."""

from __future__ import annotations

from ..cli import main

if __name__ == "__main__":
    main("conda prune")
