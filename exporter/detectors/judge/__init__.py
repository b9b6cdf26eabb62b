"""Scores in, verdicts out: when an incident opens, worsens and closes, and what to tell people.

judge = Judge(series, signals, Rule())
scores = bank.tick(values, wall, learn=judge.learning(now))
verdicts = judge.advance(
    values, scores.score[i], scores.measured, now, wall,
    explain=lambda row: (bank.band("ensemble", wall)[:, row], {name: score of that row}),
)                                        # i is the deciding detector's row, "ensemble"
blob = judge.dump(now); judge.restore(blob, now)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from exporter.detectors.judge.machine import QUIET, Rule, Stage, State, step
from exporter.detectors.judge.wording import sentence
from exporter.model import Change, Evidence, Floats, Series, Severity, Signal, Verdict

__all__ = ["Judge", "Rule", "Stage", "State", "fade"]

_VERSION = 1


def fade(scores: Floats, peaks: Floats, half_life: float) -> tuple[Floats, Floats]:
    """Damp scores to what is news, and give the peaks that they leave; shape (n,) each.

    After an alarm only what is worse is news, until the memory of it has faded: ``half_life``
    counts values. A score of 90 % of the faded peak keeps a third of itself, of 80 % a tenth.
    """
    peaks = peaks * 0.5 ** (1.0 / half_life)
    share = np.divide(scores, peaks, out=np.ones_like(scores), where=scores < peaks)
    return scores * share**10, np.maximum(peaks, scores)


class Judge:
    """The stages of n series, advanced once a tick; rows follow ``series``."""

    def __init__(
        self, series: Sequence[Series], signals: Sequence[Signal], rule: Rule | None = None
    ) -> None:
        self.series = tuple(series)
        self.rule = rule or Rule()
        self._signals = {signal.name: signal for signal in signals}
        self._states = [QUIET] * len(self.series)
        self._peaks = np.zeros(len(self.series))
        self._busy: set[int] = set()

    def advance(
        self,
        values: Floats,
        scores: Floats,
        measured: npt.NDArray[np.bool_],
        now: float,
        wall: float,
        explain: Callable[[int], tuple[Floats, Mapping[str, float]]],
    ) -> tuple[Verdict, ...]:
        """Take in one tick and give its verdicts.

        ``values``, ``scores`` (of the deciding detector) and ``measured`` have shape (n,); ``now``
        is monotonic, ``wall`` epoch seconds. ``explain`` is asked for the few rows with a verdict:
        their lower bound, center and upper bound, and every detector's score.
        """
        news, peaks = fade(scores, self._peaks, self.rule.fade)
        self._peaks = np.where(measured, peaks, self._peaks)
        verdicts = []
        rows = self._busy.union(np.flatnonzero(measured & (news >= self.rule.open)).tolist())
        for row in sorted(rows):
            before = self._states[row]
            score = float(scores[row]) if measured[row] else None
            after, change = step(before, score, float(news[row]), now, self.rule)
            self._states[row] = after
            (self._busy.discard if after.stage is Stage.QUIET else self._busy.add)(row)
            if change is not None:
                since = wall - (now - after.breached)
                verdicts.append(
                    self._verdict(
                        row, change, after, float(values[row]), score, since, wall, explain
                    )
                )
        return tuple(verdicts)

    def incidents(self) -> dict[Series, State]:
        """Give the series that are not quiet, with their states."""
        return {self.series[row]: self._states[row] for row in sorted(self._busy)}

    def keep(self, series: Sequence[Series]) -> None:
        """Change to these series: those known already keep their states, the rest are quiet."""
        known = {one: i for i, one in enumerate(self.series)}
        rows = [known.get(one) for one in series]
        self._states = [QUIET if row is None else self._states[row] for row in rows]
        self._peaks = np.array([0.0 if row is None else self._peaks[row] for row in rows])
        self.series = tuple(series)
        self._busy = {i for i, s in enumerate(self._states) if s.stage is not Stage.QUIET}

    def dump(self, now: float) -> bytes:
        """Give the states as bytes. Times become ages: the monotonic clock begins anew at boot."""
        return self.photograph(now)()

    def photograph(self, now: float) -> Callable[[], bytes]:
        """Copy all states now, and dump them when called, by whichever thread."""
        kept = list(zip(self.series, self._states, self._peaks.tolist(), strict=True))

        def dump() -> bytes:
            rows = [
                {
                    "series": [one.exchange, one.signal],
                    "stage": state.stage,
                    "severity": state.severity,
                    "told": state.told,
                    "peak": peak,
                    "ages": [
                        None if time is None else now - time
                        for time in (state.since, state.breached, state.closed, state.measured)
                    ],
                }
                for one, state, peak in kept
                if state is not QUIET or peak > 0.0
            ]
            return json.dumps({"version": _VERSION, "rows": rows}).encode()

        return dump

    def restore(self, blob: bytes, now: float) -> None:
        """Take up the states of a dump, for the series known here.

        Raises ValueError, and changes nothing, for bytes that are torn or of another version.
        """
        try:
            found = json.loads(blob)
            if found["version"] != _VERSION:
                raise ValueError(f"version {found['version']}, expected {_VERSION}")
            known = {Series(*row["series"]): _read(row, now) for row in found["rows"]}
            peaks = {Series(*row["series"]): float(row["peak"]) for row in found["rows"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"unreadable incident state: {error}") from error
        self._states = [known.get(one, QUIET) for one in self.series]
        self._peaks = np.array([peaks.get(one, 0.0) for one in self.series])
        self._busy = {i for i, s in enumerate(self._states) if s.stage is not Stage.QUIET}

    def _verdict(
        self,
        row: int,
        change: Change,
        state: State,
        value: float,
        score: float | None,
        since: float,
        wall: float,
        explain: Callable[[int], tuple[Floats, Mapping[str, float]]],
    ) -> Verdict:
        (lower, center, upper), others = explain(row)
        evidence = Evidence(
            value=value,
            center=float(center),
            lower=float(lower),
            upper=float(upper),
            score=0.0 if score is None else score,
            detectors={name: other for name, other in others.items() if other >= 1.0},
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


def _read(row: Mapping[str, object], now: float) -> State:
    ages = row["ages"]
    if not isinstance(ages, list):
        raise ValueError("ages must be a list")
    since, breached, closed, measured = (None if age is None else now - float(age) for age in ages)
    return replace(
        QUIET,
        stage=Stage(str(row["stage"])),
        severity=Severity(str(row["severity"])),
        told=bool(row["told"]),
        since=since or 0.0,
        breached=breached or 0.0,
        closed=closed,
        measured=measured or 0.0,
    )
