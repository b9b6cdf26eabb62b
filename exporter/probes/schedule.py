"""The schedule of an exchange's endpoints, and how rate limits delay it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from heapq import heappop, heappush
from math import ceil, floor, gcd, inf

from exporter.flow import rate_limit
from exporter.flow.rate_limit import RateLimitRules, RateLimitState
from exporter.model import Target

_RAMP = 0.5  # seconds over which the first round is spread
_PLACES = 64  # in an interval, of which the one farthest from all others is taken
_MOST_TURNS = 4000  # that are foreseen
_LEAST_ROUNDS, _WINDOWS = 4, 3  # how far ahead, where that takes no more turns
_SLACK = 62 / 60  # a window is kept in slices, and forgets whole ones
_BANS, _BAN = 6, 30.0  # what is foreseen includes so many bans of so many seconds


def phase(exchange: str, endpoint: str) -> float:
    """Return an offset in an interval, from 0 to 1: the same after every start."""
    digest = blake2b(f"{exchange}/{endpoint}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def phases(targets: Sequence[Target]) -> dict[str, float]:
    """Return the offset of each endpoint of one exchange in its interval, from 0 to 1.

    Turns of two endpoints come as near to each other as the difference of their places does,
    modulo the greatest common divisor of their intervals. One after the other, the quickest first,
    each takes the place that keeps it farthest from those before: what shares a limit does not
    ask for it at once. The same after every start.
    """
    placed: list[tuple[int, int]] = []  # interval and place, milliseconds
    found: dict[str, float] = {}
    for target in sorted(targets, key=lambda each: (each.interval, -each.weight, each.endpoint)):
        interval = max(1, round(target.interval * 1000))
        own = phase(target.exchange, target.endpoint)
        tried = [floor((own + n / _PLACES) % 1.0 * interval) for n in range(_PLACES)]
        best = max(tried, key=lambda place: _distance(interval, place, placed)) if placed else -1
        found[target.endpoint] = own if best < 0 else best / interval
        placed.append((interval, tried[0] if best < 0 else best))
    return found


def _distance(interval: int, place: int, placed: Sequence[tuple[int, int]]) -> float:
    """Return the shortest time between a turn and one of the others', as a share of the shorter."""
    nearest = inf
    for other, taken in placed:
        common = gcd(interval, other)
        apart = (place - taken) % common
        nearest = min(nearest, min(apart, common - apart) / min(interval, other))
    return nearest


def first_due(place: float, interval: float) -> float:
    """Return when the first turn comes, in seconds after a start: soon, so that all is shown."""
    return place * min(_RAMP, interval)


def first_turn(place: float, interval: float) -> int:
    """Return which turn follows it, 0 being the first in its place: not much too early."""
    return 0 if place * interval - first_due(place, interval) >= interval / 2 else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """What is asked again and again, and its place in its interval; ``pace`` is its own limit."""

    name: str
    interval: float
    weight: int
    place: float
    pace: float = 0.0  # seconds between two at least


@dataclass(slots=True)
class Foreseen:
    """What comes of the turns of one endpoint, in seconds; nothing is said of a ban's time."""

    interval: float
    late: float = 0.0  # at most, behind its place
    gap: float = 0.0  # the longest between two probes
    skipped: int = 0
    turns: int = 0


def foresee(turns: Sequence[Turns], limits: Sequence[RateLimitRules]) -> dict[str, Foreseen]:
    """Return what comes of a schedule by the limits, from a start on and over some bans.

    It is `probe.run` with answers that take no time: who finds no room waits in line, limit by
    limit, until its next turn comes.
    """
    found = {each.name: Foreseen(each.interval) for each in turns}
    if turns and not _always_fits(turns, limits):
        _Foresight(turns, limits, found).run()
        for limit in limits:
            _count_crowd(turns, limit, found)
    return found


def _count_crowd(turns: Sequence[Turns], limit: RateLimitRules, found: dict[str, Foreseen]) -> None:
    """Note who may wait for longer than its interval, should all come twice in one window.

    Those in front in the line may be heavy, and nobody overtakes them: each may fill a window of
    its own. A walk meets that only in some of the moments in which a ban may end.
    """
    ours = limit.ours.weight
    flow = sum(each.weight * limit.window / each.interval for each in turns)
    all_once = sum(each.weight for each in turns)
    if 2 * all_once + flow <= ours:
        return
    windows = 1 if all_once <= ours else min(len(turns), ceil(2 * all_once / ours))
    wait = max(limit.window, (windows - 1) * limit.window * _SLACK)  # the first is empty
    for each in turns:
        if each.interval < wait:
            found[each.name].gap = max(found[each.name].gap, each.interval + wait)


