"""paths.json is parsed, refused with the line of a fault, and edited in the style of its writer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conda_prune import check, fix
from conda_prune.errors import BadMetadata
from conda_prune.judgement.listings import paths_json
from conda_prune.judgement.listings.json_style import RATTLER_BUILD
from conda_prune.judgement.listings.paths_edit import edit_listing
from conda_prune.judgement.listings.paths_json import parse_listing
from conda_prune.model import File, FileKind

from ...clock import cpu_time
from ...corpus.crafted import BASE
from ...corpus.packages import Writer, write_package


@pytest.fixture(scope="module", autouse=True, params=["small", "large"])
def size(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test parses listings as small ones, whose entries are dicts, and as large ones."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "large":
            patch.setattr(paths_json, "_SMALL", -1)
        yield


def row(path: str, **rest: Any) -> dict[str, Any]:
    return {"_path": path, "path_type": "hardlink", "sha256": "0" * 64, "size_in_bytes": 1, **rest}


def listing(*rows: Any, **rest: Any) -> bytes:
    return json.dumps({"paths": list(rows), "paths_version": 1, **rest}, indent=2).encode()


def test_a_listing_without_entries() -> None:
    assert not parse_listing(b'{"paths": [], "paths_version": 1}').files


def test_files_are_made_from_the_entries() -> None:
    files = parse_listing(
        listing(
            row("a"),
            {"_path": "b", "path_type": "softlink", "size_in_bytes": 3},
            {"_path": "c", "path_type": "directory"},
            {"_path": "d", "size_in_bytes": True, "sha256": None},
            {"_path": "e", "size_in_bytes": -1},
            {"_path": "f", "size_in_bytes": 2**53},
            {"_path": "g", "size_in_bytes": 2**53 + 1},
            {"_path": "h", "size_in_bytes": 10**309},
        )
    ).files
    assert list(files.values()) == [
        File("a", FileKind.FILE, 1, "0" * 64),
        File("b", FileKind.SYMLINK, 3),
        File("c", FileKind.DIRECTORY),
        File("d", FileKind.FILE),
        File("e", FileKind.FILE),
        File("f", FileKind.FILE, 2**53),
        File("g", FileKind.FILE),
        File("h", FileKind.FILE),
    ]


ACCEPTED = [
    pytest.param(listing(row("a:b"), row('c": 1, "d')), id="colons and quotes in names"),
    pytest.param(listing(row("a{b}"), row("[...x]")), id="brackets in names"),
    pytest.param(listing(row("a..b"), row("..c"), row("d../e")), id="dots in names that stay inside"),
    pytest.param(listing(row("a", x={"b": {"c": [1.50, None]}})), id="unknown keys with objects"),
    pytest.param(listing(row("a", prefix_placeholder="C:\\bld\\x")), id="a prefix with a colon"),
    pytest.param(b'\r\n{"paths_version" : 1 ,"paths":\t[ ] }\r\n', id="all kinds of white space"),
    pytest.param(b'{"paths":[{"_path":"\\ud83d\\ude00\\u00e9\\/x"}],"paths_version":1}', id="escapes"),
    pytest.param(listing(row("a", x=[1e3, -0.0, 0.1, 1e22, 123456789012345680000])), id="numbers that survive"),
]


@pytest.mark.parametrize("raw", ACCEPTED)
def test_unusual_listings_are_parsed_as_json(raw: bytes) -> None:
    assert list(parse_listing(raw).rows.values()) == json.loads(raw)["paths"]


REFUSED = [
    pytest.param(b"", "line 1, column 1", id="empty"),
    pytest.param(b"[]", r"not a JSON object \(line 1, column 1\)", id="a list"),
    pytest.param(b"\n null", r"not a JSON object \(line 2, column 2\)", id="null"),
    pytest.param(b'{"paths": [],\n "paths_version": 1', r"\(line 2, column 20\)", id="truncated"),
    pytest.param(b'{"paths": [],\n "paths_version": 1}\n{}', r"\(line 3, column 1\)", id="trailing data"),
    pytest.param(b'{"paths": [], "paths_version": 1,}', "line 1", id="trailing comma"),
    pytest.param(b'{"paths": [{"_path": "a"},], "paths_version": 1}', "line 1", id="trailing comma in the list"),
    pytest.param(b'\xef\xbb\xbf{"paths": [], "paths_version": 1}', r"byte order mark \(line 1, column 1\)", id="BOM"),
    pytest.param(b'{"paths": [], "paths_version": 1, "x": "\xff"}', "byte 40 is not UTF-8", id="not UTF-8"),
    pytest.param(b'{"paths": [],\n "paths_version": NaN}', r"NaN, .* \(line 2, column 19\)", id="NaN"),
    pytest.param(b'{"paths": [], "paths_version": 1, "x": ' + b"9" * 5000 + b"}", "too long", id="huge integer"),
    pytest.param(b'{"paths": [], "paths_version": 1, "x": ' + b"[" * 10**6, "1000002 lists and objects", id="brackets"),
    pytest.param(b'{"paths": [], "paths_version": 1, "x": ' + b"[" * 90_000, "nested too deeply", id="deep"),
    pytest.param(b'{"paths": [],\n "paths_version": 2}', r"version is 2, .* \(line 2, column 19\)", id="version 2"),
    pytest.param(b'{"paths": [], "paths_version": true}', "paths_version is True", id="version true"),
    pytest.param(b'{"paths": [], "paths_version": 1.0}', r"paths_version is 1\.0", id="version 1.0"),
    pytest.param(b'{"paths": []}', "no 'paths_version'", id="no version"),
    pytest.param(b'{"paths_version": 1}', "no 'paths'", id="no paths"),
    pytest.param(b'{"_path": 1, "path_type": 1, "sha256": 1, "size_in_bytes": 1}', "no 'paths_version'", id="an entry"),
    pytest.param(b'{"paths": {}, "paths_version": 1}', r"'paths' is not a list \(line 1, column 11\)", id="an object"),
    pytest.param(b'{"paths": [],\n"paths": [], "paths_version": 1}', r"'paths' appears twice .* \(line 2, column 1\)",
                 id="key twice"),
    pytest.param(b'{"paths": [\n{"_path": "a", "_path": "b"}], "paths_version": 1}',
                 r"'_path' appears twice in one object \(line 2, column 1\)", id="key twice in an entry"),
    pytest.param(b'{"paths": [\n{"_path": "a", "_path" : "a"}], "paths_version": 1}',
                 r"'_path' appears twice in one object \(line 2, column 1\)", id="key twice, in two styles"),
    pytest.param(b'{"paths": [\n{"_path": "a", "x": {"y": 1, "y": 1}}], "paths_version": 1}',
                 r"'y' appears twice in one object \(line 2, column 1\)", id="key twice below"),
    pytest.param(b'{"paths": [{"_path": "a"},\n{"_path": "b", "_path": "b"}',
                 r"'_path' appears twice in one object \(line 2, column 1\)", id="key twice before it is truncated"),
    pytest.param(b'{"paths": [], "x":\n{"paths": 1, "paths": 2}, "paths_version": 1}',
                 r"'paths' appears twice in one object \(line 2, column 1\)", id="key twice in another value"),
    pytest.param(listing(row("a"), row("b"), row("a")), r"'a' is listed twice \(line 15, column 5\)", id="path twice"),
    pytest.param(listing(row("a"), 7), r"no _path \(line 9, column 5\)", id="an entry that is not an object"),
    pytest.param(listing({"x": 1}), r"no _path \(line 3, column 5\)", id="an entry without a path"),
    pytest.param(listing({"_path": ["a"]}), r"no _path \(line 3", id="a path that is not a string"),
    pytest.param(listing(row("a", path_type="fifo")), r"unknown path_type 'fifo' \(line 3", id="path_type"),
    pytest.param(listing(row("a", path_type=["x"])), "unknown path_type", id="path_type that is not a string"),
    pytest.param(listing(row("a"), row("/etc/x")), r"'/etc/x' is outside the package \(line 9", id="absolute"),
    pytest.param(listing(row("a/../../x")), r"outside the package \(line 3", id="parent"),
    pytest.param(listing(row("")), r"outside the package \(line 3", id="no name"),
    pytest.param(listing(row("a\0b")), r"outside the package \(line 3", id="NUL"),
    pytest.param(b'{"paths": [],\n"x": 1e400, "paths_version": 1}', r"1e400, .* \(line 2, column 6\)", id="1e400"),
    pytest.param(b'{"paths": [], "x": -1e-400, "paths_version": 1}', "-1e-400", id="-1e-400"),
    pytest.param(b'{"paths": [], "x": 0.1000000000000000000001, "paths_version": 1}', "0.10+1, .* as 0.1", id="digits"),
    pytest.param(b'{"paths": [], "x": 1e99999999999999999999, "paths_version": 1}', "1e9+", id="huge exponent"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "message"), REFUSED)
def test_an_unusable_listing_is_refused_with_line_and_column(raw: bytes, message: str) -> None:
    with pytest.raises(BadMetadata, match=message):
        parse_listing(raw)


def test_duplicate_keys_are_found_in_linear_time() -> None:
    def seconds(count: int) -> float:
        keys = ", ".join(f'"{number}": 0' for number in [*range(count), count - 1])
        raw = b'{"paths": [{"_path": "a", %s}], "paths_version": 1}' % keys.encode()
        started = cpu_time()
        with pytest.raises(BadMetadata, match=f"the key '{count - 1}' appears twice"):
            parse_listing(raw)
        return cpu_time() - started

    few, many = (min(seconds(count) for _ in range(3)) for count in (5000, 40_000))
    assert many < 32 * few, "linear is 8, quadratic is 64"


# Editing

WRITERS: dict[str, Callable[[Any], str]] = {
    "conda-build": lambda document: json.dumps(document, indent=2, sort_keys=True),
    "conda-build on Windows": lambda document: json.dumps(document, indent=2, sort_keys=True).replace("\n", "\r\n"),
    "conda-build with Python 2": lambda document: json.dumps(
        document, indent=2, sort_keys=True, separators=(", ", ": ")
    ),
    "rattler-build": lambda document: json.dumps(document, indent=2, ensure_ascii=False),
    "jq": lambda document: json.dumps(document, indent=2, ensure_ascii=False) + "\n",
    "jq -c": lambda document: json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n",
    "jq --tab": lambda document: json.dumps(document, indent="\t", ensure_ascii=False) + "\n",
    "Python": json.dumps,
    "Python, all in UTF-8": lambda document: json.dumps(document, ensure_ascii=False),
    "no indentation": lambda document: json.dumps(document, indent=0),
    "wide": lambda document: "\r\n " + json.dumps(document, indent=8, separators=(" ,", " : ")) + " \r\n",
}

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0\x7f")
names = st.text(characters, min_size=1, max_size=8).filter(
    lambda name: not name.startswith("/") and ".." not in name.split("/")
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(characters, max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(characters, max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the document of a paths.json, with entries of all kinds and keys in any order."""
    paths = draw(st.lists(names, unique=True, max_size=6))
    rows = []
    for path in paths:
        entry: dict[str, Any] = {"_path": path}
        if draw(st.booleans()):
            entry["path_type"] = draw(st.sampled_from(["hardlink", "softlink", "directory"]))
        if draw(st.booleans()):
            entry |= {"sha256": draw(st.sampled_from(["0" * 64, None, 7])), "size_in_bytes": draw(st.integers(0, 99))}
        if draw(st.booleans()):
            entry["inode_paths"] = draw(st.lists(st.sampled_from([*paths, "elsewhere"]) | st.integers(), max_size=4))
        entry |= draw(st.dictionaries(st.sampled_from(["x", "née", 'q"', "no_link"]), values, max_size=2))
        rows.append({key: entry[key] for key in draw(st.permutations(list(entry)))})
    document = {"paths": rows, "paths_version": 1} | draw(st.dictionaries(st.sampled_from(["a", "z"]), values))
    return {key: document[key] for key in draw(st.permutations(list(document)))}


