"""The last ``w`` values of many series at once, with running moments that do not drift."""

from __future__ import annotations

import numpy as np

from exporter.signals import Floats, Memory

# A row is summed afresh from its window when rounding may have touched the 7th digit of its
# variance; that is rare (a spike leaving the window), so a push costs no loop over the window.
_DOUBT = 1e6
_ROUNDING = 4 * float(np.finfo(np.float64).eps)
_FLAT = 1e-9  # spread over magnitude below which a window counts as constant


def begin(n: int, w: int) -> Memory:
    """Return empty windows: ``ring`` (n, w) with NaN where nothing is yet, and ``seen`` (n,)."""
    return {"seen": np.zeros(n), "ring": np.full((n, w), np.nan)}


def begin_moments(n: int, w: int) -> Memory:
    """Return empty windows that also keep sums of the values less an ``anchor`` near their mean."""
    sums = {name: np.zeros(n) for name in ("anchor", "total", "squares", "doubt")}
    return begin(n, w) | sums


def counts(memory: Memory) -> Floats:
    """Return how many values each window holds, shape (n,)."""
    return np.minimum(memory["seen"], memory["ring"].shape[1])


def push(memory: Memory, values: Floats) -> Floats:
    """Put finite values, shape (n,), into the windows in place of the oldest; skip NaN.

    Gives the values that fell out, shape (n,): NaN where none did.
    """
    ring, seen = memory["ring"], memory["seen"]
    n, w = ring.shape
    slot = (seen % w).astype(np.intp)
    slot += np.arange(0, n * w, w)
    flat = ring.reshape(-1)  # a view: rows of a chunk stay contiguous
    old: Floats = flat.take(slot)
    here = values == values  # cheaper than isnan, and the same
    seen += here
    if here.all():
        flat[slot] = values
        return old
    flat[slot] = np.where(here, values, old)
    return np.where(here, old, np.nan)


def push_moments(memory: Memory, values: Floats) -> None:
    """Push, and keep the running sums; memory from `begin_moments`."""
    anchor, total, squares, doubt = (memory[k] for k in ("anchor", "total", "squares", "doubt"))
    np.copyto(anchor, values, where=(memory["seen"] == 0) & (values == values))
    old = push(memory, values)
    gained = _measured(values - anchor)
    lost = _measured(old - anchor)
    total += gained
    total -= lost
    squares += gained * gained
    doubt += squares * _ROUNDING  # the peak between adding and taking away bounds the rounding
    squares -= lost * lost
    spread = squares - total * total / np.maximum(counts(memory), 1.0)
    rows = np.flatnonzero(spread < _DOUBT * doubt)
    if rows.size:
        _sum_afresh(memory, rows)


def _measured(differences: Floats) -> Floats:
    """Return zeros in place of NaN; as it is, without a copy, in the usual case of none."""
    known = differences == differences
    if known.all():
        return differences
    return np.where(known, differences, 0.0)


def _sum_afresh(memory: Memory, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> None:
    ring = memory["ring"][rows]
    empty = ring != ring
    ring[empty] = 0.0
    mean = ring.sum(axis=1) / np.maximum((~empty).sum(axis=1), 1)
    # A constant window must give exact zeros, so the anchor is one of its own values if it is.
    low = np.min(ring, axis=1, where=~empty, initial=np.inf)
    high = np.max(ring, axis=1, where=~empty, initial=-np.inf)
    mean = np.where(low == high, low, mean)
    ring -= mean[:, None]
    ring[empty] = 0.0
    memory["anchor"][rows] = mean
    memory["total"][rows] = ring.sum(axis=1)
    memory["squares"][rows] = (ring * ring).sum(axis=1)
    memory["doubt"][rows] = 0.0


def moments(memory: Memory) -> tuple[Floats, Floats]:
    """Return mean and standard deviation (dividing by the count) of each window, shape (n,) both.

    The deviation is 0.0 for a window that is constant to nine digits, or empty.
    """
    count = np.maximum(counts(memory), 1.0)
    offset = memory["total"] / count
    mean = memory["anchor"] + offset
    deviation = np.sqrt(np.maximum(memory["squares"] / count - offset * offset, 0.0))
    deviation[deviation <= _FLAT * np.abs(mean)] = 0.0
    return mean, deviation


def deviations(memory: Memory, values: Floats, minimum: int) -> Floats:
    """Return how many standard deviations each value lies from its window's mean, shape (n,).

    0.0 where nothing can be said: a constant window, fewer than ``minimum`` values, no value.
    """
    mean, deviation = moments(memory)
    judged = (deviation > 0.0) & (memory["seen"] >= minimum) & (values == values)
    found = np.zeros_like(values)
    np.divide(np.abs(values - mean), deviation, out=found, where=judged)
    return found


def quantiles(memory: Memory, *probabilities: float) -> list[Floats]:
    """Return quantiles of each window by linear interpolation, shape (n,) each; NaN when empty.

    Source: Hyndman and Fan (1996), "Sample Quantiles in Statistical Packages", definition 7,
    which is numpy's default.
    """
    ordered = np.sort(memory["ring"], axis=1)  # NaN goes last; a vectorised sort beats selection
    n, w = ordered.shape
    flat = ordered.reshape(-1)
    start = np.arange(0, n * w, w)
    last = np.maximum(counts(memory) - 1.0, 0.0)
    found = []
    for probability in probabilities:
        position = probability * last
        low = np.floor(position)
        below = flat.take(start + low.astype(np.intp))
        above = flat.take(start + np.ceil(position).astype(np.intp))
        found.append(below + (above - below) * (position - low))
    return found
