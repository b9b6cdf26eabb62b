"""Where a rehearsal takes place: programs of its own, or a staging environment that is there."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from exporter.simulator.rehearsal import derive
from exporter.simulator.rehearsal.deadlines import SignedDeadlines
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
class Place:
    """An exporter, the ``venues`` that it watches, each simulated for it alone, and its labels.

    ``labels`` are those of its target, ``job`` and ``site``; ``keen`` are exchanges at which
    detectors are twice as sensitive; ``pushes``: it tells Alertmanager itself, beside the rules.
    """

    venues: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    keen: tuple[str, ...] = ()
    pushes: bool = True


def at_sites(venues: Sequence[str], sites: int, factor: float) -> tuple[Place, ...]:
    """Return the places of a rehearsal; of several sites none pages for all: the rules do."""
    keen = (derive.JUDGED_VENUE,) if factor != 1 else ()
    if sites == 1:
        return (Place(venues=tuple(venues), keen=keen),)
    return tuple(
        Place(venues=tuple(venues), labels={"site": f"site-{n}"}, keen=keen, pushes=False)
        for n in range(1, sites + 1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalStage:
    """The URLs of the programs, and the simulated venues that the exporter watches.

    ``told`` gives what people would have got, None if unknown. ``simulators`` and ``exporters`` are
    those of each place, in order. ``deadlines`` are what the exporters follow, None if unknown.
    """

    prometheus: str
    alertmanager: str
    simulator: str
    venues: tuple[str, ...]
    told: Callable[[], Sequence[ReceivedNotification]] | None
    simulators: tuple[str, ...] = ()
    exporters: tuple[str, ...] = ()
    deadlines: SignedDeadlines | None = None


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
    rules: Path, factor: float, places: Sequence[Place], say: Callable[[str], None]
) -> Iterator[RehearsalStage]:
    """Run simulators, exporters, Prometheus and Alertmanager, and end them. Raises RehearsalError.

    Each place has an exporter and a simulator; of several sites faults strike at the first.
    """
    found = {package: path_of(names) for package, names in _NEEDED.items()}
    if missing := [package for package, path in found.items() if not path]:
        raise RehearsalError(f"missing: sudo apt-get install {' '.join(missing)}")
    ports = free_ports(2 + 2 * len(places))
    prometheus, alertmanager, *rest = [f"127.0.0.1:{port}" for port in ports]
    simulators, exporters = rest[: len(places)], rest[len(places) :]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rehearsal-")))
        receiver = stack.enter_context(_receiver())
        deadlines = SignedDeadlines(folder / "deadlines.yml")

        def start(name: str, ready: str, *command: str) -> None:
            say(f"starting {name}")
            program = stack.enter_context(running(name, command, folder / f"{name}.log"))
            wait_ready(program, name, ready, folder / f"{name}.log")

        for number, place in enumerate(places, 1):
            watch(start, folder, f"-{number}" if len(places) > 1 else "", simulators[number - 1],
                  exporters[number - 1], place, factor, alertmanager, deadlines)  # fmt: skip
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
            derive.prometheus(
                files,
                [(at, place.labels) for at, place in zip(exporters, places, strict=True)],
                alertmanager,
                factor,
            )
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
            venues=places[0].venues,
            told=lambda: tuple(receiver.posts),
            simulators=tuple(f"http://{each}" for each in simulators),
            exporters=tuple(f"http://{each}" for each in exporters),
            deadlines=deadlines,
        )


def watch(
    start: Callable[..., None],
    folder: Path,
    suffix: str,
    simulator: str,
    exporter: str,
    place: Place,
    factor: float,
    alertmanager: str,
    deadlines: SignedDeadlines | None = None,
) -> None:
    """Start a simulator and the exporter that watches it; all addresses are HOST:PORT."""
    ours = [sys.executable, "-u", "-m", "exporter"]
    names = ",".join(dict.fromkeys((*place.venues, derive.CONTROL_VENUE)))
    start(
        f"simulator{suffix}",
        f"http://{simulator}/control/state",
        *(*ours, "simulate", f"--listen-address={simulator}", f"--venues={names}"),
        *(f"--symbols={','.join(derive.SYMBOLS)}", "--end-with-input"),
    )
    config = folder / f"exporter{suffix}.yml"
    config.write_text(
        derive.exporter(
            _addresses(f"http://{simulator}"),
            place.venues,
            factor,
            push_to=alertmanager if place.pushes else None,
            job=place.labels.get("job"),
            keen=place.keen,
            deadlines=None if deadlines is None else deadlines.config,
        )
    )
    start(
        f"exporter{suffix}",
        f"http://{exporter}/-/ready",
        *(*ours, "run", f"--config.file={config}", f"--web.listen-address={exporter}"),
    )


def _addresses(simulator: str) -> dict[str, tuple[str, str]]:
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
