"""Writes frames that cannot be parsed to disk, outside of the event loop."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from pathlib import Path

from exporter.contracts import Clock
from exporter.flow import dead_letters, overflow, segments
from exporter.flow.damaged import set_aside
from exporter.flow.dead_letters import DeadLetter
from exporter.flow.queue import Queue, QueueClosedError
from exporter.flow.segments import DamagedSegmentError, ForeignError, Writer
from exporter.flow.stage import PipelineStage
from exporter.logs import SPARING
from exporter.metrics import families
from exporter.metrics.registry import Registry
from exporter.model import QueuePolicy
from exporter.words import why

log = logging.getLogger(__name__)

_WAITING = 256  # letters; a flood of bad frames is known by its first ones


class DeadLetterWriter:
    """A queue, a writer, and the stage between them. Raises OSError, BusyError among them."""

    def __init__(self, folder: Path, registry: Registry, clock: Clock) -> None:
        newest = segments.segments(folder)[-1:] if folder.exists() else []
        self._writer: Writer = dead_letters.writer(folder)
        self._written = registry.counter(families.DEAD_LETTERS)
        self._lost = registry.counter(families.DEAD_LETTERS_LOST)
        if self._writer.mended:
            self._lost.inc()
            log.warning("dead_letters_cut file=%s bytes=%d", newest[0], self._writer.mended)
        for path in segments.segments(folder):
            if path != self._writer.path:
                self._mend(path)
        self._queue: Queue[DeadLetter] = Queue(
            _WAITING, QueuePolicy.DROP_NEWEST, now=clock.monotonic
        )
        self._ended = asyncio.Event()
        self._stage = PipelineStage(
            "dead letters",
            self._queue,
            self._write,
            dead=self._failed,
            expected=(OSError,),
            timeout=30.0,
        )

    def _mend(self, path: Path) -> None:
        """Set a damaged segment aside, and write down anew what of it can be read."""
        try:
            for _ in segments.read(path, dead_letters.CONTENT):
                pass
        except (DamagedSegmentError, ForeignError) as error:
            with suppress(DamagedSegmentError, ForeignError):
                for block in segments.read(path, dead_letters.CONTENT, further=True):
                    self._writer.append(block)
            self._set_aside(path, error, path.parent.parent)
            self._writer.forget(path)

    def post(self, letter: DeadLetter) -> None:
        """Have a letter written, unless too many wait. Never waits."""
        with suppress(QueueClosedError):  # we are stopping
            if self._queue.offer(letter):
                return
        self._lost.inc()

    def adopt(self, folder: Path) -> None:
        """Take over what a killed process had spilled there and never read. Raises OSError.

        Nobody can read it in its place any more: its connections are gone. No more is written than
        is kept anyway; the rest counts as lost, and so does what a damaged segment held.
        """
        size = 0
        for load in overflow.left(folder, partial(self._set_aside, folder=folder.parent)):
            for received, frame in load.frames:
                size += len(frame)
                if size > dead_letters.MOST:
                    self._lost.inc()
                    continue
                letter = DeadLetter(
                    time=abs(received),
                    exchange=load.exchange,
                    venue=load.venue,
                    stream=load.stream,
                    reason="spilled to disk, and never read: the process was killed",
                    frame=frame[: dead_letters.LONGEST],
                    size=len(frame),
                )
                self._writer.append(dead_letters.encode(letter))
                self._written.inc()
        if size:
            log.warning("spilled_frames_adopted bytes=%d", size)

    def _set_aside(self, segment: Path, error: Exception, folder: Path) -> None:
        """Keep a damaged segment below ``folder``, as one lost at least."""
        self._lost.inc()
        kept = set_aside(segment, folder, f"{segment.parent.name}-{segment.name}")
        reason = why(error)[:200]
        log.error("segment_damaged file=%s set_aside=%s reason=%s", segment, kept, reason)

    async def run(self) -> None:
        """Write what is posted until `close`."""
        try:
            await self._stage.run()
        finally:
            self._ended.set()

    async def drain(self, patience: float) -> None:
        """Take no more, and wait for what waits to be written, ``patience`` seconds at most."""
        self._queue.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._ended.wait()

    def close(self) -> None:
        """Release the lock of the directory, once `run` has ended."""
        with suppress(OSError):  # a full disk: what was written is there
            self._writer.close()

    async def _write(self, letter: DeadLetter) -> None:
        block = dead_letters.encode(letter)
        await asyncio.to_thread(self._writer.append, block)
        self._written.inc()

    def _failed(self, letter: DeadLetter, error: BaseException) -> None:
        self._lost.inc()
        reason = why(error)[:200]
        log.error("dead_letter_lost exchange=%s reason=%s", letter.exchange, reason, extra=SPARING)
