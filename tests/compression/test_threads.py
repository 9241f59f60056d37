"""Threads end with the work that started them, even if one side fails, and never wait for each other forever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from conda_prune.compression.threads import (
    ThreadBudget,
    ahead,
    sink,
    worker_pool,
)


class Broken(Exception):
    pass


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def numbers(count: int, made: list[int] | None = None) -> Iterator[int]:
    for number in range(count):
        if made is not None:
            made.append(number)
        yield number


@pytest.mark.parametrize("count", [0, 1, 3, 100])
def test_items_made_ahead_keep_their_order(count: int) -> None:
    assert list(ahead(numbers(count), 3)) == list(range(count))


def test_a_limited_number_of_items_is_made_ahead() -> None:
    made: list[int] = []
    items = ahead(numbers(100, made), 3)
    assert next(items) == 0
    time.sleep(0.05)
    assert len(made) <= 5, "one taken, three waiting, one being made"
    items.close()


def test_a_failure_follows_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise Broken

    items = ahead(failing(), 3)
    assert next(items) == 1
    with pytest.raises(Broken):
        next(items)


@pytest.mark.parametrize("count", [0, 1, 100])
def test_a_sink_takes_everything_in_order(count: int) -> None:
    taken: list[int] = []
    with sink(taken.append, 3) as put:
        for number in range(count):
            put(number)
    assert taken == list(range(count))


def test_a_failing_sink_ends_the_work() -> None:
    def fail(number: int) -> None:
        raise Broken

    def work() -> None:
        with sink(fail, 3) as put:
            for number in range(1000):
                put(number)

    with pytest.raises(Broken):
        work()


def test_failing_work_ends_the_sink() -> None:
    taken: list[int] = []

    def work() -> None:
        with sink(taken.append, 3) as put:
            put(1)
            raise Broken

    with pytest.raises(Broken):
        work()
    assert taken in ([], [1])


def test_threads_are_given_in_the_order_of_reservation() -> None:
    """This holds even if there are enough for the second while the first, which needs more, is waiting."""
    budget = ThreadBudget(2)
    order: list[str] = []

    def work(name: str, count: int, reservation: object) -> None:
        with budget.threads(count, reservation):
            order.append(name)

    with budget.threads(1):
        reservations = [budget.reserve(), budget.reserve()]
        second = threading.Thread(target=work, args=("second", 1, reservations[1]))
        second.start()
        first = threading.Thread(target=work, args=("first", 2, reservations[0]))
        first.start()
        time.sleep(0.05)
        assert order == []
    first.join()
    second.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_submitted_work_is_done_once(threads: int) -> None:
    done: list[int] = []

    def work() -> int:
        done.append(1)
        return len(done)

    with worker_pool(threads) as submit:
        result = submit(work)
        assert (result(), result()) == (1, 1)
    assert done == [1]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failure_is_raised_where_the_result_is_requested(threads: int) -> None:
    def fail() -> None:
        raise Broken

    with worker_pool(threads) as submit:
        result = submit(fail)
        with pytest.raises(Broken):
            result()
