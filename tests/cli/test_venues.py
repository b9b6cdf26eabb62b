"""`venues`: what the program, packages and folders offer; what does not fit is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from exporter.__main__ import main
from exporter.cli.venues import stale
from exporter.contracts import VenueFact
from exporter.venues import load, names

ROOT = Path(__file__).parents[2]
ACME = ROOT / "tests" / "venues" / "definitions" / "acme.yml"

MODULE = """
from dataclasses import replace
from pathlib import Path
from exporter.venues import definition
from exporter.anomaly.detectors import zscore
from exporter.relay.notifiers import webhook

VENUE = definition.load({acme!r})
LINE = replace(webhook.NOTIFIER, name="megaphone")
SCORES = zscore.DETECTOR
NOTHING = 7
"""
POINTS = """
[exchange_exporter.venues]
acme = stranger:VENUE
other = stranger:VENUE
okx = stranger:VENUE
gone = stranger:MISSING

[exchange_exporter.notifiers]
megaphone = stranger:LINE
seven = stranger:NOTHING

[exchange_exporter.detectors]
scores = stranger:SCORES
none = stranger:NOTHING
"""
CONFIG = "exchanges: [{venue: acme, symbols: [BTC-USDT]}]\n"
RELAY = """
receivers: [{name: hall, type: megaphone, url: "https://hall.example"}]
"""


def ran(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program with what is installed in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def installed(folder: Path) -> Path:
    """Install a package with entry points of all kinds, half of which do not fit."""
    (folder / "stranger.py").write_text(MODULE.format(acme=str(ACME)))
    info = folder / "stranger-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(POINTS)
    return folder


def test_packages_add_what_fits_and_the_rest_is_refused_by_a_line(tmp_path: Path) -> None:
    """A venue, a notifier and a detector are there; of four that do not fit each says why."""
    done = ran(installed(tmp_path), "venues")
    assert done.returncode == 1
    rows = [line.split() for line in done.stdout.splitlines()]
    assert next(row[:2] for row in rows if row[-2:] == ["stranger", "1.2"]) == ["acme", "Acme"]
    assert "notifier megaphone, from stranger 1.2" in done.stdout
    assert "detector scores, from stranger 1.2" in done.stdout
    assert sorted(done.stderr.splitlines()) == sorted(
        f"refused: exchange_exporter.{line}"
        for line in (
            "venues: gone (stranger:MISSING, of stranger 1.2): cannot be loaded: AttributeError: "
            "module 'stranger' has no attribute 'MISSING'",
            "venues: okx (stranger:VENUE, of stranger 1.2): found a name that the program has "
            "itself, expected another",
            "venues: other (stranger:VENUE, of stranger 1.2): found a venue of the name 'acme', "
            "expected that of the entry point",
            "notifiers: seven (stranger:NOTHING, of stranger 1.2): found int, expected an "
            "exporter.contracts.Notifier",
            "detectors: none (stranger:NOTHING, of stranger 1.2): found no begin, score, learn, "
            "minimum, expected a Detector",
        )
    )


def test_configs_may_name_what_packages_add(tmp_path: Path) -> None:
    """An exchange of such a venue is as good as any; so is a receiver, and `venue check`."""
    installed(tmp_path)
    (tmp_path / "config.yml").write_text(CONFIG)
    done = ran(tmp_path, "check", str(tmp_path / "config.yml"))
    assert done.returncode == 0, done.stderr
    assert ran(tmp_path, "venue", "check", "acme").returncode == 0
    (tmp_path / "relay.yml").write_text(RELAY)
    done = ran(tmp_path, "relay", f"--check={tmp_path / 'relay.yml'}")
    assert done.returncode == 0, done.stderr


def test_a_folder_of_definitions_is_listed(tmp_path: Path) -> None:
    """Good definitions are in the list, wrong ones are refused with file and line."""
    (tmp_path / "acme.yml").write_text(ACME.read_text())
    (tmp_path / "wrong.yml").write_text("name: wrong\nsource: x\nrest: {}\n")
    done = ran(tmp_path, "venues", f"--venues.dir={tmp_path}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"refused: {tmp_path}/wrong.yml:3: rest.url: found no such key")
    assert any(line.startswith("acme ") for line in done.stdout.splitlines())
    assert ran(tmp_path, "venues", f"--venues.dir={tmp_path}/none").returncode == 2


@pytest.mark.parametrize("name", names())
def test_each_fact_carries_source_and_date(name: str) -> None:
    """What a venue file relies on says where and when it was read."""
    facts = load(name).facts
    assert facts
    for fact in facts:
        assert fact.what
        assert fact.source
        assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])(-[0-3]\d)?", fact.read)


@pytest.mark.parametrize("name", names())
def test_each_cadence_is_a_fact(name: str) -> None:
    """It is of a channel that the venue has, and a fact says where and when it was read."""
    venue = load(name)
    assert venue.cadences.keys() <= venue.topics.keys()
    assert all(0.001 <= each <= 3600.0 for each in venue.cadences.values())
    told = any(fact.what.startswith("cadence of ") for fact in venue.facts)
    assert told is bool(venue.cadences)


def test_facts_older_than_a_year_are_told() -> None:
    """A month counts to its end, a day for itself."""
    venue = replace(
        load("okx"),
        facts=tuple(VenueFact("x", "y", read) for read in ("2025-10", "2025-11", "2025-11-29",
                                                           "2025-11-30")),
    )  # fmt: skip
    found = stale(venue, date(2025, 11, 30))
    assert [fact.read for fact in found] == ["2025-10", "2025-11-29"]


def test_the_command_lists_stale_facts(capsys: pytest.CaptureFixture[str]) -> None:
    """Recorded traffic of 2021 is old whenever this runs."""
    assert main(["venues", "--stale"]) == 0
    printed = capsys.readouterr().out
    assert "recorded traffic" in printed
    assert "2021-04" in printed
