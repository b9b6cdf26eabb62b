"""Random faults for a short while: the hour is `make soak`, see scripts/benchmarks/chaos.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
