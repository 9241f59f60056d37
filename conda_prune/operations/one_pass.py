"""Repairs a `.conda` in one pass over its payload, if its info component is enough to forecast what will be dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from ..archive.container import Archive
from ..archive.reader import package_of, read_component
from ..compression.threads import Submit
from ..errors import PruneError
from ..judgement.contents import Contents, content_wanted, contents_of
from ..judgement.links import each_directory
from ..judgement.listings.edits import installed_list_edits
from ..judgement.listings.line_lists import is_installed_list
from ..judgement.options import Options
from ..judgement.plan import make_plan
from ..model import Action, Component, CompressionSettings, Drop, Edit, Plan
from ..rewrite.one_pass import (
    Forecast,
    Pass,
    can_be_reused,
    forecast,
    predict_payload,
    read_predicted,
    rewrite_in_one_pass,
)
from ..rewrite.rewriter import CompressionRequest, RewriteJob, Written
from ..rewrite.staging import Staging
from .planning import JudgedPackage
from .progress import Progress

LEAST = 1 << 24
"""Bytes of content from which a payload is repaired in one pass. Less is read in a tenth of a second."""


def forecast_of(archive: Archive, contents: Contents, plan: Plan) -> Forecast | None:
    """Return what the payload is expected to be, from the info component; None if it has to be read first.

    A RECORD that lists dropped files is edited as well, and its content is in the payload. It is read in advance.
    Guessing its new content would not do: its size decides how what comes before it is compressed.
    """
    if plan.needs_payload or plan.status != "findings" or archive.content_size < LEAST:
        return None
    predicted = predict_payload(archive, contents.files.values())
    if predicted is None:
        return None
    dropped = [finding.path for finding in plan.findings if finding.action is Action.DROP]
    edits: dict[str, Edit] = dict.fromkeys(dropped, Drop())
    if lists := _lists_of(contents, dropped):
        predicted = read_predicted(archive, predicted, lists)
        if predicted is None:
            return None
        read = {file.path: file for file in predicted.files if file.path in lists}
        left = replace(contents, files=read, removed=frozenset(dropped))
        edits |= installed_list_edits(left, edits)
    return forecast(predicted, edits)


def _lists_of(contents: Contents, dropped: Collection[str]) -> frozenset[str]:
    """Return the installed lists that may name one of the files, since both are below the same directory."""
    directories = set(each_directory(dropped))
    lists = filter(is_installed_list, contents.files)
    return frozenset(path for path in lists if path.rpartition("/")[0].rpartition("/")[0] in directories)


@dataclass(frozen=True, slots=True)
class OnePass:
    """A repair in one pass: the package, what its payload is expected to be, and how it is judged and written."""

    archive: Archive
    forecast: Forecast
    request: CompressionRequest
    options: Options
    progress: Progress
    submit: Submit

    def usable_settings(
        self, settings: Callable[[], Mapping[str, CompressionSettings]]
    ) -> Mapping[str, CompressionSettings] | None:
        """Return the settings that the package is compressed with; None if it has to be read first."""
        try:
            self.archive.check_crc(next(packed for packed in self.archive.components if packed.name == "pkg"))
            known = settings()
        except PruneError:  # Reading the package says what is wrong with it.
            return None
        return known if can_be_reused(self.forecast, known["pkg"]) else None

    def run(
        self, settings: Mapping[str, CompressionSettings], staging: Staging, accepted: Callable[[], object]
    ) -> tuple[JudgedPackage, Written] | None:
        """Write the repaired package and verify it; return None if the package has to be read first.

        `accepted` is called when it is certain that the package will be repaired. Raises CannotWrite.
        """
        judged: list[JudgedPackage] = []

        def judge(payload: Component) -> RewriteJob | None:
            one = self._judge(payload)
            package, plan = one.package, one.plan
            if plan.status != "findings" or plan.edits is None:
                return None
            judged.append(one)
            accepted()
            return RewriteJob(self.archive, package, plan.edits, settings, self.request, self.progress, self.submit)

        threads = self.request.threads
        work = Pass(self.archive, self.forecast, settings, content_wanted, judge, threads, self.progress, self.submit)
        written = rewrite_in_one_pass(work, staging)
        return (judged[0], written) if written else None

    def _judge(self, payload: Component) -> JudgedPackage:
        components = [
            payload
            if packed.name == payload.name
            else read_component(self.archive, packed, content_wanted, self.progress, 1, hashed=True)
            for packed in self.archive.components
        ]
        package = package_of(self.archive, components, complete=True)
        contents = contents_of(package)
        return JudgedPackage(package, contents, make_plan(package, self.options, contents))
