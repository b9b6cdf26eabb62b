"""Readers of market data: from the row's fields to events, one reader for each kind of frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from operator import attrgetter
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import NODEFAULT, UNSET, Meta, Raw

from exporter.decoding import DOUBTFUL, ParseError, Price, Serial, Size, epoch
from exporter.model import Channel, Control, Depth, Event, Kline, Message, Quote, Side, Trade
from exporter.venues.definition.conditions import listed
from exporter.venues.definition.field_shape import SideField, TimeField
from exporter.venues.definition.levels import SCALAR, spread_levels
from exporter.venues.definition.paths import Fields, Leaf, Missing, Tree
from exporter.venues.definition.shape import ChannelShape, FrameShape

Make: TypeAlias = Callable[[Any, Sequence[Any], bytes], tuple[Event, ...]]
"""Makes events of a frame's envelope, its decoded rows, and the frame itself."""

Single: TypeAlias = Callable[[Any, Any], tuple[Event, ...]]

PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_MOST_NAMES = 20_000  # symbols that are remembered; no venue lists so many
_SIGNED = Annotated[float, Meta(gt=-1e24, lt=1e24)]
_UNIX = {
    unit: Annotated[float, Meta(gt=1e9 * per, lt=1e10 * per)] for unit, per in PER_SECOND.items()
}


class OtherTopicError(ParseError):
    """A topic that nobody here asks for, such as candles of an hour; ``label`` names its kind."""

    def __init__(self, text: str, label: str) -> None:
        super().__init__(f"no symbol: {text[:60]!r}")
        self.label = label


class Names(dict[Any, tuple[str, str]]):
    """Symbol and topic for each text that holds a symbol, made when first seen.

    Where there is no text, the connection's address will tell what the topic's template lacks.
    """

    def __init__(self, topic: str, within: str | None, label: str) -> None:
        super().__init__()
        self._topic, self._label = topic, label
        self._before, _, self._after = (within or "{symbol}").partition("{symbol}")

    def __missing__(self, value: Any) -> tuple[str, str]:
        if value is None:
            self[None] = "", self._topic
            return self[None]
        before, after = self._before, self._after
        text = str(value) if type(value) is int else value  # some number their markets
        if not isinstance(text, str) or not text:
            raise ParseError(f"no symbol: {str(text)[:60]!r}")
        symbol = text[len(before) : len(text) - len(after)]
        if not symbol or not (text.startswith(before) and text.endswith(after)):
            raise OtherTopicError(text, self._label)
        if len(self) >= _MOST_NAMES:
            self.clear()
        self[value] = found = symbol, self._topic.format(symbol=symbol, lower=symbol.lower())
        return found


class Signs(dict[Any, Side | None]):
    """Buyer or seller, by the sign of a number."""

    def __missing__(self, value: Any) -> Side:
        return Side.BUY if value > 0 else Side.SELL


class TradeSides(dict[Any, Side | None]):
    """Buyer or seller; None for a word that nobody knows, which is no reason to lose a trade."""

    def __missing__(self, value: Any) -> None:
        return None


def _trade_sides(shape: SideField | None) -> dict[Any, Side | None]:
    found = sides(shape)
    return found if isinstance(found, Signs) else TradeSides(found)


def sides(shape: SideField | None) -> dict[Any, Side | None]:
    """Return which side each value stands for; without any, nothing stands for none."""
    if shape is None:
        return {None: None}
    if shape.sign:
        return Signs()
    buyers = dict.fromkeys(listed(shape.buy), Side.BUY)
    return {**buyers, **dict.fromkeys(listed(shape.sell), Side.SELL)}


def moment(shape: TimeField | None) -> tuple[Any, Callable[[Any], float | None]]:
    """Return the type of a time on the wire, and what makes epoch seconds of it."""
    if shape is None:
        return None, lambda value: None
    if shape.optional:
        type_, known = moment(replace(shape, optional=False))
        return type_ | None, lambda value: None if value in (None, UNSET) else known(value)
    if shape.unit != "iso":
        per = PER_SECOND[shape.unit]
        return _UNIX[shape.unit], lambda value: value / per
    zone = UTC if shape.zone is None else _zone(shape.zone)

    def convert(value: datetime) -> float:
        try:
            return epoch(value if value.tzinfo is not None else value.replace(tzinfo=zone))
        except DOUBTFUL as error:  # says where, as the decoder does: what is left can be salvaged
            raise ParseError(f"{error} - at `$.{bare(shape.path)}`") from error

    return datetime, convert


