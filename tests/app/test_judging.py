"""Judging in the running program: reloads, restarts, and state that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from exporter.app.bundle import pack
from exporter.app.judging import Judging
from exporter.app.sampling import SIGNALS
from exporter.detectors.judge import Rule
from exporter.metrics.registry import Registry
from exporter.model import Change, Probed, Reason, Series, Verdict

RULE = Rule(hold=2.0, clear=5.0)
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


def _judging(clock: Clock, *names: str) -> tuple[Judging, list[Verdict]]:
    heard: list[Verdict] = []
    judging = Judging(Registry(), clock, heard.extend)
    judging.follow(names, RULE, stale_after=60.0, baseline=True)
    return judging, heard


def _live(
    judging: Judging, clock: Clock, ticks: int, latency: Callable[[int], float], exchange: str = "a"
) -> None:
    """Let a probe end every second, and judge; a negative latency is a failure."""

    async def live() -> None:
        for tick in range(ticks):
            clock.now += 1.0
            taken = latency(tick)
            judging.probed(
                Probed(
                    exchange=exchange,
                    endpoint="time",
                    time=clock.wall(),
                    duration=abs(taken),
                    reason=None if taken >= 0.0 else Reason.READ_TIMEOUT,
                )
            )
            await judging.tick((), {})

    asyncio.run(live())


def _parts(judging: Judging) -> dict[str, list[bytes]]:
    parts: dict[str, list[bytes]] = {}
    for name, piece in judging.photograph():
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
