"""What Kraken's two WebSocket protocols share: the REST side, the symbols and the book checksum.

Source: docs.kraken.com (REST get-system-status; guide "book checksum v2"), read 2026-10; the
checksum agrees with all 2120 of a v1 recording and all 5 of a v2 capture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from zlib import crc32

import msgspec
from msgspec import Raw, Struct

from exporter.contracts import CrossCheck, Endpoint, RestLimit
from exporter.decoding import DOUBTFUL, Moment, ParseError, epoch, reading
from exporter.instrument import Instrument, Product
from exporter.listing import VolumeLists
from exporter.maintenance import (
    EVERYTHING,
    Maintenance,
    Notice,
    NoticeKind,
    TradingMode,
    WatchedMarkets,
)
from exporter.model import Answer, Channel, Market, MarketState, Reason
from exporter.venues.families.volumes import read_kraken

REST_URL = "https://api.kraken.com"
MARKETS_PATH = "/0/public/AssetPairs"
STATUS_PAGE = "https://status.kraken.com"
# No number is published: clients that ask each second are left in peace.
REST_LIMITS = (RestLimit(name="public_1s", weight=1, window=1.0),)
CONNECTION_LIMIT = RestLimit(name="connections_10m", weight=150, window=600.0)
DEPTH = 10  # of 10, 25, 100, 500, 1000: the checksum covers ten levels a side whatever the depth

UNSURE = (
    "the number of public requests and of connections that are allowed",
    "names of the errors that come with HTTP 200",
    "an idle connection without a subscription is closed after about a minute",
)


def checksum(bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> int:
    """Sum up the ten best levels of each side, asks first, as the wire spelled them."""
    # All at once: level by level it takes three times as long.
    text = " ".join(chain.from_iterable([*asks[:10], *bids[:10]]))
    numbers = text.encode().translate(None, b".").split(b" ")
    return crc32(b"".join([number.lstrip(b"0") for number in numbers]))


# XBT and XDG are Kraken's own names, which only the WebSocket v2 has given up.
_OURS = {"XBT": "BTC", "XDG": "DOGE"}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}


def modern(wsname: str) -> str:
    """Format a pair as WebSocket v2 does: ``XBT/USD`` becomes ``BTC/USD``."""
    return "/".join(_OURS.get(part, part) for part in wsname.split("/"))


def frozen(instrument: Instrument) -> str:
    """Format an instrument as WebSocket v1 does: ``BTC-USD`` becomes ``XBT/USD``."""
    return "/".join(_THEIRS.get(part, part) for part in (instrument.base, instrument.quote))


class _KrakenFamilyPair(Struct):
    wsname: str = ""  # dark pools have none
    status: str = "online"  # not sent before 2022


class _Pairs(Struct):
    result: dict[str, _KrakenFamilyPair]


def _tradable(body: bytes) -> list[tuple[str, str]]:
    """Return the names of each pair on WebSocket v1 and in REST answers."""
    with reading("kraken pairs"):
        pairs = msgspec.json.decode(body, type=_Pairs).result.items()
        return [
            (pair.wsname, name) for name, pair in pairs if pair.wsname and pair.status == "online"
        ]


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the tradable markets in the spelling of WebSocket v2."""
    names = [(modern(wsname), alias) for wsname, alias in _tradable(body)]
    return tuple(Market(symbol, symbol.replace("/", "-"), alias=alias) for symbol, alias in names)


def read_frozen_markets(body: bytes) -> tuple[Market, ...]:
    """Read the tradable markets in the spelling of WebSocket v1."""
    return tuple(
        Market(wsname, modern(wsname).replace("/", "-"), alias=alias)
        for wsname, alias in _tradable(body)
    )


VOLUMES = VolumeLists(paths={Product.SPOT: "/0/public/Ticker"}, read=read_kraken)


class KrakenNotice(Struct):
    """An announced maintenance or an emergency; every field may be absent or null."""

    title: str | None = None
    name: str | None = None
    expected_start_utc: Moment | None = None
    start: Moment | None = None
    expected_end_utc: Moment | None = None
    source_url: str | None = None
    affected_services: list[str] | None = None


class State(Struct):
    """What the venue says of itself; the stream calls the status ``system``."""

    status: str = ""
    system: str = ""
    upcoming_maintenance: list[Raw] | None = None
    emergency: list[Raw] | None = None


class _KrakenFamilyStatus(Struct):
    result: State


_MODES = {
    "online": TradingMode.TRADING,
    "post_only": TradingMode.POST_ONLY,
    "limit_only": TradingMode.LIMIT_ONLY,
    "cancel_only": TradingMode.CANCEL_ONLY,
}
# Of what a notice may affect: the rest is FIX, and the futures of another venue.
_OURS_AFFECTED = frozenset({"spot_ws", "spot_rest", "spot_trading", "all", "unspecified"})


