"""No frame and no body of any kind gets more out of a venue file than events or ParseError.

Runs by itself on each file of exporter/venues.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.decoding import ParseError
from exporter.model import Reason
from exporter.venues import definition, load, names
from tests.venues.checks import answer, read, readers, survive
from tests.venues.recorded import bodies, frames
from tests.venues.wounds import anything, monsters, wounded

thorough = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
every_venue = pytest.mark.parametrize("name", names())
# Definitions are read by one machine: one of them, compressed too, stands for all.
DEFINED = set(definition.names()) - {"htx"}
every_reader = pytest.mark.parametrize("name", [each for each in names() if each not in DEFINED])


@every_venue
@thorough
@given(shuffle=st.data())
def test_wounded_frames_are_refused_or_harmless(name: str, shuffle: st.DataObject) -> None:
    """A key dropped, a type swapped, a number blown up, a byte torn out: ParseError or events."""
    survive(load(name), shuffle.draw(wounded(frames(name))))


@every_reader
@thorough
@given(frame=anything)
def test_random_frames_are_refused_or_harmless(name: str, frame: bytes) -> None:
    """Bytes and JSON of any kind: ParseError or events."""
    survive(load(name), frame)


@every_reader
def test_monstrous_frames_are_refused_or_harmless(name: str) -> None:
    """Nesting of 100,000 levels, 10 MB, no UTF-8, nothing at all: ParseError or events."""
    venue = load(name)
    shapes: dict[tuple[type, str], bytes] = {}
    for frame in frames(name):
        event = read(venue, frame)[0]
        shapes[type(event), event.label] = frame
    for frame in shapes.values():
        for monster in monsters(frame):
            survive(venue, monster)


@every_reader
@thorough
@given(shuffle=st.data())
def test_wounded_bodies_are_refused_or_harmless(name: str, shuffle: st.DataObject) -> None:
    """What a REST endpoint sends wrong is a ParseError, and never breaks the verdict on it."""
    venue = load(name)
    found = bodies(name)
    body = shuffle.draw(wounded(tuple(found.values())) | anything)
    for reader in readers(venue):
        with suppress(ParseError):
            reader(body)
    status = shuffle.draw(st.sampled_from((200, 400, 403, 404, 418, 429, 451, 500, 503)))
    verdict = venue.fault(answer(status, body))
    assert verdict is None or verdict in Reason


@every_reader
def test_monstrous_bodies_are_refused_or_harmless(name: str) -> None:
    """A body of any size or depth is a ParseError at worst."""
    venue = load(name)
    for reader in readers(venue):
        for monster in monsters(reader.body):
            with suppress(ParseError):
                reader(monster)
            venue.fault(answer(200, monster))
