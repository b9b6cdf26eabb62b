"""Binance USD-M futures."""

from __future__ import annotations

import pytest

from exporter.decoding import ParseError
from exporter.model import Channel, Continuity, Depth, Market, Quote
from exporter.venues import load
from tests.venues.truth import assert_understood, rest_bodies

VENUE = load("binance_futures")


@pytest.mark.shared
def test_recorded_traffic_is_understood() -> None:
    """All frames recorded in July 2021 give the messages, trades, prices and times expected."""
    assert_understood(VENUE, "binance_futures/ws.txt")


def test_channels_live_on_two_routes() -> None:
    """Since April 2026 books and quotes are on /public, trades and candles on /market."""
    assert {channel: route.split("/")[1] for channel, route in VENUE.routes.items()} == {
        Channel.TRADES: "market",
        Channel.KLINES: "market",
        Channel.QUOTES: "public",
        Channel.BOOK: "public",
    }


def test_books_are_linked() -> None:
    """An update names the one it follows: its numbers skip, for they count all symbols' updates."""
    frame = (
        b'{"stream":"sushiusdt@depth@100ms","data":{"e":"depthUpdate","E":1626992741037,'
        b'"T":1626992741024,"s":"SUSHIUSDT","U":600859599090,"u":600859600917,"pu":600859598061,'
        b'"b":[["7.5040","813"],["7.6090","0"]],"a":[["7.6150","1563"]]}}'
    )
    (event,) = VENUE.parse(frame)
    assert isinstance(event, Depth)
    assert (event.first, event.last, event.previous) == (600859599090, 600859600917, 600859598061)
    depth = next(rule for rule in VENUE.sequences if rule.name == "depth")
    assert depth.continuity is Continuity.LINKED


def test_quotes_have_a_time_here() -> None:
    """Unlike spot's, the futures' bookTicker says when it was published."""
    frame = (
        b'{"stream":"sushiusdt@bookTicker","data":{"e":"bookTicker","u":600859600576,'
        b'"s":"SUSHIUSDT","b":"7.6110","B":"2","a":"7.6120","A":"297","T":1626992741012,'
        b'"E":1626992741017}}'
    )
    assert VENUE.parse(frame) == (
        Quote(
            "bookTicker",
            "sushiusdt@bookTicker",
            "SUSHIUSDT",
            1626992741.017,
            7.611,
            7.612,
            2.0,
            297.0,
            600859600576,
        ),
    )


@pytest.mark.shared
def test_markets_tell_perpetuals_from_dated_contracts() -> None:
    """A pair alone is its perpetual; a dated contract is named by its last day."""
    assert VENUE.read_markets is not None
    ((_, body),) = rest_bodies("binance_futures/markets.txt")
    found = {market.instrument: market.symbol for market in VENUE.read_markets(body)}
    assert found["BTC-USDT-PERP"] == VENUE.symbol("BTC-USDT") == "BTCUSDT"
    assert found["BTC-USDT-PERP"] == VENUE.symbol("BTC-USDT-PERP")
    dated = (
        b'{"symbols":[{"symbol":"BTCUSDT_240628","contractType":"CURRENT_QUARTER",'
        b'"status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT"}]}'
    )
    (market,) = VENUE.read_markets(dated)
    assert market.symbol == VENUE.symbol(market.instrument) == "BTCUSDT_240628"
    assert market.instrument == "BTC-USDT-240628"


def test_a_type_of_contract_that_came_later_is_a_perpetual() -> None:
    """TRADIFI_PERPETUAL did in 2026; whatever has no last day in its symbol never ends."""
    assert VENUE.read_markets is not None
    for kind in ("PERPETUAL", "TRADIFI_PERPETUAL", "PERPETUAL_DELIVERING", "SOMETHING_NEW", ""):
        body = (
            b'{"symbols":[{"symbol":"TSLAUSDT","contractType":"%b","status":"TRADING",'
            b'"baseAsset":"TSLA","quoteAsset":"USDT"}]}' % kind.encode()
        )
        assert VENUE.read_markets(body) == (Market("TSLAUSDT", "TSLA-USDT-PERP"),)


@pytest.mark.shared
def test_snapshots_know_their_time() -> None:
    """The futures' REST book says when it was taken."""
    assert VENUE.book is not None
    assert VENUE.book.read_snapshot is not None
    (_, body) = rest_bodies("binance_futures/rest.txt")[0]
    book = VENUE.book.read_snapshot(body, "topic", "SUSHIUSDT")
    assert (book.time, book.last) == (1626992741.264, 600859605926)
    with pytest.raises(ParseError):
        VENUE.book.read_snapshot(b'{"code":-1121,"msg":"Invalid symbol."}', "topic", "X")
