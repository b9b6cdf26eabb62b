"""The queue of frames between the network and the stream that reads them: bounded, in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from exporter.contracts import HOLE, ConnectionLostError, Take
from exporter.flow.overflow import Overflow
from exporter.model import QueuePolicy

Superseding: TypeAlias = Callable[[bytes], tuple[str, bool] | None]
"""Returns whose state a frame carries, by topic, and whether it is the whole of it; else None."""


def _nothing(_: float) -> None:
    """Take a figure that nobody asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveQueueMeter:
    """Where an inbox reports to, once per read or batch.

    Bytes received, frames that waited, frames dropped, frames that a newer one made needless,
    seconds that the oldest waited.
    """

    received: Callable[[float], None] = _nothing
    depth: Callable[[float], None] = _nothing
    dropped: Callable[[float], None] = _nothing
    coalesced: Callable[[float], None] = _nothing
    waited: Callable[[float], None] = _nothing


SILENT = ReceiveQueueMeter()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveQueueBounds:
    """How much may wait, and what a full inbox does.

    `QueuePolicy.BLOCK` stops reading from the network, so that TCP holds the sender back and
    nothing is lost; one read (64 KiB of the default transport) may overshoot the bounds.
    `QueuePolicy.SPILL` reads on and puts what comes then into what ``spill`` gives, until it is
    read back. `QueuePolicy.COALESCE` drops what a newer frame of the same topic, as ``key`` tells,
    makes needless: an older quote, or what came before a snapshot of the book. If more than half of
    the queue is still full then, the oldest frames make room for half of it, so that the frames are
    not all looked at again with the next read.
    """

    frames: int = 100_000
    size: int = 32 << 20  # bytes
    policy: QueuePolicy = QueuePolicy.BLOCK
    spill: Callable[[], Overflow] | None = None
    key: Superseding | None = None

    def __post_init__(self) -> None:
        if self.frames < 1 or self.size < 1:
            raise ValueError(f"an inbox needs room: frames={self.frames} size={self.size}")
        if (self.policy is QueuePolicy.COALESCE) is (self.key is None):
            raise ValueError("a key is for coalescing, and coalescing needs one")
        if (self.policy is QueuePolicy.SPILL) is (self.spill is None):
            raise ValueError("an overflow is for spilling, and spilling needs one")


