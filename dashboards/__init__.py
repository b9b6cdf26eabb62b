"""The dashboards as code: one page a file; ``python -m dashboards`` writes ``json/*.json``.

A page names its queries beside its panels. How a panel becomes JSON is the affair of ``panels``
and ``page`` alone, so that the library beneath them can be replaced.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

from dashboards.page import Page, document

FOLDER = Path(__file__).resolve().parent / "json"
# In the order in which a reader comes to them.
PAGES = (
    "overview",
    "exchange",
    "streams",
    "trading",
    "markets",
    "slo",
    "anomalies",
    "exporter",
    "pipeline",
)


def load(name: str) -> Page:
    """Give the page of this name."""
    page: Page = import_module(f"dashboards.{name}").PAGE
    return page


def written() -> dict[Path, str]:
    """Give what each committed file must hold."""
    return {
        FOLDER / f"{name}.json": json.dumps(document(load(name)), indent=2, sort_keys=True) + "\n"
        for name in PAGES
    }
