"""Streams over scripted sockets, in virtual time."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Callable, Coroutine, Iterable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from exporter.contracts import Clock, ConnectionLostError, FetchFailedError, Prelude, Socket, Venue
from exporter.decoding import ParseError
from exporter.flow import backoff
from exporter.flow.rate_limit import Ban
from exporter.instrument import Product
from exporter.model import (
    Ack,
    Answer,
    Channel,
    Data,
    Event,
    Lost,
    Reason,
    Subscription,
    SubscriptionState,
    Trade,
)
from exporter.streams.admission import ConnectAdmission
from exporter.streams.connection import StreamListener
from exporter.streams.session import Timing
from exporter.streams.stream import Stream, spread
from exporter.venues import load
from tests.fakes import FakeClock, ScriptedSocket, Step, run_virtual
from tests.streams import toy

S = SubscriptionState
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


# --- the plain course -------------------------------------------------------------------------


def test_events_reach_the_sink_of_their_topic() -> None:
    """Connected, subscribed, acked, live: in the metrics and at the sinks."""
    world = World(("A", "B"))
    world.scripts = [[1.0, toy.trade("t.A", 1), toy.trade("t.B", 7), toy.trade("t.A", 2)]]
    world.play(5.0)
    assert world.events == [("t.A", 1), ("t.B", 7), ("t.A", 2)]
    assert world.of("attempted") == [True]
    assert world.of("connected") == [False, True, False]
    assert world.of("armed") == ["t.A", "t.B"]
    assert world.of("lost") == [Lost.SHUTDOWN]
    assert [type(event) for event in world.of("control")] == [Ack]
    assert world.sockets[0].closed


def test_states_follow_the_subscriptions() -> None:
    """What is asked for, acked and live is told apart at any time."""
    world = World(("A", "B"))
    world.scripts = [[3.0, toy.trade("t.A", 1)]]
    seen: list[Mapping[SubscriptionState, int]] = []

    async def look() -> None:
        for _ in range(2):
            await asyncio.sleep(2.0)
            seen.append(world.counts)
        await asyncio.sleep(1.0)
        seen.append(world.counts)

    world.play(6.0, look())
    assert seen[0] == {S.REQUESTED: 0, S.ACKED: 2, S.LIVE: 0, S.STALE: 0, S.REJECTED: 0}
    assert seen[-1] == {S.REQUESTED: 0, S.ACKED: 1, S.LIVE: 1, S.STALE: 0, S.REJECTED: 0}
    assert world.counts == {S.REQUESTED: 2, S.ACKED: 0, S.LIVE: 0, S.STALE: 0, S.REJECTED: 0}


def test_bad_frames_are_counted_and_dropped() -> None:
    """One unreadable frame costs itself only, and its channel is named."""
    world = World(("A",))
    bad = [b"{", b"\xff\xfe", b'{"trade": 5}', b"[" * 5000, b"null"]
    world.scripts = [[1.0, toy.trade("t.A", 1), *bad, toy.trade("t.A", 2)]]
    world.play(5.0)
    assert world.events == [("t.A", 1), ("t.A", 2)]
    assert world.of("unreadable") == [Channel.TRADES] * len(bad)
    assert world.of("lost") == [Lost.SHUTDOWN]


def test_no_item_ends_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    """What fails once it is decoded is told of with its frame; what came with it goes on."""
    world = World(("A",))
    take = world.take

    def sink(event: Data, received: float) -> None:
        take(event, received)
        if world.events[-1][1] == 2:
            raise ZeroDivisionError("a fault of ours")
        if world.events[-1][1] == 4:
            raise ParseError("levels that nobody can read")

    world.stream._sinks = {"t.A": sink}
    world.scripts = [[1.0, *(toy.trade("t.A", number) for number in range(1, 6))]]
    world.play(5.0)
    assert world.events == [("t.A", number) for number in range(1, 6)]
    assert world.of("faulted") == [True]
    assert world.of("unreadable") == [Channel.TRADES]
    assert world.of("dead") == [
        (toy.trade("t.A", 2), ZeroDivisionError),
        (toy.trade("t.A", 4), ParseError),
    ]
    assert world.of("lost") == [Lost.SHUTDOWN]
    told = [each for each in caplog.records if "stream_frames_failed" in each.message]
    assert [each.exc_info is not None for each in told] == [True]


def test_a_reader_with_a_fault_costs_its_frame_only() -> None:
    """A decoder of ours that breaks is no reason to reconnect."""

    def parse(frame: bytes) -> tuple[Event, ...]:
        if b'"x"' in frame:
            raise RecursionError("a fault of ours")
        return toy.VENUE.parse(frame)

    world = World(venue=toy.venue(parse=parse))
    world.scripts = [[1.0, toy.trade("t.A", 1), b'["x"]', toy.trade("t.A", 2)]]
    world.play(3.0)
    assert world.events == [("t.A", 1), ("t.A", 2)]
    assert world.of("faulted") == [False]
    assert world.of("dead") == [(b'["x"]', RecursionError)]


def test_an_unreadable_frame_of_a_mixed_stream_is_told_by_its_topic() -> None:
    """Where a stream carries two channels, the topic in the frame decides, else nobody knows."""
    mixed = toy.subscriptions("A") + toy.subscriptions("A", channel=Channel.QUOTES)
    world = World(subscriptions=mixed)
    world.scripts = [[1.0, b'{"broken": "q.A"}', b"nothing"]]
    world.play(5.0)
    assert world.of("unreadable") == [Channel.QUOTES, None]


def test_topics_that_nobody_asked_for_are_counted() -> None:
    """They have no sink and no label."""
    world = World()
    world.scripts = [[1.0, toy.trade("t.X", 1), toy.trade("t.A", 1)]]
    world.play(3.0)
    assert world.events == [("t.A", 1)]
    assert world.of("unknown") == [1]


def test_the_venues_own_compression_is_undone() -> None:
    """``decode`` runs before ``parse``, and what it cannot undo is unreadable."""

    def decode(frame: bytes) -> bytes:
        if not frame.startswith(b"!"):
            raise ParseError("no bang")
        return frame[1:]

    world = World(venue=toy.venue(decode=decode))
    world.answer = lambda frame: (b"!" + one for one in toy.obliging(frame))
    world.scripts = [[1.0, b"!" + toy.trade("t.A", 1), toy.trade("t.A", 2)]]
    world.play(3.0)
    assert world.events == [("t.A", 1)]
    assert world.of("unreadable") == [Channel.TRADES]


def test_the_venues_ping_is_answered() -> None:
    """A reply leaves at once."""
    world = World()
    world.scripts = [[1.0, toy.control(reply="pong")]]
    world.play(3.0)
    assert world.sockets[0].sent[-1] == "pong"


def test_a_frame_has_the_time_of_its_sending() -> None:
    """Where a venue wants it in requests; others may well speak of "$time" themselves."""
    for timed in (True, False):
        world = World(venue=toy.venue(timed=timed))
        world.scripts = [[1.0, toy.control(reply='["$time","$time_ms"]')]]
        world.play(3.0)
        said = json.loads(world.sockets[0].sent[-1])
        if timed:
            assert said[1] // 1000 == said[0]
        else:
            assert said == ["$time", "$time_ms"]


class BusyClock(FakeClock):
    """Virtual time in which work takes time: every look finds 0.1 ms gone."""

    looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return super().monotonic() + self.looks * 1e-4


def test_many_frames_leave_turns_to_others() -> None:
    """A batch that takes long is worked on in turns of about 1 ms, and none of it is lost."""
    world = World(clock=BusyClock())
    turns: list[int] = []

    def others() -> None:
        turns.append(len(world.events))
        if len(world.events) < 20_000:
            asyncio.get_running_loop().call_soon(others)

    async def watch() -> None:
        await asyncio.sleep(0.5)
        world.sockets[0].push(*(toy.trade("t.A", n) for n in range(20_000)))
        others()

    world.play(3.0, watch())
    assert world.events == [("t.A", n) for n in range(20_000)]
    worked = [b - a for a, b in pairwise(turns) if b > a]
    assert max(worked) <= 6 * 64
    assert sum(worked) == 20_000


# --- losing and regaining ---------------------------------------------------------------------


def test_a_lost_connection_is_made_again_and_everything_asked_for_anew() -> None:
    """The reason is counted, and the second connection subscribes like the first."""
    world = World(("A", "B"))
    world.scripts = [
        [1.0, toy.trade("t.A", 1), gone(Lost.SERVER_CLOSE)],
        [1.0, toy.trade("t.A", 9)],
    ]
    world.play(10.0)
    assert world.events == [("t.A", 1), ("t.A", 9)]
    assert world.of("lost") == [Lost.SERVER_CLOSE, Lost.SHUTDOWN]
    assert world.of("connected") == [False, True, False, True, False]
    assert world.of("armed") == ["t.A", "t.B"] * 2
    assert [json.loads(s.sent[0])["topics"] for s in world.sockets] == [["t.A", "t.B"]] * 2


def test_a_lost_connection_is_let_go_of_at_once() -> None:
    """Its buffers do not wait for the garbage collector to come round."""
    world = World()
    world.scripts = [[1.0, gone()]]
    left: list[bool] = []

    async def look() -> None:
        await asyncio.sleep(5.0)
        assert len(world.sockets) == 2
        dead = weakref.ref(world.sockets.pop(0))
        left.append(dead() is not None)

    gc.disable()
    try:
        world.play(10.0, look())
    finally:
        gc.enable()
    assert left == [False]


def test_waits_grow_to_the_cap_and_the_urls_take_turns() -> None:
    """A dead venue is asked ever more rarely, everywhere it can be."""
    world = World()
    world.scripts = [gone() for _ in range(7)]
    world.play(60.0)
    times = [time for time, _ in world.attempts]
    waits = [round(b - a) for a, b in pairwise(times)]
    assert waits == [1, 2, 4, 8, 8, 8, 8]
    assert [url for _, url in world.attempts][:3] == [
        "ws://one.example",
        "ws://two.example",
        "ws://one.example",
    ]
    assert world.of("attempted") == [False] * 7 + [True]


def test_a_dead_address_is_left_for_the_next_and_tried_again_later() -> None:
    """The first is preferred as soon as it has rested five minutes, at the next reconnect."""
    world = World()
    dead = gone()
    lives: list[Step] = [100.0, gone()]
    world.scripts = [dead, lives, lives, lives, lives, []]
    world.play(500.0)
    hosts = [url.removesuffix(".example") for _, url in world.attempts]
    assert hosts == ["ws://one", "ws://two", "ws://two", "ws://two", "ws://one", "ws://one"]
    assert world.stream.address == "ws://one.example"


def test_an_address_that_serves_no_streams_is_as_good_as_dead() -> None:
    """It answers, with 404 or a failure of its own; a refusal that is meant for us is none."""
    for status, second in ((404, "two"), (502, "two"), (403, "one")):
        world = World()
        refused = Answer(status=status, headers={}, body=b"", new_connection=True, phases={})
        world.scripts = [ConnectionLostError(Lost.NETWORK, "refused", answer=refused)]
        world.play(20.0)
        assert [url for _, url in world.attempts] == ["ws://one.example", f"ws://{second}.example"]


def test_a_connection_that_goes_deaf_is_made_elsewhere() -> None:
    """Nothing came through for as long as is allowed: that address has stopped serving."""
    world = World(stale_after=lambda topic: 20.0)
    world.scripts = [[30.0, toy.trade("t.A", 1)]]
    world.play(120.0)
    assert [url for _, url in world.attempts][:2] == ["ws://one.example", "ws://two.example"]


def test_a_stream_is_opened_where_its_class_of_markets_is_served() -> None:
    """Below whatever address, the last segment is that of the class; other addresses stay."""
    bybit = load("bybit")
    route = bybit.route(Channel.BOOK, Product.LINEAR)
    for base, url in (
        ("wss://stream.bybit.com/v5/public/spot", "wss://stream.bybit.com/v5/public/linear"),
        ("ws://127.0.0.1:1/bybit/v5/public/spot", "ws://127.0.0.1:1/bybit/v5/public/linear"),
        ("ws://127.0.0.1:1/feed", "ws://127.0.0.1:1/feed"),
    ):
        assert bybit.stream_url(base, route) == url
    okx = load("okx")
    route = okx.route(Channel.KLINES, Product.OPTION)
    assert okx.stream_url("wss://ws.okx.com/ws/v5", route) == "wss://ws.okx.com/ws/v5/business"


def test_only_ten_seconds_of_life_reset_the_backoff() -> None:
    """Accepted and dropped at once is no recovery."""
    world = World()
    world.scripts = [[gone()], [gone()], [gone()], [11.0, gone()], []]
    world.play(60.0)
    times = [time for time, _ in world.attempts]
    assert [round(b - a) for a, b in pairwise(times)] == [1, 2, 4, 12]
    assert world.attempts[-1][1] == "ws://two.example"  # which lived, where the other never did


def test_a_mute_connection_is_given_up() -> None:
    """Connected is not alive: nothing after two rounds of patience means idle."""
    world = World(stale_after=lambda topic: 20.0)
    world.scripts = [[1.0, toy.trade("t.A", 1)]]
    world.answer = lambda frame: toy.obliging(frame) if world.clock.monotonic() < 5 else ()
    world.play(45.0)
    assert world.of("lost") == [Lost.IDLE, Lost.SHUTDOWN]
    assert world.sockets[0].closed


def test_one_dead_topic_is_revived_alone() -> None:
    """The living topic keeps its connection while the dead one is asked for again."""
    world = World(("A", "B"), stale_after=lambda topic: 5.0)
    alive = [step for n in range(12) for step in (1.0, toy.trade("t.A", n))]
    world.scripts = [[toy.trade("t.B", 1), *alive]]

    def answer(frame: str) -> Iterable[bytes]:
        request = json.loads(frame)
        again = request["do"] == "join" and request["topics"] == ["t.B"]
        return (toy.ack(request["id"]), *((toy.trade("t.B", 2),) if again else ()))

    world.answer = answer
    world.play(11.0)
    assert [json.loads(f)["topics"] for f in world.sockets[0].sent] == [["t.A", "t.B"]] + [
        ["t.B"]
    ] * 2
    assert ("t.B", 2) in world.events
    assert len(world.sockets) == 1
    assert world.of("armed") == ["t.A", "t.B", "t.B"]


# --- the prelude ------------------------------------------------------------------------------


def _answer(status: int, body: bytes) -> Answer:
    return Answer(status=status, headers={}, body=body, new_connection=True, phases={})


def test_the_prelude_says_where_to_connect() -> None:
    """A token is fetched for every connection; without one there is no connection."""
    replies: list[Answer | FetchFailedError] = [
        _answer(503, b""),
        FetchFailedError(Reason.CONNECT_REFUSED),
        _answer(200, b"?"),
        _answer(200, b"ws://token.example"),
    ]
    asked: list[tuple[str, str]] = []

    async def fetch(method: str, url: str, **kwargs: object) -> Answer:
        asked.append((method, url))
        reply = replies.pop(0)
        if isinstance(reply, FetchFailedError):
            raise reply
        return reply

    def read(body: bytes) -> str:
        if body == b"?":
            raise ParseError("no token")
        return body.decode()

    prelude = Prelude(path="/bullet", method="POST", read=read)
    world = World(venue=toy.venue(prelude=prelude), fetch=fetch)
    world.play(20.0)
    assert asked == [("POST", "http://toy.example/bullet")] * 4
    assert [url for _, url in world.attempts] == ["ws://token.example"]
    assert world.of("attempted") == [False, False, False, True]


def test_a_prelude_needs_the_means_to_ask() -> None:
    """The mistake shows at the start, not at the first connection."""
    prelude = Prelude(path="/bullet", method="POST", read=lambda body: "")
    with pytest.raises(ValueError, match="asked over REST"):
        World(venue=toy.venue(prelude=prelude))


# --- the successor ----------------------------------------------------------------------------


def _numbers(first: int, last: int, every: float = 0.5) -> list[Step]:
    return [step for n in range(first, last) for step in (every, toy.trade("t.A", n))]


def test_a_planned_change_loses_nothing_and_repeats_nothing() -> None:
    """The second connection is open before the first is closed, and the numbers have no hole."""
    world = World(timing=Timing(lifetime=5.0))
    world.scripts = [_numbers(0, 100), _numbers(9, 30)]
    world.play(9.0)
    numbers = [number for _, number in world.events]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 12
    assert world.of("lost") == [Lost.PLANNED, Lost.SHUTDOWN]
    assert world.of("connected") == [False, True, True, False]
    assert world.of("armed") == ["t.A"]
    assert [socket.closed for socket in world.sockets] == [True, True]


def test_an_announced_disconnect_is_a_planned_change() -> None:
    """The venue says that it will close: the successor is there before it does."""
    world = World()
    world.scripts = [
        [*_numbers(0, 4), toy.control(reconnect=True), *_numbers(4, 10), gone(Lost.SERVER_CLOSE)],
        _numbers(4, 20),
    ]
    world.play(8.0)
    numbers = [number for _, number in world.events]
    assert numbers == list(range(len(numbers)))
    assert Lost.SERVER_CLOSE not in world.of("lost")


def test_a_successor_takes_over_when_the_old_one_dies_early() -> None:
    """Warming up or not, it is better than nothing, and what it held is not lost."""
    world = World(("A", "B"), timing=Timing(lifetime=5.0))
    world.scripts = [[*_numbers(0, 11), gone()], _numbers(10, 30)]
    world.play(9.0)
    numbers = [number for _, number in world.events]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 12
    assert world.of("lost")[0] is Lost.NETWORK
    assert len(world.attempts) == 2


def test_a_successor_that_fails_is_tried_again_and_the_old_one_goes_on() -> None:
    """Refused or dropped while it warms up: the events of the old one keep flowing."""
    world = World(timing=Timing(lifetime=5.0))
    world.scripts = [_numbers(0, 100), gone(), [0.2, gone()], _numbers(10, 60)]
    world.play(16.0)
    numbers = [number for _, number in world.events]
    assert numbers == list(range(len(numbers)))
    assert world.of("lost") == [Lost.PLANNED, Lost.SHUTDOWN]


def test_stopping_in_the_middle_of_a_change_closes_both() -> None:
    """No socket is left behind."""
    world = World(("A", "B"), timing=Timing(lifetime=5.0))
    world.scripts = [_numbers(0, 100), _numbers(10, 60)]
    world.play(7.0)
    assert [socket.closed for socket in world.sockets] == [True, True]
    assert world.of("lost") == [Lost.SHUTDOWN]


# --- spreading --------------------------------------------------------------------------------


def test_subscriptions_spread_evenly_within_the_venues_limit() -> None:
    """Twelve topics, at most five a connection: three of four."""
    wanted = toy.subscriptions(*(f"S{n}" for n in range(12)))
    parts = spread(wanted, toy.VENUE)
    assert [len(part) for part in parts] == [4, 4, 4]
    assert [one for part in parts for one in part] == wanted


def test_routes_are_kept_apart() -> None:
    """One connection has one path; channels of another path get their own."""
    venue = toy.venue(routes={Channel.QUOTES: "/quotes"})
    wanted = toy.subscriptions("A", "B") + toy.subscriptions("A", channel=Channel.QUOTES)
    parts = spread(wanted, venue)
    assert [[one.topic for one in part] for part in parts] == [["t.A", "t.B"], ["q.A"]]
    world = World(venue=venue, subscriptions=list(parts[1]))
    world.play(1.0)
    assert world.attempts[0][1] == "ws://one.example/quotes"


def test_channels_that_share_a_topic_stay_together() -> None:
    """One feed for two channels counts as one topic, asked for once."""
    venue = toy.venue(topics_per_connection=1)
    shared = [
        Subscription(exchange="toy", channel=channel, instrument="A", symbol="A", topic="t.A")
        for channel in (Channel.TRADES, Channel.BOOK)
    ]
    assert spread(shared, venue) == (tuple(shared),)
    world = World(subscriptions=shared)
    world.play(1.0)
    assert json.loads(world.sockets[0].sent[0])["topics"] == ["t.A"]


def test_no_subscriptions_need_no_connection() -> None:
    """Nothing asked, nothing opened."""
    assert spread([], toy.VENUE) == ()
