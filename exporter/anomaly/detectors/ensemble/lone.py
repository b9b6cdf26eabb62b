"""The ensemble for one series alone, on plain floats: numpy costs more per call than it saves."""

from __future__ import annotations

from math import expm1, fabs, hypot, log1p, log10

from exporter.anomaly.detectors.ensemble import Ensemble
from exporter.anomaly.detectors.ensemble.tails import END, Joint, Tail

_LN10 = 2.302585092994046
_HOURS = 24


class _Tail:
    """What one kind of departure has looked like so far, and how rare the next one is."""

    __slots__ = ("beyond", "count", "excess", "start")

    def __init__(self) -> None:
        self.start = self.count = self.beyond = self.excess = 0.0

    def rarity(self, size: float, tail: Tail, enough: float) -> float:
        """Return decades; 0.0 below the start and where the tail is young."""
        beyond = size - self.start
        if not (beyond > 0.0 and self.excess > 0.0 and self.count >= enough):
            return 0.0
        scale = self.excess / self.beyond * (1.0 - tail.shape)
        decades = log1p(tail.shape / scale * beyond) / (tail.shape * _LN10)
        share = log10((self.beyond + tail.share) / (self.count + 1.0))
        return max(min(decades, tail.furthest) - share, 0.0)

    def learn(self, size: float, keep: float, tail: Tail) -> None:
        """Take in one size, known to be a number."""
        if self.count == 0.0:
            self.start = size
        excess = size - self.start
        mean = self.excess / self.beyond if self.beyond > 0.0 else 0.0
        scale = mean if mean > 0.0 else fabs(excess)
        step = scale / (tail.share * min(self.count + 1.0, tail.follow) + 1.0)
        self.count = self.count * keep + 1.0
        if excess > 0.0:
            if self.beyond > 10.0:
                count = 1.0 + (tail.clip - 1.0) * self.beyond / (self.beyond + tail.doubt)
                excess = min(excess, count * mean)
            self.start += step * (1.0 - tail.share)
            self.beyond = self.beyond * keep + 1.0
            self.excess = self.excess * keep + excess
        else:
            self.start -= step * tail.share
            self.beyond *= keep
            self.excess *= keep


class _Joint:
    """What the members together have said so far."""

    __slots__ = ("count", "far_tail", "tail")

    def __init__(self, joint: Joint) -> None:
        self.tail, self.far_tail = _Tail(), _Tail()
        self.tail.start = log10(2.0 / joint.share)
        self.far_tail.start = log10(2.0 / joint.far)
        self.count = 0.0

    def decades(self, joined: float, joint: Joint) -> float:
        """Return how rare the joined decades are."""
        if joined <= 0.0:
            return 0.0
        start = self.tail.start
        base = -log10((self.tail.beyond + joint.young * joint.share) / (self.count + joint.young))
        if joined <= start:
            return base * joined / start
        mean = self._mean(joint)
        far = max(self.far_tail.start, start)
        if joined <= far:
            return base + (joined - start) / (mean * _LN10)
        bend = base + (far - start) / (mean * _LN10)
        far_mean = self._far_mean(joint, mean)
        slope = max((far_mean - mean) / max(far - start, 0.05), -0.9)
        shape = min(max(slope / (1.0 + slope), joint.lightest), -1e-6)
        scale = far_mean * (1.0 - shape)
        left = max(joint.straight - bend, 0.0)
        last = far + scale * expm1(left * shape * _LN10) / shape
        if joined > last:
            return bend + left + (joined - last) / (far_mean * _LN10)
        return bend + log1p(max(shape / scale * (joined - far), END)) / (shape * _LN10)

    def learn(self, joined: float, keep: float, joint: Joint) -> None:
        """Take in what the members said together."""
        mean = self._mean(joint)
        far_mean = self._far_mean(joint, mean)
        self.count = self.count * keep + 1.0
        for tail, share, follow, scale in (
            (self.tail, joint.share, joint.follow, mean),
            (self.far_tail, joint.far, 10.0 * joint.follow, far_mean),
        ):
            tail.beyond *= keep
            tail.excess *= keep
            excess = joined - tail.start
            step = scale / (share * min(self.count, follow) + 1.0)
            if excess > 0.0:
                tail.start += step * (1.0 - share)
                tail.beyond += 1.0
                tail.excess += min(excess, joint.clip * scale)
            else:
                tail.start = max(tail.start - step * share, 0.05)

    def _mean(self, joint: Joint) -> float:
        total = self.tail.excess / joint.given + joint.belief / _LN10
        mean = total / (self.tail.beyond + joint.belief)
        return min(max(mean, joint.flattest), joint.steepest)

    def _far_mean(self, joint: Joint, mean: float) -> float:
        total = self.far_tail.excess / joint.given + joint.far_belief * mean
        least, most = joint.bend
        found = total / (self.far_tail.beyond + joint.far_belief)
        return min(max(found, least * mean), most * mean)


