"""BitMEX as its server, in short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exporter.simulator.brief.common import asked_pair, best, feed_of, join, spec_of
from exporter.simulator.market import Levels, Pair, Print, Step
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import Query, SimulatedFeed, SimulatedReply, VenueSpec, dump, iso
from exporter.simulator.venue_server import VenueServer


def _bitmex_feed(pair: Pair, topic: str) -> SimulatedFeed | None:
    one = pair.listing

    def frame(table: str, action: str, rows: list[dict[str, Any]]) -> list[bytes]:
        return [dump({"table": table, "action": action, "data": rows})] if rows else []

    def trades(pair: Pair, prints: Sequence[Print], millis: int) -> list[bytes]:
        return frame("trade", "insert", [
            {"timestamp": iso(millis), "symbol": one.symbol, "side": "Buy" if buy else "Sell",
             "size": float(one.size(q)), "price": float(one.price(p)), "trdMatchID": str(n)}
            for n, buy, p, q in prints
        ])  # fmt: skip

    def quotes(pair: Pair, step: Step) -> list[bytes]:
        bid, bid_size, ask, ask_size = map(float, best(pair))
        row = {"timestamp": iso(step.millis), "symbol": one.symbol, "bidPrice": bid,
               "bidSize": bid_size, "askPrice": ask, "askSize": ask_size}  # fmt: skip
        return frame("quote", "insert", [row])

    def book(
        pair: Pair, bids: Levels, asks: Levels, first: int, last: int, millis: int, whole: bool
    ) -> list[bytes]:
        rows: dict[str, list[dict[str, Any]]] = {"delete": [], "insert": []}
        for side, levels in (("Buy", bids), ("Sell", asks)):
            for price, size in levels:
                row = {"symbol": one.symbol, "id": price, "side": side,
                       "price": float(one.price(price)), "timestamp": iso(millis)}  # fmt: skip
                if size:
                    rows["insert"].append({**row, "size": float(one.size(size))})
                else:
                    rows["delete"].append(row)
        if whole:
            return frame("orderBookL2", "partial", rows["insert"])
        gone = frame("orderBookL2", "delete", rows["delete"])
        return gone + frame("orderBookL2", "insert", rows["insert"])

    def candles(pair: Pair, candle: Any, millis: int) -> list[bytes]:
        end, close = iso(candle.end + 1), float(one.price(candle.close))
        return frame("tradeBin1m", "insert", [
            {"timestamp": end, "symbol": one.symbol, "close": close}
        ])  # fmt: skip

    return feed_of("bitmex", topic, pair, trades=trades, quotes=quotes, book=book, candles=candles)


def _bitmex(session: SimulatedSession, asked: Any) -> None:
    if asked.get("text") == "ping":
        session.reply("pong", keepalive=True)
        return
    operation = str(asked.get("op"))
    for topic in map(str, asked.get("args", ())):
        if operation == "unsubscribe":
            session.unsubscribe(topic)
        else:
            pair = session.desk.pair(topic.partition(":")[2])
            feed = join(session, None if pair is None else _bitmex_feed(pair, topic))
            if feed is None:
                wrong = {"status": 400, "error": f"Unknown or expired symbol: {topic[:60]}",
                         "meta": {}, "request": asked}  # fmt: skip
                session.reply(dump(wrong).decode())
                continue
        session.reply(dump({"success": True, operation: topic, "request": asked}).decode())
        if operation == "subscribe":
            session.open(session.desk.feeds[topic])


def _bitmex_instruments(desk: VenueServer, query: Query) -> object:
    return [
        {"symbol": p.listing.symbol, "typ": "IFXXXP",
         "state": "Open" if desk.listed_as(p).mode == "trading" else "Closed",
         "rootSymbol": p.listing.base.replace("BTC", "XBT"),
         "underlying": p.listing.base.replace("BTC", "XBT"), "quoteCurrency": p.listing.quote,
         "lastPrice": p.print[2], "volume": p.print[0], "bidPrice": p.bids.best,
         "askPrice": p.asks.best}
        for p in ([asked_pair(desk, query)] if "symbol" in query else desk.pairs())
    ]  # fmt: skip


def spec() -> VenueSpec:
    """Make the venue."""
    return spec_of(
        "bitmex",
        {
            "/": lambda desk, query: {"name": "BitMEX API", "timestamp": desk.millis()},
            "/instrument": _bitmex_instruments,
            "/instrument/active": _bitmex_instruments,
        },
        _bitmex,
        unknown=SimulatedReply(body=b"[]"),
    )
