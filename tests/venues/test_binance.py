"""Binance spot, and the dialect that its four sites share."""

from __future__ import annotations

import json

import msgspec
import pytest

from exporter.decoding import ParseError
from exporter.model import (
    Ack,
    Answer,
    Channel,
    Continuity,
    Control,
    Depth,
    Kline,
    Market,
    Quote,
    Reason,
    Side,
    Trade,
)
from exporter.venues import load
from tests.venues.truth import assert_understood, rest_bodies

VENUE = load("binance")


def stream(name: str, data: dict[str, object]) -> bytes:
    """Return a combined stream's frame."""
    return json.dumps({"stream": name, "data": data}).encode()


TRADE = {
    "e": "trade",
    "E": 1672515782136,
    "s": "BNBBTC",
    "t": 12345,
    "p": "0.001",
    "q": "100",
    "T": 1672515782135,
    "m": True,
    "M": True,
}


@pytest.mark.shared
def test_recorded_traffic_is_understood() -> None:
    """All frames recorded in October 2021 give the messages, trades, prices and times expected."""
    assert_understood(VENUE, "binance/ws.txt")


def test_trades() -> None:
    """A maker who bought means a taker who sold; time is when the event was published."""
    assert VENUE.parse(stream("bnbbtc@trade", TRADE)) == (
        Trade(
            label="trade",
            topic="bnbbtc@trade",
            symbol="BNBBTC",
            time=1672515782.136,
            price=0.001,
            size=100.0,
            side=Side.SELL,
            sequence=12345,
        ),
    )
    (bought,) = VENUE.parse(stream("bnbbtc@trade", {**TRADE, "m": False}))
    assert isinstance(bought, Trade)
    assert bought.side is Side.BUY


def test_aggregate_trades() -> None:
    """An aggregate carries its own id, not a trade's."""
    row = {**TRADE, "e": "aggTrade", "a": 99, "f": 12345, "l": 12346}
    del row["t"]
    (event,) = VENUE.parse(stream("bnbbtc@aggTrade", row))
    assert isinstance(event, Trade)
    assert (event.label, event.sequence, event.price) == ("aggTrade", 99, 0.001)


def test_quotes_have_no_time_on_spot() -> None:
    """The one message without type and time is read all the same."""
    row = {"u": 7, "s": "BNBBTC", "b": "1.5", "B": "2", "a": "1.6", "A": "3"}
    assert VENUE.parse(stream("bnbbtc@bookTicker", row)) == (
        Quote("bookTicker", "bnbbtc@bookTicker", "BNBBTC", None, 1.5, 1.6, 2.0, 3.0, 7),
    )


def test_depth_keeps_its_levels_undecoded() -> None:
    """Who builds no books does not pay for levels; who does gets numbers."""
    row = {
        "e": "depthUpdate",
        "E": 1633998512068,
        "s": "NKNUSDT",
        "U": 10,
        "u": 12,
        "b": [["0.35130000", "6195.00000000"]],
        "a": [],
    }
    (event,) = VENUE.parse(stream("nknusdt@depth@100ms", row))
    assert isinstance(event, Depth)
    assert (event.first, event.last, event.previous) == (10, 12, None)
    assert isinstance(event.levels, tuple)
    assert all(isinstance(side, msgspec.Raw) for side in event.levels)
    assert VENUE.book is not None
    assert VENUE.book.levels(event) == ([(0.3513, 6195.0)], [])


