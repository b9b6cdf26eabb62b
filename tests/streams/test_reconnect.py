"""A stream that loses its connection: backoff, other addresses, preludes, planned changes."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Iterable
from itertools import pairwise

import pytest

from exporter.contracts import ConnectionLostError, FetchFailedError, Prelude
from exporter.decoding import ParseError
from exporter.instrument import Product
from exporter.model import (
    Answer,
    Channel,
    Lost,
    Reason,
)
from exporter.streams.session import Timing
from exporter.venues import load
from tests.fakes import Step
from tests.streams import toy
from tests.streams.world import World, gone

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
    route = bybit.route(Channel.BOOK, Product.LINEAR, "BTCUSDT")
    for base, url in (
        ("wss://stream.bybit.com/v5/public/spot", "wss://stream.bybit.com/v5/public/linear"),
        ("ws://127.0.0.1:1/bybit/v5/public/spot", "ws://127.0.0.1:1/bybit/v5/public/linear"),
        ("ws://127.0.0.1:1/feed", "ws://127.0.0.1:1/feed"),
    ):
        assert bybit.stream_url(base, route) == url
    okx = load("okx")
    route = okx.route(Channel.KLINES, Product.OPTION, "BTC-USD")
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
