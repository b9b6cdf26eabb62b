"""A stream with a scripted venue: sockets, clock and meters that tests look at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from exporter.contracts import Clock, ConnectionLostError, Socket, Venue
from exporter.flow import backoff
from exporter.flow.rate_limit import Ban
from exporter.model import (
    Answer,
    Data,
    Lost,
    Subscription,
    SubscriptionState,
    Trade,
)
from exporter.streams.admission import ConnectAdmission
from exporter.streams.connection import StreamListener
from exporter.streams.session import Timing
from exporter.streams.stream import Stream
from tests.fakes import FakeClock, ScriptedSocket, Step, run_virtual
from tests.streams import toy

Answers = Callable[[str], Iterable[bytes]]


class World:
    """A stream, the sockets it opened, and everything it reported."""

    def __init__(
        self,
        symbols: tuple[str, ...] = ("A",),
        *,
        venue: Venue = toy.VENUE,
        stale_after: Callable[[str], float | None] = lambda topic: None,
        timing: Timing | None = None,
        fetch: Callable[..., Coroutine[Any, Any, Answer]] | None = None,
        subscriptions: list[Subscription] | None = None,
        clock: FakeClock | None = None,
        admission: Callable[[Clock], ConnectAdmission] | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.admission = (
            ConnectAdmission(exchange="toy", clock=self.clock, ban=Ban(self.clock))
            if admission is None
            else admission(self.clock)
        )
        self.scripts: list[list[Step] | ConnectionLostError] = []  # one an attempt; then obliging
        self.answer: Answers = toy.obliging
        self.sockets: list[ScriptedSocket] = []
        self.attempts: list[tuple[float, str]] = []
        self.said: list[tuple[str, object]] = []
        self.events: list[tuple[str, int | None]] = []
        self.counts: Mapping[SubscriptionState, int] = {}
        wanted = subscriptions or toy.subscriptions(*symbols)
        self.stream = Stream(
            "toy",
            venue,
            wanted,
            connect=self.connect,
            clock=self.clock,
            meter=StreamListener(
                attempted=self.note("attempted"),
                connected=self.note("connected"),
                lost=self.note("lost"),
                subscriptions=self.counted,
                armed=self.note("armed"),
                control=self.note("control"),
                unknown=self.note("unknown"),
                unreadable=self.note("unreadable"),
                processed=lambda decode, apply: None,
                faulted=self.note("faulted"),
                dead=lambda frame, error: self.said.append(("dead", (frame, type(error)))),
            ),
            sinks={one.topic: self.take for one in wanted},
            stale_after=stale_after,
            chance=lambda: 0.999,
            admission=self.admission,
            fetch=fetch,
            rules=backoff.BackoffRules(base=1.0, cap=8.0),
            timing=timing,
        )

    def note(self, what: str) -> Callable[[object], None]:
        return lambda value: self.said.append((what, value))

    def counted(self, counts: Mapping[SubscriptionState, int]) -> None:
        self.counts = dict(counts)

    def take(self, event: Data, received: float) -> None:
        assert isinstance(event, Trade)
        self.events.append((event.topic, event.sequence))

    def of(self, what: str) -> list[object]:
        return [value for said, value in self.said if said == what]

    async def connect(self, url: str) -> Socket:
        self.attempts.append((self.clock.monotonic(), url))
        script = self.scripts.pop(0) if self.scripts else []
        if isinstance(script, ConnectionLostError):
            raise script
        socket = ScriptedSocket(self.clock, script, lambda frame: self.answer(frame))
        self.sockets.append(socket)
        return socket

    def play(self, seconds: float, beside: Coroutine[Any, Any, None] | None = None) -> None:
        """Let the stream run for some seconds, then stop it."""

        async def main() -> None:
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(self.stream.run())
                if beside is not None:
                    tasks.create_task(beside)
                await asyncio.sleep(seconds)
                task.cancel()

        run_virtual(main())


def gone(reason: Lost = Lost.NETWORK) -> ConnectionLostError:
    return ConnectionLostError(reason, "gone", 1006)
