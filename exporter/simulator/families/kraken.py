"""What Kraken's spot servers share: the REST answers, and the books' checksums.

Source: docs.kraken.com (REST; guide "book checksum"), read 2026-10; the samples in ccxt 4.5.90,
kraken.py, read 2026-11-30 (Assets, Depth, Trades, OHLC).
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Callable, Mapping
from email.utils import formatdate
from functools import partial

from exporter.simulator import statuspage
from exporter.simulator.kinds import FaultKind
from exporter.simulator.market import Levels, Listing, Pair
from exporter.simulator.spec import Query, Quota, Refusals, Route, SimulatedReply, dump, iso
from exporter.simulator.venue_server import VenueServer

SIZE = 8  # decimals of a quantity, which the checksum counts
_OLD = {"BTC": "XBT", "DOGE": "XDG"}
_UNKNOWN = "EQuery:Unknown asset pair"


def _result(result: object) -> bytes:
    return dump({"error": [], "result": result})


def _error(text: str, status: int = 200) -> SimulatedReply:
    return SimulatedReply(status=status, body=dump({"error": [text]}))


def altname(one: Listing) -> str:
    """Return the name of a market in REST."""
    return _OLD.get(one.base, one.base) + one.quote


def wsname(one: Listing) -> str:
    """Return the name of a market on the first WebSocket API."""
    return f"{_OLD.get(one.base, one.base)}/{one.quote}"


def _time(desk: VenueServer, query: Query) -> bytes:
    now = desk.nanos() // 10**9
    return _result({"unixtime": now, "rfc1123": formatdate(now, usegmt=True)[:-3] + "+0000"})


def state(desk: VenueServer) -> str:
    """Return the state of the whole venue in its own word."""
    if desk.find(FaultKind.MAINTENANCE):
        return "maintenance"
    return desk.restriction(None) or "online"


def _status(desk: VenueServer, query: Query) -> bytes:
    moment = iso(desk.millis())[:19] + "Z"
    return _result({"status": state(desk), "timestamp": moment, "upcoming_maintenance": [],
                    "emergency": []})  # fmt: skip


def _spellings(one: Listing) -> tuple[str, ...]:
    return altname(one), wsname(one), f"{one.base}/{one.quote}", one.base + one.quote


def _found(desk: VenueServer, query: Query) -> list[Pair]:
    """Return the markets that ``pair`` names, in any of their spellings; all without it.

    Empty where one of the names is unknown: the venue refuses the request as a whole.
    """
    wanted = query.get("pair")
    if wanted is None:
        return list(desk.pairs())
    known = {name: p for p in desk.pairs() for name in _spellings(p.listing)}
    found = [known.get(name) for name in wanted.split(",")]
    return [] if None in found else [pair for pair in found if pair is not None]


def _of(
    answer: Callable[[VenueServer, Query, list[Pair]], Mapping[str, object]],
) -> Callable[[VenueServer, Query], bytes | SimulatedReply]:
    def checked(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        found = _found(desk, query)
        return _result(answer(desk, query, found)) if found else _error(_UNKNOWN)

    return checked


def _one(
    answer: Callable[[VenueServer, Query, Pair], Mapping[str, object]],
) -> Callable[[VenueServer, Query], bytes | SimulatedReply]:
    """Return an answer about the one market that must be named."""

    def checked(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        if "pair" not in query:
            return _error("EGeneral:Invalid arguments")
        found = _found(desk, query)
        return _result(answer(desk, query, found[0])) if found else _error(_UNKNOWN)

    return checked


def _ticker(desk: VenueServer, query: Query, pairs: list[Pair]) -> Mapping[str, object]:
    return {altname(pair.listing): _day(pair) for pair in pairs}


def _day(pair: Pair) -> Mapping[str, object]:
    one = pair.listing
    (bid, bid_size), (ask, ask_size) = pair.bids.top(1)[0], pair.asks.top(1)[0]
    price = partial(one.price, decimals=5)
    last, volume = price(pair.print[2]), one.size(pair.day_volume, SIZE)
    return {
        "a": [price(ask), "1", one.size(ask_size, 3)],
        "b": [price(bid), "1", one.size(bid_size, 3)],
        "c": [last, one.size(pair.print[3], SIZE)], "v": [volume, volume], "p": [last, last],
        "t": [pair.number, pair.number], "l": [price(pair.day_low)] * 2,
        "h": [price(pair.day_high)] * 2, "o": price(pair.day_open),
    }  # fmt: skip


def _pairs(desk: VenueServer, query: Query, pairs: list[Pair]) -> Mapping[str, object]:
    return {
        altname(p.listing): {
            "altname": altname(p.listing), "wsname": wsname(p.listing),
            "aclass_base": "currency", "base": _OLD.get(p.listing.base, p.listing.base),
            "aclass_quote": "currency", "quote": p.listing.quote, "lot": "unit",
            "cost_decimals": 5, "pair_decimals": p.listing.price_decimals, "lot_decimals": SIZE,
            "lot_multiplier": 1, "leverage_buy": [], "leverage_sell": [], "fees": [[0, 0.4]],
            "fees_maker": [[0, 0.25]], "fee_volume_currency": "ZUSD", "margin_call": 80,
            "margin_stop": 40, "ordermin": p.listing.size(1), "costmin": "0.5",
            "tick_size": p.listing.price(1), "status": desk.restriction(p) or "online",
        }
        for p in pairs
    }  # fmt: skip


def _assets(desk: VenueServer, query: Query) -> bytes:
    known = {name for p in desk.pairs() for name in (p.listing.base, p.listing.quote)}
    return _result({
        _OLD.get(name, name): {"aclass": "currency", "altname": _OLD.get(name, name),
                               "decimals": 10, "display_decimals": 5, "status": "enabled"}
        for name in sorted(known)
    })  # fmt: skip


def _depth(desk: VenueServer, query: Query, pair: Pair) -> Mapping[str, object]:
    size, one, now = query.get("count", "100"), pair.listing, desk.nanos() // 10**9
    count = min(int(size), 500) if size.isdecimal() else 100
    bids, asks = (
        [[one.price(p), one.size(n, 3), now] for p, n in side.top(count)]
        for side in (pair.bids, pair.asks)
    )
    return {altname(one): {"asks": asks, "bids": bids}}


def _trades(desk: VenueServer, query: Query, pair: Pair) -> Mapping[str, object]:
    one = pair.listing
    rows = [
        [one.price(p), one.size(q, SIZE), millis / 1000, "b" if buy else "s", "l", "", n]
        for (n, buy, p, q), millis in pair.recent
    ]
    return {altname(one): rows, "last": str(pair.printed * 1_000_000)}


def _candles(desk: VenueServer, query: Query, pair: Pair) -> Mapping[str, object]:
    one = pair.listing
    candles = [*pair.closed, pair.kline(60_000, desk.millis())]
    rows = [
        [c.start // 1000, *(one.price(p) for p in (c.open, c.high, c.low, c.close, c.close)),
         one.size(c.volume, SIZE), c.count]
        for c in candles
    ]  # fmt: skip
    return {altname(one): rows, "last": candles[-1].start // 1000 - 60}


def checksum(one: Listing, bids: Levels, asks: Levels) -> int:
    """Return the CRC32 of the ten best levels a side, asks first, digits only."""

    def digits(text: str) -> str:
        return text.replace(".", "").lstrip("0")

    rows = [digits(one.price(p)) + digits(one.size(n, SIZE)) for p, n in [*asks[:10], *bids[:10]]]
    return crc32("".join(rows).encode())


ROUTES: Mapping[str, Route] = {
    "/0/public/Time": Route(answer=_time),
    "/0/public/SystemStatus": Route(answer=_status, always=True),
    "/0/public/Assets": Route(answer=_assets),
    "/0/public/AssetPairs": Route(answer=_of(_pairs)),
    "/0/public/Ticker": Route(answer=_of(_ticker)),
    "/0/public/Depth": Route(answer=_one(_depth)),
    "/0/public/Trades": Route(answer=_one(_trades)),
    "/0/public/OHLC": Route(answer=_one(_candles)),
    **statuspage.ROUTES,
}
REFUSALS = Refusals(
    unknown_path=lambda desk, path: _error("EGeneral:Unknown method"),
    limited=lambda desk, wait: _error("EGeneral:Too many requests"),
    banned=lambda desk, wait: _error("EGeneral:Temporary lockout", 403),
    unavailable=lambda desk: _error("EService:Unavailable", 503),
)
QUOTA = Quota(limit=25, window=5.0)
