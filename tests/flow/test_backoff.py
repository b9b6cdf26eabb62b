"""Waits grow, stay under their cap, and follow what the server asks for."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.flow.backoff import BackoffRules, BackoffState, ceiling, http_date, retry_after, step

RULES = BackoffRules(base=0.5, cap=30.0, growth=2.0, reset_after=10.0)
CHANCE = st.floats(0.0, 1.0, exclude_max=True)


@given(st.lists(st.tuples(st.floats(0.0, 9.99), CHANCE), min_size=1, max_size=2000))
def test_wait_lies_under_its_ceiling(tries: list[tuple[float, float]]) -> None:
    """The n-th wait is the chance's part of base * growth^n, and never above the cap."""
    state = BackoffState()
    for number, (lived, chance) in enumerate(tries):
        state, wait = step(state, lived, RULES, chance)
        assert wait == chance * min(30.0, 0.5 * 2.0 ** min(number, 900))


def test_a_flood_of_failures_overflows_nothing() -> None:
    """After a year of failures the wait is still a number."""
    assert ceiling(10**9, RULES) == 30.0
    assert isfinite(step(BackoffState(attempt=10**9, waited=1e9), 0.0, RULES, 0.5)[1] or 0.0)


@pytest.mark.parametrize(("lived", "attempt"), [(9.99, 6), (10.0, 1), (1e6, 1)])
def test_only_a_life_starts_anew(lived: float, attempt: int) -> None:
    """A connection that is accepted and dropped at once has not recovered."""
    state, wait = step(BackoffState(attempt=5), lived, RULES, 1.0)
    assert state.attempt == attempt
    assert wait == ceiling(attempt - 1, RULES)


@given(st.lists(CHANCE, max_size=100))
def test_total_bounds_the_waiting(chances: list[float]) -> None:
    """The waits between two lives add up to the total at most, and then it gives up."""
    rules, state, waits = BackoffRules(total=40.0), BackoffState(), list[float]()
    for chance in chances:
        state, wait = step(state, 0.0, rules, chance)
        if wait is None:
            assert sum(waits) + chance * ceiling(len(waits), rules) > 40.0
            break
        waits.append(wait)
    assert sum(waits) <= 40.0 + 1e-9
    assert step(state, 10.0, rules, 0.5)[1] == 0.25


@pytest.mark.parametrize("wrong", [{"base": 0.0}, {"base": 31.0}, {"growth": 0.5}])
def test_absurd_rules_are_refused(wrong: dict[str, float]) -> None:
    """Rules that could never be meant do not start."""
    with pytest.raises(ValueError, match="expected 0 < base"):
        BackoffRules(**wrong)


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 5000, 604800.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
        ("Tue Nov 14 22:14:20 2023", 60.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("Fri, 14 Nov 2053 22:00:00 GMT", 604800.0),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("", None),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    """Both forms, the two old date forms too; bounded, never negative, None for nonsense."""
    assert retry_after(text, NOW) == seconds


@given(st.text(max_size=60))
def test_any_header_is_survived(text: str) -> None:
    """No header breaks the reader, and what it gives lies in its bounds."""
    found = retry_after(text, NOW)
    assert found is None or 0.0 <= found <= 604800.0


@given(st.integers(0, 604800))
def test_both_forms_agree(seconds: int) -> None:
    """A date so many seconds ahead means what the number means."""
    assert retry_after(formatdate(NOW + seconds, usegmt=True), NOW) == retry_after(
        str(seconds), NOW
    )


def test_date_without_zone_is_utc() -> None:
    """HTTP dates are always in UTC, whatever the machine's own zone."""
    assert http_date("Tue, 14 Nov 2023 22:13:20 -0000") == NOW


# --- tests of the tests ---------------------------------------------------------------------------


def _no_reset(
    state: BackoffState, lived: float, chance: float
) -> tuple[BackoffState, float | None]:
    return step(state, 0.0, RULES, chance)


def _reset_at_once(
    state: BackoffState, lived: float, chance: float
) -> tuple[BackoffState, float | None]:
    return step(state, 10.0 if lived else 0.0, RULES, chance)


def _half_jitter(
    state: BackoffState, lived: float, chance: float
) -> tuple[BackoffState, float | None]:
    return step(state, lived, RULES, 0.5 + chance / 2)


def _uncapped(
    state: BackoffState, lived: float, chance: float
) -> tuple[BackoffState, float | None]:
    return step(state, lived, BackoffRules(cap=1e9), chance)


@pytest.mark.parametrize("broken", [_no_reset, _reset_at_once, _half_jitter, _uncapped])
def test_broken_variants_are_caught(
    broken: Callable[[BackoffState, float, float], tuple[BackoffState, float | None]],
) -> None:
    """Each plausible mistake breaks a promise that is checked above."""

    def keeps_promises() -> bool:
        state = BackoffState()
        for number in range(20):
            state, wait = broken(state, 3.0, 0.25)
            if wait != 0.25 * min(30.0, 0.5 * 2.0**number):
                return False
        return broken(BackoffState(attempt=5), 10.0, 0.25)[1] == 0.125

    assert not keeps_promises()
