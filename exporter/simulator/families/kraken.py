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


def frozen(instrument: str) -> str:
    """Return the name of our instrument there."""
    base, _, quote = instrument.partition("-")
    return f"{_OLD.get(base, base)}/{quote}"


def _time(desk: VenueServer, query: Query) -> bytes:
    now = desk.nanos() // 10**9
    return _result({"unixtime": now, "rfc1123": formatdate(now, usegmt=True)[:-3] + "+0000"})


def state(desk: VenueServer) -> str:
    """Return the state of the whole venue in its own word."""
    if desk.find(FaultKind.MAINTENANCE):
        return "maintenance"
    return desk.restriction(None) or "online"


def notices(desk: VenueServer) -> Mapping[str, object]:
    """Return what is announced and what fails, as REST and the stream of v2 say it."""
    upcoming, emergency = [], []
    for number, (fault, begin, end) in enumerate(desk.notices(), start=1):
        row: dict[str, object] = {
            "event_id": number,
            "title": fault.text("title"),
            "affected_services": ["spot_trading", "spot_ws", "spot_rest"],
            "source_url": "",
        }
        if fault.kind is FaultKind.ANNOUNCED:
            row |= {"expected_start_utc": _second(begin), "expected_end_utc": _second(end)}
            row |= {"phase": "announced", "recommended_action": "continue"}
            upcoming.append(row)
        elif fault.kind is FaultKind.INCIDENT:
            emergency.append({**row, "status": "investigating"})
    return {"upcoming_maintenance": upcoming, "emergency": emergency}


def _second(millis: int) -> str:
    return iso(millis)[:19] + "Z"


def _status(desk: VenueServer, query: Query) -> bytes:
    moment = _second(desk.millis())
    return _result({"status": state(desk), "timestamp": moment, **notices(desk)})


def _spellings(one: Listing) -> tuple[str, ...]:
    return altname(one), wsname(one), f"{one.base}/{one.quote}", one.base + one.quote


def _found(desk: VenueServer, query: Query) -> Mapping[str, Pair]:
    """Return the markets that ``pair`` names, in any of their spellings; all without it.

    Empty where one of the names is unknown: the venue refuses the request as a whole. A name with
    a slash is given back as it was sent, as the books of python-kraken-sdk 3.5.1 need it.
    """
    known = {name: p for p in desk.pairs() for name in _spellings(p.listing)}
    wanted = query["pair"].split(",") if "pair" in query else list(map(altname, _listings(desk)))
    if not known.keys() >= set(wanted):
        return {}
    return {name if "/" in name else altname(known[name].listing): known[name] for name in wanted}


def _listings(desk: VenueServer) -> list[Listing]:
    return [pair.listing for pair in desk.pairs()]


def _each(
    answer: Callable[[VenueServer, Pair], object],
) -> Callable[[VenueServer, Query], bytes | SimulatedReply]:
    """Return an answer of one row for each market that is asked for."""

    def checked(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        found = _found(desk, query)
        if not found:
            return _error(_UNKNOWN)
        return _result({name: answer(desk, pair) for name, pair in found.items()})

    return checked


def _one(
    answer: Callable[[VenueServer, Query, Pair], Mapping[str, object]],
) -> Callable[[VenueServer, Query], bytes | SimulatedReply]:
    """Return an answer about the one market that must be named."""

    def checked(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        if "pair" not in query:
            return _error("EGeneral:Invalid arguments")
        found = _found(desk, query)
        if not found:
            return _error(_UNKNOWN)
        return _result(answer(desk, query, next(iter(found.values()))))

    return checked


def _ticker(desk: VenueServer, pair: Pair) -> Mapping[str, object]:
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


_STATUS = {"trading": "online", "halted": "maintenance"}


def pairs(desk: VenueServer) -> dict[str, Mapping[str, object]]:
    """Return the rows of the channel of instruments, by symbol."""
    return {
        pair.listing.symbol: {
            "symbol": pair.listing.symbol, "base": pair.listing.base, "quote": pair.listing.quote,
            "status": _STATUS.get(state.mode, state.mode), "qty_precision": SIZE,
            "qty_increment": float(f"1e-{SIZE}"), "price_precision": pair.listing.price_decimals,
            "price_increment": float(pair.listing.price(state.tick)), "marginable": False,
            "has_index": True, "cost_min": 0.5, "qty_min": float(pair.listing.size(1)),
        }
        for pair in desk.pairs()
        for state in (desk.listed_as(pair),)
    }  # fmt: skip


def _pair(desk: VenueServer, pair: Pair) -> Mapping[str, object]:
    one, state = pair.listing, desk.listed_as(pair)
    return {
        "altname": altname(one), "wsname": wsname(one), "aclass_base": "currency",
        "base": _OLD.get(one.base, one.base), "aclass_quote": "currency", "quote": one.quote,
        "lot": "unit", "cost_decimals": 5, "pair_decimals": one.price_decimals,
        "lot_decimals": SIZE, "lot_multiplier": 1, "leverage_buy": [], "leverage_sell": [],
        "fees": [[0, 0.4]], "fees_maker": [[0, 0.25]], "fee_volume_currency": "ZUSD",
        "margin_call": 80, "margin_stop": 40, "ordermin": one.size(1), "costmin": "0.5",
        "tick_size": one.price(state.tick),
        "status": _STATUS.get(state.mode, state.mode),
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


def checksum(one: Listing, bids: Levels, asks: Levels, decimals: int | None = None) -> int:
    """Return the CRC32 of the ten best levels a side, asks first, digits only.

    ``decimals`` is how many a price is sent with, None for those of the market.
    """

    def digits(text: str) -> str:
        return text.replace(".", "").lstrip("0")

    rows = [
        digits(one.price(p, decimals)) + digits(one.size(n, SIZE))
        for p, n in [*asks[:10], *bids[:10]]
    ]
    return crc32("".join(rows).encode())


ROUTES: Mapping[str, Route] = {
    "/0/public/Time": Route(answer=_time),
    "/0/public/SystemStatus": Route(answer=_status, always=True),
    "/0/public/Assets": Route(answer=_assets),
    "/0/public/AssetPairs": Route(answer=_each(_pair)),
    "/0/public/Ticker": Route(answer=_each(_ticker)),
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
