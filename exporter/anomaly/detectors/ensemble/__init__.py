"""Four members, each calibrated to the rarity of its deviation, combined into one score.

The level (how far a value lies from a slow mean), the shift (how far a short mean lies from the
slow one), the jump (how far a value lies from the mean of the few before it) and the season (how
far a value lies from the mean of its hour of the day) have scales and tails that differ from
series to series. Therefore each is converted to the probability of a deviation that large, by a
Pareto tail fitted to the largest deviations of that series so far, and so is their combination.
Probabilities mean the same for all series, so that one threshold is enough.
How this was chosen, and what else was tried: docs/detection.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from exporter.anomaly.detectors.ensemble.gaps import Gaps
from exporter.anomaly.detectors.ensemble.tails import Joint, Tail
from exporter.signals import Aspect, Floats, Memory

ASPECTS = ("level", "shift", "season", "jump")
# Columns of `tails`: what is calibrated.
_UP, _DOWN, _SHIFT, _OVER, _UNDER, _RISE, _DROP = range(7)
_LEVEL, _JUMP = ASPECTS.index("level"), ASPECTS.index("jump")
_HOURS = 24
_ROUNDING = 1e-9  # departures below this share of the value itself are rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Level, shift, season and jump as powers of ten of rarity; ``decades`` of them score 1.0.

    Half-lives and ``minimum`` count values, ``days`` counts days. Where memory gives a series a
    ``floor``, departures below it say nothing, and neither do departures in a direction whose
    ``rise`` or ``fall`` is 0.0. Series with a ``relative`` are judged by the logarithm of their
    values: what varies by factors has a fall to a tenth for no smaller matter than a rise to ten
    times, and lighter tails.
    """

    decades: float = 5.0
    minimum: int = 100
    near: float = 6.0  # half-life of the mean that a jump starts from
    fast: float = 20.0  # half-life of the short mean
    slow: float = 200.0  # half-life of the baseline
    days: float = 10.0  # memory of an hour of the day
    season: float = 0.9  # weight of the season against the others
    tail: Tail = field(default_factory=Tail)
    joint: Joint = field(default_factory=Joint)
    gaps: Gaps = field(default_factory=Gaps)  # of series that are ages

    def begin(self, n: int) -> Memory:
        """Return the memory of n series that were never seen: 0.8 kB each."""
        return {
            "seen": np.zeros(n),
            "floor": np.zeros(n),
            "share": np.zeros(n),
            "rise": np.ones(n),
            "fall": np.ones(n),
            "relative": np.zeros(n),  # the smallest value that is told apart, or 0.0: not relative
            "sensitivity": np.ones(n),  # what scores are multiplied by
            "age": np.zeros(n),  # 1.0 where the value is one
            "gaps": np.zeros((n, 4)),
            "barred": np.zeros(n),
            "near": np.zeros((n, 2)),  # a mean and its weight so far
            "fast": np.zeros((n, 2)),
            "slow": np.zeros((n, 2)),
            "tails": np.zeros((n, 7, 4)),
            "joint": self.joint.begin(n),
            "hours": np.zeros((n, _HOURS)),
            "hour_days": np.zeros((n, _HOURS)),
            "hour_now": np.zeros((n, 3)),  # which hour since the epoch, its sum, its count
            "clock": np.zeros(
                (n, 3)
            ),  # when the last value came; mean time between two, its weight
            "aspects": np.zeros((n, 4)),  # decades of each, at the last value
            "departures": np.zeros((n, 4)),  # sizes of each, in the unit of the series
        }

    def score(self, memory: Memory, values: Floats, now: float) -> Floats:
        """Rate each value by how rare its departures are; 1.0 is once in 10**decades values.

        Moves the short means, which are judged, and the tails, which learn every value: rarity
        must be of all that happens. What is usual moves by `learn` alone.
        """
        here = values == values
        judged, usual = self._compare(memory, _scaled(memory, values), now)
        departures = judged - usual
        sizes = _both_ways(departures)
        enough = 0.9 * self.minimum  # forgetting and runs make 100 values a little less
        rarity = self.tail.rarity(memory["tails"], sizes, enough)
        ready = here & (memory["seen"] >= self.minimum)
        aspects = _by_aspect(rarity)
        aspects *= np.where(departures > 0.0, memory["rise"][:, None], memory["fall"][:, None])
        aspects *= ready[:, None] & (departures != 0.0)
        joined = self._join(aspects)
        # The floor mutes what is said, not what is usual: the tails stay those of the series.
        apart = _plain(memory, judged) - _plain(memory, usual)
        floor = np.maximum(self._floor(memory), _ROUNDING * np.abs(values))
        matters = np.abs(apart) >= floor[:, None]
        # What matters of a jump is how far from usual it ends, not how steep it was.
        matters[:, _JUMP] = matters[:, _LEVEL]
        aspects *= matters
        decades = self.joint.decades(memory["joint"], self._join(aspects))
        self._judge_ages(memory, values, decades, aspects, now)
        decades *= ready & (
            (memory["age"] == 0.0) | (matters[:, _LEVEL] & (apart[:, _LEVEL] > 0.0))
        )
        weight = 1.0 / (1.0 + memory["barred"])
        self.tail.learn(memory["tails"], sizes, weight)
        self.joint.learn(memory["joint"], joined, weight * ready)
        clock = memory["clock"]
        again = here & (clock[:, 0] != 0.0)
        _average(clock[:, 1:], now - clock[:, 0], again, self.slow)
        np.copyto(clock[:, 0], now, where=here)
        np.copyto(memory["aspects"], aspects, where=here[:, None])
        np.copyto(memory["departures"], apart, where=here[:, None])
        return decades * memory["sensitivity"] / self.decades

    def learn(self, memory: Memory, values: Floats, now: float) -> None:
        """Move what is usual, the slow mean and the hour of the day, by one value; skip NaN."""
        here = values == values
        if not here.any():
            return
        values = _scaled(memory, values)
        _average(memory["slow"], values, here, self.slow)
        self._learn_hour(memory, values, here, now)
        memory["seen"] += here

    def band(self, memory: Memory, now: float) -> Floats:
        """Return the values between which no level scores 1.0, around the slow mean; (3, n).

        A side whose departures do not matter, and a series that is not ready, is NaN.
        """
        slow, floor = memory["slow"][:, 0], self._floor(memory)
        joined = self.joint.joined(memory["joint"], self.decades / memory["sensitivity"])
        reach = self.tail.reach(memory["tails"], joined[:, None])
        center = _plain(memory, slow)
        upper = np.maximum(_plain(memory, slow + reach[:, _UP]), center + floor)
        lower = np.minimum(_plain(memory, slow - reach[:, _DOWN]), center - floor)
        ages = self.gaps.reach(memory["gaps"], self.decades / memory["sensitivity"])
        upper = np.where(memory["age"] > 0.0, np.maximum(ages, center + floor), upper)
        upper = np.where(memory["rise"] > 0.0, upper, np.nan)
        lower = np.where(memory["fall"] > 0.0, lower, np.nan)
        ready = memory["seen"] >= self.minimum
        return np.where(ready, np.stack([lower, center, upper]), np.nan)

    def aspect(self, memory: Memory, row: int, score: float) -> Aspect:
        """Return what was furthest from usual at the last value of a row, which scored so much."""
        found = int(np.argmax(memory["aspects"][row] * (1.0, 1.0, self.season, 1.0)))
        decades = min(score * self.decades / memory["sensitivity"][row], 30.0)
        return Aspect(
            name=ASPECTS[found],
            apart=float(memory["departures"][row, found]),
            once=float(memory["clock"][row, 1] * 10.0**decades),
        )

    def _judge_ages(
        self, memory: Memory, values: Floats, decades: Floats, aspects: Floats, now: float
    ) -> None:
        """Put in for ages how rare they are by their gaps, where their level matters at all."""
        rows = np.flatnonzero((memory["age"] > 0.0) & (values == values))
        if rows.size == 0:
            return
        gaps, ages, before = memory["gaps"][rows], values[rows], memory["clock"][rows, 0]
        found = self.gaps.decades(gaps, ages)
        self.gaps.learn(gaps, ages, np.where(before > 0.0, now - before, 0.0))
        memory["gaps"][rows] = gaps
        aspects[rows] = 0.0
        aspects[rows, _LEVEL] = found
        decades[rows] = found

    def _join(self, aspects: Floats) -> Floats:
        level, shift, season, jump = aspects.T
        joined: Floats = np.maximum(np.maximum(np.hypot(level, shift), season * self.season), jump)
        return joined

    def _floor(self, memory: Memory) -> Floats:
        usual = np.abs(_plain(memory, memory["slow"][:, 0]))
        floor: Floats = np.maximum(memory["floor"], np.maximum(memory["share"], _ROUNDING) * usual)
        return floor

    def _compare(self, memory: Memory, values: Floats, now: float) -> tuple[Floats, Floats]:
        """Return what each aspect judges and what is usual, (n, 4); move the two short means.

        What cannot be said (a gap, an hour not seen on an earlier day) is NaN.
        """
        here = values == values
        slow = np.where(memory["seen"] > 0, memory["slow"][:, 0], values)
        near = np.where(memory["near"][:, 1] > 0.0, memory["near"][:, 0], values)
        _average(memory["near"], values, here, self.near)
        _average(memory["fast"], values, here, self.fast)
        short = np.where(here, memory["fast"][:, 0], np.nan)
        hour = int(now // 3600.0) % _HOURS
        known = memory["hour_days"][:, hour] >= 1.0
        daily = np.where(known, memory["hours"][:, hour], np.nan)
        judged = np.stack([values, short, values, values], axis=1)
        return judged, np.stack([slow, slow, daily, near], axis=1)

    def _learn_hour(
        self, memory: Memory, values: Floats, here: npt.NDArray[np.bool_], now: float
    ) -> None:
        current = now // 3600.0
        latest = memory["hour_now"]
        past = np.flatnonzero(here & (latest[:, 0] != current))
        if past.size:
            done = past[latest[past, 2] > 0.0]
            hour = (latest[done, 0] % _HOURS).astype(np.intp)
            days = memory["hour_days"][done, hour] + 1.0
            mean = latest[done, 1] / latest[done, 2]
            old = memory["hours"][done, hour]
            memory["hours"][done, hour] = old + (mean - old) / np.minimum(days, self.days)
            memory["hour_days"][done, hour] = days
            latest[past] = (current, 0.0, 0.0)
        latest[:, 1] += np.where(here, values, 0.0)
        latest[:, 2] += here


def _average(mean: Floats, values: Floats, here: npt.NDArray[np.bool_], half_life: float) -> None:
    """Move means and their weights, (n, 2), in place, where there is a value."""
    pace = 1.0 - 0.5 ** (1.0 / half_life)
    weights = mean[:, 1] + (1.0 - mean[:, 1]) * pace
    # Dividing by the weight so far makes young means plain averages.
    means = mean[:, 0] + (values - mean[:, 0]) * (pace / weights)
    np.copyto(mean, np.stack([means, weights], axis=1), where=here[:, None])


def _scaled(memory: Memory, values: Floats) -> Floats:
    """Return the values as they are judged: logarithms where series are relative."""
    least = memory["relative"]
    rows = np.flatnonzero(least)
    if rows.size == 0:
        return values
    scaled = values.copy()
    scaled[rows] = np.log(np.maximum(values[rows], least[rows]))
    return scaled


def _plain(memory: Memory, scaled: Floats) -> Floats:
    """Return values, (n,) or (n, 4), in the unit of their series again."""
    rows = np.flatnonzero(memory["relative"])
    if rows.size == 0:
        return scaled
    plain = scaled.copy()
    plain[rows] = np.exp(np.minimum(scaled[rows], 700.0))
    return plain


def _both_ways(departures: Floats) -> Floats:
    """Return the sizes whose tails are kept, (n, 7): by direction, the shift by size."""
    level, shift, season, jump = departures.T
    return np.stack([level, -level, np.abs(shift), season, -season, jump, -jump], axis=1)


def _by_aspect(rarity: Floats) -> Floats:
    """Return the larger of the two directions of each aspect, (n, 4)."""
    return np.stack(
        [
            np.maximum(rarity[:, _UP], rarity[:, _DOWN]),
            rarity[:, _SHIFT],
            np.maximum(rarity[:, _OVER], rarity[:, _UNDER]),
            np.maximum(rarity[:, _RISE], rarity[:, _DROP]),
        ],
        axis=1,
    )


DETECTOR = Ensemble()
