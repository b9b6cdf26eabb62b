"""Random faults for a short while: the hour is `make soak`, see scripts/benchmarks/chaos.py."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmarks" / "chaos.py"
pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]


def test_twenty_seconds_of_chaos() -> None:
    """What `make soak` watches for an hour: nothing breaks, every fault shows, all recovers."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--soak", "--for=16", "--seed=3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["broken"] == []
    assert (found["exchanges"], found["endpoints"], found["streams"]) == (10, 100, 50)
    assert sum(found["faults"].values()) >= 8


GOOD = {
    "unseen": [],
    "restarts": 0,
    "errors": [],
    "tasks": [219.0, 219.0],
    "descriptors": [82, 98],
    "memory_growth": 0.02,
    "memory_blocks": [500_000, 510_000],
}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("unseen", ["okx: mute"], "a fault did not show"),
        ("restarts", 1, "an error of ours"),
        ("tasks", [219.0, 220.0], "tasks were left behind"),
        ("descriptors", [82, 99], "file descriptors were left behind"),
        ("memory_growth", 0.021, "resident memory grows"),
        ("memory_blocks", [500_000.0, 510_001.0], "memory blocks are left behind"),
    ],
)
def test_each_finding_of_an_hour_fails_it(key: str, value: object, said: str) -> None:
    """And the same without it passes; memory does not count in a short run."""
    chaos: Any = import_module("scripts.benchmarks.chaos")
    assert list(chaos._broken(GOOD, 3600.0)) == []
    assert list(chaos._broken({**GOOD, key: value}, 3600.0)) == [said]
    short = [] if key.startswith("memory") else [said]
    assert list(chaos._broken({**GOOD, key: value}, 600.0)) == short


def test_growth_compares_the_second_quarter_with_the_last() -> None:
    """The first quarter, and single samples, do not count."""
    chaos: Any = import_module("scripts.benchmarks.chaos")
    values = [1.0] * 4 + [100.0] * 4 + [500.0] * 4 + [102.0, 101.0, 900.0, 101.0]
    found = chaos.growth(list(enumerate(values)))
    assert found == pytest.approx(0.015)