def _always_fits(turns: Sequence[Turns], limits: Sequence[RateLimitRules]) -> bool:
    """Say whether no window can hold more turns than its limit has room for."""
    return all(each.pace <= each.interval for each in turns) and all(
        sum(each.weight * (floor(limit.window * _SLACK / each.interval) + 2) for each in turns)
        <= limit.ours.weight
        for limit in limits
    )


class _Foresight:
    """One walk through the turns of an exchange; all times in seconds after a start."""

    def __init__(
        self, turns: Sequence[Turns], limits: Sequence[RateLimitRules], found: dict[str, Foreseen]
    ) -> None:
        self._turns, self._limits, self._found = turns, limits, found
        self._states = [RateLimitState() for _ in limits]
        self._free = [0.0 for _ in limits]  # when the line of a limit has nobody in it
        self._sent = [-inf for _ in turns]
        self._last = [0.0 for _ in turns]
        rate = sum(1.0 / each.interval for each in turns)
        far = _LEAST_ROUNDS * max(each.interval for each in turns)
        far = max(far, _WINDOWS * max((limit.window for limit in limits), default=0.0))
        self._end = min((_BANS + 1) * (far / 2.0 + _BAN), _MOST_TURNS / rate)
        # Each begins in another moment of the intervals, and after it all come at once.
        apart = self._end / (_BANS + 1) + min(each.interval for each in turns) / _BANS
        self._bans = [(apart * n, apart * n + _BAN) for n in range(1, _BANS + 1)]

    def run(self) -> None:
        """Take turn after turn, in the order in which they join the lines."""
        heap: list[tuple[float, int, int]] = []  # when it joins which line, and its number
        due, next_turn = [0.0] * len(self._turns), [0] * len(self._turns)
        woken = [0.0] * len(self._turns)
        for number, each in enumerate(self._turns):
            due[number] = woken[number] = first_due(each.place, each.interval)
            next_turn[number] = first_turn(each.place, each.interval)
            heappush(heap, (due[number], -1, number))
        while heap:
            now, line, number = heappop(heap)
            if now >= self._end:
                continue
            each, found = self._turns[number], self._found[self._turns[number].name]
            until = woken[number] + each.interval
            left = self._left(now, line, number, until)
            if left is not None and line + 1 < len(self._limits):
                heappush(heap, (left, line + 1, number))
                continue
            found.turns += 1
            if left is not None:
                self._began(number, found, due[number], left)
            elif not self._overlaps_ban(woken[number], until):
                found.skipped += 1
            anchor = each.place * each.interval
            passed = floor((woken[number] - anchor) / each.interval) + 1
            turn = max(next_turn[number], passed)
            due[number], next_turn[number] = anchor + turn * each.interval, turn + 1
            woken[number] = max(due[number], until if left is None else left)
            heappush(heap, (woken[number], -1, number))
        for number, each in enumerate(self._turns):
            self._count_gap(number, self._found[each.name], self._end)

    def _left(self, now: float, line: int, number: int, until: float) -> float | None:
        """Return when it leaves a line having what it came for, None if that is too late."""
        each = self._turns[number]
        if line < 0:
            now = max(now, self._sent[number] + each.pace)
            return now if now <= until else None
        now = max(now, self._free[line])
        while now <= until:
            wait = max((end - now for begin, end in self._bans if begin <= now < end), default=0.0)
            if wait <= 0.0:
                self._states[line], wait = rate_limit.take(
                    self._states[line], each.weight, now, self._limits[line]
                )
            if wait <= 0.0:
                self._free[line] = now
                return now
            now += wait
        self._free[line] = max(self._free[line], until)
        return None

    def _began(self, number: int, found: Foreseen, due: float, now: float) -> None:
        if not self._overlaps_ban(due, now):
            found.late = max(found.late, now - due)
        self._count_gap(number, found, now)
        self._sent[number] = self._last[number] = now

    def _count_gap(self, number: int, found: Foreseen, now: float) -> None:
        begun = self._last[number]
        for start, end in self._bans:  # what a ban costs is the ban's, not the schedule's
            if begun < end and now > start:
                begun = max(begun, min(end, now))
        found.gap = max(found.gap, now - begun)

    def _overlaps_ban(self, begin: float, end: float) -> bool:
        return any(begin < stop and end > start for start, stop in self._bans)
