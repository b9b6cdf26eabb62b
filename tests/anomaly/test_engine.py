"""Judging in the running program: reloads, restarts, and state that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from exporter import config as settings
from exporter import venues
from exporter.anomaly.engine import AnomalyEngine
from exporter.anomaly.incidents import IncidentRule
from exporter.anomaly.sampling import SIGNALS
from exporter.flow.dead_letters import nowhere
from exporter.flow.state_file import pack
from exporter.metrics.registry import Registry
from exporter.model import Probed, Reason
from exporter.probes.bans import Bans
from exporter.probes.context import Task
from exporter.runtime.anomalies import Anomalies
from exporter.runtime.local_health import Lateness
from exporter.runtime.runtime import Runtime
from exporter.signals import Change, Series, Verdict

RULE = IncidentRule(hold=2.0, clear=5.0)
LATENCY = Series("a", "probe_latency")


class Clock:
    """Both clocks, moved by hand; sleeping gives others a turn and no more."""

    def __init__(self) -> None:
        self.now = 1000.0

    def wall(self) -> float:
        return 1.7e9 + self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, duration: float) -> None:
        await asyncio.sleep(0)


def _judging(clock: Clock, *names: str) -> tuple[AnomalyEngine, list[Verdict]]:
    heard: list[Verdict] = []
    judging = AnomalyEngine(Registry(), clock, heard.extend)
    judging.follow(names, RULE, stale_after=60.0, baseline=True)
    return judging, heard


def _live(
    judging: AnomalyEngine,
    clock: Clock,
    ticks: int,
    latency: Callable[[int], float],
    exchange: str = "a",
) -> None:
    """Let a probe end every second, and judge; a negative latency is a failure."""

    async def live() -> None:
        for tick in range(ticks):
            clock.now += 1.0
            _probe(judging, clock, exchange, latency(tick))
            await judging.tick((), {})

    asyncio.run(live())


def _probe(judging: AnomalyEngine, clock: Clock, exchange: str, taken: float) -> None:
    judging.probed(
        Probed(
            exchange=exchange,
            endpoint="time",
            time=clock.wall(),
            duration=abs(taken),
            reason=None if taken >= 0.0 else Reason.READ_TIMEOUT,
        )
    )


def _parts(judging: AnomalyEngine) -> dict[str, list[bytes]]:
    parts: dict[str, list[bytes]] = {}
    for name, piece in judging.snapshot():
        parts.setdefault(name, []).append(piece)
    return parts


def _calm(tick: int) -> float:
    return 0.05 + 0.004 * float(np.random.default_rng(tick).random())


def test_a_step_is_heard_of_and_over_when_it_is_over() -> None:
    """One verdict opens it, one closes it; in between it is an incident, and counted once."""
    clock = Clock()
    judging, heard = _judging(clock, "a", "b")
    _live(judging, clock, 300, _calm)
    assert not heard
    _live(judging, clock, 60, lambda tick: 0.9 + _calm(tick))
    opened = [one for one in heard if one.series == LATENCY]
    assert opened[0].change is Change.OPENED
    assert LATENCY in {one.series for one in judging.incidents}
    _live(judging, clock, 120, _calm)
    changes = [one.change for one in heard if one.series == LATENCY]
    assert (changes[0], changes[-1]) == (Change.OPENED, Change.CLOSED)
    assert not judging.incidents
    assert list(judging.recent) == heard


def test_a_reload_keeps_what_was_learnt_and_forgets_who_is_gone() -> None:
    """The exchange that stays is ready at once; the incident of the one that left is gone."""
    clock = Clock()
    judging, _ = _judging(clock, "a", "b")
    _live(judging, clock, 300, _calm)
    _live(judging, clock, 60, lambda tick: 0.9 + _calm(tick))
    assert judging.incidents
    judging.follow(("c", "a"), RULE, stale_after=60.0, baseline=False)
    _live(judging, clock, 1, _calm)
    assert judging.scores is not None
    place = judging.series.index(LATENCY)
    assert judging.scores.ready[:, place].all()
    assert judging.incidents
    judging.follow(("c",), RULE, stale_after=60.0, baseline=False)
    assert not judging.incidents
    judging.stop()
    assert judging.series == ()


def test_an_exchange_is_judged_by_signals_of_its_own() -> None:
    """What is off for one exchange is judged for the other; its sensitivity is its own."""
    clock = Clock()
    judging, heard = _judging(clock, "a", "b", "c")
    rest = [signal for signal in SIGNALS if not signal.name.startswith("probe_latency")]
    deaf = [replace(signal, effect=5.0) for signal in SIGNALS]
    names = ("a", "b", "c")
    judging.follow(names, RULE, stale_after=60.0, baseline=False, own={"b": rest, "c": deaf})

    def all_of_them(ticks: int, latency: Callable[[int], float]) -> None:
        for tick in range(ticks):
            for exchange in names:
                _probe(judging, clock, exchange, latency(tick))
            _live(judging, clock, 1, lambda _: latency(tick))  # noqa: B023 - called at once

    all_of_them(300, _calm)
    all_of_them(60, lambda tick: 0.9 + _calm(tick))
    assert {one.series.exchange for one in heard} == {"a"}
    assert judging.scores is not None
    assert not judging.scores.measured[judging.series.index(replace(LATENCY, exchange="b"))]
    assert judging.scores.measured[judging.series.index(replace(LATENCY, exchange="c"))]


def test_a_signal_may_be_judged_for_one_exchange_alone() -> None:
    """What is off for all but one is sampled, and a gap for the others."""
    clock = Clock()
    judging, _ = _judging(clock, "a", "b")
    rest = [signal for signal in SIGNALS if not signal.name.startswith("probe_latency")]
    judging.follow(
        ("a", "b"), RULE, stale_after=60.0, baseline=False, signals=rest, own={"b": SIGNALS}
    )
    for exchange in ("a", "b"):
        _live(judging, clock, 2, _calm, exchange)
        assert judging.scores is not None
        measured = judging.scores.measured[
            judging.series.index(replace(LATENCY, exchange=exchange))
        ]
        assert measured == (exchange == "b")


def test_a_restart_in_the_middle_of_an_incident_changes_nothing() -> None:
    """It is over for both, the one that was restarted and the one that was not, and said once."""
    clock = Clock()
    judging, heard = _judging(clock, "a")
    _live(judging, clock, 300, _calm)
    _live(judging, clock, 60, lambda tick: 0.9 + _calm(tick))
    again, heard_again = _judging(clock, "a")
    again.restore(_parts(judging))
    # As text: a bound that does not exist is NaN, which equals nothing.
    assert repr(list(again.incidents)) == repr(list(judging.incidents))
    assert repr(again.recent) == repr(judging.recent)
    before, start = len(heard), clock.now
    _live(judging, clock, 120, _calm)
    clock.now = start
    _live(again, clock, 120, _calm)
    ends = {one.series: one.change for one in heard[before:]}
    assert {one.series: one.change for one in heard_again} == ends
    assert set(ends.values()) == {Change.CLOSED}
    assert not again.incidents


@pytest.mark.parametrize("part", ["detectors", "incidents", "open"])
def test_parts_that_are_torn_or_missing_are_refused_and_learning_goes_on(part: str) -> None:
    """Nothing of the rest is taken up."""
    clock = Clock()
    judging, _ = _judging(clock, "a")
    _live(judging, clock, 150, _calm)
    whole, taken = _parts(judging), clock.now
    again, _ = _judging(clock, "a")
    for broken in (
        {**whole, part: [whole[part][0][:-3]]},
        {k: v for k, v in whole.items() if k != part},
    ):
        with pytest.raises(ValueError, match=r".+"):
            again.restore(broken)
    _live(again, clock, 1, _calm)
    assert again.scores is not None
    assert not again.scores.ready.any()
    clock.now = taken
    assert pack(whole) == pack(_parts(judging))


def test_every_signal_of_the_closed_list_is_a_series_of_each_exchange() -> None:
    """But the event loop's lag, which is this process's own."""
    judging, _ = _judging(Clock(), "a", "b")
    own = Series("exporter", "loop_lag")
    assert set(judging.series) == {
        Series(exchange, signal.name) for exchange in "ab" for signal in SIGNALS[:-1]
    } | {own}
    assert SIGNALS[-1].name == "loop_lag"


class Program:
    """What ticks in the running program, of four exchanges; nothing is asked over a network."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.registry = clock, Registry()
        self.anomalies = Anomalies(self.registry, clock)
        self.anomalies.start = self._start
        self.force = Runtime(
            registry=self.registry,
            clock=clock,
            start=self._start,
            judging=self.anomalies.judging,
            lateness=Lateness(clock),
            bans=Bans(),
            post=nowhere,
        )

    def _start(self, task: Task) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(asyncio.sleep(0.0))

    async def begin(self) -> None:
        text = "exchanges: [{venue: okx, symbols: [BTC-USDT]}]"
        config = settings.read(text, "test", venues.names(), venues.load)
        several = (replace(config.exchanges[0], name=f"x{row}") for row in range(4))
        config = replace(config, exchanges=tuple(several))
        await self.force.change(config)
        await self.anomalies.follow(config)

    async def tick(self, number: int) -> None:
        """Let every exchange answer, half of them late from the 105th tick on; then judge."""
        self.clock.now = 1000.0 + number
        for row, exchange in enumerate(self.force.exchanges):
            late = 0.9 if number >= 105 and row % 2 else 0.0
            taken = _calm(1000 * number + row) + late
            done = Probed(
                exchange=exchange.name, endpoint="time", time=self.clock.wall(), duration=taken
            )
            self.anomalies.judging.probed(done)
        await self.anomalies.tick(self.force)

    async def end(self) -> None:
        await self.anomalies.stop()
        await self.force.close()


