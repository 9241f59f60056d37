"""The page of an audit in a real browser: it sorts, filters, turns pages and plots, without an error or a request."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ...executable import run
from .test_report import failure, results, with_findings, write

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 20,100 packages: 100 more than it shows."""
    directory = tmp_path_factory.mktemp("page")
    entries = [*results(20_000), *(failure(30_000 + number) for number in range(100))]
    run("report", write(directory / "a.jsonl", entries), "--format", f"html={directory / 'report.html'}")
    return directory / "report.html"


class Opened:
    """A page that is open, and everything that it complained about or asked for."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.page = browser.new_context(**options).new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            # Its script shows one table after the other.
            playwright.expect(self.page.locator("section[id]:not(:has(table))")).to_have_count(0)
        self.table = self.page.locator("#packages")

    def column(self, number: int) -> list[str]:
        """Return the texts of a column of the packages."""
        texts: list[str] = self.table.locator(f"tbody tr > :nth-child({number})").all_inner_texts()
        return texts

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until a filter has taken effect."""
        for _ in range(100):
            if condition():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(self.status())

    def status(self) -> str:
        text: str = self.table.locator("[role=status]").inner_text()
        return text


@pytest.fixture
def opened(browser: Any, path: Path) -> Iterator[Opened]:
    opened = Opened(browser, path)
    yield opened
    assert opened.complaints == []
    assert opened.requests == [path.as_uri()]


def test_columns_are_sorted_by_their_buttons(opened: Opened) -> None:
    head = opened.table.get_by_role("columnheader", name="stray files")
    head.get_by_role("button").click()
    playwright.expect(head).to_have_attribute("aria-sort", "descending")
    files = [int(text.replace(",", "")) for text in opened.column(5)]
    assert files == sorted(files, reverse=True)
    assert files[0] > 0
    head.get_by_role("button").click()
    playwright.expect(head).to_have_attribute("aria-sort", "ascending")
    assert set(opened.column(5)) == {"0"}
    name = opened.table.get_by_role("columnheader", name="package", exact=True)
    name.get_by_role("button").click()
    playwright.expect(name).to_have_attribute("aria-sort", "ascending")
    assert head.get_attribute("aria-sort") is None
    assert opened.column(1)[0].startswith("package-0-")


def test_rows_are_filtered_by_words_and_choices(opened: Opened) -> None:
    opened.table.get_by_role("combobox", name="subdir").select_option(label="win-64")
    assert set(opened.column(2)) == {"win-64"}
    opened.table.get_by_role("combobox", name="status").select_option(label="findings")
    assert set(opened.column(3)) == {"findings"}
    opened.table.get_by_role("searchbox").fill("PY312 foreign-tag")
    opened.wait(lambda: set(opened.column(4)) == {"3.12"})
    assert all("py312" in name for name in opened.column(1))
    assert "(of 20,000)" in opened.status()
    opened.table.get_by_role("searchbox").fill("no such package")
    opened.wait(lambda: opened.column(1) == ["nothing matches"])
    assert opened.status() == "nothing matches (of 20,000)"


def test_a_filter_excludes_words(opened: Opened) -> None:
    opened.table.get_by_role("searchbox").fill("findings !win-64 !py312")
    opened.wait(lambda: "win-64" not in opened.column(2))
    assert set(opened.column(3)) == {"findings"}
    assert set(opened.column(4)) == {"3.9", "3.10", "3.11", "3.13"}


def test_rows_are_sorted_by_two_columns(opened: Opened) -> None:
    heads = [opened.table.get_by_role("columnheader", name=name) for name in ("status", "stray files")]
    heads[0].get_by_role("button").click()
    playwright.expect(heads[0]).to_have_attribute("aria-sort", "ascending")
    heads[0].get_by_role("button").click()
    playwright.expect(heads[0]).to_have_attribute("aria-sort", "descending")
    heads[1].get_by_role("button").click(modifiers=["Shift"])
    opened.wait(lambda: opened.column(5)[0] == "39")
    assert set(opened.column(3)) == {"findings"}
    files = [int(text) for text in opened.column(5)]
    assert files == sorted(files, reverse=True)


