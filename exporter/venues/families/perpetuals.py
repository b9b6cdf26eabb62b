"""Prices and funding of perpetuals in the lists of venues.

A figure that cannot be read is left out, and costs the others nothing. What has no funding is
no perpetual: dated contracts of the same lists are passed on with their prices alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from exporter.decoding import figure, reading, size, time_of
from exporter.listing import ListedPerpetual, PerpetualList

_HOUR = 3600.0


def hours(count: object) -> float | None:
    """Return a number of hours in seconds; None where there is none."""
    found = size(count)
    return None if found is None else found * _HOUR


def cap(funding: float | None, low: object, high: object) -> float | None:
    """Return the bound of a rate on the side on which it is, as a size."""
    if funding is not None and funding < 0.0:
        found = figure(low)
        return None if found is None else size(-found)
    return size(high)


# --- Binance ----------------------------------------------------------------------------------

# Source: the samples that ccxt 4.5.90 shows in `parse_funding_rate` and `fetch_funding_intervals`;
# fundingInfo names only what differs from eight hours (docs.rs/polyoxide-binance 0.48.0,
# usdm/api/exchange.rs), read 2026-11-30.
_USUAL = 8 * _HOUR


class _Premium(Struct):
    symbol: str
    markPrice: object = None  # noqa: N815 - the wire's spelling
    indexPrice: object = None  # noqa: N815
    lastFundingRate: object = None  # noqa: N815
    nextFundingTime: object = None  # noqa: N815


class _Adjusted(Struct):
    symbol: str
    adjustedFundingRateCap: object = None  # noqa: N815
    adjustedFundingRateFloor: object = None  # noqa: N815
    fundingIntervalHours: object = None  # noqa: N815


_premium = msgspec.json.Decoder(list[_Premium]).decode
_adjusted = msgspec.json.Decoder(list[_Adjusted]).decode


def read_premium_index(body: bytes) -> Iterator[ListedPerpetual]:
    """Read ``premiumIndex``; contracts that end have no rate."""
    with reading("binance perpetuals"):
        rows = _premium(body)
    for row in rows:
        funding = figure(row.lastFundingRate)
        yield ListedPerpetual(
            row.symbol,
            size(row.markPrice),
            size(row.indexPrice),
            funding,
            None if funding is None else _USUAL,
            time_of(row.nextFundingTime),
        )


def read_funding_info(body: bytes) -> Iterator[ListedPerpetual]:
    """Read ``fundingInfo``: the interval and the cap of what differs from the usual."""
    with reading("binance funding"):
        rows = _adjusted(body)
    for row in rows:
        yield ListedPerpetual(
            row.symbol,
            interval=hours(row.fundingIntervalHours),
            cap=size(row.adjustedFundingRateCap),
        )


def binance(prefix: str) -> tuple[PerpetualList, ...]:
    """Return both lists of one of Binance's futures sites."""
    return (
        PerpetualList(path=f"{prefix}/premiumIndex", read=read_premium_index, weight=10),
        PerpetualList(path=f"{prefix}/fundingInfo", read=read_funding_info),
    )


# --- Bybit ------------------------------------------------------------------------------------

# Source: the sample that ccxt 4.5.90 shows in `parse_funding_rate`; fundingIntervalHour and
# fundingCap as recorded rows of September 2026 in public clients have them, read 2026-11-30.


class _BybitPerpetual(Struct):
    symbol: str
    markPrice: object = None  # noqa: N815 - the wire's spelling
    indexPrice: object = None  # noqa: N815
    fundingRate: object = None  # noqa: N815
    nextFundingTime: object = None  # noqa: N815
    fundingIntervalHour: object = None  # noqa: N815
    fundingCap: object = None  # noqa: N815


class _BybitPerpetuals(Struct):
    rows: list[_BybitPerpetual] = msgspec.field(name="list")


class _BybitPerpetualRows(Struct):
    result: _BybitPerpetuals


_bybit = msgspec.json.Decoder(_BybitPerpetualRows).decode


