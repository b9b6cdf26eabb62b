"""``exchange-exporter simulate`` as a process."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from websockets.sync.client import connect

import exporter.simulator
from exporter import config as settings
from exporter import venues
from exporter.simulator import venues as simulated

COMMAND = [sys.executable, "-m", "exporter", "simulate"]
SCENARIOS = Path(exporter.simulator.__file__).parent / "scenarios"


@contextmanager
def started(*flags: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command on a free port; return the process and its URL."""
    process = subprocess.Popen(
        [*COMMAND, "--listen-address=127.0.0.1:0", *flags], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready "):
                yield process, line.split()[1]
                return
        raise AssertionError("it ended before it was ready")
    finally:
        process.kill()
        process.wait(5)
        if process.stdout:
            process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_when_it_is_ready_and_ends_on_a_signal(number: signal.Signals) -> None:
    """The URL on the ready line answers; a signal ends it with status 0."""
    with started("--venues=okx,bybit", "--symbols=BTC-USDT", "--seed=3") as (process, url):
        with urlopen(f"{url}/control/state", timeout=5) as answer:
            state = json.load(answer)
        assert set(state["venues"]) == {"okx", "bybit"}
        assert state["venues"]["bybit"]["symbols"] == ["BTCUSDT"]
        assert state["seed"] == 3
        process.send_signal(number)
        assert process.wait(60) == 0


def test_the_committed_scenario_runs_with_own_ports() -> None:
    """Its faults wait for their time, and each venue has a port of its own."""
    with started(f"--scenario={SCENARIOS / 'rehearsal.yml'}", "--own-ports") as (_, url):
        with urlopen(f"{url}/control/state", timeout=5) as answer:
            state = json.load(answer)
        assert len(state["faults"]) == 13
        assert not any(fault["active"] for fault in state["faults"])
        ports = {venue["rest_url"].split("/")[2] for venue in state["venues"].values()}
        assert len(ports) == len(state["venues"])


def test_what_it_cannot_do_is_one_clear_line(tmp_path: Path) -> None:
    """A port in use, an unknown venue, a wrong or missing scenario: status 2, no traceback."""
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("- fault: mute\n- fault: mte\n")
    refused = tmp_path / "refused.yml"
    refused.write_text("- {fault: refuse, venue: okx, at: 5s}\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for flags, part in (
            ([f"--listen-address=127.0.0.1:{port}"], f"127.0.0.1:{port}: "),
            (["--venues=binanse"], "--venues: unknown 'binanse'"),
            ([f"--scenario={wrong}"], f"{wrong}:2: faults[1]: fault: unknown 'mte'; did you mean"),
            ([f"--scenario={tmp_path}/none"], f"{tmp_path}/none: No such file"),
            ([f"--scenario={refused}"], "refuse: needs a port for each venue"),
            (["--listen-address=nowhere"], "found 'nowhere', expected HOST:PORT"),
            (["--rate=-1"], "expected a number above 0"),
        ):
            ended = subprocess.run(
                [*COMMAND, *flags], capture_output=True, text=True, timeout=60, check=False
            )
            assert ended.returncode == 2
            assert part in ended.stderr
            assert len(ended.stderr.splitlines()) == 1


def test_what_it_prints_and_writes_can_be_watched(tmp_path: Path) -> None:
    """Every printed stream URL takes a WebSocket; the written config is one, of every venue."""
    file = tmp_path / "simulated.yml"
    process = subprocess.Popen(
        [*COMMAND, "--listen-address=127.0.0.1:0", f"--write-config={file}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = list(itertools.takewhile(lambda line: "ready " not in line, process.stdout))
        places = {name: rest.split() for name, _, rest in (line.partition(": ") for line in lines)}
        config = settings.load(file, venues.choices(), venues.load)
        assert [each.name for each in config.exchanges] == list(simulated.names())
        for each in config.exchanges:
            rest, stream = places[each.name]
            assert (each.rest_url, each.stream_url) == (rest, (stream,))
            # Where channels have paths of their own, those are appended to the address.
            route = next(iter(venues.load(each.venue).routes.values()), "")
            with connect(stream + route, open_timeout=20):
                pass
    finally:
        process.kill()
        process.wait(5)
        if process.stdout:
            process.stdout.close()
