"""Lines that name a dropped file are removed from line lists, and all others keep their bytes."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import posixpath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conda_prune.judgement.listings.line_lists import (
    FILES,
    HAS_PREFIX,
    NO_LINK,
    edit_lines,
    is_installed_list,
    names,
    prefixes,
)

from ...clock import cpu_time

RECORD = "lib/python3.11/site-packages/m-1.dist-info/RECORD"
EGG = "lib/python3.11/site-packages/m.egg-info/installed-files.txt"
CACHE = "lib/python3.11/site-packages/m/__pycache__/a.cpython-310.pyc"

UNTOUCHED = [
    pytest.param(FILES, b"", id="empty"),
    pytest.param(FILES, b"bin/m\r\nlib/x\r\n", id="Windows line ends"),
    pytest.param(FILES, b"bin/m", id="no final line end"),
    pytest.param(FILES, b"bin/m\n\n\n", id="empty lines"),
    pytest.param(FILES, b"bin/\xff\nlib/\xe9\n", id="not UTF-8"),
    pytest.param(HAS_PREFIX, b"it's odd \"\n/p binary\ntext\n\n", id="lines without a valid name"),
    pytest.param(RECORD, b'm/a.py,sha256=x,1\nm/b.py\n,,\n"m/c,\n', id="quotes that are never closed"),
    pytest.param(RECORD, b"../../../../../../etc/passwd,,\n/etc/passwd,,\n", id="names outside"),
    pytest.param(EGG, b"../m/a.py\n\nPKG-INFO\n", id="egg"),
]


@pytest.mark.parametrize(("path", "raw"), UNTOUCHED)
def test_other_lines_keep_their_bytes(path: str, raw: bytes) -> None:
    assert edit_lines(path, raw, {CACHE, "", ".", "x"}) == raw


NAMED = [
    pytest.param(FILES, b"bin/m\n%b\nlib/x\n", id="files"),
    pytest.param(FILES, b"bin/m\r\n%b\r\nlib/x\r\n", id="files, Windows line ends"),
    pytest.param(FILES, b"bin/m\n%b", id="files, last line without end"),
    pytest.param(FILES, b"./bin/m\n./%b\n", id="files, names with a dot"),
    pytest.param(NO_LINK, b"%b\nbin/m\n", id="no_link"),
    pytest.param(HAS_PREFIX, b"bin/m\n%b\n", id="has_prefix: the name alone"),
    pytest.param(HAS_PREFIX, b'bin/m\n"%b"\n', id="has_prefix: the name alone, quoted"),
    pytest.param(HAS_PREFIX, b"/opt/p text bin/m\n/opt/p binary %b\n", id="has_prefix: prefix and mode"),
    pytest.param(HAS_PREFIX, b'"C:\\a b" text "bin/m"\n"C:\\a b" binary "%b"\n', id="has_prefix: quoted"),
    pytest.param(HAS_PREFIX, b"'/opt/a b' text 'bin/m'\n'/opt/a b' binary '%b'\n", id="has_prefix: apostrophes"),
    pytest.param(HAS_PREFIX, b"/opt/it's text bin/m\n/opt/it's binary %b\n", id="has_prefix: one apostrophe"),
]


@pytest.mark.parametrize(("path", "template"), NAMED)
@pytest.mark.parametrize("name", ["lib/a.pyc", "lib/with space/a b.pyc", "lib/text x/ü.pyc", "lib/it's.pyc"])
def test_the_line_of_a_dropped_file_is_removed(path: str, template: bytes, name: str) -> None:
    raw = template.replace(b"%b", name.encode())
    kept = [line for line in raw.splitlines(keepends=True) if name.encode() not in line]
    assert edit_lines(path, raw, {name}) == b"".join(kept)
    assert name in names(path, raw)


def test_a_name_may_look_like_a_prefix_and_mode() -> None:
    assert names(HAS_PREFIX, b"a b c.py\n/p text a b c.py\n/p binary text x\n") == ["a b c.py", "a b c.py", "text x"]


def test_each_name_has_the_prefix_that_installers_replace() -> None:
    by_name = prefixes(b'bin/old\n/opt/p text bin/m\n"C:\\a b" binary "lib/x y"\n')
    assert by_name == {"bin/old": "/opt/anaconda1anaconda2anaconda3", "bin/m": "/opt/p", "lib/x y": "C:\\a b"}


SITE = "lib/python3.11/site-packages"
RECORDS = [
    pytest.param(b"m/__pycache__/a.cpython-310.pyc,,\n", id="as pip writes it"),
    pytest.param(b"m/__pycache__/a.cpython-310.pyc,sha256=abc,12\r\n", id="with digest and size"),
    pytest.param(b'"m/__pycache__/a.cpython-310.pyc",,\n', id="quoted"),
    pytest.param(b"m\\__pycache__\\a.cpython-310.pyc,,\n", id="backslashes"),
    pytest.param(b"../../python3.11/site-packages/m/./__pycache__/a.cpython-310.pyc,,\n", id="a detour"),
    pytest.param(b"/opt/_h_env/lib/python3.11/site-packages/m/__pycache__/a.cpython-310.pyc,,\n", id="absolute"),
    pytest.param(b"m/__pycache__/a.cpython-310.pyc", id="the name alone"),
]


@pytest.mark.parametrize("line", RECORDS)
def test_names_in_record_start_at_site_packages(line: bytes) -> None:
    assert is_installed_list(RECORD)
    raw = b'"m/a,b.py",sha256=x,1\n' + line
    assert edit_lines(RECORD, raw, {CACHE}, prefix="/opt/_h_env/") == b'"m/a,b.py",sha256=x,1\n'
    assert edit_lines(RECORD, raw, {f"{SITE}/m/a,b.py"}, prefix="/opt/_h_env") == line


def test_record_may_name_scripts_outside_site_packages() -> None:
    assert edit_lines(RECORD, b"../../../bin/m,,\nm/a.py,,\n", {"bin/m"}) == b"m/a.py,,\n"


def test_names_in_installed_files_start_at_the_egg_info() -> None:
    assert is_installed_list(EGG)
    raw = b"../m/__pycache__/a.cpython-310.pyc\nPKG-INFO\n"
    assert edit_lines(EGG, raw, {CACHE}) == b"PKG-INFO\n"
    assert edit_lines(EGG, raw, {f"{SITE}/m.egg-info/PKG-INFO"}) == b"../m/__pycache__/a.cpython-310.pyc\n"


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\\"), min_size=1), unique=True), st.data())
def test_record_is_parsed_as_csv_writes_it(files: list[str], data: st.DataObject) -> None:
    """Names may have commas, quotes and line ends. The remaining text has the remaining records."""
    files = [name.strip("/. ") or "x" for name in files]
    files = [name for name in dict.fromkeys(files) if "//" not in name and "/." not in name]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([name, "", ""] for name in files)
    dropped = data.draw(st.sets(st.sampled_from(files)) if files else st.just(set[str]()))
    left = edit_lines(RECORD, out.getvalue().encode(), {f"{SITE}/{name}" for name in dropped}).decode()
    rows = list(csv.reader(io.StringIO(left, newline="")))
    assert [row[0] for row in rows] == [name for name in files if name not in dropped]


def test_new_files_are_appended_with_the_lists_line_ends() -> None:
    assert edit_lines(FILES, b"a\nb\n", {"a"}, added=["c", "d"]) == b"b\nc\nd\n"
    assert edit_lines(FILES, b"a\r\nb", (), added=["c"]) == b"a\r\nb\r\nc\r\n"


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_the_digest_of_a_changed_file_is_updated(algorithm: str) -> None:
    def digest(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b"=")

    raw = b"m/a.py,%s=%s,3\nm/b.py,,\n" % (algorithm.encode(), digest(b"old"))
    new = {f"{SITE}/m/a.py": b"new", f"{SITE}/m/b.py": b"new"}.get
    assert edit_lines(RECORD, raw, (), changed=new) == raw.replace(digest(b"old"), digest(b"new"))


def test_a_digest_of_an_unknown_kind_is_kept() -> None:
    raw = b"m/a.py,md5=abc,3\n"
    assert edit_lines(RECORD, raw, (), changed={f"{SITE}/m/a.py": b"new"}.get) == raw


@given(st.text(st.sampled_from('",a\n'), max_size=40))
@example('a\n"\n"b",x"y\n"",c\n"d""\n')
def test_records_are_split_as_csv_splits_them(text: str) -> None:
    rows = list(csv.reader(text.splitlines(keepends=True)))
    names_found = names(RECORD, text.encode())
    assert len(names_found) == len(rows)
    for name, row in zip(names_found, rows, strict=True):
        assert name in ("", posixpath.normpath(f"{SITE}/{row[0] if row else ''}"))


@pytest.mark.parametrize(
    "beginning", [b'"\n', b'm/a.py,"\n', b'"a"",\n', b'm/"a\n'], ids=["name", "digest", "doubled", "literal"]
)
def test_a_quote_that_is_never_closed_takes_linear_time(beginning: bytes) -> None:
    def seconds(count: int) -> float:
        raw = b"m/c.py,,\n" + beginning + b"m/b.py,,\n" * count
        started = cpu_time()
        left = edit_lines(RECORD, raw, {f"{SITE}/m/c.py", f"{SITE}/m/a.py"})
        took = cpu_time() - started
        assert left == (b"" if beginning.startswith(b"m/a") else raw[9:])
        return took

    few, many = (min(seconds(count) for _ in range(3)) for count in (5000, 40_000))
    assert many < 24 * few, "linear is 8, quadratic is 64"
