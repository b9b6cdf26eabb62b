"""Joins the events of an old and a new connection, without missing or duplicate events.

Pure. While both are open the old one's events go on to the sinks, and the new one's are held. At
the end those of the held that the old one had not delivered are released, and what the new one,
lagging a little, still repeats is sifted out.
"""

from __future__ import annotations

from collections.abc import Collection
from math import nan

from exporter.model import Data, Depth, Kline, Message, Quote, Trade


def position(event: Data) -> float | None:
    """Return the number that rises from one event of a topic to the next, None where none does."""
    match event:
        case Depth():
            return event.last if event.last is not None else event.order
        case Trade():
            number = event.sequence if event.sequence is not None else event.order
            return number if number is not None else event.time
        case Quote():
            return event.sequence if event.sequence is not None else event.time
        case Kline() | Message():
            return event.time


class Handover:
    """One change of connections. Holds at most ``limit`` events: `full` says that it is time."""

    def __init__(self, limit: int = 200_000) -> None:
        self._limit = limit
        self._held: list[tuple[Data | Collection[str], float]] = []
        self._first: dict[str, Data] = {}
        self._last: dict[str, tuple[Data, float]] = {}

    @property
    def full(self) -> bool:
        """Return whether the new connection must take over, ready or not, for want of room."""
        return len(self._held) >= self._limit

    def passed(self, event: Data, received: float) -> None:
        """Remember what the old connection delivered."""
        self._last[event.topic] = (event, received)

    def hold(self, event: Data, received: float) -> None:
        """Keep what the new connection delivered."""
        self._held.append((event, received))
        self._first.setdefault(event.topic, event)

    def miss(self, topics: Collection[str]) -> None:
        """Keep that here an event of some topics may be missing on the new connection."""
        self._held.append((topics, nan))

    def joined(self, topic: str) -> bool:
        """Return whether the new connection's events follow the old one's without a gap."""
        first, last = self._first.get(topic), self._last.get(topic)
        if first is None or last is None:
            return False
        start, end = position(first), position(last[0])
        return start is None or end is None or start <= end + 1

    def torn(self, topic: str) -> bool:
        """Return whether both connections spoke of the topic, and a hole remains between them."""
        return topic in self._first and topic in self._last and not self.joined(topic)

    def release(self) -> list[tuple[Data | Collection[str], float]]:
        """Return what was held and the old connection had not delivered, in the order it came.

        Topics stand where an event of theirs may be missing.
        """
        held, self._held = self._held, []
        return [
            (event, received)
            for event, received in held
            if not isinstance(event, Data) or self.fresh(event, received)
        ]

    def fresh(self, event: Data, received: float) -> bool:
        """Return whether the old connection had not delivered this event of the new one."""
        last = self._last.get(event.topic)
        if last is None:
            # The old one was silent meanwhile: only history can repeat what it said before.
            return not (isinstance(event, Trade) and event.snapshot)
        now, before = position(event), position(last[0])
        if now is not None and before is not None:
            return now > before
        # A book that is not numbered starts anew from the snapshot that was held; of anything
        # else, what arrived before the old one's last event is taken to be among its events.
        return isinstance(event, Depth) or received > last[1]