def read_bybit_tickers(body: bytes) -> Iterator[ListedPerpetual]:
    """Read ``market/tickers`` of contracts."""
    with reading("bybit perpetuals"):
        rows = _bybit(body).result.rows
    for row in rows:
        yield ListedPerpetual(
            row.symbol,
            size(row.markPrice),
            size(row.indexPrice),
            figure(row.fundingRate),
            hours(row.fundingIntervalHour),
            time_of(row.nextFundingTime),
            size(row.fundingCap),
        )


# --- OKX --------------------------------------------------------------------------------------

# Source: ccxt 4.5.90 (`parse_funding_rate`, `parse_mark_price`, `parse_ticker` of index tickers);
# instId=ANY as public clients of 2026 ask for all of them, read 2026-11-30.


class _OkxPerpetual(Struct):
    instId: str  # noqa: N815 - the wire's spelling
    markPx: object = None  # noqa: N815
    idxPx: object = None  # noqa: N815
    fundingRate: object = None  # noqa: N815
    fundingTime: object = None  # noqa: N815
    nextFundingTime: object = None  # noqa: N815
    maxFundingRate: object = None  # noqa: N815
    minFundingRate: object = None  # noqa: N815


class _OkxPerpetuals(Struct):
    data: list[_OkxPerpetual]


_okx = msgspec.json.Decoder(_OkxPerpetuals).decode


def read_okx_funding(body: bytes) -> Iterator[ListedPerpetual]:
    """Read ``public/funding-rate``; two times of funding stand there, an interval apart."""
    with reading("okx funding"):
        rows = _okx(body).data
    for row in rows:
        due, after = time_of(row.fundingTime), time_of(row.nextFundingTime)
        funding = figure(row.fundingRate)
        yield ListedPerpetual(
            row.instId,
            rate=funding,
            interval=after - due if due and after and after > due else None,
            next_funding=due,
            cap=cap(funding, row.minFundingRate, row.maxFundingRate),
        )


def read_okx_marks(body: bytes) -> Iterator[ListedPerpetual]:
    """Read ``public/mark-price`` of swaps."""
    with reading("okx marks"):
        rows = _okx(body).data
    for row in rows:
        yield ListedPerpetual(row.instId, mark=size(row.markPx))


def read_okx_indices(body: bytes) -> Iterator[ListedPerpetual]:
    """Read ``market/index-tickers``: an index has the name of its swap without the ending."""
    with reading("okx indices"):
        rows = _okx(body).data
    for row in rows:
        yield ListedPerpetual(f"{row.instId}-SWAP", index=size(row.idxPx))


def okx(quote: str) -> tuple[PerpetualList, ...]:
    """Return the lists of swaps; indices are asked for by their quote currency."""
    return (
        PerpetualList(path="/api/v5/public/funding-rate?instId=ANY", read=read_okx_funding),
        PerpetualList(path="/api/v5/public/mark-price?instType=SWAP", read=read_okx_marks),
        PerpetualList(path=f"/api/v5/market/index-tickers?quoteCcy={quote}", read=read_okx_indices),
    )


# --- BitMEX -----------------------------------------------------------------------------------


class _BitmexPerpetual(Struct):
    symbol: str
    markPrice: object = None  # noqa: N815 - the wire's spelling
    indicativeSettlePrice: object = None  # noqa: N815
    fundingRate: object = None  # noqa: N815
    fundingTimestamp: object = None  # noqa: N815
    fundingInterval: object = None  # noqa: N815


_bitmex = msgspec.json.Decoder(list[_BitmexPerpetual]).decode
_ZERO = datetime(2000, 1, 1, tzinfo=UTC)  # from which a duration is counted there


def _since_zero(written: object) -> float | None:
    try:
        return size((datetime.fromisoformat(str(written)) - _ZERO).total_seconds())
    except (TypeError, ValueError):
        return None


def read_bitmex_instruments(body: bytes) -> Iterator[ListedPerpetual]:
    """Read ``/instrument/active``; the price that it would settle at now is its index.

    Source: rows of `instrument` that public clients recorded in 2017 to 2019 and in September 2026,
    read 2026-11-30.
    """
    with reading("bitmex perpetuals"):
        rows = _bitmex(body)
    for row in rows:
        yield ListedPerpetual(
            row.symbol,
            size(row.markPrice),
            size(row.indicativeSettlePrice),
            figure(row.fundingRate),
            _since_zero(row.fundingInterval),
            time_of(row.fundingTimestamp),
        )
