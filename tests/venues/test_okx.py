"""OKX v5."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from exporter.decoding import ParseError
from exporter.model import (
    Ack,
    Answer,
    Channel,
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
from exporter.venues import load
from exporter.venues.families.okx import checksum
from tests.venues.truth import assert_understood, expected, frames, rest_bodies

VENUE = load("okx")
FILL = '{"instId":"BTC-USDT","tradeId":"7849","px":"30218.8","sz":"1","side":"buy","ts":"%d"}'


@pytest.mark.shared
def test_recorded_traffic_is_understood() -> None:
    """All frames recorded in May 2022 give the messages, trades, prices and times expected."""
    assert_understood(VENUE, "okx/ws.txt")


@pytest.mark.shared
def test_recorded_checksums_verify() -> None:
    """The CRC of the 25 best levels, in the wire's own digits, holds for every recorded book."""
    truth = expected("okx/ws.txt")["checksum"]
    assert VENUE.book is not None
    books: dict[str, tuple[dict[str, str], dict[str, str]]] = defaultdict(lambda: ({}, {}))
    checked = 0
    for _, frame in frames("okx/ws.txt"):
        for event in VENUE.parse(frame):
            if not isinstance(event, Depth):
                continue
            sides = books[event.topic]
            for side, levels in zip(sides, VENUE.book.levels(event), strict=True):
                if event.snapshot:
                    side.clear()
                for price, size in levels:
                    side[str(price)] = str(size)
                    if size == "0":
                        del side[str(price)]
            bids = sorted(sides[0].items(), key=lambda level: -float(level[0]))
            asks = sorted(sides[1].items(), key=lambda level: float(level[0]))
            assert checksum(bids, asks) == event.checksum
            checked += 1
    assert checked == truth["checked"] == 136


def test_trades() -> None:
    """One frame may hold several trades; each is an event, in the wire's order."""
    rows = f"{FILL % 1652459199958},{FILL.replace('buy', 'sell') % 1652459199959}"
    frame = f'{{"arg":{{"channel":"trades","instId":"BTC-USDT"}},"data":[{rows}]}}'
    first, second = VENUE.parse(frame.encode())
    assert first == Trade(
        label="trades",
        topic="trades:BTC-USDT",
        symbol="BTC-USDT",
        time=1652459199.958,
        price=30218.8,
        size=1.0,
        side=Side.BUY,
        order=7849,
    )
    assert isinstance(second, Trade)
    assert (second.side, second.time) == (Side.SELL, 1652459199.959)


def book(action: str, numbers: str, asks: str = "[]") -> Depth:
    """Return the event of a book frame."""
    frame = (
        f'{{"arg":{{"channel":"books","instId":"X"}},"action":"{action}","data":'
        f'[{{"asks":{asks},"bids":[],"ts":"1652459225464",{numbers}}}]}}'
    )
    (event,) = VENUE.parse(frame.encode())
    assert isinstance(event, Depth)
    return event


def test_books_are_linked_by_number() -> None:
    """An update names the one it follows, a snapshot none; zero is no checksum since 2026."""
    snapshot = book("snapshot", '"checksum":0,"prevSeqId":-1,"seqId":10', '[["1.50","2","0","1"]]')
    assert snapshot.snapshot
    assert (snapshot.previous, snapshot.last, snapshot.checksum) == (None, 10, None)
    assert VENUE.book is not None
    assert VENUE.book.levels(snapshot) == ([], [("1.50", "2")])
    keepalive = book("update", '"checksum":0,"prevSeqId":10,"seqId":10')
    assert (keepalive.previous, keepalive.last, keepalive.snapshot) == (10, 10, False)
    reset = book("update", '"checksum":-855196043,"prevSeqId":10,"seqId":3')
    assert (reset.previous, reset.last, reset.checksum) == (10, 3, -855196043)


def test_quotes() -> None:
    """The best bid and ask come with a sequence; an empty side is no quote, but a sign of life."""
    frame = (
        '{"arg":{"channel":"bbo-tbt","instId":"X"},"data":[{"asks":%s,'
        '"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","seqId":123456}]}'
    )
    assert VENUE.parse((frame % '[["8476.98","415","0","13"]]').encode()) == (
        Quote("bbo-tbt", "bbo-tbt:X", "X", 1597026383.085, 8476.97, 8476.98, 256.0, 415.0, 123456),
    )
    assert VENUE.parse((frame % "[]").encode()) == (
        Message("bbo-tbt", "bbo-tbt:X", "X", 1597026383.085, 123456),
    )


def test_tickers() -> None:
    """Tickers give quotes as well; an empty text stands for an empty side."""
    frame = (
        '{"arg":{"channel":"tickers","instId":"X"},"data":[{"instId":"X","last":"1","askPx":"%s",'
        '"askSz":"3","bidPx":"1.1","bidSz":"","ts":"1597026383085"}]}'
    )
    assert VENUE.parse((frame % "1.2").encode()) == (
        Quote("tickers", "tickers:X", "X", 1597026383.085, 1.1, 1.2, None, 3.0),
    )
    assert VENUE.parse((frame % "").encode()) == (
        Message("tickers", "tickers:X", "X", 1597026383.085),
    )
    with pytest.raises(ParseError):
        VENUE.parse((frame % "x").encode())


