"""Draws benchmarks/comparison.svg from the measurements in benchmarks/comparison.json, without measuring again.

`python benchmarks/compare.py DIR --plot` measures, writes the numbers of its run to that file, and draws them. Each
entry has the seconds of conda-prune (`ours`) and of what one would do instead (`theirs`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NUMBERS, PICTURE = HERE / "comparison.json", HERE / "comparison.svg"
_OURS, _THEIRS, _TEXT = "#00897b", "#b8b8b8", "#333333"


def ratio_text(ours: float, theirs: float) -> str:
    """Return how the time of conda-prune compares, in numbers that a reader can check."""
    if round(theirs / ours, 1) == 1:
        return "the same time"
    return f"{theirs / ours:.0f} times as fast" if theirs / ours >= 10 else f"{theirs / ours:.1f} times as fast"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw a pair of bars for each row, on one linear axis of seconds that starts at zero."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "conda-prune"
    matplotlib.rcParams["font.family"] = "DejaVu Sans"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 1.05 * len(rows) + 1.2))
    longest = max(row["theirs"] for row in rows)
    for position, row in enumerate(reversed(rows)):
        for offset, key, color in ((0.19, "ours", _OURS), (-0.19, "theirs", _THEIRS)):
            axes.barh(position + offset, row[key], 0.36, color=color)
        ours = f"conda-prune fix: {row['ours']:.1f} s, {ratio_text(row['ours'], row['theirs'])}"
        theirs = f"{row['instead']}: {row['theirs']:.1f} s"
        axes.text(
            row["ours"] + longest * 0.01, position + 0.19, ours, va="center", fontsize=9, color=_OURS, weight="bold"
        )
        inside = row["theirs"] > longest / 2
        place = row["theirs"] - longest * 0.01 if inside else row["theirs"] + longest * 0.01
        axes.text(
            place, position - 0.19, theirs, va="center", ha="right" if inside else "left", fontsize=9, color=_TEXT
        )
    axes.set_yticks(range(len(rows)), [row["title"] for row in reversed(rows)], fontsize=9)
    axes.set_xlim(0, longest * 1.02)
    axes.set_xlabel("seconds, from start to finished package; shorter is better", fontsize=9)
    axes.set_title("Time to remove the stray files from a package", loc="left", fontsize=11, weight="bold")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Draw the recorded numbers."""
    draw(json.loads(NUMBERS.read_text(encoding="utf-8")), PICTURE)


if __name__ == "__main__":
    main()
