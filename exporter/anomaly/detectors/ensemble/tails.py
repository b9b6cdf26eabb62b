"""How rare a size is, by a tail that is fitted as the sizes stream by; many series at once.

`Tail` turns a departure in the series' own unit into decades: -log10 of the probability of going
so far. `Joint` does the same for the joined decades of several members. Both learn every value,
whatever it scores: a tail that never sees the extremes which define it promises what it cannot
keep. What keeps an incident from deafening them: an excess counts at most ``clip`` mean excesses,
and the r-th rare value in a row counts 1/r.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np
import numpy.typing as npt

from exporter.signals import Floats

# Fields of a tail: exponentially forgetting sums, and where it begins.
COUNT, BEYOND, EXCESS, START, FAR_BEYOND, FAR_EXCESS, FAR = range(7)
Mask = npt.NDArray[np.bool_]
LN10 = float(np.log(10.0))
END = -1.0 + 1e-4  # how near a tail that ends is judged to its end, which no value is beyond


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """A generalised Pareto tail of one shape for all series, whose scale is the series' own.

    Arrays of sums have shape (..., 4): `COUNT`, `BEYOND`, `EXCESS`, `START`.

    Source for the tail: Siffer et al. (2017), "Anomaly Detection in Streams with Extreme Value
    Theory"; scale from the mean excess: Hosking and Wallis (1987), "Parameter and Quantile
    Estimation for the Generalized Pareto Distribution", section 3; the streaming quantile:
    Robbins and Monro (1951), with a step that does not shrink below 1/``follow``.
    """

    share: float = 0.05  # share of values that make up the tail
    forget: float = 20000.0  # half-life in values of what the tail has seen
    follow: float = 500.0  # values over which the start follows its quantile
    shape: float = 0.15
    clip: float = 5.0  # mean excesses that one excess may count, where many were seen
    doubt: float = 30.0  # exceedances; where fewer were seen, one may count less than that
    furthest: float = 12.0  # decades granted beyond the start

    def rarity(self, sums: Floats, sizes: Floats, enough: float) -> Floats:
        """Return decades for each size; 0.0 below the start, for NaN, and for young tails."""
        excess = sizes - sums[..., START]
        rare = np.zeros(sizes.shape)
        beyond = excess > 0.0  # NaN is not
        beyond &= (sums[..., EXCESS] > 0.0) & (sums[..., COUNT] >= enough)
        where = np.nonzero(beyond)
        if where[0].size == 0:
            return rare
        count, many, total, _ = sums[where].T
        scale = total / many * (1.0 - self.shape)
        decades = np.log1p(self.shape / scale * excess[where]) / (self.shape * LN10)
        decades = np.minimum(decades, self.furthest) - self.log_share(many, count)
        rare[where] = np.maximum(decades, 0.0)
        return rare

    def reach(self, sums: Floats, decades: Floats) -> Floats:
        """Return the size that is so many decades rare, beyond the start: `rarity` read back."""
        count, many, total, start = np.moveaxis(sums, -1, 0)
        scale = total / np.maximum(many, 1e-9) * (1.0 - self.shape)
        beyond = np.clip(decades + self.log_share(many, count), 0.0, self.furthest)
        reach: Floats = start + scale * np.expm1(beyond * LN10 * self.shape) / self.shape
        return reach

    def log_share(self, many: Floats, count: Floats) -> Floats:
        """Return log10 of the share of values beyond the start, as measured."""
        share: Floats = np.log10((many + self.share) / (count + 1.0))
        return share

    def learn(self, sums: Floats, sizes: Floats, weight: Floats) -> None:
        """Take in sizes, (n, k), skipping NaN; ``weight``, (n,), above 0.0 and up to 1.0."""
        count, many, total, start = np.moveaxis(sums, -1, 0)
        known = sizes == sizes
        np.copyto(start, sizes, where=known & (count == 0.0))
        excess = np.where(known, sizes - start, 0.0)
        beyond = excess > 0.0
        mean = np.divide(total, many, out=np.zeros_like(total), where=many > 0.0)
        # Until something lay beyond the start, the distance to it is the only scale there is.
        scale = np.where(mean > 0.0, mean, np.abs(excess))
        counts = known * weight[:, None]
        step = counts * scale / (self.share * np.minimum(count + 1.0, self.follow) + 1.0)
        start += step * (beyond - self.share)
        # A few values of an incident would teach a young tail that such things are usual.
        most = mean * (1.0 + (self.clip - 1.0) * many / (many + self.doubt))
        clipped = np.where(many > 10.0, np.minimum(excess, most), excess)
        keep = np.where(known, 0.5 ** (1.0 / self.forget), 1.0)
        count *= keep
        count += counts
        counts *= beyond
        many *= keep
        many += counts
        total *= keep
        total += counts * clipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """The tail of the joined decades of several members, which pays for their number.

    Each member may be right, and the largest of them still is over any limit more often than one
    of them; how much more depends on how the members of a series depend on each other, so it is
    measured. In decades a tail is nearly exponential: its mean excess would be 1/ln 10 if one
    perfect member were all. It is measured beyond two starts, which the shares ``share`` and
    ``far`` of values exceed, because the tails of the members have one shape for all series and
    theirs may be lighter or heavier; both means are bounded and shrunk. Where the far mean is the
    smaller one the tail bends down, and goes on bending: a generalised Pareto tail, whose mean
    excess falls by shape / (1 - shape) per unit. Arrays of sums have shape (n, 7): those of a
    `Tail`, then the sums beyond the far start, and that start.
    """

    share: float = 0.05
    far: float = 0.001
    forget: float = 50000.0
    follow: float = 3000.0  # values over which the start follows its quantile; ten times, the far
    clip: float = 1.5  # mean excesses that one excess may count
    belief: float = 10.0  # exceedances' worth of belief in 1/ln 10
    far_belief: float = 5.0  # far exceedances' worth of belief in the near mean
    flattest: float = 0.2
    steepest: float = 0.5
    bend: tuple[float, float] = (0.4, 1.75)  # the far mean, in near ones: at least, at most
    lightest: float = -0.3  # shape
    straight: float = 5.0  # decades from which the tail goes on straight: none was ever so rare
    young: float = 1000.0  # values' worth of belief in `share`

    def begin(self, n: int) -> Floats:
        """Return the sums of n series: the tail of one perfect member, doubled."""
        sums = np.zeros((n, 7))
        sums[:, START] = np.log10(2.0 / self.share)
        sums[:, FAR] = np.log10(2.0 / self.far)
        return sums

    def decades(self, sums: Floats, joined: Floats) -> Floats:
        """Return how rare the joined decades are, in decades; shape (n,)."""
        found = np.zeros_like(joined)
        where = np.flatnonzero(joined > 0.0)
        if where.size:
            row, value = sums[where], joined[where]
            start, base, far, bend, mean, far_mean, shape = self._knots(row)
            last, ends = self._last(far, bend, far_mean, shape)
            above = base + (value - start) / (mean * LN10)
            reached = np.maximum(shape / (far_mean * (1.0 - shape)) * (value - far), END)
            bent = bend + np.log1p(reached) / (shape * LN10)
            beyond = np.where(value <= last, bent, ends + (value - last) / (far_mean * LN10))
            found[where] = np.where(
                value <= start, base * value / start, np.where(value <= far, above, beyond)
            )
        return found

    def joined(self, sums: Floats, decades: Floats) -> Floats:
        """Return the joined decades that are so rare: `decades` read backwards."""
        start, base, far, bend, mean, far_mean, shape = self._knots(sums)
        last, ends = self._last(far, bend, far_mean, shape)
        above = start + (decades - base) * mean * LN10
        bent = far + _bent(far_mean, shape, np.maximum(decades - bend, 0.0))
        beyond = np.where(decades <= ends, bent, last + (decades - ends) * far_mean * LN10)
        joined: Floats = np.where(
            decades <= base, decades * start / base, np.where(decades <= bend, above, beyond)
        )
        return joined

    def learn(self, sums: Floats, joined: Floats, weight: Floats) -> None:
        """Take in the joined decades, (n,), each with its weight; 0.0 leaves a row as it is.

        The far mean learns all alike. It is bounded, so an incident cannot deafen it; and what a
        healthy series does for long once a day is what its promise is most often broken by.
        """
        count, many, total, start, far_many, far_total, far = sums.T
        mean = self._mean(sums)
        far_mean = self._far_mean(sums, mean)
        known = weight > 0.0
        keep = np.where(known, 0.5 ** (1.0 / self.forget), 1.0)
        for part in (count, many, total, far_many, far_total):
            part *= keep
        count += weight
        for share, follow, scale, begin, beyonds, excesses, counts in (
            (self.share, self.follow, mean, start, many, total, weight),
            (self.far, 10.0 * self.follow, far_mean, far, far_many, far_total, known),
        ):
            excess = joined - begin
            beyond = excess > 0.0
            step = scale / (share * np.minimum(count, follow) + 1.0)
            begin += step * weight * (beyond - share)
            np.maximum(begin, 0.05, out=begin)
            counted = counts * beyond
            beyonds += counted
            excesses += counted * np.minimum(excess, self.clip * scale)

    def _knots(self, sums: Floats) -> tuple[Floats, ...]:
        """Return start and far start with their decades, both means, and the shape beyond."""
        start = sums[:, START]
        share = (sums[:, BEYOND] + self.young * self.share) / (sums[:, COUNT] + self.young)
        base = -np.log10(share)
        mean = self._mean(sums)
        far = np.maximum(sums[:, FAR], start)
        bend = base + (far - start) / (mean * LN10)
        far_mean = self._far_mean(sums, mean)
        slope = (far_mean - mean) / np.maximum(far - start, 0.05)
        slope = np.maximum(slope, -0.9)
        # An exponential tail, where it does not bend down, is one of a shape of nearly 0.
        shape = np.clip(slope / (1.0 + slope), self.lightest, -1e-6)
        return start, base, far, bend, mean, far_mean, shape

    def _last(
        self, far: Floats, bend: Floats, far_mean: Floats, shape: Floats
    ) -> tuple[Floats, Floats]:
        """Return the joined decades up to which the tail bends, and how rare they are."""
        left = np.maximum(self.straight - bend, 0.0)
        return far + _bent(far_mean, shape, left), bend + left

    def _mean(self, sums: Floats) -> Floats:
        """Return the mean excess; what clipping takes from an exponential tail is given back."""
        total = sums[:, EXCESS] / self.given + self.belief / LN10
        mean: Floats = total / (sums[:, BEYOND] + self.belief)
        return np.clip(mean, self.flattest, self.steepest)

    def _far_mean(self, sums: Floats, mean: Floats) -> Floats:
        total = sums[:, FAR_EXCESS] / self.given + self.far_belief * mean
        far: Floats = total / (sums[:, FAR_BEYOND] + self.far_belief)
        least, most = self.bend
        return np.clip(far, least * mean, most * mean)

    @property
    def given(self) -> float:
        """The share of an exponential tail's mean that clipping leaves."""
        return 1.0 - exp(-self.clip)


def _bent(mean: Floats, shape: Floats, decades: Floats) -> Floats:
    """Return how far beyond its start a Pareto tail of that mean excess is so many decades rare."""
    reach: Floats = mean * (1.0 - shape) * np.expm1(decades * shape * LN10) / shape
    return reach
