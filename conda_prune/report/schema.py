"""The JSON Schema (2020-12) of the JSON output: what each key means, for those who write programs against it."""

from __future__ import annotations

from typing import Any

from .json_report import SCHEMA_VERSION

_Schema = dict[str, Any]


def _text(description: str, **rest: Any) -> _Schema:
    return {"type": "string", "description": description, **rest}


def _count(description: str) -> _Schema:
    return {"type": "integer", "minimum": 0, "description": description}


def _texts(description: str) -> _Schema:
    return {"type": "array", "items": {"type": "string"}, "description": description}


def _or_null(schema: _Schema, when: str) -> _Schema:
    """Return a schema that allows null, too, and says when that is."""
    description = f"{schema.get('description', '')} {when}".strip()
    if "$ref" in schema:
        return {"anyOf": [{"$ref": schema["$ref"]}, {"type": "null"}], "description": description}
    changed: _Schema = {"type": [schema["type"], "null"], "description": description}
    if "enum" in schema:
        changed["enum"] = [*schema["enum"], None]
    return schema | changed


def _object(description: str, properties: dict[str, _Schema], optional: tuple[str, ...] = ()) -> _Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "description": description, "properties": properties, "required": required}


_PATH = "`/`-separated; bytes that are no UTF-8 are lone surrogates U+DC80 to U+DCFF (PEP 383)."
_SHA256 = _text("SHA-256 of the whole file, in hexadecimal.", pattern="^[0-9a-f]{64}$")

_SIZE = _object(
    "The package's file at one moment.",
    {
        "size": _count("Bytes."),
        "sha256": _or_null(_SHA256, "null where the file was not read whole, as by check."),
    },
)
_KIND = _text(
    "The kind of finding, as `conda-prune explain` knows it; versions to come may know more.",
    pattern="^[a-z]+(-[a-z]+)*$",
)

_FINDING = _object(
    "One fact about one file.",
    {
        "kind": _KIND,
        "path": _text(f"The file's path in the package: {_PATH}"),
        "size": _count("Bytes of the file, unpacked; 0 where that is not known."),
        "detail": _text("The evidence, in words; may be empty."),
        "action": _text(
            "What fix does about it: drop the file, correct its listing entry, restamp its header, or only report it.",
            enum=["drop", "correct", "restamp", "report"],
        ),
        "fixed": {"type": "boolean", "description": "Whether that was done in this run."},
    },
)
_PACKAGE = _object(
    "What the package says that it is.",
    {
        "name": _text("From info/index.json."),
        "version": _text("From info/index.json."),
        "build": _text("The build string, from info/index.json."),
        "subdir": _text("From info/index.json; empty where it has none."),
        "format": _or_null(_text("The archive's format.", enum=[".conda", ".tar.bz2"]), "null where it is no archive."),
    },
)
_VARIANT = _object(
    "The Python that the package is for.",
    {
        "python": _text("Such as 3.11, 3.13t, pypy3.9; any, none or unknown where `kind` is that; or a range."),
        "kind": _text(
            "exact: one Python; any: works with every one; none: no Python is named; unknown: not known; "
            "contradictory: the dependencies exclude each other.",
            enum=["exact", "any", "none", "unknown", "contradictory"],
        ),
        "tags": _or_null(_texts("The cache tags that fit, as globs."), "null where every tag might."),
        "trees": _or_null(_texts("The directories of lib/ that fit."), "null where every one might."),
        "because": _texts("The evidence, strongest first."),
        "inferred": {
            "type": "array",
            "items": {"enum": ["version", "implementation", "threading"]},
            "description": "Facts that only the record of the build gives (info/hash_input.json, the recipe, the build "
            "string). They count only for files in versioned trees such as lib/python3.11.",
        },
        "conflict": _or_null(
            _text("The contradiction in the evidence. Unless `kind` is contradictory, the weaker piece was ignored."),
            "null if there is none.",
        ),
    },
)
_SUMMARY = _object(
    "The findings in numbers; where status is findings, what would be done.",
    {
        "members": _count("Files of the package outside info/."),
        "dropped": _count("Files dropped, or to be dropped."),
        "dropped_bytes": _count("Their bytes, unpacked."),
        "corrected": _count("Listing entries corrected, or to be corrected."),
        "restamped": _count("Bytecode files that got, or will get, their source's time and size."),
        "kinds": {
            "type": "object",
            "description": "For each kind that was found: how many findings, and the bytes of their files.",
            "propertyNames": {"pattern": _KIND["pattern"]},
            "additionalProperties": _object(
                "One kind.", {"files": _count("Findings of this kind."), "bytes": _count("Bytes of their files.")}
            ),
        },
    },
)
_COMPRESSION = _object(
    "How the payload is compressed.",
    {
        "codec": _text("zstd or bzip2.", enum=["zstd", "bzip2"]),
        "level": {"type": "integer", "description": "The codec's level."},
        "source": _text(
            "recorded: the package says so; reproduced: the settings give back the input's bytes; assumed: a default; "
            "asked: by --level.",
            enum=["recorded", "reproduced", "assumed", "asked"],
        ),
        "reused_bytes": _or_null(_count("Compressed bytes copied as they were."), "null where nothing was written."),
        "recompressed_bytes": _or_null(_count("Bytes compressed again."), "null where nothing was written."),
    },
)
_FILE = _object(
    "One file, as `show` tells it.",
    {
        "path": _text(f"The file's path in the package: {_PATH}"),
        "type": _or_null(
            _text("What it is.", enum=["file", "hardlink", "softlink", "directory", "other"]), "null where absent."
        ),
        "size": _or_null(_count("Bytes, unpacked."), "null where it is not known."),
        "action": _text(
            "What fix does with it; edit: it follows the other files' edits; absent: it is listed and not there.",
            enum=["keep", "drop", "correct", "restamp", "edit", "absent"],
        ),
        "kind": _or_null(_KIND, "null where there is no finding about the file."),
        "reason": _text("Why, in words; may be empty."),
    },
)
_RECORD = _object(
    "What a channel's index says of one package's file.",
    {
        "file": _text("The file's name."),
        "before": _or_null(_SHA256, "null where it said nothing."),
        "after": _or_null(_SHA256, "null where it says nothing."),
    },
)

