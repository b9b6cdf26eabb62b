"""Hyperliquid, perpetuals, as its server.

Source: hyperliquid.gitbook.io as ccxt and nautilus_trader show it, read 2026-11-30.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from exporter.simulator.market import Candle, Levels, Listing, Pair, Print, Step
from exporter.simulator.perpetuals import state_of
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
)
from exporter.simulator.venue_server import VenueServer

_INTERVALS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "1d": 86_400}
_DEPTH = 20  # levels a side of a book
_CHEAP = frozenset(("l2Book", "allMids", "exchangeStatus"))


# --- REST -------------------------------------------------------------------------------------


def _levels(one: Listing, levels: Levels) -> list[Mapping[str, object]]:
    return [{"px": one.price(p), "sz": one.size(n), "n": 1} for p, n in levels]


def _book(pair: Pair, millis: int) -> Mapping[str, object]:
    one = pair.listing
    sides = [_levels(one, side.top(_DEPTH)) for side in (pair.bids, pair.asks)]
    return {"coin": one.symbol, "time": millis, "levels": sides}


def _trade(one: Listing, row: Print, millis: int) -> Mapping[str, object]:
    number, buy, price, size = row
    return {"coin": one.symbol, "side": "B" if buy else "A", "px": one.price(price),
            "sz": one.size(size), "time": millis, "hash": f"0x{number:064x}",
            "tid": number * 1_000_003 % 10**15, "users": ["0x0", "0x1"]}  # fmt: skip


def _candle(one: Listing, interval: str, c: Candle) -> Mapping[str, object]:
    prices = {"o": c.open, "c": c.close, "h": c.high, "l": c.low}
    return {"t": c.start, "T": c.end, "s": one.symbol, "i": interval,
            **{name: one.price(ticks) for name, ticks in prices.items()},
            "v": one.size(c.volume), "n": c.count}  # fmt: skip


def _universe(desk: VenueServer) -> Mapping[str, object]:
    rows = [{"name": p.listing.symbol, "szDecimals": min(p.listing.size_decimals, 5),
             "maxLeverage": 50, "marginTableId": 56} for p in desk.pairs()]  # fmt: skip
    return {"universe": rows, "marginTables": [], "collateralToken": 0}


def _context(desk: VenueServer, pair: Pair) -> Mapping[str, object]:
    one, last, state = pair.listing, pair.listing.price(pair.print[2]), state_of(desk, pair, 1)
    best = [one.price(pair.bids.best), one.price(pair.asks.best)]
    return {"funding": f"{state.rate / 8:.7f}", "openInterest": "688.11",
            "prevDayPx": one.price(pair.day_open),
            "dayNtlVlm": "1169046.29", "premium": "0.0003", "oraclePx": state.index,
            "markPx": state.mark,
            "midPx": last, "impactPxs": best, "dayBaseVlm": one.size(pair.day_volume)}  # fmt: skip


def _info(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
    """Answer what is posted to /info, by its type."""
    kind, pair = query.get("type", ""), desk.pair(query.get("coin", ""))
    match kind:
        case "allMids":
            return dump({p.listing.symbol: p.listing.price(p.print[2]) for p in desk.pairs()})
        case "meta":
            return dump(_universe(desk))
        case "metaAndAssetCtxs":
            return dump([_universe(desk), [_context(desk, p) for p in desk.pairs()]])
        case "perpDexs":
            return dump([None])
        case "spotMeta" | "spotMetaAndAssetCtxs":
            spot: object = {"universe": [], "tokens": [
                {"name": "USDC", "szDecimals": 8, "weiDecimals": 8, "index": 0, "tokenId": "0x6d1e",
                 "isCanonical": True, "fullName": None, "evmContract": None}
            ]}  # fmt: skip
            return dump(spot if kind == "spotMeta" else [spot, []])
        case "exchangeStatus":
            return dump({"time": desk.millis(), "specialStatuses": None})
        case "candleSnapshot":
            return _candles(desk, query)
    if pair is None:
        return SimulatedReply(status=500, body=b"null")
    match kind:
        case "l2Book":
            return dump(_book(pair, desk.millis()))
        case "recentTrades":
            return dump([_trade(pair.listing, r, at) for r, at in reversed(pair.recent)])
    return SimulatedReply(
        status=422, body=b"Failed to deserialize the JSON body into the target type",
        content_type="text/plain",
    )  # fmt: skip


def _candles(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
    try:
        asked = json.loads(query.get("req", "").replace("'", '"'))
        pair, interval = desk.pair(str(asked["coin"])), str(asked["interval"])
    except (ValueError, KeyError, TypeError):
        pair, interval = None, ""
    if pair is None or interval not in _INTERVALS:
        return SimulatedReply(status=500, body=b"null")
    rows = (*pair.closed, pair.kline(60_000, desk.millis()))
    return dump([_candle(pair.listing, interval, c) for c in rows])


# --- WebSocket --------------------------------------------------------------------------------


def _make(session: SimulatedSession, asked: Mapping[str, object]) -> SimulatedFeed | None:
    kind = str(asked.get("type"))
    pair = session.desk.pair(str(asked.get("coin", "")))
    if pair is None:
        return None
    one = pair.listing
    key = json.dumps(asked, sort_keys=True)
    made = SimulatedFeed(key=key, topic=f"{kind}:{one.symbol}", channel="", pair=pair)

    def frame(channel: str, row: object) -> list[bytes]:
        return [dump({"channel": channel, "data": row})]

    def trades(prints: Sequence[Print], millis: int) -> list[bytes]:
        return frame("trades", [_trade(one, row, millis) for row in prints])

    def best(step: Step) -> list[bytes]:
        sides = [_levels(one, side.top(1))[0] for side in (pair.bids, pair.asks)]
        return frame("bbo", {"coin": one.symbol, "time": step.millis, "bbo": sides})

    def candles(step: Step) -> list[bytes]:
        interval = str(asked.get("interval"))
        length = _INTERVALS[interval] * 1000
        closed = step.closed.get(length)
        if closed is None and not step.second:
            return []
        return frame("candle", _candle(one, interval, closed or pair.kline(length, step.millis)))

    match kind:
        case "trades":
            made.channel, made.prints = "trades", trades
        case "bbo":
            made.channel, made.steps = "quotes", best
        case "l2Book":
            made.channel = "book"
            made.opening = lambda millis: frame("l2Book", _book(pair, millis))
            made.steps = lambda step: frame("l2Book", _book(pair, step.millis))
        case "candle" if asked.get("interval") in _INTERVALS:
            made.channel, made.steps = "klines", candles
        case "activeAssetCtx":
            made.channel = "ticker"
            row = "activeAssetCtx"
            made.steps = lambda step: (
                frame(row, {"coin": one.symbol, "ctx": _context(session.desk, pair)})
                if step.second
                else []
            )
        case _:
            return None
    return made


def _mids(session: SimulatedSession) -> SimulatedFeed:
    """Make the feed of all middles, which belongs to no market: the first one's steps drive it."""
    desk, pair = session.desk, session.desk.pairs()[0]

    def steps(step: Step) -> list[bytes]:
        mids = {p.listing.symbol: p.listing.price(p.print[2]) for p in desk.pairs()}
        return [dump({"channel": "allMids", "data": {"mids": mids}})] if step.second else []

    return SimulatedFeed(key='{"type": "allMids"}', topic="allMids", channel="ticker", pair=pair,
                         steps=steps)  # fmt: skip


