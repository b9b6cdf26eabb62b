"""What axe-core says of the pages: nothing serious, on a phone and a screen, light and dark."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.report import rendering
from exporter.web.page import static_files
from tests.live import browser
from tests.live.pages import PAGES
from tests.report.test_availability import month_of

AXE = Path(sys.prefix) / "npm" / "axe-core" / "axe.min.js"
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not browser.installed(), reason="no chromium (apt-get install chromium)"),
    pytest.mark.skipif(not AXE.exists(), reason="no axe-core (scripts/npm)"),
]
SERIOUS = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations
  .filter(one => ["serious", "critical"].includes(one.impact))
  .map(one => [one.id, one.nodes[0].html.slice(0, 120)]))"""


LINK = '<link rel="stylesheet" href="/static/style.css">'


def _texts() -> Iterator[str]:
    """Yield the pages with their style, as files have them."""
    _, style = static_files()["/static/style.css"]
    for page in PAGES.values():
        text = page()
        assert LINK in text
        yield text.replace(LINK, f"<style>{style.decode()}</style>")
    yield rendering.as_html(month_of("kraken"), "1")


def test_nothing_serious(tmp_path: Path) -> None:
    """Who cannot see or use a mouse reads status page, exchange, incidents and report, too."""
    page = tmp_path / "page.html"
    with browser.Browser() as chromium:
        for text in _texts():
            page.write_text(text, encoding="utf-8")
            for width, dark in ((390, False), (1280, False), (1280, True)):
                chromium.show(page.as_uri(), width, 844, dark=dark)
                chromium.evaluate(f"{AXE.read_text(encoding='utf-8')};0")
                assert chromium.evaluate(SERIOUS) == []
