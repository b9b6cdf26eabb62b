"""What all suites over venues share: how a venue is read, and what its consumers rely on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.model import Ack, Answer, Channel, Control, Depth, Event, Kline, Message, Quote, Trade
from tests.venues.recorded import bodies, frames


def agreed(venue: Venue) -> Callable[[bytes], tuple[Event, ...]]:
    """Return the reader of plain frames of a connection that has agreed to all."""
    if venue.begin is None:
        return venue.parse
    parse = venue.begin()
    for one in frames(venue.name):
        if b"subscribed" in one:
            parse(one)
    return parse


def read(venue: Venue, frame: bytes) -> tuple[Event, ...]:
    """Read one message as it comes from the socket, on a connection that has agreed to all."""
    return agreed(venue)(venue.decode(frame) if venue.decode else frame)


def recorded_events(venue: Venue) -> Iterator[Event]:
    for frame in frames(venue.name):
        yield from read(venue, frame)


def check(event: Event) -> None:
    """Assert what every consumer relies on, whoever made the frame."""
    assert isinstance(event.label, str)
    assert 0 < len(event.label) <= 60
    match event:
        case Ack():
            assert len(event.reason) <= 200
            assert all(isinstance(topic, str) for topic in event.topics)
            return
        case Control():
            assert event.reply is None or isinstance(event.reply, str)
            return
        case Trade():
            numbers: tuple[float | None, ...] = (event.price,)
            sizes: tuple[float | None, ...] = (event.size,)
            serials: tuple[int | None, ...] = (event.sequence, event.order)
        case Quote():
            numbers, sizes = (event.bid, event.ask), (event.bid_size, event.ask_size)
            serials = (event.sequence,)
        case Depth():
            numbers, sizes = (), ()
            serials = (event.first, event.last, event.previous, event.order)
        case Message():
            numbers, sizes, serials = (), (), (event.sequence, event.order)
        case Kline():
            numbers, sizes, serials = (event.close,), (), ()
            assert 1e9 < event.start < 1e10
    assert isinstance(event.topic, str)
    assert isinstance(event.symbol, str)
    assert event.time is None or 1e9 < event.time < 1e10
    assert all(number is not None and 0.0 < number < inf for number in numbers)
    assert all(size is None or 0.0 <= size < inf for size in sizes)
    assert all(number is None or isinstance(number, int) for number in serials)


def survive(venue: Venue, frame: bytes) -> None:
    """Assert that a frame of any kind gives sound events or ParseError, and nothing else."""
    try:
        events = read(venue, frame)
    except ParseError:
        return
    assert isinstance(events, tuple)
    for event in events:
        check(event)
        if isinstance(event, Depth) and venue.book is not None:
            with suppress(ParseError):
                venue.book.levels(event)


@dataclass(frozen=True, slots=True)
class Reader:
    """One of the venue's readers of REST bodies, and a body for it."""

    name: str
    body: bytes
    venue: Venue

    def __call__(self, body: bytes) -> object:
        venue = self.venue
        if self.name == "markets" and venue.read_markets is not None:
            return venue.read_markets(body)
        if self.name == "prelude" and venue.prelude is not None:
            return venue.prelude.read(body)
        if self.name == "snapshot" and venue.book is not None and venue.book.read_snapshot:
            depth = venue.book.read_snapshot(body, "topic", "symbol")
            venue.book.levels(depth)
            return depth
        kind, _, channel = self.name.partition(".")
        if kind == "ticker" and channel:
            return venue.cross_checks[Channel(channel)].read(body)
        for endpoint in venue.endpoints:
            if endpoint.name == self.name:
                read = endpoint.clock or endpoint.status
                return None if read is None else read(body)
        raise AssertionError(f"{venue.name} has no reader of {self.name!r}")


def readers(venue: Venue) -> list[Reader]:
    """Return all readers; each must have a recorded or documented body."""
    needed = [e.name for e in venue.endpoints if e.clock or e.status]
    needed += ["markets"] if venue.read_markets else []
    needed += ["snapshot"] if venue.book and venue.book.read_snapshot else []
    needed += ["prelude"] if venue.prelude else []
    told = {where.read: channel for channel, where in reversed(list(venue.cross_checks.items()))}
    needed += [f"ticker.{channel}" for channel in told.values()]
    found = bodies(venue.name)
    # Most venues answer one ticker, whatever channel it is held against.
    found = {**{one: found["ticker"] for one in needed if "." in one and one not in found}, **found}
    if "status" not in found and "markets" in found:  # told by the list of markets
        found["status"] = found["markets"]
    return [Reader(label, found[label], venue) for label in needed]


def answer(status: int, body: bytes) -> Answer:
    """Return an answer with that status and body."""
    return Answer(status=status, headers={}, body=body, new_connection=False, phases={})
