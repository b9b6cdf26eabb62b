"""Coinbase Advanced Trade as its server, in short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exporter.simulator.brief.common import asked_pair, best, feed_of, join, spec_of
from exporter.simulator.market import Levels, Pair, Print, Step
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import Query, SimulatedFeed, SimulatedReply, VenueSpec, dump, iso
from exporter.simulator.venue_server import VenueServer

_PRODUCTS = "/api/v3/brokerage/market/products"


def _advanced_feed(pair: Pair, topic: str) -> SimulatedFeed | None:
    one = pair.listing

    def frame(channel: str, millis: int, event: dict[str, Any]) -> list[bytes]:
        # Numbers of the whole connection are not made here: each would be another's too.
        return [dump({"channel": channel, "client_id": "", "timestamp": iso(millis),
                      "events": [event]})]  # fmt: skip

    def trades(pair: Pair, prints: Sequence[Print], millis: int) -> list[bytes]:
        rows = [
            {"product_id": one.symbol, "trade_id": str(n), "price": one.price(p),
             "size": one.size(q), "time": iso(millis), "side": "BUY" if buy else "SELL"}
            for n, buy, p, q in reversed(prints)
        ]  # fmt: skip
        return frame("market_trades", millis, {"type": "update", "trades": rows})

    def quotes(pair: Pair, step: Step) -> list[bytes]:
        bid, bid_size, ask, ask_size = best(pair)
        row = {"type": "ticker", "product_id": one.symbol, "price": one.price(pair.print[2]),
               "best_bid": bid, "best_bid_quantity": bid_size, "best_ask": ask,
               "best_ask_quantity": ask_size}  # fmt: skip
        return frame("ticker", step.millis, {"type": "update", "tickers": [row]})

    def book(
        pair: Pair, bids: Levels, asks: Levels, first: int, last: int, millis: int, whole: bool
    ) -> list[bytes]:
        rows = [
            {"side": side, "event_time": iso(millis), "price_level": one.price(p),
             "new_quantity": one.size(q) if q else "0"}
            for side, levels in (("bid", bids), ("offer", asks)) for p, q in levels
        ]  # fmt: skip
        kind = "snapshot" if whole else "update"
        return frame("l2_data", millis, {"type": kind, "product_id": one.symbol, "updates": rows})

    return feed_of("coinbase_advanced", topic, pair, trades=trades, quotes=quotes, book=book)


def _advanced(session: SimulatedSession, asked: Any) -> None:
    channel, joining = str(asked.get("channel")), asked.get("type") == "subscribe"
    joined: list[str] = []
    for product in map(str, asked.get("product_ids", ())):
        topic, pair = f"{channel}:{product}", session.desk.pair(product)
        if not joining:
            session.unsubscribe(topic)
        elif join(session, None if pair is None else _advanced_feed(pair, topic)) is not None:
            joined.append(topic)
        else:
            wrong = f"failed to subscribe: {topic[:60]} is no valid channel and product"
            session.reply(dump({"type": "error", "message": wrong}).decode())
            return
    active: dict[str, list[str]] = {}
    for topic in session.feeds:
        name, _, product = topic.partition(":")
        active.setdefault(name, []).append(product)
    told = {"channel": "subscriptions", "client_id": "", "timestamp": iso(session.desk.millis()),
            "events": [{"subscriptions": active}]}  # fmt: skip
    session.reply(dump(told).decode())
    for topic in joined:
        session.open(session.desk.feeds[topic])


def _advanced_ticker(desk: VenueServer, query: Query) -> object:
    pair = asked_pair(desk, query)
    bid, _, ask, _ = best(pair)
    trade = {"trade_id": str(pair.print[0]), "time": iso(pair.printed)}
    return {"trades": [trade], "best_bid": bid, "best_ask": ask}


def _advanced_products(desk: VenueServer, query: Query) -> object:
    return {"products": [
        {"product_id": p.listing.symbol, "base_currency_id": p.listing.base,
         "quote_currency_id": p.listing.quote}
        for p in desk.pairs()
    ]}  # fmt: skip


def spec() -> VenueSpec:
    """Make the venue."""
    return spec_of(
        "coinbase_advanced",
        {
            "/api/v3/brokerage/time": lambda desk, query: {"epochMillis": str(desk.millis())},
            _PRODUCTS: _advanced_products,
            f"{_PRODUCTS}/{{symbol}}/ticker": _advanced_ticker,
        },
        _advanced,
        unknown=SimulatedReply(status=404, body=b'{"error":"NOT_FOUND"}'),
    )
