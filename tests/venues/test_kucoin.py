"""KuCoin."""

from __future__ import annotations

import json

import pytest

from exporter.decoding import ParseError
from exporter.model import (
    Ack,
    Answer,
    Control,
    Depth,
    Kline,
    Market,
    Message,
    Quote,
    Reason,
    Side,
    Trade,
)
from exporter.venues import by_url, load
from tests.venues.recorded import bodies

VENUE = load("kucoin")


def message(subject: str, topic: str, data: object) -> bytes:
    """Return a frame in the order of the recording, where what `data` is comes after it."""
    return json.dumps(
        {"data": data, "subject": subject, "topic": topic, "type": "message"}
    ).encode()


MATCH = {
    "symbol": "DAPPT-BTC",
    "sequence": "1612701563869",
    "side": "buy",
    "size": "81.8814",
    "price": "0.0000001117",
    "time": "1619378327739050725",
    "type": "match",
    "tradeId": "6085c09769bc506996295e36",
}


def test_trades_are_timed_in_nanoseconds() -> None:
    """`side` is the taker's; the sequence only rises."""
    assert VENUE.parse(message("trade.l3match", "/market/match:DAPPT-BTC", MATCH)) == (
        Trade(
            label="trade.l3match",
            topic="/market/match:DAPPT-BTC",
            symbol="DAPPT-BTC",
            time=1619378327739050725 / 1e9,
            price=1.117e-07,
            size=81.8814,
            side=Side.BUY,
            order=1612701563869,
        ),
    )


def test_quotes_find_their_symbol_in_the_topic() -> None:
    """The message itself does not name it; a side without orders gives no quote."""
    ticker = {
        "sequence": "1612844051653",
        "bestAsk": "0.00028717",
        "bestBidSize": "3.70422021",
        "bestAskSize": "14.04274325",
        "bestBid": "0.00028678",
        "price": "0.00028676",
        "size": "0.01745248",
        "time": 1619378326323,
    }
    assert VENUE.parse(message("trade.ticker", "/market/ticker:SNX-BTC", ticker)) == (
        Quote(
            label="trade.ticker",
            topic="/market/ticker:SNX-BTC",
            symbol="SNX-BTC",
            time=1619378326.323,
            bid=0.00028678,
            ask=0.00028717,
            bid_size=3.70422021,
            ask_size=14.04274325,
            sequence=1612844051653,
        ),
    )
    empty = message("trade.ticker", "/market/ticker:SNX-BTC", {**ticker, "bestAsk": "0"})
    assert VENUE.parse(empty) == (
        Message("trade.ticker", "/market/ticker:SNX-BTC", "SNX-BTC", 1619378326.323, 1612844051653),
    )


def test_a_price_of_zero_only_moves_the_sequence() -> None:
    """It is counted in the span, and is no level."""
    assert VENUE.book is not None
    changes = {
        "asks": [["0", "0", "14103844"], ["18907.3", "0.5", "14103845"]],
        "bids": [["18891.9", "0", "14103846"]],
    }
    data = {"symbol": "BTC-USDT", "sequenceStart": 14103844, "sequenceEnd": 14103846}
    frame = message("trade.l2update", "/market/level2:BTC-USDT", {**data, "changes": changes})
    (update,) = VENUE.parse(frame)
    assert isinstance(update, Depth)
    assert (update.first, update.last, update.time) == (14103844, 14103846, None)
    assert VENUE.book.levels(update) == ([(18891.9, 0.0)], [(18907.3, 0.5)])
    newer = {**data, "changes": changes, "time": 1663747970273}
    (timed,) = VENUE.parse(message("trade.l2update", "/market/level2:BTC-USDT", newer))
    assert isinstance(timed, Depth)
    assert timed.time == 1663747970.273


def test_candles() -> None:
    """A candle is open, close, high, low after its start in seconds."""
    candles = ["1619378280", "0.0000001117", "0.0000001126", "0.0000001126", "0.0000001117", "9"]
    data = {"symbol": "DAPPT-BTC", "candles": candles, "time": 1619378332805085744}
    topic = "/market/candles:DAPPT-BTC_1min"
    assert VENUE.parse(message("trade.candles.add", topic, data)) == (
        Kline(
            label="trade.candles.add",
            topic=topic,
            symbol="DAPPT-BTC",
            time=1619378332805085744 / 1e9,
            start=1619378280.0,
            close=1.126e-07,
        ),
    )