def _zone(text: str) -> timezone:
    hours, minutes = text[1:].split(":")
    away = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-away if text[0] == "-" else away)


@dataclass(slots=True)
class Source:
    """Where a frame's fields stand: in its rows, or in the envelope (`$.`), and how many rows.

    Made in two steps: first all that is wanted is told, to the envelope's tree too, then readers
    are bound, once the envelope's type is known. In a frame that is its own row all is row.
    """

    shape: FrameShape
    envelope: Tree
    fields: Fields
    outer: dict[str, str]

    @classmethod
    def of(cls, shape: FrameShape, envelope: Tree, missing: Missing = Missing.REFUSED) -> Source:
        """Begin with where the rows stand."""
        if (place := shape.row or shape.rows) is not None and place != "$":
            envelope.add(bare(place), Leaf(Raw, UNSET))
        return cls(shape, envelope, Fields(missing), {})

    def want(self, name: str, path: str | None, type_: Any, default: Any = NODEFAULT) -> None:
        """Want one field. In the envelope it is any scalar, for frames of other kinds share it."""
        if path is not None and path.startswith("$."):
            path = bare(path)
            if self.shape.row or self.shape.rows:
                self.outer[name] = self.envelope.add(path, Leaf(SCALAR, UNSET))
                path = None
        self.fields.want(path, type_, default)

    def from_envelope(self, name: str) -> Callable[[Any], Any] | None:
        """Return what takes a field out of the envelope; None where it stands in the rows."""
        path = self.outer.get(name)
        return None if path is None else attrgetter(self.envelope.attribute(path))


def bare(path: str) -> str:
    """Return a path without the sign that it begins in the frame."""
    return path.removeprefix("$.")


