"""One incident of one group of alerts, from its first alert to its end: a pure state machine.

What an Alertmanager posts is its whole group as it is by then, so a post is not news but a state:
what it leaves out does not fire any more (silenced, inhibited or gone), what it repeats is no
news, and a later start of what is thought to be firing is a new outage whose predecessor's end
nobody told (``send_resolved: false``, or a post that was lost). Two Alertmanagers that know
nothing of each other are told apart by their addresses: one takes back only what it has said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from exporter.notification import Alert, Level, Occasion

MOST_ALERTS: Final = 2000  # of one incident that are kept in full; further ones are counted
_RANK: Final = {Level.CRITICAL: 0, Level.WARNING: 1, Level.INFO: 2}
_TWIN: Final = 60.0  # seconds by which two Alertmanagers' Prometheus may see one start apart
_CALM: Final = 0.1  # of the flapping window: what was quiet so long and starts is a new outage


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRules:
    """When coming and going counts as flapping. Durations in seconds."""

    window: float = 600.0  # in which a new start continues the incident before, and changes count
    changes: int = 4  # starts and ends within the window that make it flapping
    quiet: float = 300.0  # after anything was told, a repeat within it is no reminder


class Track(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whose word on an alert this is: of those who report it firing, or said that it has ended.

    The first sender's start it is. ``ended``: when we heard of its end, epoch seconds. ``gone``: a
    post left it out, nobody said that it has ended.
    """

    senders: tuple[str, ...] = ()
    ended: float | None = None
    gone: bool = False


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
    tracks: Mapping[str, Track] = {}  # by fingerprint, as the alerts

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
    """Return the most urgent level."""
    return min(levels, key=_RANK.__getitem__, default=Level.INFO)


def near(then: float, now: float, window: float) -> bool:
    """Return whether two wall-clock times lie within ``window`` of each other, either way.

    Either way, because a wall clock may be set back: then nothing may count as recent for longer
    than the window is long.
    """
    return abs(now - then) < window


class _Change(Enum):
    """What one alert of a post does to what was known of it."""

    STARTS = 1
    RESTARTS = 2  # its end was never told
    GOES_ON = 3
    ENDS = 4
    NOTHING = 5  # the sender is behind


def change(
    known: Alert | None, track: Track, alert: Alert, sender: str, now: float, quiet: float
) -> _Change:
    """Judge one posted alert against what is known. ``quiet``: how far a twin may lag, seconds."""
    if known is None:
        return _Change.STARTS if alert.firing else _Change.ENDS
    # A start that is unknown is 0, and no reason to think of another outage.
    later = alert.start - known.start if alert.start and known.start else 0.0
    near_enough = 0.0 if sender in track.senders[:1] or not track.senders else _TWIN
    if known.firing and alert.firing:
        return _Change.RESTARTS if later > near_enough else _Change.GOES_ON
    if known.firing:
        before = later < -near_enough and (alert.end or alert.start) <= known.start
        return _Change.NOTHING if before else _Change.ENDS
    if not alert.firing:
        return _Change.NOTHING
    if later > near_enough or (not track.gone and alert.start > (known.end or 0.0)):
        return _Change.STARTS
    if track.gone:  # it was silenced, or its group not known in full after a restart
        return _Change.GOES_ON
    recent = track.ended is not None and near(track.ended, now, quiet)
    return _Change.NOTHING if recent and sender not in track.senders else _Change.STARTS


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
    sender: str = "",
    whole: bool = False,
) -> tuple[Incident | None, Occasion | None]:
    """Apply the alerts of one post; return the incident after it and the notice to send, if any.

    ``serial`` makes the id of a new incident its own. ``no_data``: what ends now may have ended
    only because nobody looks any more. ``whole``: what the post leaves out fires no more.
    """
    latest: dict[str, Alert] = {}  # an alert that is listed twice counts as its newest
    for alert in sorted(news, key=lambda each: (each.start, each.firing)):
        latest[alert.fingerprint] = alert
    if incident is None or (
        incident.closed is not None and not near(incident.closed, now, rules.window)
    ):
        known = set() if incident is None else incident.alerts.keys()
        if not any(alert.firing for alert in latest.values()) and latest.keys() <= known:
            return incident, None  # its end was told when the incident closed
        incident = Incident(id=f"{group[:12]}-{serial}", group=group, opened=now, alerts={})
    after, turn = _taken(incident, latest, sender=sender, whole=whole, now=now, rules=rules)
    after = msgspec.structs.replace(after, more=more + turn.beyond)
    lost = no_data or any(_without_data(alert) for alert in latest.values())
    after, occasion = _told(incident, after, turn, now=now, rules=rules, lost=lost)
    if occasion is Occasion.REMINDER and near(after.told, now, rules.quiet):
        return after, None  # from a twin, or from one that lost our answer
    return after if occasion is None else msgspec.structs.replace(after, told=now), occasion


@dataclass(slots=True)
class _Turn:
    """What a post has changed: fingerprints, and alerts beyond those that are kept."""

    started: set[str]
    restarted: set[str]
    repeated: bool = False
    ended: bool = False
    beyond: int = 0


