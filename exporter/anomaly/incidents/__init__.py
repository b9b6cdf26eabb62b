"""Turns scores into verdicts: when an incident opens, becomes worse and closes, with a sentence.

tracker = IncidentTracker(series, signals, IncidentRule())
scores = bank.tick(values, wall)
for verdicts in tracker.steps(
    values, scores.score[i], scores.measured, now, wall,
    explain=lambda row: (bank.band("ensemble", wall)[:, row], {name: score of that row}),
): ...                                   # i is the deciding detector's row, "ensemble"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import numpy.typing as npt

from exporter.anomaly.incidents.machine import (
    QUIET,
    IncidentRule,
    IncidentStage,
    IncidentState,
    step,
)
from exporter.anomaly.incidents.wording import sentence
from exporter.signals import Aspect, Change, Evidence, Floats, Series, Signal, Verdict

__all__ = ["IncidentRule", "IncidentStage", "IncidentState", "IncidentTracker", "fade"]

_VERSION = 2
ROWS = 1000  # series whose states are copied per bite
VERDICTS = 16  # series that are looked at more closely per bite


def fade(scores: Floats, peaks: Floats, half_life: float) -> tuple[Floats, Floats]:
    """Damp scores to what is news, and return the peaks that they leave; shape (n,) each.

    After an alarm only what is worse is news, until the memory of it has faded: ``half_life``
    counts values. A score of 90 % of the faded peak keeps a third of itself, of 80 % a tenth.
    """
    peaks = peaks * 0.5 ** (1.0 / half_life)
    share = np.divide(scores, peaks, out=np.ones_like(scores), where=scores < peaks)
    return scores * share**10, np.maximum(peaks, scores)


class IncidentTracker:
    """The stages of n series, advanced once a tick; rows follow ``series``."""

    def __init__(
        self,
        series: Sequence[Series],
        signals: Sequence[Signal],
        rule: IncidentRule | None = None,
        aspect: Callable[[int, float], Aspect | None] = lambda row, score: None,
    ) -> None:
        self.series = tuple(series)
        self.rule = rule or IncidentRule()
        self.aspect = aspect  # what a row's score was for, of the few rows with a verdict
        self._signals = {signal.name: signal for signal in signals}
        self._states = [QUIET] * len(self.series)
        self._peaks = np.zeros(len(self.series))
        self._busy: set[int] = set()

    def steps(
        self,
        values: Floats,
        scores: Floats,
        measured: npt.NDArray[np.bool_],
        now: float,
        wall: float,
        explain: Callable[[int], tuple[Floats, Mapping[str, float]]],
    ) -> Iterator[list[Verdict]]:
        """Advance by one tick; yield its verdicts in steps of at most `VERDICTS`.

        ``values``, ``scores`` (of the deciding detector) and ``measured`` have shape (n,); ``now``
        is monotonic, ``wall`` epoch seconds. ``explain`` is called for the few rows with a verdict:
        it returns lower bound, center and upper bound, and every detector's score.
        """
        news, peaks = fade(scores, self._peaks, self.rule.fade)
        self._peaks = np.where(measured, peaks, self._peaks)
        verdicts = list[Verdict]()
        rows = self._busy.union(np.flatnonzero(measured & (news >= self.rule.open)).tolist())
        for looked, row in enumerate(sorted(rows), start=1):
            before = self._states[row]
            score = float(scores[row]) if measured[row] else None
            after, change = step(before, score, float(news[row]), now, self.rule)
            self._states[row] = after
            (self._busy.discard if after.stage is IncidentStage.QUIET else self._busy.add)(row)
            if change is not None:
                since = wall - (now - after.breached)
                verdicts.append(
                    self._verdict(
                        row, change, after, float(values[row]), score, since, wall, explain
                    )
                )
            if looked % VERDICTS == 0:
                yield verdicts
                verdicts = []
        yield verdicts

    def incidents(self) -> dict[Series, IncidentState]:
        """Return the series that are not quiet, with their states."""
        return {self.series[row]: self._states[row] for row in sorted(self._busy)}

    def keep(self, series: Sequence[Series]) -> None:
        """Change to these series: those known already keep their states, the rest are quiet."""
        known = {one: i for i, one in enumerate(self.series)}
        rows = [known.get(one) for one in series]
        self._states = [QUIET if row is None else self._states[row] for row in rows]
        self._peaks = np.array([0.0 if row is None else self._peaks[row] for row in rows])
        self.series = tuple(series)
        self._busy = {i for i, s in enumerate(self._states) if s.stage is not IncidentStage.QUIET}

    def dump(self, now: float) -> bytes:
        """Return the states as bytes; ``now`` is monotonic."""
        return b"".join(self.pieces(now))

    def pieces(self, now: float) -> Iterator[bytes]:
        """Copy all states in bites of `ROWS` at most; joined they are a dump: lines of JSON.

        Between two pieces nothing may be judged: they are to be of one moment.
        """
        yield msgspec.json.encode(_Head(version=_VERSION, now=now)) + b"\n"
        for start in range(0, len(self.series), ROWS):
            rows = slice(start, start + ROWS)
            states, peaks = self._states[rows], self._peaks[rows].tolist()
            kept = [
                _StateRow(one, state, peak)
                for one, state, peak in zip(self.series[rows], states, peaks, strict=True)
                if state is not QUIET or peak > 0.0
            ]
            yield msgspec.json.Encoder().encode_lines(kept)

    def restore(self, blob: bytes, now: float) -> None:
        """Take up the states of a dump, for the series known here.

        The monotonic clock begins anew at boot: what counts is how long ago everything was.
        Raises ValueError, and changes nothing, for bytes that are torn or of another version.
        """
        first, _, rest = blob.partition(b"\n")
        try:
            head = msgspec.json.decode(first, type=_Head)
            if head.version != _VERSION:
                raise ValueError(f"version {head.version}, expected {_VERSION}")
            rows = msgspec.json.Decoder(_StateRow).decode_lines(rest)
        except ValueError as error:
            raise ValueError(f"unreadable incident state: {error}") from error
        states = {row.series: _moved(row.state, now - head.now) for row in rows}
        peaks = {row.series: row.peak for row in rows}
        self._states = [states.get(one, QUIET) for one in self.series]
        self._peaks = np.array([peaks.get(one, 0.0) for one in self.series])
        self._busy = {i for i, s in enumerate(self._states) if s.stage is not IncidentStage.QUIET}

    def _verdict(
        self,
        row: int,
        change: Change,
        state: IncidentState,
        value: float,
        score: float | None,
        since: float,
        wall: float,
        explain: Callable[[int], tuple[Floats, Mapping[str, float]]],
    ) -> Verdict:
        (lower, center, upper), others = explain(row)
        told = change in (Change.OPENED, Change.WORSENED) and score is not None
        seen = self.aspect(row, score or 0.0) if told else None
        evidence = Evidence(
            value=value,
            center=float(center),
            lower=float(lower),
            upper=float(upper),
            score=0.0 if score is None else score,
            detectors={name: other for name, other in others.items() if other >= 1.0},
            aspect=seen.name if seen else "",
            apart=seen.apart if seen else None,
            once=seen.once if seen else None,
        )
        series = self.series[row]
        signal = self._signals.get(series.signal)
        return Verdict(
            series=series,
            change=change,
            severity=state.severity,
            time=wall,
            since=since,
            evidence=evidence,
            sentence=sentence(series, signal, change, evidence, wall - since),
        )


class _Head(msgspec.Struct):
    version: int
    now: float  # of the clock that the states' times are by


class _StateRow(msgspec.Struct):
    series: Series
    state: IncidentState
    peak: float


def _moved(state: IncidentState, by: float) -> IncidentState:
    """Return a state as it is by a clock that is ahead by so many seconds."""
    closed = None if state.closed is None else state.closed + by
    return replace(
        state,
        since=state.since + by,
        breached=state.breached + by,
        measured=state.measured + by,
        closed=closed,
    )
