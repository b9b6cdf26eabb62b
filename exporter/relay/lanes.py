"""Which delivery is next: new pages by severity, then ends, reminders, edits and triages. Pure.

Deliveries of one incident to one target keep their order: they are a lane, and its most urgent one
says how urgent it is. A triage has a lane beside it, so that it holds up nothing.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from exporter.flow import backoff
from exporter.relay.outbox import Pending, Traffic

FRESH: Final = backoff.BackoffState()
_Key: TypeAlias = tuple[str, str, bool]  # target, incident, whether it is the triage's


@dataclass(slots=True, eq=False)
class Lane:
    """The deliveries of one incident to one target, in order. Times are monotonic."""

    key: _Key
    line: deque[Pending] = field(default_factory=deque)
    due: float = 0.0  # of the first in line
    busy: bool = False
    first_due: float = 0.0  # when the first in line was due at first
    since: float | None = None  # when it was tried first
    state: backoff.BackoffState = FRESH

    @property
    def traffic(self) -> Traffic:
        """What kind of sending the first in line takes."""
        return self.line[0].traffic

    def renew(self, now: float) -> None:
        """Begin with another first in line."""
        self.since, self.state = None, FRESH
        self.due = self.first_due = now + (self.line[0].delay if self.line else 0.0)


class Lanes:
    """All lanes of one receiver."""

    def __init__(self) -> None:
        self._lanes: dict[_Key, Lane] = {}
        self._later: list[tuple[float, int, _Key]] = []  # (due, delivery, lane)
        self._ready: dict[Traffic, list[tuple[int, int, _Key]]] = {each: [] for each in Traffic}
        self._known: set[int] = set()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, pending: Iterable[Pending], now: float) -> None:
        """Take deliveries over; those known already are left as they are."""
        for each in pending:
            if each.id in self._known:
                continue
            self._known.add(each.id)
            key = (each.target, each.incident, each.traffic is Traffic.OPTIONAL)
            lane = self._lanes.setdefault(key, Lane(key))
            lane.line.append(each)
            if len(lane.line) == 1 and not lane.busy:
                lane.renew(now)
            self._push(lane)  # again where it waits: it may have become more urgent

    def hurry(self, incident: str, now: float) -> None:
        """Let what waits for a triage of that incident be due now."""
        for lane in self._lanes.values():
            if lane.key[1] == incident and lane.line and not lane.busy and lane.since is None:
                lane.due = lane.first_due = now
                self._push(lane)

    def _push(self, lane: Lane) -> None:
        if lane.line and not lane.busy:
            heapq.heappush(self._later, (lane.due, lane.line[0].id, lane.key))

    def wait(self, now: float, longest: float) -> float:
        """Return the seconds until another lane becomes due, at most ``longest``."""
        while self._later:
            due, first, key = self._later[0]
            lane = self._lanes.get(key)
            if lane is None or lane.busy or not lane.line or (lane.line[0].id, lane.due) != (
                first, due,
            ):  # fmt: skip
                heapq.heappop(self._later)  # overtaken by another entry of the same lane
            elif due > now:
                return min(longest, due - now)
            else:
                heapq.heappop(self._later)
                rank = min(each.rank for each in lane.line)
                heapq.heappush(self._ready[lane.traffic], (rank, first, key))
        return longest

    def peek(self, traffic: Traffic, now: float) -> Lane | None:
        """Return the most urgent lane of a kind that is due and free; `wait` comes first."""
        ready = self._ready[traffic]
        while ready:
            _, first, key = ready[0]
            lane = self._lanes.get(key)
            if (
                lane is not None
                and not lane.busy
                and lane.due <= now
                and lane.line
                and (lane.line[0].id, lane.traffic) == (first, traffic)
                and not self._held_up(lane)
            ):
                return lane
            heapq.heappop(ready)
        return None

    def _held_up(self, lane: Lane) -> bool:
        """Return whether the lane beside it must end first; its end pushes this one again.

        A triage comes after all else of its incident. An edit waits for one under way: were it
        overtaken, the message would show again what was before.
        """
        target, incident, optional = lane.key
        beside = self._lanes.get((target, incident, not optional))
        if beside is None:
            return False
        return optional or (lane.traffic is Traffic.EDIT and beside.busy)

    def begin(self, lane: Lane) -> None:
        """Keep others off a lane."""
        lane.busy = True

    def end(self, lane: Lane) -> None:
        """Let go of a lane; an empty one is forgotten."""
        lane.busy = False
        target, incident, optional = lane.key
        if lane.line:
            self._push(lane)
        else:
            self._lanes.pop(lane.key, None)
        beside = self._lanes.get((target, incident, not optional))
        if beside is not None:
            self._push(beside)

    def done(self, lane: Lane, now: float) -> None:
        """Take the first of a lane out for good."""
        self._known.discard(lane.line.popleft().id)
        lane.renew(now)

    def replace(self, lane: Lane, pending: Pending, now: float) -> None:
        """Put another in the place of the first: it is to be sent in another way."""
        lane.line[0] = pending
        lane.renew(now)
