"""Each fault that a venue can show, and the metric that must tell of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.live import programs
from tests.live.conftest import Samples, World, make_world

pytestmark = [pytest.mark.live, pytest.mark.timeout(120), pytest.mark.xdist_group("faults")]

PRICES = "prices: {still: 5s, freshness: 3s}"

Tell = Callable[[Samples, Samples], bool]


@dataclass(frozen=True, slots=True)
class Case:
    """A fault of one venue, and how a page after it differs from the page before."""

    name: str
    fault: dict[str, object]
    tells: Tell
    venue: str = "binance"
    again: bool = False  # whether it strikes new subscriptions, so that the stream must come anew


def rises(metric: str, **labels: str) -> Tell:
    """The counter is higher than before."""
    return lambda before, after: after.total(metric, **labels) > before.total(metric, **labels)


def fails(reason: str) -> Tell:
    """Probes of this venue fail, for this reason."""
    return rises("exchange_probe_failures_total", exchange="binance", reason=reason)


def lost(reason: str) -> Tell:
    """The stream's connection ends, for this reason."""
    return rises("exchange_stream_disconnects_total", exchange="binance", reason=reason)


def holds(condition: Callable[[Samples], bool]) -> Tell:
    """It holds now, whatever was before."""
    return lambda before, after: condition(after)


def slow(before: Samples, after: Samples) -> bool:
    """Most new probes took longer than a tenth of a second."""
    name, labels = "exchange_probe_duration_seconds", {"exchange": "binance"}

    def count(page: Samples) -> tuple[float, float]:
        fast = page.total(f"{name}_bucket", le="0.1", **labels)
        return page.total(f"{name}_count", **labels), fast

    (new, new_fast), (old, old_fast) = count(after), count(before)
    return new - old >= 4 and (new_fast - old_fast) / (new - old) < 0.5


def stale(page: Samples) -> bool:
    """Subscriptions of the venue are shown as stale."""
    return page.total("exchange_stream_subscriptions", exchange="binance", state="stale") > 0


