"""Subscribing to Binance's streams: requests, topics, sequence rules, limits."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from exporter.contracts import RestLimit, SequenceRule
from exporter.model import (
    Channel,
    Continuity,
)
from exporter.venues.families.binance import OTHER_TRADE


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for streams on an open connection."""
    return _request("SUBSCRIBE", topics, request)


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Take streams off an open connection."""
    return _request("UNSUBSCRIBE", topics, request)


def _request(method: str, topics: Sequence[str], request: int) -> str:
    return msgspec.json.encode({"method": method, "params": list(topics), "id": request}).decode()


TOPICS = {
    Channel.TRADES: "{lower}@trade",
    Channel.QUOTES: "{lower}@bookTicker",
    Channel.BOOK: "{lower}@depth@100ms",
    Channel.KLINES: "{lower}@kline_1m",
}
CADENCES = {Channel.BOOK: 0.1}  # as the name of the stream says
FUTURES_TOPICS = {**TOPICS, Channel.TRADES: "{lower}@aggTrade"}


def sequences(depth: Continuity) -> tuple[SequenceRule, ...]:
    """Return the rules of all numbered messages; spot and futures differ in ``depth`` alone."""
    return (
        SequenceRule(
            name="trade",
            labels=("trade", OTHER_TRADE),
            continuity=Continuity.CONTIGUOUS,
            attribute="sequence",
        ),
        SequenceRule(
            name="aggTrade",
            labels=("aggTrade",),
            continuity=Continuity.CONTIGUOUS,
            attribute="sequence",
        ),
        SequenceRule(
            name="bookTicker",
            labels=("bookTicker",),
            continuity=Continuity.RISING,
            attribute="sequence",
        ),
        SequenceRule(name="depth", labels=("depthUpdate",), continuity=depth, attribute="span"),
    )


TIMESTAMP = "E, when the event was published (ms)"

# Source: web-socket-streams.md at a5e0bc3, "General WSS information", read 2026-07-21: attempts of
# one address. The futures' pages say nothing; keeping to it there costs nothing.
CONNECTION_LIMIT = RestLimit(name="connections_5m", weight=300, window=300.0)
