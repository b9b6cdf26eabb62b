"""Learns how long a subscription is usually silent, and when it is stale."""

from __future__ import annotations

from dataclasses import dataclass

_FEWEST = 5  # looks that must have found something new before its silences say anything
_LESSON = 1.5  # how much longer than known a silence may make the threshold at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Bounds of the learned silence, in seconds, and the factor of tolerance.

    A silence counts as stale when it is ``factor`` times the longest silence remembered: for
    arrivals at random (exponential gaps) and an hour of memory, a factor of 3 is wrong about once
    in 10^8 silences, and bursty symbols only remember longer ones.
    """

    floor: float = 5.0
    ceiling: float = 300.0
    factor: float = 3.0
    memory: float = 3600.0  # after so long without another, a longest silence is half forgotten


@dataclass(slots=True)
class Liveness:
    """The silences of one subscription, looked at once a tick: the frame path pays nothing.

    Silences shorter than a tick need no learning, for the floor is longer than a tick.
    """

    patience: Patience
    last: float  # when data last came, epoch seconds; at first, when it was subscribed
    longest: float = 0.0
    stale_after: float = 0.0
    _found: int = 0
    _looked: float = 0.0

    def __post_init__(self) -> None:
        self._looked = self.last
        # Nothing is known of a new subscription but that a quiet symbol may be healthy.
        self.stale_after = self.patience.ceiling

    def update(self, last: float, now: float) -> bool:
        """Update with the newest arrival (epoch seconds) at ``now``; return whether it is stale."""
        patience = self.patience
        if last > self.last:
            # A silence that was called stale was an incident, and teaches little: the threshold
            # grows by half. A market that has become quieter is known after a few of them.
            silence = min(last - self.last, self.stale_after * _LESSON / patience.factor)
            forget: float = 0.5 ** (max(now - self._looked, 0.0) / patience.memory)
            self.longest = max(silence, self.longest * forget)
            wanted = self.longest * patience.factor
            self._found += 1
            # What a venue sends on subscribing (its last trade, a snapshot) is no sign of life yet.
            if self._found >= _FEWEST:
                self.stale_after = min(max(wanted, patience.floor), patience.ceiling)
            self.last = last
        self._looked = now
        return now - self.last > self.stale_after

    def rearm(self, now: float) -> None:
        """Begin anew after subscribing again; what was learned of its silences stays."""
        self.last = self._looked = now
