"""Delays between retries: capped exponential backoff with full jitter.

Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015, section "Full
Jitter". Retry-After: RFC 9110, section 10.2.3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime

_DOUBLINGS = 64  # beyond it any cap is reached, and a float would overflow at 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BackoffRules:
    """How waits grow. Durations in seconds.

    ``total`` limits the sum of the delays without a success in between; None is no limit.
    """

    base: float = 0.5
    cap: float = 30.0
    growth: float = 2.0
    reset_after: float = 10.0
    total: float | None = None

    def __post_init__(self) -> None:
        if not (0.0 < self.base <= self.cap and self.growth >= 1.0):
            raise ValueError(f"expected 0 < base <= cap and growth >= 1, got {self}")


@dataclass(frozen=True, slots=True)
class BackoffState:
    """The number of consecutive failures, and the sum of their delays in seconds."""

    attempt: int = 0
    waited: float = 0.0


def ceiling(attempt: int, rules: BackoffRules) -> float:
    """Return the longest delay in seconds before retry number ``attempt`` (from 0)."""
    return min(rules.cap, rules.base * rules.growth ** min(attempt, _DOUBLINGS))


def step(
    state: BackoffState, lived: float, rules: BackoffRules, chance: float
) -> tuple[BackoffState, float | None]:
    """Return the wait in seconds after a try that lived for ``lived`` seconds and then failed.

    ``chance`` is drawn evenly from [0, 1). A connection that is accepted and dropped at once has
    not recovered, so only ``reset_after`` seconds of life start the count anew. None: the total
    is used up, give up.
    """
    if lived >= rules.reset_after:
        state = BackoffState()
    wait = chance * ceiling(state.attempt, rules)
    if rules.total is not None and state.waited + wait > rules.total:
        return state, None
    return replace(state, attempt=state.attempt + 1, waited=state.waited + wait), wait


def http_date(text: str) -> float | None:
    """Read an HTTP date as epoch seconds; None when it is none."""
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:  # "-0000" and the asctime form; HTTP dates are always UTC
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def retry_after(text: str, now: float, longest: float = 7 * 86400.0) -> float | None:
    """Read a Retry-After header, in seconds from ``now``, at most ``longest``.

    ``now`` (epoch seconds) is only for the date form: best the answer's own Date, which the same
    clock wrote. None when the text is neither form; a date gone by gives zero.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        # The length first: int() of a million digits is slow, and refused beyond 4300.
        return longest if len(text) > 10 else min(float(text), longest)
    until = http_date(text)
    return None if until is None else min(max(0.0, until - now), longest)
