"""What OKX answers over REST: clock, status, markets, tickers, errors.

Source: OKX API documentation v5.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from exporter.decoding import (
    DOUBTFUL,
    reading,
    seconds,
)
from exporter.instrument import Product
from exporter.maintenance import EVERYTHING, Maintenance, WatchedMarkets
from exporter.model import (
    Answer,
    Market,
    MarketState,
    Reason,
)
from exporter.venues.families import windows


class _OkxTime(Struct):
    ts: str


class _Times(Struct):
    data: list[_OkxTime]


class _OkxWindow(windows.Window, kw_only=True):
    env: str | None = None
    serviceType: str | None = None  # noqa: N815
    maintType: str | None = None  # noqa: N815


class _OkxWindows(Struct):
    data: list[_OkxWindow]


class _OkxInstrument(Struct):
    instId: str  # noqa: N815
    instType: str  # noqa: N815
    state: str
    baseCcy: str = ""  # noqa: N815
    quoteCcy: str = ""  # noqa: N815
    ctType: str = ""  # noqa: N815 - of contracts: linear or inverse


class _OkxInstruments(Struct):
    data: list[_OkxInstrument]


class _OkxFault(Struct):
    code: str


def read_time(body: bytes) -> float:
    """Read the venue's clock."""
    with reading("okx time"):
        return seconds(msgspec.json.decode(body, type=_Times).data[0].ts, 1e3)


# 0 are the streams, 5 is trading, which has no prices without it, by accounts (8) or products (9).
# 1 to 4 were spot, futures, perpetuals and options in older answers. What is left out: block
# trading, bots, spreads, copy trading, and "others", such as a part of the instruments.
_SERVICES = frozenset({"", "0", "5", "8", "9"})
_KINDS = {"1": "SPOT", "2": "FUTURES", "3": "SWAP", "4": "OPTION"}


def _kind(symbol: str) -> str:
    match symbol.split("-")[2:]:
        case []:
            return "SPOT"
        case ["SWAP"]:
            return "SWAP"
        case [_]:
            return "FUTURES"
    return "OPTION"


def read_status(body: bytes, watched: WatchedMarkets = EVERYTHING) -> Maintenance:
    """Read what goes on and what is announced of the services that are watched."""
    with reading("okx status"):
        kinds = {_kind(symbol) for symbol in watched.symbols} or set(_KINDS.values())
        services = _SERVICES | {service for service, kind in _KINDS.items() if kind in kinds}
        return windows.summed_up(
            (row, row.maintType == "3")
            for row in msgspec.json.decode(body, type=_OkxWindows).data
            if row.env in (None, "", "1") and (row.serviceType or "") in services
        )


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the tradable markets. Contracts are named as here, but that a perpetual is a SWAP."""
    with reading("okx markets"):
        rows = msgspec.json.decode(body, type=_OkxInstruments).data
        return tuple(_market(row) for row in rows if row.state == "live")


def _market(row: _OkxInstrument) -> Market:
    if row.instType == "SPOT":
        return Market(row.instId, f"{row.baseCcy}-{row.quoteCcy}")
    name = row.instId
    if row.instType == "SWAP":
        name = name.removesuffix("-SWAP") + "-PERP"
    product = {"linear": Product.LINEAR, "inverse": Product.INVERSE}.get(row.ctType)
    return Market(row.instId, name, Product.OPTION if row.instType == "OPTION" else product)


class _OkxRow(Struct):
    last: str
    lastSz: str  # noqa: N815
    bidPx: str  # noqa: N815
    bidSz: str  # noqa: N815
    askPx: str  # noqa: N815
    askSz: str  # noqa: N815


class _Rows(Struct):
    data: list[_OkxRow]


def read_last_trade(body: bytes) -> MarketState:
    """Read price and size of the last trade; ``ts`` is the ticker's own time."""
    with reading("okx ticker"):
        row = msgspec.json.decode(body, type=_Rows).data[0]
        return MarketState(state=(row.last, row.lastSz))


def read_best(body: bytes) -> MarketState:
    """Read the best bid and ask."""
    with reading("okx ticker"):
        row = msgspec.json.decode(body, type=_Rows).data[0]
        return MarketState(state=(row.bidPx, row.bidSz, row.askPx, row.askSz))


def fault(answer: Answer) -> Reason | None:
    """Say what an answer hides: every body carries a ``code``, "0" for success."""
    if answer.status == 429:
        return Reason.RATE_LIMITED
    try:
        code = msgspec.json.decode(answer.body, type=_OkxFault).code
    except DOUBTFUL:
        return Reason.BODY_INVALID if answer.status == 200 else None
    match code:
        case "0":
            return None
        case "50011" | "50061":
            return Reason.RATE_LIMITED
        case "50001" | "50004" | "50013" | "50026":
            return Reason.HTTP_5XX
        case _:
            return Reason.BODY_INVALID if answer.status == 200 else None
