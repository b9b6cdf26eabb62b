"""Tells frames apart, and hands each to its reader: the `parse` of a defined venue."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, Union

import msgspec
from msgspec import UNSET, Raw

from exporter.config.kinds import Place
from exporter.continuity import ConnectionNumbers
from exporter.contracts import Parse
from exporter.decoding import DOUBTFUL, unreadable
from exporter.model import Channel, Control, Event
from exporter.venues.definition.answers import answer_parser
from exporter.venues.definition.conditions import Condition, conditions, hold, listed
from exporter.venues.definition.levels import SCALAR
from exporter.venues.definition.paths import Leaf, Missing, Tree, take_all
from exporter.venues.definition.readers import (
    READERS,
    Make,
    OtherTopicError,
    Reader,
    Single,
    bare,
)
from exporter.venues.definition.scale import scaled
from exporter.venues.definition.shape import ChannelShape, VenueShape
from exporter.venues.definition.whole_rows import unrolled

_REMEMBERED = 4096  # kinds of frames; where the symbol tells them apart there are many


@dataclass(frozen=True, slots=True)
class _FrameKind:
    """One kind of frame of market data, as the definition has it."""

    place: Place
    label: str
    conditions: tuple[Condition, ...]
    reader: Reader


class _FrameRows(NamedTuple):
    """How a kind of frame is read: where its rows stand, how many, and what they make."""

    at: Callable[[Any], Any] | None
    decode: Callable[[Any], Any]
    many: bool
    backwards: bool
    make: Make
    nothing: tuple[Event, ...] = ()  # what a frame without rows tells
    single: Single | None = None  # instead, where the row is one object within the frame


class ContradictionError(ValueError):
    """Paths of a definition contradict each other; ``place`` is where."""

    def __init__(self, place: Place, error: ValueError) -> None:
        super().__init__(f"found {error}; expected one or the other")
        self.place = place


def parser(shape: VenueShape) -> Parse:
    """Compile the reader of frames. Raises ContradictionError."""
    try:
        return _parser(shape)
    except ContradictionError:
        with suppress(ContradictionError):
            return _parser(unrolled(shape))
        raise


def _parser(shape: VenueShape) -> Parse:
    """Compile the reader of frames as they are told. Raises ContradictionError.

    A frame is parsed once for its envelope, which tells its kind, and its rows once more, typed;
    where one key of the frame tells all kinds apart, it is parsed once. What no kind of market
    data fits is a control frame or an answer, and rare.
    """
    assert shape.stream is not None  # noqa: S101 - who compiles frames has looked
    envelope = Tree(missing=Missing.EMPTY)
    kinds: list[_FrameKind] = []
    for name, channel in shape.channels.given.items():
        for index, frame in enumerate(channel.frames):
            place = ("channels", name, "frames", index)
            with _placed(place):
                label = frame.label or name
                reader = READERS[Channel(name)](channel, frame, label, envelope)
                reader = scaled(channel, reader)
            kinds.append(_FrameKind(place, label, conditions(frame.when), reader))
    fits = [kind.conditions for kind in kinds]
    control = answer_parser(
        shape.name, shape.stream, lambda document: any(hold(each, document) for each in fits)
    )
    key = _tag(shape)
    if key is not None:
        return _tagged(shape.name, key, kinds, control)
    return _enveloped(shape.name, envelope, kinds, control)


def numbered(parse: Parse, path: str) -> Callable[[], Parse]:
    """Return what begins a reader that follows the numbers of all frames of one connection.

    A frame that cannot be read is not missing: what is before it is told with the next.
    """
    tree = Tree(missing=Missing.NONE)
    take = attrgetter(tree.attribute(tree.add(path, Leaf(int | None, None))))
    decode = msgspec.json.Decoder(tree.struct("Numbered")).decode

    def begin() -> Parse:
        numbers, missed = ConnectionNumbers(), 0

        def read(frame: bytes) -> tuple[Event, ...]:
            nonlocal missed
            number = None
            with suppress(*DOUBTFUL):  # not every frame has one
                number = take(decode(frame))
            if number is not None:
                missed += numbers.follow(number)
            events = parse(frame)
            if not missed:
                return events
            told, missed = missed, 0
            return (Control("gap", missed=told), *events)

        return read

    return begin


def _tag(shape: VenueShape) -> str | None:
    """Return the one key of a frame whose text alone tells all kinds apart, if there is one."""
    frames = [frame for channel in shape.channels.given.values() for frame in channel.frames]
    keys = {path for frame in frames for path in frame.when}
    values = [each for frame in frames for key in frame.when for each in listed(frame.when[key])]
    plain = all(isinstance(each, str) and "*" not in each for each in values)
    flat = not any(frame.row or frame.rows for frame in frames)
    flat = flat and not any(frame.also for frame in frames)
    single = len(keys) == 1 and not any("." in key for key in keys)
    return keys.pop() if flat and single and plain and len({*values}) == len(values) else None


def _tagged(name: str, key: str, kinds: Sequence[_FrameKind], control: Parse) -> Parse:
    makes: dict[type[Any], Make] = {}
    for kind in kinds:
        with _placed(kind.place):
            for value in kind.conditions[0].values:
                fields = kind.reader.source.fields
                fields.tree.children.pop(key, None)
                makes[fields.struct((key, value))] = kind.reader.bind()
    decode = msgspec.json.Decoder(Union[tuple(makes)], strict=False).decode  # noqa: UP007 - made at run time

    def parse(frame: bytes) -> tuple[Event, ...]:
        try:
            try:
                row = decode(frame)
                return makes[type(row)](None, (row,), frame)
            except DOUBTFUL as error:
                with suppress(*DOUBTFUL):
                    return control(frame)
                return _elsewhere(error)
        except DOUBTFUL as error:
            raise unreadable(name, error) from error

    return parse


def _elsewhere(error: Exception) -> tuple[Event, ...]:
    """Return what is said of data of another topic. Raises the error, whatever else it is."""
    if isinstance(error, OtherTopicError):
        return (Control(error.label, data=True, unknown=True),)
    raise error


def _enveloped(name: str, envelope: Tree, kinds: Sequence[_FrameKind], control: Parse) -> Parse:
    asked: dict[str, bool] = {}  # path → whether only its being there is asked for
    for kind in kinds:
        for each in kind.conditions:
            asked[each.path] = asked.get(each.path, True) and each.exists is not None
    with _placed(("channels",)):
        for path, exists in asked.items():
            values = [v for k in kinds for c in k.conditions if c.path == path for v in c.values]
            texts = str if all(isinstance(each, str) for each in values) else SCALAR
            envelope.add(path, Leaf(Raw if exists else texts, UNSET))
        decode = msgspec.json.Decoder(envelope.struct("Envelope")).decode
    rows: list[_FrameRows] = []
    for kind in kinds:
        with _placed(kind.place):
            rows.append(_rows(kind, envelope))
    values_of = _values(envelope, asked)
    known: dict[tuple[Any, ...], _FrameRows] = {}

    def choose(values: tuple[Any, ...]) -> _FrameRows | None:
        found = dict(zip(asked, values, strict=False))  # beside them `take_all` may have more
        fitting: list[_FrameRows] = []
        for kind, read in zip(kinds, rows, strict=True):
            if all(_met(each, found[each.path], asked[each.path]) for each in kind.conditions):
                fitting.append(read)
                if not kind.reader.source.shape.also:
                    break
        if not fitting:
            return None
        if len(known) >= _REMEMBERED:
            known.clear()
        known[values] = made = fitting[0] if len(fitting) == 1 else _together(fitting)
        return made

    def parse(frame: bytes) -> tuple[Event, ...]:
        try:
            try:
                outside = decode(frame)
                values = values_of(outside)
                read = known.get(values) or choose(values)
                if read is None:
                    return control(frame)
                at, decoded, many, backwards, make, nothing, single = read
                if single is not None:
                    return single(outside, decoded(at(outside)))  # type: ignore[misc]  # it has one
                found = decoded(frame if at is None else at(outside))
                if not many:
                    return make(outside, (found,), frame)
                if type(found) is dict:
                    found = [*found.values()]
                if backwards:
                    found.reverse()
                return make(outside, found, frame) if found else nothing
            except DOUBTFUL as error:  # or an answer, which names what market data is told apart by
                with suppress(*DOUBTFUL):
                    return control(frame)
                return _elsewhere(error)
        except DOUBTFUL as error:
            raise unreadable(name, error) from error

    return parse


def _rows(kind: _FrameKind, envelope: Tree) -> _FrameRows:
    reader, shape = kind.reader, kind.reader.source.shape
    many = shape.rows is not None
    place = shape.row or shape.rows
    return _FrameRows(
        None if place in (None, "$") else attrgetter(envelope.attribute(bare(place))),
        reader.source.fields.decoder(many=many).decode,
        many,
        many and shape.newest_first,
        reader.bind(),
        (Control(kind.label, data=True),),
        None if shape.row is None else reader.single(),
    )


def _together(several: Sequence[_FrameRows]) -> _FrameRows:
    """Return what reads a frame in several ways, one after the other."""

    def make(outside: Any, rows: Sequence[Any], frame: bytes) -> tuple[Event, ...]:
        events: list[Event] = []
        for at, decoded, many, backwards, each, *_ in several:
            found = decoded(frame if at is None else at(outside))
            if type(found) is dict:
                found = [*found.values()]
            if backwards:
                found.reverse()
            events += each(outside, found if many else (found,), frame)
        return tuple(events)

    return _FrameRows(None, bytes, False, False, make)


@contextmanager
def _placed(place: Place) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ContradictionError(place, error) from error


def _met(condition: Condition, value: Any, presence: bool) -> bool:
    """Whether a condition is met by what the envelope holds, or by its being there at all."""
    if condition.exists is None:
        return condition.test(value)
    there = bool(value) if presence else value is not UNSET and value is not None
    return there is condition.exists


def _values(envelope: Tree, asked: Mapping[str, bool]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what takes out of an envelope all that frames are told apart by."""
    paths = [envelope.attribute(path) for path in asked]
    if not any(asked.values()):
        return take_all(paths)
    takes = [attrgetter(path) for path in paths]
    there = [*asked.values()]

    def values(outside: Any) -> tuple[Any, ...]:
        return tuple(
            _there(take(outside)) if presence else take(outside)
            for take, presence in zip(takes, there, strict=True)
        )

    return values


def _there(value: Any) -> bool:
    return value is not UNSET and bytes(value) != b"null"


def channel_of(channels: Mapping[str, ChannelShape], topic: str) -> tuple[str, str]:
    """Return channel and symbol of a topic. Raises KeyError for one that none can have made."""
    found: list[tuple[int, str, str]] = []
    for name, channel in channels.items():
        before, _, after = re.sub(r"\{(symbol|lower)\}", "\n", channel.topic).partition("\n")
        if topic.startswith(before) and topic.endswith(after):
            symbol = topic[len(before) : len(topic) - len(after)]
            found.append((len(before) + len(after), name, symbol))
    if not found:
        raise KeyError(topic)
    return max(found)[1:]
