"""The offset of a venue's clock from ours, and how far off that number can be.

Source: Marzullo (1984), "Maintaining the Time in a Distributed System": a reply proves that the
offset lies in an interval; what all intervals share is the best estimate. Mills, RFC 5905 section
10: the sample with the least round trip is the most accurate, and grows stale with age.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

# Quartz is specified within 100 parts per million; an older interval is widened by as much.
DRIFT = 100e-6
# Replies older than this have grown wider than a fresh one is likely to be.
MEMORY = 600.0


@dataclass(frozen=True, slots=True)
class Offset:
    """Venue clock minus ours, in seconds, right within ``error`` seconds at ``now`` (monotonic)."""

    value: float
    error: float
    now: float


@dataclass(slots=True)
class ClockOffset:
    """Offset of one exchange's clock, from its server-time endpoint."""

    _proofs: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=64))
    steps: int = 0  # times that a reply contradicted what was known: somebody set a clock

    def observe(
        self, venue_time: float, sent: float, round_trip: float, resolution: float, now: float
    ) -> Offset:
        """Learn from one reply and return the offset as it is known now.

        ``venue_time`` and ``sent`` (our wall clock when the request left) in epoch seconds;
        ``round_trip`` and the venue clock's ``resolution`` in seconds; ``now`` monotonic.
        """
        # The venue read its clock between `sent` and the reply, then cut it to its resolution.
        low = venue_time - sent - round_trip
        high = venue_time + resolution - sent
        if self._proofs:
            known_low, known_high = self._shared(now)
            if low > known_high or high < known_low:
                self._proofs.clear()
                self.steps += 1
        self._proofs.append((low, high, now))
        return self.read(now)

    def read(self, now: float) -> Offset:
        """Return the offset at ``now``; its error has grown since the last reply.

        Raises LookupError before the first reply.
        """
        if not self._proofs:
            raise LookupError("no reply yet")
        low, high = self._shared(now)
        return Offset((low + high) / 2, (high - low) / 2, now)

    def _shared(self, now: float) -> tuple[float, float]:
        while len(self._proofs) > 1 and now - self._proofs[0][2] > MEMORY:
            self._proofs.popleft()
        low = max(low - DRIFT * (now - then) for low, _, then in self._proofs)
        high = min(high + DRIFT * (now - then) for _, high, then in self._proofs)
        # Two drifting intervals may part by a hair without any step: then they meet in between.
        return (low, high) if low <= high else (high, low)


class Skew:
    """The venue's clock minus ours in seconds, shared by all feeds of one exchange."""

    __slots__ = ("offset",)

    def __init__(self) -> None:
        self.offset = 0.0
