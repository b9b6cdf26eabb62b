"""What KuCoin answers over REST: clock, status, markets, stream addresses, prices, errors."""

from __future__ import annotations

from urllib.parse import quote_plus

import msgspec
from msgspec import Raw, Struct

from exporter.decoding import (
    DOUBTFUL,
    ParseError,
    reading,
    seconds,
)
from exporter.maintenance import EVERYTHING, Maintenance, TradingMode, WatchedMarkets
from exporter.model import (
    Answer,
    Market,
    MarketState,
    Reason,
)

# --- REST -------------------------------------------------------------------------------------

_SUCCESS = "200000"


class _Body(Struct):
    code: str
    data: Raw = Raw(b"null")
    msg: str = ""


def payload(body: bytes) -> Raw:
    reply = msgspec.json.decode(body, type=_Body)
    if reply.code != _SUCCESS:
        raise ParseError(f"code {reply.code[:20]} {reply.msg[:200]}")
    return reply.data


class _KuCoinStatus(Struct):
    status: str
    msg: str | None = None


class _KuCoinSymbol(Struct):
    symbol: str
    baseCurrency: str  # noqa: N815
    quoteCurrency: str  # noqa: N815
    enableTrading: bool  # noqa: N815


class _Server(Struct):
    endpoint: str


class _Bullet(Struct):
    token: str
    instanceServers: list[_Server]  # noqa: N815


def read_time(body: bytes) -> float:
    """Read the venue's clock."""
    with reading("kucoin time"):
        return seconds(msgspec.json.decode(payload(body), type=int), 1e3)


_MODES = {"open": TradingMode.TRADING, "cancelonly": TradingMode.CANCEL_ONLY}


def read_status(body: bytes, watched: WatchedMarkets = EVERYTHING) -> Maintenance:
    """Read what the venue says of itself: ``open``, ``close`` or ``cancelonly``.

    Where only cancels are taken is no maintenance, which would silence the pages that tell of it.
    """
    with reading("kucoin status"):
        found = msgspec.json.decode(payload(body), type=_KuCoinStatus)
        active = found.status == "close"
        return Maintenance(
            active=active,
            title=(found.msg or "")[:200],
            mode=None if active else _MODES.get(found.status, TradingMode.UNKNOWN),
        )


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the tradable markets. After a rename ``symbol`` no longer says what is traded."""
    with reading("kucoin symbols"):
        rows = msgspec.json.decode(payload(body), type=list[_KuCoinSymbol])
        return tuple(
            Market(row.symbol, f"{row.baseCurrency}-{row.quoteCurrency}")
            for row in rows
            if row.enableTrading
        )


def read_address(body: bytes) -> str:
    """Read where to connect, and with which token; both are good for one connection."""
    with reading("kucoin bullet"):
        bullet = msgspec.json.decode(payload(body), type=_Bullet)
        endpoint = bullet.instanceServers[0].endpoint
        if not endpoint.startswith(("wss://", "ws://")):
            raise ParseError(f"no WebSocket address: {endpoint[:80]!r}")
        return f"{endpoint}?token={quote_plus(bullet.token)}&connectId=1"


class _LevelOne(Struct):
    price: str
    size: str
    bestBid: str  # noqa: N815
    bestBidSize: str  # noqa: N815
    bestAsk: str  # noqa: N815
    bestAskSize: str  # noqa: N815


def read_last_trade(body: bytes) -> MarketState:
    """Read price and size of the last trade; ``sequence`` counts the book's changes too."""
    with reading("kucoin level 1"):
        row = msgspec.json.decode(payload(body), type=_LevelOne)
        return MarketState(state=(row.price, row.size))


def read_best(body: bytes) -> MarketState:
    """Read the best bid and ask."""
    with reading("kucoin level 1"):
        row = msgspec.json.decode(payload(body), type=_LevelOne)
        return MarketState(state=(row.bestBid, row.bestBidSize, row.bestAsk, row.bestAskSize))


def fault(answer: Answer) -> Reason | None:
    """Find the error that an HTTP 200 may hide."""
    if answer.status == 429:
        return Reason.RATE_LIMITED
    try:
        code = msgspec.json.decode(answer.body, type=_Body).code
    except DOUBTFUL:
        return Reason.BODY_INVALID if answer.status == 200 else None
    if code == "429000":
        return Reason.RATE_LIMITED
    return Reason.BODY_INVALID if code != _SUCCESS and answer.status == 200 else None
