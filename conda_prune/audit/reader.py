"""Reads packages of remote channels, many at a time: the work of a process of its own. Most are judged elsewhere.

The process is separate because py-rattler's async runtime crashes when Python ends, in a third of all runs, and because
a package may unpack to more than there is memory. So this process ends with `os._exit`, and ends early when it has
taken more memory than it may; `process` then has what was in flight read again, with care.

Usual reading asks for all texts of the info component at once. py-rattler holds them in memory without a limit: a
component of 64 KiB can unpack to 2 GiB. Careful reading goes from member to member and looks at each size first, which
takes three times as long.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import pickle
import random
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from ..errors import LimitExceeded, PruneError
from ..judgement.contents import INDEX, METADATA
from ..model import Format
from . import memory
from .child import READY, TOO_MUCH_MEMORY, Emit, serve
from .failure import Failure, Remedy, failure_of
from .feedstock import ABOUT, LONGEST, feedstock_of
from .item import Item
from .local import judge_file
from .outcome import Outcome, failed, format_of_name, skipped
from .pace import GivenUp, Pace
from .pauses import Pause
from .replaced import is_same_build, size_at
from .settings import Settings
from .texts import Texts, defect, judged

if TYPE_CHECKING:
    from rattler.networking import Client

END = "end"
"""The last message to the process."""
_MOST_PAUSES = 8
_LONGEST_WAIT = 60.0
"""Seconds between two attempts at most."""
_DOWNLOADS = 4
"""Whole packages that are downloaded at a time: they take room in the temporary directory."""
_SLOWEST = 50_000
"""Bytes a second that a download must reach."""
_WATCH = 0.05
_TEXTS = (*METADATA, ABOUT)


class _Retry(Exception):
    """A package is not what it should be, and another attempt may bring it."""


class Reader:
    """Reads items. `emit` gets lists of (number, Outcome or Texts), messages as text, and each Pause."""

    def __init__(self, settings: Settings, emit: Emit) -> None:
        self._settings = settings
        self._emit = emit
        self._client = client()
        self._pace = Pace(settings.requests, settings.first_pause, _MOST_PAUSES, emit, emit)
        self._downloads = asyncio.Semaphore(_DOWNLOADS)
        self._done: list[tuple[int, Outcome | Texts]] = []

    def pause(self, pause: Pause) -> None:
        """Make no request to a host for some time."""
        self._pace.pause(pause)

    async def serve(self, queue: asyncio.Queue[tuple[int, Item] | None]) -> None:
        """Work on the items of a queue until it gives None."""

        async def work() -> None:
            while (entry := await queue.get()) is not None:
                number, item = entry
                try:
                    found = await self.read(item)
                except Exception as error:  # A defect of ours costs one package, not the run.
                    found = defect(item, error)
                if not self._done:  # What becomes known until the loop comes around is sent together.
                    asyncio.get_running_loop().call_soon(self._send)
                self._done.append((number, found))
            queue.put_nowait(None)

        await asyncio.gather(*(work() for _ in range(self._settings.requests)))
        if self._done:
            self._send()

    def _send(self) -> None:
        if self._done:
            self._emit(self._done)
            self._done = []

    async def read(self, item: Item) -> Outcome | Texts:
        """Return what became of an item, after as many attempts as it takes or is worth; texts are to be judged."""
        if item.local:
            return judge_file(item, self._settings, feedstock=await self._feedstock(item.url))
        format_ = format_of_name(item.file_name)
        if format_ is None:
            return failed(item, "its name ends neither in .conda nor in .tar.bz2; name a conda package")
        if skips(item, self._settings):
            return skipped(item, "a .tar.bz2 must be downloaded as a whole; ask for that with --tar-bz2")
        return await self._attempts(item, self._download if format_ is Format.TAR_BZ2 else self._read)

    async def _attempts(self, item: Item, attempt: Callable[[Item], Any]) -> Outcome | Texts:
        host = urlsplit(item.url).netloc.rpartition("@")[2]
        failures = 0
        while True:
            try:
                async with self._pace.turn(host) as begun:
                    result = await attempt(item)
                self._pace.succeeded(host)
                return await self._whole(item, result) if isinstance(result, Failure) else result
            except GivenUp as error:
                return failed(item, f"{error}; run again later with --resume")
            except PruneError as error:
                return failed(item, str(error))
            except Exception as error:
                failure = failure_of(error, self._settings.timeout)
            if failure.remedy is Remedy.WAIT:
                await self._pace.refused(host, item.url, begun)
                continue
            if failure.remedy is Remedy.DOWNLOAD:
                return await self._whole(item, failure)
            failures += 1
            if failure.remedy is Remedy.NONE or failures > self._settings.retries:
                return failed(item, failure.reason + (f" ({failures} attempts)" if failures > 1 else ""))
            self._pace.failed()
            wait = min(_LONGEST_WAIT, self._settings.backoff * 2 ** (failures - 1))
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 (so that not all return together)

    async def _whole(self, item: Item, failure: Failure) -> Outcome | Texts:
        """Return the outcome of a package that can only be judged as a whole: download it, if that was asked for."""
        if self._settings.download:
            return await self._attempts(item, self._download)
        return skipped(item, f"{failure.reason}; download whole packages with --download")

    async def _read(self, item: Item) -> Outcome | Texts | Failure:
        texts = await asyncio.wait_for(self._texts(item), self._settings.timeout)
        if not is_same_build(item, texts.get(INDEX)):
            size = await asyncio.to_thread(size_at, item.url)
            if size is not None and item.size is not None and size != item.size:
                raise _Retry(
                    f"the file was replaced by another build: it has {size} bytes, and the index lists {item.size}"
                )
        found = Texts(texts)
        if found.may_be_sent() and not self._settings.careful:
            return found
        try:
            return judged(item, found, self._settings)
        except PruneError as error:
            if "--download" in error.hint:
                return Failure(Remedy.DOWNLOAD, error.reason)
            raise

    async def _texts(self, item: Item) -> dict[str, bytes]:
        from rattler.package_streaming import PackageArchive

        archive = await PackageArchive.from_url(self._client, item.url, sparse="require")
        if not (self._settings.careful or not memory.KNOWN):
            found = await archive.read_files(_TEXTS)
            return {path: text for path, text in found.items() if text is not None}
        limits = self._settings.limits if item.size is None else self._settings.limits.within(item.size)
        texts: dict[str, bytes] = {}
        unpacked = held = 0
        async for entry in archive.stream("info"):
            unpacked += entry.size
            wanted = entry.is_file and (entry.name in METADATA or (entry.name == ABOUT and entry.size <= LONGEST))
            held += entry.size if wanted else 0
            if held > limits.text or unpacked > limits.unpacked:
                option = limits.text_option if held > limits.text else "--max-unpacked"
                reason = f"its metadata takes more than {limits.text} bytes"
                raise LimitExceeded(reason, f"raise {option} if you trust it")
            if wanted and entry.name in texts:
                raise LimitExceeded(f"its info component holds {entry.name} twice", "build it again")
            if wanted:
                texts[entry.name] = await entry.read()
        return texts

    async def _download(self, item: Item) -> Outcome:
        """Return the outcome of a whole package, which is downloaded, compared with the index, and deleted."""
        from rattler.package_streaming import download_to_writer

        longest = self._settings.timeout + (item.size or self._settings.limits.unpacked) / _SLOWEST
        async with self._downloads:
            with tempfile.TemporaryDirectory(dir=self._settings.scratch or None) as directory:
                path = os.path.join(directory, os.path.basename(item.file_name) or "package")
                with open(path, "wb") as file:  # noqa: ASYNC230 (py-rattler writes to it from its own threads)
                    writer = _Bounded(file, item.size or self._settings.limits.unpacked)
                    try:
                        await asyncio.wait_for(download_to_writer(self._client, item.url, writer), longest)
                    except Exception:
                        if writer.full:
                            raise PruneError(
                                f"the server sends more than {writer.most} bytes", "tell the channel's operator"
                            ) from None
                        raise
                if item.size is not None and writer.size != item.size:
                    raise _Retry(f"the server sent {writer.size} bytes instead of {item.size}")
                if item.sha256 is not None and writer.hash.hexdigest() != item.sha256:
                    raise _Retry("the package has another SHA-256 than the channel's index says")
                here = item._replace(url=path, local=True)
                feedstock = await self._feedstock(path)
                return await asyncio.to_thread(judge_file, here, self._settings, item, feedstock)

    async def _feedstock(self, path: str) -> str | None:
        """Return the feedstock of a package in a file. What is wrong with the file is for the judgement to say."""
        from rattler.package_streaming import PackageArchive

        if self._settings.careful or not memory.KNOWN or not path.endswith(Format.CONDA.value):
            return None  # Nothing bounds how much py-rattler unpacks.
        with suppress(Exception):
            archive = await PackageArchive.from_path(path)
            return feedstock_of(await asyncio.wait_for(archive.read_file(ABOUT), self._settings.timeout))
        return None


def skips(item: Item, settings: Settings) -> bool:
    """Return whether the settings leave a package out by its format."""
    return not (item.local or settings.tar_bz2) and format_of_name(item.file_name) is Format.TAR_BZ2


class _Bounded:
    """Writes to a file, and raises as soon as there is more than there should be; hashes what it writes."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self.most = most
        self.size = 0
        self.full = False
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.size += len(data)
        if self.size > self.most:
            self.full = True
            raise ValueError("too much")
        self.hash.update(data)
        return self._file.write(data)


