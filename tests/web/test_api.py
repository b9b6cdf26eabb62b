"""The API's payloads, as they go over the wire."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec

from exporter.web.api import anomalies, exchange_named, overview
from tests.web.examples import SNAPSHOT


def over_the_wire(value: object) -> Any:
    """Return what a client reads."""
    return json.loads(msgspec.json.encode(value))


def test_state_holds_everything_with_its_health() -> None:
    """One request gives exchanges, endpoints, streams, subscriptions and anomalies."""
    state = over_the_wire(overview(SNAPSHOT))
    assert (state["health"], state["window_seconds"], state["series"]) == ("degraded", 300.0, 1284)
    binance, okx, bybit = state["exchanges"]
    assert [one["health"] for one in (binance, okx, bybit)] == ["up", "degraded", "down"]
    assert binance["limits"] == {"request_weight": 0.12}
    ping = binance["endpoints"][0]
    assert (ping["health"], ping["median"], ping["p99"], ping["circuit"]) == (
        "up", 0.0387, 0.1304, "closed",
    )  # fmt: skip
    assert bybit["endpoints"][0]["reason"] == "connect_timeout"
    stream = okx["streams"][0]
    assert (stream["health"], stream["lost"]) == ("degraded", "ping_timeout")
    states = [row["state"] for row in stream["subscriptions"]]
    assert states == ["live", "stale", "acked", "live", "live"]
    assert stream["subscriptions"][2]["silence"] == "moved"
    assert stream["subscriptions"][2]["book"] == {
        "synced": False, "crossed": False, "crossed_since": None, "levels": 0,
        "resyncs": 2, "reason": "gap",
    }  # fmt: skip


def test_one_exchange_by_name() -> None:
    """A name of the config gives that exchange, another none."""
    found = over_the_wire(exchange_named(SNAPSHOT, "okx-tokyo"))
    assert found["title"] == "OKX"
    assert exchange_named(SNAPSHOT, "nobody") is None


def test_anomalies_come_worst_first() -> None:
    """Scores by detector, the most unusual signal first, those not known last; NaN is null.

    Beside them what goes on, the longest first, and what was decided, with its evidence.
    """
    odd = replace(SNAPSHOT.anomalies[1], score=float("nan"))
    all_of_it = over_the_wire(anomalies(replace(SNAPSHOT, anomalies=(odd, *SNAPSHOT.anomalies))))
    found = all_of_it["signals"]
    assert [one["score"] for one in found] == [2.41, 0.21, None, None]
    assert [one["alarming"] for one in found] == [True, False, False, False]
    assert found[0]["scores"] == {"zscore": 2.41, "iqr": 1.8, "rolling_mean": 1.12}
    assert [one["signal"] for one in all_of_it["incidents"]] == ["probe_latency", "spread"]
    worst = all_of_it["verdicts"][0]
    assert (worst["change"], worst["severity"]) == ("worsened", "critical")
    assert worst["evidence"] == {
        "score": 2.41,
        "value": 0.412,
        "center": 0.0381,
        "lower": None,
        "upper": 0.12,
        "detectors": {"ensemble": 2.41, "zscore": 5.2},
    }
