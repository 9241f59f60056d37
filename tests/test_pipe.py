"""What one thread gives another ends with it, whoever gives up first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from conda_prune.archive.pipe import Gone, Pipe, ahead


def test_everything_arrives_in_order() -> None:
    assert list(ahead(range(100), 3)) == list(range(100))


def test_what_the_producer_raises_arrives_behind_what_it_gave() -> None:
    def things() -> Iterator[int]:
        yield 1
        raise OSError("no more")

    seen: list[int] = []
    with pytest.raises(OSError, match="no more"):
        seen.extend(thing for thing in ahead(things(), 3))
    with closing(ahead(things(), 3)) as given:
        assert next(given) == 1


def test_a_reader_that_gives_up_ends_the_thread_that_waits_for_room() -> None:
    made = []

    def things() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    before = threading.active_count()
    with closing(ahead(things(), 2)) as given:
        assert next(given) == 0
    assert threading.active_count() == before
    assert len(made) < 10


def test_nothing_can_be_put_where_nobody_reads_any_more() -> None:
    pipe: Pipe[int] = Pipe(2)
    pipe.put(1)
    assert pipe.abandon() == [1]
    with pytest.raises(Gone):
        pipe.put(2)
