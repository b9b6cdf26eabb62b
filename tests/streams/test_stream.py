"""Streams over scripted sockets, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from itertools import pairwise

import pytest

from exporter.decoding import ParseError
from exporter.model import (
    Ack,
    Channel,
    Data,
    Event,
    Lost,
    Subscription,
    SubscriptionState,
)
from exporter.streams.stream import spread
from tests.fakes import FakeClock
from tests.streams import toy
from tests.streams.world import World

S = SubscriptionState


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
