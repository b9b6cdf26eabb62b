"""One open connection of a stream: reads frames, feeds the sinks, executes the session's actions.

`StreamConnection.read` is the hottest code there is. What is not needed per frame is not done per
frame.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from exporter.contracts import Clock, ConnectionLostError, Socket, is_hole
from exporter.decoding import ParseError
from exporter.http.connection import STALLED
from exporter.model import Ack, Channel, Control, Data, Event, Lost, Subscription, SubscriptionState
from exporter.salvage import salvage
from exporter.streams.requests import RequestRefused, TopicsRefused, Watched, stamped
from exporter.streams.session import Action, Close, Renew, Revived, SendFrame, Session

log = logging.getLogger(__name__)

Sink: TypeAlias = Callable[[Data, float], None]
"""Takes one event of one topic, and the wall time at which its frame was read. Never waits."""

Parse: TypeAlias = Callable[[bytes], tuple[Event, ...]]

_Frame: TypeAlias = tuple[float, bytes]


@dataclass(frozen=True, slots=True)
class _Missed:
    """In place of the events of a frame that never came or came to nothing: whose they may be."""

    topics: tuple[str, ...]


class _FieldError(ParseError):
    """A frame of which one field is unreadable, and the rest was taken."""


_Events: TypeAlias = tuple[Event, ...] | tuple[_Missed]
_FAILED = "stream_frames_failed stream=%s count=%d last=%s"
_UNREAD: dict[type[Exception], str] = {
    ParseError: "stream_frames_unreadable stream=%s count=%d last=%s",
    _FieldError: "stream_frames_without_a_field stream=%s count=%d last=%s",
}
_SLICE = 64  # frames between two looks at the clock
_TURN = 0.001  # seconds of frames before everyone else has a turn
_COMPLAINT_EVERY = 60.0  # seconds between two log lines about unreadable frames
_FLOOR = 0.01  # seconds between two looks at a session
_NAMED_WITHIN = 500  # bytes at either end of a frame in which it names its topic or symbol


def _unkept(frame: bytes, error: Exception) -> None:
    """Keep nothing."""


def _uncounted(decoded: bool) -> None:
    """Count nothing."""


def _unheard(error: ConnectionLostError, lived: float | None) -> None:
    """Tell nobody."""


def _unmissed(topics: Collection[str]) -> None:
    """Miss nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamListener:
    """The callbacks of a stream; every field is a bound metric child or a closure.

    ``armed`` hears that a topic is asked for anew, so what came before does not join what comes.
    ``processed`` gets the mean seconds per frame spent on decoding and on the sinks, once for up
    to 64 frames. ``unreadable`` gets the frame's channel, None where that cannot be told.
    """

    attempted: Callable[[bool], None]  # did it connect
    connected: Callable[[bool], None]  # True once more when a successor took over
    lost: Callable[[Lost], None]
    subscriptions: Callable[[Mapping[SubscriptionState, int]], None]
    armed: Callable[[str], None]
    control: Callable[[Ack | Control], None]
    unknown: Callable[[int], None]  # events of topics that nobody subscribed to
    unreadable: Callable[[Channel | None], None]
    processed: Callable[[float, float], None]
    dead: Callable[[bytes, Exception], None] = _unkept  # a frame that came to nothing, and why
    faulted: Callable[[bool], None] = _uncounted  # a fault of ours; was the frame decoded by then
    failed: Callable[[ConnectionLostError, float | None], None] = _unheard  # and seconds it lived
    missed: Callable[[Collection[str]], None] = _unmissed  # topics that an event may be missing of


