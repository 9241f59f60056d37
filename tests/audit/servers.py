"""HTTP servers on the loopback that serve a channel: a real nginx, and one in Python that misbehaves as it is told."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))

_CONFIGURATION = """
worker_processes 1;
daemon off;
master_process off;
pid {state}/pid;
error_log {state}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log {state}/access.log;
  keepalive_requests 100000;
  client_body_temp_path {state}/body;
  proxy_temp_path {state}/proxy;
  fastcgi_temp_path {state}/fastcgi;
  uwsgi_temp_path {state}/uwsgi;
  scgi_temp_path {state}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; {extra} }}
}}
"""


class Nginx(NamedTuple):
    """A running nginx: its URL and its access log."""

    url: str
    log: Path


@contextmanager
def nginx(root: Path, extra: str = "") -> Iterator[Nginx]:
    """Serve a directory with nginx on a free port; `extra` goes into its `server` block."""
    assert NGINX is not None
    state = root.parent / f"{root.name}-nginx"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    port = free_port()
    configuration = state / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(state=state, port=port, root=root, extra=extra))
    process = subprocess.Popen(
        [NGINX, "-p", state, "-c", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, (state / "error.log").read_text()
            time.sleep(0.05)
        yield Nginx(f"http://127.0.0.1:{port}", state / "access.log")
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Request(NamedTuple):
    """A request for a file: its path, and how many requests for that path came before it."""

    path: str
    before: int


Fault = Callable[[Request], str]
"""Returns what to do about a request: "" serves it as it should be; see `FaultyServer`."""


@dataclass
class FaultyServer:
    """A server of a directory, with ranges. For each request, `fault` names what goes wrong:

    `429`, `429 after 1` (with Retry-After), `503` and other codes; `reset` (the connection is closed), `truncated`
    (half of the body), `slow` (nothing for 30 s), `no-ranges` (the whole file), `no-suffix` (416 for `bytes=-N`),
    `html` (a page instead of a package), `loop` (a redirect to itself), `other` (the content of `other`).
    """

    root: Path
    fault: Fault = lambda request: ""
    other: bytes = b""
    url: str = ""
    requests: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def total(self) -> int:
        """How many requests for packages there were."""
        return sum(count for path, count in self.requests.items() if path.endswith((".conda", ".tar.bz2")))

    @contextmanager
    def running(self) -> Iterator[FaultyServer]:
        """Serve on a free port."""
        owner = self

        class Handler(_Handler):
            faulty = owner

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.stopped.set()
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    faulty: FaultyServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self._answer(head=False)

    def _answer(self, *, head: bool) -> None:
        server = self.faulty
        path = self.path.partition("?")[0]
        request = Request(path, server.requests[path])
        server.requests[path] += 1
        server.times.append(time.monotonic())
        what = server.fault(request)
        file = server.root / path.lstrip("/")
        if match := re.fullmatch(r"(\d{3})(?: after (\S+))?", what):
            self._send(int(match[1]), b"", {"Retry-After": match[2]} if match[2] else {}, head)
        elif what == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.close_connection = True
            self.connection.close()
        elif what == "loop":
            self._send(302, b"", {"Location": self.path}, head)
        elif what == "slow":
            server.stopped.wait(30)
            self.close_connection = True
        elif not file.is_file():
            self._send(404, b"", {}, head)
        else:
            content = {"other": server.other, "html": b"<!doctype html><title>Sign in</title>"}.get(what)
            self._send_content(file.read_bytes() if content is None else content, what, head)

    def _send_content(self, content: bytes, what: str, head: bool) -> None:
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted is None or what == "no-ranges":
            self._send(200, content, {}, head, what)
            return
        if not wanted[1] and what == "no-suffix":
            self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"}, head)
            return
        start = int(wanted[1]) if wanted[1] else max(0, len(content) - int(wanted[2]))
        stop = min(len(content), int(wanted[2]) + 1) if wanted[1] and wanted[2] else len(content)
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}", "Accept-Ranges": "bytes"}
        self._send(206, content[start:stop], headers, head, what)

    def _send(self, code: int, body: bytes, headers: dict[str, str], head: bool, what: str = "") -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            if what == "truncated":
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            elif not head:
                self.wfile.write(body)
