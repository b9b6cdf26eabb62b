"""The store of incidents: applies a post and writes the resulting messages into the outbox.

Everything here is one transaction on an open connection: a kill at any point leaves all of a
post's effects on the disk, or none of them, and then it was not acknowledged either.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from exporter.notification import Alert, Level, Occasion
from exporter.relay import documents, enqueue, outbox, rendering, suppression
from exporter.relay.enqueue import Taken
from exporter.relay.firing_index import FiringIndex
from exporter.relay.incident import Incident, IncidentRules, advance, lose, near, settle
from exporter.relay.receiver import ANY_ROUTE, Receiver, target_of
from exporter.relay.store import FullError
from exporter.relay.suppression import Suppression
from exporter.relay.webhook import Post

_MOST_LOST: Final = 100  # resolved notices that one loss of data takes back
_ENDS: Final = frozenset({Occasion.RESOLVED, Occasion.LOST})
_SCOPE: Final = ("job", "instance", "cluster", "exchange")  # one's outage says nothing of another


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentStoreSettings:
    """How posts become messages. Durations in seconds.

    ``blind``: names of alerts that say that nobody looks any more, so that what ends while one of
    them fires is lost rather than resolved. ``grace``: how long a billed message may wait for its
    triage.
    """

    flapping: IncidentRules = field(default_factory=IncidentRules)
    blind: frozenset[str] = frozenset()
    triage: frozenset[Level] = frozenset()
    asks: bool = False  # whether there is a model to ask
    triage_per_hour: int = 20
    triage_per_day: int = 100
    grace: float = 1.5


class IncidentStore:
    """Turns posts, passing time and answers of the model into deliveries."""

    def __init__(self, receivers: Sequence[Receiver], settings: IncidentStoreSettings) -> None:
        self._receivers = {receiver.name: receiver for receiver in receivers}
        self._settings = settings
        self._firing = FiringIndex()

    # --- a post ---------------------------------------------------------------------------------

    def take(self, db: sqlite3.Connection, post: Post, now: float) -> Taken:
        """Take a post at ``now`` (epoch seconds). Raises FullError when there is no room for it."""
        if outbox.full(db):
            raise FullError("the spool is full")
        taken = Taken()
        before = _latest(db, post.group)
        serial = db.execute("SELECT coalesce(max(serial), 0) + 1 FROM incidents").fetchone()[0]
        after, occasion = advance(
            before,
            post.alerts,
            group=post.group,
            serial=serial,
            now=now,
            rules=self._settings.flapping,
            no_data=self._blind(db, _ending(before, post), post.group),
            more=post.more,
            sender=post.sender,
            whole=post.whole or post.over,
        )
        if occasion is None:
            taken.duplicates = _repeated(before, post)
        self._end_elsewhere(db, post, now, taken)
        if after is None:
            return taken
        self._save(db, after, post.receiver, post.key)
        if occasion is not None:
            worse = before is not None and before.id == after.id and before.level != after.level
            self._tell(db, after, post.receiver, occasion, now, taken, at_once=worse)
        if occasion is Occasion.FIRING and self._is_blind(after):
            self._take_back(db, after, now, taken)
        return taken

    def _end_elsewhere(self, db: sqlite3.Connection, post: Post, now: float, taken: Taken) -> None:
        """End the same alerts in other groups: of another receiver, or another grouping.

        After a change of Alertmanager's config a group may never be posted for again, and its
        incidents would stay open for ever. One that is still posted for hears the same now rather
        than in a moment. Of another group key only the alerts that the same sender has posted.
        """
        ended = {alert.fingerprint: alert for alert in post.alerts if not alert.firing}
        if not ended or not post.key:
            return
        for name in self._firing.holders(ended, partial(_open, db)):
            row = db.execute(
                "SELECT state, route, key FROM incidents WHERE id = ? AND grp != ?",
                (name, post.group),
            ).fetchone()
            if row is None:
                continue
            incident = _incident(row)
            same = row["key"] == post.key
            mine = [
                ended[alert.fingerprint]
                for alert in incident.firing
                if alert.fingerprint in ended
                and (same or post.sender in incident.tracks[alert.fingerprint].senders)
            ]
            if not mine:
                continue
            after, occasion = advance(
                incident, mine, group=incident.group, serial=0, now=now,
                rules=self._settings.flapping, sender=post.sender,
                no_data=self._blind(db, mine, incident.group),
            )  # fmt: skip
            if after is not None:
                self._save(db, after, row["route"], row["key"])
            if after is not None and occasion is not None:
                self._tell(db, after, row["route"], occasion, now, taken)

    def _is_blind(self, incident: Incident) -> bool:
        return any(alert.name in self._settings.blind for alert in incident.firing)

    def _save(self, db: sqlite3.Connection, incident: Incident, route: str, key: str = "") -> None:
        self._firing.note(incident)
        db.execute(
            "INSERT INTO incidents (id, grp, opened, closed, flapping, blind, route, key, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " closed = excluded.closed, flapping = excluded.flapping, blind = excluded.blind,"
            " state = excluded.state",
            (
                incident.id,
                incident.group,
                incident.opened,
                incident.closed,
                int(incident.flapping),
                int(self._is_blind(incident)),
                route,
                key,
                documents.encode(incident),
            ),
        )

    def rehearse(self, db: sqlite3.Connection, now: float) -> None:
        """Take a post as if it had come, and undo it. Raises what a real one would."""
        alert = Alert(fingerprint="rehearsal", firing=True, start=now, level=Level.CRITICAL)
        post = Post(group="rehearsal", receiver=ANY_ROUTE, alerts=(alert,))
        db.execute("SAVEPOINT rehearsal")
        try:
            self.take(db, post, now)
        finally:
            db.execute("ROLLBACK TO rehearsal")
            db.execute("RELEASE rehearsal")
            self._firing.forget(alert.fingerprint)

    # --- data lost, not recovered ---------------------------------------------------------------

    def _blind(self, db: sqlite3.Connection, news: Iterable[Alert], group: str) -> bool:
        """Return whether what ends now may have ended only because nobody looks."""
        ended = [alert for alert in news if not alert.firing]
        if not ended:
            return False
        rows = db.execute(
            "SELECT state FROM incidents WHERE blind = 1 AND closed IS NULL AND grp != ? LIMIT 50",
            (group,),
        )
        return any(_touches(_incident(row), ended, self._settings.blind) for row in rows)

    def _take_back(self, db: sqlite3.Connection, cause: Incident, now: float, taken: Taken) -> None:
        """Say of what was called resolved a moment ago that its data had only gone."""
        window = self._settings.flapping.window
        rows = db.execute(
            "SELECT state, route FROM incidents WHERE closed > ? AND closed < ? AND id != ?"
            " ORDER BY serial DESC LIMIT ?",
            (now - window, now + window, cause.id, _MOST_LOST),
        ).fetchall()
        for row in rows:
            incident = _incident(row)
            if not _touches(cause, incident.ended, self._settings.blind):
                continue
            lost, occasion = lose(incident, now, self._settings.flapping)
            if occasion is not None:
                self._save(db, lost, row["route"])
                self._tell(db, lost, row["route"], occasion, now, taken)

    # --- telling --------------------------------------------------------------------------------

    def _tell(
        self,
        db: sqlite3.Connection,
        incident: Incident,
        route: str,
        occasion: Occasion,
        now: float,
        taken: Taken,
        *,
        at_once: bool = False,
    ) -> None:
        wanted: bool | None = False
        if incident.level in self._settings.triage and incident.firing:
            taken.urgent += occasion is Occasion.FIRING
            wanted = self._settings.asks and self._wants_triage(db, incident, occasion, now)
        if wanted:
            taken.triage.append(incident)
        taken.unasked += wanted is None
        for receiver in self._receivers.values():
            if not receiver.takes(incident.level, route):
                continue
            if occasion in _ENDS and not receiver.resolved:
                continue
            reason = self._obstacle(db, receiver, incident, occasion, now, at_once=at_once)
            if reason is not None:
                suppression.hold(db, receiver, incident, reason, occasion, now)
                taken.held.append((receiver.name, reason))
                continue
            delay = self._settings.grace if wanted and enqueue.waits_for_triage(receiver) else 0.0
            self._deliver(db, receiver, incident, occasion, now, taken, delay)

    def _obstacle(
        self,
        db: sqlite3.Connection,
        receiver: Receiver,
        incident: Incident,
        occasion: Occasion,
        now: float,
        *,
        at_once: bool,
    ) -> Suppression | None:
        """Name what keeps a message back. What waits already takes what comes after with it."""
        key = (receiver.name, incident.id)
        row = db.execute("SELECT reason FROM held WHERE receiver = ? AND incident = ?", key)
        found = row.fetchone()
        calm = occasion in (Occasion.UPDATE, Occasion.REMINDER) and not at_once
        if found is not None:
            if calm or found["reason"] != Suppression.COOLDOWN:
                return Suppression(found["reason"])
            db.execute("DELETE FROM held WHERE receiver = ? AND incident = ?", key)
        if calm:
            told = db.execute("SELECT at FROM told WHERE receiver = ? AND incident = ?", key)
            last = told.fetchone()
            if last is not None and near(last["at"], now, receiver.cooldown):
                return Suppression.COOLDOWN
        if suppression.spent(db, receiver, receiver.storm, now):
            return Suppression.STORM
        return Suppression.BUDGET if suppression.spent(db, receiver, receiver.budget, now) else None

    def _deliver(
        self,
        db: sqlite3.Connection,
        receiver: Receiver,
        incident: Incident,
        occasion: Occasion,
        now: float,
        taken: Taken,
        delay: float = 0.0,
    ) -> None:
        key = (incident.id, receiver.name)
        if occasion in (Occasion.UPDATE, Occasion.REMINDER):
            told = db.execute("SELECT 1 FROM told WHERE incident = ? AND receiver = ?", key)
            if told.fetchone() is None:
                occasion = Occasion.FIRING  # to this one it is new
        triage = ""
        if occasion in _ENDS and receiver.notifier.supports_edit:
            triage = enqueue.triage_of(db, receiver, incident.id)  # the edit would wipe it off
        notes = rendering.compose(receiver, incident, occasion, now, triage)
        ends = occasion in _ENDS or (occasion is Occasion.SETTLED and not incident.firing)
        enqueue.insert(db, receiver, notes, taken, now=now, delay=delay, edit=ends)
        db.execute("INSERT OR REPLACE INTO told (incident, receiver, at) VALUES (?, ?, ?)",
                   (*key, now))  # fmt: skip

    # --- the passing of time --------------------------------------------------------------------

    def settle(self, db: sqlite3.Connection, now: float) -> Taken:
        """Tell what has stopped flapping."""
        taken = Taken()
        flapping = db.execute("SELECT state, route FROM incidents WHERE flapping = 1").fetchall()
        for row in flapping:
            after, occasion = settle(_incident(row), now, self._settings.flapping)
            if occasion is not None:
                self._save(db, after, row["route"])
                self._tell(db, after, row["route"], occasion, now, taken)
        return taken

    def release(self, db: sqlite3.Connection, name: str, now: float) -> Taken:
        """Tell one receiver what has been held back from it for long enough.

        One at a time, so that posts may come in between: a digest of 10,000 takes 150 ms.
        """
        taken = Taken()
        if name in self._receivers:
            self._release(db, self._receivers[name], now, taken)
        return taken

    def _release(
        self, db: sqlite3.Connection, receiver: Receiver, now: float, taken: Taken
    ) -> None:
        name = receiver.name
        first = {
            row["kind"]: row["first"]
            for row in db.execute(
                "SELECT reason = 'cooldown' AS kind, min(at) AS first FROM held"
                " WHERE receiver = ? GROUP BY kind",
                (name,),
            )
        }
        if not first or suppression.spent(db, receiver, receiver.budget, now):
            return
        if 1 in first:
            for row in suppression.rows(db, name, "reason = 'cooldown'"):
                if row["told"] is None or not near(row["told"], now, receiver.cooldown):
                    self._tell_held(db, receiver, row, now, taken)
        if 0 not in first or near(first[0], now, receiver.digest_every):
            return
        few = suppression.rows(db, name, "reason != 'cooldown'", most=3)
        if len(few) <= 2 and not suppression.spent(db, receiver, receiver.storm, now):
            for row in few:
                self._tell_held(db, receiver, row, now, taken)
            return
        groups, incidents = suppression.added_up(db, name)
        key = f"digest-{name}-{now:.0f}"
        notes = rendering.compose_digest(
            receiver, groups, incidents, key=key, since=first[0], now=now
        )
        enqueue.insert(db, receiver, notes, taken, now=now)
        db.execute(
            "INSERT OR REPLACE INTO told (incident, receiver, at) SELECT incident, receiver, ?"
            " FROM held WHERE receiver = ? AND reason != 'cooldown'",
            (now, name),
        )
        db.execute("DELETE FROM held WHERE receiver = ? AND reason != 'cooldown'", (name,))

    def _tell_held(
        self,
        db: sqlite3.Connection,
        receiver: Receiver,
        row: sqlite3.Row,
        now: float,
        taken: Taken,
    ) -> None:
        """Tell what was held back as it is by now."""
        suppression.forget(db, receiver, row["incident"])
        self._deliver(db, receiver, _incident(row), Occasion(row["occasion"]), now, taken)

    # --- triage ---------------------------------------------------------------------------------

    def _wants_triage(
        self, db: sqlite3.Connection, incident: Incident, occasion: Occasion, now: float
    ) -> bool | None:
        """Ask once an incident, when it begins or becomes urgent; None: the budget is used up.

        The row is the permit: a kill while the model thinks does not pay for a second answer.
        """
        if occasion not in (Occasion.FIRING, Occasion.UPDATE):
            return False
        spent = any(
            db.execute(
                "SELECT count(*) FROM triage WHERE at > ? AND at < ? AND outcome != 'budget'",
                (now - window, now + window),
            ).fetchone()[0]
            >= most
            for window, most in (
                (3600.0, self._settings.triage_per_hour),
                (86_400.0, self._settings.triage_per_day),
            )
        )
        cursor = db.execute(
            "INSERT OR IGNORE INTO triage (incident, at, outcome, answer) VALUES (?, ?, ?, '{}')",
            (incident.id, now, "budget" if spent else ""),
        )
        if not cursor.rowcount:
            return False
        return None if spent else True

    def triaged(
        self,
        db: sqlite3.Connection,
        incident: str,
        outcome: str,
        answer: Mapping[str, str],
        now: float,
    ) -> Taken:
        """Take the model's answer, which may be none: add it to what was told, or send it after."""
        taken = Taken()
        db.execute(
            "UPDATE triage SET outcome = ?, answer = ? WHERE incident = ?",
            (outcome, documents.encode(dict(answer)), incident),
        )
        row = db.execute("SELECT state FROM incidents WHERE id = ?", (incident,)).fetchone()
        if not answer or row is None or not (found := _incident(row)).firing:
            return taken
        for receiver in self._receivers.values():
            told = db.execute("SELECT 1 FROM told WHERE incident = ? AND receiver = ?",
                              (incident, receiver.name)).fetchone()  # fmt: skip
            if told and receiver.triage and receiver.notifier.triage:
                text = rendering.triage_text(receiver, answer["language"], answer)
                for account in receiver.accounts:
                    enqueue.append(db, receiver, target_of(account), found, text, now, taken)
        return taken

    # --- what people ask ------------------------------------------------------------------------

    def open_since(self, db: sqlite3.Connection, group: str) -> float | None:
        """Return when the open incident of a group began, None when there is none."""
        incident = _latest(db, group)
        firing = incident.firing if incident is not None else ()
        return min(alert.start for alert in firing) if firing else None


