"""A short fixed run over every target, and everything that longer runs ever found.

The long runs: `python -m tests.fuzz TARGET SECONDS`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .targets import SEEDS, TARGETS, run

FINDINGS = sorted((Path(__file__).parent / "findings").glob("*/*"))

#: A change: where (as a fraction), how many bytes go, and what comes in their place.
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=8)), max_size=4)


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_accepted(name: str) -> None:
    assert all(run(name, seed) for seed in SEEDS[name])


@pytest.mark.parametrize("name", TARGETS)
def test_changed_bytes_are_refused_in_words_or_read_as_others_do(name: str) -> None:
    @settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(SEEDS[name]), CHANGES, st.sampled_from([1.0, 0.9, 0.5]))
    def change(seed: bytes, changes: list[tuple[float, int, bytes]], kept: float) -> None:
        data = bytearray(seed)
        for where, gone, new in changes:
            at = int(where * len(data))
            data[at : at + gone] = new
        run(name, bytes(data[: int(kept * len(data)) + 1]))

    change()


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_stays_mended(finding: Path) -> None:
    run(finding.parent.name, finding.read_bytes())
