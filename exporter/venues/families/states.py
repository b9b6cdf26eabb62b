"""The states of markets in the lists of venues: what may be done there, ticks, lots, ends.

A word that is not in a table is `TradingMode.UNKNOWN`: these lists grow. A figure that cannot be
read is left out, and costs the market's state nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import msgspec
from msgspec import Struct

from exporter.decoding import reading, size
from exporter.listing import ListedMarket, ReadListed
from exporter.maintenance import TradingMode

_T, _U = TradingMode, TradingMode.UNKNOWN
Figure: TypeAlias = str | float | None


def _digits(places: int | str | None) -> float | None:
    """Return the step of a figure with so many decimals."""
    if isinstance(places, str):
        places = int(places) if places.isdecimal() else None
    return None if places is None or not 0 <= places <= 30 else float(f"1e-{places}")


def listed_time(millis: Figure) -> float | None:
    """Return a time in milliseconds; None where there is none: empty, 0, or beyond every plan."""
    found = (size(millis) or 0.0) / 1e3
    return found if 1e9 < found < _NEVER else None


_NEVER = 4.1e9  # Binance's perpetuals "end" on 2100-12-25, Deribit's in the year 3000


# --- Binance ----------------------------------------------------------------------------------

# Source: github.com/binance/binance-spot-api-docs, enums.md at 07550e7, and CHANGELOG.md of July
# 2026 (CANCEL_ONLY); USD-M: docs.rs/polyoxide-binance, usdm SymbolStatus, read 2026-11-30.
BINANCE_MODES = {
    "TRADING": _T.TRADING,
    "AUCTION_MATCH": _T.AUCTION,
    "CANCEL_ONLY": _T.CANCEL_ONLY,
    "TRADING_CANCEL_ONLY": _T.CANCEL_ONLY,
    **dict.fromkeys(("END_OF_DAY", "HALT", "BREAK", "TRADING_HALT"), _T.HALTED),
    **dict.fromkeys(("PRE_TRADING", "POST_TRADING", "PENDING_TRADING"), _T.HALTED),
    **dict.fromkeys(("PRE_DELIVERING", "DELIVERING", "PRE_SETTLE", "SETTLING"), _T.HALTED),
    **dict.fromkeys(("DELIVERED", "CLOSE"), _T.ABSENT),
}


class _Filter(Struct):
    filterType: str = ""  # noqa: N815 - the wire's spelling
    tickSize: Figure = None  # noqa: N815
    stepSize: Figure = None  # noqa: N815


class _BinanceListed(Struct):
    symbol: str
    status: str = ""
    contractStatus: str = ""  # noqa: N815 - COIN-M's name for the status
    contractType: str | None = None  # noqa: N815
    onboardDate: Figure = None  # noqa: N815
    deliveryDate: Figure = None  # noqa: N815
    filters: list[_Filter] = []


class _BinanceListedRows(Struct):
    symbols: list[_BinanceListed]


_binance = msgspec.json.Decoder(_BinanceListedRows).decode


def binance_states(body: bytes) -> Iterator[ListedMarket]:
    """Read ``exchangeInfo``, of spot and of futures.

    A perpetual's `deliveryDate` lies in 2100 until it is to be delisted.
    """
    with reading("binance states"):
        rows = _binance(body).symbols
    for row in rows:
        status = row.contractStatus or row.status
        steps = {each.filterType: each for each in row.filters}
        price, lot = steps.get("PRICE_FILTER"), steps.get("LOT_SIZE")
        ends = "PERPETUAL" in (row.contractType or "")
        yield ListedMarket(
            row.symbol,
            BINANCE_MODES.get(status, _U),
            status,
            None if price is None else size(price.tickSize),
            None if lot is None else size(lot.stepSize),
            listed_time(row.onboardDate),
            listed_time(row.deliveryDate) if ends else None,
        )


# --- Kraken -----------------------------------------------------------------------------------

# Source: docs.kraken.com, FIX "Instrument List" (AssetPairStatus: hidden, online, maintenance,
# cancel only, post only, limit only, delisted, reduce only), read 2026-11-30.
KRAKEN_MODES = {
    "online": _T.TRADING,
    "limit_only": _T.LIMIT_ONLY,
    "post_only": _T.POST_ONLY,
    "reduce_only": _T.REDUCE_ONLY,
    "cancel_only": _T.CANCEL_ONLY,
    "maintenance": _T.HALTED,
    "hidden": _T.HALTED,
    "delisted": _T.ABSENT,
}


class _KrakenListed(Struct):
    wsname: str = ""  # dark pools have none
    status: str = "online"  # not sent before 2022
    tick_size: Figure = None
    pair_decimals: int | None = None
    lot_decimals: int | None = None


class _KrakenListedRows(Struct):
    result: dict[str, _KrakenListed]


_kraken = msgspec.json.Decoder(_KrakenListedRows).decode


def kraken_states(spell: Callable[[str], str]) -> ReadListed:
    """Return what reads ``AssetPairs``; ``spell`` turns its `wsname` into the streams' symbol."""

    def read(body: bytes) -> Iterator[ListedMarket]:
        with reading("kraken states"):
            rows = _kraken(body).result.values()
        for row in rows:
            if row.wsname:
                yield ListedMarket(
                    spell(row.wsname),
                    KRAKEN_MODES.get(row.status, _U),
                    row.status,
                    size(row.tick_size) or _digits(row.pair_decimals),
                    _digits(row.lot_decimals),
                )

    return read


