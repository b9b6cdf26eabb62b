"""Numbers as fixed columns: decimals as whole numbers, others as differences, where that is exact.

Whatever a narrow column cannot give back bit for bit goes into a wide one, record by record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from exporter.signals import Floats

Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.int64]
Bytes: TypeAlias = npt.NDArray[np.uint8]

PLACES = 15  # most decimal places of a narrow number
NOT_NARROW = 255
SCALES: Floats = np.array([10.0**places for places in range(PLACES + 1)])
_LARGEST = 2.0**32 - 1
_SPAN = 2**31 - 1


def whole(values: Floats, scale: Floats | float) -> tuple[npt.NDArray[np.uint32], Bools]:
    """Return ``values * scale`` as u32, and where dividing that by ``scale`` gives every bit back.

    Source: IEEE 754: the quotient of two exact floats is the float nearest to their ratio, which
    is what reading the decimal text gives; below 2**53 and 10**22 both are exact.
    """
    with np.errstate(all="ignore"):
        scaled = np.rint(values * scale)
        fits = (scaled >= 0.0) & (scaled <= _LARGEST) & ~np.signbit(values)
        numbers = np.where(fits, scaled, 0.0).astype(np.uint32)
        exact = fits & ((numbers / scale).view(np.int64) == values.view(np.int64))
    return numbers, exact


def places(values: Floats) -> Bytes:
    """Return how many decimal places each value needs, NOT_NARROW where a u32 cannot hold it."""
    found = np.full(len(values), NOT_NARROW, np.uint8)
    rest = np.arange(len(values))
    for count in range(PLACES + 1):
        if not len(rest):
            break
        exact = whole(values[rest], SCALES[count])[1]
        found[rest[exact]] = count
        rest = rest[~exact]
    return found


def most_places(columns: Sequence[Floats]) -> tuple[Bytes, Bools]:
    """Return the places that all columns of a record share, and where they hold all its values."""
    needed = np.maximum.reduce([places(column) for column in columns])
    narrow = needed != NOT_NARROW
    needed[~narrow] = 0
    for column in columns:  # at the greatest number of places a large value may not fit
        narrow &= whole(column, SCALES[needed])[1]
    return needed, narrow


def group_places(values: Floats, counts: Ints) -> tuple[Bytes, Bools]:
    """Do the same for groups of values of one column; an empty group needs none."""
    needed = _greatest(places(values), counts)
    narrow = needed != NOT_NARROW
    needed[~narrow] = 0
    exact = whole(values, np.repeat(SCALES[needed], counts))[1]
    return needed, narrow & (_greatest((~exact).astype(np.uint8), counts) == 0)


def _greatest(values: Bytes, counts: Ints) -> Bytes:
    found = np.zeros(len(counts), np.uint8)
    some = counts > 0
    starts = (np.cumsum(counts) - counts)[some]
    if len(starts):
        found[some] = np.maximum.reduceat(values, starts)
    return found


def bits(values: Floats) -> Ints:
    """Return floats as the integers that their bits spell; neighbouring floats differ by one.

    A float of seconds today counts in steps of 2**-22 s: 32 bits of difference are 8 minutes
    either way, and lose nothing.
    """
    return values.view(np.int64)


def near(numbers: Ints, anchor: Ints) -> tuple[npt.NDArray[np.int32], Bools]:
    """Return numbers as differences from ``anchor``, and where those fit."""
    apart = numbers - anchor
    # Of two that are not negative the difference cannot overflow.
    fits = (numbers >= 0) & (anchor >= 0) & (np.abs(apart) <= _SPAN)
    return np.where(fits, apart, 0).astype(np.int32), fits
