"""Fills the pages of the documentation that are generated: mkdocs calls this for every page that it builds.

A page names what belongs there in a comment, such as `<!-- generated: commands -->`. Everything comes from the code
that it describes (the options from click, the kinds of findings from the rules), so it is never out of date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

REPOSITORY = Path(__file__).resolve().parents[1]
# `mkdocs` is an executable elsewhere: without this, it finds an installed conda_prune, or none.
sys.path.insert(0, str(REPOSITORY))

from conda_prune.cli import cli  # noqa: E402
from conda_prune.cli.config_file import FLAG, KEYS  # noqa: E402
from conda_prune.cli.configurable_command import OTHER_FORMAT, long_name  # noqa: E402
from conda_prune.report.explanation import explain, kinds  # noqa: E402

_MARK = re.compile(r"<!-- generated: (\w+) -->")
_COMMENT = re.compile(r" {3,}\(?(.+?)\)?$", re.MULTILINE)
"""What help texts say about an example, in the same line."""
_INDENT = re.compile(r"^ +", re.MULTILINE)

CONFIGURED = ("check", "fix", "show", "diff", "prefix", "audit")
"""The commands whose options a configuration file can set."""


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return a page's text with everything that its marks ask for. Raises KeyError for an unknown mark."""
    return _MARK.sub(lambda mark: GENERATED[mark[1]](), markdown)


def commands() -> str:
    """Return the reference of all commands: what `--help` prints, as Markdown."""
    parts = []
    with click.Context(cli, info_name="conda-prune") as context:
        for name in cli.list_commands(context):
            command = cli.get_command(context, name)
            assert command is not None
            with click.Context(command, info_name=name, parent=context) as inner:
                parts.append("\n\n".join(_command(command, inner)))
        parts.append("\n\n".join(["## For all commands", *_paragraphs(cli.epilog or "")]))
    return "\n\n".join(parts)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the paragraphs about a command."""
    yield f"## {context.info_name}"
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield _fenced(usage, "text")
    yield from _paragraphs(command.help or "")
    options = [_option(option, context) for option in command.params if isinstance(option, click.Option)]
    if options:
        yield "**Options**{ .options }"
        yield "\n\n".join(options)
    yield from _paragraphs(command.epilog or "")


def _option(option: click.Option, context: click.Context) -> str:
    """Return the entry of an option in a list of definitions."""
    record = option.get_help_record(context)
    assert record is not None
    names, text = record
    text = text.replace("INTEGER RANGE", "N")
    return f"`{names.replace(' INTEGER RANGE', ' N')}`\n:   {_escaped(text)}"


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text as Markdown. A paragraph after a backspace character keeps its lines."""
    for paragraph in text.strip().split("\n\n"):
        if not paragraph.lstrip().startswith("\b"):
            yield _escaped(" ".join(paragraph.split()))
            continue
        heading, _, lines = paragraph.lstrip("\b \n").partition("\n")
        block = _INDENT.sub("", lines).rstrip()
        yield f"**{heading.rstrip(':')}**"
        if heading == "Exit codes:":
            rows = [line.partition(" ") for line in block.splitlines()]
            yield "\n".join(
                [
                    "| code | meaning |",
                    "|--:|---|",
                    *(f"| {code} | {_escaped(rest.strip())} |" for code, _, rest in rows),
                ]
            )
        elif heading == "Examples:":
            yield _fenced(_COMMENT.sub(r"  # \1", block), "sh")
        else:
            yield _escaped(" ".join(block.split()))


def configuration() -> str:
    """Return the reference of the configuration: every key, its type, its default, and the commands that use it."""
    entries = []
    with click.Context(cli, info_name="conda-prune") as context:
        by_command = {}
        for name in CONFIGURED:
            command = cli.get_command(context, name)
            assert command is not None
            by_command[name] = {
                long_name(option): option
                for option in command.params
                if isinstance(option, click.Option) and option.name != OTHER_FORMAT
            }
        for key, kind in KEYS.items():
            users = [name for name, options in by_command.items() if key in options]
            option = by_command[users[0]][key]
            entries.append(_key(key, kind, option, users))
    return "\n\n".join(entries)


def _key(key: str, kind: str, option: click.Option, users: list[str]) -> str:
    """Return the entry of a key in a list of definitions."""
    default = option.default
    shown = "not set"
    if kind is FLAG:
        shown = "`false`"
    elif isinstance(default, (str, int)):
        shown = f"`{json.dumps(default)}`"
    elif isinstance(default, (tuple, list)) and default:
        shown = f"`{json.dumps(list(default))}`"
    variable = f"CONDA_PRUNE_{key.replace('-', '_').upper()}"
    return (
        f"### {key}\n\n{_escaped(option.help or '')}\n\n"
        f"- Value: {kind}\n- Default: {shown}\n- Variable: `{variable}`\n- Commands: {', '.join(users)}"
    )


def explanations() -> str:
    """Return the explanation of every kind of finding: what `conda-prune explain --all` prints."""
    return "\n\n".join(line for kind in kinds() for line in explanation(kind))


def explanation(kind: str) -> Iterator[str]:
    """Yield the paragraphs about a kind, as Markdown."""
    explained = explain(kind)
    yield f"### {kind}"
    yield from _joined(explained.meaning)
    for heading, text in explained.sections:
        yield f"*{heading}.*"
        yield from _joined(text)


def _joined(text: str) -> Iterator[str]:
    """Yield a text's paragraphs, each on one line: one that wraps before `#718` would become a heading there."""
    for paragraph in text.split("\n\n"):
        yield paragraph if paragraph.startswith("    ") else " ".join(paragraph.split())


def schema(name: str) -> str:
    """Return a JSON Schema of the package in a block that opens on a click."""
    text = (REPOSITORY / "conda_prune" / "report" / name).read_text(encoding="utf-8")
    body = "\n".join(f"    {line}" for line in _fenced(text.strip(), "json").splitlines())
    return f'??? note "The whole schema"\n\n{body}'


def changelog() -> str:
    """Return CHANGELOG.md without its title."""
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    return text.partition("\n")[2].strip()


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text}\n```"


def _escaped(text: str) -> str:
    """Return running text of the command line as Markdown: only its code spans have a meaning."""
    parts = re.split(r"(`[^`]*`)", text)
    for index, part in enumerate(parts):
        if not part.startswith("`"):
            # Python-Markdown has no backslash escape for these two.
            part = part.replace("<", "&lt;").replace("|", "&#124;")
            parts[index] = re.sub(r"([*_\[\]#])", r"\\\1", part)
    return "".join(parts)


GENERATED: dict[str, Callable[[], str]] = {
    "commands": commands,
    "configuration": configuration,
    "explanations": explanations,
    "results_schema": lambda: schema("schema.json"),
    "diff_schema": lambda: schema("diff_schema.json"),
    "changelog": changelog,
}
"""The text for each mark."""
