"""Windows of many series: exact contents, and moments that stay true."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exporter.anomaly.window import begin, begin_moments, moments, push, push_moments, quantiles
from exporter.signals import Floats

W = 7
_magnitudes = st.sampled_from([1e-9, 1.0, 1e3, 1e12])
# Nothing that is measured lies between zero and 1e-100, and the square of what does has no digits.
_units = st.floats(-1.0, 1.0).map(lambda unit: unit if abs(unit) > 1e-100 else 0.0)
_values = st.builds(lambda scale, unit: scale * unit, _magnitudes, _units)
_streams = arrays(
    np.float64, st.tuples(st.integers(1, 40), st.just(3)), elements=_values | st.just(np.nan)
)


def _last(stream: Floats, row: int) -> Floats:
    column = stream[:, row]
    return column[np.isfinite(column)][-W:]


@given(_streams)
def test_a_window_holds_the_last_values_of_each_series_and_no_gaps(stream: Floats) -> None:
    """Gaps move nothing: each row holds its own last measured values."""
    memory = begin(3, W)
    for values in stream:
        push(memory, values)
    for row in range(3):
        ring = memory["ring"][row]
        assert sorted(ring[np.isfinite(ring)]) == sorted(_last(stream, row))


@given(_streams)
def test_moments_equal_those_computed_afresh(stream: Floats) -> None:
    """Running sums agree with numpy over the window, however wild the values that left it."""
    memory = begin_moments(3, W)
    for values in stream:
        push_moments(memory, values)
    mean, deviation = moments(memory)
    for row in range(3):
        last = _last(stream, row)
        if last.size == 0:
            continue
        scale = np.max(np.abs(last))
        np.testing.assert_allclose(mean[row], last.mean(), rtol=1e-9, atol=1e-12 * scale)
        exact = last.std()
        if exact > 1e-8 * scale:
            np.testing.assert_allclose(deviation[row], exact, rtol=1e-5)


def test_a_constant_window_has_no_deviation_even_after_a_spike_has_left_it() -> None:
    """Rounding left over from a spike must not pass for a scale."""
    memory = begin_moments(1, W)
    for value in [0.1, 1e15, *[0.1] * W]:
        push_moments(memory, np.array([value]))
    mean, deviation = moments(memory)
    assert mean[0] == 0.1
    assert deviation[0] == 0.0


@given(_streams)
def test_quantiles_are_those_of_numpy(stream: Floats) -> None:
    """The vectorised quartiles are the textbook ones."""
    memory = begin(3, W)
    for values in stream:
        push(memory, values)
    found = quantiles(memory, 0.25, 0.75)
    for row in range(3):
        last = _last(stream, row)
        expected = np.percentile(last, [25, 75]) if last.size else [np.nan, np.nan]
        atol = 1e-12 * np.max(np.abs(last), initial=0.0)
        np.testing.assert_allclose([q[row] for q in found], expected, rtol=1e-12, atol=atol)
