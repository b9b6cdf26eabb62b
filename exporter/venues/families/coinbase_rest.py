"""What Coinbase Exchange answers over REST: clock, status, markets, prices, errors."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from exporter.decoding import (
    Moment,
    Size,
    epoch,
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


class _CoinbaseTime(Struct):
    epoch: float


class _Product(Struct):
    id: str
    base_currency: str
    quote_currency: str
    status: str
    trading_disabled: bool | None = None
    cancel_only: bool | None = None
    post_only: bool | None = None
    limit_only: bool | None = None

    @property
    def mode(self) -> TradingMode:
        """What may be done there, the least that is said."""
        if self.trading_disabled:
            return TradingMode.HALTED
        if self.cancel_only:
            return TradingMode.CANCEL_ONLY
        if self.post_only:
            return TradingMode.POST_ONLY
        return TradingMode.LIMIT_ONLY if self.limit_only else TradingMode.TRADING


_MODES = tuple(TradingMode)  # from all to least


def read_status(body: bytes, watched: WatchedMarkets = EVERYTHING) -> Maintenance:
    """Read the most restricted mode of the products that are watched; no maintenance is told.

    Of all together, where none is named, the least restricted counts: some product always is.
    Products that are not online are for discovery to leave out.
    Source: bodies of /products recorded in April 2021.
    """
    with reading("coinbase products"):
        rows = msgspec.json.decode(body, type=list[_Product])
    modes = {row.id: _MODES.index(row.mode) for row in rows if row.status == "online"}
    found = [modes[symbol] for symbol in watched.symbols if symbol in modes]
    if not watched.symbols and modes:
        found = [min(modes.values())]
    if not found:
        return Maintenance(active=False)
    restricted = [symbol for symbol in watched.symbols if modes.get(symbol)]
    return Maintenance(active=False, title=", ".join(restricted)[:200], mode=_MODES[max(found)])


def read_time(body: bytes) -> float:
    """Read the venue's clock."""
    with reading("coinbase time"):
        return seconds(msgspec.json.decode(body, type=_CoinbaseTime).epoch, 1.0)


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the tradable markets."""
    with reading("coinbase products"):
        return tuple(
            Market(row.id, f"{row.base_currency}-{row.quote_currency}")
            for row in msgspec.json.decode(body, type=list[_Product])
            if row.status == "online" and not row.trading_disabled
        )


class _Quoted(Struct):
    bid: Size
    ask: Size
    trade_id: int
    time: Moment


def read_last_trade(body: bytes) -> MarketState:
    """Read the last trade."""
    with reading("coinbase ticker"):
        row = msgspec.json.decode(body, type=_Quoted, strict=False)
        return MarketState(state=(row.trade_id,), time=epoch(row.time))


def read_best(body: bytes) -> MarketState:
    """Read the best bid and ask."""
    with reading("coinbase ticker"):
        row = msgspec.json.decode(body, type=_Quoted, strict=False)
        return MarketState(state=(row.bid, row.ask))


def fault(answer: Answer) -> Reason | None:
    """Say what an answer means: its text says too many requests at whatever status."""
    exceeded = answer.status != 200 and b"rate limit exceeded" in answer.body.lower()
    return Reason.RATE_LIMITED if answer.status == 429 or exceeded else None
