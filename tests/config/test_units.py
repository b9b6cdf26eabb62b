"""Durations, sizes and shares survive the way to people and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.units import (
    duration,
    format_duration,
    format_size,
    ratio,
    size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0.0),
        ("250ms", 0.25),
        ("5s", 5.0),
        ("2.5s", 2.5),
        ("1m", 60.0),
        ("1h30m", 5400.0),
        ("1d2h3m4.005s", 93784.005),
        ("0.1ms", 0.0001),
    ],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    """Each unit, fractions, and several units from long to short."""
    assert duration(text) == seconds
    assert format_duration(seconds) == text


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5S", "30m1h", "5s5s", "1e3s", "٥s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """No bare number, no sign, no repeated or misordered unit, no foreign digits."""
    with pytest.raises(ValueError, match="no duration"):
        duration(text)


@given(st.integers(0, 10**12))
def test_durations_round_trip(milliseconds: int) -> None:
    """What is written is read as the same number."""
    seconds = milliseconds / 1000
    assert duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("500", 500), ("1.5KiB", 1536), ("64 KiB", 65536), ("1MB", 10**6), ("2GiB", 2**31)],
)
def test_sizes_are_bytes(text: str, count: int) -> None:
    """Binary and decimal units keep apart."""
    assert size(text) == count


@given(st.integers(0, 2**40))
def test_sizes_round_trip(count: int) -> None:
    """What is written is read as the same number."""
    assert count > 999_999_999 or size(format_size(count)) == count


@pytest.mark.parametrize("text", ["64Kib", "1TB", "-1", "KiB", "1 000"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """An unknown unit, a sign and a gap are no size."""
    with pytest.raises(ValueError, match="no size"):
        size(text)


@given(st.integers(0, 10_000))
def test_shares_round_trip(hundredths: int) -> None:
    """What is written is read as the same number."""
    fraction = hundredths / 10_000
    assert ratio(f"{fraction * 100:.2f}%") == fraction
