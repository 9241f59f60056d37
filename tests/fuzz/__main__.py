"""`python -m tests.fuzz TARGET [SECONDS]`: atheris on one target, from its seeds, until it finds something.

Needs `pip install atheris`. What makes a target fail is written to the current directory as `crash-…`; move it to
`tests/fuzz/findings/TARGET/`, where the tests run it from then on, and mend what it found.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["conda_prune"]):
    from tests.fuzz import targets


def main() -> None:
    name, *rest = sys.argv[1:]
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    findings = sorted((Path(__file__).parent / "findings" / name).glob("*"))
    for number, seed in enumerate([*targets.SEEDS[name], *(path.read_bytes() for path in findings)]):
        (corpus / str(number)).write_bytes(seed)
    seconds = rest[0] if rest else "0"
    options = [f"-max_total_time={seconds}", "-rss_limit_mb=4096", "-timeout=20", "-max_len=20000"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: targets.run(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
