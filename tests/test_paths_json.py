"""paths.json: read for what it says, refused with the place of what is wrong, edited without touching the rest."""

from __future__ import annotations

import json
import time
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conda_prune.errors import BadMetadata
from conda_prune.judgement import paths_json
from conda_prune.judgement.json_text import following, key_at
from conda_prune.judgement.paths_edit import edit_listing
from conda_prune.judgement.paths_json import Listing, parse_listing
from conda_prune.model import File, FileKind


def row(path: str, **rest: Any) -> dict[str, Any]:
    return {"_path": path, "path_type": "hardlink", "sha256": "0" * 64, "size_in_bytes": 1, **rest}


def listing(*rows: Any, **rest: Any) -> bytes:
    return json.dumps({"paths": list(rows), "paths_version": 1, **rest}, indent=2).encode()


def test_a_listing_without_entries() -> None:
    assert not parse_listing(b'{"paths": [], "paths_version": 1}').files


def test_files_are_what_the_entries_say() -> None:
    files = parse_listing(
        listing(
            row("a"),
            {"_path": "b", "path_type": "softlink", "size_in_bytes": 3},
            {"_path": "c", "path_type": "directory"},
            {"_path": "d", "size_in_bytes": True, "sha256": None},
            {"_path": "e", "size_in_bytes": -1},
        )
    ).files
    assert list(files.values()) == [
        File("a", FileKind.FILE, 1, "0" * 64),
        File("b", FileKind.SYMLINK, 3),
        File("c", FileKind.DIRECTORY),
        File("d", FileKind.FILE),
        File("e", FileKind.FILE),
    ]


ACCEPTED = [
    pytest.param(listing(row("a:b"), row('c": 1, "d')), id="colons and quotes in names"),
    pytest.param(listing(row("a{b}")), id="braces in names"),
    pytest.param(listing(row("a..b"), row("..c"), row("d../e")), id="dots in names that lead nowhere"),
    pytest.param(listing(row("a", x={"b": {"c": [1.50, None]}})), id="unknown keys with objects"),
    pytest.param(listing(row("a", prefix_placeholder="C:\\bld\\x")), id="a prefix with a colon"),
    pytest.param(b'\r\n{"paths_version" : 1 ,"paths":\t[ ] }\r\n', id="space of all kinds"),
    pytest.param(b'{"paths":[{"_path":"\\ud83d\\ude00\\u00e9\\/x"}],"paths_version":1}', id="escapes"),
]


@pytest.mark.parametrize("raw", ACCEPTED)
def test_odd_listings_are_read_as_json_reads_them(raw: bytes) -> None:
    found = parse_listing(raw)
    assert list(found.rows.values()) == json.loads(raw)["paths"]
    text, places = found.walked()
    assert [json.loads(text[slice(*span)]) for span in places.entries] == json.loads(raw)["paths"]


REFUSED = [
    pytest.param(b"", "line 1, column 1", id="empty"),
    pytest.param(b"[]", "'{' is missing in line 1, column 1", id="no object"),
    pytest.param(b"null", "'{' is missing in line 1, column 1", id="null"),
    pytest.param(b'{"paths": [],\n "paths_version": 1', "line 2, column 20", id="truncated"),
    pytest.param(b'{"paths": [],\n "paths_version": 1}\n{}', "line 3, column 1", id="trailing data"),
    pytest.param(b'{"paths": [], "paths_version": 1,}', "line 1", id="a comma too many"),
    pytest.param(b'{"paths": [{"_path": "a"},], "paths_version": 1}', "line 1", id="a comma too many in the list"),
    pytest.param(b'\xef\xbb\xbf{"paths": [], "paths_version": 1}', "byte order mark in line 1, column 1", id="BOM"),
    pytest.param(b'{"paths": [], "paths_version": 1, "x": "\xff"}', "byte 40 is not UTF-8", id="not UTF-8"),
    pytest.param(b'{"paths": [], "paths_version": NaN}', "NaN", id="NaN"),
    pytest.param(b'{"paths": [], "paths_version": 1, "x": ' + b"9" * 5000 + b"}", "too long", id="huge number"),
    pytest.param(b'{"paths": [], "paths_version": 1, "x": ' + b"[" * 10**6, "nested too deeply", id="deep"),
    pytest.param(b'{"paths": [],\n "paths_version": 2}', "paths_version is 2, .* in line 2, column 19", id="version 2"),
    pytest.param(b'{"paths": [], "paths_version": true}', "paths_version is True", id="version true"),
    pytest.param(b'{"paths": [], "paths_version": 1.0}', "paths_version is 1.0", id="version 1.0"),
    pytest.param(b'{"paths": []}', "no paths_version", id="no version"),
    pytest.param(b'{"paths_version": 1}', "no list of paths", id="no paths"),
    pytest.param(b'{"paths": {}, "paths_version": 1}', "'\\[' is missing in line 1, column 11", id="paths no list"),
    pytest.param(b'{"paths": [],\n"paths": [], "paths_version": 1}', "'paths' stands there twice in line 2, column 1",
                 id="key twice"),
    pytest.param(b'{"paths": [\n{"_path": "a", "_path": "b"}], "paths_version": 1}',
                 "'_path' stands twice in one object in line 2, column 1", id="key twice in an entry"),
    pytest.param(b'{"paths": [\n{"_path": "a", "_path" : "a"}], "paths_version": 1}',
                 "'_path' stands twice in one object in line 2, column 1", id="key twice, in two styles"),
    pytest.param(b'{"paths": [\n{"_path": "a", "x": {"y": 1, "y": 1}}], "paths_version": 1}',
                 "'y' stands twice in one object in line 2, column 1", id="key twice below"),
    pytest.param(listing(row("a"), row("b"), row("a")), "lists 'a' twice in line 15, column 5", id="path twice"),
    pytest.param(listing(row("a"), 7), "no _path in line 9, column 5", id="an entry that is no object"),
    pytest.param(listing({"x": 1}), "no _path in line 3, column 5", id="an entry without path"),
    pytest.param(listing({"_path": ["a"]}), "no _path in line 3", id="a path that is no text"),
    pytest.param(listing(row("a", path_type="fifo")), "unknown path_type 'fifo' in line 3", id="path_type"),
    pytest.param(listing(row("a", path_type=["x"])), "unknown path_type", id="path_type that is no text"),
    pytest.param(listing(row("a"), row("/etc/x")), "'/etc/x' leaves the package in line 9", id="absolute"),
    pytest.param(listing(row("a/../../x")), "leaves the package in line 3", id="parent"),
    pytest.param(listing(row("")), "leaves the package in line 3", id="no name"),
    pytest.param(listing(row("a\0b")), "leaves the package in line 3", id="NUL"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "message"), REFUSED)
