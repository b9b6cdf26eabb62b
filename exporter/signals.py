"""Signals of exchanges, what detectors say about them, and the verdicts on incidents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Series:
    """One row of a tick: a signal of an exchange."""

    exchange: str
    signal: str


Floats: TypeAlias = npt.NDArray[np.float64]
# The state of a detector: named arrays whose first axis is the series, so that it can be cut
# into chunks (views), kept over a reload row by row, or written to disk.
Memory: TypeAlias = dict[str, Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The scores of all series by all detectors in one tick; rows of ``score`` are detectors.

    ``score`` has shape (d, n), finite; 1.0 is the threshold, 0.0 where a detector has no result.
    ``ready`` (d, n): the detector has learnt enough values. ``measured`` (n,): there was a value
    in this tick; where it is False the score is no new one, and its gauge should be removed.
    """

    score: Floats
    ready: npt.NDArray[np.bool_]
    measured: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One measured quantity of an exchange, from a closed list; the label ``signal``.

    ``effect`` is the smallest deviation worth an alert, in ``unit``, and ``share`` the same as a
    share of the usual value; both must be reached. ``resolution`` is the smallest meaningful step:
    a series that varies by less counts as constant.
    """

    name: str
    title: str  # as it stands in a sentence: "probe latency"
    unit: str  # "s", "ratio", "1/s"
    effect: float
    resolution: float
    share: float = 0.0
    low: bool = False  # whether a deviation downward is bad
    high: bool = True  # whether a deviation upward is bad
    age: bool = False  # whether it grows with time until an event resets it
    sensitivity: float = 1.0  # its scores are multiplied by this
    relative: bool = False  # whether it varies by factors: never negative, judged by its logarithm


class Severity(StrEnum):
    """How soon a person must act: critical now, warning within a day; the label ``severity``."""

    WARNING = "warning"
    CRITICAL = "critical"


class Change(StrEnum):
    """How a verdict changes an incident."""

    OPENED = "opened"
    WORSENED = "worsened"  # it became critical
    CLOSED = "closed"
    LOST = "lost"  # closed because the series is no longer measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The reasons of a verdict. Numbers in the signal's unit; at the bounds the score is 1.0.

    ``detectors`` has the score of each detector that is at or over its threshold. ``aspect`` is
    the property that deviates most, ``apart`` by how much; ``once`` is the time in seconds in
    which a value this rare is expected once.
    """

    value: float
    center: float
    lower: float
    upper: float
    score: float
    detectors: Mapping[str, float]
    aspect: str = ""
    apart: float | None = None
    once: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aspect:
    """The property of a series that deviates most, by how much in its unit, and how rarely."""

    name: str
    apart: float
    once: float  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One decision about one series. Times in epoch seconds; ``since`` is the first breach."""

    series: Series
    change: Change
    severity: Severity
    time: float
    since: float
    evidence: Evidence
    sentence: str  # for people, with units
