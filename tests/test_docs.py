"""The site's pages stand where its links lead, and the API is described as it is served."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import exporter
from exporter import config as settings
from exporter import venues
from exporter.runtime.app import App, RunOptions
from exporter.runtime.routes import ExporterRoutes
from exporter.web.page import static_files
from tests.conftest import ROOT

OPENAPI = yaml.safe_load((ROOT / "docs/reference/openapi.yaml").read_text(encoding="utf-8"))


def script(name: str) -> ModuleType:
    """Load a script that has no ending."""
    loader = SourceFileLoader(name, str(ROOT / "scripts" / name))
    module = ModuleType(name)
    module.__file__ = loader.path
    loader.exec_module(module)
    return module


def test_every_page_and_link_of_the_site_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each entry of the table of contents is a page, each page is in it, each link stays inside."""
    docs = script("docs")
    monkeypatch.setattr(docs, "BUILT", tmp_path / "build/docs")
    monkeypatch.setattr(docs, "CONFIG", tmp_path / "build/mkdocs.yml")
    docs.lay_out()
    built = tmp_path / "build/docs"
    events = (built / "reference/log-events.md").read_text(encoding="utf-8")
    assert "| `probe_recovered` | info |" in events
    for event in ("alert_fired", "anomaly_...", "stream_frames_unreadable", "started"):
        assert f"| `{event}` | " in events
    assert (
        "[`ExchangeDown`](../runbooks/ExchangeDown.md)"
        in (built / "reference/alerts.md").read_text()
    )
    nav = json.dumps(yaml.safe_load((tmp_path / "build/mkdocs.yml").read_text())["nav"])
    listed = set(re.findall(r'"([^"]+\.md)"', nav))
    assert listed == {str(path.relative_to(built)) for path in built.rglob("*.md")}
    for page in built.rglob("*.md"):
        text = docs.FENCED.sub("", page.read_text(encoding="utf-8"))
        for link in docs.LINK.findall(text):
            inside = "://" not in link and not link.startswith("mailto:")
            assert not inside or (page.parent / link).exists(), f"{page}: {link}"


def test_the_api_is_described_as_it_is_served() -> None:
    """Every path and method of the program stands in openapi.yaml and in the table, no other."""
    text = "exchanges: [{venue: binance, symbols: [BTC-USDT]}]"
    app = App(settings.read(text, "c", venues.names(), venues.load), RunOptions())
    served = set()
    for route in ExporterRoutes(app).routes():
        method, _, path = route.rpartition(" ")
        if path not in static_files():
            served.add(f"{method or 'GET'} {path}")
    described = {
        f"{method.upper()} {path}"
        for path, methods in OPENAPI["paths"].items()
        for method in methods
        if method != "parameters"
    }
    assert described == served
    table = (ROOT / "docs/reference/api.md").read_text(encoding="utf-8")
    assert (
        set(re.findall(r"^\| `([A-Z]+ /[^`]*)`", table, re.MULTILINE)) | {"PUT /-/reload"} == served
    )


def test_the_version_is_one_and_has_a_dated_entry() -> None:
    """Every place that names the version says the same, and the changelog tells of it."""
    check = script("release_check")
    assert len(set(check.versions().values())) == 1, check.versions()
    assert "### Added" in check.notes(exporter.__version__)
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/release_check", "--tag=v9.9.9"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "the tag: 9.9.9" in done.stderr


def test_four_commands_lead_from_the_clone_to_a_page() -> None:
    """`make first-page` runs these lines of the README, from its own text, and no others."""
    first_page = script("first_page")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    clone, enter, demo, page = first_page.commands(readme)
    assert clone.startswith("git clone https://")
    assert enter == f"cd {clone.rpartition('/')[2]}"
    assert demo == "make demo"
    assert page == f".venv/bin/exchange-exporter page-me --discord={first_page.WEBHOOK}"
    assert first_page._READY in (ROOT / "exporter/cli/demo.py").read_text(encoding="utf-8")
    setup = (ROOT / "scripts/setup").read_text(encoding="utf-8")
    assert 'say "ready after $(($(date +%s) - start)) s"' in setup
    with pytest.raises(first_page.WrongError, match="no command under 'Try it'"):
        first_page.commands(readme.replace("make demo", "").replace("```sh", "```"))


def test_the_description_is_that_of_the_code() -> None:
    """Its bodies are the code's types (`make generate`), and every reference has a schema."""
    openapi = script("openapi")
    assert openapi.document() == openapi.FILE.read_text(encoding="utf-8"), "make generate"
    names = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(OPENAPI)))
    assert names <= set(OPENAPI["components"]["schemas"])
    assert OPENAPI["openapi"].startswith("3.1")