@given(documents(), st.sampled_from(list(WRITERS)))
def test_parsing_agrees_with_json(document: dict[str, Any], writer: str) -> None:
    raw = WRITERS[writer](document).encode()
    assert list(parse_listing(raw).rows.values()) == json.loads(raw)["paths"]


def drawn_edit(data: st.DataObject, raw: bytes) -> tuple[Any, dict[str, Any]]:
    """Edit a listing and return the result and the expected document."""
    parsed = parse_listing(raw)
    paths = list(parsed.rows)
    subset = st.sets(st.sampled_from(paths)) if paths else st.just(set[str]())
    dropped = data.draw(subset, "dropped")
    true = {path: File(path, FileKind.FILE, 100, "f" * 64) for path in data.draw(subset, "changed")}
    shortened = {
        path for path in data.draw(subset, "shortened") if isinstance(parsed.rows[path].get("inode_paths"), list)
    }
    # A text in ASCII does not show whether its writer escapes other characters.
    new_names = names.filter(lambda name: name not in paths and (name.isascii() or not raw.isascii()))
    new = data.draw(st.lists(new_names, unique=True, max_size=2), "added")
    added = [File(path, FileKind.FILE, 5, "a" * 64) for path in new]
    edited = edit_listing(parsed, dropped, true, shortened, added)
    if not (dropped or true or shortened or added):
        assert edited.content == raw

    expected: dict[str, Any] = json.loads(raw)
    order = next((list(entry) for entry in expected["paths"] if {"sha256", "size_in_bytes"} <= entry.keys()), [])
    kept = [entry for entry in expected["paths"] if entry["_path"] not in dropped]
    for entry in kept:
        if entry["_path"] in true:
            entry |= {key: value for key, value in (("sha256", "f" * 64), ("size_in_bytes", 100)) if key in entry}
        if entry["_path"] in shortened:
            entry["inode_paths"] = [name for name in entry["inode_paths"] if name not in dropped]
    for path in new:
        entry = {"_path": path, "path_type": "hardlink", "sha256": "a" * 64, "size_in_bytes": 5}
        known = [key for key in order if key in entry]
        kept.append({key: entry[key] for key in known} if len(known) == len(entry) else entry)
    expected["paths"] = kept
    return edited, expected


