"""Announced maintenance and incidents of one exchange, from all sources. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from exporter.config import calendar
from exporter.maintenance import Maintenance, Notice, NoticeKind
from exporter.metrics.families import MaintenanceSource

AHEAD = 30 * 86400.0  # seconds for which windows of the config's calendar are foreseen
NOTHING_SAID = Maintenance(active=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcedNotice:
    """A notice and its source."""

    source: MaintenanceSource
    notice: Notice


@dataclass(slots=True)
class NoticeBoard:
    """The newest word of every source; ``windows`` are the config's. Times in epoch seconds."""

    windows: Sequence[calendar.CalendarWindow] = ()
    said: dict[MaintenanceSource, Maintenance] = field(default_factory=dict)
    _seen: dict[tuple[MaintenanceSource, str], float] = field(default_factory=dict)
    _next: tuple[float, float] | None = None  # of the windows; until when that holds, what it is

    def note(self, source: MaintenanceSource, maintenance: Maintenance, now: float) -> None:
        """Keep what one source says; what is named for the first time was declared now."""
        self.said[source] = replace(
            maintenance,
            notices=tuple(
                self._dated(source, each, now, maintenance.active)
                for each in _listed(maintenance, now)
            ),
        )
        standing = {(source, each.key) for each in self.said[source].notices}
        for known in [key for key in self._seen if key[0] is source and key not in standing]:
            del self._seen[known]

    def _dated(self, source: MaintenanceSource, notice: Notice, now: float, active: bool) -> Notice:
        first = self._seen.setdefault((source, notice.key), now)
        # A maintenance that is announced without a time begins at none that is known.
        goes_on = active or notice.kind is NoticeKind.INCIDENT
        return replace(
            notice,
            start=first if notice.start is None and goes_on else notice.start,
            declared=first if notice.declared is None else notice.declared,
        )

    @property
    def incident(self) -> str:
        """What is admitted, in the words of the venue, empty without anything."""
        titles = (
            each.notice.title for each in self.declared if each.notice.kind is NoticeKind.INCIDENT
        )
        return "; ".join(dict.fromkeys(titles))[:200]

    @property
    def declared(self) -> Iterator[SourcedNotice]:
        """Yield what venue and status page say, each thing once though both say it.

        The page comes first: it has times, names and an address for it.
        """
        titles: set[tuple[NoticeKind, str]] = set()
        for source in (MaintenanceSource.STATUS_PAGE, MaintenanceSource.VENUE):
            notices = self.said.get(source, NOTHING_SAID).notices
            for each in notices:
                if (each.kind, each.title) not in titles:
                    yield SourcedNotice(source=source, notice=each)
            titles.update((each.kind, each.title) for each in notices)

    def calendar(self, now: float) -> list[SourcedNotice]:
        """Return all that goes on or is to come and has a time, in order of it."""
        planned = (
            SourcedNotice(source=MaintenanceSource.CONFIG, notice=each)
            for each in self._planned(now, now + AHEAD)
        )
        found = [each for each in (*self.declared, *planned) if each.notice.start is not None]
        return sorted(found, key=lambda each: (each.notice.start or 0.0, each.notice.title))

    def _planned(self, now: float, until: float) -> Iterator[Notice]:
        for window in self.windows:
            if (end := calendar.end_of(window, now)) is not None:
                start = window.start if isinstance(window, calendar.Once) else end - window.duration
                yield _window(start, end)
            for start, end in calendar.upcoming(window, now, until):
                yield _window(start, end)

    def next_start(self, now: float) -> float | None:
        """Return when the next maintenance begins that anybody has announced or planned."""
        if self._next is None or self._next[0] <= now:
            starts = (
                start
                for window in self.windows
                for start, _ in calendar.upcoming(window, now, now + AHEAD)
            )
            first = min(starts, default=None)
            # Beyond the horizon nothing is known: it is looked at again in an hour.
            self._next = (now + 3600.0, -1.0) if first is None else (first, first)
        starts_known = [self._next[1]] if self._next[1] > now else []
        for said in self.said.values():
            starts_known += [
                each.start
                for each in said.notices
                if each.kind is NoticeKind.MAINTENANCE and each.start and each.start > now
            ]
            if said.start is not None and said.start > now:
                starts_known.append(said.start)
        return min(starts_known, default=None)


def _window(start: float, end: float) -> Notice:
    return Notice(kind=NoticeKind.MAINTENANCE, title="Planned maintenance", start=start, end=end)


def _listed(said: Maintenance, now: float) -> Iterator[Notice]:
    """Yield what is listed, and what is said without a list."""
    yield from said.notices
    kinds = {each.kind for each in said.notices}
    if said.incident and NoticeKind.INCIDENT not in kinds:
        yield Notice(kind=NoticeKind.INCIDENT, title=said.incident)
    begun = (each for each in said.notices if each.start is None or each.start <= now)
    if said.active and all(each.kind is not NoticeKind.MAINTENANCE for each in begun):
        title = said.title or "Maintenance"
        yield Notice(kind=NoticeKind.MAINTENANCE, title=title, end=said.end)
