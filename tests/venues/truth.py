"""Recorded traffic replayed through one venue's reader, under the names of TRUTH.json."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

from exporter.contracts import Venue
from exporter.model import Ack, Control, Trade
from tests.conftest import shared


def expected(path: str) -> dict[str, Any]:
    """Return what TRUTH.json says of one recording."""
    truth = json.loads(shared("recordings/TRUTH.json").read_bytes())
    found: dict[str, Any] = truth["files"][path]
    return found


def frames(path: str) -> list[tuple[float, bytes]]:
    """Return the received frames of a recording with their receive times."""
    found = []
    for line in shared(f"recordings/{path}").read_bytes().splitlines():
        if line and not line.startswith((b"wss:", b"http")):
            time, _, frame = line.partition(b": ")
            found.append((float(time), frame))
    return found


def rest_bodies(path: str) -> list[tuple[str, bytes]]:
    """Return the URLs and bodies of a recording's REST answers."""
    lines = shared(f"recordings/{path}").read_bytes().splitlines()
    parted = (line.partition(b" -> ") for line in lines if line.startswith(b"http"))
    return [(url.decode(), rest.partition(b": ")[2]) for url, _, rest in parted]


def replayed(venue: Venue, path: str) -> dict[str, Any]:
    """Return what the venue's reader makes of a recording, in the words of TRUTH.json."""
    kinds: dict[str, Counter[str]] = {"data": Counter(), "meta": Counter()}
    trades: Counter[str] = Counter()
    last: dict[str, Trade] = {}
    times = []
    for _, frame in frames(path):
        events = venue.parse(frame)
        first = events[0]
        kinds["meta" if isinstance(first, Ack | Control) else "data"][first.label] += 1
        for event in events:
            if isinstance(event, Ack | Control):
                continue
            if event.time is not None and not getattr(event, "snapshot", False):
                times.append(event.time * 1e3)
            if isinstance(event, Trade):
                trades[event.symbol] += 1
                last[event.symbol] = event
    return {
        "data_messages": dict(kinds["data"]),
        "meta_messages": dict(kinds["meta"]),
        "trades": dict(trades),
        "last_trade_price": {symbol: Decimal(repr(trade.price)) for symbol, trade in last.items()},
        "event_time_ms": {"min": min(times), "max": max(times)},
    }


def assert_understood(venue: Venue, path: str) -> None:
    """Assert that messages, trades, last prices and event times are those of TRUTH.json."""
    truth, found = expected(path), replayed(venue, path)
    prices = {symbol: Decimal(price) for symbol, price in truth["last_trade_price"].items()}
    assert found.pop("last_trade_price") == prices
    assert found == {key: truth[key] for key in found}