def test_what_is_wrong_is_refused_with_its_place(raw: bytes, message: str) -> None:
    with pytest.raises(BadMetadata, match=message):
        parse_listing(raw)


def test_a_key_that_stands_twice_among_many_is_found_in_time_by_their_number() -> None:
    def seconds(count: int) -> float:
        keys = ", ".join(f'"{number}": 0' for number in [*range(count), count - 1])
        raw = b'{"paths": [{"_path": "a", %s}], "paths_version": 1}' % keys.encode()
        started = time.process_time()
        with pytest.raises(BadMetadata, match=f"the key '{count - 1}' stands twice"):
            parse_listing(raw)
        return time.process_time() - started

    few, many = (min(seconds(count) for _ in range(3)) for count in (1500, 12_000))
    assert many < 24 * few, "linear is 8, quadratic is 64"


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8).filter(
    lambda name: not name.startswith("/") and ".." not in name.split("/")
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**40) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Draw a paths.json with entries of all kinds, keys in any order, in any style that JSON allows."""
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
    document = {key: document[key] for key in draw(st.permutations(list(document)))}
    comma, colon = draw(st.sampled_from([",", ", ", " ,\t", ",\n "])), draw(st.sampled_from([":", ": ", " :\r\n"]))
    indent = draw(st.sampled_from([None, 0, 1, 4, "\t"]))
    text = json.dumps(document, indent=indent, separators=(comma, colon), ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    if draw(st.booleans()):
        text = text.replace("/", "\\/")
    return (draw(st.sampled_from(["", "\n", "\r\n "])) + text + draw(st.sampled_from(["", "\n", " \r\n"]))).encode()


@given(documents())
def test_reading_agrees_with_json(raw: bytes) -> None:
    assert list(parse_listing(raw).rows.values()) == json.loads(raw)["paths"]


@given(documents())
def test_a_large_listing_is_read_and_edited_like_a_small_one(raw: bytes) -> None:
    small = parse_listing(raw)
    with mock.patch.object(paths_json, "_LARGE", 0):
        large = parse_listing(raw)
    assert list(large.rows.items()) == list(small.rows.items())
    assert dict(large.files) == dict(small.files)
    for gone in small.rows:
        assert edit_listing(large, {gone}, {}, (), []) == edit_listing(small, {gone}, {}, (), [])


def entry_texts(found: Listing) -> dict[str, str]:
    text, places = found.walked()
    return {path: text[slice(*span)] for path, span in zip(found.rows, places.entries, strict=True)}


@given(documents(), st.data())
def test_an_edit_changes_what_was_planned_and_nothing_else(raw: bytes, data: st.DataObject) -> None:
    found = parse_listing(raw)
    paths = list(found.rows)
    subset = st.sets(st.sampled_from(paths)) if paths else st.just(set[str]())
    dropped = data.draw(subset, "dropped")
    true = {path: File(path, FileKind.FILE, 100, "f" * 64) for path in data.draw(subset, "changed")}
    shortened = {
        path for path in data.draw(subset, "shortened") if isinstance(found.rows[path].get("inode_paths"), list)
    }
    new = data.draw(st.lists(names.filter(lambda name: name not in paths), unique=True, max_size=2), "added")
    added = [File(path, FileKind.FILE, 5, "a" * 64) for path in new]
    edited = edit_listing(found, dropped, true, shortened, added).decode()

    expected = json.loads(raw)
    kept = [entry for entry in expected["paths"] if entry["_path"] not in dropped]
    for entry in kept:
        if entry["_path"] in true:
            entry |= {key: value for key, value in (("sha256", "f" * 64), ("size_in_bytes", 100)) if key in entry}
        if entry["_path"] in shortened:
            entry["inode_paths"] = [name for name in entry["inode_paths"] if name not in dropped]
    kept += [{"_path": path, "path_type": "hardlink", "sha256": "a" * 64, "size_in_bytes": 5} for path in new]
    expected["paths"] = kept
    assert json.loads(edited) == expected
    assert list(json.loads(edited)) == list(expected), "the keys' order stays"

    # Outside the list nothing changed; inside, every entry that was not to change is there as it was written.
    text, places = found.walked()
    assert edited.startswith(text[: places.start])
    assert edited.endswith(text[places.stop :])
    before, after = entry_texts(found), entry_texts(parse_listing(edited.encode()))
    for path in before.keys() - dropped - true.keys() - shortened:
        assert after[path] == before[path]
    if not (dropped or true or shortened or added):
        assert edited == text


@given(documents(), st.data())
def test_a_drop_takes_no_more_than_its_lines(raw: bytes, data: st.DataObject) -> None:
    """The text that is left is the old text with pieces cut out: nothing is written anew."""
    found = parse_listing(raw)
    if not found.rows:
        return
    left = edit_listing(found, data.draw(st.sets(st.sampled_from(list(found.rows)))), {}, (), [])
    rest = iter(found.raw)
    assert all(byte in rest for byte in left)


STYLES = [
    pytest.param({"indent": 2}, id="rattler-build's"),
    pytest.param({"indent": 2, "sort_keys": True}, id="conda-build's"),
    pytest.param({"separators": (",", ":")}, id="dense"),
    pytest.param({}, id="one line"),
    pytest.param({"indent": "\t", "separators": (",", " : ")}, id="tabs"),
]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("gone", ["", "a", "b", "c", "ab", "ac", "abc"])
def test_what_is_left_is_what_the_writer_would_have_written(style: dict[str, Any], gone: str) -> None:
    document = {"paths": [row("a"), row("b"), row("c")], "paths_version": 1}
    found = parse_listing(json.dumps(document, **style).encode())
    left = {"paths": [row(path) for path in "abc" if path not in gone], "paths_version": 1}
    assert edit_listing(found, gone, {}, (), []) == json.dumps(left, **style).encode()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("before", ["a", "ab", "abd"])
def test_a_new_entry_is_written_in_the_style_of_the_others(style: dict[str, Any], before: str) -> None:
    document = {"paths": [row(path) for path in before], "paths_version": 1}
    found = parse_listing(json.dumps(document, **style).encode())
    more = {"paths": [*map(row, before), row("c")], "paths_version": 1}
    assert (
        edit_listing(found, (), {}, (), [File("c", FileKind.FILE, 1, "0" * 64)]) == json.dumps(more, **style).encode()
    )


def test_inode_paths_that_are_no_names_stay() -> None:
    raw = listing(row("a", inode_paths=["a", {"x": 1}, [], "b"]), row("b"))
    found = parse_listing(raw)
    assert json.loads(edit_listing(found, {"b"}, {}, {"a"}, []))["paths"][0]["inode_paths"] == ["a", {"x": 1}, []]


@pytest.mark.parametrize(
    ("text", "message"),
    [("{a: 1}", "a key in double quotes is missing"), ('{"a" 1}', "':' is missing"), ("{1}", "a key in double")],
)
def test_what_is_no_key_is_not_walked_over(text: str, message: str) -> None:
    """`json` has refused such a text long before; the walker does not rely on it."""
    with pytest.raises(json.JSONDecodeError, match=message):
        key_at(text, 1)


def test_what_does_not_follow_a_member_is_not_walked_over() -> None:
    with pytest.raises(json.JSONDecodeError, match="',' is missing"):
        following("[1 2]", 2, "]")


@pytest.mark.parametrize("space", [0, paths_json._LARGE], ids=["small", "large"])
@pytest.mark.parametrize("more", [{}, {"file_mode": "text"}], ids=["usual", "more keys"])
def test_an_entry_has_its_keys_and_no_others(more: dict[str, str], space: int) -> None:
    """Entries of large listings are held in another way, which shows in nothing."""
    entry = {"_path": "a", "path_type": "hardlink", "sha256": "0" * 64, "size_in_bytes": 1, **more}
    raw = json.dumps({"paths": [entry], "paths_version": 1}).encode()
    found = parse_listing(raw + b" " * space).rows["a"]
    assert dict(found) == entry
    assert (len(found), "no_link" in found, found.get("no_link")) == (len(entry), False, None)
    with pytest.raises(KeyError):
        found["no_link"]