@given(documents(), st.sampled_from(list(WRITERS)), st.data())
def test_an_edit_changes_only_what_was_planned(document: dict[str, Any], writer: str, data: st.DataObject) -> None:
    """The result has the same bytes as the edited document written by the listing's writer."""
    edited, expected = drawn_edit(data, WRITERS[writer](document).encode())
    assert edited.content.decode() == WRITERS[writer](expected)
    assert not edited.restyled


@given(documents(), st.data())
@example({"paths": [], "paths_version": 1}, None)
def test_a_listing_in_no_known_style_keeps_values_and_order(document: dict[str, Any], data: st.DataObject) -> None:
    odd = json.dumps(document, indent=1).replace("[", "[ ", 1).replace('"paths"', '"\\u0070aths"', 1)
    if data is None:
        edited = edit_listing(parse_listing(odd.encode()), (), {}, (), [File("é", FileKind.FILE, 1, "0" * 64)])
        expected = {"paths": [row("é")], "paths_version": 1}
    else:
        edited, expected = drawn_edit(data, odd.encode())
    if edited.content != odd.encode():
        assert edited.restyled
        assert edited.content.decode() == WRITERS["rattler-build"](expected)


def test_the_fallback_style_is_that_of_rattler_build() -> None:
    document = {"paths": [row("é"), row("a", x=[])], "paths_version": 1, "z": {}}
    assert RATTLER_BUILD.dump(document).decode() == WRITERS["rattler-build"](document)


