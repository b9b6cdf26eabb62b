"""A circuit breaker: stops calls that fail, then tries again with a bounded number of trials.

Pure: each step takes a `BreakerState` and gives the next one, with the circuit that was entered,
if any, so that the caller counts transitions. A permit must be released exactly once.
Source: M. Nygard, "Release It!", 2nd edition (2018), section 5.2; failure ratio and slow calls
after resilience4j's documentation, "CircuitBreaker", read 2025-01-15.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from random import random
from typing import NamedTuple

from exporter.model import Circuit

_SLICES = 10  # of the window; what is older than the window leaves a tenth of it at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """When to open, for how long, and what it takes to close. Durations in seconds.

    Any rule that is None is off. The n-th opening in a row lasts ``recovery * growth ** (n - 1)``,
    at most ``recovery_cap``, plus up to ``jitter`` times that.
    """

    failures: int | None = 5  # in a row
    ratio: float | None = None  # of the calls in the window that failed
    slow_ratio: float | None = None  # of the calls in the window that took `slow` or longer
    slow: float = 5.0
    window: float = 60.0
    minimum: int = 10  # calls in the window before a ratio means anything
    recovery: float = 15.0
    growth: float = 2.0
    recovery_cap: float = 300.0
    jitter: float = 0.1
    trials: int = 1  # at once while half-open, and successes needed to close

    def __post_init__(self) -> None:
        sound = (
            (self.failures is None or self.failures >= 1)
            and all(r is None or 0.0 < r <= 1.0 for r in (self.ratio, self.slow_ratio))
            and self.window > 0.0
            and self.minimum >= 1
            and 0.0 < self.recovery <= self.recovery_cap
            and self.growth >= 1.0
            and self.jitter >= 0.0
            and self.trials >= 1
        )
        if not sound:
            raise ValueError(f"expected sound bounds, got {self}")


class Slice(NamedTuple):
    """The calls that ended in one tenth of the window."""

    number: int
    calls: int
    failed: int
    slow: int


class Permit(NamedTuple):
    """The permission for one call. It counts only in the ``era`` in which it was given."""

    era: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """The state of a breaker. ``until`` is a monotonic time in seconds."""

    circuit: Circuit = Circuit.CLOSED
    era: int = 0  # rises with every transition, so that late answers judge nothing
    streak: int = 0  # failures in a row while closed
    slices: tuple[Slice, ...] = ()
    openings: int = 0  # in a row, without having closed in between
    until: float = 0.0  # when open: the time at which trials may begin
    running: int = 0  # trials given out and not yet given back
    passed: int = 0  # trials that succeeded


def acquire(
    state: BreakerState, now: float, rules: BreakerRules
) -> tuple[BreakerState, Permit | None, Circuit | None]:
    """Ask for leave to call. Gives the permit, or None, and the circuit entered, if any."""
    entered = None
    if state.circuit is Circuit.OPEN and now >= state.until:
        entered = Circuit.HALF_OPEN
        state = replace(state, circuit=entered, era=state.era + 1, running=0, passed=0)
    match state.circuit:
        case Circuit.CLOSED:
            return state, Permit(state.era), entered
        # Those that passed count too: `trials` calls in all until the verdict.
        case Circuit.HALF_OPEN if state.running + state.passed < rules.trials:
            return replace(state, running=state.running + 1), Permit(state.era), entered
    return state, None, entered


def release(
    state: BreakerState,
    permit: Permit,
    ok: bool | None,
    duration: float,
    now: float,
    rules: BreakerRules,
    chance: float,
) -> tuple[BreakerState, Circuit | None]:
    """Release a permit with the outcome of the call; ``ok`` None judges nothing (cancelled).

    ``duration`` in seconds; ``chance`` is drawn evenly from [0, 1). Gives the circuit entered.
    """
    if permit.era != state.era:
        return state, None
    if state.circuit is Circuit.HALF_OPEN:
        return _judge_trial(state, ok, duration, now, rules, chance)
    if ok is None:
        return state, None
    state = _count(state, ok, duration, now, rules)
    if _too_many(state, rules):
        return _open(state, now, rules, chance)
    return state, None


def _judge_trial(
    state: BreakerState,
    ok: bool | None,
    duration: float,
    now: float,
    rules: BreakerRules,
    chance: float,
) -> tuple[BreakerState, Circuit | None]:
    state = replace(state, running=state.running - 1)
    if ok is None:
        return state, None
    if not ok or (rules.slow_ratio is not None and duration >= rules.slow):
        return _open(state, now, rules, chance)
    if state.passed + 1 < rules.trials:
        return replace(state, passed=state.passed + 1), None
    return BreakerState(era=state.era + 1), Circuit.CLOSED


def _count(
    state: BreakerState, ok: bool, duration: float, now: float, rules: BreakerRules
) -> BreakerState:
    number = int(now / (rules.window / _SLICES))
    kept = tuple(s for s in state.slices if number - _SLICES < s.number <= number)
    last = Slice(number, 0, 0, 0)
    if kept and kept[-1].number == number:
        last, kept = kept[-1], kept[:-1]
    last = Slice(
        number, last.calls + 1, last.failed + (not ok), last.slow + (duration >= rules.slow)
    )
    return replace(state, streak=0 if ok else state.streak + 1, slices=(*kept, last))


def _too_many(state: BreakerState, rules: BreakerRules) -> bool:
    if rules.failures is not None and state.streak >= rules.failures:
        return True
    calls = sum(s.calls for s in state.slices)
    if calls < rules.minimum:
        return False
    failed = sum(s.failed for s in state.slices)
    slow = sum(s.slow for s in state.slices)
    return (rules.ratio is not None and failed >= rules.ratio * calls) or (
        rules.slow_ratio is not None and slow >= rules.slow_ratio * calls
    )


def _open(
    state: BreakerState, now: float, rules: BreakerRules, chance: float
) -> tuple[BreakerState, Circuit]:
    # 64 doublings reach any cap; a float power overflows at 1024.
    wait = min(rules.recovery_cap, rules.recovery * rules.growth ** min(state.openings, 64))
    opened = BreakerState(
        circuit=Circuit.OPEN,
        era=state.era + 1,
        openings=state.openings + 1,
        until=now + wait * (1.0 + rules.jitter * chance),
    )
    return opened, Circuit.OPEN


def trip(state: BreakerState) -> tuple[BreakerState, Circuit | None]:
    """Open by hand, until `reset`. Gives the circuit entered, None when it was open already."""
    entered = None if state.circuit is Circuit.OPEN else Circuit.OPEN
    return BreakerState(circuit=Circuit.OPEN, era=state.era + 1, until=inf), entered


def reset(state: BreakerState) -> tuple[BreakerState, Circuit | None]:
    """Close by hand and forget the past. Gives the circuit entered, None when it was closed."""
    entered = None if state.circuit is Circuit.CLOSED else Circuit.CLOSED
    return BreakerState(era=state.era + 1), entered


class Breaker:
    """The breaker of one endpoint: the machine above, with its chance and its listener.

    ``entered`` is told each transition. Not for threads: one event loop, and no step awaits.
    """

    def __init__(
        self,
        rules: BreakerRules,
        entered: Callable[[Circuit], None] = lambda circuit: None,
        chance: Callable[[], float] = random,
    ) -> None:
        self.state = BreakerState()
        self.rules = rules
        self._entered = entered
        self._chance = chance

    def acquire(self, now: float) -> Permit | None:
        """Ask for leave to call at ``now`` (monotonic seconds)."""
        self.state, permit, circuit = acquire(self.state, now, self.rules)
        self._tell(circuit)
        return permit

    def release(self, permit: Permit, ok: bool | None, duration: float, now: float) -> None:
        """Release the permit, once, with the outcome; None when there is none to judge by."""
        self.state, circuit = release(
            self.state, permit, ok, duration, now, self.rules, self._chance()
        )
        self._tell(circuit)

    def trip(self) -> None:
        """Open by hand, until `reset`."""
        self.state, circuit = trip(self.state)
        self._tell(circuit)

    def reset(self) -> None:
        """Close by hand."""
        self.state, circuit = reset(self.state)
        self._tell(circuit)

    def _tell(self, circuit: Circuit | None) -> None:
        if circuit is not None:
            self._entered(circuit)