_RESULT = _object(
    "What became of one package.",
    {
        "schema_version": {"const": SCHEMA_VERSION, "description": "Changes when a key goes or changes its meaning."},
        "path": _text("The package's path, as it was named or found."),
        "status": _text(
            "clean: nothing to do, nothing written; findings: something would be repaired; fixed: it was; refused: the "
            "package contradicts itself, untouched; error: it could not be processed, untouched. `error` says why. "
            "indexed: `path` is a channel's index, whose `records` were refreshed after the packages.",
            enum=["clean", "findings", "fixed", "refused", "error", "indexed"],
        ),
        "package": _or_null({"$ref": "#/$defs/package"}, "null where it could not be read."),
        "variant": _or_null({"$ref": "#/$defs/variant"}, "null where it could not be read."),
        "deep": {"type": "boolean", "description": "Whether the payload was read; if not, its listing was believed."},
        "summary": {"$ref": "#/$defs/summary"},
        "before": _or_null({"$ref": "#/$defs/size"}, "The package as it was found; null where it could not be read."),
        "after": _or_null({"$ref": "#/$defs/size"}, "The package as it was written; null where nothing was."),
        "output": _or_null(_text("The path of what was written or copied."), "null where nothing was."),
        "compression": _or_null({"$ref": "#/$defs/compression"}, "null where it was not looked into."),
        "findings": {
            "type": "array",
            "items": {"$ref": "#/$defs/finding"},
            "description": "Every finding, sorted by kind and path.",
        },
        "notes": _texts("What else there is to know, in words."),
        "warnings": _texts("What there is to know about the machine, in words."),
        "seconds": {"type": "number", "minimum": 0, "description": "Time that the work took."},
        "records": {
            "type": "array",
            "items": {"$ref": "#/$defs/record"},
            "description": "The records of a channel's index that were refreshed; empty for a package.",
        },
        "error": _or_null(_text("Why the package was refused or failed, in words."), "null where it was not."),
        "files": {
            "type": "array",
            "items": {"$ref": "#/$defs/file"},
            "description": "Every file of the package; only in the output of `show`.",
        },
    },
    optional=("files",),
)

SCHEMA: _Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": f"urn:conda-prune:output:{SCHEMA_VERSION}",
    "title": f"JSON output of conda-prune, schema version {SCHEMA_VERSION}",
    "description": "--format json prints an array of results, --format jsonl one result a line, show one result.",
    "anyOf": [{"type": "array", "items": {"$ref": "#/$defs/result"}}, {"$ref": "#/$defs/result"}],
    "$defs": {
        "result": _RESULT,
        "package": _PACKAGE,
        "variant": _VARIANT,
        "summary": _SUMMARY,
        "size": _SIZE,
        "compression": _COMPRESSION,
        "finding": _FINDING,
        "file": _FILE,
        "record": _RECORD,
    },
}