def _received(session: SimulatedSession, text: str) -> None:
    try:
        asked = json.loads(text)
        method, wanted = asked["method"], asked.get("subscription")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        _fail(session, f"Error parsing JSON into valid websocket request: {text[:200]}")
        return
    if method == "ping":
        session.reply('{"channel":"pong"}', keepalive=True)
        return
    if method not in ("subscribe", "unsubscribe") or not isinstance(wanted, dict):
        _fail(session, f"Error parsing JSON into valid websocket request: {text[:200]}")
        return
    told = dump({"channel": "subscriptionResponse",
                 "data": {"method": method, "subscription": wanted}}).decode()  # fmt: skip
    made = _mids(session) if wanted.get("type") == "allMids" else _make(session, wanted)
    if made is None:
        _fail(session, f"Invalid subscription {json.dumps(wanted)[:200]}")
        return
    if method == "unsubscribe":
        if made.key not in session.feeds:
            _fail(session, f"Already unsubscribed: {json.dumps(wanted)[:200]}")
            return
        session.unsubscribe(made.key)
        session.reply(told)
        return
    if made.key in session.feeds:
        _fail(session, f"Already subscribed: {json.dumps(wanted)[:200]}")
        return
    feed = session.desk.feeds.get(made.key) or made
    if not session.subscribe(feed):
        _fail(session, f"Invalid subscription {json.dumps(wanted)[:200]}")
        return
    session.reply(told)
    session.open(feed)


def _fail(session: SimulatedSession, why: str) -> None:
    session.reply(dump({"channel": "error", "data": why}).decode())


def _coins(instruments: Sequence[str]) -> Sequence[str]:
    """List perpetuals, which are all paid with USDC."""
    return tuple(dict.fromkeys(f"{one.partition('-')[0]}-USDC" for one in instruments))


def _text(status: int, text: str) -> Callable[..., SimulatedReply]:
    reply = SimulatedReply(status=status, body=text.encode(), content_type="text/plain")
    return lambda *asked: reply


WIRE = VenueSpec(
    name="hyperliquid",
    symbol=lambda instrument: instrument.partition("-")[0],
    lists=_coins,
    routes={
        "/info": Route(
            answer=_info,
            method="POST",
            weight=lambda query: 2 if query.get("type") in _CHEAP else 20,
        )
    },
    quota=Quota(limit=1200, window=60.0),
    refusals=Refusals(
        unknown_path=_text(404, ""),
        limited=_text(429, "null"),
        banned=_text(429, "null"),
        unavailable=_text(502, "Bad Gateway"),
    ),
    sockets=lambda path: path == "/ws",
    received=_received,
    idle_limit=60.0,
    incoming=Quota(limit=2000, window=60.0),
    connects=Quota(limit=30, window=60.0),
)
