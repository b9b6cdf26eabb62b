"""Speaks to a venue, or reads a recording of it, and says of each frame how it was understood."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from random import random
from typing import TextIO

from exporter import config as settings
from exporter.capture import text_recording
from exporter.clock import SystemClock
from exporter.contracts import Socket, Take, Venue
from exporter.decoding import ParseError
from exporter.flow.rate_limit import Ban
from exporter.http.client import HttpClient
from exporter.model import Ack, Depth, Event, Lost, Subscription
from exporter.probes.probe import Readers, probe
from exporter.streams.admission import ConnectAdmission
from exporter.streams.connection import StreamListener
from exporter.streams.stream import Stream, spread
from exporter.websocket import client as websocket
from exporter.websocket.receive_queue import ReceiveQueueBounds, ReceiveQueueMeter

Say = Callable[[str], None]
_SHOWN = 300  # characters of a frame or an event


class Tally:
    """Counts what came of frames."""

    def __init__(self, venue: Venue) -> None:
        self._venue, self._read = venue, venue.reader()
        self.events: Counter[str] = Counter()
        self.frames = 0
        self.unread = 0

    def connected(self, url: str) -> None:
        """Read what follows as from there, where that says of which market it is."""
        if self._venue.addressed is not None:
            self._read = self._venue.reader(url)

    def take(self, frame: bytes) -> Iterator[str]:
        """Read one frame; say what it is understood as, or why it is not."""
        self.frames += 1
        yield f"<  {frame[:_SHOWN].decode('utf-8', 'backslashreplace')}"
        try:
            events = self._read(frame)
        except ParseError as error:
            self.unread += 1
            yield f"   NOT UNDERSTOOD: {error}"
            return
        for event in events:
            self.events[_kind(event)] += 1
            yield f"   {_shown(self._venue, event)}"

    def summary(self) -> str:
        """Say how much of everything there was."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.events.items()))
        return f"{self.frames} frames, {self.unread} not understood: {kinds or 'no events'}"


def _kind(event: Event) -> str:
    if isinstance(event, Ack):
        return "Ack" if event.ok else "Refusal"
    return type(event).__name__


def _shown(venue: Venue, event: Event) -> str:
    if not isinstance(event, Depth) or venue.book is None:
        return str(event)[:_SHOWN]
    try:
        bids, asks = venue.book.levels(event)
    except ParseError as error:
        return f"{type(event).__name__} whose levels are not understood: {error}"
    what = "snapshot" if event.snapshot else "change"
    numbers = f"first={event.first} last={event.last} previous={event.previous}"
    return (
        f"Depth {what} topic={event.topic!r} time={event.time} {numbers}: {len(bids)} bids, "
        f"{len(asks)} asks, best {list(bids[:1])} {list(asks[:1])}"
    )


def recorded(venue: Venue, file: Path, say: Say) -> Tally:
    """Read a text recording. Raises OSError."""
    tally = Tally(venue)
    with file.open("rb") as lines:
        for item in text_recording.read(lines):
            match item:
                case text_recording.Connected(url=url):
                    tally.connected(url)
                case text_recording.Received(frame=frame):
                    for line in tally.take(frame):
                        say(line)
                case text_recording.Sent(text=text):
                    say(f">  {text[:_SHOWN]}")
                case text_recording.Garbled(why=why):
                    say(f"   a line of no recording: {why}")
    return tally


# --- over the network ---------------------------------------------------------------------------


class _Recorded:
    """A socket whose sent frames are shown and written."""

    def __init__(self, socket: Socket, url: str, session: Conversation) -> None:
        self._socket, self._url, self._session = socket, url, session

    async def send(self, frame: str) -> None:
        self._session.sent(self._url, frame)
        await self._socket.send(frame)

    async def receive(self, take: Take) -> None:
        await self._socket.receive(take)

    async def close(self) -> None:
        await self._socket.close()


