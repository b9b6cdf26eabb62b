"""Binance COIN-M futures."""

from __future__ import annotations

import pytest

from exporter.venues import load
from tests.venues.truth import assert_understood, rest_bodies

VENUE = load("binance_coinm")


@pytest.mark.shared
def test_recorded_traffic_is_understood() -> None:
    """All frames recorded in July 2021 give the messages, trades, prices and times expected."""
    assert_understood(VENUE, "binance_coinm/ws.txt")


@pytest.mark.shared
def test_markets_and_their_spelling() -> None:
    """A pair alone is its perpetual; a dated contract is named by its last day."""
    assert VENUE.read_markets is not None
    ((_, body),) = rest_bodies("binance_coinm/markets.txt")
    found = {market.instrument: market.symbol for market in VENUE.read_markets(body)}
    assert found["BTC-USD-PERP"] == VENUE.symbol("BTC-USD") == "BTCUSD_PERP"
    assert found["BTC-USD-PERP"] == VENUE.symbol("BTC-USD-PERP")
    assert found["BTC-USD-210924"] == VENUE.symbol("BTC-USD-210924") == "BTCUSD_210924"
    assert all(VENUE.symbol(name) == symbol for name, symbol in found.items())


@pytest.mark.shared
def test_snapshots_are_read() -> None:
    """All five recorded REST books have sides that do not cross."""
    assert VENUE.book is not None
    assert VENUE.book.read_snapshot is not None
    for url, body in rest_bodies("binance_coinm/rest.txt"):
        book = VENUE.book.read_snapshot(body, "topic", url)
        bids, asks = VENUE.book.levels(book)
        assert max(float(str(level[0])) for level in bids) < min(
            float(str(level[0])) for level in asks
        )