def test_a_photograph_asked_for_while_a_tick_runs_is_of_one_moment() -> None:
    """Whenever it is asked for, a restart from it gives the scores and verdicts of no restart."""

    async def tick_and_photograph(program: Program, number: int, turns: int) -> bool:
        """Return whether the tick was still at it when the snapshot was asked for."""
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(program.tick(number))
            for _ in range(turns):
                await asyncio.sleep(0)
            amid = not ticking.done()
            parts = await program.anomalies.snapshot()
        assert parts == await program.anomalies.snapshot()
        again = Program(program.clock)
        await again.begin()
        again.anomalies.restore(parts)
        # The windows of probes are not kept: both start with empty ones.
        number += 100
        for later in range(number, number + 2):
            await again.tick(later)
            await program.tick(later)
            one, other = again.anomalies.judging, program.anomalies.judging
            assert one.scores is not None
            assert other.scores is not None
            np.testing.assert_array_equal(one.scores.score, other.scores.score)
            assert repr(list(one.incidents)) == repr(list(other.incidents))
            assert repr(one.recent) == repr(other.recent)
        await again.end()
        return amid

    async def main() -> None:
        program = Program(Clock())
        await program.begin()
        for number in range(110):
            await program.tick(number)
        number, turns = 110, 1
        while await tick_and_photograph(program, number, turns):
            number, turns = number + 102, turns + 3
        assert turns > 9
        assert program.anomalies.judging.incidents
        await program.end()

    asyncio.run(main())
