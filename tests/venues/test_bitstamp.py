"""Bitstamp."""

from __future__ import annotations

import json

import pytest

from exporter.decoding import ParseError
from exporter.model import Ack, Control, Depth, Market, Side, Trade
from exporter.venues import by_url, load
from tests.venues.recorded import bodies

VENUE = load("bitstamp")
TRADE = {
    "id": 216000477,
    "timestamp": "1641343699",
    "amount": 0.0792,
    "amount_str": "0.07920000",
    "price": 3805.44,
    "price_str": "3805.44",
    "type": 0,
    "microtimestamp": "1641343699596000",
    "buy_order_id": 1443875737346049,
    "sell_order_id": 1443875731320832,
}
BOOK = {
    "timestamp": "1641343691",
    "microtimestamp": "1641343691355099",
    "bids": [["0.5", "2"]],
    "asks": [["0.00002922", "0.00000000"]],
}


def message(event: str, channel: str, data: object) -> bytes:
    """Return a frame in the order of the recording, where what `data` is comes after it."""
    return json.dumps({"data": data, "channel": channel, "event": event}).encode()


def test_trades() -> None:
    """Type 0 is a taker who buys; ids count the trades of all pairs, so they only rise."""
    (bought,) = VENUE.parse(message("trade", "live_trades_ethusd", TRADE))
    assert bought == Trade(
        label="live_trades",
        topic="live_trades_ethusd",
        symbol="ethusd",
        time=1641343699.596,
        price=3805.44,
        size=0.0792,
        side=Side.BUY,
        order=216000477,
    )
    (sold,) = VENUE.parse(message("trade", "live_trades_ethusd", {**TRADE, "type": 1}))
    assert isinstance(sold, Trade)
    assert sold.side is Side.SELL


def test_books() -> None:
    """A diff is put in order by its microtimestamp; the full book is a snapshot each time."""
    assert VENUE.book is not None
    (diff,) = VENUE.parse(message("data", "diff_order_book_batbtc", BOOK))
    assert isinstance(diff, Depth)
    assert (diff.label, diff.symbol, diff.snapshot) == ("diff_order_book", "batbtc", False)
    assert (diff.time, diff.order) == (1641343691.355099, 1641343691355099)
    assert VENUE.book.levels(diff) == ([(0.5, 2.0)], [(0.00002922, 0.0)])
    (full,) = VENUE.parse(message("data", "order_book_batbtc", BOOK))
    assert isinstance(full, Depth)
    assert full.snapshot


def test_the_connection_speaks() -> None:
    """Acknowledgements name the channel; a request to reconnect is passed on."""
    topic = "live_trades_btcusd"
    assert VENUE.parse(message("bts:subscription_succeeded", topic, {})) == (
        Ack("bts:subscription_succeeded", topics=(topic,)),
    )
    assert VENUE.parse(message("bts:request_reconnect", "", "")) == (
        Control("bts:request_reconnect", reconnect=True),
    )
    assert VENUE.parse(message("bts:heartbeat", "", {"status": "success"})) == (
        Control("bts:heartbeat"),
    )
    assert VENUE.parse(message("bts:error", "", {"code": 4009, "message": "no"})) == (
        Ack("bts:error", ok=False, reason="4009 no"),
    )


@pytest.mark.parametrize(
    "frame",
    [
        message("trade", "live_trades_ethusd", {**TRADE, "price_str": "0"}),
        message("data", "diff_order_book_batbtc", {**BOOK, "microtimestamp": "1641343691"}),
        message("surprise", "live_trades_ethusd", {}),
    ],
)
def test_what_no_page_describes_is_refused(frame: bytes) -> None:
    """Wrong sides, prices, units, channels and events are ParseErrors."""
    with pytest.raises(ParseError):
        VENUE.parse(frame)


def test_one_request_asks_for_one_channel() -> None:
    """The venue has no list of channels in a request, so none is promised."""
    assert VENUE.topics_per_request == 1
    assert json.loads(VENUE.subscribe(("live_trades_btcusd",), 4)) == {
        "event": "bts:subscribe",
        "data": {"channel": "live_trades_btcusd"},
    }
    assert json.loads(VENUE.unsubscribe(("live_trades_btcusd",), 4))["event"] == "bts:unsubscribe"


def test_rest_readers() -> None:
    """Markets are named by their pair, not guessed; the book's time is what diffs are held to."""
    assert VENUE.read_markets is not None
    first = VENUE.read_markets(bodies("bitstamp")["markets"])[0]
    assert first == Market("btcusd", "BTC-USD", alias="BTC/USD")
    assert VENUE.book is not None
    assert VENUE.book.read_snapshot is not None
    book = VENUE.book.read_snapshot(bodies("bitstamp")["snapshot"], "topic", "sgbeur")
    assert (book.order, book.snapshot, book.last) == (1641343695572693, True, None)
    assert VENUE.book.levels(book)[0][0] == (0.14695, 4567.41344936)


def test_its_address_is_known() -> None:
    """With and without the slash."""
    assert by_url("wss://ws.bitstamp.net/") is VENUE
    assert by_url("wss://ws.bitstamp.net") is VENUE