# --- Coinbase ---------------------------------------------------------------------------------

_COINBASE = {"online": _T.TRADING, "": _T.TRADING, "offline": _T.HALTED, "delisted": _T.ABSENT}


class _CoinbaseListed(Struct):
    id: str = ""
    product_id: str = ""  # so Advanced Trade calls it
    status: str = ""
    trading_disabled: bool | None = None
    is_disabled: bool | None = None
    cancel_only: bool | None = None
    post_only: bool | None = None
    limit_only: bool | None = None
    auction_mode: bool | None = None
    quote_increment: Figure = None
    price_increment: Figure = None
    base_increment: Figure = None

    def mode(self) -> TradingMode:
        """Return what may be done there, the least that is said."""
        if self.trading_disabled or self.is_disabled:
            return _T.HALTED
        found = _COINBASE.get(self.status, _U)
        if found is not _T.TRADING:
            return found
        flags = (
            (self.cancel_only, _T.CANCEL_ONLY),
            (self.post_only, _T.POST_ONLY),
            (self.limit_only, _T.LIMIT_ONLY),
            (self.auction_mode, _T.AUCTION),
        )
        return next((mode for flag, mode in flags if flag), _T.TRADING)


class _AdvancedListedRows(Struct):
    products: list[_CoinbaseListed]


_coinbase = msgspec.json.Decoder(list[_CoinbaseListed]).decode
_advanced = msgspec.json.Decoder(_AdvancedListedRows).decode


def _coinbase_rows(rows: list[_CoinbaseListed]) -> Iterator[ListedMarket]:
    for row in rows:
        if symbol := row.id or row.product_id:
            mode = row.mode()
            status = row.status if mode is _U else mode
            tick = size(row.price_increment) or size(row.quote_increment)
            yield ListedMarket(symbol, mode, status, tick, size(row.base_increment))


def coinbase_states(body: bytes) -> Iterator[ListedMarket]:
    """Read ``/products``: flags beside a status.

    Source: docs.cdp.coinbase.com, Exchange, "Get all known trading pairs", read 2026-11-30.
    """
    with reading("coinbase states"):
        rows = _coinbase(body)
    return _coinbase_rows(rows)


def coinbase_advanced_states(body: bytes) -> Iterator[ListedMarket]:
    """Read ``/market/products`` of Advanced Trade.

    Source: the fields of docs.rs/cbat, product.rs, read 2026-11-30.
    """
    with reading("coinbase_advanced states"):
        rows = _advanced(body).products
    return _coinbase_rows(rows)


# --- Bybit ------------------------------------------------------------------------------------

# Source: github.com/bybit-exchange/docs, v5/market/instrument.mdx at 006fe5e, read 2026-11-30: by
# default only markets in Trading are listed, so that one which is restricted is absent there.
_BYBIT = {
    "Trading": _T.TRADING,
    **dict.fromkeys(("PreLaunch", "Settling", "Delivering"), _T.HALTED),
    "Closed": _T.ABSENT,
}
_BYBIT_PHASES = {  # of a contract before its market opens
    "ContinuousTrading": _T.TRADING,
    **dict.fromkeys(("CallAuction", "CallAuctionNoCancel", "CrossTrading"), _T.AUCTION),
}


class _BybitPrice(Struct, frozen=True):
    tickSize: Figure = None  # noqa: N815


class _BybitLot(Struct, frozen=True):
    qtyStep: Figure = None  # noqa: N815
    basePrecision: Figure = None  # noqa: N815 - of spot


class _BybitPhase(Struct):
    curAuctionPhase: str = ""  # noqa: N815


class _BybitListed(Struct):
    symbol: str
    status: str = ""
    contractType: str = ""  # noqa: N815
    launchTime: Figure = None  # noqa: N815
    deliveryTime: Figure = None  # noqa: N815 - of a perpetual: when it is delisted
    priceFilter: _BybitPrice = _BybitPrice()  # noqa: N815
    lotSizeFilter: _BybitLot = _BybitLot()  # noqa: N815
    preListingInfo: _BybitPhase | None = None  # noqa: N815


class _BybitList(Struct):
    rows: list[_BybitListed] = msgspec.field(name="list")


class _BybitListedRows(Struct):
    result: _BybitList


_bybit = msgspec.json.Decoder(_BybitListedRows).decode