def client() -> Client:
    """Return a client with the user's credentials, mirrors, proxies and S3 settings. It retries nothing: we do."""
    from rattler import Config
    from rattler.networking import Client

    return Client.from_config(
        Config.load_from_default_locations("rattler"), max_retries=0, user_agent="conda-prune (audit)"
    )


def _listen(
    tasks: BinaryIO, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[Any], pause: Callable[[Pause], None]
) -> None:
    """Pass batches of items and pauses on to the event loop; end the process when its parent has gone."""
    with suppress(Exception):
        while True:
            batch = pickle.load(tasks)
            if isinstance(batch, Pause):
                loop.call_soon_threadsafe(pause, batch)
                continue
            for entry in (None,) if batch == END else batch:
                loop.call_soon_threadsafe(queue.put_nowait, entry)
    os._exit(1)


def _watch_memory(most: int) -> None:
    while True:
        if memory.resident() > most:
            os._exit(TOO_MUCH_MEMORY)
        time.sleep(_WATCH)


async def _main(tasks: BinaryIO, emit: Emit) -> None:
    settings: Settings = pickle.load(tasks)
    try:
        reader = Reader(settings, emit)
    except Exception as error:  # The user's configuration of rattler is wrong, for example.
        reason = " ".join(str(error).split())
        emit(PruneError(f"packages cannot be read: {reason}", "check the configuration of rattler"))
        return
    emit(READY)
    if memory.KNOWN:
        threading.Thread(target=_watch_memory, args=(settings.memory,), daemon=True).start()
    queue: asyncio.Queue[tuple[int, Item] | None] = asyncio.Queue()
    threading.Thread(target=_listen, args=(tasks, asyncio.get_running_loop(), queue, reader.pause), daemon=True).start()
    await reader.serve(queue)


def _work(tasks: BinaryIO, emit: Emit) -> None:
    asyncio.run(_main(tasks, emit))


if __name__ == "__main__":
    serve(_work)
