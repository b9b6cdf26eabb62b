"""One tick: sample all signals, score them with all detectors at once. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from exporter.anomaly.bank import Bank
from exporter.contracts import Tracker
from exporter.signals import Floats, Scores, Series, Signal

OURSELVES = "exporter"  # whose signals those of this process are, where an exchange would stand


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What one tick saw; rows follow `Pipeline.series`. ``values`` has shape (n,), NaN: a gap."""

    values: Floats
    scores: Scores


_NOTHING = Tick(
    values=np.empty(0),
    scores=Scores(
        score=np.empty((0, 0)),
        ready=np.empty((0, 0), dtype=np.bool_),
        measured=np.empty(0, dtype=np.bool_),
    ),
)


class Pipeline:
    """The signals of all exchanges and the detectors that judge them.

    ``trackers`` pairs each signal with what measures it, every tracker over the same exchanges in
    the same order. ``own`` are those of this process, over nothing but `OURSELVES`. Series in
    ``special`` are judged by the signal given there, or not at all.
    """

    def __init__(
        self,
        exchanges: Sequence[str],
        trackers: Sequence[tuple[Signal, Tracker]],
        bank: Bank,
        own: Sequence[tuple[Signal, Tracker]] = (),
        special: Mapping[Series, Signal | None] | None = None,
    ) -> None:
        special = special or {}
        self.series = (
            *(Series(exchange, signal.name) for signal, _ in trackers for exchange in exchanges),
            *(Series(OURSELVES, signal.name) for signal, _ in own),
        )
        self._trackers = tuple(tracker for _, tracker in (*trackers, *own))
        self._bank = bank
        judged = {one: signal for one, signal in special.items() if signal is not None}
        self._left_out = [
            row for row, one in enumerate(self.series) if one in special and one not in judged
        ]
        self._bank.keep(self.series, [signal for signal, _ in (*trackers, *own)], judged)

    def tick(self, now: float, wall: float) -> Iterator[Tick]:
        """Do one tick in bites of a few milliseconds; the last item holds all of it.

        ``now`` is monotonic, ``wall`` epoch seconds.
        """
        rows = list[Floats]()
        for tracker in self._trackers:
            rows.append(tracker.sample(now))
            yield _NOTHING
        values = np.concatenate(rows) if rows else np.empty(0)
        if self._left_out:
            values[self._left_out] = np.nan
        for scores in self._bank.steps(values, wall):
            yield Tick(values=values, scores=scores)