def bybit_states(body: bytes) -> Iterator[ListedMarket]:
    """Read ``instruments-info`` of one class."""
    with reading("bybit states"):
        rows = _bybit(body).result.rows
    for row in rows:
        mode = _BYBIT.get(row.status, _U)
        if row.status == "PreLaunch" and row.preListingInfo is not None:
            mode = _BYBIT_PHASES.get(row.preListingInfo.curAuctionPhase, mode)
        ends = "Perpetual" in row.contractType
        yield ListedMarket(
            row.symbol,
            mode,
            row.status,
            size(row.priceFilter.tickSize),
            size(row.lotSizeFilter.qtyStep) or size(row.lotSizeFilter.basePrecision),
            listed_time(row.launchTime),
            listed_time(row.deliveryTime) if ends else None,
        )


# --- OKX --------------------------------------------------------------------------------------

# Source: OKX's documentation as copied to public repositories ("Get instruments": states, and
# expTime as the time at which a spot market or a swap is taken offline), read 2026-11-30.
_OKX = {
    "live": _T.TRADING,
    "post_only": _T.POST_ONLY,
    **dict.fromkeys(("suspend", "preopen", "test", "rebase", "settling"), _T.HALTED),
    "expired": _T.ABSENT,
}


class _OkxListed(Struct):
    instId: str  # noqa: N815
    instType: str = ""  # noqa: N815
    state: str = ""
    openType: str = ""  # noqa: N815
    tickSz: Figure = None  # noqa: N815
    lotSz: Figure = None  # noqa: N815
    listTime: Figure = None  # noqa: N815
    expTime: Figure = None  # noqa: N815


class _OkxListedRows(Struct):
    data: list[_OkxListed]


_okx = msgspec.json.Decoder(_OkxListedRows).decode


def okx_states(body: bytes) -> Iterator[ListedMarket]:
    """Read ``public/instruments`` of one class, or a frame of the channel of that name."""
    with reading("okx states"):
        rows = _okx(body).data
    for row in rows:
        auction = row.state == "preopen" and row.openType == "call_auction"
        ends = row.instType in ("SPOT", "SWAP")
        yield ListedMarket(
            row.instId,
            _T.AUCTION if auction else _OKX.get(row.state, _U),
            row.state,
            size(row.tickSz),
            size(row.lotSz),
            listed_time(row.listTime),
            listed_time(row.expTime) if ends else None,
        )


# --- KuCoin, BitMEX, Bitstamp -----------------------------------------------------------------


class _KuCoinListed(Struct):
    symbol: str
    enableTrading: bool  # noqa: N815
    priceIncrement: Figure = None  # noqa: N815
    baseIncrement: Figure = None  # noqa: N815


class _KuCoinListedRows(Struct):
    data: list[_KuCoinListed]


_kucoin = msgspec.json.Decoder(_KuCoinListedRows).decode


def kucoin_states(body: bytes) -> Iterator[ListedMarket]:
    """Read ``/api/v2/symbols``. Source: hexdocs.pm/ex_kucoin, "Symbol", read 2026-11-30."""
    with reading("kucoin states"):
        rows = _kucoin(body).data
    for row in rows:
        mode, status = (_T.TRADING, "enabled") if row.enableTrading else (_T.HALTED, "disabled")
        tick, lot = size(row.priceIncrement), size(row.baseIncrement)
        yield ListedMarket(row.symbol, mode, status, tick, lot)


_BITMEX = {"Open": _T.TRADING, "Closed": _T.HALTED,
           "Unlisted": _T.ABSENT, "Settled": _T.ABSENT}  # fmt: skip


class _BitmexListed(Struct):
    symbol: str
    state: str = ""
    tickSize: Figure = None  # noqa: N815
    lotSize: Figure = None  # noqa: N815


_bitmex = msgspec.json.Decoder(list[_BitmexListed]).decode


def bitmex_states(body: bytes) -> Iterator[ListedMarket]:
    """Read ``/instrument/active``. Source: docs.rs/nautilus-bitmex, models, read 2026-11-30."""
    with reading("bitmex states"):
        rows = _bitmex(body)
    for row in rows:
        mode = _BITMEX.get(row.state, _U)
        yield ListedMarket(row.symbol, mode, row.state, size(row.tickSize), size(row.lotSize))


class _BitstampListed(Struct):
    trading: str
    market_symbol: str = ""
    url_symbol: str = ""
    base_decimals: int | str | None = None
    counter_decimals: int | str | None = None


_bitstamp = msgspec.json.Decoder(list[_BitstampListed]).decode
_BITSTAMP: Mapping[str, TradingMode] = {"Enabled": _T.TRADING, "Disabled": _T.HALTED}


def bitstamp_states(body: bytes) -> Iterator[ListedMarket]:
    """Read ``/api/v2/markets/``."""
    with reading("bitstamp states"):
        rows = _bitstamp(body)
    for row in rows:
        symbol, mode = row.market_symbol or row.url_symbol, _BITSTAMP.get(row.trading, _U)
        tick, lot = _digits(row.counter_decimals), _digits(row.base_decimals)
        yield ListedMarket(symbol, mode, row.trading, tick, lot)
