"""Frames of a stream of unknown protocol: the config defines which ones show that it is alive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from exporter.config import Secret, StreamConfig
from exporter.config.plan import expectation
from exporter.contracts import Venue
from exporter.decoding import DOUBTFUL
from exporter.expectations import Document, unmet
from exporter.flow.patterns import AT_ONCE
from exporter.model import Channel, Control, Event, Expectation, Message

SILENCE = 60.0  # seconds without life, where the config does not say


def spoken(venue: Venue, stream: StreamConfig) -> Venue:
    """Return the venue for one stream, with the parser of the config where it has none."""
    if venue.asks:
        return venue
    topic = venue.topic(Channel.MESSAGES, stream.name)
    text = stream.ping
    return replace(
        venue,
        opening=tuple(each.reveal() if isinstance(each, Secret) else each for each in stream.send),
        parse=_reader(topic, None if stream.alive is None else expectation(stream.alive)),
        ping=None if text is None else lambda number: text,
        ping_every=stream.ping_every or venue.ping_every,
    )


def _reader(topic: str, alive: Expectation | None) -> Callable[[bytes], tuple[Event, ...]]:
    shown: tuple[Event, ...] = (Message("message", topic, topic),)
    other: tuple[Event, ...] = (Control("other"),)
    if alive is None:
        return lambda frame: shown
    needle = alive.contains.encode() if alive.contains and alive.path is None else None
    if needle is not None:
        return lambda frame: shown if needle in frame else other

    def parse(frame: bytes) -> tuple[Event, ...]:
        try:
            return other if unmet((alive,), Document(frame, searched=AT_ONCE), 0.0) else shown
        except DOUBTFUL:
            return other

    return parse
