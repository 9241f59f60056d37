"""After a power failure at any moment, the package is the old or the new one, and a backup has the old content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.corpus.crafted import BASE
from tests.corpus.packages import FORMATS, Format, write_package

from .harness import Harness, why_not
from .large import ONE_PASS, package_for_one_pass
from .replay import Event, after_power_failure, recorded

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with Harness(tmp_path_factory.mktemp("harness")) as running:
        yield running


class Recording:
    """The system calls of one fix, with the package before and after it."""

    def __init__(
        self, harness: Harness, directory: Path, format_: Format, *options: str, most: int = 0, one_pass: bool = False
    ) -> None:
        work = directory / "work"
        work.mkdir()
        self.package = package_for_one_pass(work) if one_pass else write_package(BASE, work, format=format_)
        self.old = self.package.read_bytes()
        log, argv = directory / "log", ["fix", "--in-place", str(self.package), *options]
        outcome = harness.run(argv, work, log=log, most=most, constants=ONE_PASS if one_pass else {})
        assert outcome.code == 0
        self.new = self.package.read_bytes()
        self.events = recorded(log)
        assert self.new != self.old

    def states(self, events: list[Event] | None = None) -> Iterator[dict[str, bytes]]:
        return after_power_failure({str(self.package): self.old}, self.events if events is None else events)

    def bad(self, events: list[Event] | None = None) -> int:
        """Count the states in which the package is neither the old one nor the new one."""
        return sum(state.get(str(self.package)) not in (self.old, self.new) for state in self.states(events))


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("most", [0, 8])
def test_the_package_is_old_or_new_after_a_power_failure(
    harness: Harness, tmp_path: Path, format_: Format, most: int
) -> None:
    recording = Recording(harness, tmp_path, format_, most=most)
    states = list(recording.states())
    assert recording.bad() == 0
    when_done = after_power_failure({str(recording.package): recording.old}, recording.events, when_done=True)
    assert all(state == {str(recording.package): recording.new} for state in when_done), "a completed fix is not lost"
    assert len(states) >= (1000 if most else 50)


def test_the_package_is_old_or_new_after_a_power_failure_in_one_pass(harness: Harness, tmp_path: Path) -> None:
    recording = Recording(harness, tmp_path, ".conda", "--backup", ".orig", most=64, one_pass=True)
    states = list(recording.states())
    assert recording.bad() == 0
    assert len(states) >= 100


@pytest.mark.parametrize("format_", FORMATS)
def test_a_new_package_always_has_its_backup(harness: Harness, tmp_path: Path, format_: Format) -> None:
    recording = Recording(harness, tmp_path, format_, "--backup", ".orig")
    assert recording.bad() == 0
    backup = str(recording.package) + ".orig"
    for state in recording.states():
        assert state.get(backup, recording.old) == recording.old
        assert state[str(recording.package)] == recording.old or backup in state


def test_the_replay_finds_a_missing_sync(harness: Harness, tmp_path: Path) -> None:
    recording = Recording(harness, tmp_path, ".conda")
    first = next(event for event in recording.events if event.call == "fsync")
    assert recording.bad([event for event in recording.events if event is not first]) > 0


def test_the_replay_finds_writing_in_place(harness: Harness, tmp_path: Path) -> None:
    recording = Recording(harness, tmp_path, ".conda")
    target = str(recording.package)
    in_place = [replace(event, path=target) for event in recording.events if event.call not in ("rename", "fsync")]
    assert recording.bad(in_place) > 0
