"""MEXC as its server, in short: market data in protobuf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exporter.simulator.brief.common import DEPTH, asked_pair, best, feed_of, join, spec_of
from exporter.simulator.market import Levels, Pair, Print, Step
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import Query, SimulatedFeed, SimulatedReply, VenueSpec, dump
from exporter.simulator.venue_server import VenueServer


def _varint(number: int) -> bytes:
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def _field(number: int, value: int | str | bytes) -> bytes:
    """Write one field of a protobuf message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _mexc_feed(pair: Pair, topic: str) -> SimulatedFeed | None:
    one = pair.listing

    def frame(number: int, body: bytes, millis: int) -> list[bytes]:
        head = _field(1, topic) + _field(number, body) + _field(3, one.symbol)
        return [head + _field(5, millis) + _field(6, millis)]

    def trades(pair: Pair, prints: Sequence[Print], millis: int) -> list[bytes]:
        rows = (
            _field(1, one.price(p)) + _field(2, one.size(q)) + _field(3, 1 if buy else 2)
            + _field(4, millis)
            for _, buy, p, q in prints
        )  # fmt: skip
        return frame(314, b"".join(_field(1, row) for row in rows), millis)

    def quotes(pair: Pair, step: Step) -> list[bytes]:
        body = b"".join(_field(n, text) for n, text in enumerate(best(pair), 1))
        return frame(315, body, step.millis)

    def book(
        pair: Pair, bids: Levels, asks: Levels, first: int, last: int, millis: int, whole: bool
    ) -> list[bytes]:
        if whole:
            return []  # it begins over REST
        body = b"".join(
            _field(n, _field(1, one.price(p)) + _field(2, one.size(q) if q else "0"))
            for n, levels in ((1, asks), (2, bids)) for p, q in levels
        )  # fmt: skip
        return frame(313, body + _field(4, str(first)) + _field(5, str(last)), millis)

    def candles(pair: Pair, candle: Any, millis: int) -> list[bytes]:
        close = _field(4, one.price(candle.close))
        body = _field(1, "Min1") + _field(2, candle.start // 1000) + close
        return frame(308, body, millis)

    return feed_of("mexc", topic, pair, trades=trades, quotes=quotes, book=book, candles=candles)


def _mexc(session: SimulatedSession, asked: Any) -> None:
    if asked.get("method") == "PING":
        session.reply('{"id":0,"code":0,"msg":"PONG"}', keepalive=True)
        return
    good: list[str] = []
    for topic in map(str, asked.get("params", ())):
        if asked.get("method") == "UNSUBSCRIPTION":
            session.unsubscribe(topic)
            good.append(topic)
            continue
        pair = next((p for p in session.desk.pairs() if p.listing.symbol in topic.split("@")), None)
        if join(session, None if pair is None else _mexc_feed(pair, topic)) is not None:
            good.append(topic)
            continue
        wrong = f"Not Subscribed successfully! [{topic[:90]}]. Reason: Blocked!"
        session.reply(dump({"id": 0, "code": 0, "msg": wrong}).decode())
    if good:
        session.reply(dump({"id": 0, "code": 0, "msg": ",".join(good)}).decode())


def _mexc_book(desk: VenueServer, query: Query) -> object:
    pair = asked_pair(desk, query)
    sides = (
        [[pair.listing.price(p), pair.listing.size(q)] for p, q in side.top(DEPTH)]
        for side in (pair.bids, pair.asks)
    )
    bids, asks = sides
    return {"lastUpdateId": pair.last, "bids": bids, "asks": asks}


def _mexc_ticker(desk: VenueServer, query: Query) -> object:
    pair = asked_pair(desk, query)
    bid, _, ask, _ = best(pair)
    last = pair.listing.price(pair.print[2])
    return {"lastPrice": last, "bidPrice": bid, "askPrice": ask}


def _mexc_markets(desk: VenueServer, query: Query) -> object:
    return {"symbols": [
        {"symbol": p.listing.symbol, "baseAsset": p.listing.base, "quoteAsset": p.listing.quote,
         "status": "1"}
        for p in desk.pairs()
    ]}  # fmt: skip


def spec() -> VenueSpec:
    """Make the venue."""
    return spec_of(
        "mexc",
        {
            "/api/v3/ping": lambda desk, query: {},
            "/api/v3/time": lambda desk, query: {"serverTime": desk.millis()},
            "/api/v3/exchangeInfo": _mexc_markets,
            "/api/v3/ticker/24hr": _mexc_ticker,
            "/api/v3/depth": _mexc_book,
        },
        _mexc,
        unknown=SimulatedReply(status=400, body=b'{"code":-1121,"msg":"Invalid symbol."}'),
    )
