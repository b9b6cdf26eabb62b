"""Labelled series that every clone has, through the command that scores them."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from exporter.cli import backtest

FILES = sorted(Path(__file__).parent.glob("*.csv"))
DAILY = [path for path in FILES if path.stem.startswith("daily")]


def scored(
    capsys: pytest.CaptureFixture[str], detector: str, files: Sequence[Path]
) -> dict[str, Any]:
    """Return what `backtest --json` says of some series under one detector."""
    parser = ArgumentParser()
    backtest.arguments(parser)
    flags = ["--json", f"--detector={detector}", *map(str, files)]
    assert backtest.run(parser.parse_args(flags)) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_shipped_detector_finds_all_incidents_and_little_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Five incidents of five, all but the slow leak within three rows, two false alarms at most."""
    found = scored(capsys, "ensemble", FILES)
    whole = found["all"]
    assert (whole["rows"], whole["incidents"], whole["found"]) == (7200, 5, 5)
    assert whole["false_alarms"] <= 2
    delays = {Path(one["name"]).stem: one["delay_ticks"] for one in found["series"]}
    assert delays.pop("memory_that_leaks") <= 20
    assert all(delay <= 3 for delay in delays.values() if delay is not None)


def test_the_labels_tell_a_better_detector_from_a_worse_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A z-score finds the rush of the day, too, at several times the false alarms."""
    better, worse = (scored(capsys, name, DAILY)["all"] for name in ("ensemble", "zscore"))
    assert (better["found"], worse["found"]) == (1, 1)
    assert worse["false_alarms"] > 2 * better["false_alarms"]
    assert worse["precision"] < better["precision"]
