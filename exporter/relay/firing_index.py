"""Which incidents have a firing alert, by fingerprint: the groups of a post may have changed.

Kept in memory, as its thousands of rows would be written anew with each post. What it says is
looked up before it is believed: a transaction may have been undone since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from exporter.relay.incident import Incident


class FiringIndex:
    """Ids of open incidents, read from the disk when the first is asked for."""

    def __init__(self) -> None:
        self._ids: dict[str, set[str]] | None = None

    def __len__(self) -> int:
        return len(self._ids or ())

    def note(self, incident: Incident) -> None:
        """Bring the index to what an incident is now."""
        if self._ids is None:
            return
        for name, alert in incident.alerts.items():
            ids = self._ids.setdefault(name, set())
            if alert.firing:
                ids.add(incident.id)
                continue
            ids.discard(incident.id)
            if not ids:
                del self._ids[name]

    def forget(self, fingerprint: str) -> None:
        """Take out an alert that was none."""
        if self._ids is not None:
            self._ids.pop(fingerprint, None)

    def holders(
        self, fingerprints: Iterable[str], load: Callable[[], Iterable[Incident]]
    ) -> list[str]:
        """Return the ids of the incidents in which one of these alerts fires, sorted.

        ``load`` returns the open incidents that are on the disk.
        """
        if self._ids is None:
            self._ids = {}
            for incident in load():
                self.note(incident)
        return sorted({each for one in fingerprints for each in self._ids.get(one, ())})
