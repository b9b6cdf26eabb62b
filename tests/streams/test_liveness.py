"""Silence is told from a quiet market by what the subscription itself has done before."""

from __future__ import annotations

import random

import pytest

from exporter.streams.liveness import Liveness, Patience


def feed(live: Liveness, arrivals: list[float], until: float) -> list[float]:
    """Look once a second; return the moments at which it was called stale."""
    stale, last, pending = [], live.last, list(arrivals)
    for now in range(int(live.last) + 1, int(until) + 1):
        while pending and pending[0] <= now:
            last = pending.pop(0)
        if live.update(last, float(now)):
            stale.append(float(now))
    return stale


def test_busy_subscription_is_stale_at_the_floor() -> None:
    """Ten messages a second, then none: told after the floor, not after the ceiling."""
    live = Liveness(Patience(floor=5.0), last=1000.0)
    stale = feed(live, [1000.0 + i / 10 for i in range(1, 600)], 1100.0)
    assert stale[0] == pytest.approx(1065.0, abs=1.0)


def test_what_comes_on_subscribing_teaches_nothing() -> None:
    """The last trade is repeated at once, then a quiet market: no stricter than before it came."""
    live = Liveness(Patience(floor=5.0, ceiling=60.0), last=1000.0)
    assert feed(live, [1000.2], 1100.0)[0] == 1061.0


def test_silent_from_the_start_is_stale_at_the_ceiling() -> None:
    """Acknowledged, then nothing at all: told after the ceiling, counted from subscribing."""
    live = Liveness(Patience(ceiling=60.0), last=1000.0)
    assert feed(live, [], 1100.0)[0] == 1061.0


@pytest.mark.parametrize("mean", [2.0, 10.0, 20.0])
def test_a_quiet_healthy_symbol_is_never_called_stale(mean: float) -> None:
    """A day of random arrivals, seconds apart on average, raises no false alarm once learned."""
    chance = random.Random(7)
    now, arrivals = 1000.0, []
    while now < 1000.0 + 86_400:
        now += chance.expovariate(1 / mean)
        arrivals.append(now)
    assert feed(Liveness(Patience(), last=1000.0), arrivals, 87_000.0) == []


def test_what_was_learned_survives_a_reconnect() -> None:
    """After subscribing again the timer starts anew with the threshold already known."""
    live = Liveness(Patience(), last=1000.0)
    feed(live, [1000.0 + i for i in range(1, 100)], 1100.0)
    known = live.stale_after
    live.rearm(2000.0)
    assert live.stale_after == known < live.patience.ceiling
    assert not live.update(0.0, 2001.0)


def test_an_incident_teaches_little() -> None:
    """After four minutes of silence the next failure is still told within seconds, not minutes."""
    live = Liveness(Patience(), last=1000.0)
    feed(live, [1000.0 + i for i in range(1, 100)], 1100.0)
    known = live.stale_after
    feed(live, [1340.0 + i for i in range(100)], 1440.0)
    assert known < live.stale_after <= 1.5 * known


def test_a_market_that_becomes_quieter_is_learned() -> None:
    """After a few long silences they are known to be normal."""
    live = Liveness(Patience(), last=1000.0)
    feed(live, [1000.0 + i for i in range(1, 100)], 1100.0)
    stale = feed(live, [1100.0 + 30.0 * i for i in range(1, 40)], 2300.0)
    assert stale
    assert max(stale) < 1400.0