def test_klines() -> None:
    """Candles are arrays without a publishing time, and lived to grow a ninth element."""
    row = '"1597026360000","8533.02","8553.74","8527.17","8548.26","45247","529.5"'
    for tail, closed in ((',"5529.5","1"', True), (',"5529.5","0"', False), ("", None)):
        frame = f'{{"arg":{{"channel":"candle1m","instId":"X"}},"data":[[{row}{tail}]]}}'
        assert VENUE.parse(frame.encode()) == (
            Kline("candle", "candle1m:X", "X", None, 1597026360.0, 8548.26, closed),
        )
    assert VENUE.routes[Channel.KLINES] == "/business"


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        ("pong", Control("pong")),
        (
            '{"event":"subscribe","arg":{"channel":"books","instId":"X"},"connId":"d604ccd0"}',
            Ack("subscribe", topics=("books:X",)),
        ),
        (
            '{"id":"3","event":"unsubscribe","arg":{"channel":"books","instId":"X"}}',
            Ack("unsubscribe", topics=("books:X",)),
        ),
        (
            '{"event":"error","id":"7","code":"60012","msg":"Invalid request"}',
            Ack("error", ok=False, request=7, reason="60012 Invalid request"),
        ),
        (
            '{"event":"error","id":"7","code":"60018","msg":"Wrong URL or '
            "channel:tickers,instId:NMR-USDT doesn't exist.\"}",
            Ack(
                "error",
                ok=False,
                topics=("tickers:NMR-USDT",),
                reason="60018 Wrong URL or channel:tickers,instId:NMR-USDT doesn't exist.",
            ),
        ),
        (
            '{"event":"notice","code":"64008","msg":"The connection will soon be closed"}',
            Control("notice", reconnect=True),
        ),
        (
            '{"event":"channel-conn-count","channel":"books","connCount":"2"}',
            Control("channel-conn-count"),
        ),
    ],
)
def test_replies_and_notices(frame: str, event: Ack | Control) -> None:
    """Answers name their topic, refusals the topic if they can, notices ask to reconnect."""
    assert VENUE.parse(frame.encode()) == (event,)


@pytest.mark.parametrize(
    "frame",
    [
        '{"event":""}',
        '{"data":[]}',
        "ping",
    ],
)
def test_what_is_not_documented_is_refused(frame: str) -> None:
    """What names neither an event nor a channel is counted, not guessed at."""
    with pytest.raises(ParseError, match="okx"):
        VENUE.parse(frame.encode())


def test_subscribing() -> None:
    """A topic is taken apart into channel and instrument; the keepalive is a bare word."""
    topic = VENUE.topic(Channel.TRADES, VENUE.symbol("BTC-USDT"))
    assert json.loads(VENUE.subscribe([topic], 3)) == {
        "id": "3",
        "op": "subscribe",
        "args": [{"channel": "trades", "instId": "BTC-USDT"}],
    }
    assert VENUE.ping is not None
    assert VENUE.ping(1) == "ping"


@pytest.mark.shared
def test_recorded_markets_are_understood() -> None:
    """All 25 recorded lists are read; a perpetual is named as one, and spelled as a SWAP."""
    assert VENUE.read_markets is not None
    spots = set()
    for url, body in rest_bodies("okx/markets.txt"):
        markets = VENUE.read_markets(body)
        assert markets, url
        if "SPOT" in url:
            spots |= set(markets)
        else:
            for market in markets:
                assert VENUE.symbol(market.instrument) == market.symbol
                assert market.instrument.endswith("-PERP") is market.symbol.endswith("-SWAP")
    assert Market("BTC-USDT", "BTC-USDT") in spots


def test_codes_have_meanings() -> None:
    """The code in the body decides where the status is 200."""

    def verdict(body: bytes, status: int = 200) -> Reason | None:
        return VENUE.fault(
            Answer(status=status, headers={}, body=body, new_connection=False, phases={})
        )

    assert verdict(b'{"code":"0","msg":"","data":[]}') is None
    assert verdict(b'{"code":"50011","msg":"","data":[]}', 429) is Reason.RATE_LIMITED
    assert verdict(b'{"code":"50011","msg":"","data":[]}') is Reason.RATE_LIMITED
    assert verdict(b'{"code":"50001","msg":"","data":[]}') is Reason.HTTP_5XX
    assert verdict(b'{"code":"51001","msg":"","data":[]}') is Reason.BODY_INVALID
    assert verdict(b"<html>") is Reason.BODY_INVALID
    assert verdict(b"<html>", 502) is None


def test_maintenance() -> None:
    """Only an ongoing window of the production system counts; its latest end is given."""
    read = next(e.status for e in VENUE.endpoints if e.status)
    row = '{"title":"Upgrade","state":"%s","end":"1672825980000","env":"%s"}'

    def state(*rows: str) -> object:
        found = read(f'{{"code":"0","data":[{",".join(rows)}]}}'.encode())
        return (found.active, found.end, found.title)

    assert state(row % ("ongoing", "1")) == (True, 1672825980.0, "Upgrade")
    assert state() == state(row % ("scheduled", "1")) == (False, None, "")
    assert state(row % ("pre_open", "1")) == (True, 1672825980.0, "Upgrade")
    assert state(row % ("ongoing", "2")) == (False, None, "")