def test_an_integer_keeps_its_digits_and_a_number_its_value() -> None:
    raw = listing(row("a"), row("b"), x="number").replace(b'"number"', b"[123456789012345678901234567890, 1.0E2]")
    edited = edit_listing(parse_listing(raw), {"b"}, {}, (), [])
    assert b"123456789012345678901234567890," in edited.content
    assert (json.loads(edited.content)["x"][1], edited.restyled) == (100, True)


@pytest.mark.parametrize(
    "raw",
    [listing(row("a"), row("b", x="\ud800")), '{"paths": [{"_path": "é\\ud800"}], "paths_version": 1}'.encode()],
    ids=["escaped", "in UTF-8"],
)
def test_half_a_surrogate_pair_is_written_as_it_was(raw: bytes) -> None:
    edited = edit_listing(parse_listing(raw), (), {}, (), [File("c", FileKind.FILE, 1, "0" * 64)])
    assert b"\\ud800" in edited.content
    assert json.loads(edited.content)["paths"][:-1] == json.loads(raw)["paths"]


def test_a_size_that_only_looks_right_is_corrected() -> None:
    """JSON's `true` and `1.0` are equal to 1 in Python."""
    for size in (True, 1.0):
        parsed = parse_listing(listing(row("a", size_in_bytes=size)))
        edited = edit_listing(parsed, (), {"a": File("a", FileKind.FILE, 1, "0" * 64)}, (), [])
        assert edited.content == listing(row("a"))


