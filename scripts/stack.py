# ruff: noqa: T201, S603 - it prints to a person, and starts the programs it is for
"""Run everything without Docker: simulated exchanges, exporter, Prometheus, Alertmanager, relay.

The configs are the shipped ones, so that what is seen here is what a host would do. Each program
logs to its own file; Ctrl-C ends all of them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
# What to run, and the Debian package that brings it; the first name that is found counts.
NEEDED = {
    "prometheus": ("prometheus",),
    "prometheus-alertmanager": ("prometheus-alertmanager", "alertmanager"),
}
PORTS = {"demo": 9717, "prometheus": 9090, "alertmanager": 9093, "relay": 9719, "console": 9720}
UNUSABLE, INTERRUPTED = 2, 130
# The demo says where the simulator is once it runs.
_SIMULATOR = re.compile(r"^  Simulator +(\S+)/control/state$", re.MULTILINE)


def main() -> int:
    """Run until Ctrl-C or until one of the programs ends; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, prog="make stack")
    parser.add_argument("--for", dest="seconds", type=float, help="end by itself after so long")
    args = parser.parse_args()
    found = {package: _program(names) for package, names in NEEDED.items()}
    missing = [package for package, path in found.items() if path is None]
    if missing:
        print(f"missing: sudo apt-get install {' '.join(missing)}", file=sys.stderr)
        return UNUSABLE
    if taken := [str(port) for port in PORTS.values() if not _free(port)]:
        print(f"in use: port {', '.join(taken)} of 127.0.0.1", file=sys.stderr)
        return UNUSABLE
    signal.signal(signal.SIGTERM, _end)
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stack-")))
            running = {
                name: stack.enter_context(_Program(command, folder / f"{name}.log"))
                for name, command in _commands(found, folder).items()
            }
            return _watch(running, folder, args.seconds)
    except KeyboardInterrupt:
        return INTERRUPTED


def _commands(found: dict[str, str | None], folder: Path) -> dict[str, list[str]]:
    """Return the command line of each program."""
    ours = [sys.executable, "-u", "-m", "exporter"]
    shutil.copy(ROOT / "provisioning/relay.yml", folder)  # its spool is written beside it
    return {
        "console": [sys.executable, "-u", str(ROOT / "provisioning/console.py")],
        "relay": [*ours, "relay", f"--config.file={folder / 'relay.yml'}"],
        "demo": [*ours, "demo", f"--web.listen-address=127.0.0.1:{PORTS['demo']}"],
        "alertmanager": [
            str(found["prometheus-alertmanager"]),
            f"--config.file={ROOT / 'alert_rules/alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{PORTS['alertmanager']}",
            "--cluster.listen-address=",
        ],
        "prometheus": [
            str(found["prometheus"]),
            f"--config.file={ROOT / 'provisioning/prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            "--storage.tsdb.retention.time=31d",
            f"--web.listen-address=127.0.0.1:{PORTS['prometheus']}",
        ],
    }


class _Program:
    """A program and its log, for the length of a ``with``."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.command, self.log = command, log

    def __enter__(self) -> _Program:
        # Its own session: Ctrl-C in the terminal is for us, and we end it.
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=ROOT,
            )
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _watch(running: dict[str, _Program], folder: Path, seconds: float | None) -> int:
    """Say what to open, then print what people are told, until the end."""
    end = time.monotonic() + seconds if seconds else float("inf")
    greeted, told = False, 0
    while time.monotonic() < end:
        for name, program in running.items():
            if (status := program.process.poll()) is not None:
                lines = program.log.read_text(errors="replace").splitlines()[-20:]
                print(f"{name} ended with status {status}:", *lines, sep="\n  ", file=sys.stderr)
                return 1
        if not greeted and not any(_free(port) for port in PORTS.values()):
            found = _SIMULATOR.search((folder / "demo.log").read_text(errors="replace"))
            if greeted := found is not None:
                _greet(folder, found[1])
        text = running["console"].log.read_text(errors="replace")
        if len(text) > told:
            print(text[told:], end="", flush=True)
            told = len(text)
        time.sleep(0.2)
    return 0


def _greet(folder: Path, simulator: str) -> None:
    here = {name: f"http://127.0.0.1:{port}" for name, port in PORTS.items()}
    print(
        f"""
  Status page    {here["demo"]}/
  Prometheus     {here["prometheus"]}/alerts
  Alertmanager   {here["alertmanager"]}/
  Incidents      {here["relay"]}/
  Logs           {folder}/*.log
  Dashboards     point Grafana at {here["prometheus"]} and import dashboards/json/*.json,
                 or: docker compose up
  Simulator      {simulator}/control/state

  Let OKX answer 503 for three minutes; within one you are told here:
    curl -X POST {simulator}/control/faults -H 'Content-Type: application/json' \\
      -d '{{"venue": "okx", "fault": "error", "status": 503, "for": "180s"}}'

  Ctrl-C stops it.
""",
        flush=True,
    )


def _program(names: tuple[str, ...]) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)


def _free(port: int) -> bool:
    """Return whether nobody listens on this port of the loopback."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
