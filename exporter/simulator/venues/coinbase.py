"""Coinbase Exchange as its server.

Source: docs.cdp.coinbase.com (Exchange WebSocket feed: overview, channels, rate limits), read
2026-10; frames checked against traffic recorded in April 2021.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from exporter.simulator import statuspage
from exporter.simulator.market import Levels, Pair, Print, Step
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import (
    Query,
    Quota,
    Refusals,
    Route,
    SimulatedFeed,
    SimulatedReply,
    VenueSpec,
    dump,
    iso,
    listed,
)
from exporter.simulator.venue_server import VenueServer

_CHANNELS = ("matches", "ticker", "level2_batch", "heartbeat")
_STATUS_EVERY = 1.0  # seconds between two frames of the channel of that name
_PATIENCE = 5.0  # seconds in which a connection must subscribe


def _message(text: str, status: int) -> SimulatedReply:
    return SimulatedReply(status=status, body=dump({"message": text}))


def _of(
    answer: Callable[[VenueServer, Query, Pair], object],
) -> Callable[[VenueServer, Query], bytes | SimulatedReply]:
    def checked(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        pair = desk.pair(query["symbol"])
        return dump(answer(desk, query, pair)) if pair else _message("NotFound", 404)

    return checked


def _time(desk: VenueServer, query: Query) -> bytes:
    now = desk.millis()
    return dump({"iso": iso(now)[:-4] + "Z", "epoch": now / 1000})


def _products(desk: VenueServer, query: Query) -> bytes:
    return dump([_product(desk, pair) for pair in desk.pairs()])


def _product(desk: VenueServer, pair: Pair) -> dict[str, object]:
    one, state = pair.listing, desk.listed_as(pair)
    modes = {mode: mode == state.mode for mode in ("post_only", "limit_only", "cancel_only")}
    return {"id": one.symbol, "base_currency": one.base, "quote_currency": one.quote,
            "quote_increment": one.price(state.tick), "base_increment": one.size(1),
            "display_name": one.symbol.replace("-", "/"), "min_market_funds": "1",
            "margin_enabled": False, **modes, "trading_disabled": state.mode == "halted",
            "status": "online", "status_message": ""}  # fmt: skip


def _quote(desk: VenueServer, query: Query, pair: Pair) -> object:
    one, (number, _, price, size) = pair.listing, pair.print
    return {"ask": one.price(pair.asks.best), "bid": one.price(pair.bids.best),
            "volume": one.size(pair.day_volume), "trade_id": number, "price": one.price(price),
            "size": one.size(size), "time": iso(pair.printed)}  # fmt: skip


def _book(desk: VenueServer, query: Query, pair: Pair) -> object:
    count = {"1": 1, "2": 50}.get(query.get("level", "1"), 1)
    one = pair.listing
    bids, asks = (
        [[one.price(p), one.size(n), 1] for p, n in side.top(count)]
        for side in (pair.bids, pair.asks)
    )
    return {"bids": bids, "asks": asks, "sequence": pair.last, "time": iso(desk.millis())}


def _currencies(desk: VenueServer, query: Query) -> bytes:
    known = {name for p in desk.pairs() for name in (p.listing.base, p.listing.quote)}
    return dump([
        {"id": name, "name": name, "min_size": "0.00000001", "status": "online", "message": "",
         "max_precision": "0.00000001", "convertible_to": [], "details": {"type": "crypto"},
         "default_network": "", "supported_networks": []}
        for name in sorted(known)
    ])  # fmt: skip


def _stats(desk: VenueServer, query: Query, pair: Pair) -> object:
    one = pair.listing
    return {"open": one.price(pair.day_open), "high": one.price(pair.day_high),
            "low": one.price(pair.day_low), "last": one.price(pair.print[2]),
            "volume": one.size(pair.day_volume),
            "volume_30day": one.size(pair.day_volume)}  # fmt: skip


def _all_stats(desk: VenueServer, query: Query) -> bytes:
    return dump({
        pair.listing.symbol: {"stats_24hour": _stats(desk, query, pair)} for pair in desk.pairs()
    })  # fmt: skip


def _trades(desk: VenueServer, query: Query, pair: Pair) -> object:
    return [
        {"trade_id": n, "side": "sell" if buy else "buy", "size": pair.listing.size(q),
         "price": pair.listing.price(p), "time": iso(millis)}
        for (n, buy, p, q), millis in reversed(pair.recent)
    ]  # fmt: skip


def _candles(desk: VenueServer, query: Query, pair: Pair) -> object:
    one = pair.listing
    candles = [*pair.closed, pair.kline(60_000, desk.millis())]
    return [
        [c.start // 1000, *(float(one.price(p)) for p in (c.low, c.high, c.open, c.close)),
         float(one.size(c.volume))]
        for c in reversed(candles)
    ]  # fmt: skip


# --- WebSocket --------------------------------------------------------------------------------


def _make(desk: VenueServer, channel: str, product: str) -> SimulatedFeed | None:
    pair = desk.pair(product)
    key = f"{channel}:{product}"
    if pair is None or channel not in _CHANNELS:
        return None
    match channel:
        case "matches":
            return SimulatedFeed(key=key, topic=key, channel="trades", pair=pair,
                        prints=partial(_matches, pair, "match"),
                        opening=lambda millis: _matches(pair, "last_match", [pair.print],
                                                        pair.printed))  # fmt: skip
        case "ticker":
            return SimulatedFeed(key=key, topic=key, channel="quotes", pair=pair,
                        prints=partial(_tickers, pair),
                        opening=lambda millis: _tickers(pair, [pair.print],
                                                        pair.printed))  # fmt: skip
        case "heartbeat":
            return SimulatedFeed(key=key, topic=key, channel="heartbeat", pair=pair,
                        steps=partial(_heartbeat, pair))  # fmt: skip
    return SimulatedFeed(key=key, topic=key, channel="book", pair=pair,
                steps=partial(_updates, pair), opening=partial(_snapshot, pair))  # fmt: skip


def _matches(pair: Pair, kind: str, prints: Sequence[Print], millis: int) -> list[bytes]:
    one, moment = pair.listing, iso(millis)
    # The side is the maker's: where the taker bought, the maker sold.
    return [
        (f'{{"type":"{kind}","trade_id":{n},"maker_order_id":"2a0da34e-0000-4000-8000-{n:012x}",'
         f'"taker_order_id":"3c82abaa-0000-4000-8000-{n:012x}","side":"{"sell" if buy else "buy"}",'
         f'"size":"{one.size(q)}","price":"{one.price(p)}","product_id":"{one.symbol}",'
         f'"sequence":{n * 11},"time":"{moment}"}}').encode()
        for n, buy, p, q in prints
    ]  # fmt: skip


def _tickers(pair: Pair, prints: Sequence[Print], millis: int) -> list[bytes]:
    one = pair.listing
    (bid, bid_size), (ask, ask_size) = pair.bids.top(1)[0], pair.asks.top(1)[0]
    return [
        dump({
            "type": "ticker", "sequence": n * 11, "product_id": one.symbol, "price": one.price(p),
            "open_24h": one.price(pair.day_open), "volume_24h": one.size(pair.day_volume),
            "low_24h": one.price(pair.day_low), "high_24h": one.price(pair.day_high),
            "volume_30d": one.size(pair.day_volume), "best_bid": one.price(bid),
            "best_bid_size": one.size(bid_size), "best_ask": one.price(ask),
            "best_ask_size": one.size(ask_size), "side": "buy" if buy else "sell",
            "time": iso(millis), "trade_id": n, "last_size": one.size(q),
        })
        for n, buy, p, q in prints
    ]  # fmt: skip


def _heartbeat(pair: Pair, step: Step) -> list[bytes]:
    if not step.second:
        return []
    return [dump({"type": "heartbeat", "sequence": pair.print[0] * 11,
                  "last_trade_id": pair.print[0], "product_id": pair.listing.symbol,
                  "time": iso(step.millis)})]  # fmt: skip


def _snapshot(pair: Pair, millis: int) -> list[bytes]:
    one = pair.listing

    def rows(levels: Levels) -> list[list[str]]:
        return [[one.price(p), one.size(n)] for p, n in levels]

    return [dump({"type": "snapshot", "product_id": one.symbol, "asks": rows(pair.asks.top()),
                  "bids": rows(pair.bids.top()), "time": iso(millis)})]  # fmt: skip


def _updates(pair: Pair, step: Step) -> list[bytes]:
    one = pair.listing
    changes = [
        [side, one.price(p), one.size(n)]
        for side, levels in (("buy", step.bids), ("sell", step.asks))
        for p, n in levels
    ]
    return [dump({"type": "l2update", "product_id": one.symbol, "changes": changes,
                  "time": iso(step.millis)})]  # fmt: skip


def _wanted(asked: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return (channel, product) for all that a request names. Raises ValueError, TypeError."""
    products, channels = asked.get("product_ids", []), asked["channels"]
    if not isinstance(products, list) or not isinstance(channels, list):
        raise TypeError("lists are expected")
    wanted = []
    for channel in channels:
        name, own = channel, products
        if isinstance(channel, dict):
            name, own = channel["name"], channel.get("product_ids", products)
        wanted += [(str(name), str(product)) for product in own]
    return wanted


