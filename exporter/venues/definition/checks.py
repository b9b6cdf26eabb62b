"""What is wrong with a definition that no section of it sees by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from exporter.config.kinds import Mistake, Place
from exporter.model import Channel
from exporter.venues.definition import requests

if TYPE_CHECKING:  # their module asks this one for mistakes
    from exporter.venues.definition.shape import ChannelShape, FrameShape, StreamShape, VenueShape

# What a frame of a channel must have and may have, beside what all have.
_NEEDS: Mapping[Channel, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Channel.TRADES: (("price", "size"), ("side", "id", "sequence")),
    Channel.QUOTES: (("bid", "ask"), ("bid_size", "ask_size", "sequence")),
    Channel.BOOK: (
        (),
        ("bids", "asks", "changes", "pairs", "level", "first", "last", "previous", "checksum"),
    ),
    Channel.KLINES: (("start", "close"), ("closed",)),
}
_SPECIAL = frozenset(name for needs in _NEEDS.values() for names in needs for name in names)


def mistakes(shape: VenueShape) -> Iterator[Mistake]:
    """Complain of half a stream, and of pairs that cannot be taken apart."""
    if (shape.stream is None) != (not shape.channels.given):
        missing = "stream" if shape.stream is None else "channels"
        yield Mistake((missing,), "found no such key, expected stream and channels, or neither")
    markets = shape.rest.markets
    form = shape.symbols.spot or next(filter(None, shape.symbols.perpetuals), "")
    separated = re.search(r"\}[^{]+\{", form) and "{quote}" in form
    if markets is not None and markets.pair is not None and not separated:
        wrong = "found no separator, expected one in symbols.form to take a pair apart by"
        yield Mistake(("rest", "markets", "pair"), wrong)


def stream(stream: StreamShape) -> Iterator[Mistake]:
    """Complain of places that nothing fills, and of a welcome that never comes."""
    asked = [("subscribe", stream.subscribe), ("unsubscribe", stream.unsubscribe)]
    for name, template in asked:
        yield from _places((name,), template, requests.PLACES)
    if stream.ping is not None:
        yield from _places(("ping", "send"), stream.ping.send, ("id", "id_text", *requests.TIMES))
    yield from _places(("opening",), stream.opening, tuple(requests.TIMES))
    if not isinstance(stream.opening, list | None):
        yield Mistake(("opening",), "found no list, expected one")
    if stream.welcomed and not any(each is not None and each.ready for each in stream.controls):
        wrong = "found true, expected a control with ready: true"
        yield Mistake(("welcomed",), wrong)


def _places(
    place: Place, template: Any, known: Mapping[str, bool] | tuple[str, ...]
) -> Iterator[Mistake]:
    for each in requests.places(template):
        if each not in known:
            listed = ", ".join(f"${one}" for one in known)
            yield Mistake(place, f'found "${each}", expected one of {listed}')


def channel(name: str, channel: ChannelShape) -> Iterator[Mistake]:
    """Complain of fields that a channel does not have, or needs."""
    start: Place = (name,)
    yield from _places((*start, "argument"), channel.argument, ("topic", "symbol", "channel"))
    if all(frame is not None and frame.topic is not None for frame in channel.frames):
        wrong = "found a topic of its own in each, expected one kind of the channel's own"
        yield Mistake((*start, "frames"), wrong)
    for index, frame in enumerate(channel.frames):
        if frame is None:
            continue
        place = (*start, "frames", index)
        if frame.checksum is not None and (channel.price_decimals or channel.size_decimals):
            wrong = "found beside decimals, expected one of them: it is of the digits as they stand"
            yield Mistake((*place, "checksum"), wrong)
        if frame.symbol is None and not re.search(r"\{(symbol|lower)\}", channel.route or ""):
            wrong = "found no such key, expected where it stands, or a route with {symbol} in it"
            yield Mistake((*place, "symbol"), wrong)
        yield from _fields(name, frame, place)
        if frame.snapshot or channel.continuity == "none":
            continue
        number = "last" if name == "book" else "sequence"
        for each in (number, *(("previous",) if channel.continuity == "linked" else ())):
            if getattr(frame, each) is None:
                wrong = f"found no such key, expected the number that is {channel.continuity}"
                yield Mistake((*place, each), wrong)


def _fields(name: str, frame: FrameShape, place: Place) -> Iterator[Mistake]:
    needed, fitting = _NEEDS[Channel(name)]
    given = {each for each in _SPECIAL if getattr(frame, each) is not None}
    for each in sorted(set(needed) - given):
        yield Mistake((*place, each), f"found no such key, expected it in {name}")
    for each in sorted(given - {*needed, *fitting}):
        yield Mistake((*place, each), f"found here, expected none in {name}")
    if name == "book" and not given & {"bids", "changes", "pairs", "level"}:
        wrong = "found no levels, expected bids and asks, changes, pairs, or level"
        yield Mistake(place, wrong)