def recent(db: sqlite3.Connection, most: int) -> list[Incident]:
    """Return the newest incidents, newest first."""
    rows = db.execute("SELECT state FROM incidents ORDER BY serial DESC LIMIT ?", (most,))
    return [_incident(row) for row in rows]


def one(db: sqlite3.Connection, id: str) -> Incident | None:  # noqa: A002
    """Return an incident with all its alerts."""
    row = db.execute("SELECT state FROM incidents WHERE id = ?", (id,)).fetchone()
    return None if row is None else _incident(row)


# --- pieces -------------------------------------------------------------------------------------


def _incident(row: sqlite3.Row) -> Incident:
    return documents.decode(row["state"], Incident)


def _open(db: sqlite3.Connection) -> Iterator[Incident]:
    return map(_incident, db.execute("SELECT state FROM incidents WHERE closed IS NULL"))


def _latest(db: sqlite3.Connection, group: str) -> Incident | None:
    row = db.execute(
        "SELECT state FROM incidents WHERE grp = ? ORDER BY serial DESC LIMIT 1", (group,)
    ).fetchone()
    return None if row is None else _incident(row)


def _ending(before: Incident | None, post: Post) -> list[Alert]:
    """Return what ends with this post: said to have ended, or left out of the whole group."""
    ended = [alert for alert in post.alerts if not alert.firing]
    if before is not None and (post.whole or post.over):
        listed = {alert.fingerprint for alert in post.alerts}
        ended += [alert for alert in before.firing if alert.fingerprint not in listed]
    return ended