class StreamConnection:
    """One open connection and what it carries. ``opened`` in monotonic seconds.

    ``shown`` is whether it, and not another link of its stream, reports subscription states;
    ``missed`` hears, between the events before and after, of which topics one may be missing.
    """

    def __init__(
        self,
        name: str,
        socket: Socket,
        session: Session,
        *,
        parse: Parse,
        timed: bool,
        subscriptions: Sequence[Subscription],
        clock: Clock,
        meter: StreamListener,
        opened: float,
        url: str,
    ) -> None:
        self.socket, self.session, self.opened, self.url = socket, session, opened, url
        self.shown = False
        self.missed = meter.missed
        self.renew = asyncio.Event()  # a successor is wanted
        self._name, self._parse, self._subscriptions = name, parse, subscriptions
        self._clock, self._meter, self._timed = clock, meter, timed
        self._routes: dict[str, tuple[Watched, Sink]] = {}
        # What is taken from the socket stays here, so that `read` can be cancelled in mid-batch
        # and called again without a loss.
        self._batch: Sequence[tuple[float, bytes]] = ()
        self._at = 0
        self._actions: list[Action] = []
        self._tap: Callable[[float, bytes], None] | None = None
        # When the last complaint was, and the frames since, by kind of error: a closed set.
        self._complained: dict[type[Exception], tuple[float | None, int]] = {}
        self._refused: float | None = None  # when the last line about a refused request was

    def tap(self, take: Callable[[float, bytes], None] | None) -> None:
        """Show ``take`` each frame, and when it was read, before it is decoded; None: no more."""
        self._tap = take

    def route(self, sink: Callable[[str], Sink]) -> None:
        """Say where the events of each topic go from now on."""
        self._routes = {
            topic: (watched, sink(topic)) for topic, watched in self.session.watched.items()
        }

    def reroute(self, topic: str, sink: Sink) -> None:
        """Say where the events of one topic go from now on, if it is still watched."""
        if topic in self._routes:
            watched, _ = self._routes[topic]
            self._routes[topic] = (watched, sink)

    def join(self, subscriptions: Sequence[Subscription], sink: Callable[[str], Sink]) -> None:
        """Subscribe to more on this connection."""
        self._subscriptions = (*self._subscriptions, *subscriptions)
        self.session.join({one.topic: one.symbol for one in subscriptions})
        for one in subscriptions:
            self._routes[one.topic] = (self.session.watched[one.topic], sink(one.topic))

    def leave(self, topics: Collection[str]) -> None:
        """Leave some topics; what still comes of them is counted as unknown."""
        self._subscriptions = tuple(one for one in self._subscriptions if one.topic not in topics)
        self.session.leave(topics)
        for topic in topics:
            self._routes.pop(topic, None)

    async def read(self) -> None:
        """Take frames until the connection is lost, leaving turns to everyone else."""
        while True:
            if self._at >= len(self._batch):
                await self.socket.receive(self._begin)
            else:
                self._go_on()
            if self._actions:
                actions, self._actions = self._actions, []
                await self._act(actions)
            elif self._at < len(self._batch):
                await asyncio.sleep(0)

    def _begin(self, batch: Sequence[tuple[float, bytes]]) -> bool:
        self._batch, self._at = batch, 0
        return self._go_on()

    def _go_on(self) -> bool:
        """Work on the batch for one turn at most; return whether something must be awaited."""
        batch = self._batch
        turn = now = self.session.heard = self._clock.monotonic()
        while self._at < len(batch):
            frames = batch[self._at : self._at + _SLICE]
            self._at += len(frames)
            now = self._take(frames, now)
            if now - turn > _TURN:
                break
        return bool(self._actions) or self._at < len(batch)

    def _take(self, frames: Sequence[_Frame], now: float) -> float:
        """Decode some frames and hand their events over; return the time when that was done."""
        if self._tap is not None:
            for received, frame in frames:
                if not is_hole(received):
                    self._tap(received, frame)
        parse, monotonic = self._parse, self._clock.monotonic
        parsed: list[_Events]
        try:
            parsed = [parse(frame) for _, frame in frames]
        except Exception:  # noqa: BLE001 - each frame is tried again, and told of, by itself
            parsed = self._salvage(frames, now)
        decoded = monotonic()
        pairs = zip(frames, parsed, strict=True)
        while not self._apply(pairs, now):
            pass  # one failed: the others come after it
        done = monotonic()
        self._meter.processed((decoded - now) / len(frames), (done - decoded) / len(frames))
        return done

    def _apply(self, pairs: Iterator[tuple[_Frame, _Events]], now: float) -> bool:
        """Hand the events of frames over to their sinks; False when one failed, with more left."""
        routes, unknown = self._routes, 0
        frame = b""
        try:
            for (received, frame), events in pairs:  # noqa: B007 - to be told of below
                for event in events:
                    try:
                        watched, sink = routes[event.topic]  # type: ignore[union-attr]  # as below
                    except AttributeError:  # what has no topic is rare
                        self._control(event, now)  # type: ignore[arg-type]  # as below
                        continue
                    except KeyError:
                        unknown += 1
                        continue
                    watched.heard = now
                    sink(event, received)  # type: ignore[arg-type]  # it has a topic: it is Data
        except Exception as error:  # noqa: BLE001 - told of; no item may end the stream
            self._failed(frame, error, now, decoded=True)
            self.missed(self._topics(frame))  # the frame's other events, if not this one
            return False
        finally:
            if unknown:
                self._meter.unknown(unknown)
        return True

    def _salvage(self, frames: Sequence[_Frame], now: float) -> list[_Events]:
        """Decode frames of which at least one is bad or a hole, one by one."""
        parsed: list[_Events] = []
        for received, frame in frames:
            if is_hole(received):
                parsed.append((_Missed(tuple(self.session.watched)),))
                continue
            try:
                parsed.append(self._parse(frame))
            except Exception as error:  # noqa: BLE001 - as above
                events = salvage(self._parse, frame, error)
                if events is not None:
                    parsed.append(events)
                    self._complain(_FieldError(str(error)), now)
                    continue
                parsed.append((_Missed(self._topics(frame)),))
                self._failed(frame, error, now, decoded=False)
        return parsed

    def _failed(self, frame: bytes, error: Exception, now: float, *, decoded: bool) -> None:
        """Tell of a frame that came to nothing: by the venue's doing, or by a fault of ours."""
        if isinstance(error, ParseError):
            self._meter.unreadable(self._channel(frame))
        else:
            self._meter.faulted(decoded)
        self._meter.dead(frame, error)
        self._complain(error, now)

    def _channel(self, frame: bytes) -> Channel | None:
        """Guess the channel of a frame that cannot be read; None where there are several."""
        suspects = set(self._topics(frame))
        channels = {one.channel for one in self._subscriptions if one.topic in suspects}
        return channels.pop() if len(channels) == 1 else None

    def _topics(self, frame: bytes) -> tuple[str, ...]:
        """Guess whose a frame is that cannot be read: by a topic or a symbol in it, else all."""
        text = frame[:_NAMED_WITHIN] + frame[_NAMED_WITHIN:][-_NAMED_WITHIN:]
        named = [one for one in self._subscriptions if one.topic.encode() in text]
        if not named:
            text = text.lower()
            named = [one for one in self._subscriptions if one.symbol.lower().encode() in text]
            # Where topics are not on the wire, the channel may be: {"channel":"trade", ...
            named = [one for one in named if all(word in text for word in _words(one))] or named
        return tuple(dict.fromkeys(one.topic for one in named)) or tuple(self.session.watched)

    def _complain(self, error: Exception, now: float) -> None:
        kind = type(error)
        said, unsaid = self._complained.get(kind, (None, 0))
        unsaid += 1
        if said is None or now - said >= _COMPLAINT_EVERY:
            ours = not issubclass(kind, ParseError)
            log.log(
                logging.ERROR if ours else logging.WARNING,
                _UNREAD.get(kind, _FAILED),
                self._name,
                unsaid,
                str(error)[:200],
                exc_info=error if ours else None,
            )
            said, unsaid = now, 0
        self._complained[kind] = said, unsaid

    def _complain_request(self, reason: str) -> None:
        now = self._clock.monotonic()
        if self._refused is None or now - self._refused >= _COMPLAINT_EVERY:
            self._refused = now
            log.warning("stream_request_refused stream=%s reason=%r", self._name, reason[:200])

    def _control(self, event: Ack | Control | _Missed, now: float) -> None:
        if isinstance(event, _Missed):
            self.missed(event.topics)
        else:
            if isinstance(event, Control) and event.missed:
                self.missed(tuple(self.session.watched))  # nobody knows whose they were
            self._actions += self.session.control(event, now)
            self._meter.control(event)

    async def watch(self) -> None:
        """Execute the session's due actions until the connection ends."""
        session, counts = self.session, dict[SubscriptionState, int]()
        while True:
            await self._act(session.tick(self._clock.monotonic()))
            if self.shown and counts != (now := dict(session.counts())):
                counts = now
                self._meter.subscriptions(counts)
            wait = max(_FLOOR, session.wait(self._clock.monotonic()))
            due = self._clock.monotonic() + wait
            await self._clock.sleep(wait)
            if self._clock.monotonic() - due > STALLED:
                await self._clock.sleep(STALLED)  # what came while we stood still is read first

    async def _act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case SendFrame(frame):
                    await self.socket.send(
                        stamped(frame, self._clock.wall()) if self._timed else frame
                    )
                case Close(reason, detail):
                    raise ConnectionLostError(reason, detail)
                case Renew(detail):
                    log.info("stream_renewal stream=%s cause=%r", self._name, detail)
                    self.renew.set()
                case Revived(topic, silence):
                    log.warning(
                        "stream_subscription_stale stream=%s topic=%s silent_s=%.1f",
                        self._name,
                        topic,
                        silence,
                    )
                    self._meter.armed(topic)
                case TopicsRefused(topic, reason):
                    log.error(
                        "stream_subscription_refused stream=%s topic=%s reason=%r",
                        self._name,
                        topic,
                        reason[:200],
                    )
                case RequestRefused(reason):
                    self._complain_request(reason)


def _words(subscription: Subscription) -> list[bytes]:
    """Return the words of a topic beside its symbol, quoted as JSON and in lower case."""
    rest = subscription.topic.lower().replace(subscription.symbol.lower(), " ")
    return [b'"%b"' % word.encode() for word in re.findall(r"\w+", rest)]
