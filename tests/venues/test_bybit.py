"""Bybit v5."""

from __future__ import annotations

import json

import pytest

from exporter.decoding import ParseError
from exporter.model import (
    MARKET_DATA,
    Ack,
    Answer,
    Control,
    Depth,
    Kline,
    Message,
    Quote,
    Reason,
    Side,
    Trade,
)
from exporter.venues import load

VENUE = load("bybit")


def test_trades() -> None:
    """Every trade of a frame is an event; the frame's own time is theirs."""
    row = '{"T":1672304486865,"s":"BTCUSDT","S":"%s","v":"0.001","p":"16578.50","i":"x","seq":%d}'
    rows = f"{row % ('Buy', 5)},{row % ('Sell', 6)}"
    frame = (
        f'{{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":[{rows}]}}'
    )
    first, second = VENUE.parse(frame.encode())
    assert first == Trade(
        label="publicTrade",
        topic="publicTrade.BTCUSDT",
        symbol="BTCUSDT",
        time=1672304486.868,
        price=16578.5,
        size=0.001,
        side=Side.BUY,
        order=5,
    )
    assert isinstance(second, Trade)
    assert (second.side, second.order, second.snapshot) == (Side.SELL, 6, False)


def test_quotes() -> None:
    """Level one is a quote, repeated under the same number; an empty side is a sign of life."""
    frame = (
        '{"topic":"orderbook.1.BTCUSDT","ts":1786613159749,"type":"snapshot","data":{"s":"BTCUSDT",'
        '"b":[["63705.3","2.045546"]],"a":%s,"u":72212457,"seq":1},"cts":1786613159748}'
    )
    assert VENUE.parse((frame % '[["63705.4","2.334566"]]').encode()) == (
        Quote(
            "orderbook.1",
            "orderbook.1.BTCUSDT",
            "BTCUSDT",
            1786613159.749,
            63705.3,
            63705.4,
            2.045546,
            2.334566,
            72212457,
        ),
    )
    assert VENUE.parse((frame % "[]").encode()) == (
        Message("orderbook.1", "orderbook.1.BTCUSDT", "BTCUSDT", 1786613159.749, 72212457),
    )


@pytest.mark.parametrize(
    ("kind", "number", "label"),
    [
        ("snapshot", 18521288, "orderbook.snapshot"),
        ("delta", 18521289, "orderbook.delta"),
        ("delta", 1, "orderbook.snapshot"),  # the service was restarted
    ],
)
def test_books(kind: str, number: int, label: str) -> None:
    """Updates count up by one; the number one begins a new book whatever the frame is called."""
    frame = (
        f'{{"topic":"orderbook.50.BTCUSDT","type":"{kind}","ts":1672304484978,"data":{{"s":'
        f'"BTCUSDT","b":[["16493.50","0.006"]],"a":[["16611.00","0"]],"u":{number},"seq":7}}}}'
    )
    (event,) = VENUE.parse(frame.encode())
    assert isinstance(event, Depth)
    assert (event.label, event.snapshot) == (label, label == "orderbook.snapshot")
    assert (event.first, event.last) == (number, number)
    assert VENUE.book is not None
    assert VENUE.book.levels(event) == ([(16493.5, 0.006)], [(16611.0, 0.0)])


