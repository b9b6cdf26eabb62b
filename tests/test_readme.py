"""The README says what the code does."""

from __future__ import annotations

import subprocess
import sys

from exporter import cli
from tests.conftest import ROOT


def test_tables_are_those_of_the_code() -> None:
    """The tables of commands, venues and metrics are as the code has them (`make generate`)."""
    script = [sys.executable, str(ROOT / "scripts" / "readme"), "--check"]
    checked = subprocess.run(script, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, f"README.md is stale: make generate\n{checked.stderr}"


def test_every_file_that_it_links_to_exists() -> None:
    """No link of the README leads nowhere."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [part.split(")")[0] for part in text.split("](")[1:]]
    local = [link.split("#")[0] for link in links if not link.startswith(("http", "#"))]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_commands_shown_exist() -> None:
    """Each `exchange-exporter COMMAND` in the README is one of its commands."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = {part.split()[0].strip("`.,)") for part in text.split("exchange-exporter ")[1:]}
    words = {word for word in shown if word.isalpha() and word.islower()}
    assert words <= {*cli.names(), "simulate"} | {"is", "and"}