class Conversation:
    """One try over the network: asks REST, listens for a while, writes down what comes."""

    def __init__(
        self, venue: Venue, exchange: settings.ExchangeConfig, say: Say, record: TextIO | None
    ) -> None:
        self._venue, self._exchange, self._say, self._record = venue, exchange, say, record
        self._clock = SystemClock()
        self.tally = Tally(venue)

    async def run(self, duration: float) -> None:
        """Ask each endpoint once, then listen for ``duration`` seconds."""
        logging.getLogger("exporter").setLevel(logging.CRITICAL)  # all of it is said here
        async with HttpClient() as client:
            await self._ask(client)
            parts = spread(self._subscriptions(), self._venue)
            async with asyncio.TaskGroup() as tasks, asyncio.timeout(duration + 60.0):
                with ExitStack() as taps:
                    streams = [self._stream(part, client) for part in parts]
                    for stream in streams:
                        taps.enter_context(stream.tapped(self._received))
                    running = [tasks.create_task(each.run()) for each in streams]
                    await self._clock.sleep(duration if running else 0.0)
                    for each in running:
                        each.cancel()

    def sent(self, url: str, frame: str) -> None:
        """Show and record a frame that was sent."""
        self._say(f">  {frame[:_SHOWN]}")
        self._write(f"{url} <- {self._clock.wall()}: {frame}")

    def _received(self, received: float, frame: bytes) -> None:
        for line in self.tally.take(frame):
            self._say(line)
        text = _line(frame)
        self._write(f"{received}: {text}")

    def _write(self, line: str) -> None:
        if self._record is not None:
            print(line, file=self._record)

    async def _ask(self, client: HttpClient) -> None:
        own = {each.name: each for each in self._venue.endpoints}
        for target in settings.targets(self._exchange, self._venue, settings.ProbesConfig()):
            endpoint = own[target.endpoint]
            readers = Readers(fault=self._venue.fault, clock=endpoint.clock, status=endpoint.status)
            done = await probe(target, client, self._clock, readers)
            told = f"{done.reason}: {done.detail}" if done.reason else "ok"
            if done.clock is not None:
                told += f", its clock {done.clock - done.time - done.duration:+.3f} s from ours"
            if done.maintenance is not None:
                told += f", maintenance: {done.maintenance.active}"
            self._say(f"{target.method} {target.url}: {told} ({done.duration * 1e3:.0f} ms)")

    def _subscriptions(self) -> tuple[Subscription, ...]:
        (stream,) = self._exchange.streams
        return settings.subscriptions(self._exchange, stream, self._venue)

    def _stream(self, part: Sequence[Subscription], client: HttpClient) -> Stream:
        site = settings.site(self._exchange, self._venue)
        ban = Ban(self._clock)
        return Stream(
            self._exchange.name,
            self._venue,
            part,
            connect=self._connect,
            clock=self._clock,
            meter=_silent(self._say),
            sinks={one.topic: lambda event, received: None for one in part},
            stale_after=lambda topic: None,
            chance=random,
            admission=ConnectAdmission(
                exchange=self._exchange.name,
                clock=self._clock,
                ban=ban,
                attempts=None,
                fault=self._venue.fault,
            ),
            urls=site.stream_urls,
            fetch=client,
            rest_url=site.rest_urls[0],
        )

    async def _connect(self, url: str) -> Socket:
        self._say(f"connecting to {url}")
        self.tally.connected(url)
        socket = await websocket.connect(
            url,
            clock=self._clock,
            bounds=ReceiveQueueBounds(),
            meter=ReceiveQueueMeter(),
        )
        self._write(f"{url} <-> {self._clock.wall()}")
        return _Recorded(socket, url, self)


def _line(frame: bytes) -> str:
    """Spell a frame as one line of a recording: text as it is, all else as a bytes literal."""
    with suppress(UnicodeDecodeError):
        text = frame.decode()
        if text.isprintable():
            return text
    return repr(frame)


def _silent(say: Say) -> StreamListener:
    def lost(reason: Lost) -> None:
        say(f"the connection ended: {reason}")

    return StreamListener(
        attempted=lambda ok: None,
        connected=lambda up: None,
        lost=lost,
        subscriptions=lambda counts: None,
        armed=lambda topic: None,
        control=lambda event: None,
        unknown=lambda events: None,
        unreadable=lambda channel: None,
        faulted=lambda decoded: None,
        processed=lambda decode, apply: None,
        failed=lambda error, lived: say(f"   {error}"),
    )
