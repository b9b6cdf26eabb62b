"""One incident of one group of alerts, from its first alert to its end: a pure state machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from exporter.model import Alert, Level, Occasion

MOST_ALERTS: Final = 2000  # of one incident that are kept in full; further ones are counted
_RANK: Final = {Level.CRITICAL: 0, Level.WARNING: 1, Level.INFO: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRules:
    """When coming and going counts as flapping. Durations in seconds."""

    window: float = 600.0  # in which a new start continues the incident before, and changes count
    changes: int = 4  # starts and ends within the window that make it flapping
    quiet: float = 300.0  # after anything was told, a repeat within it is no reminder


class Incident(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a group since it was last quiet. Times in epoch seconds."""

    id: str
    group: str
    opened: float
    alerts: Mapping[str, Alert]  # by fingerprint, firing and ended ones
    level: Level = Level.INFO  # the worst there was
    changes: tuple[float, ...] = ()  # when it ended or began again, the last ones
    closed: float | None = None
    flapping: bool = False
    lost: bool = False  # it ended because there is no data
    more: int = 0  # alerts beyond those that are kept
    told: float = 0.0  # when there was last something to tell

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that fire, the worst first."""
        return _sorted(alert for alert in self.alerts.values() if alert.firing)

    @property
    def ended(self) -> tuple[Alert, ...]:
        """The alerts that have ended, the worst first."""
        return _sorted(alert for alert in self.alerts.values() if not alert.firing)


def _sorted(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    return tuple(sorted(alerts, key=lambda a: (_RANK[a.level], a.start, a.name, a.exchange)))


def worst(levels: Iterable[Level]) -> Level:
    """Give the most urgent level."""
    return min(levels, key=_RANK.__getitem__, default=Level.INFO)


def near(then: float, now: float, window: float) -> bool:
    """Tell whether two wall-clock times lie within ``window`` of each other, either way.

    Either way, because a wall clock may be set back: then nothing may count as recent for longer
    than the window is long.
    """
    return abs(now - then) < window


def advance(
    incident: Incident | None,
    news: Iterable[Alert],
    *,
    group: str,
    serial: int,
    now: float,
    rules: IncidentRules,
    no_data: bool = False,
    more: int = 0,
) -> tuple[Incident | None, Occasion | None]:
    """Take the alerts of one post that are no duplicates; give what is to be told, if anything.

    ``serial`` makes the id of a new incident its own. ``no_data``: what ends now may have ended
    only because nobody looks any more.
    """
    news = tuple(news)
    if incident is None or (
        incident.closed is not None and not near(incident.closed, now, rules.window)
    ):
        known = set() if incident is None else set(incident.alerts)
        if not any(alert.firing for alert in news) and all(a.fingerprint in known for a in news):
            return incident, None  # its end was told when the incident closed
        incident = Incident(id=f"{group[:12]}-{serial}", group=group, opened=now, alerts={})
    after, occasion = _apply(incident, news, now=now, rules=rules, no_data=no_data, more=more)
    if occasion is Occasion.REMINDER and near(after.told, now, rules.quiet):
        return after, None  # from a twin, whose clock gave the alert another start
    return after if occasion is None else msgspec.structs.replace(after, told=now), occasion


def _apply(
    before: Incident,
    news: tuple[Alert, ...],
    *,
    now: float,
    rules: IncidentRules,
    no_data: bool,
    more: int,
) -> tuple[Incident, Occasion | None]:
    alerts = dict(before.alerts)
    joined = eased = False
    for alert in news:
        known = alerts.get(alert.fingerprint)
        joined |= alert.firing and (known is None or not known.firing)
        eased |= not alert.firing and (known is None or known.firing)
        if known is not None or len(alerts) < MOST_ALERTS:
            alerts[alert.fingerprint] = alert
        else:
            more += 1
    level = worst([before.level, *(alert.level for alert in news)])
    began, open_before = not before.alerts, bool(before.firing)
    after = msgspec.structs.replace(before, alerts=alerts, level=level, more=more)
    open_now = bool(after.firing)
    lost = no_data or any(_without_data(alert) for alert in news)
    if began:
        if open_now:
            return after, Occasion.FIRING
        return msgspec.structs.replace(after, closed=now, lost=lost), _end(lost)
    if open_before is open_now:
        if not open_now:
            return before, None
        if joined or level is not before.level:
            return after, Occasion.UPDATE
        # That some have ended is no news worth a page: the last one's end tells of all.
        return after, None if eased else Occasion.REMINDER
    recent = tuple(t for t in before.changes if near(t, now, rules.window))[-20:]
    after = msgspec.structs.replace(
        after,
        changes=(*recent, now),
        closed=None if open_now else now,
        lost=lost and not open_now,
    )
    if before.flapping:
        return after, None
    if len(after.changes) >= rules.changes:
        return msgspec.structs.replace(after, flapping=True), Occasion.FLAPPING
    return after, Occasion.FIRING if open_now else _end(lost)


def _end(lost: bool) -> Occasion:
    return Occasion.LOST if lost else Occasion.RESOLVED


def _without_data(alert: Alert) -> bool:
    """Tell whether the sender itself says that an end is for want of data."""
    said = alert.annotations.get("grafana_state_reason", "") or alert.annotations.get("outcome", "")
    return not alert.firing and said.lower() in ("nodata", "missingseries", "lost")


def settle(
    incident: Incident, now: float, rules: IncidentRules
) -> tuple[Incident, Occasion | None]:
    """End the flapping when nothing has changed for the window's length."""
    if not incident.flapping or near(incident.changes[-1], now, rules.window):
        return incident, None
    return msgspec.structs.replace(incident, flapping=False, changes=()), Occasion.SETTLED


def lose(incident: Incident, now: float, rules: IncidentRules) -> tuple[Incident, Occasion | None]:
    """Take back that an incident was resolved, as the data had gone: it ended within the window."""
    recent = incident.closed is not None and near(incident.closed, now, rules.window)
    if not recent or incident.lost:
        return incident, None
    return msgspec.structs.replace(incident, lost=True), Occasion.LOST
