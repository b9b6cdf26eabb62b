"""The status page in a browser: on a phone and a screen, light and dark, refreshed in place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from exporter.web.page import render, static_files
from exporter.web.server import _SECURITY
from tests.live import browser
from tests.live.programs import eventually
from tests.web.examples import SNAPSHOT

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not browser.installed(), reason="no chromium (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def page() -> Iterator[tuple[str, list[str]]]:
    """Serve the page with its files and headers; return its URL, and the text it now has."""
    text = [render(SNAPSHOT, refresh=1)]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = ("text/html; charset=utf-8", text[0].encode())
            kind, content = static_files().get(self.path, found)
            self.send_response(200)
            for name, value in {**_SECURITY, "Content-Type": kind}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", text
        server.shutdown()


CUT = """[...document.querySelectorAll("body *")].filter(one => !one.closest(".scroll, .skip, svg")
  && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80))"""
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


def test_it_is_whole_on_a_phone_and_keeps_its_place(page: tuple[str, list[str]]) -> None:
    """Nothing is cut at 390 px, each text can be read in both schemes, no refresh scrolls."""
    url, text = page
    with browser.Browser() as chromium:
        for width, dark in ((390, False), (390, True), (1280, False), (1280, True)):
            chromium.show(url, width, 844, dark=dark)
            assert chromium.evaluate("document.documentElement.scrollWidth") <= width
            assert chromium.evaluate(CUT) == []
            assert chromium.evaluate(CONTRAST) == []
        chromium.evaluate("scrollTo(0, 400)")
        text[0] = text[0].replace("Some things do not work", "It was refreshed")
        eventually(
            lambda: (
                chromium.evaluate("document.querySelector('h1').textContent") == "It was refreshed"
            ),
            "refreshed",
        )
        assert chromium.evaluate("scrollY") == 400
