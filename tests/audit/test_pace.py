"""How long a server asks to wait, and what a Retry-After that cannot be used does: no more than a missing one."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from conda_prune.audit.item import item_at
from conda_prune.audit.pace import retry_after
from conda_prune.audit.process import read_all
from conda_prune.audit.settings import Settings

from ..channels import SUBDIR
from .conftest import names
from .servers import FaultyServer


def test_a_pause_of_an_unusable_length_grows_until_the_host_is_given_up(channel: Path) -> None:
    messages: list[str] = []
    with FaultyServer(channel, lambda request: "429 after \u00b2").running() as server:
        items = [item_at(f"{server.url}/{SUBDIR}/{name}") for name in sorted(names(channel, ".conda"))]
        outcomes = list(read_all(items, Settings(backoff=0.02, requests=4, first_pause=0.005), messages.append))
    assert len(outcomes) == len(items)
    assert all("--resume" in outcome.reason for outcome in outcomes)
    assert "given up" in messages[-1]
    assert server.total < 60


_RETRY_AFTER = {
    "5": 5.0,
    " 7 ": 7.0,
    "Mon, 01 Jan 2001 00:00:00 GMT": 0.0,
    "\u00b2": None,
    "-5": None,
    "1.5": None,
    "": None,
    "soon": None,
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT": None,
    "Mon, 01 Jan 9999999 00:00:00 GMT": None,
    "Mon, 01 Jan 2001 00:00:00 +9999999999999": None,
}


@pytest.mark.parametrize("code", ["429", "200"])
@pytest.mark.parametrize(("text", "seconds"), _RETRY_AFTER.items())
def test_an_unusable_retry_after_counts_as_none(text: str, seconds: float | None, code: str) -> None:
    answer = f"HTTP/1.1 {code} x\r\nRetry-After: {text}\r\nContent-Length: 0\r\n\r\n"
    assert asked(answer.encode("latin-1")) == seconds


_BROKEN = {
    "no status line": b"garbage\r\n\r\n",
    "nothing": b"",
    "many headers": b"HTTP/1.1 429 x\r\n" + b"X: 1\r\n" * 200 + b"\r\n",
    "long header": b"HTTP/1.1 429 x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    "redirect to nonsense": b"HTTP/1.1 302 x\r\nLocation: http://[::1/\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", _BROKEN.values(), ids=_BROKEN)
def test_a_broken_answer_has_no_retry_after(answer: bytes) -> None:
    assert asked(answer) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a b.conda", "http://[::1/a.conda", "http://127.0.0.1:99999/a"])
def test_a_url_that_cannot_be_asked_has_no_retry_after(url: str) -> None:
    assert retry_after(url) is None


def asked(answer: bytes) -> float | None:
    """Return what `retry_after` makes of an answer, which is sent as it is."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return retry_after(f"http://127.0.0.1:{server.getsockname()[1]}/a.conda")
        finally:
            thread.join()
