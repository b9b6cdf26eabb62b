"""The breaker stops what fails, lets a counted few try, and judges by nothing stale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.flow.breaker import (
    Breaker,
    BreakerRules,
    BreakerState,
    Permit,
    acquire,
    release,
    reset,
    trip,
)
from exporter.model import Circuit

Acquire = Callable[
    [BreakerState, float, BreakerRules], tuple[BreakerState, Permit | None, Circuit | None]
]
Release = Callable[
    [BreakerState, Permit, bool | None, float, float, BreakerRules, float],
    tuple[BreakerState, Circuit | None],
]

RULES = st.builds(
    BreakerRules,
    failures=st.one_of(st.none(), st.integers(1, 5)),
    ratio=st.one_of(st.none(), st.floats(0.1, 1.0)),
    slow_ratio=st.one_of(st.none(), st.floats(0.1, 1.0)),
    slow=st.just(1.0),
    window=st.just(20.0),
    minimum=st.integers(1, 6),
    recovery=st.floats(1.0, 20.0),
    recovery_cap=st.floats(20.0, 60.0),
    growth=st.floats(1.0, 3.0),
    jitter=st.floats(0.0, 0.5),
    trials=st.integers(1, 4),
)
# What happens: time passes, somebody asks, one of those with a permit comes back (the number says
# which), somebody asks and comes back at once.
ACTIONS = ("wait", "ask", "good", "slow", "bad", "gone", "fail", "pass", "trip", "reset")
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.floats(0.0, 25.0)), max_size=80)


class BrokenPromiseError(AssertionError):
    """A promise of the machine was not kept."""


def promise(kept: bool, what: str) -> None:
    if not kept:
        raise BrokenPromiseError(what)


@dataclass
class Watcher:
    """Drives a machine and keeps its own, independent account of what it may do."""

    rules: BreakerRules
    acquire: Acquire = acquire
    release: Release = release
    state: BreakerState = field(default_factory=BreakerState)
    now: float = 100.0
    out: list[Permit] = field(default_factory=list)
    trials: int = 0  # given out in this half-open spell and not judged void
    opened: float = -inf
    spells: int = 0  # openings since it was last closed
    streak: int = 0
    ended: list[tuple[float, bool, bool]] = field(default_factory=list)  # while closed
    passed: int = 0
    manual: bool = False
    entered: list[Circuit] = field(default_factory=list)

    def transition(self, before: Circuit, told: Circuit | None) -> None:
        after = self.state.circuit
        promise((told is after) if after is not before else told is None, "a transition is told")
        if told is None:
            return
        self.entered.append(told)
        self.trials = self.passed = self.streak = 0
        self.ended = []
        if told is Circuit.OPEN:
            self.opened, self.spells = self.now, self.spells + 1
        if told is Circuit.CLOSED:
            self.spells, self.manual = 0, False

    def ask(self) -> None:
        before = self.state.circuit
        self.state, permit, told = self.acquire(self.state, self.now, self.rules)
        self.transition(before, told)
        match before:
            case Circuit.CLOSED:
                promise(permit is not None and told is None, "closed lets everyone through")
            case Circuit.OPEN:
                rules = self.rules
                least = min(rules.recovery_cap, rules.recovery * rules.growth ** (self.spells - 1))
                rested = self.now - self.opened
                if self.manual or rested < least - 1e-6:
                    promise(permit is None, "open lets nobody through before its time")
                elif rested > least * (1.0 + rules.jitter) + 1e-6:
                    promise(permit is not None, "open ends in time")
            case Circuit.HALF_OPEN:
                full = self.trials + self.passed >= self.rules.trials
                promise((permit is None) is full, "half-open gives out its trials, not one more")
        if permit is not None:
            self.out.append(permit)
            self.trials += self.state.circuit is Circuit.HALF_OPEN

    def back(self, index: int, ok: bool | None, duration: float) -> None:
        if not self.out:
            return
        permit = self.out.pop(index % len(self.out))
        stale = permit.era != self.state.era
        before, state = self.state.circuit, self.state
        self.state, told = self.release(self.state, permit, ok, duration, self.now, self.rules, 0.5)
        if stale:
            promise(self.state == state and told is None, "a late answer judges nothing")
            return
        if before is Circuit.CLOSED:
            self.judge_closed(ok, duration, told)
        else:
            self.judge_trial(ok, duration, told)
        self.transition(before, told)

    def judge_closed(self, ok: bool | None, duration: float, told: Circuit | None) -> None:
        if ok is None:
            promise(told is None, "an abandoned call judges nothing")
            return
        rules = self.rules
        self.streak = 0 if ok else self.streak + 1
        self.ended.append((self.now, ok, duration >= rules.slow))
        # The machine forgets in tenths, so the truth lies between the longer and shorter window.
        certain = rules.failures is not None and self.streak >= rules.failures
        possible = certain
        for span in (rules.window * 0.9, rules.window):
            calls = [call for call in self.ended if call[0] > self.now - span]
            bad = sum(1 for _, fine, _ in calls if not fine)
            slow = sum(1 for _, _, tardy in calls if tardy)
            possible |= len(calls) >= rules.minimum and (
                (rules.ratio is not None and bad >= rules.ratio * len(calls))
                or (rules.slow_ratio is not None and slow >= rules.slow_ratio * len(calls))
            )
        if certain:
            promise(told is Circuit.OPEN, "so many failures in a row open it")
        if self.ended[0][0] > self.now - rules.window * 0.9:
            promise((told is Circuit.OPEN) is possible, "the window decides exactly")

    def judge_trial(self, ok: bool | None, duration: float, told: Circuit | None) -> None:
        self.trials -= 1
        tardy = self.rules.slow_ratio is not None and duration >= self.rules.slow
        if ok is None:
            promise(told is None, "an abandoned trial judges nothing")
        elif not ok or tardy:
            promise(told is Circuit.OPEN, "a failed trial opens it again")
        else:
            self.passed += 1
            closing = self.passed >= self.rules.trials
            promise(told is (Circuit.CLOSED if closing else None), "all trials passed close it")

    def play(self, steps: list[tuple[str, float]]) -> None:
        for what, amount in steps:
            before = self.state.circuit
            match what:
                case "wait":
                    self.now += amount
                case "ask":
                    self.ask()
                case "fail" | "pass":
                    asked = len(self.out)
                    self.ask()
                    if len(self.out) > asked:
                        self.back(asked, what == "pass", 0.1)
                case "trip":
                    self.state, told = trip(self.state)
                    self.transition(before, told)
                    self.manual = True
                case "reset":
                    self.state, told = reset(self.state)
                    self.transition(before, told)
                    self.manual, self.streak, self.ended = False, 0, []
                case _:
                    ok = {"good": True, "slow": True, "bad": False, "gone": None}[what]
                    self.back(int(amount), ok, 2.0 if what == "slow" else 0.1)
            promise(len(self.state.slices) <= 11, "memory is bounded")
            promise(0 <= self.state.running <= self.rules.trials, "trials are counted right")


@settings(max_examples=300)
@given(rules=RULES, steps=STEPS)
def test_promises_hold_in_any_order_of_events(
    rules: BreakerRules, steps: list[tuple[str, float]]
) -> None:
    """Whoever comes when: bounded trials, timely recovery, exact thresholds, told transitions."""
    Watcher(rules).play(steps)


# --- by hand --------------------------------------------------------------------------------------


def fail(gate: Breaker, now: float, ok: bool | None = False, duration: float = 0.1) -> None:
    permit = gate.acquire(now)
    assert permit is not None
    gate.release(permit, ok, duration, now)


def test_opens_rests_longer_each_time_and_closes() -> None:
    """The rests of openings in a row grow up to the cap; closing starts them anew."""
    entered: list[Circuit] = []
    rules = BreakerRules(failures=2, recovery=10.0, growth=2.0, recovery_cap=35.0, jitter=0.0)
    gate = Breaker(rules, entered.append)
    fail(gate, 0.0)
    fail(gate, 0.0)
    now = 0.0
    for rest in (10.0, 20.0, 35.0, 35.0):
        assert gate.acquire(now + rest - 0.001) is None
        now += rest
        fail(gate, now)
    now += 35.0
    fail(gate, now, ok=True)
    assert gate.state.circuit is Circuit.CLOSED
    fail(gate, now)
    fail(gate, now)
    assert gate.acquire(now + 9.999) is None
    assert gate.acquire(now + 10.0) is not None
    assert entered == [Circuit.OPEN, Circuit.HALF_OPEN] * 5 + [
        Circuit.CLOSED,
        Circuit.OPEN,
        Circuit.HALF_OPEN,
    ]


def test_jitter_only_prolongs() -> None:
    """Breakers that opened together do not come back together, and none comes early."""
    rules = BreakerRules(failures=1, recovery=10.0, jitter=0.5)
    rests = []
    for chance in (0.0, 0.5, 0.999):
        gate = Breaker(rules, chance=lambda chance=chance: chance)  # type: ignore[misc]  # bound now
        fail(gate, 0.0)
        rests.append(gate.state.until)
    assert rests == pytest.approx([10.0, 12.5, 14.995])


def test_ratio_needs_a_minimum() -> None:
    """One failure of one call is no outage."""
    rules = BreakerRules(failures=None, ratio=0.5, minimum=4, window=60.0)
    gate = Breaker(rules)
    for now in (0.0, 1.0, 2.0):
        fail(gate, now)
        assert gate.state.circuit is Circuit.CLOSED
    fail(gate, 3.0, ok=True)
    assert gate.state.circuit is Circuit.OPEN


def test_old_failures_leave_the_window() -> None:
    """What failed a window ago no longer counts."""
    gate = Breaker(BreakerRules(failures=None, ratio=0.5, minimum=4, window=60.0))
    for now in (0.0, 0.0, 0.0):
        fail(gate, now)
    for now in (61.0, 62.0, 63.0, 64.0):
        fail(gate, now, ok=now > 61.0)
    assert gate.state.circuit is Circuit.CLOSED


def test_slow_success_counts_as_slow() -> None:
    """An endpoint that answers, but too slowly, is cut off too; a slow trial does not pass."""
    rules = BreakerRules(
        failures=None, slow_ratio=0.5, slow=2.0, minimum=4, recovery=5.0, jitter=0.0
    )
    gate = Breaker(rules)
    for duration in (0.1, 0.1, 3.0, 2.0):
        fail(gate, 0.0, ok=True, duration=duration)
    assert gate.state.circuit is Circuit.OPEN
    fail(gate, 5.0, ok=True, duration=2.5)
    assert gate.state.circuit is Circuit.OPEN


def test_manual_trip_stays_until_reset() -> None:
    """By hand means by hand: no clock closes it."""
    entered: list[Circuit] = []
    gate = Breaker(BreakerRules(), entered.append)
    gate.trip()
    gate.trip()
    assert gate.acquire(1e12) is None
    gate.reset()
    gate.reset()
    assert gate.acquire(0.0) is not None
    assert entered == [Circuit.OPEN, Circuit.CLOSED]


@pytest.mark.parametrize(
    "wrong",
    [
        {"failures": 0},
        {"ratio": 0.0},
        {"ratio": 1.1},
        {"slow_ratio": 2.0},
        {"window": 0.0},
        {"minimum": 0},
        {"recovery": 0.0},
        {"recovery": 301.0},
        {"growth": 0.9},
        {"jitter": -0.1},
        {"trials": 0},
    ],
)
def test_absurd_rules_are_refused(wrong: dict[str, Any]) -> None:
    """Rules that could never be meant do not start."""
    with pytest.raises(ValueError, match="expected sound bounds"):
        BreakerRules(**wrong)


# --- tests of the tests ---------------------------------------------------------------------------


def _one_trial_more(
    state: BreakerState, now: float, rules: BreakerRules
) -> tuple[BreakerState, Permit | None, Circuit | None]:
    return acquire(state, now, replace(rules, trials=rules.trials + 1))


def _open_too_early(
    state: BreakerState, now: float, rules: BreakerRules
) -> tuple[BreakerState, Permit | None, Circuit | None]:
    return acquire(replace(state, until=state.until * 0.98), now, rules)


def _trials_not_counted(
    state: BreakerState, now: float, rules: BreakerRules
) -> tuple[BreakerState, Permit | None, Circuit | None]:
    after, permit, entered = acquire(state, now, rules)
    return replace(after, running=state.running), permit, entered


def _silent_acquire(
    state: BreakerState, now: float, rules: BreakerRules
) -> tuple[BreakerState, Permit | None, Circuit | None]:
    after, permit, _ = acquire(state, now, rules)
    return after, permit, None


def _stale_counts(
    state: BreakerState, permit: Permit, *rest: Any
) -> tuple[BreakerState, Circuit | None]:
    return release(state, Permit(state.era), *rest)


def _trial_leaks(
    state: BreakerState, permit: Permit, ok: bool | None, *rest: Any
) -> tuple[BreakerState, Circuit | None]:
    return (state, None) if ok is None else release(state, permit, ok, *rest)


def _abandoned_fails(
    state: BreakerState, permit: Permit, ok: bool | None, *rest: Any
) -> tuple[BreakerState, Circuit | None]:
    return release(state, permit, bool(ok), *rest)


def _late_by_one(
    state: BreakerState,
    permit: Permit,
    ok: bool | None,
    duration: float,
    now: float,
    rules: BreakerRules,
    c: float,
) -> tuple[BreakerState, Circuit | None]:
    more = None if rules.failures is None else rules.failures + 1
    return release(state, permit, ok, duration, now, replace(rules, failures=more), c)


def _timer_not_reset(
    state: BreakerState, permit: Permit, *rest: Any
) -> tuple[BreakerState, Circuit | None]:
    after, entered = release(state, permit, *rest)
    if entered is Circuit.OPEN and state.circuit is Circuit.HALF_OPEN:
        after = replace(after, until=state.until)
    return after, entered


def _streak_survives_success(
    state: BreakerState, permit: Permit, *rest: Any
) -> tuple[BreakerState, Circuit | None]:
    after, entered = release(state, permit, *rest)
    if entered is None and state.circuit is Circuit.CLOSED:
        after = replace(after, streak=max(after.streak, state.streak))
    return after, entered


def _double_count(
    state: BreakerState, permit: Permit, *rest: Any
) -> tuple[BreakerState, Circuit | None]:
    after, entered = release(state, permit, *rest)
    if entered is None and after.circuit is Circuit.CLOSED:
        return release(after, permit, *rest)
    return after, entered


def _closes_on_first_success(
    state: BreakerState,
    permit: Permit,
    ok: bool | None,
    duration: float,
    now: float,
    rules: BreakerRules,
    c: float,
) -> tuple[BreakerState, Circuit | None]:
    return release(state, permit, ok, duration, now, replace(rules, trials=1), c)


MUTANTS: list[tuple[Acquire, Release]] = [
    (_one_trial_more, release),
    (_open_too_early, release),
    (_trials_not_counted, release),
    (_silent_acquire, release),
    (acquire, _stale_counts),
    (acquire, _trial_leaks),
    (acquire, _abandoned_fails),
    (acquire, _late_by_one),
    (acquire, _timer_not_reset),
    (acquire, _streak_survives_success),
    (acquire, _double_count),
    (acquire, _closes_on_first_success),
]


@pytest.mark.parametrize(
    ("ask", "give"), MUTANTS, ids=[f"{a.__name__}-{r.__name__}" for a, r in MUTANTS]
)
def test_broken_variants_are_caught(ask: Acquire, give: Release) -> None:
    """Each mistake that a reviewer would think of breaks a promise that is checked above."""

    with pytest.raises(BrokenPromiseError):
        _play(range(1000), ask, give)


def test_the_machine_itself_survives_the_same_runs() -> None:
    """What catches the mutants does not cry wolf."""
    _play(range(1000), acquire, release)


def _play(seeds: range, ask: Acquire, give: Release) -> None:
    for seed in seeds:
        rules, steps = _drawn(Random(seed))
        Watcher(rules, ask, give).play(steps)


def _drawn(chance: Random) -> tuple[BreakerRules, list[tuple[str, float]]]:
    """Draw a run with short rules, so that every state is met often."""
    rules = BreakerRules(
        failures=chance.choice([None, 1, 2, 3]),
        ratio=chance.choice([None, None, 0.5]),
        slow_ratio=chance.choice([None, None, 0.5]),
        slow=1.0,
        window=20.0,
        minimum=4,
        recovery=10.0,
        recovery_cap=40.0,
        jitter=chance.choice([0.0, 0.2]),
        trials=chance.choice([1, 2, 3]),
    )
    weights = (3, 3, 2, 1, 2, 1, 4, 2, 0.1, 0.1)
    names = chance.choices(ACTIONS, weights, k=80)
    return rules, [(name, chance.choice([0.5, 1.0, 9.9, 10.1, 20.5, 45.0])) for name in names]


def test_the_machine_is_a_function() -> None:
    """Chance and time come in as arguments alone: the same twice."""
    rules = BreakerRules(failures=1)
    state, permit, _ = acquire(BreakerState(), 5.0, rules)
    assert permit is not None
    first = release(state, permit, False, 0.1, 5.0, rules, 0.3)
    assert first == release(state, permit, False, 0.1, 5.0, rules, 0.3)
    assert first[0].until == pytest.approx(5.0 + 15.0 * 1.03)
