"""What axe-core says of the pages: nothing serious, on a phone and a screen, light and dark."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from exporter.report import rendering
from exporter.web.page import render, static_files
from tests.live import browser
from tests.report.test_availability import month_of
from tests.web.examples import SNAPSHOT

AXE = Path(sys.prefix) / "axe" / "axe.min.js"
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not browser.installed(), reason="no chromium (apt-get install chromium)"),
    pytest.mark.skipif(not AXE.exists(), reason="no axe-core (scripts/axe)"),
]
SERIOUS = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations
  .filter(one => ["serious", "critical"].includes(one.impact))
  .map(one => [one.id, one.nodes[0].html.slice(0, 120)]))"""


def _status() -> str:
    _, style = static_files()["/static/style.css"]
    link = '<link rel="stylesheet" href="/static/style.css">'
    page = render(SNAPSHOT)
    assert link in page
    return page.replace(link, f"<style>{style.decode()}</style>")


def test_nothing_serious(tmp_path: Path) -> None:
    """Who cannot see or use a mouse reads the status page and the report, too."""
    with browser.Browser() as chromium:
        for name, text in (
            ("status", _status()),
            ("report", rendering.as_html(month_of("kraken"), "1")),
        ):
            page = tmp_path / f"{name}.html"
            page.write_text(text, encoding="utf-8")
            for width, dark in ((390, False), (1280, False), (1280, True)):
                chromium.show(page.as_uri(), width, 844, dark=dark)
                chromium.evaluate(f"{AXE.read_text(encoding='utf-8')};0")
                assert chromium.evaluate(SERIOUS) == []
