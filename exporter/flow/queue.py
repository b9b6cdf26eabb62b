"""A bounded queue with a policy for the case that it is full, and counters."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

from exporter.model import QueuePolicy

T = TypeVar("T")


class QueueClosedError(Exception):
    """Nothing more can be put into the queue, or it is closed and empty."""


def _nothing(_: float) -> None:
    """Take a figure that nobody asked for."""


def _alike(_: object) -> int:
    """Prefer no item to another."""
    return 0


class Queue(Generic[T]):
    """At most ``capacity`` items; of one event loop. The greatest ``priority`` comes out first, of
    equal ones the first that came in.

    Full, `QueuePolicy.BLOCK` makes `put` wait, in turn; `DROP_OLDEST` and `DROP_NEWEST` drop and
    count. What is dropped is always of the least priority that there is, the newcomer's among them.
    ``now`` is a monotonic clock; ``waited`` hears how many seconds each item lay here.
    """

    def __init__(
        self,
        capacity: int,
        policy: QueuePolicy = QueuePolicy.BLOCK,
        *,
        priority: Callable[[T], int] = _alike,
        now: Callable[[], float],
        waited: Callable[[float], None] = _nothing,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"expected a capacity of at least 1, got {capacity}")
        if policy in (QueuePolicy.SPILL, QueuePolicy.COALESCE):
            raise ValueError(f"a queue of items in memory cannot {policy}")
        self.capacity, self.policy = capacity, policy
        self.dropped = 0
        self.closed = False
        self._priority, self._now, self._waited = priority, now, waited
        # By priority, none of them empty; with the moment at which each item came.
        self._levels: dict[int, deque[tuple[T, float]]] = {}
        # In the order they came; a cancelled one may leave from the middle.
        self._blocked: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._promised = 0  # places kept for those that were told to go on, and have not yet
        self._getters: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    @property
    def depth(self) -> int:
        """How many items wait."""
        return sum(map(len, self._levels.values()))

    def offer(self, item: T) -> bool:
        """Put an item without waiting; return whether it was taken. Raises QueueClosedError."""
        if self.closed:
            raise QueueClosedError
        full = self.depth + self._promised >= self.capacity
        if full and (self.policy is QueuePolicy.BLOCK or not self._make_room(self._priority(item))):
            return False
        self._take_in(item)
        return True

    def remove(self, item: T) -> bool:
        """Take an item out of turn; return whether it was here."""
        priority = self._priority(item)
        level = self._levels.get(priority)
        if level is None:
            return False
        for place, (held, _) in enumerate(level):
            if held is item:
                del level[place]
                self._tidy(priority)
                self._admit()
                return True
        return False

    def _make_room(self, priority: int) -> bool:
        """Drop one item; False: it is the newcomer."""
        least = min(self._levels)
        newest = self.policy is QueuePolicy.DROP_NEWEST
        self.dropped += 1
        if priority < least or (newest and priority == least):
            return False
        level = self._levels[least]
        level.pop() if newest else level.popleft()
        self._tidy(least)
        return True

    def _take_in(self, item: T) -> None:
        self._levels.setdefault(self._priority(item), deque()).append((item, self._now()))
        self._wake_getter()

    def _tidy(self, priority: int) -> None:
        if not self._levels[priority]:
            del self._levels[priority]

    async def put(self, item: T) -> None:
        """Put an item, waiting for room under `QueuePolicy.BLOCK`, first come, first served.

        Cancelled while it waits, the item was not taken. Raises QueueClosedError, then too.
        """
        if self.offer(item) or self.policy is not QueuePolicy.BLOCK:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._blocked[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            self._blocked.pop(turn, None)
            if not turn.cancelled() and turn.exception() is None:
                # Ours was the place, and we do not come: pass it on. Nothing was put yet, so that
                # who is cancelled can be sure that it was not.
                self._promised -= 1
                self._admit()
            raise
        self._promised -= 1
        if self.closed:
            raise QueueClosedError
        self._take_in(item)

    async def get(self) -> T:
        """Take the first item. Cancelled, it takes none. Raises QueueClosedError at the end."""
        while not self._levels:
            if self.closed:
                raise QueueClosedError
            awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters[awake] = None
            try:
                await awake
            except asyncio.CancelledError:
                if not awake.cancelled() and self._levels:
                    self._wake_getter()  # ours was the wake-up: pass it on
                raise
            finally:
                self._getters.pop(awake, None)
        first = max(self._levels)
        item, since = self._levels[first].popleft()
        self._tidy(first)
        self._waited(self._now() - since)
        self._admit()
        return item

    def close(self) -> None:
        """Accept no more items; the ones inside can still be taken. Blocked `put` calls raise."""
        self.closed = True
        while self._blocked:
            turn, _ = self._blocked.popitem(last=False)
            if not turn.done():
                self._promised += 1  # given back where it is raised
                turn.set_result(None)
        while self._getters:
            self._wake_getter()

    def _admit(self) -> None:
        """Let the longest waiting `put` finish, now that there is room."""
        while self._blocked and self.depth + self._promised < self.capacity:
            turn, _ = self._blocked.popitem(last=False)
            if not turn.done():
                self._promised += 1
                turn.set_result(None)

    def _wake_getter(self) -> None:
        while self._getters:
            awake, _ = self._getters.popitem(last=False)
            if not awake.done():
                awake.set_result(None)
                return
