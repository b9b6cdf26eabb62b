"""The venue's clock is known within the error that is published beside it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probes.clock_offset import ClockOffset


def test_unknown_before_the_first_reply() -> None:
    """No offset is made up before a venue has said its time."""
    with pytest.raises(LookupError, match="no reply yet"):
        ClockOffset().read(0.0)


def test_one_reply_is_right_within_half_its_round_trip() -> None:
    """A venue 5 s ahead, asked over 40 ms, is 5 s ahead within 20 ms."""
    offset = ClockOffset().observe(1005.02, 1000.0, 0.04, 0.0, 1.0)
    assert offset.value == pytest.approx(5.0)
    assert offset.error == pytest.approx(0.02)


def test_error_grows_while_no_reply_comes() -> None:
    """Silence makes the number less certain, at the drift that quartz may have."""
    clock = ClockOffset()
    first = clock.observe(1000.0, 1000.0, 0.02, 0.0, 0.0)
    assert clock.read(100.0).error == pytest.approx(first.error + 100 * 100e-6)


@given(seed=st.integers(0, 10_000))
def test_truth_lies_within_the_published_error(seed: int) -> None:
    """With 50 ppm of drift, ±5 s steps and lopsided delays, at least 99 % of replies are right."""
    chance = random.Random(seed)
    clock, true, wrong, total = ClockOffset(), chance.uniform(-5, 5), 0, 300
    for tick in range(total):
        now = tick * 10.0
        true += 10.0 * 50e-6 * chance.uniform(-1, 1)
        if chance.random() < 0.01:
            true += chance.choice((-5.0, 5.0))
        there, back = chance.expovariate(50), chance.expovariate(20)
        sent = 1e9 + now
        said = int((sent + there + true) * 1000) / 1000
        offset = clock.observe(said, sent, there + back, 0.001, now)
        # 1e-6: epoch seconds are floats with a resolution of a quarter of a microsecond.
        wrong += abs(offset.value - true) > offset.error + 1e-6
    assert wrong <= total * 0.01