def test_klines() -> None:
    """A candle's symbol is read from its topic."""
    frame = (
        b'{"topic":"kline.1.BTCUSDT","data":[{"start":1672324800000,"close":"16677",'
        b'"confirm":false}],"ts":1672324988882,"type":"snapshot"}'
    )
    assert VENUE.parse(frame) == (
        Kline("kline", "kline.1.BTCUSDT", "BTCUSDT", 1672324988.882, 1672324800.0, 16677.0, False),
    )


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        (
            '{"success":true,"ret_msg":"subscribe","conn_id":"d","req_id":"1","op":"subscribe"}',
            Ack("subscribe", request=1),
        ),
        (
            '{"success":true,"ret_msg":"","conn_id":"d","req_id":"2","op":"unsubscribe"}',
            Ack("unsubscribe", request=2),
        ),
        (
            '{"success":false,"ret_msg":"Invalid topic: no.such.X","req_id":"","op":"subscribe"}',
            Ack("error", ok=False, reason="Invalid topic: no.such.X"),
        ),
        (
            '{"success":false,"ret_msg":"error:handler not found,topic:a.B","req_id":"4",'
            '"op":"subscribe"}',
            Ack(
                "error",
                ok=False,
                request=4,
                reason="error:handler not found,topic:a.B",
            ),
        ),
        ('{"success":true,"ret_msg":"pong","conn_id":"x","op":"ping"}', Control("pong")),
        ('{"args":["1672916271846"],"op":"pong"}', Control("pong")),
    ],
)
def test_replies(frame: str, event: Ack | Control) -> None:
    """Answers name their request, refusals their topic, and a pong may call itself a ping."""
    assert VENUE.parse(frame.encode()) == (event,)


@pytest.mark.parametrize("frame", ["{}", "[]", "pong"])
def test_what_is_not_documented_is_refused(frame: str) -> None:
    """What answers nothing is counted, not guessed at."""
    with pytest.raises(ParseError, match="bybit"):
        VENUE.parse(frame.encode())


def test_subscribing() -> None:
    """At most ten topics a request, each spelled with channel and symbol."""
    topics = [VENUE.topic(channel, VENUE.symbol("BTC-USDT")) for channel in MARKET_DATA]
    assert json.loads(VENUE.subscribe(topics, 3)) == {
        "req_id": "3",
        "op": "subscribe",
        "args": [
            "publicTrade.BTCUSDT",
            "orderbook.1.BTCUSDT",
            "orderbook.50.BTCUSDT",
            "kline.1.BTCUSDT",
        ],
    }
    assert VENUE.topics_per_request == 10
    assert VENUE.ping is not None
    assert json.loads(VENUE.ping(9)) == {"req_id": "9", "op": "ping"}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b'{"retCode":0}', None),
        (200, b'{"retCode":10006,"retMsg":"Too many visits!"}', Reason.RATE_LIMITED),
        (200, b'{"retCode":10018}', Reason.RATE_LIMITED),
        (200, b'{"retCode":10009}', Reason.REGION_REFUSED),
        (200, b'{"retCode":10016}', Reason.HTTP_5XX),
        (200, b'{"retCode":10001,"retMsg":"..."}', Reason.BODY_INVALID),
        (200, b"<html>", Reason.BODY_INVALID),
        (403, b"access too frequent", Reason.BANNED),
        (403, b"Forbidden", None),
        (429, b"", Reason.RATE_LIMITED),
        (500, b"", None),
    ],
)
def test_errors_hide_in_good_answers(status: int, body: bytes, reason: Reason | None) -> None:
    """HTTP 200 is no success by itself: the body's code decides."""
    answer = Answer(status=status, headers={}, body=body, new_connection=False, phases={})
    assert VENUE.fault(answer) is reason


def test_maintenance() -> None:
    """Only an ongoing window of the production system counts; its latest end is given."""
    read = next(e.status for e in VENUE.endpoints if e.status)

    def state(*rows: dict[str, object]) -> tuple[bool, float | None, str]:
        found = read(json.dumps({"retCode": 0, "result": {"list": rows}}).encode())
        return (found.active, found.end, found.title)

    row: dict[str, object] = {"state": "ongoing", "title": "t06", "end": "1751597011000", "env": 1}
    assert state(row, {**row, "end": "1751597012000"}) == (True, 1751597012.0, "t06; t06")
    assert state({**row, "state": "completed"}) == state({**row, "env": 2}) == (False, None, "")
    assert state({**row, "end": "0"}) == (True, None, "t06")


def test_the_clock_is_read_in_nanoseconds() -> None:
    """The finest of the three times is used."""
    read = next(e.clock for e in VENUE.endpoints if e.clock)
    body = b'{"result":{"timeSecond":"1688639403","timeNano":"1688639403423213947"}}'
    assert read(body) == pytest.approx(1688639403.423214, abs=1e-6)