def test_pages_are_turned(opened: Opened) -> None:
    assert opened.status() == "1 to 50 of 20,000"
    assert opened.table.get_by_role("link", name="Previous").get_attribute("aria-disabled") == "true"
    first = opened.column(1)
    opened.table.get_by_role("link", name="Next").click()
    assert opened.status() == "51 to 100 of 20,000"
    assert not set(first) & set(opened.column(1))
    opened.table.get_by_role("combobox", name="Rows per page").select_option(label="1,000")
    assert len(opened.column(1)) == 1000


def test_what_is_left_out_is_said(opened: Opened) -> None:
    assert "100 more, with less waste or without any, are not shown" in opened.table.inner_text()


def test_20000_packages_do_not_freeze_the_page(opened: Opened) -> None:
    """Each step is far below a second; the limit is for a machine that does other work."""
    for name in ("package", "unpacked", "feedstock"):
        began = time.perf_counter()
        head = opened.table.get_by_role("columnheader", name=name, exact=True)
        head.get_by_role("button").click()
        playwright.expect(head).to_have_attribute("aria-sort", re.compile("ascending|descending"))
        opened.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert time.perf_counter() - began < 5, name


def test_the_keyboard_reaches_everything(opened: Opened) -> None:
    opened.table.get_by_role("searchbox").focus()
    reached = []
    for _ in range(25):
        opened.page.keyboard.press("Tab")
        reached.append(
            opened.page.evaluate("(document.activeElement.ariaLabel ?? document.activeElement.textContent).trim()")
        )
    assert "package" in reached
    assert "Next" in reached
    opened.table.get_by_role("columnheader", name="package", exact=True).get_by_role("button").focus()
    for key, order in (("Enter", "ascending"), ("Space", "descending")):
        opened.page.keyboard.press(key)
        playwright.expect(opened.table.locator(f"[aria-sort={order}]")).to_have_count(1)


def test_a_screen_reader_finds_names_for_everything(opened: Opened) -> None:
    """Each table, control and picture has a name; each heading is of its section."""
    unnamed = opened.page.evaluate(
        """[...document.querySelectorAll(
             'input, select, button, svg, section[id], nav, [role=region], [role=button]')].filter(element =>
           !(element.getAttribute('aria-label') || element.textContent.trim() || element.labels?.length
             || element.closest('label'))).length"""
    )
    assert unnamed == 0
    assert opened.page.locator("table caption").count() == opened.page.locator("table").count() > 5
    assert opened.page.get_by_role("img").count() == opened.page.locator("svg").count() == 6
    named = opened.page.get_by_role("img").first.get_attribute("aria-label")
    assert named.startswith("By month of upload: unpacked. From 2020-01 to 2025-12; most: ")
    assert named.endswith("The table By month of upload has the numbers.")
    assert opened.table.get_by_role("status").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("options", [{"color_scheme": "dark"}, {"color_scheme": "light"}])
def test_colors_have_contrast(options: dict[str, str], browser: Any, path: Path) -> None:
    """4.5 to 1, as WCAG asks for text."""
    opened = Opened(browser, path, **options)
    for selector in (
        "body",
        ".soft",
        "nav a",
        ".status-findings",
        ".dt-column-title",
        ".dt-search label",
        ".dt-info",
        "td",
        "svg text",
    ):
        ratio = opened.page.evaluate(_CONTRAST, selector)
        assert ratio >= 4.5, (selector, ratio)


