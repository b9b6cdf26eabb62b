"""A snapshot with something of everything, as the page's tests and its picture show it."""

from __future__ import annotations

from dataclasses import replace

from exporter.model import Channel, Circuit, Resync, SilenceVerdict, SubscriptionState
from exporter.signals import Change, Severity
from exporter.web.state import (
    AnomalyView,
    BookView,
    EndpointView,
    ExchangeView,
    Health,
    Snapshot,
    StreamView,
    SubscriptionRow,
    TimelineSpan,
    VerdictView,
)

NOW = 1_763_715_600.0

DAY = tuple(
    TimelineSpan(start=NOW - begin * 3600.0, end=NOW - end * 3600.0, health=health)
    for begin, end, health in (
        (24, 20, Health.PENDING), (20, 9, Health.UP), (9, 8.5, Health.DOWN),
        (8.5, 3, Health.UP), (3, 2, Health.DEGRADED), (2, 0, Health.UP),
    )
)  # fmt: skip

PING = EndpointView(
    name="ping",
    ok=True,
    probes=60,
    mean=0.0412,
    median=0.0387,
    p95=0.0821,
    p99=0.1304,
    error_ratio=0.0,
    last_success=NOW - 2.4,
    recent=tuple(0.03 + 0.02 * ((7 * n) % 5) / 5 + (0.08 if n == 31 else 0.0) for n in range(40)),
)
TRADES = SubscriptionRow(
    channel=Channel.TRADES,
    symbol="BTC-USDT",
    state=SubscriptionState.LIVE,
    last_message=NOW - 0.2,
    stale_after=30.0,
    rate=84.2,
    latency=0.0123,
    price=64_123.4,
)
QUOTES = replace(TRADES, channel=Channel.QUOTES, rate=412.0, latency=0.0091, last_message=NOW - 0.1)
BOOK = replace(
    TRADES,
    channel=Channel.BOOK,
    rate=10.0,
    latency=0.0204,
    price=None,
    book=BookView(synced=True, levels=1964),
)
STREAM = StreamView(
    name="binance/1",
    address="wss://stream.binance.com:9443/stream",
    connected=True,
    attempted=True,
    since=NOW - 8040,
    subscriptions=(TRADES, QUOTES, BOOK, replace(TRADES, symbol="ETH-USDT", price=3120.5)),
)
HEALTHY = ExchangeView(
    name="binance",
    timeline=DAY,
    title="Binance",
    endpoints=(
        PING,
        replace(PING, name="time", mean=0.0398, median=0.0371, p95=0.0755, p99=0.1189),
        replace(PING, name="exchange_info", mean=0.212, median=0.2011, p95=0.388, p99=0.4121),
    ),
    streams=(STREAM,),
    clock_offset=-0.0032,
    clock_error=0.0189,
    limits=(("request_weight", 0.12),),
)
SHAKY = replace(
    HEALTHY,
    name="okx-tokyo",
    title="OKX",
    endpoints=(
        replace(PING, error_ratio=0.083, recent=(*PING.recent[:20], None, None, *PING.recent[22:])),
    ),
    streams=(
        replace(
            STREAM,
            name="okx-tokyo/1",
            since=NOW - 95,
            disconnects=3,
            lost="ping_timeout",
            subscriptions=(
                TRADES,
                replace(
                    QUOTES,
                    state=SubscriptionState.STALE,
                    last_message=NOW - 47,
                    rate=0.0,
                    price=None,
                    gaps=2,
                ),
                replace(
                    BOOK,
                    state=SubscriptionState.ACKED,
                    last_message=None,
                    latency=None,
                    silence=SilenceVerdict.MOVED,
                    book=BookView(synced=False, resyncs=2, reason=Resync.GAP),
                ),
                replace(
                    BOOK,
                    symbol="ETH-USDT",
                    book=BookView(
                        synced=True, crossed=True, levels=812, resyncs=1, reason=Resync.CHECKSUM
                    ),
                ),
                replace(
                    TRADES, symbol="SOL-EUR", silence=SilenceVerdict.QUIET, last_message=NOW - 70
                ),
            ),
        ),
    ),
    clock_offset=0.0145,
    limits=(("requests", 0.86),),
)
DOWN = ExchangeView(
    name="bybit",
    title="Bybit",
    endpoints=(
        EndpointView(
            name="time",
            ok=False,
            reason="connect_timeout",
            circuit=Circuit.OPEN,
            probes=60,
            error_ratio=1.0,
            last_success=NOW - 340,
            recent=(None,) * 40,
        ),
    ),
    streams=(
        StreamView(
            name="bybit/1",
            attempted=True,
            disconnects=1,
            lost="network",
            subscriptions=(replace(TRADES, state=SubscriptionState.REQUESTED, rate=0.0),),
        ),
    ),
    maintenance=True,
    maintenance_end=NOW + 1800,
    maintenance_start=NOW + 86400,
    mode="cancel_only",
    incident="Trading halted for <XRP>",
    banned_until=NOW + 95,
)
SLOW = VerdictView(
    exchange="okx-tokyo",
    signal="probe_latency",
    change=Change.WORSENED,
    severity=Severity.CRITICAL,
    time=NOW - 40,
    since=NOW - 700,
    sentence="okx-tokyo: median probe latency is still 412 ms, usually 38.1 ms and at most 120 ms,"
    " for 11 min (score 2.4 of 1.0)",
    score=2.41,
    value=0.412,
    center=0.0381,
    lower=None,
    upper=0.12,
    detectors=(("ensemble", 2.41), ("zscore", 5.2)),
)
SPREAD = replace(
    SLOW,
    signal="spread",
    change=Change.OPENED,
    severity=Severity.WARNING,
    time=NOW - 95,
    since=NOW - 97,
    sentence="okx-tokyo: spread is 0.31 %, usually 0.0026 % and at most 0.103 %, for 2 s"
    " (score 1.1 of 1.0)",
    score=1.12,
)
OVER = replace(
    SLOW,
    exchange="binance",
    signal="stream_latency",
    change=Change.CLOSED,
    severity=Severity.WARNING,
    time=NOW - 1260,
    since=NOW - 1500,
    sentence="binance: stream latency is back at 9.1 ms after 4 min",
    score=0.0,
    value=0.0091,
)
SNAPSHOT = Snapshot(
    now=NOW,
    started=NOW - 8045,
    version="0.1.0",
    exchanges=(HEALTHY, SHAKY, DOWN),
    anomalies=(
        AnomalyView(
            exchange="okx-tokyo",
            signal="probe_latency",
            score=2.41,
            ready=True,
            scores=(("zscore", 2.41), ("iqr", 1.8), ("rolling_mean", 1.12)),
        ),
        AnomalyView(exchange="binance", signal="probe_latency", score=0.21, ready=True),
        AnomalyView(exchange="bybit", signal="probe_latency", score=None, ready=False),
    ),
    incidents=(SLOW, SPREAD),
    verdicts=(SLOW, SPREAD, OVER),
    series=1284,
    series_limit=15_000,
)
