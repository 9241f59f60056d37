"""How fast a server may be asked: fewer requests at a time after errors, none at all while it limits the rate.

The number of requests in flight is halved by an error and grows back by one for each round without errors, as in TCP.
An answer 429 pauses all requests to that host: a server that limits rates counts every request, and many count the
refused ones. How long is asked once, with one plain request for its Retry-After; py-rattler does not pass headers on.
Without an answer the pause doubles each time. A host that keeps answering 429 is given up.
"""

from __future__ import annotations

import asyncio
import random
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit, urlunsplit

from .pauses import Pause

LONGEST_PAUSE = 3600.0
"""Seconds that a server may ask us to wait; for more, it is given up."""
_LONGEST_GUESS = 300.0
"""Seconds of a pause whose length the server does not say."""
_PATIENCE = 10.0
"""Seconds that the request for Retry-After may take."""
_BETWEEN_CUTS = 1.0
"""Seconds before another error cuts the number of requests again: those of one incident arrive together."""


class GivenUp(Exception):
    """A host keeps refusing requests; says which."""


class _Host:
    def __init__(self) -> None:
        self.open_at = 0.0
        self.pauses = 0
        self.paused_until = 0.0
        self.asking = False
        self.given_up = False


class Pace:
    """Decides when the next request may begin. `first_pause` is in seconds; `most_pauses` in a row end a host.

    `notify` gets messages for people, `announce` the pauses that other processes should make as well.
    """

    def __init__(
        self,
        requests: int,
        first_pause: float,
        most_pauses: int,
        notify: Callable[[str], None],
        announce: Callable[[Pause], None] = lambda pause: None,
    ) -> None:
        self._most = requests
        self._allowed = float(requests)
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._first_pause = first_pause
        self._most_pauses = most_pauses
        self._notify = notify
        self._announce = announce
        self._hosts: dict[str, _Host] = {}
        self._cut_at = 0.0

    @property
    def allowed(self) -> int:
        """How many requests may be in flight at the moment."""
        return max(1, int(self._allowed))

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[float]:
        """Wait until a request to a host may begin, and give the time at which it did. Raises GivenUp."""
        while True:
            await self._open(host)
            while self._running >= self.allowed:
                future = asyncio.get_running_loop().create_future()
                self._waiting.append(future)
                await future
            # The host may have begun to refuse requests while this one waited.
            state = self._hosts.get(host)
            if state is None or (time.monotonic() >= state.open_at and not state.given_up):
                break
            self._wake()
        self._running += 1
        try:
            yield time.monotonic()
        finally:
            self._running -= 1
            self._wake()

    def succeeded(self, host: str) -> None:
        """Note that a host answered as it should."""
        if self._allowed < self._most:
            self._allowed = min(self._most, self._allowed + 1 / self._allowed)
        if host in self._hosts:
            self._hosts[host].pauses = 0

    def pause(self, pause: Pause) -> None:
        """Make no request to a host for some time: another process was refused one."""
        state = self._hosts.setdefault(pause.host, _Host())
        state.paused_until = max(state.paused_until, time.monotonic() + min(pause.seconds, LONGEST_PAUSE))
        if not state.asking:
            state.open_at = max(state.open_at, state.paused_until)

    def failed(self) -> None:
        """Note an error that fewer requests may avoid."""
        now = time.monotonic()
        if now - self._cut_at >= _BETWEEN_CUTS:
            self._cut_at = now
            self._allowed = max(1.0, self._allowed / 2)

    async def refused(self, host: str, url: str, begun: float) -> None:
        """Note that a host refused a request, begun at that time, since there were too many.

        Requests that began before a pause do not make it longer.
        """
        state = self._hosts.setdefault(host, _Host())
        if state.asking or state.given_up or begun < state.open_at:
            return
        state.asking = True
        state.open_at = float("inf")
        state.pauses += 1
        self.failed()
        try:
            seconds = await asyncio.to_thread(retry_after, url)
        except RuntimeError:  # No thread can be started: how long to wait stays unknown.
            seconds = None
        finally:
            state.asking = False
            state.open_at = max(time.monotonic(), state.paused_until)
        if state.pauses > self._most_pauses or (seconds or 0) > LONGEST_PAUSE:
            state.given_up = True
            self._notify(f"{host} keeps refusing requests (429): given up")
            return
        if seconds is None:
            guess = min(_LONGEST_GUESS, self._first_pause * 2 ** (state.pauses - 1))
            seconds = guess * random.uniform(1, 1.25)  # noqa: S311 (so that shards do not return together)
        state.open_at = max(time.monotonic() + seconds, state.paused_until)
        self._announce(Pause(host, seconds))
        self._notify(f"{host} limits the rate of requests (429): waiting {seconds:.0f} s")

    async def _open(self, host: str) -> None:
        while (state := self._hosts.get(host)) is not None:
            if state.given_up:
                raise GivenUp(f"{host} keeps refusing requests (429)")
            wait = state.open_at - time.monotonic()
            if wait <= 0:
                return
            # While the server is being asked how long to wait, the time is not known.
            await asyncio.sleep(min(wait, 0.05) if state.asking else wait)

    def _wake(self) -> None:
        free = self.allowed - self._running
        while self._waiting and free > 0:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                free -= 1


def retry_after(url: str) -> float | None:
    """Return the seconds that a server asks to wait before the next request, None if it does not say.

    Makes one request for one byte, without credentials.
    """
    try:
        return _seconds(_asked(url))
    except Exception:  # The server may send anything, and http.client and email have errors of their own for it.
        return None


def _asked(url: str) -> str | None:
    """Return the header Retry-After of an answer."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return None
    plain = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
    headers = {"Range": "bytes=0-0", "User-Agent": "conda-prune"}
    request = urllib.request.Request(plain, headers=headers)  # noqa: S310 (the scheme was looked at)
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310
            text: str | None = answer.headers.get("Retry-After")
            return text
    except urllib.error.HTTPError as error:
        with error:
            return error.headers.get("Retry-After")


def _seconds(text: str | None) -> float | None:
    """Return what Retry-After says: seconds, or a date (RFC 9110). Raises an exception of any kind for other text."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