class ReceiveQueue:
    """The frames of one connection that were read and not yet taken.

    The transport appends to ``frames`` and says `added` once per read; ``pause`` and ``resume``
    stop and start its reading. After `end`, what waits is still handed over, then the loss raised.
    A `HOLE` stands wherever frames were dropped.
    """

    __slots__ = (
        "_bounds",
        "_holed",
        "_meter",
        "_most",
        "_most_size",
        "_now",
        "_pause",
        "_resume",
        "_since",
        "_size",
        "_spill",
        "_taker",
        "_timed",
        "_waiter",
        "frames",
        "lost",
        "paused",
    )

    def __init__(
        self,
        bounds: ReceiveQueueBounds,
        meter: ReceiveQueueMeter,
        *,
        now: Callable[[], float],
        pause: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:
        self.frames: list[tuple[float, bytes]] = []
        self.lost: ConnectionLostError | None = None
        self.paused = False
        self._bounds, self._meter, self._now = bounds, meter, now
        self._pause, self._resume = pause, resume
        self._most, self._most_size = bounds.frames, bounds.size  # beyond them it is full
        self._spill: Overflow | None = None  # while something waits there, or may soon
        self._holed = False  # whether frames were dropped behind the newest that wait there
        self._size = 0  # payload bytes waiting
        self._since = 0.0  # when the oldest waiting frame was added, monotonic
        self._timed = False  # whether `_since` is of a frame that still waits
        self._taker: Take | None = None  # who is given the next batch as it is read
        self._waiter: asyncio.Future[None] | None = None

    def added(self, size: int) -> None:
        """Account for ``size`` payload bytes that were just appended, and wake the reader."""
        if not self._timed:
            self._timed, self._since = True, self._now()
        self._size += size
        self._meter.received(size)
        if self._taker is not None:  # who takes all that there is
            self._deliver(self._taker)
        elif len(self.frames) > self._most or self._size > self._most_size:
            self._overflow(size)

    def _overflow(self, size: int) -> None:
        bounds, frames = self._bounds, self.frames
        if bounds.spill is not None:
            if self._spill is None:  # from the next read on
                self._spill = bounds.spill()
            else:
                more = frames[self._most :]
                del frames[self._most :]
                self._size -= size
                if self._spill.put(more, self._now(), holed=self._holed):
                    self._holed = False
                else:
                    self._holed = True
                    self._meter.dropped(len(more))
            self._most, self._most_size = len(frames), self._size
            return
        if bounds.policy is QueuePolicy.BLOCK:
            if not self.paused:
                self.paused = True
                self._pause()
            return
        most, most_size = bounds.frames, bounds.size
        if bounds.key is not None:
            self._coalesce(bounds.key)
            if len(frames) > most // 2 or self._size > most_size // 2:
                most, most_size = max(1, most // 2), most_size // 2
        newest = bounds.policy is QueuePolicy.DROP_NEWEST
        count = max(0, len(frames) - most)
        if not count and self._size <= most_size:
            return
        ends = frames[::-1] if newest else frames
        excess = self._size - sum(len(frame) for _, frame in ends[:count])
        # The frame at the other end always stays: a lone one was held to the size of a message.
        while excess > most_size and count < len(frames) - 1:
            excess -= len(ends[count][1])
            count += 1
        lost = sum(frame is not HOLE for frame in ends[:count])
        if newest:
            del frames[len(frames) - count :]
            at = len(frames)
        else:
            del frames[:count]
            at = 0
        if frames[at and -1] is not HOLE:
            frames.insert(at, HOLE)
        self._size = excess
        self._meter.dropped(lost)

    def _coalesce(self, key: Superseding) -> None:
        """Drop the frames that a newer one makes needless; what remains keeps its order."""
        kept: list[tuple[float, bytes]] = []
        newer: set[str] = set()  # topics of which a whole state came later
        size = 0
        for waiting in reversed(self.frames):
            state = None if waiting is HOLE else key(waiting[1])
            if state is not None:
                topic, whole = state
                if topic in newer:
                    continue
                if whole:
                    newer.add(topic)
            kept.append(waiting)
            size += len(waiting[1])
        self._meter.coalesced(len(self.frames) - len(kept))
        self.frames[:] = reversed(kept)
        self._size = size

    def _read_back(self) -> bool:
        """Take from the disk what came first; False: there is nothing more, memory is next."""
        if self._spill is None:
            return False
        load = self._spill.take()
        if load is None:
            self._meter.dropped(self._spill.frames)  # those that could not be read back
            if self._spill.frames or self._holed:
                self.frames.insert(0, HOLE)
            self._spill.close()
            self._spill, self._timed, self._holed = None, False, False
            self._most, self._most_size = self._bounds.frames, self._bounds.size
            return False
        self.frames, self._since = load
        self._timed = True
        return True

    def discard(self) -> None:
        """Discard what waits on disk: nobody will read it. It counts as dropped."""
        if self._spill is not None:
            self._meter.dropped(self._spill.frames)
            self._spill.close()
            self._spill = None

    def end(self, lost: ConnectionLostError) -> None:
        """Say that nothing more will come, and why. The first reason stays."""
        if self.lost is None:
            self.lost = lost
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _deliver(self, take: Take) -> None:
        """Hand a batch to the waiting reader, in the callback that read it."""
        try:
            if not take(self._batch()):
                return
        except BaseException as error:  # noqa: BLE001 - handed on, not swallowed
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)
        else:
            self._wake()
        self._taker = None

    def _batch(self) -> list[tuple[float, bytes]]:
        batch, self.frames = self.frames, []
        self._size, self._timed = 0, False
        if self._spill is None:
            self._meter.depth(len(batch))
        else:
            self._most = self._most_size = 0  # what comes now stands behind what is on the disk
            self._meter.depth(len(batch) + self._spill.frames)
        self._meter.waited(self._now() - self._since)
        if self.paused:
            self.paused = False
            if self.lost is None:
                self._resume()
        return batch

    async def hand_over(self, take: Take) -> None:
        """Pass what waits, then what comes, to ``take`` until that has had enough.

        The wait has no deadline of its own: the transport's ping and the session's timers end it.
        Cancelled, it leaves the rest where it is. Raises ConnectionLostError once the connection
        has ended and all is taken, and what ``take`` raises.
        """
        while self.frames or self._read_back():
            if take(self._batch()):
                return
        if self.lost is not None:
            raise self.lost
        self._waiter = asyncio.get_running_loop().create_future()
        self._taker = take
        try:
            await self._waiter
        finally:
            self._waiter = self._taker = None
        if self.lost is not None and not self.frames:
            raise self.lost
