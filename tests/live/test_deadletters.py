"""Frames that cannot be read are written down by a running exporter, and told of by a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import programs
from tests.live.conftest import config
from tests.live.worlds import NO_LIMITS, simulated, watched

pytestmark = pytest.mark.live


def _command(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "deadletters", *arguments, f"--storage.path={folder}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_from_a_malformed_frame_to_purge(tmp_path: Path) -> None:
    """Listed, shown, tried again in vain, kept over a kill, and removed on request."""
    folder = tmp_path / "state"
    with (
        simulated(tmp_path, config, "--venues=binance", NO_LIMITS) as simulator,
        watched(*simulator, f"--storage.path={folder}") as world,
    ):
        world.inject(fault="malformed", venue="binance", form="truncated", probability=0.2)
        name = "exchange_exporter_dead_letters_total"
        programs.eventually(lambda: world.scrape().total(name) >= 5, "letters")
        status, output = _command(folder, "purge")
        assert (status, "stop it first" in output) == (2, True)
        world.exporter.popen.kill()
        world.exporter.popen.wait()
    status, listed = _command(folder, "list", "--exchange=binance")
    assert status == 0
    lines = listed.splitlines()
    assert len(lines) >= 5
    assert all("binance/market" in line for line in lines)
    status, said = _command(folder, "list", "--exchange=nobody")
    assert (status, said[:15]) == (0, "no dead letters")
    status, shown = _command(folder, "show", lines[0].split()[0])
    assert (status, "{" in shown) == (0, True)
    assert _command(folder, "show")[0] == _command(folder, "show", "9-9")[0] == 2
    status, replayed = _command(folder, "replay")
    assert status == 1
    assert f"0 read, {len(lines)} still unreadable" in replayed
    assert _command(folder, "purge") == (0, "removed 1 segments\n")
    status, said = _command(folder, "list")
    assert (status, said[:15]) == (0, "no dead letters")