def _repeated(before: Incident | None, post: Post) -> int:
    """Count the alerts of a post that are as they are known already."""
    known = {} if before is None else before.alerts
    return sum(
        (now := known.get(alert.fingerprint)) is not None and now.firing is alert.firing
        for alert in post.alerts
    )


def _touches(cause: Incident, alerts: Iterable[Alert], names: frozenset[str]) -> bool:
    """Return whether the loss of data that ``cause`` speaks of can be of these alerts' data."""
    blind = [alert.labels for alert in cause.firing if alert.name in names]
    return any(_covers(lost, alert) for lost in blind for alert in alerts)


def _covers(lost: Mapping[str, str], alert: Alert) -> bool:
    """Return whether an alert's data are among those that a loss speaks of.

    Grafana's DatasourceNoData is of one rule, which it names, and of one data source. Any other
    is of what its labels say: of everything where they say nothing.
    """
    folder = lost.get("grafana_folder")
    if rule := lost.get("rulename"):
        if alert.name == rule and alert.labels.get("grafana_folder", folder) != folder:
            return False  # another rule of that name
        source = lost.get("datasource_uid")
        return alert.name == rule or (
            source is not None and alert.labels.get("datasource_uid") == source
        )
    said = [name for name in _SCOPE if name in lost]
    both = [lost[name] == alert.labels[name] for name in said if name in alert.labels]
    return not said or (bool(both) and all(both))
