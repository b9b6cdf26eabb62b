"""Kraken, spot, WebSocket v1, as its server.

Source: docs.kraken.com (WebSocket v1), read 2026-10; frames checked against traffic recorded in
April 2021.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from exporter.simulator.families import kraken as family
from exporter.simulator.families.kraken import SIZE
from exporter.simulator.market import Candle, Levels, Listing, Pair, PriceWindow, Print, Step
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import Quota, SimulatedFeed, VenueSpec, dump, listed
from exporter.simulator.venue_server import VenueServer

_DECIMALS = 5  # of every price, padded
_DEPTHS = (10, 25, 100, 500, 1000)
_INTERVALS = (1, 5, 15, 30, 60, 240, 1440)
_CHANNELS = {"trade": "trades", "ticker": "quotes", "spread": "quotes", "book": "book",
             "ohlc": "klines"}  # fmt: skip


def _seconds(millis: int) -> str:
    return f"{millis // 1000}.{millis % 1000:03d}000"


def _terms(asked: Mapping[str, object]) -> dict[str, object] | None:
    """Return a subscription with its defaults filled in; None where there is no such channel."""
    match asked.get("name"):
        case "trade" | "ticker" | "spread" as name:
            return {"name": name}
        case "book" if asked.get("depth", 10) in _DEPTHS:
            return {"depth": asked.get("depth", 10), "name": "book"}
        case "ohlc" if asked.get("interval", 1) in _INTERVALS:
            return {"interval": asked.get("interval", 1), "name": "ohlc"}
    return None


def _title(terms: Mapping[str, object]) -> str:
    """Return a channel's name as frames spell it, such as ``book-10``."""
    size = terms.get("depth", terms.get("interval"))
    return str(terms["name"]) if size is None else f"{terms['name']}-{size}"


def _frame(title: str, pair: Pair, *bodies: object) -> bytes:
    return dump([_number(title, pair), *bodies, title, pair.listing.symbol])


def _number(title: str, pair: Pair) -> int:
    """Return the channel's id, by which clients must not go: the venue calls it deprecated."""
    return pair.sizes[0] % 1000 + len(title)


def _make(desk: VenueServer, terms: Mapping[str, object], pair: Pair) -> SimulatedFeed:
    title = _title(terms)
    steps: Callable[[Step], list[bytes]] | None = None
    prints: Callable[[Sequence[Print], int], list[bytes]] | None = None
    opening: Callable[[int], list[bytes]] | None = None
    match terms["name"]:
        case "trade":
            prints = partial(_trades, pair)
        case "book":
            steps, opening = _books(desk, pair, title, int(str(terms["depth"])))
        case "ohlc":
            length = int(str(terms["interval"])) * 60_000
            steps = partial(_candles, pair, title, length)
        case "spread":
            steps = _changes(pair, lambda millis: _spread(pair, millis))
        case _:
            steps = _changes(pair, lambda millis: _ticker(pair))
            opening = partial(_first_ticker, title, pair)
    name = str(terms["name"])
    return SimulatedFeed(key=f"{title}:{pair.listing.symbol}", pair=pair, channel=_CHANNELS[name],
                         topic=f"{name}:{pair.listing.symbol}", steps=steps, prints=prints,
                         opening=opening)  # fmt: skip


def _trades(pair: Pair, prints: Sequence[Print], millis: int) -> list[bytes]:
    one = pair.listing
    rows = [
        [one.price(p, _DECIMALS), one.size(q, SIZE), _seconds(millis), "b" if buy else "s", "m", ""]
        for _, buy, p, q in prints
    ]
    return [_frame("trade", pair, rows)]


def _changes(pair: Pair, body: Callable[[int], object]) -> Callable[[Step], list[bytes]]:
    """Return what publishes ``body`` whenever one of the best levels has changed."""
    before: list[Levels] = []

    def steps(step: Step) -> list[bytes]:
        now = [pair.bids.top(1), pair.asks.top(1)]
        if now == before:
            return []
        before[:] = now
        made = body(step.millis)
        return [_frame("spread" if isinstance(made, list) else "ticker", pair, made)]

    return steps


def _spread(pair: Pair, millis: int) -> list[str]:
    one, (bid, bid_size), (ask, ask_size) = pair.listing, pair.bids.top(1)[0], pair.asks.top(1)[0]
    return [one.price(bid, _DECIMALS), one.price(ask, _DECIMALS), _seconds(millis),
            one.size(bid_size, SIZE), one.size(ask_size, SIZE)]  # fmt: skip


