"""Which faults wait and which are in force, by venue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.simulator.faults import Fault


@dataclass(slots=True, kw_only=True, eq=False)
class Active:
    """A fault that was posted. Times on the monotonic clock; ``since`` None until it starts."""

    id: int
    fault: Fault
    due: float
    since: float | None = None


class FaultRegistry:
    """Which faults are in force, by venue. The only place where that is known."""

    def __init__(self, venues: Sequence[str]) -> None:
        self._live: dict[str, list[Active]] = {name: [] for name in venues}
        self._all: dict[int, Active] = {}
        self._last = 0

    def post(self, fault: Fault, now: float) -> Active:
        """Register a fault; it is not in force before `begin`."""
        self._last += 1
        active = Active(id=self._last, fault=fault, due=now + fault.at)
        self._all[active.id] = active
        return active

    def begin(self, active: Active, now: float) -> bool:
        """Put it in force, unless it was removed meanwhile."""
        if active.id not in self._all:
            return False
        active.since = now
        for name in self.venues(active.fault):
            self._live[name].append(active)
        return True

    def remove(self, number: int) -> Active | None:
        """Remove a fault and return it; None if there is no such fault."""
        active = self._all.pop(number, None)
        if active is not None:
            for live in self._live.values():
                if active in live:
                    live.remove(active)
        return active

    def live(self, venue: str) -> list[Active]:
        """Return the list of the faults in force at a venue; later changes show in it."""
        return self._live[venue]

    def all(self) -> tuple[Active, ...]:
        """Return all faults, waiting and in force, oldest first."""
        return tuple(self._all.values())

    def venues(self, fault: Fault) -> tuple[str, ...]:
        """Return the venues that a fault strikes."""
        return tuple(name for name in self._live if fault.covers_venue(name))
