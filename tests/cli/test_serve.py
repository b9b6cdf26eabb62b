"""The end of a serving program comes, whatever still runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import argparse, asyncio, os, signal, sys, time
from exporter import config, venues
from exporter.cli import _serve

def ready(port):
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600.0)  # nobody can stop it
    os.kill(os.getpid(), signal.SIGTERM)

parser = argparse.ArgumentParser()
_serve.arguments(parser)
args = parser.parse_args(["--web.listen-address=127.0.0.1:0", f"--storage.path={sys.argv[1]}"])
text = "exchanges: [{venue: binance, symbols: [BTC-USDT], endpoints: [], streams: []}]"
sys.exit(_serve.serve(config.read(text, "test", venues.names(), venues.load), args, ready))
"""


def test_what_cannot_be_stopped_does_not_keep_the_process(tmp_path: Path) -> None:
    """A thread that sleeps for an hour: everything is saved, then the process ends, and says so."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=60.0,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "ended_by_force" in done.stderr
    assert (tmp_path / "detectors.state").exists()