def test_values_nested_too_deeply_are_refused() -> None:
    raw = listing(row("a"), row("b"), x="deep").replace(b'"deep"', b"[" * 990 + b"]" * 990)
    with pytest.raises(BadMetadata, match="nested too deeply"):
        edit_listing(parse_listing(raw), {"b"}, {}, (), [])


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("dropped", ["", "a", "b", "c", "ab", "ac", "abc"])
def test_an_edited_listing_looks_like_its_writers(writer: str, dropped: str) -> None:
    document = {"paths": [row("a"), row("b"), row("c")], "paths_version": 1}
    parsed = parse_listing(WRITERS[writer](document).encode())
    left = {"paths": [row(path) for path in "abc" if path not in dropped], "paths_version": 1}
    assert edit_listing(parsed, dropped, {}, (), []).content.decode() == WRITERS[writer](left)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("before", ["", "a", "ab", "abd"])
def test_a_new_entry_has_the_style_of_the_others(writer: str, before: str) -> None:
    document = {"paths": [row(path) for path in before], "paths_version": 1}
    parsed = parse_listing(WRITERS[writer](document).encode())
    more = {"paths": [*map(row, before), row("c")], "paths_version": 1}
    edited = edit_listing(parsed, (), {}, (), [File("c", FileKind.FILE, 1, "0" * 64)])
    assert edited.content.decode() == WRITERS[writer](more)


def test_a_new_entry_has_the_key_order_of_the_others() -> None:
    def reversed_row(path: str) -> dict[str, Any]:
        return dict(reversed(row(path).items()))

    parsed = parse_listing(listing({"_path": "l", "path_type": "softlink"}, reversed_row("a")))
    edited = edit_listing(parsed, (), {}, (), [File("c", FileKind.FILE, 1, "0" * 64)])
    assert edited.content == listing({"_path": "l", "path_type": "softlink"}, reversed_row("a"), reversed_row("c"))


def test_values_in_inode_paths_that_are_not_names_are_kept() -> None:
    raw = listing(row("a", inode_paths=["a", {"x": 1}, [], "b"]), row("b"))
    edited = edit_listing(parse_listing(raw), {"b"}, {}, {"a"}, [])
    assert edited.content == listing(row("a", inode_paths=["a", {"x": 1}, []]))


@pytest.mark.parametrize("more", [{}, {"file_mode": "text"}], ids=["usual", "more keys"])
def test_an_entry_has_its_keys_and_no_others(more: dict[str, str]) -> None:
    entry = {"_path": "a", "path_type": "hardlink", "sha256": "0" * 64, "size_in_bytes": 1, **more}
    parsed = parse_listing(json.dumps({"paths": [entry], "paths_version": 1}).encode()).rows["a"]
    assert dict(parsed) == entry
    assert (len(parsed), "no_link" in parsed, parsed.get("no_link")) == (len(entry), False, None)
    with pytest.raises(KeyError):
        parsed["no_link"]


# In a package


def test_a_listing_in_no_known_style_gives_a_note(tmp_path: Path) -> None:
    def in_an_odd_style(raw: bytes) -> bytes:
        return raw.replace(b"[", b"[ ", 1)

    package = write_package(replace(BASE, paths_json=in_an_odd_style), tmp_path)
    before = package.read_bytes()
    [note] = check(package, deep=True).notes
    assert note.startswith("info/paths.json is formatted as rattler-build does it")
    assert package.read_bytes() == before
    assert fix(package, in_place=True).notes == (note,)
    assert check(package, deep=True).notes == ()


@pytest.mark.parametrize("writer", ["rattler", "conda-build"])
def test_a_listing_in_a_known_style_gives_no_note(tmp_path: Path, writer: Writer) -> None:
    package = write_package(BASE, tmp_path, writer=writer)
    result = fix(package, in_place=True)
    assert (result.status, result.notes) == ("fixed", ())


def test_a_number_that_json_changes_is_refused(tmp_path: Path) -> None:
    def with_a_number(raw: bytes) -> bytes:
        return raw.replace(b"{", b'{"x": 1e400, ', 1)

    package = write_package(replace(BASE, paths_json=with_a_number), tmp_path)
    before = package.read_bytes()
    for work in (check, partial(fix, in_place=True)):
        with pytest.raises(BadMetadata, match="1e400, which would be written back as inf"):
            work(package)
    assert (package.read_bytes(), os.listdir(tmp_path)) == (before, [package.name])
