"""A bad optional field never throws an update away, at any venue; and nothing is made up."""

from __future__ import annotations

import re

import msgspec
import pytest

from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.model import Ack, Control, Data, Depth, Event
from exporter.salvage import salvage
from exporter.venues import load, names
from tests.venues.checks import agreed
from tests.venues.recorded import frames

TIMES = {
    "binance": "E", "binance_coinm": "E", "binance_futures": "E", "binance_us": "E",
    "bybit": "ts", "coinbase": "time", "kraken": "timestamp", "kucoin": "time", "okx": "ts",
}  # fmt: skip
BAD = (b"0", b'"0"', b"-62135596800000", b'"0001-01-01T00:00:00Z"', b'"soon"', b"null")
FIELD = rb'("%b"\s*:\s*)("(?:[^"\\]|\\.)*"|-?\d[\d.]*)'


def read(name: str, frame: bytes) -> tuple[Event, ...] | None:
    """Return what a stream makes of a frame; None where it is unreadable."""
    parse = load(name).parse
    try:
        return parse(frame)
    except ParseError as error:
        return salvage(parse, frame, error)


def timeless(events: tuple[Event, ...]) -> list[Event]:
    return [
        event if isinstance(event, Ack | Control) else msgspec.structs.replace(event, time=None)
        for event in events
    ]


def samples(name: str) -> list[bytes]:
    """Return a few frames of each label that carries data."""
    found: dict[str, list[bytes]] = {}
    venue = load(name)
    parse = agreed(venue)
    for frame in frames(name):
        frame = venue.decode(frame) if venue.decode else frame
        events = parse(frame)
        if events and all(isinstance(event, Data) for event in events):
            found.setdefault(events[0].label, []).append(frame)
    return [frame for each in found.values() for frame in each[:3]]


@pytest.mark.parametrize("name", TIMES)
def test_an_update_outlives_its_time(name: str) -> None:
    """Of books above all: the level that it takes away is gone, whatever the clock said."""
    wounded, depths = 0, 0
    field = re.compile(FIELD % TIMES[name].encode())
    for frame in samples(name):
        before = load(name).parse(frame)
        if all(getattr(event, "time", None) is None for event in before):
            continue
        for bad in BAD:
            hurt = field.sub(lambda at: at[1] + bad, frame)  # noqa: B023 - used at once
            if hurt == frame:
                continue
            found = read(name, hurt)
            assert found is not None, hurt[:300]
            assert timeless(found) == timeless(before)
            wounded += 1
            depths += isinstance(before[0], Depth)
    assert wounded >= 6
    assert depths >= 1 or name == "kucoin"  # whose updates had no time when they were recorded


@pytest.mark.parametrize("name", names())
def test_nothing_is_made_up(name: str) -> None:
    """Whatever field is bad: what is salvaged is what was said, but for a time or a figure less."""
    any_field = re.compile(FIELD % rb"\w+")
    venue = load(name)

    def parse(frame: bytes) -> tuple[Event, ...]:
        return agreed(venue)(frame)  # each on a connection of its own

    for frame in samples(name):
        if len(frame) > 4000:
            continue
        before = parse(frame)
        for at in any_field.finditer(frame):
            for bad in (b"0", b'"soon"'):
                hurt = frame[: at.start(2)] + bad + frame[at.end(2) :]
                try:
                    parse(hurt)
                except ParseError as error:
                    found = salvage(parse, hurt, error)
                    assert found is None or _less(venue, found, before), (hurt[:300], found)


def _less(venue: Venue, found: tuple[Event, ...], before: tuple[Event, ...]) -> bool:
    """Return whether events are others', with None or nothing in place of some of their fields."""
    if len(found) != len(before):
        return False
    for one, other in zip(found, before, strict=True):
        for name in one.__struct_fields__:
            mine, theirs = getattr(one, name), getattr(other, name)
            if name == "levels" and venue.book is not None:  # which may hold the time too
                mine, theirs = (venue.book.levels(each) for each in (one, other))  # type: ignore[arg-type]  # both are books
            if mine != theirs and not (
                mine is None and not (isinstance(one, Depth) and name != "time")
            ):
                return False
    return True
