"""Detects changes of a venue's frames: fields, values of closed sets, message intervals.

One frame of a connection is looked at as plain JSON once a tick, beside the frame path; nothing is
looked at where it is not switched on.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import islice

import msgspec

from exporter.contracts import Venue
from exporter.decoding import DOUBTFUL, ParseError
from exporter.metrics import families as f
from exporter.metrics.children import CounterChild, GaugeChild
from exporter.metrics.registry import Registry
from exporter.model import Channel
from exporter.streams.stream_state import StreamState

log = logging.getLogger(__name__)

LEARNING = 30  # frames of one kind that are taken for what is usual
_GONE = 5  # frames in a row without a field that was in all of them
_FEW, _MOST_VALUES = 5, 12  # values of a field that is a closed set: when learnt, and later
_PATHS, _DEEP = 200, 6  # fields of one object of a frame that are looked at, and levels
_MOST, _LONGEST = 1000, 200  # fields that are looked at and known of a kind; characters of each
_EVERY = 30.0  # seconds over which the cadence is measured
_WORD = re.compile(r"[A-Za-z][A-Za-z_-]{0,23}")


class SchemaChange(StrEnum):
    """How the frames of a channel have changed; the label ``kind``."""

    FIELD_ADDED = "field_added"
    FIELD_GONE = "field_gone"
    NEW_ENUM_VALUE = "new_enum_value"


@dataclass(slots=True)
class KnownFrame:
    """What is known of one kind of frames."""

    looked: int = 0
    seen: dict[str, int] = field(default_factory=dict)  # field → frames with it
    words: dict[str, set[str]] = field(default_factory=dict)  # field → its values, where words
    missing: dict[str, int] = field(default_factory=dict)  # field of all → frames without, in a row

    def look(self, frame: object) -> Iterator[tuple[SchemaChange, str]]:
        """Yield what is new about a frame, each once, with the field that it is about."""
        found = dict(islice(_fields(frame, "", _DEEP), _MOST))
        if self.looked < LEARNING:
            self._learn(found)
            return
        for name, value in found.items():
            if name not in self.seen and len(self.seen) < _MOST:
                self.seen[name] = 0
                yield SchemaChange.FIELD_ADDED, name
            values = self.words.get(name)
            if values is not None and isinstance(value, str) and value[:_LONGEST] not in values:
                values.add(value[:_LONGEST])
                if len(values) > _MOST_VALUES:
                    del self.words[name]
                yield SchemaChange.NEW_ENUM_VALUE, name
        for name, absent in tuple(self.missing.items()):
            self.missing[name] = 0 if name in found else absent + 1
            if self.missing[name] >= _GONE:
                del self.missing[name]
                yield SchemaChange.FIELD_GONE, name

    def _learn(self, found: Mapping[str, object]) -> None:
        self.looked += 1
        for name, value in found.items():
            if name not in self.seen and len(self.seen) >= _MOST:
                continue
            self.seen[name] = self.seen.get(name, 0) + 1
            if isinstance(value, str) and _WORD.fullmatch(value):
                self.words.setdefault(name, set()).add(value)
        if self.looked == LEARNING:
            self.words = {name: each for name, each in self.words.items() if len(each) <= _FEW}
            self.missing = {name: 0 for name, count in self.seen.items() if count == LEARNING}


def _fields(value: object, place: str, deep: int) -> Iterator[tuple[str, object]]:
    """Yield the fields of a frame, and their values; of a list its first item stands for all."""
    if isinstance(value, list):
        value, place = (value[0] if value else None), f"{place}[]"
    if not isinstance(value, dict) or not deep or len(value) > _PATHS:
        return
    for name, below in value.items():
        path = f"{place}.{name}" if place else str(name)
        if len(path) > _LONGEST:
            continue
        yield path, below
        yield from _fields(below, path, deep - 1)


class ContractWatch:
    """Looks at the frames of one exchange. `update` is called once a tick."""

    def __init__(self, exchange: str, venue: Venue, registry: Registry) -> None:
        self._exchange, self._venue, self._registry = exchange, venue, registry
        self._shapes: dict[tuple[Channel, str], KnownFrame] = {}
        self._changes: dict[Channel, dict[SchemaChange, CounterChild]] = {}
        self._cadence: dict[Channel, GaugeChild] = {}
        self._counted: dict[Channel, int] = {}
        self._since: float | None = None

    def update(self, streams: list[StreamState], now: float) -> None:
        """Ask each connection for one frame, and measure how often messages come.

        ``now`` in epoch seconds.
        """
        for state in streams:
            for watch in state.watches.values():
                self._begin(watch.feed.subscription.channel)
            if state.stream is not None and state.connected:
                state.stream.sample(partial(self.take, state))
        if self._since is None or now - self._since >= _EVERY:
            self._measure(streams, None if self._since is None else now - self._since)
            self._since = now

    def take(self, state: StreamState, frame: bytes) -> None:
        """Look at one frame as it came."""
        try:
            text = frame if self._venue.decode is None else self._venue.decode(frame)
            events = self._venue.parse(text)
            plain = msgspec.json.decode(text)
        except (ParseError, *DOUBTFUL):
            return  # told of where frames are read
        for event in events:
            watch = state.watches.get(getattr(event, "topic", ""))
            if watch is None:
                continue
            channel = watch.feed.subscription.channel
            shape = self._shapes.setdefault((channel, event.label), KnownFrame())
            for change, name in shape.look(plain):
                self._begin(channel)[change].inc()
                log.warning(
                    "schema_changed exchange=%s channel=%s kind=%s field=%s",
                    self._exchange,
                    channel,
                    change,
                    name[:100],
                )
            return

    def _begin(self, channel: Channel) -> dict[SchemaChange, CounterChild]:
        if channel not in self._changes:
            names = (self._exchange, channel)
            self._changes[channel] = self._registry.counters(
                f.SCHEMA_CHANGES, *names, values=SchemaChange
            )
            self._cadence[channel] = self._registry.gauge(f.STREAM_CADENCE, *names)
            documented = self._venue.cadences.get(channel)
            if documented is not None:
                self._registry.gauge(f.STREAM_CADENCE_DOCUMENTED, *names).set(documented)
        return self._changes[channel]

    def _measure(self, streams: list[StreamState], passed: float | None) -> None:
        counts, subscriptions = dict[Channel, int](), dict[Channel, int]()
        for state in streams:
            for watch in state.watches.values():
                channel = watch.feed.subscription.channel
                counts[channel] = counts.get(channel, 0) + watch.feed.count
                subscriptions[channel] = subscriptions.get(channel, 0) + 1
        for channel, count in counts.items():
            came = count - self._counted.get(channel, 0)
            if passed is not None:
                shown = passed * subscriptions[channel] / came if came > 0 else None
                self._cadence[channel].set(shown)
        self._counted = counts
