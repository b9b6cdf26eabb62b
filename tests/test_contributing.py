"""Each of CONTRIBUTING's "to add one", in a copy: one file more, and the program has it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROOMS = ("exporter", "dashboards", "alert_rules")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources, to which a file of each kind was added and nothing else."""
    folder = tmp_path_factory.mktemp("copy")
    skipped = shutil.ignore_patterns("__pycache__", "json")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=skipped)
    shutil.copy(ROOT / "pyproject.toml", folder)
    rooms = folder / "exporter"
    for place, like in (
        ("venues", "bitstamp"),
        ("simulator/venues", "bitstamp"),
        ("anomaly/detectors", "zscore"),
        ("relay/notifiers", "webhook"),
    ):
        text = (rooms / place / f"{like}.py").read_text()
        (rooms / place / "acme.py").write_text(text.replace(f'name="{like}"', 'name="acme"'))
    (rooms / "cli" / "greet.py").write_text(
        '"""Greet somebody."""\nHELP = "Greets."\n\n\ndef arguments(parser):\n'
        '    parser.add_argument("--name", default="world")\n\n\ndef run(args):\n'
        '    print(f"hello {args.name}")\n    return 0\n'
    )
    return folder


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the copy, and not of this repository."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_a_venue(copy: Path) -> None:
    """The config takes it, the schema lists it."""
    config = copy / "acme.yml"
    config.write_text("exchanges: [{venue: acme, symbols: [BTC-USD]}]\n")
    done = run(copy, "exporter", "check", str(config))
    assert (done.returncode, done.stderr) == (0, "")
    assert '"acme"' in run(copy, "exporter", "schema", "config").stdout


def test_a_simulated_venue(copy: Path) -> None:
    """The simulator knows it by its file's name."""
    done = run(copy, "exporter", "simulate", "--venues=nobody")
    assert done.returncode == 2
    assert "known: acme, " in done.stderr


SAMPLE = """\
from types import SimpleNamespace
from exporter.anomaly.sampling import Sampling
from exporter.clock import SystemClock
sampling = Sampling(SystemClock())
sampling.keep(["binance"])
books = SimpleNamespace(books=())
sampling.update(SimpleNamespace(name="binance", streams=(), books=books), None, 0.0)
print({signal.name: tracker.sample(0.0)[0] for signal, tracker in sampling.trackers}["acme"])
"""


def test_a_signal(copy: Path) -> None:
    """Its three places, and it is measured, and the config takes its sensitivity."""
    anomaly, config = copy / "exporter/anomaly", copy / "exporter/config/signals.py"
    made = 'ACME = Signal(name="acme", title="a", unit="s", effect=1.0, resolution=0.1)\n'
    for file, before, more in (
        (anomaly / "gauges.py", "SIGNALS = (", made + "SIGNALS = (ACME, "),
        (anomaly / "sampling.py", "        if exchange.streams:\n", "        SET\n"),
        (config, '    "loop_lag",\n', '    "acme",\n    "loop_lag",\n'),
    ):
        text = file.read_text()
        assert text.count(before) == 1
        set_ = f"self._gauges[gauges.ACME].set(name, 7.0)\n{before.rstrip()}"
        file.write_text(text.replace(before, more.replace("SET", set_)))
    (copy / "sample.py").write_text(SAMPLE)
    done = run(copy, "sample")
    assert done.stdout == "7.0\n", done.stderr
    file = copy / "signal.yml"
    watched = "exchanges: [{venue: acme, symbols: [BTC-USD]}]\n"
    file.write_text(f"{watched}anomaly: {{signals: {{acme: {{sensitivity: 2}}}}}}\n")
    done = run(copy, "exporter", "check", str(file))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_detector(copy: Path) -> None:
    """Labelled series are scored with it."""
    series = ROOT / "tests" / "anomaly" / "series"
    file = min(series.glob("*.csv"))
    done = run(copy, "exporter", "backtest", "--detector=acme", "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_a_notifier(copy: Path) -> None:
    """The relay's config takes it as a receiver's type."""
    config = copy / "relay.yml"
    config.write_text("receivers: [{name: one, type: acme, url: 'http://127.0.0.1:9/'}]\n")
    done = run(copy, "exporter", "relay", "--check", str(config))
    assert done.returncode == 0, done.stderr


def test_a_command(copy: Path) -> None:
    """Help lists it, and it runs."""
    assert re.search(
        r"^ +greet +Greet somebody$", run(copy, "exporter", "--help").stdout, re.MULTILINE
    )
    assert run(copy, "exporter", "greet", "--name=you").stdout == "hello you\n"


def test_a_panel(copy: Path) -> None:
    """One entry in a page, and the generated JSON has it."""
    page = copy / "dashboards" / "exporter.py"
    text = page.read_text()
    first = text.index("        stat(")
    entry = (
        """        stat("Acme", "Number of exporters.", "count(up{@process})", none="none"),\n"""
    )
    page.write_text(text[:first] + entry + text[first:])
    (copy / "dashboards" / "json").mkdir(exist_ok=True)
    done = run(copy, "dashboards")
    assert done.returncode == 0, done.stderr
    made = json.loads((copy / "dashboards" / "json" / "exporter.json").read_text())
    titles = [each.get("title") for each in made["panels"]]
    assert "Acme" in titles


def test_a_rule(copy: Path) -> None:
    """One rule in a file, and the dashboards, for one, read its threshold."""
    rules = copy / "alert_rules" / "exporter.yml"
    text = rules.read_text()
    at = text.index("      # Nobody measures.")
    rule = "      - {alert: Acme, expr: up > 0.25, labels: {severity: info}}\n"
    rules.write_text(text[:at] + rule + text[at:])
    (copy / "show.py").write_text("from dashboards.thresholds import limit\nprint(limit('Acme'))\n")
    done = run(copy, "show")
    assert done.stdout == "0.25\n", done.stderr
