"""Adds up what pytest wrote in JUnit's format while the tests ran in pieces: passed, failed, and skipped by reason.

`tools/windows.sh test DIRECTORY` runs the pieces and this. It prints Markdown, and fails if a test failed, or a piece
did not end.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

BAD = ("failure", "error")


def counts(report: Path) -> tuple[Counter[str], Counter[str], list[str]]:
    """Return how many tests of a report passed, failed and were skipped; the skips by reason; and what failed."""
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    failed = []
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 (pytest wrote it)
        kinds = [child.tag for child in case]
        if any(kind in BAD for kind in kinds):
            outcomes["failed"] += 1
            failed.append(f"{case.get('classname')}.{case.get('name')}")
        elif (skipped := case.find("skipped")) is not None:
            outcomes["skipped"] += 1
            reasons[skipped.get("message") or "no reason"] += 1
        else:
            outcomes["passed"] += 1
    return outcomes, reasons, failed


def main() -> int:
    """Print the counts of the directory that was named."""
    return add_up(Path(sys.argv[1]))


def add_up(directory: Path) -> int:
    """Print the counts of the pieces in a directory; `NAME.piece` says that a piece was started."""
    total: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    failed: list[str] = []
    print("| tests | passed | skipped | failed |", "|---|--:|--:|--:|", sep="\n")
    for piece in sorted(directory.glob("*.piece")):
        report = piece.with_suffix(".xml")
        if not report.is_file():
            failed.append(f"{piece.stem} did not end")
            continue
        outcomes, skipped, names = counts(report)
        print(f"| {piece.stem} | {outcomes['passed']:,} | {outcomes['skipped']:,} | {outcomes['failed']:,} |")
        total += outcomes
        reasons += skipped
        failed += names
    print(f"| together | {total['passed']:,} | {total['skipped']:,} | {total['failed']:,} |")
    print("", "| skipped | reason |", "|--:|---|", sep="\n")
    for reason, number in reasons.most_common():
        print(f"| {number} | {reason.removeprefix('Skipped: ')} |")
    for name in failed:
        print(f"failed: {name}", file=sys.stderr)
    return 1 if failed or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
