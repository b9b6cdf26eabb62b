"""Records the configured streams: every event that reaches a feed, and its context.

Events wait in memory for a quarter of a second, then a thread writes them as one block, so that a
slow disk never holds up a socket. A kill costs that quarter of a second; what was written survives
it. To survive a power cut too, the disk is told to keep what it has once every second. Where the
disk cannot keep up, the newest events are dropped, and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from random import random

import msgspec

from exporter import config as settings
from exporter import venues
from exporter.capture.codec import Encoder, Levels, Mark, Row
from exporter.capture.playback import ARMED, LOST, UNREADABLE, Playback, subscribed
from exporter.capture.replay import CONTENT
from exporter.clock import SystemClock
from exporter.contracts import Clock, Connect, Fetch, Venue
from exporter.decoding import DOUBTFUL
from exporter.flow import backoff
from exporter.flow.rate_limit import Ban, RateBudget
from exporter.flow.segments import Writer
from exporter.http.client import HttpClient
from exporter.model import (
    Ack,
    Channel,
    Control,
    Data,
    Depth,
    Event,
    Lost,
    QueuePolicy,
    Subscription,
)
from exporter.streams.admission import ConnectAdmission
from exporter.streams.connection import Sink, StreamListener
from exporter.streams.exchange_streams import timing
from exporter.streams.stream import Stream, spread
from exporter.websocket import client as websocket
from exporter.websocket.receive_queue import ReceiveQueueBounds, ReceiveQueueMeter

_FLUSH_EVERY = 0.25  # seconds
_SYNC_EVERY = 1.0
_WAITING = 500_000  # rows in memory
_BLOCK_ROWS, _BLOCK_LEVELS = 4096, 400_000


class Recorder:
    """Takes rows at once, writes them when told. ``board`` shows what was written."""

    def __init__(self, writer: Writer, carried: Sequence[tuple[Subscription, Venue]]) -> None:
        self.board = Playback()
        self.writer = writer
        self.dropped = 0
        self._carried = [(one, venue.name) for one, venue in carried]
        self._venues = {one.exchange: venue for one, venue in carried}
        self._waiting: list[Row] = []
        self._encoder: Encoder | None = None

    def add(self, row: Row) -> None:
        """Take one row; drop and count it when too many wait."""
        if len(self._waiting) < _WAITING:
            self._waiting.append(row)
        else:
            self.dropped += 1

    def taken(self) -> list[Row]:
        """Return what waits, to be written."""
        rows, self._waiting = self._waiting, []
        return rows

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows, in as many blocks as their levels need. Blocks; raises OSError."""
        block: list[Row] = []
        levels = 0
        for row in rows:
            if isinstance(row.event, Depth):
                levels += self._read_levels(row, row.event, block)
            else:
                block.append(row)
            if len(block) >= _BLOCK_ROWS or levels >= _BLOCK_LEVELS:
                self._append(block)
                block, levels = [], 0
        if block:
            self._append(block)

    def _append(self, block: list[Row]) -> None:
        if self._encoder is None:  # each segment stands on its own
            self._encoder, now = Encoder(), block[0].received
            block = [*(subscribed(one, venue, now) for one, venue in self._carried), *block]
        if self.writer.append(self._encoder.encode(block)):
            self._encoder = None
        for row in block:
            self.board.take(row)

    def _read_levels(self, row: Row, event: Depth, block: list[Row]) -> int:
        """Put a book's row into a block, its levels decoded; return how many they are.

        What cannot be read is kept without them, and marked.
        """
        try:
            levels = _levels(self._venues[row.exchange], event)
        except DOUBTFUL:
            levels = [], []
            block.append(Row(row.received, row.exchange, Mark(UNREADABLE, event.topic)))
        event = msgspec.structs.replace(event, levels=levels)
        block.append(Row(row.received, row.exchange, event))
        return len(levels[0]) + len(levels[1])


def _levels(venue: Venue, event: Depth) -> Levels:
    if venue.book is None:
        return [], []
    bids, asks = venue.book.levels(event)
    return [(float(p), float(s)) for p, s in bids], [(float(p), float(s)) for p, s in asks]  # type: ignore[arg-type]  # float or text


