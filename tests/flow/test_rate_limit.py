"""Never more than the limit, our share of it, in fair order, and never lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.flow.rate_limit import (
    Bucket,
    RateLimitRules,
    RateLimitState,
    SlidingWindow,
    TokenBucket,
    WindowState,
    reconcile,
    take,
    used_ratio,
)

WAITS_AND_WEIGHTS = st.lists(
    st.tuples(st.floats(0.0, 30.0), st.integers(1, 12)), min_size=1, max_size=120
)


class BrokenPromiseError(AssertionError):
    """A promise of a limit was not kept."""


def promise(kept: bool, what: str) -> None:
    if not kept:
        raise BrokenPromiseError(what)


# --- the sliding window ---------------------------------------------------------------------------

WindowTake = Callable[[SlidingWindow, WindowState, int, float], tuple[WindowState, float]]


def window_promises(
    limit: SlidingWindow,
    asks: list[tuple[float, int]],
    taking: WindowTake = SlidingWindow.take,
    start: float = 1e6,
) -> None:
    """Play the asks against the definition of a sliding window, kept as a plain list."""
    state, now, taken = limit.start(start), start, list[tuple[float, int]]()
    slack = limit.window / 60.0
    for wait, weight in asks:
        now += wait
        weight = min(weight, limit.weight)
        state, rest = taking(limit, state, weight, now)
        lasting = [(t, w) for t, w in taken if t > now - limit.window]
        lately = [(t, w) for t, w in taken if t > now - limit.window - 2 * slack]
        if rest == 0.0:
            taken.append((now, weight))
            promise(sum(w for _, w in lasting) + weight <= limit.weight, "never more in any window")
        else:
            promise(sum(w for _, w in lately) + weight > limit.weight, "refuses only when full")
            promise(0.0 < rest <= limit.window + 2 * slack, "the wait is bounded")
            _, again = taking(limit, state, weight, now + rest)
            promise(again == 0.0, "who waits as told is served")
            _, early = taking(limit, state, weight, now + rest - slack)
            promise(early > 0.0 or rest <= slack, "nobody is told to wait for longer than needed")
        promise(len(state.taken) <= 61, "memory is bounded")


@given(
    st.integers(1, 40),
    st.sampled_from([1.0, 2.0, 10.0, 60.0, 300.0]),
    WAITS_AND_WEIGHTS,
    st.floats(0.0, 1e9),
)
def test_window_is_never_exceeded(
    weight: int, window: float, asks: list[tuple[float, int]], start: float
) -> None:
    """Wherever a window is laid over the takings, it holds no more than the limit."""
    window_promises(SlidingWindow(weight, window), asks, start=start)


def _drawn(seed: int) -> tuple[SlidingWindow, list[tuple[float, int]]]:
    chance = Random(seed)
    limit = SlidingWindow(chance.randint(3, 12), 60.0)
    return limit, [
        (chance.choice([0.0, 0.3, 1.0, 7.0, 59.5, 61.0]), chance.randint(1, 3)) for _ in range(100)
    ]


def _one_too_many(
    limit: SlidingWindow, state: WindowState, weight: int, now: float
) -> tuple[WindowState, float]:
    return replace(limit, weight=limit.weight + 1).take(state, weight, now)


def _weight_ignored(
    limit: SlidingWindow, state: WindowState, weight: int, now: float
) -> tuple[WindowState, float]:
    return limit.take(state, 1, now)


def _forgets_early(
    limit: SlidingWindow, state: WindowState, weight: int, now: float
) -> tuple[WindowState, float]:
    return replace(limit, window=limit.window * 0.95).take(state, weight, now)


def _refused_counts(
    limit: SlidingWindow, state: WindowState, weight: int, now: float
) -> tuple[WindowState, float]:
    after, rest = limit.take(state, weight, now)
    if rest and after.taken:
        number, taken = after.taken[-1]
        after = WindowState((*after.taken[:-1], (number, taken + weight)))
    return after, rest


def _double_count(
    limit: SlidingWindow, state: WindowState, weight: int, now: float
) -> tuple[WindowState, float]:
    after, rest = limit.take(state, weight, now)
    return after if rest else limit.take(after, weight, now)[0], rest


def _told_too_early(
    limit: SlidingWindow, state: WindowState, weight: int, now: float
) -> tuple[WindowState, float]:
    after, rest = limit.take(state, weight, now)
    return after, rest * 0.9


def _told_too_late(
    limit: SlidingWindow, state: WindowState, weight: int, now: float
) -> tuple[WindowState, float]:
    after, rest = limit.take(state, weight, now)
    return after, min(rest + 5.0, 60.0) if rest else 0.0


@pytest.mark.parametrize(
    "broken",
    [
        _one_too_many,
        _weight_ignored,
        _forgets_early,
        _refused_counts,
        _double_count,
        _told_too_early,
        _told_too_late,
    ],
)
def test_broken_windows_are_caught(broken: WindowTake) -> None:
    """Each plausible mistake breaks a promise; the window itself keeps them in the same runs."""
    _play(SlidingWindow.take)
    with pytest.raises(BrokenPromiseError):
        _play(broken)


def _play(taking: WindowTake) -> None:
    for seed in range(100):
        window_promises(*_drawn(seed), taking)


# --- the token bucket -----------------------------------------------------------------------------


@given(st.integers(1, 40), st.sampled_from([1.0, 3.0, 60.0]), WAITS_AND_WEIGHTS)
def test_bucket_never_gives_more_than_it_got(
    weight: int, window: float, asks: list[tuple[float, int]]
) -> None:
    """Over any span at most the burst and what flowed in; who waits as told is served."""
    bucket_promises(TokenBucket(weight, window), asks)


BucketTake = Callable[[TokenBucket, Bucket, int, float], tuple[Bucket, float]]


def bucket_promises(
    limit: TokenBucket, asks: list[tuple[float, int]], taking: BucketTake = TokenBucket.take
) -> None:
    now, weight, window = 0.0, limit.weight, limit.window
    state, taken = limit.start(0.0), list[tuple[float, int]]()
    for wait, asked in asks:
        now += wait
        asked = min(asked, weight)
        state, rest = taking(limit, state, asked, now)
        if rest:
            assert rest <= window + 1e-6
            assert taking(limit, state, asked, now + rest)[1] == 0.0
            assert taking(limit, state, asked, now + rest - 2e-6)[1] > 0.0 or rest <= 2e-6
        else:
            taken.append((now, asked))
    for index, (begin, _) in enumerate(taken):
        total = 0
        for end, part in taken[index:]:
            total += part
            assert total <= weight * (1.0 + (end - begin) / window) + 1e-6


def _larger_bucket(
    limit: TokenBucket, state: Bucket, weight: int, now: float
) -> tuple[Bucket, float]:
    return replace(limit, weight=limit.weight + 1).take(state, weight, now)


def _refills_too_fast(
    limit: TokenBucket, state: Bucket, weight: int, now: float
) -> tuple[Bucket, float]:
    return limit.take(replace(state, at=state.at - 50_000_000), weight, now)


def _takes_only_one(
    limit: TokenBucket, state: Bucket, weight: int, now: float
) -> tuple[Bucket, float]:
    return limit.take(state, 1, now)


def _pays_when_refused(
    limit: TokenBucket, state: Bucket, weight: int, now: float
) -> tuple[Bucket, float]:
    after, rest = limit.take(state, weight, now)
    return (replace(after, level=0) if rest else after), rest


@pytest.mark.parametrize(
    "broken", [_larger_bucket, _refills_too_fast, _takes_only_one, _pays_when_refused]
)
def test_broken_buckets_are_caught(broken: BucketTake) -> None:
    """Each plausible mistake breaks a promise; the bucket itself keeps them in the same runs."""
    _pour(TokenBucket.take)
    with pytest.raises(AssertionError):
        _pour(broken)


def _pour(taking: BucketTake) -> None:
    for seed in range(50):
        chance = Random(seed)
        asks = [(chance.choice([0.0, 0.1, 0.4, 3.0]), chance.randint(1, 4)) for _ in range(60)]
        bucket_promises(TokenBucket(chance.randint(2, 6), 3.0), asks, taking)


def test_a_million_acquisitions_do_not_drift() -> None:
    """After a million takings at odd times the bucket holds what exact arithmetic says."""
    limit, now, chance = TokenBucket(7, 0.9), 0, Random(1)
    state, expected, at = limit.start(0.0), 7 * 900_000_000, 0
    for _ in range(1_000_000):
        now += chance.randrange(1, 300_000_000)
        state, rest = limit.take(state, 1, now / 1e9)
        # The same in whole numbers, from the same clock readings.
        read = int(now / 1e9 * 1e9)
        expected, at = min(7 * 900_000_000, expected + (read - at) * 7), read
        if rest == 0.0:
            expected -= 900_000_000
        assert state.level == expected
        assert 0 <= state.level <= 7 * 900_000_000


def test_clock_that_stands_or_steps_back_gives_nothing() -> None:
    """No time, no tokens."""
    limit = TokenBucket(2, 10.0)
    state = limit.start(100.0)
    for _ in range(2):
        state, rest = limit.take(state, 1, 100.0)
        assert rest == 0.0
    assert limit.take(state, 1, 100.0)[1] == pytest.approx(5.0)
    assert limit.take(state, 1, 0.0)[0] == Bucket(0, 100_000_000_000)


@pytest.mark.parametrize("weight", [0, -1, 3])
def test_impossible_weights_are_refused(weight: int) -> None:
    """What could never be had is an error, not a wait for ever."""
    for limit in (TokenBucket(2, 10.0), SlidingWindow(2, 10.0)):
        with pytest.raises(ValueError, match="expected a weight of 1 to 2"):
            limit.take(limit.start(0.0), weight, 0.0)  # type: ignore[arg-type]  # its own state


# --- a venue's budget -----------------------------------------------------------------------------

RULES = RateLimitRules(weight=100, window=60.0, share=0.1, ceiling=0.9)


@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.integers(1, 5), st.booleans()), max_size=150))
def test_share_and_ceiling_hold_beside_a_busy_desk(
    steps: list[tuple[float, int, bool]],
) -> None:
    """We never take more than our share in a window, nor go where the desk has used the rest."""
    state, now, ours, desk = RateLimitState(), 0.0, deque[tuple[float, int]](), 0
    for wait, weight, trading in steps:
        now += wait
        while ours and ours[0][0] <= now - 60.0:
            ours.popleft()
        if trading:
            desk = (desk + weight * 7) % 100
            state = reconcile(state, desk, now, RULES)
        told, until = state.told + state.since, state.told_until
        state, rest = take(state, weight, now, RULES)
        if rest == 0.0:
            ours.append((now, weight))
            assert sum(part for _, part in ours) <= 10
            assert now >= until or told + weight <= 90
        else:
            assert rest > 0.0
        assert used_ratio(state, now, RULES) >= 0.0


def test_what_the_venue_says_counts_until_its_window_is_over() -> None:
    """A used weight beyond the ceiling stops us; a lower figure, or a window's time, frees us."""
    state = reconcile(RateLimitState(), 90, 0.0, RULES)
    assert take(state, 1, 1.0, RULES)[1] == pytest.approx(59.0)
    assert used_ratio(state, 1.0, RULES) == 0.9
    assert take(reconcile(state, 3, 1.0, RULES), 1, 1.0, RULES)[1] == 0.0
    assert take(state, 1, 60.0, RULES)[1] == 0.0
    assert used_ratio(state, 60.0, RULES) == 0.0


