"""Attempts to connect: what the venue's refusals, bans and limits leave of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from exporter import config as settings
from exporter import venues
from exporter.contracts import Clock, ConnectionLostError, Prelude, Venue
from exporter.flow.rate_limit import Ban, RateBudget, RateLimitRules
from exporter.model import Answer, Lost
from exporter.streams.admission import ConnectAdmission
from tests.fakes import FakeClock, run_virtual
from tests.streams import toy
from tests.streams.world import World

EPOCH = 1_700_000_000.0


def answer(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
    return Answer(status=status, headers=headers or {}, body=body, new_connection=True, phases={})


def refusal(status: int, body: bytes = b"", **headers: str) -> ConnectionLostError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ConnectionLostError(Lost.NETWORK, f"HTTP {status}", answer=answer(status, named, body))


def admission(venue: Venue, clock: Clock) -> ConnectAdmission:
    """Return what the running program makes of a venue's limits."""
    ban, rules = Ban(clock), settings.connection_rules(venue)
    return ConnectAdmission(
        exchange=venue.name,
        clock=clock,
        ban=ban,
        attempts=None if rules is None else RateBudget(rules, clock, ban),
        fault=venue.fault,
    )


def tries(world: World, seconds: float) -> list[float]:
    """Say when a stream tried to connect within some seconds."""
    world.play(seconds)
    return [at for at, _ in world.attempts]


def test_a_refused_handshake_is_not_tried_again_before_its_time() -> None:
    """HTTP 429 with Retry-After 30: three tries in 75 s, where backoff alone made thirteen."""
    world = World()
    world.scripts = [refusal(429, retry_after="30")] * 100
    assert tries(world, 75.0) == pytest.approx([0.0, 30.0, 60.0], abs=0.1)
    assert world.admission.ban.until == pytest.approx(EPOCH + 90.0)


@pytest.mark.parametrize(
    ("name", "status", "body", "headers", "rests"),
    [
        ("binance", 429, b"", {}, 30.0),
        ("binance", 418, b"", {"retry_after": "300"}, 300.0),
        ("binance", 418, b"", {}, 120.0),
        ("binance", 403, b"", {}, 30.0),
        ("bybit", 403, b"access too frequent", {"retry_after": "600"}, 600.0),
        ("kraken", 429, b"", {"retry_after": "Tue, 14 Nov 2023 22:14:20 GMT"}, 60.0),
    ],
)
def test_a_refusal_means_what_it_means_over_rest(
    name: str, status: int, body: bytes, headers: dict[str, str], rests: float
) -> None:
    """The exchange as a whole is left alone, by probes and by its other streams."""
    venue = venues.load(name)
    world = World(admission=lambda clock: admission(venue, clock))
    world.scripts = [refusal(status, body, **headers)]
    tries(world, 1.0)
    assert world.admission.ban.until - EPOCH == pytest.approx(rests, abs=0.1)


@pytest.mark.parametrize("name", venues.names())
@pytest.mark.parametrize("body", [b"", b"<html>Too Many Requests</html>", b"{}", b'{"code":0}'])
def test_every_venue_is_left_alone_for_as_long_as_it_says(name: str, body: bytes) -> None:
    """HTTP 429 with Retry-After on the way to a stream, whatever the body says besides."""
    venue = venues.load(name)
    world = World(admission=lambda clock: admission(venue, clock))
    world.scripts = [refusal(429, body, retry_after="30")] * 100
    assert tries(world, 75.0) == pytest.approx([0.0, 30.0, 60.0], abs=0.1)
    assert world.admission.ban.until == pytest.approx(EPOCH + 90.0)


def test_a_503_that_names_its_time_holds_only_who_asked() -> None:
    """One address may be overloaded while the others serve."""
    world = World()
    world.scripts = [refusal(503, retry_after="20")] * 9
    assert tries(world, 45.0) == pytest.approx([0.0, 20.0, 40.0], abs=0.1)
    assert world.admission.ban.until == 0.0


def test_a_ban_by_anybody_holds_the_streams() -> None:
    """What a probe was told counts here."""
    world = World()
    world.scripts = [ConnectionLostError(Lost.NETWORK, "gone")] * 100

    async def ban() -> None:
        await asyncio.sleep(10.0)
        world.admission.ban.ban(300.0)

    world.play(330.0, ban())
    at = [at for at, _ in world.attempts]
    assert [one for one in at if 10.0 < one < 310.0] == []
    assert [one for one in at if one >= 310.0]


@pytest.mark.parametrize(
    ("name", "most", "window"), [("binance", 300, 300.0), ("coinbase", 8, 1.0), ("okx", 3, 1.0)]
)
def test_attempts_of_all_streams_stay_within_the_venue_s_limit(
    name: str, most: int, window: float
) -> None:
    """However many streams, and however often they fail: never more than the documented number."""
    venue = venues.load(name)

    async def main() -> list[float]:
        clock = FakeClock()
        shared = admission(venue, clock)
        worlds = [World(clock=clock, admission=lambda _: shared) for _ in range(40)]
        for world in worlds:
            world.scripts = [ConnectionLostError(Lost.NETWORK, "gone")] * 10_000
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(world.stream.run()) for world in worlds]
            await asyncio.sleep(700.0)
            for task in running:
                task.cancel()
        return sorted(at for world in worlds for at, _ in world.attempts)

    at = run_virtual(main())
    within = [
        sum(1 for other in at if begun <= other < begun + window) for begun in dict.fromkeys(at)
    ]
    assert most * 0.3 <= max(within) <= most


@dataclass
class Token:
    """A venue that is asked for a token, what it answers, and when it was asked."""

    answer: Answer
    clock: FakeClock = field(default_factory=FakeClock)
    asked: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        rules = RateLimitRules(weight=100, window=600.0, share=0.3, heaviest=10)
        self.budget = RateBudget(rules, self.clock)

    async def fetch(self, *_: object, **__: object) -> Answer:
        self.asked.append(self.clock.monotonic())
        return self.answer

    def admission(self, clock: Clock) -> ConnectAdmission:
        return ConnectAdmission(
            exchange="kucoin",
            clock=clock,
            ban=Ban(clock),
            requests=(self.budget,),
            fault=venues.load("kucoin").fault,
        )

    def play(self, seconds: float) -> World:
        prelude = Prelude(path="/bullet", method="POST", read=lambda body: "ws://x", weight=10)
        venue = toy.venue(prelude=prelude, fault=venues.load("kucoin").fault)
        world = World(venue=venue, clock=self.clock, fetch=self.fetch, admission=self.admission)
        world.play(seconds)
        return world


@pytest.mark.parametrize(
    "refused",
    [
        answer(429, {"retry-after": "30"}),
        answer(200, {"retry-after": "30"}, b'{"code":"429000","msg":"too many"}'),
    ],
)
def test_what_is_asked_before_the_handshake_counts_as_well(refused: Answer) -> None:
    """KuCoin's token: its refusal is a ban, whatever the HTTP status."""
    token = Token(refused)
    world = token.play(75.0)
    assert token.asked == pytest.approx([0.0, 30.0, 60.0], abs=0.1)
    assert world.attempts == []


def test_each_question_for_a_token_costs_its_weight() -> None:
    """Of the limits that probes share: thirty of weight are three questions, then it waits."""
    token = Token(answer(500))
    token.play(500.0)
    assert len(token.asked) == 3
