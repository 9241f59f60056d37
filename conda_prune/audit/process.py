"""Runs the process that reads packages, judges what it sends, and loses no package when it dies.

What was in flight when it died is read again, one package at a time and with care: so it is known which package ended
the process, and only that one fails. The process is killed when the iterator is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from .child import Child, Died
from .item import Item
from .outcome import Outcome, failed
from .pauses import Pause, Pauses
from .reader import END
from .settings import Settings
from .texts import Texts, outcome_from

_READER = "conda_prune.audit.reader"
_AHEAD = 4
"""Items that the process is given for each request that it may have in flight."""


def read_all(
    items: Iterable[Item],
    settings: Settings,
    notify: Callable[[str], None] = lambda message: None,
    pauses: Pauses | None = None,
    announce: Callable[[Pause], None] = lambda pause: None,
) -> Iterator[Outcome]:
    """Yield the outcome of every item, each as soon as it is known, in any order.

    Items are taken from `items` only as fast as they are read. `notify` gets messages for people, and `announce` each
    pause that a server asks for; those in `pauses` are made as well. Raises PruneError if nothing can be read at all.
    """
    numbered = enumerate(items)
    pending: dict[int, Item] = {}
    window = _AHEAD * settings.requests
    exhausted = False
    hear = _Listener(notify, announce)
    pauses = pauses or Pauses()
    while not exhausted or pending:
        child = Child(_READER, settings)
        try:
            with pauses.passed_to(child.send):
                while True:
                    if not exhausted and len(pending) <= window // 2:
                        batch = list(islice(numbered, window - len(pending)))
                        exhausted = len(batch) < window - len(pending)
                        pending.update(batch)
                        child.send(batch)
                        if exhausted:
                            child.send(END)
                    if not pending and exhausted:
                        return
                    for number, found in hear.found(child):
                        yield outcome_from(pending.pop(number), found, settings)
        except Died as death:
            if pending:
                notify(f"the reading process {death}: {len(pending)} packages are read again, one at a time")
        finally:
            child.kill()
        yield from _with_care(pending, settings, hear, pauses)
        pending.clear()


class _Listener:
    """Receives from a reading process, and passes on what is not an outcome."""

    def __init__(self, notify: Callable[[str], None], announce: Callable[[Pause], None]) -> None:
        self._notify = notify
        self._announce = announce

    def found(self, child: Child) -> list[tuple[int, Outcome | Texts]]:
        """Return what was found next, with the numbers of the items. Raises Died, or PruneError."""
        while True:
            message = child.receive()
            if isinstance(message, str):
                self._notify(message)
            elif isinstance(message, Pause):
                self._announce(message)
            else:
                found: list[tuple[int, Outcome | Texts]] = message
                return found


def _with_care(pending: dict[int, Item], settings: Settings, hear: _Listener, pauses: Pauses) -> Iterator[Outcome]:
    careful = settings._replace(requests=1, careful=True)
    child: Child | None = None
    try:
        for number, item in pending.items():
            child = child or Child(_READER, careful)
            try:
                with pauses.passed_to(child.send):
                    child.send([(number, item)])
                    ((_, found),) = hear.found(child)
                yield outcome_from(item, found, careful)
            except Died as death:
                child.kill()
                child = None
                yield failed(item, f"the process that read it {death}")
    finally:
        if child is not None:
            child.kill()
