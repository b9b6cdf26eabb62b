"""Rate limits: never more weight than a venue allows, and of that only a configured share.

Limits are pure: each `take` gives the next state and how long to wait, where zero means taken.
They count in whole nanoseconds and whole weights: sums of floats drift, integers do not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import ceil, floor

from exporter.contracts import Clock

_NANOS = 1_000_000_000
_SLICES = 60  # of a sliding window


def _nanos(seconds: float) -> int:
    return floor(seconds * _NANOS)


def _seconds(nanos: int) -> float:
    # A microsecond on top, the resolution of a float after a century of uptime: a waiter must
    # never come back just too early, and wait again.
    return (nanos + 1000) / _NANOS


def _check(limit_weight: int, window: float, weight: int = 1) -> None:
    if limit_weight < 1 or window <= 0.0:
        raise ValueError(f"expected a limit above zero, got {limit_weight} in {window} s")
    if not 1 <= weight <= limit_weight:
        raise ValueError(f"expected a weight of 1 to {limit_weight}, got {weight}")


@dataclass(frozen=True, slots=True)
class Bucket:
    """The state of a token bucket: weight times the window's nanoseconds, as of ``at``."""

    level: int
    at: int  # nanoseconds


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """``weight`` at once, refilled evenly over ``window`` seconds.

    In any span of t seconds at most ``weight * (1 + t / window)`` are taken: twice the weight in
    the worst window. For limits that the venue keeps the same way; else `SlidingWindow`.
    """

    weight: int
    window: float

    def __post_init__(self) -> None:
        _check(self.weight, self.window)

    def start(self, now: float) -> Bucket:
        """Return a full bucket."""
        return Bucket(self.weight * _nanos(self.window), _nanos(now))

    def take(self, state: Bucket, weight: int, now: float) -> tuple[Bucket, float]:
        """Take ``weight`` at ``now`` (seconds), or give the seconds until it may be had."""
        _check(self.weight, self.window, weight)
        at, full = max(_nanos(now), state.at), self.weight * _nanos(self.window)
        level = min(full, state.level + (at - state.at) * self.weight)
        missing = weight * _nanos(self.window) - level
        if missing > 0:
            return Bucket(level, at), _seconds(-(-missing // self.weight))
        return Bucket(-missing, at), 0.0


@dataclass(frozen=True, slots=True)
class WindowState:
    """What was taken in the slices of a window: (slice number, weight), oldest first."""

    taken: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """At most ``weight`` in any ``window`` seconds, wherever the window is laid.

    Kept in slices of a sixtieth, each forgotten only when all of it is out of the window: bounded
    memory for at most a sixtieth of lost capacity, and never one too many.
    """

    weight: int
    window: float
    _slice: int = field(init=False, repr=False, compare=False)  # nanoseconds

    def __post_init__(self) -> None:
        _check(self.weight, self.window)
        object.__setattr__(self, "_slice", max(1, ceil(self.window * _NANOS / _SLICES)))

    def start(self, now: float) -> WindowState:
        """Return an untouched window."""
        return WindowState()

    def take(self, state: WindowState, weight: int, now: float) -> tuple[WindowState, float]:
        """Take ``weight`` at ``now`` (seconds), or give the seconds until it may be had."""
        _check(self.weight, self.window, weight)
        number = _nanos(now) // self._slice
        if state.taken:
            number = max(number, state.taken[-1][0])
        kept = self._kept(state, number)
        free = self.weight - sum(taken for _, taken in kept)
        if weight > free:
            missing = weight - free
            for oldest, taken in kept:
                missing -= taken
                if missing <= 0:
                    gone = (oldest + _SLICES + 1) * self._slice
                    return WindowState(kept), _seconds(gone - _nanos(now))
        if kept and kept[-1][0] == number:
            return WindowState((*kept[:-1], (number, kept[-1][1] + weight))), 0.0
        return WindowState((*kept, (number, weight))), 0.0

    def used(self, state: WindowState, now: float) -> int:
        """Return the weight that still counts at ``now`` (seconds)."""
        if not state.taken:
            return 0
        oldest = _nanos(now) // self._slice - _SLICES
        return sum([taken for number, taken in state.taken if number >= oldest])

    def _kept(self, state: WindowState, number: int) -> tuple[tuple[int, int], ...]:
        return tuple(entry for entry in state.taken if entry[0] >= number - _SLICES)


# --- a venue's budget ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitRules:
    """A documented limit of ``weight`` per ``window`` seconds, and how much of it is for us.

    ``share`` is ours even when nobody else uses the rest: the desk that trades from the same
    address must find it there; yet one request of the ``heaviest`` weight must always fit.
    ``ceiling`` is where we stop whoever used it, as the venue counts.
    """

    weight: int
    window: float
    share: float = 0.1
    heaviest: int = 1
    ceiling: float = 0.9
    ours: SlidingWindow = field(init=False, repr=False, compare=False)  # our share, as a limit

    def __post_init__(self) -> None:
        _check(self.weight, self.window, self.heaviest)
        if not (0.0 < self.share <= 1.0 and 0.0 < self.ceiling <= 1.0):
            raise ValueError(f"expected shares above 0 and up to 1, got {self}")
        ours = SlidingWindow(max(self.heaviest, floor(self.weight * self.share)), self.window)
        object.__setattr__(self, "ours", ours)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitState:
    """Our own count, and what the venue last said that the whole address has used."""

    ours: WindowState = WindowState()
    told: int = 0  # weight used by everyone, as the venue says
    told_until: float = 0.0  # monotonic: when that has left the window at the latest
    since: int = 0  # our own weight taken after it said so


def take(
    state: RateLimitState, weight: int, now: float, rules: RateLimitRules
) -> tuple[RateLimitState, float]:
    """Take ``weight`` at ``now`` (monotonic), or give the seconds until asking again makes sense.

    Raises ValueError for a weight beyond our share: it could never be had.
    """
    if state.told_until <= now:
        state = replace(state, told=0, since=0)
    elif state.told + state.since + weight > rules.weight * rules.ceiling:
        return state, state.told_until - now
    ours, wait = rules.ours.take(state.ours, weight, now)
    taken = 0 if wait else weight
    return replace(state, ours=ours, since=state.since + taken), wait


def reconcile(
    state: RateLimitState, used: int, now: float, rules: RateLimitRules
) -> RateLimitState:
    """Note what the venue says is used in its current window. A lower figure is believed too.

    The venue counted whatever had reached it; what is still under way is counted again, on the
    safe side, by our own window.
    """
    return replace(state, told=max(0, used), told_until=now + rules.window, since=0)


def used_ratio(state: RateLimitState, now: float, rules: RateLimitRules) -> float:
    """Return the used part of the venue's whole limit, by its count or by ours, the greater."""
    told = state.told + state.since if now < state.told_until else 0
    return max(told, rules.ours.used(state.ours, now)) / rules.weight


class Ban:
    """The end of a ban by one exchange; each exchange has one, whatever its limits.

    Kept in wall time, because it outlives this process.
    """

    def __init__(
        self,
        clock: Clock,
        until: float = 0.0,
        on_ban: Callable[[float], None] = lambda until: None,
    ) -> None:
        """Prepare; ``on_ban`` hears until when a new ban lasts, to be kept somewhere safe."""
        self.until = until  # epoch seconds
        self._clock, self._on_ban = clock, on_ban

    def ban(self, duration: float) -> None:
        """Send no request for ``duration`` seconds; a later ban never shortens an earlier one."""
        until = self._clock.wall() + duration
        if until > self.until:
            self.until = until
            self._on_ban(until)

    def left(self) -> float:
        """Return the remaining seconds, zero or less without a ban."""
        return self.until - self._clock.wall()

    def admit(self, weight: int = 1) -> bool:
        """Return whether a request may be sent now, whatever its weight."""
        return self.left() <= 0.0

    async def wait_acquired(self, weight: int, timeout: float) -> None:
        """Wait for its end. Raises TimeoutError at once when that is ``timeout`` seconds away."""
        while (left := self.left()) > 0.0:
            if left > timeout:
                raise TimeoutError
            await self._clock.sleep(left)


class RateBudget:
    """One limit of one exchange, shared by all that ask it: probes at once, others in line.

    Those in line are served in order of coming; whoever is cancelled or too late leaves the line
    without holding it up. While the exchange's ``banned`` lasts, nobody is served.
    """

    def __init__(self, rules: RateLimitRules, clock: Clock, banned: Ban | None = None) -> None:
        self.rules = rules
        self.state = RateLimitState()
        self.banned = banned or Ban(clock)
        self._clock = clock
        self._line = asyncio.Lock()  # the standard library's lock is fair, and safe to cancel

    def admit(self, weight: int = 1) -> bool:
        """Take ``weight`` now or not at all. Nobody overtakes those who wait in line."""
        return not self._line.locked() and self._take(weight) == 0.0

    async def wait_acquired(self, weight: int, timeout: float) -> None:
        """Take ``weight`` in turn. Raises TimeoutError when that takes ``timeout`` seconds."""
        async with asyncio.timeout(timeout), self._line:
            while (wait := self._take(weight)) > 0.0:
                await self._clock.sleep(wait)

    def reconcile(self, used: int) -> None:
        """Note the used weight that the venue's answer names."""
        self.state = reconcile(self.state, used, self._clock.monotonic(), self.rules)

    def ban(self, duration: float) -> None:
        """Have the whole exchange asked for nothing for ``duration`` seconds."""
        self.banned.ban(duration)

    def used_ratio(self) -> float:
        """Return the used part of the venue's whole limit."""
        return used_ratio(self.state, self._clock.monotonic(), self.rules)

    def _take(self, weight: int) -> float:
        if (banned := self.banned.left()) > 0.0:
            return banned
        self.state, wait = take(self.state, weight, self._clock.monotonic(), self.rules)
        return wait
