"""The ensemble for one series alone, on plain floats: numpy costs more per call than it saves."""

from __future__ import annotations

from math import fabs, hypot, log1p, log10

from exporter.anomaly.detectors.ensemble import Ensemble

_LN10 = 2.302585092994046
_HOURS = 24


class _Tail:
    """What one kind of departure has looked like so far, and how rare the next one is."""

    __slots__ = ("beyond", "count", "distance", "excess", "squares", "start")

    def __init__(self) -> None:
        self.start = self.count = self.distance = 0.0
        self.beyond = self.excess = self.squares = 0.0

    def rarity(self, excess: float, ensemble: Ensemble) -> float:
        """Give -log10 of the probability of lying that far beyond the start; excess > 0."""
        many = self.beyond
        mean = self.excess / many
        square = mean * mean
        variance = max(self.squares / many - square, 0.0)
        variance = (variance * many + ensemble.prior * square) / (many + ensemble.prior)
        ratio = square / variance if variance > 0.0 else 1.0
        shape = min(max(0.5 * (1.0 - ratio), ensemble.shortest), ensemble.heaviest)
        if fabs(shape) < 1e-6:
            shape = 1e-6
        scale = mean * (1.0 - shape)
        ends = shape * (excess / scale if scale > 0.0 else 1e9)
        decades = log1p(max(ends, -1.0 + 1e-12)) / (shape * _LN10)
        return min(decades, ensemble.furthest) - log10(many / self.count)

    def learn(self, size: float, keep: float, share: float) -> None:
        """Take in one size, known to be a number."""
        if self.count == 0.0:
            self.start = size
        excess = size - self.start
        self.count = count = self.count * keep + 1.0
        self.distance = self.distance * keep + fabs(excess)
        step = 2.0 * self.distance / (count * count)
        if excess > 0.0:
            self.beyond = self.beyond * keep + 1.0
            self.excess = self.excess * keep + excess
            self.squares = self.squares * keep + excess * excess
            self.start += step * (1.0 - share)
        else:
            self.beyond *= keep
            self.excess *= keep
            self.squares *= keep
            self.start -= step * share


class ScalarEnsemble:
    """One series under an ensemble; gives what the ensemble gives for a row of its own."""

    def __init__(self, ensemble: Ensemble) -> None:
        self._ensemble = ensemble
        self._paces = (1.0 - 0.5 ** (1.0 / ensemble.fast), 1.0 - 0.5 ** (1.0 / ensemble.slow))
        self._keep = 0.5 ** (1.0 / ensemble.forget)
        self._enough = (1.0 - self._keep ** (ensemble.minimum - 0.5)) / (1.0 - self._keep)
        self._seen = 0
        self._fast = self._slow = self._fast_weight = self._slow_weight = 0.0
        self._up, self._down, self._shift, self._over, self._under = (_Tail() for _ in range(5))
        self._hours: list[float | None] = [None] * _HOURS
        self._days = [0] * _HOURS
        self._hour, self._hour_sum, self._hour_count = 0.0, 0.0, 0

    def score(self, value: float, now: float) -> float:
        """Rate one finite value by how rare its departures are; 1.0 is the threshold."""
        self._fast_weight += (1.0 - self._fast_weight) * self._paces[0]
        self._fast += (value - self._fast) * (self._paces[0] / self._fast_weight)
        level, shift, season = self._depart(value, now)
        least = 1e-9 * fabs(value)
        score = hypot(
            self._judge(level, self._up, self._down, least),
            self._judge(fabs(shift), self._shift, None, least),
        )
        if season is not None:
            usual = self._judge(season, self._over, self._under, least)
            score = max(score, usual * self._ensemble.season)
        return score / self._ensemble.decades

    def learn(self, value: float, now: float) -> None:
        """Move the baseline, the tails and the hour of the day by one finite value."""
        keep, share = self._keep, self._ensemble.tail
        level, shift, season = self._depart(value, now)
        self._up.learn(level, keep, share)
        self._down.learn(-level, keep, share)
        self._shift.learn(fabs(shift), keep, share)
        if season is not None:
            self._over.learn(season, keep, share)
            self._under.learn(-season, keep, share)
        self._slow_weight += (1.0 - self._slow_weight) * self._paces[1]
        self._slow += (value - self._slow) * (self._paces[1] / self._slow_weight)
        self._learn_hour(value, now // 3600.0)
        self._seen += 1

    def _depart(self, value: float, now: float) -> tuple[float, float, float | None]:
        slow = self._slow if self._seen else value
        usual = self._hours[int(now // 3600.0) % _HOURS]
        return (
            value - slow,
            self._fast - slow,
            None if usual is None else value - usual,
        )

    def _judge(self, departure: float, up: _Tail, down: _Tail | None, least: float) -> float:
        if departure == 0.0 or fabs(departure) < least or self._seen < self._ensemble.minimum:
            return 0.0
        rarity = 0.0
        for tail, size in ((up, departure), (down, -departure)):
            if tail is None or tail.count < self._enough or tail.beyond == 0.0:
                continue
            if size > tail.start:
                rarity = max(rarity, tail.rarity(size - tail.start, self._ensemble))
        return rarity

    def _learn_hour(self, value: float, current: float) -> None:
        if current != self._hour:
            if self._hour_count:
                hour = int(self._hour) % _HOURS
                self._days[hour] += 1
                mean, old = self._hour_sum / self._hour_count, self._hours[hour] or 0.0
                step = (mean - old) / min(self._days[hour], self._ensemble.days)
                self._hours[hour] = old + step
            self._hour, self._hour_sum, self._hour_count = current, 0.0, 0
        self._hour_sum += value
        self._hour_count += 1