class Common:
    """What frames of all channels have: the symbol and the time, in the rows or the envelope."""

    def __init__(self, channel: ChannelShape, source: Source, label: str) -> None:
        shape = source.shape
        of = shape.symbol
        self.names = Names(shape.topic or channel.topic, None if of is None else of.within, label)
        self._type, self.convert = moment(shape.time)
        source.want("symbol", None if of is None else of.path, str | int)
        time = shape.time
        missing = None if time is not None and time.optional else NODEFAULT
        source.want("time", None if time is None else time.path, self._type, missing)
        self._source = source

    def symbol_at(self) -> Callable[[Any], Any] | None:
        """Return what takes the symbol out of the envelope; None where it stands in the rows."""
        return self._source.from_envelope("symbol")

    def time_at(self) -> Callable[[Any], float | None] | None:
        """Return what reads the time in the envelope; None where it stands in the rows."""
        take, type_, convert = self._source.from_envelope("time"), self._type, self.convert
        if take is None:
            return None

        def time(envelope: Any) -> float | None:
            found = take(envelope)
            found = None if found is UNSET else found  # where that is no time, it is told
            return convert(msgspec.convert(found, type_, strict=False))

        return time

    @property
    def per_second(self) -> float | None:
        """What a row's time is divided by, where that is all there is to do."""
        shape = self._source.shape.time
        if shape is None or shape.optional or "time" in self._source.outer:
            return None
        return PER_SECOND.get(shape.unit)


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader that was begun: its fields, and what makes it once the envelope is known.

    ``single`` makes what reads the envelope and its only row, where that is quicker.
    """

    source: Source
    bind: Callable[[], Make]
    single: Callable[[], Single | None] = lambda: None


def trades(channel: ChannelShape, shape: FrameShape, label: str, envelope: Tree) -> Reader:
    """Begin a reader of trades."""
    source = Source.of(shape, envelope)
    common = Common(channel, source, label)
    signed = shape.side is not None and shape.side.sign
    source.want("price", shape.price, Price)
    source.want("size", shape.size, _SIGNED if signed else Size)
    side = None if shape.side is None else shape.side.path
    source.want("side", side, _SIGNED if signed else SCALAR)
    source.want("sequence", shape.sequence, Serial)
    if shape.id is not None:
        source.fields.tree.add(bare(shape.id), Leaf(Raw))
    apart_at, apart = next(iter(shape.apart.items()), (None, None))
    if apart_at is not None:
        source.want("apart", apart_at, SCALAR, None)
    elsewhere = frozenset(() if isinstance(apart, dict) else listed(apart))

    def bind() -> Make:
        symbol_at, time_at = common.symbol_at(), common.time_at()
        number_at, per = source.from_envelope("sequence"), common.per_second
        get, side_of = source.fields.getter(), _trade_sides(shape.side)
        names, convert, snapshot = common.names, common.convert, shape.snapshot

        def usual(outside: Any, rows: Sequence[Any], frame: bytes) -> tuple[Event, ...]:
            named = None if symbol_at is None else names[symbol_at(outside)]
            if len(rows) == 1:  # nearly always; a list and a loop cost 0.2 µs
                text, time, price, size, side, number = get(rows[0])
                symbol, topic = named or names[text]
                time /= per
                return (
                    Trade(
                        label, topic, symbol, time, price, size, side_of[side], number, None,
                        snapshot,
                    ),
                )  # fmt: skip
            events = []
            for row in rows:
                text, time, price, size, side, number = get(row)
                symbol, topic = named or names[text]
                time /= per
                events.append(
                    Trade(
                        label, topic, symbol, time, price, size, side_of[side], number, None,
                        snapshot,
                    )
                )  # fmt: skip
            return tuple(events)

        def unusual(outside: Any, rows: Sequence[Any], frame: bytes) -> tuple[Event, ...]:
            named = None if symbol_at is None else names[symbol_at(outside)]
            when = None if time_at is None else time_at(outside)
            outer = None if number_at is None else _serial(number_at(outside))
            events: list[Event] = []
            for row in rows:
                text, time, price, size, side, number, *kind = get(row)
                symbol, topic = named or names[text]
                stamp = convert(time) if time_at is None else when
                if number_at is not None:
                    number, outer = outer, None  # it is the frame's, and counts once
                if kind and (kind[0] in elsewhere if elsewhere else kind[0] is not None):
                    events.append(Message(label, topic, symbol, stamp, number))
                    continue
                events.append(
                    Trade(
                        label, topic, symbol, stamp, price, abs(size), side_of[side], number, None,
                        snapshot,
                    )
                )  # fmt: skip
            return tuple(events)

        return unusual if signed or number_at is not None or per is None or shape.apart else usual

    def single() -> Single | None:
        symbol_at, per = common.symbol_at(), common.per_second
        if signed or source.from_envelope("sequence") is not None or per is None or shape.apart:
            return None
        get, side_of = source.fields.getter(), _trade_sides(shape.side)
        names, snapshot = common.names, shape.snapshot

        def one(outside: Any, row: Any) -> tuple[Event, ...]:
            text, time, price, size, side, number = get(row)
            symbol, topic = names[text if symbol_at is None else symbol_at(outside)]
            return (
                Trade(
                    label, topic, symbol, time / per, price, size, side_of[side], number, None,
                    snapshot,
                ),
            )  # fmt: skip

        return one

    return Reader(source, bind, single)


def quotes(channel: ChannelShape, shape: FrameShape, label: str, envelope: Tree) -> Reader:
    """Begin a reader of quotes; a side that is empty, or not there, makes no quote."""
    source = Source.of(shape, envelope, Missing.NONE)
    common = Common(channel, source, label)
    for name in ("bid", "ask", "bid_size", "ask_size"):
        source.want(name, getattr(shape, name), Size | Literal[""] | None, None)
    source.want("sequence", shape.sequence, Serial)

    def bind() -> Make:
        symbol_at, time_at = common.symbol_at(), common.time_at()
        number_at, get = source.from_envelope("sequence"), source.fields.getter()
        of_whom = source.fields.getter(2)
        names, convert = common.names, common.convert

        def make(outside: Any, rows: Sequence[Any], frame: bytes) -> tuple[Event, ...]:
            named = None if symbol_at is None else names[symbol_at(outside)]
            when = None if time_at is None else time_at(outside)
            events: list[Event] = []
            for row in rows:
                bid_size = ask_size = number = None
                try:
                    text, time, bid, ask, bid_size, ask_size, number = get(row)
                except AttributeError:  # null where a side would stand
                    text, time = of_whom(row)
                    bid = ask = None
                symbol, topic = named or names[text]
                stamp = convert(time) if time_at is None else when
                if not (bid and ask) or 0.0 in (bid_size, ask_size):
                    events.append(Message(label, topic, symbol, stamp))
                    continue
                if number_at is not None:
                    number = _serial(number_at(outside))
                events.append(
                    Quote(
                        label,
                        topic,
                        symbol,
                        stamp,
                        bid,
                        ask,
                        bid_size or None,
                        ask_size or None,
                        number,
                    )
                )
            return tuple(events)

        return make

    return Reader(source, bind)


def book(channel: ChannelShape, shape: FrameShape, label: str, envelope: Tree) -> Reader:
    """Begin a reader of books; their levels stay undecoded."""
    source = Source.of(shape, envelope)
    common = Common(channel, source, label)
    for name in ("first", "last", "previous"):
        if shape.snapshot or shape.snapshot_when:  # it may have none
            source.want(name, getattr(shape, name), Serial | None, None)
        else:
            source.want(name, getattr(shape, name), Serial)
    checksum = shape.checksum
    source.want("checksum", None if checksum is None else checksum.path, int | None, None)
    for name in ("bids", "asks"):
        source.want(name, getattr(shape, name), Raw, Raw(b"[]"))
    source.want("changes", shape.changes or shape.pairs, Raw)
    told_at, told = next(iter(shape.snapshot_when.items()), (None, None))
    source.want("told", told_at, SCALAR, None)

    def bind() -> Make:
        symbol_at, time_at = common.symbol_at(), common.time_at()
        numbers_at = [source.from_envelope(name) for name in ("first", "last", "previous")]
        outer, get = any(numbers_at), source.fields.getter()
        names, convert, always = common.names, common.convert, shape.snapshot
        numbered = shape.last is not None
        # Where there is no such path nothing is told, else what is absent may tell it.
        whole_book = frozenset((None,) if isinstance(told, dict) else listed(told))
        whole_label = shape.snapshot_label or label
        spread, in_row = spread_levels(shape, sides)
        whole = attrgetter(envelope.attribute(bare(shape.row))) if shape.row else None

        def make(outside: Any, rows: Sequence[Any], frame: bytes) -> tuple[Event, ...]:
            named = None if symbol_at is None else names[symbol_at(outside)]
            when = None if time_at is None else time_at(outside)
            events: list[Event] = []
            for row in rows:
                text, time, first, last, previous, summed, bids, asks, changes, kind = get(row)
                if outer:
                    first, last, previous = (
                        known if at is None else _serial(at(outside))
                        for at, known in zip(numbers_at, (first, last, previous), strict=True)
                    )
                symbol, topic = named or names[text]
                if in_row:
                    changes = frame if whole is None else whole(outside)
                stamp = convert(time) if time_at is None else when
                snapshot = always or kind in whole_book
                if numbered and last is None and not snapshot:
                    raise ParseError(f"{label}: a change without its number")
                held = (spread, bids, asks) if changes is None else (spread, changes)
                events.append(
                    Depth(
                        whole_label if snapshot else label, topic, symbol, stamp, held, snapshot,
                        first, last, previous, None, summed or None,
                    )
                )  # fmt: skip
            return tuple(events)

        return make

    return Reader(source, bind)


def klines(channel: ChannelShape, shape: FrameShape, label: str, envelope: Tree) -> Reader:
    """Begin a reader of candles."""
    source = Source.of(shape, envelope)
    common = Common(channel, source, label)
    type_, beginning = moment(shape.start)
    source.want("start", None if shape.start is None else shape.start.path, type_)
    source.want("close", shape.close, Size | None)
    source.want("closed", shape.closed, bool | None, None)

    def bind() -> Make:
        symbol_at, time_at = common.symbol_at(), common.time_at()
        get, names, convert = source.fields.getter(), common.names, common.convert

        def make(outside: Any, rows: Sequence[Any], frame: bytes) -> tuple[Event, ...]:
            named = None if symbol_at is None else names[symbol_at(outside)]
            when = None if time_at is None else time_at(outside)
            events: list[Event] = []
            for row in rows:
                text, time, start, close, closed = get(row)
                stamp = convert(time) if time_at is None else when
                try:
                    symbol, topic = named or names[text]
                except OtherTopicError:  # of another length
                    events.append(Control(label, data=True, time=stamp, unknown=True))
                    continue
                first = beginning(start)
                assert first is not None  # noqa: S101 - a frame of candles has a start
                if not close:  # a minute without trades, before the first one ever
                    events.append(Message(label, topic, symbol, stamp))
                    continue
                events.append(Kline(label, topic, symbol, stamp, first, close, closed))
            return tuple(events)

        return make

    return Reader(source, bind)


def _serial(value: Any) -> int:
    return msgspec.convert(value, Serial, strict=False)


READERS: dict[Channel, Callable[[ChannelShape, FrameShape, str, Tree], Reader]] = {
    Channel.TRADES: trades,
    Channel.QUOTES: quotes,
    Channel.BOOK: book,
    Channel.KLINES: klines,
}