def test_the_connection_speaks() -> None:
    """A welcome opens it; ids come back as text."""
    assert VENUE.welcomed
    assert VENUE.parse(b'{"id":"hQvf8jkno","type":"welcome"}') == (Control("welcome", ready=True),)
    assert VENUE.parse(b'{"id":"1545910660739","type":"ack"}') == (
        Ack("ack", request=1545910660739),
    )
    assert VENUE.parse(b'{"id":"3","type":"pong"}') == (Control("pong"),)
    assert VENUE.parse(b'{"id":"3","type":"error","code":404,"data":"no topic"}') == (
        Ack("error", ok=False, request=3, reason='404 "no topic"'),
    )


@pytest.mark.parametrize(
    "frame",
    [
        message("trade.l3match", "/market/match:X", {**MATCH, "price": "NaN"}),
        message("trade.l4", "/market/match:X", MATCH),
        b'{"id":"3"}',
    ],
)
def test_what_no_page_describes_is_refused(frame: bytes) -> None:
    """Wrong units, numbers, subjects and types are ParseErrors."""
    with pytest.raises(ParseError):
        VENUE.parse(frame)


def test_requests_join_symbols_of_one_channel() -> None:
    """One frame asks for many symbols of one channel, and is answered."""
    topics = ("/market/match:A-B", "/market/match:C-D")
    assert json.loads(VENUE.subscribe(topics, 5)) == {
        "id": 5,
        "type": "subscribe",
        "topic": "/market/match:A-B,C-D",
        "privateChannel": False,
        "response": True,
    }
    assert VENUE.request_group(topics[0]) == VENUE.request_group(topics[1])
    assert VENUE.request_group(topics[0]) != VENUE.request_group("/market/ticker:A-B")


def test_the_token_handshake() -> None:
    """The address and the token come by REST; a token is quoted, an odd address refused."""
    assert VENUE.prelude is not None
    assert (VENUE.prelude.method, VENUE.prelude.path) == ("POST", "/api/v1/bullet-public")
    body = bodies("kucoin")["prelude"]
    assert VENUE.prelude.read(body) == (
        "wss://ws-api-spot.kucoin.com/?token=2neAiuYv%3D%3D&connectId=1"
    )
    with pytest.raises(ParseError):
        VENUE.prelude.read(body.replace(b"wss://", b"file://"))
    with pytest.raises(ParseError):
        VENUE.prelude.read(body.replace(b"200000", b"429000"))


def test_rest_readers() -> None:
    """Time, status, markets and the book that updates continue."""
    found = {endpoint.name: endpoint for endpoint in VENUE.endpoints}
    clock, status = found["time"].clock, found["status"].status
    assert clock is not None
    assert clock(bodies("kucoin")["time"]) == 1546837113.087
    assert status is not None
    assert not status(bodies("kucoin")["status"]).active
    assert status(b'{"code":"200000","data":{"status":"close","msg":"upgrade"}}').title == "upgrade"
    assert VENUE.read_markets is not None
    assert VENUE.read_markets(bodies("kucoin")["markets"])[0] == Market("REQ-ETH", "REQ-ETH")
    assert VENUE.book is not None
    assert VENUE.book.read_snapshot is not None
    book = VENUE.book.read_snapshot(bodies("kucoin")["snapshot"], "topic", "BCHSV-USDT")
    assert (book.last, book.time, book.snapshot) == (1613277183892, 1619378326.628, True)
    assert VENUE.book.levels(book)[0][0] == (242.649, 5.0)


def test_faults_behind_a_good_status_code() -> None:
    """HTTP 200 hides codes."""

    def fault(status: int, body: bytes) -> Reason | None:
        return VENUE.fault(
            Answer(status=status, headers={}, body=body, new_connection=False, phases={})
        )

    assert fault(200, b'{"code":"200000","data":1}') is None
    assert fault(200, b'{"code":"429000","msg":"too many requests"}') is Reason.RATE_LIMITED
    assert fault(200, b'{"code":"900001","msg":"symbol not exists"}') is Reason.BODY_INVALID
    assert fault(200, b"<html>") is Reason.BODY_INVALID
    assert fault(429, b"") is Reason.RATE_LIMITED
    assert fault(503, b"") is None


def test_retired_addresses_are_known() -> None:
    """The address changes with every token."""
    assert by_url("wss://push-private.kucoin.com/endpoint?token=TOKEN") is VENUE