def _taken(
    before: Incident,
    latest: Mapping[str, Alert],
    *,
    sender: str,
    whole: bool,
    now: float,
    rules: IncidentRules,
) -> tuple[Incident, _Turn]:
    """Bring the alerts to what the post says of them."""
    alerts, tracks, turn = dict(before.alerts), dict(before.tracks), _Turn(set(), set())
    level = before.level
    for name, alert in latest.items():
        known, track = alerts.get(name), tracks.get(name, Track())
        if known is None and len(alerts) >= MOST_ALERTS:
            turn.beyond += 1
            continue
        others = tuple(each for each in track.senders if each != sender)
        match change(known, track, alert, sender, now, rules.quiet):
            case _Change.STARTS:
                turn.started.add(name)
                track = Track(senders=(sender,))
            case _Change.RESTARTS:
                turn.restarted.add(name)
                track = Track(senders=(sender,))
            case _Change.GOES_ON:
                turn.repeated = True
                if known is not None and known.start:
                    alert = msgspec.structs.replace(alert, start=known.start)
                if track.gone:
                    track = Track(senders=(sender,))
                elif sender not in track.senders:
                    track = Track(senders=(*track.senders, sender))
            case _Change.ENDS:
                turn.ended = True
                alert = msgspec.structs.replace(alert, end=alert.end or now)
                track = Track(senders=(sender,), ended=now)
            case _Change.NOTHING:
                if known is not None and not known.firing and not alert.firing:
                    tracks[name] = Track(senders=(*others, sender), ended=track.ended)
                continue
        alerts[name], tracks[name] = alert, track
        level = worst((level, alert.level))
    if whole:
        for name in [n for n, each in alerts.items() if each.firing and n not in latest]:
            senders = tracks.get(name, Track()).senders
            left = tuple(each for each in senders if each != sender)
            if left:  # another reports it, and is heard again when it does not any more
                tracks[name] = Track(senders=left)
                continue
            turn.ended = True
            alerts[name] = msgspec.structs.replace(alerts[name], firing=False, end=now)
            tracks[name] = Track(senders=(sender,), ended=now, gone=True)
    return msgspec.structs.replace(before, alerts=alerts, tracks=tracks, level=level), turn


def _told(
    before: Incident,
    after: Incident,
    turn: _Turn,
    *,
    now: float,
    rules: IncidentRules,
    lost: bool,
) -> tuple[Incident, Occasion | None]:
    """Say what of it is to be told."""
    open_before, open_now = bool(before.firing), bool(after.firing)
    if not before.alerts:
        if open_now:
            return after, Occasion.FIRING
        return msgspec.structs.replace(after, closed=now, lost=lost), _end(lost)
    went_on = any(
        alert.firing and after.alerts[name].firing and name not in turn.restarted
        for name, alert in before.alerts.items()
    )
    if open_before is open_now and (went_on or not turn.restarted):
        if not open_now:
            return after, None
        if turn.started or turn.restarted or after.level is not before.level:
            return after, Occasion.UPDATE
        # That some have ended is no news worth a page: the last one's end tells of all.
        return after, Occasion.REMINDER if turn.repeated and not turn.ended else None
    times = (now,) if open_before is not open_now else (now, now)  # an end that nobody told
    recent = tuple(t for t in before.changes if near(t, now, rules.window))[-20:]
    after = msgspec.structs.replace(
        after,
        changes=(*recent, *times),
        closed=None if open_now else now,
        lost=lost and not open_now,
    )
    if before.flapping and not _new_outage(before, after, turn, now, rules):
        return after, None
    if before.flapping:
        return msgspec.structs.replace(after, flapping=False, changes=(now,)), Occasion.FIRING
    if len(after.changes) >= rules.changes:
        return msgspec.structs.replace(after, flapping=True), Occasion.FLAPPING
    return after, Occasion.FIRING if open_now else _end(lost)


def _new_outage(
    before: Incident, after: Incident, turn: _Turn, now: float, rules: IncidentRules
) -> bool:
    """Tell a new critical outage from the next turn of what comes and goes."""
    urgent = [
        name
        for name in turn.started | turn.restarted
        if after.alerts[name].firing and after.alerts[name].level is Level.CRITICAL
    ]
    calm = not (before.changes and near(before.changes[-1], now, rules.window * _CALM))
    return any(calm or name not in before.alerts for name in urgent)


def _end(lost: bool) -> Occasion:
    return Occasion.LOST if lost else Occasion.RESOLVED


# Grafana's reasons for an end that say that nobody looks any more: no data, a query that fails, or
# a rule that was paused, changed or deleted. Source: grafana, pkg/services/ngalert/models/
# alert_rule.go (StateReason...; ConcatReasons joins several by a comma), read 2026-11-30.
_BLIND: Final = frozenset({"nodata", "missingseries", "error", "paused", "updated", "ruledeleted"})


def _without_data(alert: Alert) -> bool:
    """Return whether the sender itself says that an end is none that was seen."""
    reasons = alert.annotations.get("grafana_state_reason", "").lower().replace(",", " ").split()
    lost = alert.annotations.get("outcome", "").lower() == "lost"
    return not alert.firing and (lost or not _BLIND.isdisjoint(reasons))


def settle(
    incident: Incident, now: float, rules: IncidentRules
) -> tuple[Incident, Occasion | None]:
    """End the flapping when nothing has changed for long: the window, or less for a critical one.

    What is critical and has stayed so for a while does not come and go any more: it is an outage.
    """
    urgent = any(alert.level is Level.CRITICAL for alert in incident.firing)
    calm = rules.window * (_CALM if urgent else 1.0)
    if not incident.flapping or near(incident.changes[-1], now, calm):
        return incident, None
    return msgspec.structs.replace(incident, flapping=False, changes=()), Occasion.SETTLED


def lose(incident: Incident, now: float, rules: IncidentRules) -> tuple[Incident, Occasion | None]:
    """Take back that an incident was resolved, as the data had gone: it ended within the window."""
    recent = incident.closed is not None and near(incident.closed, now, rules.window)
    if not recent or incident.lost:
        return incident, None
    return msgspec.structs.replace(incident, lost=True), Occasion.LOST
