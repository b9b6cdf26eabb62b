"""Bitfinex as its server, in short."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from exporter.simulator.brief.common import asked_pair, best, feed_of, join, spec_of
from exporter.simulator.market import Levels, Pair, Print, Step
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import Query, SimulatedFeed, SimulatedReply, VenueSpec, dump
from exporter.simulator.venue_server import VenueServer

_numbers = count(100_000)  # of channels
_INFO = dump({"event": "info", "version": 2, "platform": {"status": 1}}).decode()


def _bitfinex_feed(pair: Pair, channel: str, number: int) -> SimulatedFeed | None:
    one = pair.listing

    def row(body: str) -> bytes:
        return f"[{number},{body}]".encode()

    def trades(pair: Pair, prints: Sequence[Print], millis: int) -> list[bytes]:
        return [
            row(f'"te",[{n},{millis},{"" if buy else "-"}{one.size(q)},{one.price(p)}]')
            for n, buy, p, q in prints
        ]

    def quotes(pair: Pair, step: Step) -> list[bytes]:
        return [row(f"[{','.join(best(pair))},0,0,{one.price(pair.print[2])},1,1,1]")]

    def book(
        pair: Pair, bids: Levels, asks: Levels, first: int, last: int, millis: int, whole: bool
    ) -> list[bytes]:
        rows = [
            f"[{one.price(p)},{int(q > 0)},{sign}{one.size(q) if q else 1}]"
            for sign, levels in (("", bids), ("-", asks))
            for p, q in levels
        ]
        return [row(f"[{','.join(rows)}]")] if whole else [row(each) for each in rows]

    def candles(pair: Pair, candle: Any, millis: int) -> list[bytes]:
        prices = [one.price(p) for p in (candle.open, candle.close, candle.high, candle.low)]
        return [row(f"[{candle.start},{','.join(prices)},{one.size(candle.volume)}]")]

    topic = f"{channel}:{one.symbol}"
    return feed_of("bitfinex", topic, pair, key=f"{number}", trades=trades, quotes=quotes,
                 book=book, candles=candles)  # fmt: skip


def _bitfinex(session: SimulatedSession, asked: Any) -> None:
    match asked.get("event"):
        case "ping":
            session.reply(dump({"event": "pong", "cid": asked.get("cid"), "ts": 1}).decode())
        case "conf":
            session.reply(dump({"event": "conf", "status": "OK", "flags": 0}).decode())
        case "unsubscribe":
            number = str(asked.get("chanId"))
            session.unsubscribe(number)
            told = {"event": "unsubscribed", "status": "OK", "chanId": int(number)}
            session.reply(dump(told).decode())
        case "subscribe":
            _bitfinex_join(session, asked)
        case _:
            session.reply(dump({"event": "error", "msg": "unknown", "code": 10000}).decode())


def _bitfinex_join(session: SimulatedSession, asked: Any) -> None:
    channel = str(asked.get("channel"))
    symbol = str(asked.get("symbol") or str(asked.get("key")).split(":", 2)[-1])
    pair, number = session.desk.pair(symbol), next(_numbers)
    said = {name: asked[name] for name in ("channel", "symbol", "key", "prec", "freq", "len")
            if name in asked}  # fmt: skip
    topic = f"{channel}:{symbol}"
    if any(feed.topic == topic for feed in session.feeds.values()):
        wrong = {"event": "error", "msg": "subscribe: dup", "code": 10301, **said}
        session.reply(dump(wrong).decode())
        return
    feed = join(session, None if pair is None else _bitfinex_feed(pair, channel, number))
    if feed is None:
        wrong = {"event": "error", "msg": "symbol: invalid", "code": 10300, **said}
        session.reply(dump(wrong).decode())
        return
    session.reply(dump({"event": "subscribed", "chanId": number, **said}).decode())
    session.open(feed)


def _bitfinex_ticker(desk: VenueServer, query: Query) -> object:
    pair = asked_pair(desk, query)
    figures = [float(each) for each in best(pair)]
    return [*figures, 0, 0, pair.print[2], pair.print[0], 1, 1]


def _bitfinex_pairs(desk: VenueServer, query: Query) -> object:
    return [[pair.listing.symbol.removeprefix("t") for pair in desk.pairs()]]


def spec() -> VenueSpec:
    """Make the venue."""
    return spec_of(
        "bitfinex",
        {
            "/platform/status": lambda desk, query: [1],
            "/ticker/{symbol}": _bitfinex_ticker,
            "/conf/pub:list:pair:exchange": _bitfinex_pairs,
        },
        _bitfinex,
        lambda session: session.reply(_INFO),
        unknown=SimulatedReply(status=500, body=b'["error",10020,"symbol: invalid"]'),
    )
