"""`blocks.py` decides from numbers alone which blocks are copied."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conda_prune.compression.zstd.blocks import (
    Compress,
    Copy,
    JobLayout,
    ReusableRange,
    decide,
    job_layout,
    reusable_ranges,
)
from conda_prune.compression.zstd.frame import FrameHeader
from conda_prune.model import CompressionSettings, Splice

from .frames import (
    KIB,
    MIB,
    blocks,
    frame,
)

WINDOW = MIB // 2
REPRODUCED = CompressionSettings("zstd", 3, "reproduced", threaded=True)
LAYOUTS = [
    pytest.param(REPRODUCED, WINDOW, 9 * MIB, (2 * MIB, WINDOW // 8, WINDOW), id="jobs"),
    pytest.param(REPRODUCED, WINDOW, MIB // 2 + 1, (2 * MIB, WINDOW // 8, WINDOW), id="large enough for threads"),
    pytest.param(REPRODUCED, WINDOW, MIB // 2, (MIB // 2, WINDOW // 8, WINDOW), id="too small for threads"),
    pytest.param(REPRODUCED, WINDOW, 0, (1, WINDOW // 8, WINDOW), id="nothing"),
    pytest.param(
        REPRODUCED, WINDOW + 65536, 9 * MIB, (9 * MIB, 73728, WINDOW + 65536), id="window that libzstd never writes"
    ),
    pytest.param(REPRODUCED, 1 << 16, 9 * MIB, (MIB, 1 << 13, 1 << 16), id="small window"),
    pytest.param(REPRODUCED, 1 << 15, 9 * MIB, (MIB, 1 << 12, 0), id="window too small for trials"),
    pytest.param(REPRODUCED, 64 * MIB, 999 * MIB, (256 * MIB, 8 * MIB, 64 * MIB), id="a large window"),
    pytest.param(REPRODUCED, 128 * MIB, 999 * MIB, (512 * MIB, 16 * MIB, 0), id="window too large for trials"),
    pytest.param(REPRODUCED, 128 * MIB, 9 * MIB, (512 * MIB, 16 * MIB, 128 * MIB), id="a large window, less content"),
    pytest.param(
        CompressionSettings("zstd", 3, "recorded", True),
        WINDOW,
        9 * MIB,
        (2 * MIB, WINDOW, WINDOW),
        id="not reproduced",
    ),
    pytest.param(
        CompressionSettings("zstd", 3, "reproduced"), WINDOW, 9 * MIB, (9 * MIB, WINDOW // 8, WINDOW), id="one thread"
    ),
    # libzstd's long mode: jobs by the size of the chain table, and matches in the whole window.
    pytest.param(
        CompressionSettings("zstd", 22, "reproduced", True),
        128 * MIB,
        999 * MIB,
        (512 * MIB, 128 * MIB, 0),
        id="long mode",
    ),
]


@pytest.mark.parametrize(("settings", "window", "size", "layout"), LAYOUTS)
def test_jobs_are_where_the_settings_put_them(
    settings: CompressionSettings, window: int, size: int, layout: tuple[int, int, int]
) -> None:
    assert job_layout(FrameHeader(14, window, False, size, False), settings, size) == JobLayout(*layout)


@pytest.mark.parametrize("level", [-5, 1, 3, 6, 7, 8, 9, 12, 13, 15, 16, 17, 18, 19, 22])
@pytest.mark.parametrize("window_log", [18, 19, 20])
def test_libzstd_cuts_jobs_where_they_are_expected(level: int, window_log: int) -> None:
    """Repeated noise takes a few bytes if the overlap reaches back to it, and all of its bytes if it does not."""
    settings = CompressionSettings("zstd", level, "reproduced", threaded=True)
    size = 6 * MIB
    layout = job_layout(FrameHeader(10, 1 << window_log, False, size, False), settings, size)
    assert layout.size == max(1 << window_log + 2, MIB)
    lengths = []
    for period in (layout.reach - 100, layout.reach + 3000):
        content = random.Random(period).randbytes(period) * (size // period + 1)
        found = {start: data for start, _, data in blocks(frame(content[:size], level, 2, window_log))}
        lengths.append(len(found[layout.size]))
    assert lengths[0] < 1000
    assert lengths[1] >= 2500


@given(
    size=st.integers(1, 300),
    splices=st.lists(st.integers(0, 300), max_size=8),
    job=st.integers(1, 60),
    reach=st.integers(1, 60),
)
def test_reusable_ranges_do_not_depend_on_splices(size: int, splices: list[int], job: int, reach: int) -> None:
    bounds = sorted(min(offset, size) for offset in splices)
    made = [Splice(start, stop) for start, stop in zip(bounds[::2], bounds[1::2], strict=False)]
    for window in (0, reach, job):
        at = 0
        for found in reusable_ranges(made, size, JobLayout(job, reach, window)):
            assert at < found.stop <= size
            assert not any(at <= splice.start < found.stop < splice.stop for splice in made)
            before = [splice.stop for splice in made if splice.start < found.stop and splice.stop <= found.stop]
            if found.job is not None:
                assert found.job % job == 0
                assert at <= found.job < found.stop
                assert all(offset <= found.job - reach for offset in before)
            if found.search:
                assert at <= found.clear < found.stop
                assert all(offset <= found.clear - window for offset in before)
            assert found.job is not None or found.search
            at = found.stop


BLOCK = 128 * KIB
LAYOUT = JobLayout(2 * MIB, MIB // 8, MIB // 2)
"""Jobs of 16 blocks that refer back over one block; other blocks refer back over four."""


def decided(
    splices: list[Splice], size: int, independent: set[int], layout: JobLayout = LAYOUT
) -> list[tuple[str, int, int]]:
    """What `decide` does with `size` blocks, some of which are independent, as runs of blocks numbered from 0."""
    runs: list[tuple[str, int, int]] = []
    at = 0

    def next_end(start: int, room: int) -> int:
        assert start == at, "the blocks before were taken"
        return min(start + BLOCK, size * BLOCK)

    def is_independent(start: int, stop: int, until: int) -> bool:
        assert start == at
        assert start <= until <= stop
        return start // BLOCK in independent

    ranges = reusable_ranges(splices, size * BLOCK, layout)
    for step in decide(ranges, size * BLOCK, layout, next_end, is_independent):
        assert step.start == at, "no gap and no overlap"
        at = step.stop
        name = "copy" if isinstance(step, Copy) else "compress"
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1], step.stop // BLOCK)
        else:
            runs.append((name, step.start // BLOCK, step.stop // BLOCK))
    assert at == size * BLOCK
    return runs


def splice_in(block: int) -> Splice:
    return Splice(block * BLOCK + 5, block * BLOCK + 9)


ALL = set(range(64))
DECISIONS = [
    pytest.param([], ALL, [("copy", 0, 64)], id="no splice"),
    pytest.param([], set(), [("copy", 0, 64)], id="the first job is not tried"),
    pytest.param([splice_in(0)], set(), [("compress", 0, 64)], id="no block is independent"),
    # A window (4 blocks) after a splice in block 0, block 5 is the first that does not refer to it.
    pytest.param([splice_in(0)], ALL, [("compress", 0, 5), ("copy", 5, 64)], id="the first block after a window"),
    pytest.param([splice_in(0)], {3, 9}, [("compress", 0, 9), ("copy", 9, 64)], id="the first independent block"),
    pytest.param([splice_in(63)], ALL, [("copy", 0, 63), ("compress", 63, 64)], id="all before the only splice"),
    # A job starts at block 16. It refers back over one block, and so it follows a splice in block 13 sooner than
    # other blocks, which refer back over four.
    pytest.param([splice_in(13)], ALL, [("copy", 0, 13), ("compress", 13, 16), ("copy", 16, 64)], id="a job is nearer"),
    pytest.param(
        [splice_in(13)],
        {20},
        [("copy", 0, 13), ("compress", 13, 20), ("copy", 20, 64)],
        id="the job is not independent",
    ),
    pytest.param(
        [splice_in(20), splice_in(24)],
        ALL,
        [("copy", 0, 20), ("compress", 20, 29), ("copy", 29, 64)],
        id="too little between two splices",
    ),
    pytest.param(
        [splice_in(20), splice_in(50)],
        ALL,
        [("copy", 0, 20), ("compress", 20, 25), ("copy", 25, 50), ("compress", 50, 55), ("copy", 55, 64)],
        id="between two splices",
    ),
]


@pytest.mark.parametrize(("splices", "independent", "runs"), DECISIONS)
def test_blocks_are_copied_or_compressed(
    splices: list[Splice], independent: set[int], runs: list[tuple[str, int, int]]
) -> None:
    assert decided(splices, 64, independent) == runs


def test_a_job_is_not_copied_where_no_block_ends() -> None:
    """The prediction of the jobs must be wrong then."""
    ends = iter([100, 300, 500])

    def next_end(start: int, room: int) -> int:
        return next(ends)

    steps = decide([ReusableRange(200, 0, False, 500)], 500, JobLayout(200, 0, 0), next_end, lambda *args: True)
    assert [type(step) for step in steps] == [Compress, Compress, Compress]


@pytest.mark.parametrize("independent", [True, False])
def test_blocks_are_not_tried_too_often(independent: bool) -> None:
    """Blocks may be as small as a byte, and each trial copies a window."""
    tried: list[int] = []

    def is_independent(at: int, stop: int, until: int) -> bool:
        tried.append(at)
        return independent and at > MIB

    list(decide([ReusableRange(None, 0, True, 2 * MIB)], 2 * MIB, LAYOUT, lambda at, room: at + KIB, is_independent))
    assert len(tried) == (18 if independent else 32)