def _ticker(pair: Pair) -> dict[str, object]:
    one, (bid, bid_size), (ask, ask_size) = pair.listing, pair.bids.top(1)[0], pair.asks.top(1)[0]
    price, volume = partial(one.price, decimals=_DECIMALS), one.size(pair.day_volume, SIZE)
    last = price(pair.print[2])
    return {
        "a": [price(ask), ask_size // 10**one.size_decimals, one.size(ask_size, SIZE)],
        "b": [price(bid), bid_size // 10**one.size_decimals, one.size(bid_size, SIZE)],
        "c": [last, one.size(pair.print[3], SIZE)], "v": [volume] * 2, "p": [last] * 2,
        "t": [pair.number] * 2, "l": [price(pair.day_low)] * 2, "h": [price(pair.day_high)] * 2,
        "o": [price(pair.day_open)] * 2,
    }  # fmt: skip


def _first_ticker(title: str, pair: Pair, millis: int) -> list[bytes]:
    return [_frame(title, pair, _ticker(pair))]


def _rows(one: Listing, levels: Levels, millis: int) -> list[list[str]]:
    return [[one.price(p, _DECIMALS), one.size(n, SIZE), _seconds(millis)] for p, n in levels]


def _books(
    desk: VenueServer, pair: Pair, title: str, depth: int
) -> tuple[Callable[[Step], list[bytes]], Callable[[int], list[bytes]]]:
    """Return what makes updates, and what makes the snapshot: of the best ``depth`` levels."""
    one, window = pair.listing, PriceWindow(pair, depth)

    def steps(step: Step) -> list[bytes]:
        bids, asks = window.changes()
        right = family.checksum(one, pair.bids.top(10), pair.asks.top(10), _DECIMALS)
        sides = [{key: _rows(one, levels, step.millis)}
                 for key, levels in (("a", asks), ("b", bids)) if levels]  # fmt: skip
        if not sides:
            return []
        last = {**sides[-1], "c": str(desk.checksum(pair, right))}
        return [_frame(title, pair, *sides[:-1], last)]

    def opening(millis: int) -> list[bytes]:
        bids, asks = window.levels()
        body = {"as": _rows(one, asks, millis), "bs": _rows(one, bids, millis)}
        return [_frame(title, pair, body)]

    return steps, opening


def _candles(pair: Pair, title: str, length: int, step: Step) -> list[bytes]:
    one, closed = pair.listing, step.closed.get(length)
    if closed is None and not step.second:
        return []
    c: Candle = closed or pair.kline(length, step.millis)
    prices = [one.price(p, _DECIMALS) for p in (c.open, c.high, c.low, c.close, c.close)]
    row = [_seconds(step.millis), _seconds(c.start + length), *prices, one.size(c.volume, SIZE)]
    return [_frame(title, pair, [*row, c.count])]


def _opened(session: SimulatedSession) -> None:
    session.told = family.state(session.desk)
    row = {"connectionID": 17843232920108168701 + int(session.id, 16), "event": "systemStatus",
           "status": session.told, "version": "1.9.6"}  # fmt: skip
    session.reply(dump(row).decode())


def _received(session: SimulatedSession, text: str) -> None:
    try:
        asked = json.loads(text)
        event = asked["event"]
        number = {"reqid": int(asked["reqid"])} if "reqid" in asked else {}
        names = [str(name) for name in asked.get("pair", [])]
        wanted = dict(asked.get("subscription", {}))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        session.reply(dump({"errorMessage": "Malformed request", "event": "error"}).decode())
        return
    if event == "ping":
        session.reply(dump({"event": "pong", **number}).decode(), keepalive=True)
        return
    if event not in ("subscribe", "unsubscribe"):
        session.reply(dump({"errorMessage": "Unsupported event", "event": "error",
                            **number}).decode())  # fmt: skip
        return
    terms = _terms(wanted)
    for name in names:
        _operate(session, event, name, wanted, terms, number)


def _operate(
    session: SimulatedSession, event: str, name: str, wanted: Mapping[str, object],
    terms: Mapping[str, object] | None, number: Mapping[str, int],
) -> None:  # fmt: skip
    """Do one pair of a request; each gets a reply of its own."""
    held = None if terms is None else session.feeds.get(f"{_title(terms)}:{name}")
    pair = session.desk.pair(name) if held is None else held.pair  # a delisted one can be left

    def refuse(message: str) -> None:
        answer = {"errorMessage": message, "event": "subscriptionStatus", "pair": name[:40],
                  **number, "status": "error", "subscription": wanted}  # fmt: skip
        session.reply(dump(answer).decode())

    if terms is None:
        refuse("Subscription name invalid")
        return
    if pair is None:
        refuse(f"Currency pair not supported {name[:40]}")
        return
    title = _title(terms)
    key = f"{title}:{name}"
    answer = {"channelID": _number(title, pair), "channelName": title,
              "event": "subscriptionStatus", "pair": name, **number,
              "status": f"{event}d", "subscription": terms}  # fmt: skip
    if event == "unsubscribe":
        session.unsubscribe(key)
        session.reply(dump(answer).decode())
        return
    feed = session.desk.feeds.get(key) or _make(session.desk, terms, pair)
    if not session.subscribe(feed):
        refuse(f"Currency pair not supported {name[:40]}")
        return
    session.reply(dump(answer).decode())
    session.open(feed)


def _tended(session: SimulatedSession, now: float) -> None:
    if session.told != family.state(session.desk):
        _opened(session)
    if session.feeds and now - session.pushed >= 1.0:
        session.reply('{"event":"heartbeat"}')


WIRE = VenueSpec(
    name="kraken_v1",
    symbol=family.frozen,
    lists=lambda instruments: listed(instruments, "USD"),
    routes=family.ROUTES,
    refusals=family.REFUSALS,
    quota=family.QUOTA,
    sockets=lambda path: path in ("", "/"),
    opened=_opened,
    received=_received,
    tended=_tended,
    idle_limit=60.0,
    connects=Quota(limit=150, window=600.0),
    checksums=True,
)
