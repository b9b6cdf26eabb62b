"""The shipped Alertmanager config in a real Alertmanager: who is muted, who is told, how often."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alert_rules.rules import FOLDER, alerts
from tests.live.programs import eventually, free_port, get, get_json, post_json, process, program

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("alertmanager")]

CONFIG = FOLDER / "alertmanager.yml"
RELAY = "http://127.0.0.1:9719/api/v1/alertmanager"
WAITS = ("group_wait", "group_interval")
Labels = dict[str, str]


class Receiver(ThreadingHTTPServer):
    """Takes webhooks; keeps what each said."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.posts: queue.Queue[tuple[float, dict[str, Any]]] = queue.Queue()

    def drain(self) -> list[tuple[float, dict[str, Any]]]:
        """Return all that came since the last call, with the time of each."""
        found = []
        while not self.posts.empty():
            found.append(self.posts.get_nowait())
        return found

    def wait_posts(self, more: float) -> list[dict[str, Any]]:
        """Wait for the first post, and for whatever follows it within ``more`` seconds."""
        _, first = self.posts.get(timeout=60.0)
        time.sleep(more)
        return [first, *(post for _, post in self.drain())]


class Taker(BaseHTTPRequestHandler):
    """One webhook."""

    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posts.put((time.monotonic(), body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
        """Say nothing."""


def derived(hook: str, **waits: str) -> dict[str, Any]:
    """Return the shipped config with the relay at ``hook`` and these waits everywhere."""
    config = yaml.safe_load(CONFIG.read_text())
    for receiver in config["receivers"]:
        for each in receiver.get("webhook_configs", []):
            each["url"] = each["url"].replace(RELAY, hook)
    for route in (config["route"], *config["route"]["routes"]):
        for key in set(waits) & set(route):
            route[key] = waits[key]
        # At night notes are muted: the result of a test must not depend on the hour.
        route.pop("mute_time_intervals", None)
    return dict(config)


def without_waits(config: dict[str, Any]) -> dict[str, Any]:
    """Return a copy without addresses, waits and hours."""
    plain = deepcopy(config)
    for receiver in plain["receivers"]:
        for each in receiver.get("webhook_configs", []):
            each["url"] = ""
    for route in (plain["route"], *plain["route"]["routes"]):
        for key in (*WAITS, "repeat_interval", "mute_time_intervals"):
            route.pop(key, None)
    return plain


@contextmanager
def alertmanager(folder: Path, **waits: str) -> Iterator[tuple[str, Receiver]]:
    """Run the real Alertmanager on the derived config; return its URL and the receiver."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever, daemon=True)
    thread.start()
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(derived(f"http://127.0.0.1:{receiver.server_port}/", **waits)))
    port = free_port()
    try:
        with process(
            program("prometheus-alertmanager", "alertmanager"),
            f"--config.file={file}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ):
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: get(f"{url}/-/ready"), "Alertmanager is ready")
            yield url, receiver
    finally:
        receiver.shutdown()
        receiver.server_close()
        thread.join(5.0)


JOB = {"job": "exchange-exporter"}
ALERTS: dict[str, Labels] = {}
for _alert in alerts():
    ALERTS.setdefault(_alert.name, {"alertname": _alert.name, **_alert.labels})


def alert(name: str, **labels: str) -> Labels:
    """Return the labels of a shipped alert, with those of its series."""
    return {**ALERTS[name], **JOB, **labels}


def fire(url: str, *several: Labels) -> None:
    """Post alerts that fire from now on."""
    post_json(f"{url}/api/v2/alerts", [{"labels": labels} for labels in several])


def inhibited(url: str, count: int) -> dict[frozenset[tuple[str, str]], bool]:
    """Return for each alert, once ``count`` are there, whether another mutes it."""

    def all_there() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = get_json(f"{url}/api/v2/alerts")
        return found if len(found) == count else []

    found = eventually(all_there, f"{count} alerts")
    return {frozenset(a["labels"].items()): bool(a["status"]["inhibitedBy"]) for a in found}


OKX = {"exchange": "okx"}
# What mutes, what it mutes, and what it must not.
CASES: dict[str, tuple[Labels, list[Labels], list[Labels]]] = {
    "no exporter": (
        alert("ExchangeExporterDown"),
        [alert("ExchangeDown", **OKX), alert("ExchangeExporterLoopLag", instance="a:9100")],
        [alert("AlertRelayDown"), alert("ExchangeDown", **OKX, job="other")],
    ),
    "no exporter at one site": (
        alert("ExchangeExporterDown", site="fra"),
        [alert("ExchangeStreamDown", **OKX, site="fra")],
        [alert("ExchangeStreamDown", **OKX, site="lon"), alert("ExchangeDown", exchange="kraken")],
    ),
    "site cut off": (
        alert("ExchangeSiteCutOff"),
        [
            alert("ExchangeAllDown"),
            alert("ExchangeDown", **OKX),
            alert("ExchangeStreamSilent", **OKX, channel="trades", symbol="BTC-USDT"),
            alert("ExchangeErrorBudgetBurn", **OKX),
        ],
        [alert("ExchangeExporterLoopLag"), alert("ExchangeCertificateExpiring", **OKX)],
    ),
    "one site of several cut off": (
        alert("ExchangeSiteCutOff", site="fra"),
        [alert("ExchangeStreamDown", **OKX, site="fra")],
        [alert("ExchangeDown", exchange="kraken"), alert("ExchangeStreamDown", **OKX, site="lon")],
    ),
    "all down": (
        alert("ExchangeAllDown"),
        [alert("ExchangeDown", **OKX), alert("ExchangeFeedSilent", **OKX)],
        [alert("ExchangeExporterDown", job="other"), alert("AlertRelayDeliveryFailing")],
    ),
    "down with others of its provider": (
        alert("ExchangeProviderDown", **OKX, provider="aws"),
        [alert("ExchangeDown", **OKX), alert("ExchangeStreamDown", **OKX)],
        [
            alert("ExchangeDown", exchange="kraken"),
            alert("ExchangeBanned", **OKX),
            alert("ExchangeDown", **OKX, job="other"),
        ],
    ),
    "an endpoint down with others of its provider": (
        alert("ExchangeProviderEndpointsDown", **OKX, endpoint="time", provider="aws"),
        [
            alert("ExchangeEndpointDown", **OKX, endpoint="time", site="fra"),
            alert("ExchangeBreakerOpen", **OKX, endpoint="time"),
        ],
        [
            alert("ExchangeEndpointDown", **OKX, endpoint="book"),
            alert("ExchangeEndpointDown", exchange="kraken", endpoint="time"),
            alert("ExchangeStreamDown", **OKX),
        ],
    ),
    "maintenance": (
        alert("ExchangeMaintenance", **OKX),
        [alert("ExchangeDown", **OKX), alert("ExchangeStreamDown", **OKX, site="fra")],
        [
            alert("ExchangeMaintenanceOverrun", **OKX),
            alert("ExchangeBanned", **OKX),
            alert("ExchangeDown", exchange="kraken"),
            alert("ExchangeQuoteDepeg", base_quote="USD", quote="USDT"),
        ],
    ),
    "exchange down": (
        alert("ExchangeDown", **OKX),
        [
            alert("ExchangeEndpointDown", **OKX, endpoint="time"),
            alert("ExchangeBreakerOpen", **OKX, endpoint="time"),
            alert("ExchangeErrorBudgetBurn", **OKX),
            alert("ExchangePriceFrozen", **OKX, symbol="BTC-USDT"),
        ],
        [
            alert("ExchangeBanned", **OKX, site="fra"),
            alert("ExchangeMaintenanceOverrun", **OKX),
            alert("ExchangeStreamDown", exchange="kraken"),
            alert("ExchangeCertificateExpiring", **OKX),
        ],
    ),
    "ban": (
        alert("ExchangeBanned", **OKX),
        [alert("ExchangeDown", **OKX), alert("ExchangeRateLimited", **OKX)],
        [alert("ExchangeCertificateExpiring", **OKX), alert("ExchangeDown", exchange="kraken")],
    ),
    "down at one site": (
        alert("ExchangeDownAtSite", **OKX, site="fra"),
        [alert("ExchangeEndpointDown", **OKX, site="fra", endpoint="time")],
        [alert("ExchangeEndpointDown", **OKX, site="lon", endpoint="time")],
    ),
    "stream down": (
        alert("ExchangeStreamDown", **OKX, stream="market"),
        [alert("ExchangeFeedSilent", **OKX), alert("ExchangeStreamReconnectStorm", **OKX)],
        [
            alert("ExchangeEndpointDown", **OKX, endpoint="time"),
            alert("ExchangePriceFrozen", **OKX),
        ],
    ),
    "all silent": (
        alert("ExchangeFeedSilent", **OKX),
        [
            alert("ExchangeStreamSilent", **OKX, channel="trades", symbol="BTC-USDT"),
            alert("ExchangeStreamMissesMarket", **OKX, channel="trades", symbol="BTC-USDT"),
        ],
        [alert("ExchangeSpreadWide", **OKX), alert("ExchangeFeedSilent", exchange="kraken")],
    ),
    "endpoint down": (
        alert("ExchangeEndpointDown", **OKX, endpoint="time"),
        [alert("ExchangeBreakerOpen", **OKX, endpoint="time")],
        [alert("ExchangeBreakerOpen", **OKX, endpoint="klines")],
    ),
    "corroborated": (
        alert("ExchangeAnomalyCorroborated", **OKX),
        [alert("ExchangeAnomaly", **OKX, signal="probe_latency")],
        [alert("ExchangeAnomaly", exchange="kraken", signal="probe_latency")],
    ),
    "a connection lost for seconds": (
        alert("ExchangeStreamInterrupted", **OKX, site="fra"),
        [alert("ExchangeAnomalyCorroborated", **OKX)],
        [
            alert("ExchangeAnomalyCorroborated", exchange="kraken"),
            alert("ExchangeStreamDown", **OKX, site="fra", stream="market"),
            alert("ExchangeLatencyHigh", **OKX, site="fra", endpoint="time"),
        ],
    ),
    "no trading at the whole exchange": (
        alert("ExchangeMarketRestricted", **OKX, mode="cancel_only"),
        [
            alert("ExchangeStreamRateDrop", **OKX, site="fra", channel="trades"),
            alert("ExchangeAnomalyCorroborated", **OKX),
        ],
        [
            alert("ExchangeStreamDown", **OKX, site="fra", stream="market"),
            alert("ExchangePriceFrozen", **OKX, symbol="BTC-USDT"),
            alert("ExchangeStreamRateDrop", exchange="kraken", channel="trades"),
        ],
    ),
    "no trading in one market": (
        alert("ExchangeMarketRestricted", **OKX, cause="market", mode="halted", symbol="BTC-USDT"),
        [],
        [alert("ExchangeStreamRateDrop", **OKX, site="fra", channel="trades")],
    ),
    "aftermath of one exchange": (
        alert("ExchangeAftermath", **OKX),
        [
            alert("ExchangeRateLimited", **OKX),
            alert("ExchangeStreamReconnectStorm", **OKX, site="fra", stream="market"),
            alert("ExchangeAnomaly", **OKX, signal="probe_latency"),
        ],
        [
            alert("ExchangePriceFrozen", **OKX, symbol="BTC-USDT"),
            alert("ExchangeStreamSilent", **OKX, channel="trades", symbol="BTC-USDT"),
            alert("ExchangeErrorBudgetBurn", **OKX),
            alert("ExchangeRateLimited", exchange="kraken"),
        ],
    ),
    "aftermath of everything at one site": (
        alert("ExchangeAftermath", site="fra"),
        [alert("ExchangeLatencyHigh", **OKX, site="fra", endpoint="time")],
        [
            alert("ExchangeLatencyHigh", **OKX, site="lon", endpoint="time"),
            alert("ExchangePriceFrozen", **OKX, site="fra", symbol="BTC-USDT"),
        ],
    ),
    "relay down": (
        alert("AlertRelayDown", job="alert-relay"),
        [alert("AlertRelayHeartbeatMissing", job="alert-relay")],
        [alert("AlertmanagerNotificationsFailing", job="alertmanager")],
    ),
    "the worse variant": (
        alert("ExchangePriceDivergence", **OKX, symbol="BTC-USDT", severity="critical"),
        [alert("ExchangePriceDivergence", **OKX, symbol="BTC-USDT", severity="warning")],
        [alert("ExchangePriceDivergence", **OKX, symbol="ETH-USDT", severity="warning")],
    ),
    "the worse variant of one announced end": (
        alert("ExchangeApiDeadline", **OKX, part="path", what="/a", severity="critical"),
        [
            alert("ExchangeApiDeadline", **OKX, part="path", what="/a", severity="warning"),
            alert("ExchangeApiDeadline", **OKX, part="path", what="/a", severity="info"),
        ],
        [
            alert("ExchangeApiDeadline", **OKX, part="path", what="/b", severity="warning"),
            alert("ExchangeApiDeadline", **OKX, part="path", what="/c", severity="info"),
        ],
    ),
    "notes alone": (
        alert("ExchangeInfoInhibitor", **OKX),
        [alert("ExchangeAnomaly", **OKX, signal="probe_latency")],
        [alert("ExchangeAnomaly", exchange="kraken", signal="probe_latency")],
    ),
}


@pytest.mark.usefixtures("generation")
def test_each_source_mutes_its_own_and_nothing_else(tmp_path: Path) -> None:
    """Each inhibition strikes what its cause explains, and leaves all other alerts alone."""
    with alertmanager(tmp_path) as (url, _):
        for name, (source, muted, heard) in CASES.items():
            # A world of its own for each case, in one Alertmanager: jobs named after it.
            world = [
                {**labels, "job": f"{labels['job']} {name}"} for labels in (source, *muted, *heard)
            ]
            fire(url, *world)
        found = inhibited(url, sum(1 + len(m) + len(h) for _, m, h in CASES.values()))
    for name, (source, muted, heard) in CASES.items():
        for labels, expected in (
            (source, False),
            *((each, True) for each in muted),
            *((each, False) for each in heard),
        ):
            key = frozenset({**labels, "job": f"{labels['job']} {name}"}.items())
            assert found[key] is expected, (name, labels["alertname"])


def test_every_inhibition_has_a_case() -> None:
    """No rule of the config goes untried."""
    tried = {source["alertname"] for source, _, _ in CASES.values()}
    rules = yaml.safe_load(CONFIG.read_text())["inhibit_rules"]
    named = [
        text.split('"')[1]
        for rule in rules
        for text in rule["source_matchers"]
        if text.startswith("alertname=")
    ]
    assert set(named) <= tried
    assert len(rules) == len(named) + 2, "all but two name their source: the worse variants"


def everything(exchanges: int) -> list[Labels]:
    """Return every alert that can be said of exchanges, for each of so many."""
    found = []
    for shipped in alerts():
        if shipped.labels["category"] in {"exporter", "pipeline"} or shipped.name in {
            "ExchangeAllDown",
            "ExchangeProviderDown",
            "ExchangeAftermath",
            "ExchangeInfoInhibitor",
            "ExchangeStreamInterrupted",
            "ExchangeQuoteDepeg",
            "ExchangeApiDeadline",  # no outage brings this and the next
            "ExchangeCertificateExpiring",
            "ExchangeBanned",
            "ExchangeMaintenance",
            "ExchangeMaintenanceOverrun",
        }:
            continue
        for n in range(exchanges):
            labels = {"alertname": shipped.name, **shipped.labels, **JOB, "exchange": f"x{n}"}
            if shipped.labels["category"] in {"stream", "data"}:
                found += [{**labels, "symbol": s, "stream": s} for s in ("BTC-USDT", "ETH-USDT")]
            else:
                found.append(labels)
    return found


@pytest.mark.usefixtures("generation")
@pytest.mark.parametrize("cause", ["ExchangeAllDown", "ExchangeSiteCutOff"])
def test_the_worst_night_is_three_notifications_at_most(tmp_path: Path, cause: str) -> None:
    """All ten exchanges and all their streams fail at once: people are told why, and once."""
    with alertmanager(tmp_path, group_wait="2s", group_interval="2s") as (url, receiver):
        storm = everything(10)
        assert len(storm) > 300
        fire(url, *storm, alert(cause))
        told = receiver.wait_posts(5.0)
    assert 1 <= len(told) <= 3
    assert [a["labels"]["alertname"] for a in told[0]["alerts"]] == [cause]


@pytest.mark.usefixtures("generation")
def test_one_exchange_down_is_one_notification(tmp_path: Path) -> None:
    """With every endpoint, stream, book and symbol of one exchange failing, one page leaves."""
    with alertmanager(tmp_path, group_wait="2s", group_interval="2s") as (url, receiver):
        fire(url, *everything(1))
        told = receiver.wait_posts(4.0)
    assert [post["groupLabels"]["alertname"] for post in told] == ["ExchangeDown"]
    assert told[0]["receiver"] == "page"


def test_streams_of_all_exchanges_are_few_notifications(tmp_path: Path) -> None:
    """All streams of ten exchanges are lost while REST answers: grouped, not one by one."""
    with alertmanager(tmp_path, group_wait="2s", group_interval="2s") as (url, receiver):
        storm = [each for each in everything(10) if each["category"] == "stream"]
        fire(url, *storm)
        told = receiver.wait_posts(4.0)
    names = {post["groupLabels"]["alertname"] for post in told}
    assert len(told) <= 3
    assert "ExchangeStreamDown" in names


@pytest.mark.timed
def test_the_watchdog_beats_steadily(tmp_path: Path) -> None:
    """While the watchdog fires, the relay hears of it at every group interval."""
    with alertmanager(tmp_path, group_interval="2s", repeat_interval="1s") as (url, receiver):
        fire(url, {**ALERTS["Watchdog"]})
        time.sleep(9.0)
        beats = [moment for moment, post in receiver.drain() if post["receiver"] == "heartbeat"]
    gaps = [later - earlier for earlier, later in pairwise(beats)]
    assert len(beats) >= 4
    assert all(1.0 < gap < 3.5 for gap in gaps), gaps


def test_the_derived_config_differs_in_waits_only() -> None:
    """What is tried here is what is shipped, but for addresses, waits and hours."""
    shipped = yaml.safe_load(CONFIG.read_text())
    tried = derived(
        "http://127.0.0.1:1/", group_wait="1s", group_interval="1s", repeat_interval="1s"
    )
    assert without_waits(tried) == without_waits(shipped)
    assert "9719" not in str(tried["receivers"])
    watchdog = shipped["route"]["routes"][0]
    assert [watchdog[key] for key in (*WAITS, "repeat_interval")] == ["0s", "1m", "50s"]
