"""Frames of a simulated venue by its definition: documents with values where its paths lead."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from exporter.model import Channel
from exporter.simulator.market import Levels, Pair, PriceWindow, Print, Step
from exporter.simulator.spec import SimulatedFeed, dump, iso
from exporter.venues.definition.conditions import listed
from exporter.venues.definition.field_shape import LevelShape, TimeField
from exporter.venues.definition.readers import PER_SECOND
from exporter.venues.definition.shape import ChannelShape, FrameShape, VenueShape

DEPTH = 50  # levels a side that books have here
_MINUTE = 60_000


def root(paths: Iterable[str]) -> Any:
    """Return an empty object, or an empty list where paths begin with a position."""
    return [] if next(iter(paths), "").partition(".")[0].isdecimal() else {}


def put(document: Any, path: str, value: Any) -> None:
    """Put a value where a dotted path leads, making what is on the way."""
    node, parts = document, path.removeprefix("$.").split(".")
    for part, following in pairwise(parts):
        child = _at(node, part)
        if not isinstance(child, dict | list):
            child = [] if following.isdecimal() else {}
            _set(node, part, child)
        node = child
    _set(node, parts[-1], value)


def _at(node: Any, part: str) -> Any:
    if isinstance(node, dict):
        return node.get(part)
    return node[int(part)] if int(part) < len(node) else None


def _set(node: Any, part: str, value: Any) -> None:
    if isinstance(node, dict):
        node[part] = value
        return
    while len(node) <= int(part):
        node.append(None)
    node[int(part)] = value


def there(document: Any, path: str) -> bool:
    """Whether anything but None stands at a path."""
    node = document
    for part in path.split("."):
        node = _at(node, part) if isinstance(node, dict | list) else None
    return node is not None


def meet(document: Any, when: Mapping[str, Any], texts: Sequence[str] = ()) -> None:
    """Put what tells this kind of document from others; ``texts`` may stand for a pattern."""
    for path, wanted in when.items():
        if isinstance(wanted, dict):
            if wanted["exists"] and not there(document, path):
                put(document, path, [])
            continue
        first = listed(wanted)[0]
        if isinstance(first, str) and "*" in first:
            pattern = re.compile(re.escape(first).replace(r"\*", ".*"))
            first = next((each for each in texts if pattern.fullmatch(each)), first)
        put(document, path, first)


def _time(shape: TimeField, millis: int) -> Any:
    if shape.unit == "iso":
        return iso(millis).removesuffix("Z") if shape.zone else iso(millis)
    return int(millis * PER_SECOND[shape.unit] / 1000)


def levels_of(pair: Pair, shape: LevelShape | None, levels: Levels) -> list[Any]:
    """Write levels of one side of a book."""
    return [_level(pair, shape, price, size) for price, size in levels]


def _level(pair: Pair, shape: LevelShape | None, price: int, size: int, side: Any = None) -> Any:
    texts = pair.listing.price(price), pair.listing.size(size) if size else "0"
    if shape is None:
        return [*texts]
    row = root([shape.price or ""])
    for path, text in zip((shape.price, shape.size), texts, strict=True):
        put(row, path or "", text)
    if shape.side is not None:
        put(row, shape.side.path, listed(side)[0])
    return row


def _frame(
    channel: ChannelShape,
    shape: FrameShape,
    pair: Pair,
    millis: int,
    rows: Sequence[Mapping[str, Any]],
) -> bytes:
    """Write one frame of a kind: ``rows`` have values by path."""
    symbol = pair.listing.symbol
    topic = channel.topic.format(symbol=symbol, lower=symbol.lower())
    of = shape.symbol
    named = ((of and of.within) or "{symbol}").replace("{symbol}", symbol)
    whole = not (shape.row or shape.rows)
    document: Any = {}
    made: list[Any] = []
    for given in rows:
        values = {**given, **({} if of is None else {of.path: named})}
        if shape.time is not None:
            values[shape.time.path] = _time(shape.time, millis)
        row = document if whole else root(p for p in values if not p.startswith("$."))
        for path, value in values.items():
            put(document if path.startswith("$.") else row, path, value)
        made.append(row)
    if shape.rows is not None:
        put(document, shape.rows, made[::-1] if shape.newest_first else made)
    elif shape.row is not None:
        put(document, shape.row, made[0])
    meet(document, shape.when, (named, topic))
    return dump(document)


def _paths(shape: FrameShape, **values: Any) -> dict[str, Any]:
    """Return values by the path of their field, for the fields that a frame has."""
    found = {}
    for name, value in values.items():
        path = getattr(shape, name)
        if path is not None:
            found[path] = value
    return found


def _trades(channel: ChannelShape, pair: Pair, prints: Sequence[Print], millis: int) -> list[bytes]:
    shape = next(each for each in channel.own if not each.snapshot)
    rows = []
    for number, buy, price, size in prints:
        amount = pair.listing.size(size)
        side = shape.side
        row = _paths(shape, price=pair.listing.price(price), size=amount, id=number,
                     sequence=number)  # fmt: skip
        if side is not None:
            signed = amount if buy else f"-{amount}"
            row[side.path] = signed if side.sign else listed(side.buy if buy else side.sell)[0]
        rows.append(row)
    if shape.rows is not None:
        return [_frame(channel, shape, pair, millis, rows)]
    return [_frame(channel, shape, pair, millis, [row]) for row in rows]


def _quotes(channel: ChannelShape, pair: Pair, step: Step) -> list[bytes]:
    shape, one = channel.own[0], pair.listing
    (bid, bid_size), (ask, ask_size) = pair.bids.top(1)[0], pair.asks.top(1)[0]
    row = _paths(shape, bid=one.price(bid), bid_size=one.size(bid_size), ask=one.price(ask),
                 ask_size=one.size(ask_size), sequence=step.last)  # fmt: skip
    return [_frame(channel, shape, pair, step.millis, [row])]


def _candles(channel: ChannelShape, pair: Pair, step: Step) -> list[bytes]:
    closed = step.closed.get(_MINUTE)
    if closed is None and not step.second:
        return []
    candle, shape = closed or pair.kline(_MINUTE, step.millis), channel.own[-1]
    row = _paths(shape, close=pair.listing.price(candle.close), closed=candle.closed)
    if shape.start is not None:
        row[shape.start.path] = _time(shape.start, candle.start)
    return [_frame(channel, shape, pair, step.millis, [row])]


class _Book:
    """The frames of one book: a whole one, and what has changed since."""

    def __init__(self, channel: ChannelShape, pair: Pair) -> None:
        self._channel, self._pair = channel, pair
        self._window, self._last = PriceWindow(pair, DEPTH), pair.last
        self._own = pair.last  # of frames of one level, which are numbered by themselves
        kinds = channel.own
        self._whole = next((each for each in kinds if each.snapshot or each.snapshot_when), None)
        self._change = next((each for each in kinds if not each.snapshot), None)

    def opening(self, millis: int) -> list[bytes]:
        """Return the book as of its last change, where the stream begins with one."""
        if self._whole is None:
            return []
        sides = self._window.levels()
        last = self._own if self._alone else self._last
        return self._frames(self._whole, sides, millis, last, last, whole=True)

    @property
    def _alone(self) -> bool:
        """Whether a change is one level."""
        kind = self._change
        return kind is not None and not (kind.bids or kind.changes or kind.pairs)

    def steps(self, step: Step) -> list[bytes]:
        """Return what a step has changed."""
        changes = self._window.changes()
        first, self._last = step.first, step.last
        if self._change is None:
            return self.opening(step.millis)
        return self._frames(self._change, changes, step.millis, first, step.last, whole=False)

    def _frames(
        self,
        shape: FrameShape,
        sides: tuple[Levels, Levels],
        millis: int,
        first: int,
        last: int,
        *,
        whole: bool,
    ) -> list[bytes]:
        pair, level, (bids, asks) = self._pair, shape.level, sides
        numbers = _paths(shape, first=first, last=last, previous=first - 1)
        if whole:
            for path in listed(shape.previous):
                numbers.pop(path, None)
        side = None if level is None else level.side
        ways = () if side is None else ((bids, side.buy), (asks, side.sell))
        both = [_level(pair, level, *each, way) for levels, way in ways for each in levels]
        if shape.bids is not None and shape.asks is not None:
            numbers[shape.bids] = levels_of(pair, level, bids)
            numbers[shape.asks] = levels_of(pair, level, asks)
        elif shape.changes is not None:
            numbers[shape.changes] = both
        elif shape.pairs is not None and level is not None:
            numbers[shape.pairs] = [*_pairs(pair, level, bids, asks)]
        else:  # one level a frame, each with a number of its own
            frames = []
            for row in both:
                self._own += 1
                values = {**row, **_paths(shape, last=self._own)}
                frames.append(_frame(self._channel, shape, pair, millis, [values]))
            return frames
        return [_frame(self._channel, shape, pair, millis, [numbers])]


def _pairs(pair: Pair, level: LevelShape, bids: Levels, asks: Levels) -> Iterator[Any]:
    for bid, ask in zip(bids, asks, strict=False):
        row: Any = {}
        places = ((level.bid, level.bid_size, bid), (level.ask, level.ask_size, ask))
        for price, size, (ticks, lots) in places:
            put(row, price or "", pair.listing.price(ticks))
            put(row, size or "", pair.listing.size(lots))
        yield row


def feed_of(shape: VenueShape, name: str, topic: str, pair: Pair) -> SimulatedFeed:
    """Make the feed of one channel of one market."""
    channel = shape.channels.given[name]
    packed = shape.stream is not None and shape.stream.compression == "gzip"
    pack = partial(_packed, packed)
    feed = SimulatedFeed(key=topic, topic=topic, channel=name, pair=pair)
    match Channel(name):
        case Channel.TRADES:
            feed.prints = lambda prints, millis: pack(_trades(channel, pair, prints, millis))
        case Channel.QUOTES:
            feed.steps = lambda step: pack(_quotes(channel, pair, step))
        case Channel.KLINES:
            feed.steps = lambda step: pack(_candles(channel, pair, step))
        case _:
            book = _Book(channel, pair)
            feed.steps = lambda step: pack(book.steps(step))
            feed.opening = lambda millis: pack(book.opening(millis))
    return feed


def _packed(packed: bool, frames: list[bytes]) -> list[bytes]:
    return [gzip.compress(each, 1, mtime=0) for each in frames] if packed else frames