def said(state: State) -> Maintenance:
    """Say what a state means, over REST and on the streams.

    A restricted mode (``cancel_only``, ``post_only``, ``limit_only``) is no maintenance: it is how
    the venue shows an emergency, and must silence nothing. Both lists are absent, null or empty
    where there is nothing to tell, and what they hold may not spoil the status.
    Raises ParseError.

    Source: docs.kraken.com, "Get System Status", "Get Maintenance Schedule" and the channel
    "status", read 2026-11-30; ``limit_only``: docs.rs/kraken_client, read 2026-11-30.
    """
    status = state.status or state.system
    if not status:
        raise ParseError("a state without a status")
    upcoming = [
        _noticed(each, NoticeKind.MAINTENANCE) for each in _notices(state.upcoming_maintenance)
    ]
    emergencies = [_noticed(each, NoticeKind.INCIDENT) for each in _notices(state.emergency)]
    active = status == "maintenance"
    return Maintenance(
        active=active,
        title=status[:200],
        mode=None if active else _MODES.get(status, TradingMode.UNKNOWN),
        start=min((each.start for each in upcoming if each.start is not None), default=None),
        incident="; ".join(each.title for each in emergencies)[:200],
        notices=(*upcoming, *emergencies),
    )


def _noticed(found: KrakenNotice, kind: NoticeKind) -> Notice:
    begin, end = found.expected_start_utc or found.start, found.expected_end_utc
    return Notice(
        kind=kind,
        title=(found.title or found.name or "?")[:200],
        start=None if begin is None else epoch(begin),
        end=None if end is None else epoch(end),
        url=(found.source_url or "")[:500],
    )


def _notices(rows: list[Raw] | None) -> Iterator[KrakenNotice]:
    for row in rows or ():
        with suppress(*DOUBTFUL):
            notice = msgspec.json.decode(row, type=KrakenNotice)
            affected = notice.affected_services
            if not affected or not _OURS_AFFECTED.isdisjoint(affected):
                yield notice


def read_status(body: bytes, watched: WatchedMarkets = EVERYTHING) -> Maintenance:
    """Read whether maintenance goes on now, is announced, or an emergency is."""
    with reading("kraken status"):
        return said(msgspec.json.decode(body, type=_KrakenFamilyStatus).result)


class _Errors(Struct):
    error: list[str] = []


def fault(answer: Answer) -> Reason | None:
    """Find the error that a body names; errors begin with E, warnings with W.

    Source: public reports as of 2026-11-30 (tests/cases/rest.jsonl).
    """
    if answer.status == 429:
        return Reason.RATE_LIMITED
    try:
        found = msgspec.json.decode(answer.body, type=_Errors).error
    except DOUBTFUL:
        return Reason.BODY_INVALID if answer.status == 200 else None
    errors = [text for text in found if not text.startswith("W")]
    if any(word in text for text in errors for word in _TOO_MANY):
        return Reason.RATE_LIMITED
    if any(text.startswith("EService") for text in errors):
        return Reason.HTTP_5XX  # unavailable or busy, in the venue's own words
    return Reason.BODY_INVALID if errors and answer.status == 200 else None


_TOO_MANY = ("Rate limit", "Too many requests", "EService:Throttled")


class _KrakenFamilyTicker(Struct):
    a: list[str]  # price, whole lots, lots
    b: list[str]
    c: list[str]  # price and size of the last trade


class _KrakenFamilyTickers(Struct):
    result: dict[str, _KrakenFamilyTicker]


def _ticker(body: bytes) -> _KrakenFamilyTicker:
    # The pair comes back under another of its names, so it is the only one that counts.
    (row,) = msgspec.json.decode(body, type=_KrakenFamilyTickers).result.values()
    return row


def read_last_trade(body: bytes) -> MarketState:
    """Read price and size of the last trade; counts and volumes are of a day that rolls on."""
    with reading("kraken ticker"):
        price, size = _ticker(body).c
        return MarketState(state=(price, size))


def read_best_prices(body: bytes) -> MarketState:
    """Read the best bid and ask without their sizes, which move no `ticker`."""
    with reading("kraken ticker"):
        row = _ticker(body)
        return MarketState(state=(row.b[0], row.a[0]))


def read_best(body: bytes) -> MarketState:
    """Read the best bid and ask."""
    with reading("kraken ticker"):
        row = _ticker(body)
        return MarketState(state=(row.b[0], row.b[2], row.a[0], row.a[2]))


def pair(symbol: str) -> str:
    """Format a pair as REST does: ``BTC/USD`` becomes ``XBTUSD``."""
    return "".join(_THEIRS.get(part, part) for part in symbol.split("/"))


_TICKER = "/0/public/Ticker?pair={symbol}"
_CHECKED_TRADES = CrossCheck(path=_TICKER, read=read_last_trade, spell=pair)
CROSS_CHECKS = {
    Channel.TRADES: _CHECKED_TRADES,
    Channel.KLINES: _CHECKED_TRADES,
    Channel.QUOTES: CrossCheck(path=_TICKER, read=read_best_prices, spell=pair),
    Channel.BOOK: CrossCheck(path=_TICKER, read=read_best, spell=pair),
}

ENDPOINTS = (
    # Whole seconds only: no clock to measure an offset by.
    Endpoint(name="time", path="/0/public/Time", interval=20.0),
    Endpoint(name="status", path="/0/public/SystemStatus", interval=60.0, status=read_status),
    # Its spelling of a pair is none that the streams know, hence one pair for everybody.
    Endpoint(name="ticker", path="/0/public/Ticker?pair=XBTUSD", default=False),
)
