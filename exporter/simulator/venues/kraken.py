"""Kraken, spot, WebSocket v2, as its server.

Source: docs.kraken.com (WebSocket v2; REST; guide "book checksum v2"), read 2026-10; frames
checked against a capture of October 2026.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from exporter.simulator.families import kraken as family
from exporter.simulator.families.kraken import SIZE
from exporter.simulator.market import Candle, Levels, Listing, Pair, PriceWindow, Print, Step
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import (
    Quota,
    SimulatedFeed,
    VenueSpec,
    dump,
    iso,
    listed,
)
from exporter.simulator.state_streams import changes
from exporter.simulator.venue_server import VenueServer

_DEPTHS = (10, 25, 100, 500, 1000)
_INTERVALS = (1, 5, 15, 30, 60, 240, 1440)


# --- WebSocket --------------------------------------------------------------------------------


def _make(
    desk: VenueServer, channel: str, symbol: str, params: Mapping[str, object]
) -> SimulatedFeed | None:
    pair = desk.pair(symbol)
    key = _key(channel, symbol, params)
    topic = f"{channel}:{symbol}"
    if pair is None:
        return None
    match channel:
        case "trade":
            return SimulatedFeed(key=key, topic=topic, channel="trades", pair=pair,
                        prints=partial(_trades, pair), opening=partial(_history, pair))  # fmt: skip
        case "ticker":
            return SimulatedFeed(key=key, topic=topic, channel="quotes", pair=pair,
                        steps=_quotes(pair),
                        opening=lambda millis: [_quote(pair, "snapshot", millis)])  # fmt: skip
        case "book" if params.get("depth", 10) in _DEPTHS:
            return _books(desk, pair, key, topic, int(str(params.get("depth", 10))))
        case "ohlc" if params.get("interval", 1) in _INTERVALS:
            return _candles(pair, key, topic, int(str(params.get("interval", 1))))
    return None


def _key(channel: str, symbol: str, params: Mapping[str, object]) -> str:
    return f"{channel}:{symbol}:{params.get('depth', 10)}:{params.get('interval', 1)}"


def _row(one: Listing, row: Print, moment: str) -> str:
    number, buy, price, size = row
    return (
        f'{{"symbol":"{one.symbol}","side":"{"buy" if buy else "sell"}","price":{one.price(price)},'
        f'"qty":{one.size(size, SIZE)},"ord_type":"limit","trade_id":{number},'
        f'"timestamp":"{moment}"}}'
    )


def _trades(pair: Pair, prints: Sequence[Print], millis: int) -> list[bytes]:
    start, moment = '{"channel":"trade","type":"update","data":[', iso(millis)
    return [f"{start}{_row(pair.listing, row, moment)}]}}".encode() for row in prints]


def _history(pair: Pair, millis: int) -> list[bytes]:
    recent = list(pair.recent) or [(pair.print, millis)]
    rows = [_row(pair.listing, row, iso(at)) for row, at in recent]
    return [f'{{"channel":"trade","type":"snapshot","data":[{",".join(rows)}]}}'.encode()]


def _quote(pair: Pair, kind: str, millis: int) -> bytes:
    one, last = pair.listing, pair.print[2]
    (bid, bid_size), (ask, ask_size) = pair.bids.top(1)[0], pair.asks.top(1)[0]
    change = one.price(last - pair.day_open)
    return (
        f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{one.symbol}",'
        f'"bid":{one.price(bid)},"bid_qty":{one.size(bid_size, SIZE)},"ask":{one.price(ask)},'
        f'"ask_qty":{one.size(ask_size, SIZE)},"last":{one.price(last)},'
        f'"volume":{one.size(pair.day_volume, SIZE)},"vwap":{one.price(last)},'
        f'"low":{one.price(pair.day_low)},"high":{one.price(pair.day_high)},"change":{change},'
        f'"change_pct":{100 * (last - pair.day_open) / pair.day_open:.2f},"trades":{pair.number},'
        f'"timestamp":"{iso(millis)}"}}]}}'
    ).encode()


def _quotes(pair: Pair) -> Callable[[Step], list[bytes]]:
    before: list[Levels] = []

    def steps(step: Step) -> list[bytes]:
        now = [pair.bids.top(1), pair.asks.top(1)]
        if now == before:
            return []
        before[:] = now
        return [_quote(pair, "update", step.millis)]

    return steps


def _levels(one: Listing, levels: Levels) -> str:
    rows = [f'{{"price":{one.price(p)},"qty":{one.size(n, SIZE) if n else 0}}}' for p, n in levels]
    return f"[{','.join(rows)}]"


def _books(desk: VenueServer, pair: Pair, key: str, topic: str, depth: int) -> SimulatedFeed:
    one, window = pair.listing, PriceWindow(pair, depth)

    def frame(kind: str, millis: int, bids: Levels, asks: Levels, checksum: int) -> bytes:
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{one.symbol}",'
            f'"bids":{_levels(one, bids)},"asks":{_levels(one, asks)},"checksum":{checksum},'
            f'"timestamp":"{iso(millis)}"}}]}}'
        ).encode()

    def steps(step: Step) -> list[bytes]:
        bids, asks = window.changes()
        right = family.checksum(one, pair.bids.top(10), pair.asks.top(10))
        return [frame("update", step.millis, bids, asks, desk.checksum(pair, right))]

    def opening(millis: int) -> list[bytes]:
        bids, asks = window.levels()
        right = family.checksum(one, bids, asks)
        return [frame("snapshot", millis, bids, asks, desk.checksum(pair, right))]

    return SimulatedFeed(
        key=key, topic=topic, channel="book", pair=pair, steps=steps, opening=opening
    )


def _candles(pair: Pair, key: str, topic: str, interval: int) -> SimulatedFeed:
    one, length = pair.listing, interval * 60_000

    def frame(c: Candle, kind: str, millis: int) -> bytes:
        return (
            f'{{"channel":"ohlc","type":"{kind}","timestamp":"{iso(millis)}","data":[{{'
            f'"symbol":"{one.symbol}","open":{one.price(c.open)},"high":{one.price(c.high)},'
            f'"low":{one.price(c.low)},"close":{one.price(c.close)},"trades":{c.count},'
            f'"volume":{one.size(c.volume, SIZE)},"vwap":{one.price(c.close)},'
            f'"interval_begin":"{iso(c.start)}","interval":{interval},'
            f'"timestamp":"{iso(c.start + length)}"}}]}}'
        ).encode()

    def steps(step: Step) -> list[bytes]:
        closed = step.closed.get(length)
        if closed is None and not step.second:
            return []
        return [frame(closed or pair.kline(length, step.millis), "update", step.millis)]

    return SimulatedFeed(key=key, topic=topic, channel="klines", pair=pair, steps=steps,
                opening=lambda m: [frame(pair.kline(length, m), "snapshot", m)])  # fmt: skip


def _tell_state(session: SimulatedSession) -> None:
    session.told = family.state(session.desk)
    row = {"version": "2.0.10", "system": session.told, "api_version": "v2",
           "connection_id": 1743042658499070000 + int(session.id, 16),
           **family.notices(session.desk)}  # fmt: skip
    session.reply(dump({"channel": "status", "type": "update", "data": [row]}).decode())


def _received(session: SimulatedSession, text: str) -> None:
    begun = iso(session.desk.millis())
    try:
        asked = json.loads(text)
        method, params = asked["method"], asked.get("params", {})
        number = {"req_id": int(asked["req_id"])} if "req_id" in asked else {}
        channel, symbols = str(params.get("channel", "")), params.get("symbol", [])
        names = [str(symbol) for symbol in symbols]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        session.reply(dump({"error": "Malformed request", "success": False}).decode())
        return

    def reply(part: Mapping[str, object], *, keepalive: bool = False) -> None:
        times = {"time_in": begun, "time_out": iso(session.desk.millis())}
        answer = {"method": method, **number, **part, **times}
        session.reply(dump(answer).decode(), keepalive=keepalive)

    if method == "ping":
        method = "pong"
        reply({}, keepalive=True)
        return
    if method not in ("subscribe", "unsubscribe"):
        reply({"success": False, "error": "Unsupported method"})
        return
    if channel == "instrument" and method == "subscribe":
        session.heard_of["instrument"] = {}
        reply({"result": {"channel": channel, "snapshot": True}, "success": True})
        _tell_pairs(session, "snapshot")
        return
    extra = {"depth": params.get("depth", 10), "snapshot": True} if channel == "book" else {}
    for name in names:
        result = {"channel": channel, **extra, "symbol": name}
        key = _key(channel, name, params)
        if method == "unsubscribe":
            session.unsubscribe(key)
            reply({"result": result, "success": True})
            continue
        feed = session.desk.feeds.get(key) or _make(session.desk, channel, name, params)
        if feed is None or not session.subscribe(feed):
            error = f"Currency pair not supported {name[:40]}"
            reply({"success": False, "error": error, "symbol": name[:40]})
            continue
        reply({"result": result, "success": True})
        session.open(feed)


def _tell_pairs(session: SimulatedSession, kind: str) -> None:
    if rows := changes(session, "instrument", family.pairs(session.desk)):
        found = {"assets": [], "pairs": list(rows.values())}
        session.reply(dump({"channel": "instrument", "type": kind, "data": found}).decode())


def _tended(session: SimulatedSession, now: float) -> None:
    if "instrument" in session.heard_of:
        _tell_pairs(session, "update")
    if session.told != family.state(session.desk):
        _tell_state(session)
    if (session.feeds or session.heard_of) and now - session.pushed >= 1.0:
        session.reply('{"channel":"heartbeat"}')


WIRE = VenueSpec(
    name="kraken",
    symbol=lambda instrument: instrument.replace("-", "/"),
    lists=lambda instruments: listed(instruments, "USD"),
    routes=family.ROUTES,
    refusals=family.REFUSALS,
    quota=family.QUOTA,
    sockets=lambda path: path == "/v2",
    opened=_tell_state,
    received=_received,
    tended=_tended,
    idle_limit=60.0,
    connects=Quota(limit=150, window=600.0),
    checksums=True,
)
