"""The streams on which venues say first what may be done in their markets.

Each reader takes the frames that say it and leaves all others, answers and pongs among them, to
the venue's own parser. A word that is not in the tables of `states` is `TradingMode.UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import msgspec
from msgspec import Struct

from exporter.contracts import StateStream
from exporter.decoding import reading, size
from exporter.instrument import Product
from exporter.listing import ListedMarket
from exporter.maintenance import TradingMode, WatchedMarkets
from exporter.model import Control, Event
from exporter.venues.families import binance as binance_wire
from exporter.venues.families import bybit as bybit_wire
from exporter.venues.families import okx as okx_wire
from exporter.venues.families.bybit_rest import BybitWindow, summed_up
from exporter.venues.families.states import (
    BINANCE_MODES,
    KRAKEN_MODES,
    Figure,
    coinbase_advanced_states,
    listed_time,
    okx_states,
)

Parse: TypeAlias = Callable[[bytes], tuple[Event, ...]]
_UNKNOWN = TradingMode.UNKNOWN


def _stream(
    url: Callable[[str], str],
    frames: Callable[[WatchedMarkets], Sequence[str]],
    parse: Parse,
    read: Callable[[bytes], Iterable[ListedMarket] | None],
) -> StateStream:
    """Return a stream of which ``read`` takes what says states, and gives None for the rest."""

    def reader(frame: bytes) -> tuple[Event, ...]:
        with reading("states"):
            markets = read(frame)
        if markets is None:
            return parse(frame)
        return (Control("states", markets=tuple(markets)),)

    return StateStream(
        url=url, subscribe=lambda watched: tuple(frames(watched)), begin=lambda watched: reader
    )


# --- Binance's futures ------------------------------------------------------------------------


class _ContractInfo(Struct, frozen=True):
    e: str = ""
    s: str = ""
    ct: str = ""
    dt: Figure = None
    ot: Figure = None
    cs: str = ""


class _ContractFrame(Struct):
    data: _ContractInfo = _ContractInfo()


_contract = msgspec.json.Decoder(_ContractFrame).decode


def _contracts(frame: bytes) -> Iterable[ListedMarket] | None:
    row = _contract(frame).data
    if row.e != "contractInfo":
        return None
    ends = "PERPETUAL" in row.ct
    mode = BINANCE_MODES.get(row.cs, _UNKNOWN)
    end = listed_time(row.dt) if ends else None
    return (ListedMarket(row.s, mode, row.cs, opening=listed_time(row.ot), delisting=end),)


def binance(path: str) -> StateStream:
    """Return the stream of futures, at ``path``: what is listed, settles or is delisted.

    Source: developers.binance.com, "Contract Info Stream" of USD-M and COIN-M futures, read
    2026-11-30. It says nothing on subscribing.
    """
    ask = '{"method":"SUBSCRIBE","params":["!contractInfo"],"id":1}'
    return _stream(lambda base: base + path, lambda watched: (ask,), binance_wire.parse, _contracts)


# --- OKX --------------------------------------------------------------------------------------


class _OkxChannel(Struct, frozen=True):
    channel: str = ""


class _OkxFrame(Struct):
    arg: _OkxChannel = _OkxChannel()
    event: str = ""


_okx = msgspec.json.Decoder(_OkxFrame).decode
_OKX_TYPES = {
    Product.SPOT: ("SPOT",),
    Product.LINEAR: ("SWAP", "FUTURES"),
    Product.INVERSE: ("SWAP", "FUTURES"),
    Product.OPTION: ("OPTION",),
}


def _okx_instruments(frame: bytes) -> Iterable[ListedMarket] | None:
    if not frame.startswith(b"{"):  # a pong
        return None
    found = _okx(frame)
    return okx_states(frame) if found.arg.channel == "instruments" and not found.event else None


def _okx_frames(watched: WatchedMarkets) -> Sequence[str]:
    kinds = dict.fromkeys(k for each in sorted(watched.products) for k in _OKX_TYPES.get(each, ()))
    args = [{"channel": "instruments", "instType": kind} for kind in kinds]
    return (msgspec.json.encode({"op": "subscribe", "args": args}).decode(),)


# Source: "Instruments channel" of OKX API v5, as the clients amir-the-h/okex, OKX.Api and okx-api
# (mintlify.com/tiagosiebler/okx-api, public channels) give it, read 2026-11-30: the whole list on
# subscribing, then what changes its state.
OKX = _stream(lambda base: base + "/public", _okx_frames, okx_wire.parse, _okx_instruments)


# --- Coinbase Exchange ------------------------------------------------------------------------


class _CoinbaseFrameKind(Struct):
    type: str = ""


_coinbase = msgspec.json.Decoder(_CoinbaseFrameKind).decode


def _coinbase_status(frame: bytes) -> Iterable[ListedMarket] | None:
    # A product is told as /market/products of Advanced Trade does it: in a list of that name.
    return coinbase_advanced_states(frame) if _coinbase(frame).type == "status" else None


def coinbase(parse: Parse) -> StateStream:
    """Return the channel `status`: all products, again and again.

    It has no `trading_disabled`, which the list has. Source: docs.cdp.coinbase.com, Exchange
    WebSocket Channels, "Status Channel", read 2026-11-30.
    """
    ask = '{"type":"subscribe","channels":[{"name":"status"}]}'
    return _stream(str, lambda watched: (ask,), parse, _coinbase_status)


# --- Kraken -----------------------------------------------------------------------------------


class _KrakenPair(Struct):
    symbol: str
    status: str
    price_increment: Figure = None
    qty_increment: Figure = None


class _KrakenPairs(Struct):
    pairs: list[_KrakenPair] = []


class _KrakenFrame(Struct, tag_field="channel", tag="instrument"):
    data: _KrakenPairs


class _KrakenChannel(Struct):
    channel: str = ""


_kraken_channel = msgspec.json.Decoder(_KrakenChannel).decode
_kraken = msgspec.json.Decoder(_KrakenFrame).decode


def _kraken_instruments(frame: bytes) -> Iterable[ListedMarket] | None:
    if _kraken_channel(frame).channel != "instrument":
        return None
    return [
        ListedMarket(
            row.symbol,
            KRAKEN_MODES.get(row.status, _UNKNOWN),
            row.status,
            size(row.price_increment),
            size(row.qty_increment),
        )
        for row in _kraken(frame).data.pairs
    ]


def kraken(parse: Parse) -> StateStream:
    """Return the channel `instrument`: all pairs, then those that change; `status` comes unasked.

    Source: docs.kraken.com, spot-websocket-v2, "Instruments", read 2026-11-30.
    """
    ask = '{"method":"subscribe","params":{"channel":"instrument","snapshot":true},"req_id":4}'
    return _stream(str, lambda watched: (ask,), parse, _kraken_instruments)


# --- Bybit ------------------------------------------------------------------------------------


class _BybitTopic(Struct):
    topic: str = ""


class _BybitStatus(Struct):
    data: list[BybitWindow]


_bybit_topic = msgspec.json.Decoder(_BybitTopic).decode
_bybit_status = msgspec.json.Decoder(_BybitStatus, strict=False).decode
_OVER = ("completed", "canceled")


def _begin_bybit(watched: WatchedMarkets) -> Parse:
    """Return what keeps the windows that a connection told, for a frame has only those of news.

    What it never told of is left to the status endpoint.
    """
    windows: dict[str, BybitWindow] = {}
    told = False

    def read(frame: bytes) -> tuple[Event, ...]:
        nonlocal told
        with reading("bybit system status"):
            if _bybit_topic(frame).topic != "system.status":
                return bybit_wire.parse(frame)
            for row in _bybit_status(frame).data:
                if row.state in _OVER:
                    windows.pop(row.id, None)
                else:
                    windows[row.id] = row
            said = summed_up(windows.values(), watched)
        had, told = told, said.active or bool(said.incident)
        return (Control("system.status", maintenance=said if told or had else None),)

    return read


# Source: bybit-exchange.github.io/docs, v5/websocket/system/system-status, read 2026-11-30. Of
# single markets no public channel of Bybit speaks.
BYBIT = StateStream(
    url=lambda base: base.rpartition("/")[0] + "/misc/status",
    subscribe=lambda watched: ('{"op":"subscribe","args":["system.status"]}',),
    begin=_begin_bybit,
)
