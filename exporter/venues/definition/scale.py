"""Prices and sizes that the wire writes as whole numbers, of so many decimals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from exporter.model import Depth, Event, Kline, Quote, Trade
from exporter.venues.definition.levels import Levels, Spread
from exporter.venues.definition.readers import Make, Reader
from exporter.venues.definition.shape import ChannelShape


def scaled(channel: ChannelShape, reader: Reader) -> Reader:
    """Return a reader whose prices and sizes are divided as the channel says, if it does."""
    if not (channel.price_decimals or channel.size_decimals):
        return reader
    by = 10.0**channel.price_decimals, 10.0**channel.size_decimals

    def bind() -> Make:
        make = reader.bind()

        def divided(outside: Any, rows: Sequence[Any], frame: bytes) -> tuple[Event, ...]:
            return tuple(_divided(each, *by) for each in make(outside, rows, frame))

        return divided

    return Reader(reader.source, bind)


def scaled_snapshot(
    channel: ChannelShape, read: Callable[[bytes, str, str], Depth]
) -> Callable[[bytes, str, str], Depth]:
    """Return a reader of a book over REST that divides likewise."""
    by = 10.0**channel.price_decimals, 10.0**channel.size_decimals

    def divided(body: bytes, topic: str, symbol: str) -> Depth:
        found = read(body, topic, symbol)
        sides: Any = found.levels
        return replace(found, levels=tuple([*_side(each, *by)] for each in sides))

    return divided if max(by) > 1.0 else read


def _divided(event: Event, price: float, size: float) -> Event:
    match event:
        case Trade():
            return replace(event, price=event.price / price, size=event.size / size)
        case Quote():
            sizes = (each and each / size for each in (event.bid_size, event.ask_size))
            bid_size, ask_size = sizes
            return replace(
                event, bid=event.bid / price, ask=event.ask / price,
                bid_size=bid_size, ask_size=ask_size,
            )  # fmt: skip
        case Kline():
            return replace(event, close=event.close / price)
        case Depth():
            held: Any = event.levels
            return replace(event, levels=(partial(_spread, held[0], price, size), *held[1:]))
    return event


def _spread(spread: Spread, price: float, size: float, *raw: Any) -> tuple[Levels, Levels]:
    bids, asks = spread(*raw)
    return _side(bids, price, size), _side(asks, price, size)


def _side(levels: Levels, price: float, size: float) -> Levels:
    return [(each / price, amount / size) for each, amount in levels]
