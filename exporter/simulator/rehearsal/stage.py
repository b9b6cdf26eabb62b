"""Where a rehearsal takes place: programs of its own, or a staging environment that is there."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from exporter.simulator.rehearsal import derive
from exporter.simulator.rehearsal.programs import (
    free_ports,
    path_of,
    running,
    wait_ready,
    wait_well,
)
from exporter.simulator.rehearsal.talk import RehearsalError, ask
from exporter.venues import load

# What to run, and the Debian package that brings it; the first name that is found counts.
_NEEDED = {
    "prometheus": ("prometheus",),
    "prometheus-alertmanager": ("prometheus-alertmanager", "alertmanager"),
}
_MOST_POSTS = 10_000


@dataclass(frozen=True, slots=True)
class ToldAlert:
    """One alert as a notification tells it; its fingerprint tells it from others of its name."""

    name: str
    fingerprint: str
    severity: str
    firing: bool


@dataclass(frozen=True, slots=True)
class ReceivedNotification:
    """One notification: when it came (monotonic), to which receiver, of which alerts."""

    time: float
    receiver: str
    alerts: tuple[ToldAlert, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalStage:
    """The URLs of the programs, and the simulated venues that the exporter watches.

    ``told`` gives what people would have got, None if unknown.
    """

    prometheus: str
    alertmanager: str
    simulator: str
    venues: tuple[str, ...]
    told: Callable[[], Sequence[ReceivedNotification]] | None


def given(prometheus: str, alertmanager: str, simulator: str) -> RehearsalStage:
    """Use programs that run already. Raises RehearsalError if one does not answer."""
    found = [url.rstrip("/") for url in (prometheus, alertmanager, simulator)]
    ask(f"{found[0]}/api/v1/status/buildinfo")
    ask(f"{found[1]}/api/v2/status")
    state: Any = ask(f"{found[2]}/control/state")
    return RehearsalStage(
        prometheus=found[0],
        alertmanager=found[1],
        simulator=found[2],
        venues=tuple(state["venues"]),
        told=None,
    )


@contextmanager
def own(
    rules: Path, factor: float, venues: Sequence[str], sites: int, say: Callable[[str], None]
) -> Iterator[RehearsalStage]:
    """Run simulator, exporter, Prometheus and Alertmanager, and end them. Raises RehearsalError.

    Of several ``sites`` each has an exporter and a simulator; faults strike at the first.
    """
    found = {package: path_of(names) for package, names in _NEEDED.items()}
    if missing := [package for package, path in found.items() if not path]:
        raise RehearsalError(f"missing: sudo apt-get install {' '.join(missing)}")
    ports = free_ports(2 + 2 * sites)
    places = [f"127.0.0.1:{port}" for port in ports]
    prometheus, alertmanager, *rest = places
    simulators, exporters = rest[:sites], rest[sites:]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rehearsal-")))
        receiver = stack.enter_context(_receiver())

        def start(name: str, ready: str, *command: str) -> None:
            say(f"starting {name}")
            program = stack.enter_context(running(name, command, folder / f"{name}.log"))
            wait_ready(program, name, ready, folder / f"{name}.log")

        for number, (simulator, exporter) in enumerate(zip(simulators, exporters, strict=True), 1):
            # Of several sites one alone must not page for all: they leave it to the rules.
            push_to = alertmanager if sites == 1 else None
            watch(start, folder, f"-{number}" if sites > 1 else "", simulator, exporter,
                  venues, factor, push_to)  # fmt: skip
        for exporter in exporters:
            wait_well(f"http://{exporter}")
        config = derive.alertmanager(rules / "alertmanager.yml", receiver.url, factor)
        (folder / "alertmanager.yml").write_text(config)
        start(
            "alertmanager",
            f"http://{alertmanager}/-/ready",
            str(found["prometheus-alertmanager"]),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={alertmanager}",
            "--cluster.listen-address=",
        )
        (folder / "rules").mkdir()
        files = derive.rules(rules, folder / "rules", factor)
        (folder / "prometheus.yml").write_text(
            derive.prometheus(files, exporters, alertmanager, factor)
        )
        start(
            "prometheus",
            f"http://{prometheus}/-/ready",
            str(found["prometheus"]),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address={prometheus}",
            f"--rules.alert.resend-delay={derive.shorter('1m', factor, least=1.0)}",
        )
        yield RehearsalStage(
            prometheus=f"http://{prometheus}",
            alertmanager=f"http://{alertmanager}",
            simulator=f"http://{simulators[0]}",
            venues=tuple(venues),
            told=lambda: tuple(receiver.posts),
        )


def watch(
    start: Callable[..., None],
    folder: Path,
    suffix: str,
    simulator: str,
    exporter: str,
    venues: Sequence[str],
    factor: float,
    push_to: str | None,
) -> None:
    """Start a simulator and the exporter that watches it, each at its HOST:PORT.

    ``push_to`` is the Alertmanager that the exporter pushes to, HOST:PORT.
    """
    ours = [sys.executable, "-u", "-m", "exporter"]
    names = ",".join(dict.fromkeys((*venues, derive.CONTROL_VENUE)))
    start(
        f"simulator{suffix}",
        f"http://{simulator}/control/state",
        *(*ours, "simulate", f"--listen-address={simulator}", f"--venues={names}"),
        *(f"--symbols={','.join(derive.SYMBOLS)}", "--end-with-input"),
    )
    config = folder / f"exporter{suffix}.yml"
    config.write_text(derive.exporter(_places(f"http://{simulator}"), venues, factor, push_to))
    start(
        f"exporter{suffix}",
        f"http://{exporter}/-/ready",
        *(*ours, "run", f"--config.file={config}", f"--web.listen-address={exporter}"),
    )


def _places(simulator: str) -> dict[str, tuple[str, str]]:
    state: Any = ask(f"{simulator}/control/state")
    return {
        # Each venue's own path, below the simulator's address for it.
        name: (venue["rest_url"], venue["stream_url"] + urlsplit(load(name).stream_urls[0]).path)
        for name, venue in state["venues"].items()
    }


class _Receiver(ThreadingHTTPServer):
    """Takes Alertmanager's webhooks; the last part of the path is the receiver's name."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.posts: list[ReceivedNotification] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Taker(BaseHTTPRequestHandler):
    """One webhook."""

    server: _Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        alerts = tuple(
            ToldAlert(
                each["labels"]["alertname"],
                each["fingerprint"],
                each["labels"].get("severity", ""),
                each["status"] == "firing",
            )
            for each in body["alerts"]
        )
        receiver = self.path.rpartition("/")[2]
        if receiver != "heartbeat" and len(self.server.posts) < _MOST_POSTS:
            self.server.posts.append(ReceivedNotification(time.monotonic(), receiver, alerts))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
        """Say nothing."""


@contextmanager
def _receiver() -> Iterator[_Receiver]:
    receiver = _Receiver()
    thread = threading.Thread(target=receiver.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        receiver.server_close()
        thread.join(5.0)
