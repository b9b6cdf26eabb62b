"""The pages in a browser: on a phone and a screen, light and dark, refreshed in place."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from exporter.web.page import static_files
from exporter.web.server import _SECURITY
from tests.live import browser
from tests.live.pages import PAGES
from tests.live.programs import eventually

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not browser.installed(), reason="no chromium (apt-get install chromium)"),
]


Served = tuple[str, dict[str, str]]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """Serve the pages with their files and headers; return the URL, and the text by path."""
    texts = {path: page() for path, page in PAGES.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            news = ("text/event-stream", b"retry: 200\ndata: {}\n\n")
            found = ("text/html; charset=utf-8", texts.get(self.path, "").encode())
            kind, content = {"/events": news, **static_files()}.get(self.path, found)
            self.send_response(200 if content else 404)
            for name, value in {**_SECURITY, "Content-Type": kind}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", texts
        server.shutdown()


CUT = """[...document.querySelectorAll("body *")].filter(one => !one.closest(".scroll, .skip, svg")
  && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80))"""
# Cells that an ellipsis shortens; what others name is theirs to choose.
SHORT = """[...document.querySelectorAll("thead th, .endpoints td")].filter(one =>
  !one.querySelector("svg") && one.scrollWidth > one.clientWidth).map(one => one.textContent)"""
# WCAG 2.1, 1.4.3: the contrast of each text with what lies behind it.
CONTRAST = """(() => {
  const parse = color => color.match(/[0-9.]+/g).map(Number);
  const lum = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v =>
    v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = one => { for (; one; one = one.parentElement) {
    const color = parse(getComputedStyle(one).backgroundColor);
    if (color.length < 4 || color[3] > 0) return color; } return [255, 255, 255]; };
  return [...document.querySelectorAll("body *")].filter(one => !one.closest(".skip, svg") &&
    [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim())).map(one => {
    const [a, b] = [lum(parse(getComputedStyle(one).color)), lum(ground(one))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.outerHTML.slice(0, 80)];
  }).filter(([ratio]) => ratio < 4.5); })()"""


# What scrolls or leads somewhere and cannot be reached without a mouse.
UNREACHABLE = """[...document.querySelectorAll("main a, .scroll")].filter(one => one.tabIndex < 0
  || (one.matches(".scroll") && !(one.getAttribute("aria-label") && one.getAttribute("role"))))
  .map(one => one.outerHTML.slice(0, 80))"""


def test_pages_are_whole_on_a_phone(served: Served) -> None:
    """Nothing is cut at 390 px, and each text can be read, in both schemes."""
    url, texts = served
    with browser.Browser() as chromium:
        for path in texts:
            for width, dark in ((390, False), (390, True), (1280, False), (1280, True)):
                chromium.show(f"{url}{path}", width, 844, dark=dark)
                assert chromium.evaluate("document.documentElement.scrollWidth") <= width
                assert chromium.evaluate(CUT) == []
                assert chromium.evaluate(SHORT) == []
                assert chromium.evaluate(CONTRAST) == []
                assert chromium.evaluate("getComputedStyle(document.body).marginTop") == "0px"


def test_a_refresh_keeps_place_and_focus(served: Served) -> None:
    """Who scrolls, or goes by the keyboard, stays where they were when news arrive."""
    url, texts = served
    with browser.Browser() as chromium:
        for path, text in list(texts.items()):
            chromium.show(f"{url}{path}", 1280, 600)
            chromium.press("Tab")
            assert chromium.evaluate("document.activeElement.className") == "skip"
            assert chromium.evaluate(UNREACHABLE) == []
            chromium.evaluate("[...document.querySelectorAll('main a')].at(-1).focus()")
            chromium.evaluate("scrollTo(0, 120)")
            before = chromium.evaluate("document.activeElement.outerHTML")
            texts[path] = re.sub("<h1>.*?</h1>", "<h1>It was refreshed</h1>", text)
            eventually(
                lambda: (
                    chromium.evaluate("document.querySelector('h1').textContent")
                    == "It was refreshed"
                ),
                "refreshed",
            )
            assert chromium.evaluate("scrollY") == 120
            assert chromium.evaluate("document.activeElement.outerHTML") == before
