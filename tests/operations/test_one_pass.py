"""A repair in one pass gives the bytes of a repair in two, or leaves the work to it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from conda_prune import PruneError, Result, fix
from conda_prune.compression.zstd import frame as zstd
from conda_prune.operations import one_pass
from conda_prune.rewrite import following, rewriter, verify
from conda_prune.rewrite import one_pass as rewriting
from conda_prune.rewrite.staging import Staging

from ..compression.zstd.frames import MIB, mixed
from ..corpus.bytecode import pyc
from ..corpus.crafted import BASE
from ..corpus.entries import AnyEntry, File, PackageSpec, Symlink
from ..corpus.packages import Writer, write_package

OTHER = "lib/python3.10/site-packages"
STRAY = f"{OTHER}/m/__pycache__/stray.cpython-310.pyc"

CONTENT = mixed(9 * MIB)
"""More than is compressed as a whole, and several jobs of the low levels."""


def files(size: int = 9 * MIB, more: Mapping[str, AnyEntry] | None = None) -> dict[str, AnyEntry]:
    """Large files before, between and after stray bytecode."""
    third = size // 3
    large = {
        name: File(CONTENT[at * third : (at + 1) * third]) for at, name in enumerate(("bin/a", "lib/q", "share/z"))
    }
    long_name = f"{OTHER}/{'directory/' * 9}__pycache__/{'x' * 20}.cpython-310.pyc"
    strays = {path: File(pyc("cpython-310", path, size=30_000)) for path in (STRAY, long_name)}
    return {**BASE.files, **large, **strays, **(more or {})}


Attempts = list[bool]


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Attempts:
    """Try one pass for small packages as well, and record whether each attempt was successful."""
    real, record = rewriting.rewrite_in_one_pass, Attempts()

    def recorded(*arguments: Any) -> Any:
        written = real(*arguments)
        record.append(written is not None)
        return written

    monkeypatch.setattr(one_pass, "LEAST", 0)
    monkeypatch.setattr(one_pass, "rewrite_in_one_pass", recorded)
    return record


def fixed_twice(package: Path, attempts: Attempts, **options: Any) -> Result:
    """Fix in one pass if possible, then in two, compare everything, and return the first result."""
    results = []
    for threads in (2, 1):
        output = package.parent / f"{threads}"
        tried = len(attempts)
        results.append(fix(package, output_dir=output, threads=threads, **options))
        if threads == 1:
            assert len(attempts) == tried
    one, two = results
    assert replace(one, seconds=0.0, output=None) == replace(two, seconds=0.0, output=None)
    assert one.status != "fixed" or Path(str(one.output)).read_bytes() == Path(str(two.output)).read_bytes()
    return one


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("level", [-5, 1, 3, 9])
def test_one_pass_gives_the_bytes_of_two(
    tmp_path: Path, attempts: Attempts, monkeypatch: pytest.MonkeyPatch, level: int, at_once: bool
) -> None:
    monkeypatch.setattr(rewriting, "_BUSY", 0 if at_once else 2)
    package = write_package(replace(BASE, files=files()), tmp_path, level=level)
    result = fixed_twice(package, attempts)
    assert (result.status, attempts) == ("fixed", [True])
    assert result.compression is not None
    assert result.compression.reused_bytes


def test_in_place_one_pass_replaces_the_package(tmp_path: Path, attempts: Attempts) -> None:
    package = write_package(replace(BASE, files=files()), tmp_path, level=1)
    result = fix(package, in_place=True, threads=2, backup=".orig")
    assert (result.status, attempts) == ("fixed", [True])
    assert result.after is not None
    assert hashlib.sha256(package.read_bytes()).hexdigest() == result.after.sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == [package.name, f"{package.name}.orig"]
    assert fix(package, in_place=True).status == "clean"


def test_progress_is_complete(tmp_path: Path, attempts: Attempts) -> None:
    from conda_prune.judgement.options import Options
    from conda_prune.operations.fix import FixOptions, fix_package

    class Recorder:
        total = done = 0

        def expect(self, total: int) -> None:
            self.total = total

        def __call__(self, done: int) -> None:
            self.done += done

        def warn(self, line: str) -> None:
            raise AssertionError(line)

    package = write_package(replace(BASE, files=files()), tmp_path, level=1)
    options = Options(None, frozenset(), frozenset(), ())
    totals = []
    for threads in (2, 1):
        progress, output = Recorder(), FixOptions(output_dir=str(tmp_path / f"{threads}"), threads=threads)
        fix_package(str(package), options, output, progress=progress)
        totals.append(progress.done)
        assert abs(progress.done - progress.total) < progress.total / 50
    assert totals[0] == totals[1]
    assert attempts == [True]


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    """Return an edit of paths.json that changes its entries by path."""

    def edit(raw: bytes) -> bytes:
        listing = json.loads(raw)
        change({entry["_path"]: entry for entry in listing["paths"]})
        return json.dumps(listing, indent=2).encode()

    return edit


def swap_sizes(entries: dict[str, Any]) -> None:
    one, other = entries["bin/a"], entries[STRAY]
    one["size_in_bytes"], other["size_in_bytes"] = other["size_in_bytes"], one["size_in_bytes"]


def move_the_record(entries: dict[str, Any]) -> None:
    """Swap the paths of two files of the same size, so that another file is read in advance."""
    entries[RECORD]["_path"], entries["share/same"]["_path"] = "share/same", RECORD


def lie_about_the_hash(entries: dict[str, Any]) -> None:
    entries["bin/a"]["sha256"] = "0" * 64


def state_a_size_of_100_bits(entries: dict[str, Any]) -> None:
    entries["bin/a"]["size_in_bytes"] = 1 << 100


def rename(entries: dict[str, Any]) -> None:
    entries["bin/a"]["_path"] = "bin/b"


def omit(raw: bytes) -> bytes:
    listing = json.loads(raw)
    listing["paths"] = [entry for entry in listing["paths"] if entry["_path"] != "bin/a"]
    return json.dumps(listing, indent=2).encode()


def spec(size: int = 9 * MIB, more: Mapping[str, AnyEntry] | None = None, **fields: Any) -> PackageSpec:
    return replace(BASE, files=files(size, more), **fields)


def record(*paths: str, end: str = "\n") -> File:
    return File("".join(f"{path},,{end}" for path in paths).encode())


LISTED = "m/__pycache__/stray.cpython-310.pyc"
RECORD = f"{OTHER}/m.dist-info/RECORD"


NOT_TRIED = {
    "a file that is not listed": spec(paths_json=omit),
    "a size that no file has": spec(paths_json=edited(state_a_size_of_100_bits)),
    "no listing": spec(paths_json=None, legacy_listings=True),
    "a link": spec(more={"lib/link": Symlink("q")}),
    "a small payload": spec(3 * MIB),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(NOT_TRIED))
def test_one_pass_is_not_tried(tmp_path: Path, attempts: Attempts, name: str) -> None:
    result = fixed_twice(write_package(NOT_TRIED[name], tmp_path, level=1), attempts)
    assert (result.status, attempts) == ("fixed", [])


WRONG = {
    "sizes that are swapped": spec(paths_json=edited(swap_sizes)),
    "a RECORD that lists files elsewhere": spec(more={"share/m.dist-info/RECORD": record(f"../{STRAY}", "m/a.py")}),
    "a RECORD that is elsewhere": spec(
        paths_json=edited(move_the_record),
        more={RECORD: record(LISTED, "m/a.py"), "share/same": record(LISTED, "m/b.py")},
    ),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_forecast_is_discarded(tmp_path: Path, attempts: Attempts, name: str) -> None:
    result = fixed_twice(write_package(WRONG[name], tmp_path, level=1), attempts)
    assert (result.status, attempts) == ("fixed", [False])


RIGHT = {
    "a wrong hash": spec(paths_json=edited(lie_about_the_hash)),
    "a wrong name of a kept file": spec(paths_json=edited(rename)),
    "a RECORD without dropped files": spec(more={"share/m.dist-info/RECORD": record("m/a.py")}),
}


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_other_errors_in_a_listing_do_not_matter(tmp_path: Path, attempts: Attempts, name: str) -> None:
    result = fixed_twice(write_package(RIGHT[name], tmp_path, level=1), attempts)
    assert (result.status, attempts) == ("fixed", [True])


RECORDS: dict[str, dict[str, File]] = {
    "after all dropped files": {RECORD: record("m/a.py", LISTED, "m/b.py")},
    "before and after them": {
        f"{OTHER}/a.dist-info/RECORD": record(LISTED, end="\r\n"),
        f"{OTHER}/{'long' * 30}.dist-info/RECORD": File(f'"{LISTED}","sha256=x",3\nm/a.py,,'.encode()),
        RECORD: record(LISTED),
    },
    "with nothing to edit": {RECORD: record("m/a.py")},
    "empty": {RECORD: File(b"")},
    "of an egg": {f"{OTHER}/m.egg-info/installed-files.txt": File(f"../{LISTED}\n../m/a.py\n".encode())},
    "with hashes": {RECORD: File(f"{LISTED},sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n".encode())},
    "of a megabyte": {RECORD: record(*(f"m/{number}.py" for number in range(100_000)), LISTED)},
}


@pytest.mark.parametrize("level", [1, 9])
@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_record_is_edited_in_one_pass(tmp_path: Path, attempts: Attempts, name: str, level: int) -> None:
    package = write_package(spec(more=RECORDS[name]), tmp_path, level=level)
    result = fixed_twice(package, attempts)
    assert (result.status, attempts) == ("fixed", [True])
    content = content_of(Path(str(result.output)))
    for path, file in RECORDS[name].items():
        lines = file.data.splitlines(keepends=True)
        assert content[path] == b"".join(line for line in lines if LISTED.encode() not in line)


def content_of(package: Path) -> dict[str, bytes]:
    """Return the content of the files in a payload, by path."""
    with zipfile.ZipFile(package) as archive:
        (name,) = (name for name in archive.namelist() if name.startswith("pkg-"))
        tar = zstandard.ZstdDecompressor().decompress(archive.read(name))
    with tarfile.open(fileobj=io.BytesIO(tar)) as members:
        opened = {member.name: members.extractfile(member) for member in members}
        return {name: file.read() for name, file in opened.items() if file is not None}


def test_a_record_that_is_too_large_is_not_read_in_advance(
    tmp_path: Path, attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewriting, "_MOST_READ", 1023)
    package = write_package(spec(more={RECORD: record(LISTED)}), tmp_path, level=1)
    assert (fixed_twice(package, attempts).status, attempts) == ("fixed", [])


@pytest.mark.parametrize("writer", ["conda-build", "cph1"])
def test_the_layout_of_other_writers_is_not_forecast(tmp_path: Path, attempts: Attempts, writer: Writer) -> None:
    assert fixed_twice(write_package(spec(), tmp_path, writer=writer, level=3), attempts).status == "fixed"
    assert True not in attempts


@pytest.mark.parametrize("with_record", [False, True])
@pytest.mark.parametrize("where", [0.3, 0.6, 0.9])
def test_damage_is_reported_as_in_two_passes(
    tmp_path: Path, attempts: Attempts, where: float, with_record: bool
) -> None:
    package = write_package(spec(more={RECORD: record(LISTED)} if with_record else {}), tmp_path, level=1)
    damaged = bytearray(package.read_bytes())
    at = int(len(damaged) * where)
    damaged[at : at + 9] = bytes(9)
    package.write_bytes(damaged)
    messages = []
    for threads in (2, 1):
        with pytest.raises(PruneError) as caught:
            fix(package, in_place=True, threads=threads)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert list(tmp_path.iterdir()) == [package]
    assert package.read_bytes() == damaged


@pytest.mark.parametrize("what", ["splices_of", "read_back"])
def test_a_failure_at_the_end_is_repeated_in_two_passes(
    tmp_path: Path, attempts: Attempts, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    package = write_package(spec(), tmp_path, level=1)
    real, calls = getattr(rewriting, what), []

    def wrong_once(*arguments: Any) -> Any:
        calls.append(arguments)
        if what == "splices_of":  # The first call makes the forecast.
            return real(*arguments) if len(calls) == 1 else ()
        raise rewriting.WrongForecast

    monkeypatch.setattr(rewriting, what, wrong_once)
    assert fix(package, output_dir=tmp_path / "one", threads=2).status == "fixed"
    monkeypatch.undo()
    assert fix(package, output_dir=tmp_path / "two", threads=1).status == "fixed"
    assert attempts == [False]
    assert (tmp_path / "one" / package.name).read_bytes() == (tmp_path / "two" / package.name).read_bytes()


@pytest.mark.parametrize("has_libarchive", [True, False])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.999])
def test_a_payload_changed_after_it_was_read_back_is_detected(
    tmp_path: Path, attempts: Attempts, monkeypatch: pytest.MonkeyPatch, part: float, has_libarchive: bool
) -> None:
    package = write_package(spec(), tmp_path, level=1)
    real, reasons = rewriter.read_back, []

    def sabotaged(job: Any, done: Any, staging: Staging, before: Any, verified: Any) -> Any:
        def changed() -> Any:
            result = verified()
            with open(staging.path, "r+b") as file:
                content = file.read()
                start = content.index(zstd.MAGIC)
                at = start + 9 + int(part * (content.index(b"PK\x03\x04", start) - start - 20))
                file.seek(at)
                file.write(bytes([content[at] ^ 1]))
            return result

        try:
            return real(job, done, staging, before, changed)
        except PruneError as error:
            reasons.append(str(error))
            raise

    monkeypatch.setattr(verify, "has_libarchive", lambda: has_libarchive)
    monkeypatch.setattr(rewriting, "read_back", sabotaged)
    assert fix(package, in_place=True, threads=2).status == "fixed"
    assert attempts == [False]
    assert len(reasons) == 1
    assert fix(package, in_place=True).status == "clean"


@pytest.mark.parametrize("has_libarchive", [True, False])
def test_a_wrong_payload_is_detected_when_it_is_read_back(
    tmp_path: Path, attempts: Attempts, monkeypatch: pytest.MonkeyPatch, has_libarchive: bool
) -> None:
    package = write_package(spec(), tmp_path, level=1)
    tars = []

    def other_bytes(component: str, found: int, expected: int) -> None:
        tars.append(component)
        verify.check_crc(component, found, expected ^ 1)

    monkeypatch.setattr(verify, "has_libarchive", lambda: has_libarchive)
    monkeypatch.setattr(following, "check_crc", other_bytes)
    assert fix(package, in_place=True, threads=2).status == "fixed"
    assert (attempts, tars) == ([False], ["pkg"])
    assert fix(package, in_place=True).status == "clean"
