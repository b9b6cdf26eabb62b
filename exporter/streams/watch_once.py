"""One connection for a check: which topics are confirmed, and which deliver data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from exporter.contracts import Clock, Connect, ConnectionLostError, Venue
from exporter.model import Ack, Control, Data, Subscription, SubscriptionState
from exporter.streams.connection import Sink, StreamConnection, StreamListener
from exporter.streams.session import Session, Timing
from exporter.words import quoted

_KEPT, _LONGEST = 20, 300  # first frames, and characters of each
_ALIKE = 24  # characters in which frames of one kind agree
_OPEN = (SubscriptionState.REQUESTED, SubscriptionState.REJECTED)


@dataclass(slots=True, kw_only=True)
class Heard:
    """The messages of one connection. Times in seconds since the subscribe request.

    ``refused`` has the venue's own words, by topic; ``lost`` is why the connection ended early, or
    never came to be.
    """

    opened: float | None = None
    acked: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    unreadable: str = ""
    frames: list[str] = field(default_factory=list)
    lost: ConnectionLostError | None = None


async def watch_once(
    venue: Venue,
    subscriptions: Sequence[Subscription],
    connect: Connect,
    clock: Clock,
    *,
    url: str,
    wait: float,
) -> Heard:
    """Subscribe on a connection of its own, until each topic has spoken or ``wait`` is over."""
    begun, heard = clock.monotonic(), Heard()
    try:
        socket = await connect(url)
    except ConnectionLostError as error:
        heard.lost = error
        return heard
    heard.opened = clock.monotonic() - begun
    topics = tuple(dict.fromkeys(one.topic for one in subscriptions))
    session = Session(
        venue,
        topics,
        now=clock.monotonic(),
        timing=Timing(ack_timeout=wait, welcome_timeout=wait),
        stale_after=lambda topic: None,
        blamed=set(),
        symbols={one.topic: one.symbol for one in subscriptions},
    )
    done = asyncio.Event()

    def look() -> None:
        for topic, watched in session.watched.items():
            if watched.state is SubscriptionState.REJECTED:
                heard.refused[topic] = watched.reason
        if set(topics) <= heard.first.keys() | heard.refused.keys():
            done.set()

    def sink(topic: str) -> Sink:
        def take(event: Data, received: float) -> None:
            if topic not in heard.first:
                heard.first[topic] = clock.monotonic() - begun
                look()

        return take

    def control(event: Ack | Control) -> None:
        if isinstance(event, Ack) and event.ok:
            agreed = [
                topic for topic, watched in session.watched.items() if watched.state not in _OPEN
            ]
            heard.acked.update(topic for topic in event.topics or agreed if topic in topics)
        look()

    def dead(frame: bytes, error: Exception) -> None:
        heard.unreadable = heard.unreadable or f"{error}: {quoted(frame[:100])}"

    link = StreamConnection(
        "check",
        socket,
        session,
        parse=venue.reader(url),
        timed=venue.timed,
        subscriptions=subscriptions,
        clock=clock,
        meter=_listener(control, dead),
        opened=clock.monotonic(),
        url=url,
    )
    link.route(sink)
    link.tap(lambda received, frame: _keep(heard, frame))
    heard.lost = await _run(link, done, wait)
    await socket.close()
    return heard


def _keep(heard: Heard, frame: bytes) -> None:
    """Keep a frame that does not begin like one that is kept already."""
    text = frame[:_LONGEST].decode("utf-8", "replace")
    if len(heard.frames) < _KEPT and not any(text[:_ALIKE] == one[:_ALIKE] for one in heard.frames):
        heard.frames.append(text)


async def _run(
    link: StreamConnection, done: asyncio.Event, wait: float
) -> ConnectionLostError | None:
    """Read until all has been heard; return why the connection ended before that."""
    lost: ConnectionLostError | None = None
    try:
        async with asyncio.timeout(wait):
            try:
                async with asyncio.TaskGroup() as tasks:
                    work = [
                        tasks.create_task(link.read(), name="check read"),
                        tasks.create_task(link.watch(), name="check watch"),
                    ]
                    await done.wait()
                    for each in work:
                        each.cancel()
            except* ConnectionLostError as group:
                lost = _first(group)
    except TimeoutError:
        pass
    return lost


def _first(group: BaseExceptionGroup[ConnectionLostError]) -> ConnectionLostError:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


def _listener(
    control: Callable[[Ack | Control], None], dead: Callable[[bytes, Exception], None]
) -> StreamListener:
    """Return what hears acks and unreadable frames, and counts nothing."""

    def unheard(*what: object) -> None:
        """Count nothing."""

    return StreamListener(
        attempted=unheard, connected=unheard, lost=unheard, subscriptions=unheard, armed=unheard,
        control=control, unknown=unheard, unreadable=unheard, processed=unheard, dead=dead,
    )  # fmt: skip