class Capture:
    """The streams of a config, recorded into ``directory``. Bounds in bytes, as of `Writer`.

    Raises what `Writer` does.
    """

    def __init__(
        self,
        config: settings.Config,
        directory: Path,
        *,
        segment_size: int,
        max_bytes: int | None,
        progress: Callable[[Capture], None] = lambda capture: None,
    ) -> None:
        self.clock: Clock = SystemClock()
        self.config = config
        self.connected: dict[str, bool] = {}  # by stream
        self._progress = progress
        self._admissions: dict[str, ConnectAdmission] = {}  # by exchange
        self._parts = list(_parts(config))
        writer = Writer(directory, CONTENT, segment_size=segment_size, max_bytes=max_bytes)
        carried = [(one, venue) for *_, venue, part in self._parts for one in part]
        self.recorder = Recorder(writer, carried)

    async def run(self, stop: asyncio.Event, duration: float | None = None) -> None:
        """Record until ``stop`` is set or ``duration`` (seconds) is over. Raises OSError."""
        failed: OSError | None = None
        try:
            async with AsyncExitStack() as edges:
                fetch = await edges.enter_async_context(HttpClient())
                over = asyncio.Event()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._write(over), name="write")
                    await self._record(fetch, stop, duration)
                    over.set()
        except* OSError as group:
            failed = _first(group)
        finally:
            self.recorder.board.finish()
            self.recorder.writer.close()
        if failed is not None:  # raised in there it would be wrapped in a group again
            raise failed

    async def _record(self, fetch: Fetch, stop: asyncio.Event, duration: float | None) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(stream.run(), name=name)
                for name, stream in (self._stream(*part, fetch) for part in self._parts)
            ]
            with suppress(TimeoutError):
                async with asyncio.timeout(duration):
                    await stop.wait()
            for task in running:
                task.cancel()

    async def _write(self, over: asyncio.Event) -> None:
        """Write what waits, again and again; the last time when all streams have ended."""
        recorder, clock = self.recorder, self.clock
        synced = clock.monotonic()
        last = False
        while not last:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_EVERY):
                    last = await over.wait()
            await asyncio.to_thread(recorder.write, recorder.taken())
            if clock.monotonic() - synced >= _SYNC_EVERY:
                await asyncio.to_thread(recorder.writer.sync)
                synced = clock.monotonic()
            self._progress(self)

    # --- streams ------------------------------------------------------------------------------

    def _stream(
        self,
        exchange: settings.ExchangeConfig,
        name: str,
        venue: Venue,
        part: tuple[Subscription, ...],
        fetch: Fetch,
    ) -> tuple[str, Stream]:
        limits, site = self.config.streams, settings.site(exchange, venue)
        stream = Stream(
            name,
            venue,
            part,
            connect=self._connect(exchange.name),
            clock=self.clock,
            meter=self._meter(exchange.name, name),
            sinks={one.topic: self._sink(exchange.name) for one in part},
            stale_after=lambda topic: limits.stale_ceiling,
            chance=random,
            admission=self._admission(exchange.name, venue),
            urls=site.stream_urls,
            fetch=fetch,
            rest_url=site.rest_urls[0],
            rules=backoff.BackoffRules(base=limits.backoff_base, cap=limits.backoff_cap),
            timing=timing(limits, venue),
        )
        return name, stream

    def _admission(self, exchange: str, venue: Venue) -> ConnectAdmission:
        """Return what all streams of one exchange share."""
        if exchange not in self._admissions:
            ban, rules = Ban(self.clock), settings.connection_rules(venue)
            self._admissions[exchange] = ConnectAdmission(
                exchange=exchange,
                clock=self.clock,
                ban=ban,
                attempts=None if rules is None else RateBudget(rules, self.clock, ban),
                fault=venue.fault,
            )
        return self._admissions[exchange]

    def _connect(self, exchange: str) -> Connect:
        limits = self.config.streams
        return partial(
            websocket.connect,
            clock=self.clock,
            timeout=limits.connect_timeout,
            max_message=limits.max_message,
            bounds=ReceiveQueueBounds(
                frames=limits.queue, size=limits.queue_bytes, policy=_policy(limits.queue_policy)
            ),
            meter=ReceiveQueueMeter(dropped=self._lose),
            ping_every=limits.ping_interval,
            ping_timeout=limits.ping_timeout,
            compression=limits.compression,
        )

    def _lose(self, frames: float) -> None:
        self.recorder.dropped += int(frames)

    def _sink(self, exchange: str) -> Sink:
        add = self.recorder.add

        def sink(event: Data, received: float) -> None:
            add(Row(received, exchange, event))

        return sink

    def _meter(self, exchange: str, stream: str) -> StreamListener:
        self.connected[stream] = False

        def note(event: Event | Mark) -> None:
            self.recorder.add(Row(self.clock.wall(), exchange, event))

        def connected(up: bool) -> None:
            self.connected[stream] = up

        def lost(reason: Lost) -> None:
            note(Mark(LOST, facts={"stream": stream, "reason": reason}))

        def control(event: Ack | Control) -> None:
            note(event)

        def unreadable(channel: Channel | None) -> None:
            note(Mark(UNREADABLE, facts={"channel": str(channel)}))

        return StreamListener(
            attempted=lambda ok: None,
            connected=connected,
            lost=lost,
            subscriptions=lambda counts: None,
            armed=lambda topic: note(Mark(ARMED, topic)),
            control=control,
            unknown=lambda events: None,
            unreadable=unreadable,
            faulted=lambda decoded: unreadable(None),
            processed=lambda decode, apply: None,
        )


def _policy(wanted: QueuePolicy) -> QueuePolicy:
    """Have the sender wait instead of spilling or coalescing: a recording leaves nothing out."""
    left_out = (QueuePolicy.SPILL, QueuePolicy.COALESCE)
    return QueuePolicy.BLOCK if wanted in left_out else wanted


def _parts(
    config: settings.Config,
) -> Iterator[tuple[settings.ExchangeConfig, str, Venue, tuple[Subscription, ...]]]:
    """Yield exchange, name, venue and subscriptions of every connection."""
    known = venues.within(config)
    for exchange in config.exchanges:
        venue = known(exchange.venue)
        for wanted in exchange.streams:
            carried = settings.subscriptions(exchange, wanted, venue)
            # Of a stream that is known only by its address nothing is read that could be kept.
            readable = [each for each in carried if each.channel is not Channel.MESSAGES]
            parts = spread(readable, venue)
            for number, part in enumerate(parts, start=1):
                name = wanted.name if len(parts) == 1 else f"{wanted.name}-{number}"
                yield exchange, f"{exchange.name}/{name}", venue, part


def _first(group: BaseExceptionGroup[OSError]) -> OSError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