class ScalarEnsemble:
    """One series under an ensemble; gives what the ensemble gives for a row of its own."""

    def __init__(self, ensemble: Ensemble) -> None:
        self._ensemble = ensemble
        half_lives = (ensemble.near, ensemble.fast, ensemble.slow)
        self._paces = tuple(1.0 - 0.5 ** (1.0 / half_life) for half_life in half_lives)
        self._keep = 0.5 ** (1.0 / ensemble.tail.forget)
        self._joint_keep = 0.5 ** (1.0 / ensemble.joint.forget)
        self._seen = 0
        self._near = self._fast = self._slow = 0.0
        self._near_weight = self._fast_weight = self._slow_weight = 0.0
        self._up, self._down, self._shift = _Tail(), _Tail(), _Tail()
        self._over, self._under, self._rise, self._drop = _Tail(), _Tail(), _Tail(), _Tail()
        self._joint = _Joint(ensemble.joint)
        self._hours: list[float | None] = [None] * _HOURS
        self._days = [0] * _HOURS
        self._hour, self._hour_sum, self._hour_count = 0.0, 0.0, 0

    def score(self, value: float, now: float) -> float:
        """Rate one finite value by how rare its departures are; 1.0 is the threshold."""
        ensemble = self._ensemble
        near = self._near if self._near_weight > 0.0 else value
        self._near_weight += (1.0 - self._near_weight) * self._paces[0]
        self._near += (value - self._near) * (self._paces[0] / self._near_weight)
        self._fast_weight += (1.0 - self._fast_weight) * self._paces[1]
        self._fast += (value - self._fast) * (self._paces[1] / self._fast_weight)
        slow = self._slow if self._seen else value
        usual = self._hours[int(now // 3600.0) % _HOURS]
        level, shift, jump = value - slow, self._fast - slow, value - near
        season = None if usual is None else value - usual
        ready = self._seen >= ensemble.minimum
        joined = said = decades = 0.0
        if ready:
            far = self._both(level, self._up, self._down), self._one(fabs(shift), self._shift)
            sudden = self._both(jump, self._rise, self._drop)
            daily = 0.0
            if season is not None:
                daily = self._both(season, self._over, self._under) * ensemble.season
            joined = max(hypot(*far), daily, sudden)
            if joined > 0.0:
                least = 1e-9 * max(fabs(value), fabs(slow))
                said = max(
                    hypot(far[0] * (fabs(level) >= least), far[1] * (fabs(shift) >= least)),
                    daily * (fabs(season or 0.0) >= least),
                    sudden * (fabs(level) >= least),
                )
                decades = self._joint.decades(said, ensemble.joint)
        self._learn_tails(level, shift, season, jump)
        if ready:
            self._joint.learn(joined, self._joint_keep, ensemble.joint)
        return decades / ensemble.decades

    def learn(self, value: float, now: float) -> None:
        """Move the slow mean and the hour of the day by one finite value."""
        self._slow_weight += (1.0 - self._slow_weight) * self._paces[2]
        self._slow += (value - self._slow) * (self._paces[2] / self._slow_weight)
        self._learn_hour(value, now // 3600.0)
        self._seen += 1

    def _one(self, size: float, tail: _Tail) -> float:
        ensemble = self._ensemble
        return tail.rarity(size, ensemble.tail, 0.9 * ensemble.minimum) if size > 0.0 else 0.0

    def _both(self, departure: float, up: _Tail, down: _Tail) -> float:
        if departure == 0.0:
            return 0.0
        tail, enough = self._ensemble.tail, 0.9 * self._ensemble.minimum
        return max(up.rarity(departure, tail, enough), down.rarity(-departure, tail, enough))

    def _learn_tails(self, level: float, shift: float, season: float | None, jump: float) -> None:
        keep, tail = self._keep, self._ensemble.tail
        self._up.learn(level, keep, tail)
        self._down.learn(-level, keep, tail)
        self._shift.learn(fabs(shift), keep, tail)
        if season is not None:
            self._over.learn(season, keep, tail)
            self._under.learn(-season, keep, tail)
        self._rise.learn(jump, keep, tail)
        self._drop.learn(-jump, keep, tail)

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
