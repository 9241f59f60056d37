"""The JavaScript libraries in the page of an audit are exactly what npm published, with their licenses."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile

import pytest

from tools.libraries import DIRECTORY, LIBRARIES, TABLE, Library, unpacked

ENTRIES = json.loads(TABLE.read_text("ascii"))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry["name"]))
def test_the_files_have_the_hashes_of_the_table(entry: dict[str, str]) -> None:
    for name, expected in (("file", "sha256"), ("license_file", "license_sha256")):
        assert hashlib.sha256((DIRECTORY / entry[name]).read_bytes()).hexdigest() == entry[expected]
    assert entry["version"] in (DIRECTORY / entry["file"]).read_text("utf-8")[:100]


def test_the_table_lists_every_file_and_the_pinned_versions() -> None:
    files = {path.relative_to(DIRECTORY).as_posix() for path in DIRECTORY.rglob("*") if path.is_file()}
    assert files - {TABLE.name} == {entry[name] for entry in ENTRIES for name in ("file", "license_file")}
    assert [(entry["name"], entry["version"], entry["file"], entry["license_file"]) for entry in ENTRIES] == [
        (library.package, library.version, *library.files) for library in LIBRARIES
    ]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry["name"]))
def test_the_scripts_can_be_in_a_page(entry: dict[str, str]) -> None:
    """Nothing in them ends the element or opens a comment, and no line ending would change their hash."""
    script = (DIRECTORY / entry["file"]).read_bytes()
    assert [text for text in (b"</script", b"<!--", b"\r", b"\0") if text in script.lower()] == []


def test_a_download_with_another_hash_is_refused() -> None:
    library = Library("one", "one", "1.0", "dist/one.js", "LICENSE")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in (("package/dist/one.js", b"1"), ("package/LICENSE", b"free")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(buffer.getvalue()).digest()).decode()
    assert unpacked(library, buffer.getvalue(), integrity) == (b"1", b"free")
    with pytest.raises(ValueError, match="does not match"):
        unpacked(library, buffer.getvalue() + b"\0", integrity)