def test_own_use_after_the_header_counts() -> None:
    """Between two headers our own requests are added to what the venue said."""
    state = reconcile(RateLimitState(), 88, 0.0, RULES)
    for _ in range(2):
        state, rest = take(state, 1, 1.0, RULES)
        assert rest == 0.0
    assert take(state, 1, 1.0, RULES)[1] > 0.0
    assert used_ratio(state, 1.0, RULES) == 0.9


def test_the_heaviest_request_always_fits() -> None:
    """A tenth of a small limit is less than one request; then it is one request."""
    rules = RateLimitRules(weight=20, window=10.0, share=0.1, heaviest=5)
    state, rest = take(RateLimitState(), 5, 0.0, rules)
    assert rest == 0.0
    assert take(state, 1, 0.0, rules)[1] > 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": 0, "window": 1.0},
        {"weight": 1, "window": 0.0},
        {"weight": 10, "window": 1.0, "share": 0.0},
        {"weight": 10, "window": 1.0, "ceiling": 1.1},
        {"weight": 10, "window": 1.0, "heaviest": 11},
    ],
)
def test_absurd_rules_are_refused(wrong: dict[str, float]) -> None:
    """Rules that could never be meant do not start."""
    with pytest.raises(ValueError, match="expected"):
        RateLimitRules(**wrong)  # type: ignore[arg-type]  # that is the point