def _received(session: SimulatedSession, text: str) -> None:
    try:
        asked = json.loads(text)
        wanted, operation = _wanted(asked), asked["type"]
        bare = [str(c) for c in asked["channels"] if not isinstance(c, dict)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        _fail(session, "Malformed JSON")
        return
    if operation == "unsubscribe":
        # Without products the whole channel goes.
        gone = {f"{channel}:{product}" for channel, product in wanted}
        gone |= {k for k in session.feeds if k.split(":")[0] in bare and not wanted}
        for key in gone:
            session.unsubscribe(key)
        session.reply(_active(session))
        return
    named = {one["name"] for one in asked["channels"] if isinstance(one, dict)} | set(bare)
    if "status" in named and operation == "subscribe":
        session.heard_of["status"] = {}
        wanted = [each for each in wanted if each[0] != "status"]
        if not wanted:
            session.reply(_active(session))
            return
    if operation != "subscribe" or not wanted:
        _fail(session, "Type has to be either subscribe or unsubscribe")
        return
    feeds = []
    for channel, product in wanted:
        key = f"{channel}:{product}"
        feed = session.desk.feeds.get(key) or _make(session.desk, channel, product)
        if feed is None or not session.subscribe(feed):
            _fail(session, f"{product if channel in _CHANNELS else channel} is not valid")
            return
        feeds.append(feed)
    session.reply(_active(session))
    for feed in feeds:
        session.open(feed)


def _active(session: SimulatedSession) -> str:
    channels: dict[str, list[str]] = {}
    for key in session.feeds:
        name, _, product = key.partition(":")
        channels.setdefault(name, []).append(product)
    rows: list[Mapping[str, object]] = [
        {"name": name, "product_ids": ids} for name, ids in channels.items()
    ]
    rows += [{"name": name} for name in session.heard_of]
    return dump({"type": "subscriptions", "channels": rows}).decode()


def _fail(session: SimulatedSession, reason: str) -> None:
    frame = {"type": "error", "message": "Failed to subscribe", "reason": reason[:200]}
    session.reply(dump(frame).decode())


def _tended(session: SimulatedSession, now: float) -> None:
    if session.heard == session.opened and now - session.opened > _PATIENCE:
        session.close(1008, "must subscribe within 5 seconds")
    if "status" in session.heard_of and now - session.pushed >= _STATUS_EVERY:
        products = [_product(session.desk, pair) for pair in session.desk.pairs()]
        for product in products:
            product.pop("trading_disabled")  # of the list alone
        session.reply(dump({"type": "status", "currencies": [], "products": products}).decode())


WIRE = VenueSpec(
    name="coinbase",
    symbol=lambda instrument: instrument,
    lists=lambda instruments: listed(instruments, "USD"),
    routes={
        "/time": Route(answer=_time),
        "/products": Route(answer=_products),
        "/products/stats": Route(answer=_all_stats),
        "/products/{symbol}/ticker": Route(answer=_of(_quote)),
        "/products/{symbol}/book": Route(answer=_of(_book)),
        "/products/{symbol}/stats": Route(answer=_of(_stats)),
        "/products/{symbol}/trades": Route(answer=_of(_trades)),
        "/products/{symbol}/candles": Route(answer=_of(_candles)),
        "/currencies": Route(answer=_currencies),
        **statuspage.ROUTES,
    },
    refusals=Refusals(
        unknown_path=lambda desk, path: _message("NotFound", 404),
        limited=lambda desk, wait: _message("Public rate limit exceeded", 429),
        banned=lambda desk, wait: _message("Forbidden", 403),
        unavailable=lambda desk: _message("Service unavailable", 503),
    ),
    quota=Quota(limit=15, window=1.0),
    sockets=lambda path: path in ("", "/"),
    received=_received,
    tended=_tended,
    incoming=Quota(limit=100, window=1.0),
    connects=Quota(limit=20, window=1.0),
)
