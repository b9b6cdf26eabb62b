"""Unusual behaviour and outages, from the exchange to real Alertmanagers and what they notify."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.live import programs
from tests.live.conftest import World, config
from tests.live.programs import eventually, free_port, get_json, process, program
from tests.live.test_alertmanager import Receiver
from tests.live.worlds import NO_LIMITS, simulated, watched

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("anomalies")]

VENUES = "--venues=binance,okx"
# Ten ticks a second learn little in the time that a test has, and see a step as a slope:
# four times the sensitivity makes up for it.
QUICK = (
    "anomaly: {tick: 100ms, hold: 300ms, clear: 1s, baseline: true,"
    " signals: {stream_latency: {sensitivity: 4}}}"
)


@contextmanager
def alertmanager(folder: Path, port: int, hook: str) -> Iterator[programs.Process]:
    """Run an Alertmanager that tells ``hook`` everything at once."""
    folder.mkdir(exist_ok=True)
    file = folder / "alertmanager.yml"
    file.write_text(
        "route: {receiver: page, group_by: [alertname, exchange], group_wait: 0s,"
        " group_interval: 1s}\n"
        f"receivers: [{{name: page, webhook_configs: [{{url: '{hook}'}}]}}]\n"
    )
    with process(
        program("prometheus-alertmanager"),
        f"--config.file={file}",
        f"--storage.path={folder}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ) as running:
        eventually(lambda: programs.get(f"{_url(port)}/-/ready"), "ready")
        yield running


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _active(port: int, name: str) -> list[dict[str, Any]]:
    found = get_json(f'{_url(port)}/api/v2/alerts?active=true&filter=alertname="{name}"')
    return [each for each in found if each["status"]["state"] == "active"]


def _score(world: World, **labels: str) -> float:
    return max(world.scrape().values("exchange_anomaly_score", **labels), default=0.0)


def _ready(world: World, **labels: str) -> bool:
    return world.scrape().values("exchange_anomaly_ready", **labels) == [1.0]


@contextmanager
def _alerted(
    folder: Path, ports: list[int], text: str, *arguments: str, probes: str = "interval: 500ms"
) -> Iterator[tuple[World, Receiver, list[programs.Process]]]:
    """Start Alertmanagers on these ports, simulated exchanges, and an exporter that knows all."""
    with ExitStack() as stack:
        receiver = stack.enter_context(_receiver())
        hook = _url(receiver.server_port)
        running = [
            stack.enter_context(alertmanager(folder / f"am{port}", port, hook)) for port in ports
        ]
        rows = ", ".join(f"{{url: '{_url(port)}'}}" for port in ports)
        alerting = "alerting: {repeat: 1s, external_labels: {cluster: test}}"
        extra = f"{text}\n{alerting}\nalertmanagers: [{rows}]"

        def configured(there: dict[str, str]) -> str:
            return config(there, extra).replace("interval: 500ms, timeout: 400ms", probes)

        started = stack.enter_context(simulated(folder, configured, VENUES, NO_LIMITS))
        yield stack.enter_context(watched(*started, *arguments)), receiver, running


@contextmanager
def _receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        thread.join(5.0)
        receiver.server_close()


def test_a_slow_stream_is_told_everywhere_until_it_is_over(tmp_path: Path) -> None:
    """Latency up: a verdict, a score above 1, and the rule's very labels in both Alertmanagers.

    One that is killed and started anew knows it again; all forget it when it is over.
    """
    ports = [free_port(), free_port()]
    with _alerted(tmp_path, ports, QUICK) as (world, receiver, running):
        eventually(lambda: _ready(world, exchange="okx", signal="stream_latency"), "learnt")
        world.inject(fault="latency", venue="okx", seconds=1.2)
        for port in ports:
            (alert,) = eventually(
                lambda port=port: _active(port, "ExchangeAnomaly"),  # type: ignore[misc]
                "both know it",
            )
            assert alert["labels"] == {
                "alertname": "ExchangeAnomaly",
                "severity": "info",
                "category": "data",
                "job": "exchange-exporter",
                "exchange": "okx",
                "signal": "stream_latency",
                "cluster": "test",
            }
            assert "okx: stream latency is" in alert["annotations"]["description"]
        assert _score(world, exchange="okx", signal="stream_latency", detector="ensemble") > 1.0
        assert world.scrape().total("exchange_anomaly_events_total", exchange="okx") == 1
        (incident,) = get_json(f"{world.url}/api/v1/anomalies")["incidents"]
        assert incident["evidence"]["value"] > incident["evidence"]["upper"]
        assert "okx: stream latency is" in programs.get(f"{world.url}/")
        assert "event=anomaly_opened exchange=okx signal=stream_latency" in world.exporter.output
        _restart(tmp_path, world, ports[0], running[0], receiver)
        world.clear()
        for port in ports[1:]:
            eventually(
                lambda port=port: not _active(port, "ExchangeAnomaly"),  # type: ignore[misc]
                "its lease is over",
                within=40,
            )
        pushes = world.scrape()
        name = "exchange_exporter_alert_pushes_total"
        assert pushes.total(name, alertmanager=f"127.0.0.1:{ports[1]}", outcome="success") > 1
        assert pushes.total(name, outcome="refused") == 0


def _restart(
    folder: Path, world: World, port: int, running: programs.Process, receiver: Receiver
) -> None:
    """Kill an Alertmanager and start it anew: what it held in memory is told again."""
    running.end(signal.SIGKILL)
    eventually(
        lambda: world.scrape().total(
            "exchange_exporter_alert_pushes_total",
            alertmanager=f"127.0.0.1:{port}",
            outcome="failed",
        ),
        "the exporter noticed",
    )
    with alertmanager(folder / "anew", port, _url(receiver.server_port)):
        eventually(lambda: _active(port, "ExchangeAnomaly"), "it knows it again")


@pytest.mark.timed
def test_an_outage_is_told_within_five_seconds(tmp_path: Path) -> None:
    """Probes every 10 s, and yet: the exchange goes away, and 5 s later the receiver has a page.

    Its labels are those of the rule ExchangeDown. A stream alone that is lost pages nobody.
    """
    port = free_port()
    state = tmp_path / "state"
    with _alerted(tmp_path, [port], "", f"--storage.path={state}", probes="interval: 10s") as (
        world,
        receiver,
        _,
    ):
        world.inject(fault="disconnect", venue="okx")
        time.sleep(3.0)
        assert not _active(port, "ExchangeDown")
        receiver.drain()
        injected = time.monotonic()
        world.inject(fault="reset", venue="binance")
        when, page = receiver.posts.get(timeout=60)
        assert when - injected <= 5.0
        (alert,) = page["alerts"]
        assert alert["status"] == "firing"
        assert alert["labels"] == {
            "alertname": "ExchangeDown",
            "severity": "critical",
            "category": "availability",
            "job": "exchange-exporter",
            "exchange": "binance",
            "cluster": "test",
        }
        assert world.exporter.end() == 0
        assert (state / "detectors.state").stat().st_size > 1000