def test_klines() -> None:
    """A candle's start and close are read, and whether it is closed."""
    row = {
        "e": "kline",
        "E": 1633998523963,
        "s": "NKNUSDT",
        "k": {"t": 1633998480000, "c": "0.35280000", "x": True},
    }
    assert VENUE.parse(stream("nknusdt@kline_1m", row)) == (
        Kline("kline", "nknusdt@kline_1m", "NKNUSDT", 1633998523.963, 1633998480.0, 0.3528, True),
    )


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        (b'{"result":null,"id":1}', Ack("result", request=1)),
        (b'{"result":["btcusdt@aggTrade"],"id":3}', Ack("result", request=3)),
        (
            b'{"code":2,"msg":"Invalid request: x","id":4}',
            Ack("error", ok=False, request=4, reason="Invalid request: x"),
        ),
        (
            b'{"error":{"code":2,"msg":"Too many"},"id":5}',
            Ack("error", ok=False, request=5, reason="Too many"),
        ),
        (
            b'{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}',
            Ack("error", ok=False, reason="Invalid JSON: expected value at line 1 column 1"),
        ),
        (
            b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
            Control("serverShutdown", reconnect=True),
        ),
    ],
)
def test_replies_and_notices(frame: bytes, event: Ack | Control) -> None:
    """Replies name their request, refusals their reason, a shutdown asks to reconnect."""
    assert VENUE.parse(frame) == (event,)


@pytest.mark.parametrize(
    "change", [{"p": "NaN"}, {"p": "0"}, {"p": "1e400"}, {"q": "-1"}, {"E": 1672515782}, {"t": -1}]
)
def test_absurd_numbers_are_refused(change: dict[str, object]) -> None:
    """No NaN, infinity, negative, or time in another unit gets past the reader."""
    with pytest.raises(ParseError, match=r"binance: .*\$\.data"):
        VENUE.parse(stream("bnbbtc@trade", {**TRADE, **change}))


def test_subscribing() -> None:
    """Streams are asked by name in lower case, under the request's number."""
    topic = VENUE.topic(Channel.TRADES, VENUE.symbol("BTC-USDT"))
    assert topic == "btcusdt@trade"
    assert json.loads(VENUE.subscribe([topic], 3)) == {
        "method": "SUBSCRIBE",
        "params": ["btcusdt@trade"],
        "id": 3,
    }
    assert json.loads(VENUE.unsubscribe([topic], 4))["method"] == "UNSUBSCRIBE"


def test_status_codes_have_meanings() -> None:
    """418 is a ban, 429 and the firewall's 403 are limits, the rest is no news."""

    def verdict(status: int) -> Reason | None:
        return VENUE.fault(
            Answer(status=status, headers={}, body=b"", new_connection=False, phases={})
        )

    assert verdict(418) is Reason.BANNED
    assert verdict(429) is verdict(403) is Reason.RATE_LIMITED
    assert verdict(200) is verdict(500) is None


def test_maintenance() -> None:
    """State 1 is maintenance, 0 is normal, and anything else is not guessed at."""
    read = next(e.status for e in VENUE.endpoints if e.status)
    assert read(b'{"status":0,"msg":"normal"}').active is False
    assert read(b'{"status":1,"msg":"system_maintenance"}').active is True
    with pytest.raises(ParseError):
        read(b'{"status":"?","msg":"?"}')


@pytest.mark.shared
def test_recorded_rest_bodies_are_understood() -> None:
    """Markets and snapshots as recorded are read whole."""
    assert VENUE.read_markets is not None
    ((_, body),) = rest_bodies("binance/markets.txt")
    markets = VENUE.read_markets(body)
    assert Market("ETHBTC", "ETH-BTC") in markets
    assert VENUE.book is not None
    assert VENUE.book.read_snapshot is not None
    (_, body) = rest_bodies("binance/rest.txt")[0]
    book = VENUE.book.read_snapshot(body, "nknusdt@depth@100ms", "NKNUSDT")
    assert (book.snapshot, book.last) == (True, 499869752)
    bids, asks = VENUE.book.levels(book)
    assert bids[0] == (0.3521, 672.0)
    assert bids[0] < asks[0]


def test_books_follow_without_a_hole() -> None:
    """On spot an update begins one after the last one's end."""
    depth = next(rule for rule in VENUE.sequences if rule.name == "depth")
    assert depth.continuity is Continuity.CONTIGUOUS
