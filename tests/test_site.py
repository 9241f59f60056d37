"""The documentation can be built, has everything that is generated, and works in a browser: offline, and on a phone."""

from __future__ import annotations

import functools
import html
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import conda_prune
from conda_prune.cli import cli
from conda_prune.cli.config_file import KEYS
from conda_prune.cli.exit_codes import ExitCode
from conda_prune.report.explanation import explain, kinds
from tools.docs import DOCS, REPOSITORY
from tools.site_pages import CONFIGURED, configuration

_TAGS = re.compile(r"<[^>]*>")


def words(site_page: Path) -> str:
    """Return the text of a built page as a reader sees it, with single spaces."""
    return " ".join(html.unescape(_TAGS.sub("", site_page.read_text(encoding="utf-8"))).split())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages; a warning is a failure."""
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return directory


def test_the_site_has_every_page_and_loads_nothing_external(site: Path) -> None:
    assert {path.name for path in site.glob("*.html")} >= {"index.html"}
    assert not list(site.rglob("*.py"))
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    assert {path.parent.name for path in site.glob("*/index.html")} >= pages
    assert not [path.name for path in site.rglob("*.html") if "<!-- generated" in path.read_text(encoding="utf-8")]
    loaded = re.compile(r"<(?:script|img|link|iframe)\b[^>]*(?:src|href)=\"(https?:)?//|@import|url\(\"?(https?:)?//")
    texts = [path for ending in ("html", "css", "svg") for path in site.rglob(f"*.{ending}")]
    assert not [path.name for path in texts if loaded.search(path.read_text(encoding="utf-8"))]


def test_the_site_can_be_searched(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    texts = {entry["location"]: entry["title"] + entry["text"] for entry in index["docs"]}
    assert "foreign-tree" in texts["what-is-dropped/#foreign-tree"]
    assert "--reindex" in texts["commands/#fix"]


def test_the_site_has_the_explanation_of_every_kind(site: Path) -> None:
    page = site / "what-is-dropped" / "index.html"
    shown_words = re.sub(r"[`*\\]", "", words(page))
    for kind in kinds():
        explanation = explain(kind)
        assert f'<h3 id="{kind}">' in page.read_text(encoding="utf-8")
        for text in (explanation.meaning, *(text for _, text in explanation.sections)):
            assert " ".join(re.sub(r"[`*\\]", "", text).split()) in shown_words, kind


def test_the_site_has_every_command_and_option(site: Path) -> None:
    page = site / "commands" / "index.html"
    shown_words, source = words(page), page.read_text(encoding="utf-8")
    with click.Context(cli) as context:
        for name in cli.list_commands(context):
            command = cli.get_command(context, name)
            assert command is not None
            assert f'<h2 id="{name}">' in source
            for option in (parameter for parameter in command.params if isinstance(parameter, click.Option)):
                assert " ".join((option.help or "").replace("`", "").split()) in shown_words, (name, option.name)
                assert all(name in shown_words for name in option.opts)
    assert all(code.meaning in shown_words for code in ExitCode)


def test_the_site_has_every_configuration_key(site: Path) -> None:
    page = (site / "configuration" / "index.html").read_text(encoding="utf-8")
    for key in KEYS:
        assert f'<h3 id="{key}">' in page
        assert f"CONDA_PRUNE_{key.replace('-', '_').upper()}" in page


def test_the_reference_lists_the_commands_that_use_a_key() -> None:
    entries = dict(re.findall(r"^### (\S+)$.*?^- Commands: (.*?)$", configuration(), re.MULTILINE | re.DOTALL))
    users: dict[str, list[str]] = {key: [] for key in KEYS}
    with click.Context(cli) as context:
        for name in CONFIGURED:
            command = cli.get_command(context, name)
            assert command is not None
            for key in KEYS:
                variable = f"CONDA_PRUNE_{key.replace('-', '_').upper()}"
                if any(variable in (option.envvar or ()) for option in command.params):
                    users[key].append(name)
    assert entries == {key: ", ".join(names) for key, names in users.items()}


def test_the_site_has_every_public_name(site: Path) -> None:
    shown_words = words(site / "python" / "index.html")
    for name in conda_prune.__all__:
        assert name in shown_words
        documentation = (getattr(conda_prune, name).__doc__ or "").split("\n\n")[0]
        assert " ".join(documentation.replace("`", "").split()) in shown_words, name


def test_the_site_has_the_changelog_and_the_schema(site: Path) -> None:
    assert "Keep a Changelog" in words(site / "changelog" / "index.html")
    assert "urn:conda-prune:output:1" in words(site / "output" / "index.html")


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE = 375
"""Pixels of a narrow phone's screen."""

_HARNESS = """<!doctype html><title>harness</title><body></body><script>
const pages = %s, seen = {};
let left = pages.length;
for (const page of pages) {
  const frame = document.createElement("iframe");
  frame.style = "width: %dpx; height: 700px; border: 0";
  frame.onload = () => {
    // The search index is loaded a moment later.
    setTimeout(() => {
      const requests = frame.contentWindow.performance.getEntriesByType("resource").map((entry) => entry.name);
      seen[page] = {width: frame.contentDocument.documentElement.scrollWidth, requests};
      if (--left === 0) fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
    }, 500);
  };
  frame.src = page;
  document.body.append(frame);
}
</script>"""


class Served:
    """A copy of the site behind a web server on this machine, with a page that loads all others.

    That page posts how wide each of them is on a phone, and what it has requested.
    """

    def __init__(self, site: Path, directory: Path) -> None:
        shutil.copytree(site, directory)
        self.pages = [path.relative_to(directory).as_posix() for path in sorted(directory.rglob("index.html"))]
        (directory / "harness.html").write_text(_HARNESS % (json.dumps(self.pages), PHONE), encoding="utf-8")
        self.seen: dict[str, dict[str, Any]] = {}
        self.posted = threading.Event()
        served = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, format: str, *arguments: object) -> None:
                pass

            def do_POST(self) -> None:
                served.seen = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                served.posted.set()
                self.send_response(204)
                self.end_headers()

        handler = functools.partial(Handler, directory=str(directory))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def served(site: Path, tmp_path: Path) -> Iterator[Served]:
    """The site on a web server, which ends with the test."""
    serving = Served(site, tmp_path / "site")
    yield serving
    serving.server.shutdown()
    serving.server.server_close()


@pytest.mark.skipif(
    BROWSER is None or os.name != "posix",
    reason="Chromium is not installed, or Windows has no process groups to end it with",
)
def test_every_page_fits_a_phone_and_asks_no_other_host(served: Served, tmp_path: Path) -> None:
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    command = [str(BROWSER), *options, f"--user-data-dir={tmp_path / 'profile'}"]
    with subprocess.Popen(
        [*command, f"{served.address}/harness.html"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            assert served.posted.wait(120)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
    assert served.seen.keys() == set(served.pages)
    assert {page: seen["width"] for page, seen in served.seen.items() if seen["width"] > PHONE} == {}
    requests = {request for seen in served.seen.values() for request in seen["requests"]}
    assert any(request.endswith(".css") for request in requests)
    assert [request for request in requests if not request.startswith(f"{served.address}/")] == []
