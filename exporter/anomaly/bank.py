"""All detectors over all series, one call a tick.

bank = Bank(series, {name: load(name) for name in names()})
scores = bank.tick(values, now)            # values (n,), NaN for a gap; now in epoch seconds
for scores in bank.steps(values, now): await sleep(0)   # the same in bites of a few ms
bank.keep(new_series)                      # on reload: known series keep what they learnt
blob = bank.dump(); bank.restore(blob)     # raises ValueError for old, torn or foreign bytes
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from exporter.contracts import Banded, Detector, Explaining
from exporter.signals import Aspect, Floats, Memory, Scores, Series, Signal

_MAGIC = b"exchange-exporter detectors 3\n"  # raise the number when a memory changes its meaning
_CHUNK = 2048  # series per bite: arrays stay in the cache, and a bite under 2 ms
PIECE = 1 << 18  # bytes of a dump per bite: copied and summed up in a fraction of a millisecond
_NAMES = 1000  # series whose names are written per bite
_LARGEST = 1e100  # values are clipped to this, so that squares and sums stay finite
_HIGHEST = 1e6  # scores are clipped to this
_HELD = "_held"  # what is put aside is kept with the detectors' memories


class Bank:
    """The memories of d detectors over n series, in the order given; rows follow ``series``.

    ``signals`` tell detectors which departures matter; of other series all do. The detector
    named ``guard`` keeps anomalies from being learnt: a value that it scores at ``suspect`` or
    more is put aside, and learnt only if the next one is calm (it was a lone outlier, and the
    next should surprise less) or after ``patience`` suspects in a row (this is the new normal).
    """

    def __init__(
        self,
        series: Sequence[Series],
        detectors: Mapping[str, Detector],
        signals: Sequence[Signal] = (),
        *,
        guard: str | None = None,
        suspect: float = 0.7,
        patience: int = 600,
    ) -> None:
        self.series = tuple(series)
        self.detectors = dict(detectors)
        self._signals = {signal.name: signal for signal in signals}
        self._special: Mapping[Series, Signal] = {}
        self._guard = None if guard is None else list(self.detectors).index(guard)
        self._suspect = suspect
        self._patience = patience
        self._memories = self._begin(len(self.series))
        self._cut()

    def tick(self, values: Floats, now: float) -> Scores:
        """Score the values against what was learnt before, then learn them.

        ``values`` has shape (n,): NaN or infinity is a gap, which is neither judged nor learnt.
        ``now`` is the wall clock, epoch seconds.
        """
        *_, scores = self.steps(values, now)
        return scores

    def steps(self, values: Floats, now: float) -> Iterator[Scores]:
        """Do one tick in bites: a detector over some thousand series. The last item holds all."""
        n, d = len(self.series), len(self.detectors)
        if values.shape != (n,):
            raise ValueError(f"expected {n} values, got shape {values.shape}")
        measured = np.isfinite(values)
        clean = np.clip(np.where(measured, values, np.nan), -_LARGEST, _LARGEST)
        result = Scores(
            score=np.zeros((d, n)), ready=np.zeros((d, n), dtype=np.bool_), measured=measured
        )
        for rows, memories, held in self._chunks:
            pairs = list(zip(self.detectors.values(), memories, strict=True))
            for i, (detector, memory) in enumerate(pairs):
                result.ready[i, rows] = memory["seen"] >= detector.minimum
                score = detector.score(memory, clean[rows], now)
                np.minimum(score, _HIGHEST, out=result.score[i, rows])
                yield result
            lessons = [clean[rows]]
            if self._guard is not None:
                lessons = self._admit(held, clean[rows], result.score[self._guard, rows])
                barred = np.where(held["run"] < self._patience, held["run"], 0.0)
                for memory in memories:
                    if "barred" in memory:
                        memory["barred"][:] = barred
            for detector, memory in pairs:
                for lesson in lessons:
                    detector.learn(memory, lesson, now)
                yield result
        if not self._chunks:
            yield result

    def _admit(self, held: Memory, values: Floats, scores: Floats) -> list[Floats]:
        """Return what may be learnt now: values put aside earlier, if any, then this tick's."""
        aside, run = held["aside"], held["run"]
        here = values == values
        suspect = here & (scores >= self._suspect)
        calm = here & ~suspect
        late = np.where(calm & (run == 1.0), aside, np.nan)
        run[:] = np.where(calm, 0.0, run + suspect)
        barred = suspect & (run <= self._patience)
        aside[:] = np.where(barred, values, np.where(here, np.nan, aside))
        lessons = np.where(barred, np.nan, values)
        return [late, lessons] if (late == late).any() else [lessons]

    def band(self, name: str, now: float) -> Floats:
        """Return where a detector's threshold lies: rows lower, center, upper, shape (3, n).

        Raises TypeError for a detector that cannot say.
        """
        detector = self.detectors[name]
        if not isinstance(detector, Banded):
            raise TypeError(f"detector {name} has no band")
        return detector.band(self._memories[name], now)

    def aspect(self, name: str, row: int, score: float) -> Aspect | None:
        """Return what a detector saw at a row's last value; None for one that cannot say."""
        detector = self.detectors[name]
        if not isinstance(detector, Explaining):
            return None
        return detector.aspect(self._memories[name], row, score)

    def keep(
        self,
        series: Sequence[Series],
        signals: Sequence[Signal] | None = None,
        special: Mapping[Series, Signal] | None = None,
    ) -> None:
        """Change to these series: those known already keep their memories, the rest begin.

        ``signals``, and those of ``special`` series, take the place of those before, if given.
        """
        if signals is not None:
            self._signals = {signal.name: signal for signal in signals}
            self._special = special or {}
        rows = {one: i for i, one in enumerate(self.series)}
        kept = [(i, rows[one]) for i, one in enumerate(series) if one in rows]
        new, old = ([pair[side] for pair in kept] for side in (0, 1))
        for name, memory in self._begin(len(series)).items():
            for key, array in memory.items():
                array[new] = self._memories[name][key][old]
            self._memories[name] = memory
        self.series = tuple(series)
        self._cut()

    def adopt(self, other: Bank) -> None:
        """Take over series and memories of a bank with the same detectors; it is of no use then."""
        self.series, self._memories = other.series, other._memories
        self._cut()

    def dump(self) -> bytes:
        """Return all memories as bytes; `pieces` tells how they are laid out."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """Copy all memories in bites of `PIECE` bytes at most; joined they are a dump.

        Lines of the version, of what learnt, and of each thousand series; numbers; a checksum.
        Between two pieces nothing may be learnt: they are to be of one moment.
        """
        yield _MAGIC
        checksum = 0
        for piece in self._told():
            checksum = zlib.crc32(piece, checksum)
            yield piece
        yield b"%08x" % checksum

    def _told(self) -> Iterator[bytes]:
        head = {"series": len(self.series), "detectors": self._made()}
        yield json.dumps(head).encode() + b"\n"
        for start in range(0, len(self.series), _NAMES):
            some = self.series[start : start + _NAMES]
            yield json.dumps([[one.exchange, one.signal] for one in some]).encode() + b"\n"
        for memory in self._memories.values():
            for array in memory.values():
                flat = array.reshape(-1)
                for start in range(0, flat.size, PIECE // 8):
                    yield flat[start : start + PIECE // 8].astype("<f8", copy=False).tobytes()

    def restore(self, blob: bytes) -> None:
        """Take up the memories of a dump; series that it does not know begin anew.

        Raises ValueError, and changes nothing, for bytes that are torn, of another version, or
        learnt with other detectors or parameters.
        """
        if not blob.startswith(_MAGIC):
            raise ValueError(f"detector state of another version: {blob[:60]!r}")
        rest, checksum = memoryview(blob)[len(_MAGIC) : -8], blob[-8:]
        if checksum != b"%08x" % zlib.crc32(rest):
            raise ValueError("damaged detector state: its checksum does not match")
        line, start = _line(blob, len(_MAGIC))
        head = json.loads(line)
        if head["detectors"] != self._made():
            raise ValueError("detector state was learnt with other detectors or parameters")
        names = list[list[str]]()
        while len(names) < head["series"]:
            line, start = _line(blob, start)
            names += json.loads(line)
        series = tuple(Series(exchange, signal) for exchange, signal in names)
        memories = self._begin(len(series))
        for memory in memories.values():
            for array in memory.values():
                part = blob[start : start + array.nbytes]
                array[...] = np.frombuffer(part, dtype="<f8").reshape(array.shape)
                start += array.nbytes
        wanted, self.series, self._memories = self.series, series, memories
        self.keep(wanted)

    def _made(self) -> dict[str, str]:
        return {name: repr(detector) for name, detector in self.detectors.items()}

    def _begin(self, n: int) -> dict[str, Memory]:
        memories = {name: detector.begin(n) for name, detector in self.detectors.items()}
        return memories | {_HELD: {"aside": np.full(n, np.nan), "run": np.zeros(n)}}

    def _cut(self) -> None:
        n = len(self.series)
        known = [self._special.get(one) or self._signals.get(one.signal) for one in self.series]
        for memory in self._memories.values():
            if "floor" in memory:
                memory["floor"][:] = [max(s.effect, s.resolution) if s else 0.0 for s in known]
                memory["share"][:] = [s.share if s else 0.0 for s in known]
                memory["rise"][:] = [float(s.high) if s else 1.0 for s in known]
                memory["fall"][:] = [float(s.low) if s else 1.0 for s in known]
                memory["sensitivity"][:] = [s.sensitivity if s else 1.0 for s in known]
                memory["age"][:] = [float(s.age) if s else 0.0 for s in known]
                memory["relative"][:] = [s.resolution if s and s.relative else 0.0 for s in known]
        self._chunks: list[tuple[slice, list[Memory], Memory]] = []
        for start in range(0, n, _CHUNK):
            rows = slice(start, min(start + _CHUNK, n))
            *views, held = ({k: a[rows] for k, a in m.items()} for m in self._memories.values())
            self._chunks.append((rows, views, held))


def _line(blob: bytes, start: int) -> tuple[bytes, int]:
    """Return the line that begins there, and where the next one does."""
    end = blob.index(b"\n", start)
    return blob[start:end], end + 1
