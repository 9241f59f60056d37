"""What the process that reads sends is judged as it would be where it was read."""

from __future__ import annotations

import json
import tarfile
from io import BytesIO
from pathlib import Path

from conda_prune.audit.item import item_at
from conda_prune.audit.process import read_all
from conda_prune.audit.settings import Settings
from conda_prune.audit.texts import Texts, judged, outcome_from
from conda_prune.judgement.contents import INDEX, METADATA
from conda_prune.judgement.listings.paths_json import PATHS_JSON

from ..channels import SUBDIR
from ..corpus.tars import read_components
from .conftest import judgement, names
from .servers import FaultyServer

QUICK = Settings(backoff=0.02)


def texts_of(package: Path) -> Texts:
    """Return the texts that judgement needs of a package."""
    with tarfile.open(fileobj=BytesIO(read_components(package)["info"])) as tar:
        found = {member.name: tar.extractfile(member) for member in tar if member.name in METADATA}
    return Texts({path: file.read() for path, file in found.items() if file is not None})


def test_it_does_not_matter_where_a_package_is_judged(channel: Path) -> None:
    with FaultyServer(channel).running() as server:
        items = [item_at(f"{server.url}/{SUBDIR}/{name}") for name in sorted(names(channel, ".conda"))]
        sent, read = (
            {result["path"]: judgement(result) for result in (json.loads(outcome.line) for outcome in outcomes)}
            for outcomes in (read_all(items, QUICK), read_all(items, QUICK._replace(careful=True)))
        )
    assert sent == read
    assert sent.keys() == {item.url for item in items}
    sizes = {texts_of(path).may_be_sent() for path in (channel / SUBDIR).glob("*.conda")}
    assert sizes == {True, False}, "the channel has packages of both kinds"


def test_large_texts_and_those_without_a_listing_are_not_sent() -> None:
    assert Texts({PATHS_JSON: b"{}", INDEX: b"{}"}).may_be_sent()
    assert not Texts({PATHS_JSON: b" " * (1 << 18), INDEX: b"{}"}).may_be_sent()
    assert not Texts({INDEX: b"{}"}).may_be_sent()


def test_what_cannot_be_judged_costs_one_package(channel: Path) -> None:
    package = min((channel / SUBDIR).glob("stray-*.conda"))
    item = item_at(f"https://example.org/{SUBDIR}/{package.name}")
    texts = texts_of(package)
    assert (
        outcome_from(item, texts, QUICK).line.partition('"seconds"')[0]
        == (judged(item, texts, QUICK).line.partition('"seconds"')[0])
    )
    malformed = outcome_from(item, Texts({**texts.by_path, PATHS_JSON: b"{"}), QUICK)
    assert malformed.status == "error"
    assert "info/paths.json cannot be used" in malformed.reason
    defect = outcome_from(item, texts, QUICK._replace(options=None))  # type: ignore[arg-type]
    assert defect.status == "error"
    assert defect.reason.startswith("internal error: AttributeError")
