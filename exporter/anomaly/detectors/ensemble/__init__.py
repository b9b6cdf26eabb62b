"""Three views of a series, each calibrated to how rare its departure is, joined into one score.

The level (how far a value lies from a slow mean), the shift (how far a short mean lies from the
slow one) and the season (how far a value lies from the mean of its hour of the day) have scales
and tails that differ from series to series. So none is judged in deviations: each is turned into
the probability of going so far, by a Pareto tail fitted to the largest departures of that series
seen so far. Probabilities mean the same everywhere, which is what lets one threshold serve all.
How this was chosen, and what else was tried: docs/detection.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exporter.model import Floats, Memory

# Columns of `tails`: what is calibrated.
_UP, _DOWN, _SHIFT, _OVER, _UNDER = range(5)
# Fields of a tail: exponentially forgetting sums over the values, or over those beyond its start.
_COUNT, _DISTANCE, _BEYOND, _EXCESS, _SQUARES = range(5)
_HOURS = 24
_LN10 = float(np.log(10.0))
_ROUNDING = 1e-9  # departures below this share of the value itself are rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Level, shift and season, as powers of ten of rarity; ``decades`` of them score 1.0.

    Half-lives and ``minimum`` count values, ``days`` counts days. Where memory gives a series a
    ``floor``, departures below it say nothing, and neither do departures in a direction whose
    ``rise`` or ``fall`` is 0.0.

    Source for the tail: Siffer et al. (2017), "Anomaly Detection in Streams with Extreme Value
    Theory"; its parameters by moments: Hosking and Wallis (1987), "Parameter and Quantile
    Estimation for the Generalized Pareto Distribution", section 3.
    """

    decades: float = 5.0
    minimum: int = 100
    fast: float = 20.0  # half-life of the short mean
    slow: float = 200.0  # half-life of the baseline
    tail: float = 0.05  # share of values that make up the tail
    forget: float = 5000.0  # half-life of what the tail has seen
    shortest: float = -0.25  # bounds of the tail's shape: from a finite end ...
    heaviest: float = 0.45  # ... to the heaviest with a variance
    prior: float = 5.0  # exceedances' worth of belief in an exponential tail
    furthest: float = 6.0  # decades granted beyond the start of the tail
    days: float = 10.0  # memory of an hour of the day
    season: float = 0.9  # weight of the season against level and shift

    def begin(self, n: int) -> Memory:
        """Give the memory of n series that were never seen: 0.7 kB each."""
        return {
            "seen": np.zeros(n),
            "floor": np.zeros(n),
            "share": np.zeros(n),
            "rise": np.ones(n),
            "fall": np.ones(n),
            "fast": np.zeros((n, 2)),  # short mean and its weight so far
            "slow": np.zeros((n, 2)),
            "start": np.zeros((n, 5)),
            "tails": np.zeros((n, 5, 5)),
            "hours": np.zeros((n, _HOURS)),
            "hour_days": np.zeros((n, _HOURS)),
            "hour_now": np.zeros((n, 3)),  # which hour since the epoch, its sum, its count
        }

    def score(self, memory: Memory, values: Floats, now: float) -> Floats:
        """Rate each value by how rare its departures are; 1.0 is once in 10**decades values.

        Moves the short mean, which is judged: it must follow an incident that is not learnt.
        """
        self._follow(memory, values)
        level, shift, season = self.members(memory, values, now)
        return np.maximum(np.hypot(level, shift), season * self.season) / self.decades

    def members(self, memory: Memory, values: Floats, now: float) -> tuple[Floats, Floats, Floats]:
        """Give the rarity, in decades, that level, shift and season each see, shape (n,).

        The values have moved the short mean already: they are those that were scored last.
        """
        departures = self._depart(memory, values, now)
        rarity = self._rarity(memory, _both_ways(departures))
        floor = np.maximum(self._floor(memory), _ROUNDING * np.abs(values))
        sized = (np.abs(departures) >= floor[:, None]) & (departures != 0.0)
        ready = memory["seen"] >= self.minimum
        allowed = np.where(departures > 0.0, memory["rise"][:, None], memory["fall"][:, None])
        allowed *= sized & ready[:, None]
        level = np.maximum(rarity[:, _UP], rarity[:, _DOWN])
        season = np.maximum(rarity[:, _OVER], rarity[:, _UNDER])
        return (
            level * allowed[:, 0],
            rarity[:, _SHIFT] * allowed[:, 1],
            season * allowed[:, 2],
        )

    def band(self, memory: Memory, now: float) -> Floats:
        """Give the values between which no level scores 1.0, around the slow mean; (3, n).

        A side whose departures do not matter, and a series that is not ready, is NaN.
        """
        slow = memory["slow"][:, 0]
        reach = self._reach(memory)
        floor = self._floor(memory)
        rise = np.where(memory["rise"] > 0.0, np.maximum(reach[:, _UP], floor), np.nan)
        fall = np.where(memory["fall"] > 0.0, np.maximum(reach[:, _DOWN], floor), np.nan)
        ready = memory["seen"] >= self.minimum
        return np.where(ready, np.stack([slow - fall, slow, slow + rise]), np.nan)

    def _reach(self, memory: Memory) -> Floats:
        """Give the size at which each tail scores 1.0, shape (n, 5): `_rarity` read backwards."""
        count, _, many, total, squares = np.moveaxis(memory["tails"], -1, 0)
        shape, scale = self._fit(np.maximum(many, 1e-9), total, squares)
        share = np.maximum(many, 1e-9) / np.maximum(count, 1.0)
        decades = np.clip(self.decades + np.log10(np.minimum(share, 1.0)), 0.0, self.furthest)
        reach: Floats = memory["start"] + scale * np.expm1(decades * _LN10 * shape) / shape
        return reach

    def _fit(self, many: Floats, total: Floats, squares: Floats) -> tuple[Floats, Floats]:
        """Give shape and scale of the Pareto tail of ``many`` excesses, by their moments."""
        mean = total / many
        square = mean * mean
        variance = np.maximum(squares / many - square, 0.0)
        variance = (variance * many + self.prior * square) / (many + self.prior)
        # Squares of tiny numbers underflow: such a tail is taken for exponential.
        ratio = np.divide(square, variance, out=np.ones_like(square), where=variance > 0.0)
        shape = np.clip(0.5 * (1.0 - ratio), self.shortest, self.heaviest)
        shape[np.abs(shape) < 1e-6] = 1e-6
        return shape, mean * (1.0 - shape)

    def learn(self, memory: Memory, values: Floats, now: float) -> None:
        """Move the baseline, the tails and the hour of the day by one value each; skip NaN."""
        here = values == values
        if not here.any():
            return
        self._learn_tails(memory, _both_ways(self._depart(memory, values, now)))
        _average(memory["slow"], values, here, self.slow)
        self._learn_hour(memory, values, here, now)
        memory["seen"] += here

    def _follow(self, memory: Memory, values: Floats) -> None:
        _average(memory["fast"], values, values == values, self.fast)

    def _floor(self, memory: Memory) -> Floats:
        usual = np.abs(memory["slow"][:, 0])
        floor: Floats = np.maximum(memory["floor"], np.maximum(memory["share"], _ROUNDING) * usual)
        return floor

    def _depart(self, memory: Memory, values: Floats, now: float) -> Floats:
        """Give the departures (n, 3) of value, short mean and value from what they should be.

        What cannot be said (a gap, an hour not seen on an earlier day) is NaN.
        """
        slow = np.where(memory["seen"] > 0, memory["slow"][:, 0], values)
        short = np.where(values == values, memory["fast"][:, 0], np.nan)
        hour = int(now // 3600.0) % _HOURS
        known = memory["hour_days"][:, hour] >= 1.0
        usual = np.where(known, memory["hours"][:, hour], np.nan)
        return np.stack([values - slow, short - slow, values - usual], axis=1)

    def _rarity(self, memory: Memory, sizes: Floats) -> Floats:
        """Give -log10 of the probability of each size, (n, 5); 0.0 below the start of the tail."""
        rarity = np.zeros(sizes.shape)
        excess = sizes - memory["start"]
        sums = memory["tails"]
        beyond = excess > 0.0  # NaN is not
        beyond &= (sums[..., _BEYOND] > 0.0) & (sums[..., _COUNT] >= self._enough())
        where = np.nonzero(beyond)
        if where[0].size == 0:
            return rarity
        count, _, many, total, squares = sums[where].T
        shape, scale = self._fit(many, total, squares)
        ends = shape * np.divide(
            excess[where], scale, out=np.full_like(scale, 1e9), where=scale > 0.0
        )
        decades = np.log1p(np.maximum(ends, -1.0 + 1e-12)) / (shape * _LN10)
        rarity[where] = np.minimum(decades, self.furthest) - np.log10(many / count)
        return rarity

    def _enough(self) -> float:
        """Give the decayed count that ``minimum`` values add up to."""
        keep = 0.5 ** (1.0 / self.forget)
        return float((1.0 - keep ** (self.minimum - 0.5)) / (1.0 - keep))

    def _learn_tails(self, memory: Memory, sizes: Floats) -> None:
        start, sums = memory["start"], memory["tails"]
        known = sizes == sizes
        np.copyto(start, sizes, where=known & (sums[..., _COUNT] == 0.0))
        excess = np.where(known, sizes - start, 0.0)
        beyond = excess > 0.0
        more = np.maximum(excess, 0.0)
        sums *= np.where(known, 0.5 ** (1.0 / self.forget), 1.0)[..., None]
        sums[..., _COUNT] += known
        sums[..., _DISTANCE] += np.abs(excess)
        sums[..., _BEYOND] += beyond
        sums[..., _EXCESS] += more
        sums[..., _SQUARES] += more * more
        # The start follows its quantile by stochastic steps, scaled to the series' own distances.
        count = np.maximum(sums[..., _COUNT], 1.0)
        step = 2.0 * sums[..., _DISTANCE] / (count * count)
        start += step * np.where(known, beyond - self.tail, 0.0)

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


def _both_ways(departures: Floats) -> Floats:
    """Give the sizes whose tails are kept, (n, 5): level and season by direction, shift by size."""
    level, shift, season = departures.T
    return np.stack([level, -level, np.abs(shift), season, -season], axis=1)


DETECTOR = Ensemble()