_CONTRAST = """selector => {
  const parse = color => color.match(/[\\d.]+/g).map(Number);
  const light = color => { const [r, g, b] = parse(color).map(value => value / 255)
    .map(value => value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  const element = document.querySelector(selector);
  let behind = element;
  while (behind && (parse(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
  const [one, other] = [getComputedStyle(element).color, getComputedStyle(behind ?? document.body).backgroundColor]
    .map(light).sort((a, b) => b - a);
  return (one + .05) / (other + .05);
}"""


def test_a_phone_scrolls_tables_and_not_the_page(browser: Any, path: Path) -> None:
    opened = Opened(browser, path, viewport={"width": 375, "height": 812})
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 375
    assert opened.page.locator("svg").first.bounding_box()["width"] < 375
    frame = opened.table.get_by_role("region")
    left = opened.table.locator("tbody th").first.bounding_box()["x"]
    assert frame.evaluate("frame => { frame.scrollLeft = 1000; return frame.scrollLeft }") > 0
    assert opened.table.locator("tbody th").first.bounding_box()["x"] == left
    assert opened.complaints == []


def test_plots_follow_the_width(browser: Any, path: Path) -> None:
    opened = Opened(browser, path, viewport={"width": 1280, "height": 900})
    picture = opened.page.locator("svg").first
    wide = picture.bounding_box()["width"]
    opened.page.set_viewport_size({"width": 375, "height": 812})
    opened.wait(lambda: picture.bounding_box()["width"] < wide / 1.5)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 375
    assert opened.complaints == []


def test_plots_say_the_number_of_a_month(opened: Opened) -> None:
    opened.page.locator("svg [aria-label=rect] rect").nth(30).hover()
    playwright.expect(opened.page.locator("svg [aria-label=tip]").first).to_contain_text("2022-07: ")


@pytest.mark.parametrize(
    "evil",
    [
        "</script><script>document.title='owned'</script><b id=evil>",
        "<img id=evil src=x onerror=\"document.title='owned'\"> &amp; &lt;b id=evil&gt;",
        "<!--<script>document.title='owned'</script>",
    ],
)
def test_markup_in_names_stays_text(evil: str, browser: Any, tmp_path: Path) -> None:
    entries = with_findings(2)
    entries[0] |= {"file_name": evil, "feedstock": evil, "subdir": evil, "channel": evil}
    entries[0]["package"] |= {"name": evil}
    page = tmp_path / "report.html"
    run("report", write(tmp_path / "a.jsonl", entries), "--format", f"html={page}")
    opened = Opened(browser, page)
    name = opened.table.get_by_role("columnheader", name="package", exact=True)
    name.get_by_role("button").click()
    opened.table.get_by_role("searchbox").fill(evil.split(maxsplit=1)[0])
    opened.wait(lambda: opened.column(1) == [evil])
    opened.table.get_by_role("combobox", name="subdir").select_option(label=evil)
    assert opened.column(1) == [evil]
    playwright.expect(opened.page.locator("svg")).to_have_count(6)
    assert "owned" not in opened.page.title().split("'")[0]
    assert opened.page.locator("#evil").count() == 0
    assert opened.complaints == []
    assert opened.requests == [page.as_uri()]


def test_the_sums_need_no_script(browser: Any, path: Path) -> None:
    opened = Opened(browser, path, java_script_enabled=False)
    assert "20,000" in opened.page.locator(".cards").inner_text()
    assert '<noscript><p class="note">The tables and plots need JavaScript.</p></noscript>' in path.read_text("ascii")
    assert opened.complaints == []


def test_the_policy_allows_only_the_scripts_of_the_page(path: Path) -> None:
    page = path.read_text("ascii")
    (allowed,) = re.findall(r"; script-src ([^;]*);", page)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert allowed.split() == [f"'sha256-{text}'" for text in hashes]
    assert len(hashes) == 4


def test_only_the_rows_of_one_page_are_in_the_document(opened: Opened, path: Path) -> None:
    assert opened.table.locator("tbody tr").count() == 50
    assert path.read_text("ascii").count("<tr") < 10