CASES = (
    Case("latency", {"fault": "latency", "seconds": 0.2, "endpoint": "*"}, slow),
    Case("error", {"fault": "error", "status": 503}, fails("http_5xx")),
    Case("client-error", {"fault": "error", "status": 404}, fails("http_4xx")),
    Case(
        "429-seconds",
        {"fault": "rate_limit", "retry_after": 1},
        lambda b, a: (
            fails("rate_limited")(b, a)
            and rises("exchange_probe_skipped_total", exchange="binance", reason="banned")(b, a)
        ),
    ),
    Case(
        "429-date",
        {"fault": "rate_limit", "retry_after": 2, "form": "date"},
        lambda b, a: (
            fails("rate_limited")(b, a)
            and rises("exchange_probe_skipped_total", exchange="binance", reason="banned")(b, a)
        ),
    ),
    Case(
        "418",
        {"fault": "ban", "retry_after": 3},
        lambda b, a: (
            fails("banned")(b, a)
            and bool(
                a.values("exchange_rate_limit_banned_until_timestamp_seconds", exchange="binance")
            )
        ),
    ),
    Case("timeout", {"fault": "timeout"}, fails("read_timeout")),
    Case("reset", {"fault": "reset", "endpoint": "*"}, fails("reset")),
    Case(
        "refuse",
        {"fault": "refuse"},
        lambda b, a: (
            fails("connect_refused")(b, a)
            and a.values("exchange_stream_connected", exchange="binance") == [0.0]
            and rises("exchange_stream_connects_total", exchange="binance", result="failure")(b, a)
        ),
    ),
    Case("garbage", {"fault": "garbage_body"}, fails("body_invalid")),
    Case(
        "breaker",
        {"fault": "error", "status": 500},
        lambda b, a: (
            rises("exchange_circuit_breaker_transitions_total", exchange="binance", to="open")(b, a)
            and rises("exchange_probe_skipped_total", exchange="binance", reason="breaker_open")(
                b, a
            )
        ),
    ),
    Case("mute", {"fault": "mute", "channel": "trades"}, holds(stale)),
    Case(
        "mute-connection",
        {"fault": "mute"},
        lambda b, a: holds(stale)(b, a) or lost("stale_subscription")(b, a) or lost("idle")(b, a),
    ),
    Case(
        "ack-then-mute",
        {"fault": "ack_then_mute"},
        lambda b, a: (
            a.total("exchange_stream_subscriptions", exchange="binance", state="acked") > 0
            or stale(a)
        ),
        again=True,
    ),
    Case(
        "reject",
        {"fault": "reject_subscription"},
        holds(
            lambda page: (
                page.total("exchange_stream_subscriptions", exchange="binance", state="rejected")
                > 0
            )
        ),
        again=True,
    ),
    Case(
        "gap",
        {"fault": "gap", "probability": 0.3},
        lambda b, a: (
            rises("exchange_book_sequence_gaps_total", exchange="binance")(b, a)
            and rises("exchange_book_missed_updates_total", exchange="binance")(b, a)
            and rises("exchange_stream_sequence_gaps_total", exchange="binance", channel="trades")(
                b, a
            )
        ),
    ),
    Case(
        "clock-ahead",
        {"fault": "clock_skew", "seconds": 5},
        holds(
            lambda page: (
                4.9 < page.values("exchange_clock_offset_seconds", exchange="binance")[0] < 5.1
            )
        ),
    ),
    Case(
        "clock-ahead-negative-latency",
        {"fault": "clock_skew", "seconds": 60},
        rises("exchange_stream_latency_negative_total", exchange="binance"),
    ),
    Case(
        "disconnect",
        {"fault": "disconnect", "code": 1001},
        lost("server_close"),
    ),
    Case("disconnect-abrupt", {"fault": "disconnect", "code": 1006}, lost("network")),
    Case(
        "malformed",
        {"fault": "malformed", "form": "truncated", "probability": 0.5},
        rises("exchange_stream_parse_errors_total", exchange="binance"),
    ),
    Case(
        "malformed-nan",
        {"fault": "malformed", "form": "nan", "probability": 0.5},
        rises("exchange_stream_parse_errors_total", exchange="binance"),
    ),
    Case(
        "malformed-deep",
        {"fault": "malformed", "form": "deep", "probability": 0.5},
        rises("exchange_stream_parse_errors_total", exchange="binance"),
    ),
    Case(
        "malformed-huge-integer",
        {"fault": "malformed", "form": "huge_integer", "probability": 0.5},
        rises("exchange_stream_parse_errors_total", exchange="binance"),
    ),
    Case(
        "malformed-binary",
        {"fault": "malformed", "form": "binary", "probability": 0.5},
        rises("exchange_stream_parse_errors_total", exchange="binance"),
    ),
    # WebSocket itself forbids these: the connection cannot go on, and a new one is made.
    Case(
        "malformed-utf8",
        {"fault": "malformed", "form": "invalid_utf8", "probability": 0.5},
        lambda b, a: (
            lost("protocol_error")(b, a)
            or rises("exchange_stream_parse_errors_total", exchange="binance")(b, a)
        ),
    ),
    Case(
        "malformed-protocol",
        {"fault": "malformed", "form": "protocol", "probability": 0.5},
        lost("protocol_error"),
    ),
    Case(
        "malformed-huge-frame",
        {"fault": "malformed", "form": "huge_frame", "probability": 0.2},
        lost("protocol_error"),
    ),
    Case(
        "price-offset",
        {"fault": "price_offset", "ratio": 0.05, "symbol": "*BTC*"},
        holds(
            lambda page: (
                page.values("exchange_mid_price", exchange="binance", symbol="BTC-USDT")[0]
                > 1.03 * page.values("exchange_mid_price", exchange="bybit", symbol="BTC-USDT")[0]
            )
        ),
    ),
    Case(
        "wide-spread",
        {"fault": "wide_spread", "factor": 100},
        lambda b, a: (
            a.total("exchange_spread_ratio", exchange="binance")
            > 5 * b.total("exchange_spread_ratio", exchange="binance")
        ),
    ),
    Case(
        "frozen-price",
        {"fault": "frozen_price"},
        holds(lambda page: page.total("exchange_price_frozen", exchange="binance") > 0),
    ),
    Case(
        "crossed-book",
        {"fault": "crossed_book"},
        lambda b, a: (
            rises("exchange_book_crossed_seconds_total", exchange="binance")(b, a)
            and rises("exchange_book_resyncs_total", exchange="binance", reason="crossed")(b, a)
        ),
    ),
    Case(
        "bad-checksum",
        {"fault": "bad_checksum"},
        lambda b, a: (
            rises("exchange_book_checksum_failures_total", exchange="okx")(b, a)
            and rises("exchange_book_resyncs_total", exchange="okx", reason="checksum")(b, a)
        ),
        venue="okx",
    ),
    Case(
        "maintenance",
        {"fault": "maintenance"},
        lambda b, a: (
            a.values("exchange_maintenance_active", exchange="binance", source="venue") == [1.0]
            and fails("http_5xx")(b, a)
        ),
    ),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for all cases; each waits until the one before has healed."""
    folder = tmp_path_factory.mktemp("faults")
    with make_world(
        folder, "--own-ports", "--no-limits", "--venues=binance,bybit,okx", extra=PRICES
    ) as made:
        yield made


def healthy(world: World) -> bool:
    """Every probe succeeds, every breaker is closed, every subscription is live."""
    page = world.scrape()
    successes = page.values("exchange_probe_success")
    closed = page.values("exchange_circuit_breaker_state", state="closed")
    live = page.total("exchange_stream_subscriptions", state="live")
    maintenance = page.total("exchange_maintenance_active")
    return all(successes) and all(closed) and live == 18 and not maintenance


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault_is_told(world: World, case: Case) -> None:
    """The metric tells of the fault within 15 s, and all is well again within 15 s of its end."""
    programs.eventually(lambda: healthy(world), "all is well before")
    before = world.scrape()
    world.inject(venue=case.venue, **case.fault)
    if case.again:
        world.inject(venue=case.venue, fault="disconnect")
    try:
        programs.eventually(
            lambda: case.tells(before, world.scrape()), f"a metric tells of {case.name}"
        )
        assert world.exporter.popen.poll() is None
    finally:
        world.clear()
    programs.eventually(lambda: healthy(world), f"all is well after {case.name}")
    assert "Traceback" not in world.exporter.output
