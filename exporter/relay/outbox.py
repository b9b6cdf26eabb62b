"""The deliveries on disk: pending, sent, and dead.

A row goes waiting → sending → delivered, or back to waiting, or to dead. Functions of an open
connection, to be run in a transaction: by the relay's store, or by a command of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final
from uuid import uuid4

from exporter.notification import Level, Notification, Occasion
from exporter.relay import documents
from exporter.relay.incident import near


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    SENDING = "sending"  # a try has begun; found at the start: it is not known how it ended
    DELIVERED = "delivered"
    DEAD = "dead"  # refused, or tried for too long: retry it by hand or drop it
    DROPPED = "dropped"


SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS incidents (
  serial INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, grp TEXT NOT NULL,
  opened REAL NOT NULL, closed REAL, flapping INTEGER NOT NULL, blind INTEGER NOT NULL,
  route TEXT NOT NULL, state BLOB NOT NULL, key TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS incidents_grp ON incidents (grp, serial);
CREATE INDEX IF NOT EXISTS incidents_key ON incidents (key, closed);
CREATE INDEX IF NOT EXISTS incidents_closed ON incidents (closed);
CREATE INDEX IF NOT EXISTS incidents_flapping ON incidents (flapping) WHERE flapping = 1;
CREATE INDEX IF NOT EXISTS incidents_blind ON incidents (blind) WHERE blind = 1;
CREATE TABLE IF NOT EXISTS told (
  incident TEXT NOT NULL, receiver TEXT NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (incident, receiver)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held (
  receiver TEXT NOT NULL, incident TEXT NOT NULL, reason TEXT NOT NULL, occasion TEXT NOT NULL,
  at REAL NOT NULL, name TEXT NOT NULL, exchange TEXT NOT NULL, level TEXT NOT NULL,
  firing INTEGER NOT NULL, alerts INTEGER NOT NULL,
  PRIMARY KEY (receiver, incident)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT, receiver TEXT NOT NULL, target TEXT NOT NULL,
  incident TEXT NOT NULL, occasion TEXT NOT NULL, key TEXT NOT NULL, note BLOB NOT NULL,
  edits INTEGER, part INTEGER NOT NULL, lead INTEGER NOT NULL, state TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  due REAL NOT NULL, received REAL NOT NULL, created REAL NOT NULL, finished REAL,
  provider_id TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS deliveries_open ON deliveries (id)
  WHERE state IN ('waiting', 'sending');
CREATE INDEX IF NOT EXISTS deliveries_dead ON deliveries (id) WHERE state = 'dead';
CREATE INDEX IF NOT EXISTS deliveries_pace ON deliveries (receiver, created) WHERE lead = 1;
CREATE INDEX IF NOT EXISTS deliveries_incident ON deliveries (incident, receiver);
CREATE INDEX IF NOT EXISTS deliveries_finished ON deliveries (finished);
CREATE TABLE IF NOT EXISTS audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, receiver TEXT NOT NULL,
  target TEXT NOT NULL, incident TEXT NOT NULL, occasion TEXT NOT NULL, delivery INTEGER NOT NULL,
  outcome TEXT NOT NULL, provider_id TEXT NOT NULL, detail TEXT NOT NULL, title TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS audit_at ON audit (at);
CREATE TABLE IF NOT EXISTS triage (
  incident TEXT PRIMARY KEY, at REAL NOT NULL, outcome TEXT NOT NULL, answer BLOB NOT NULL
  ) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS triage_at ON triage (at);
"""
VERSION: Final = 2
_FROM_1: Final = """
BEGIN;
ALTER TABLE incidents ADD COLUMN key TEXT NOT NULL DEFAULT '';
DROP TABLE IF EXISTS seen;
PRAGMA user_version=2;
COMMIT;
"""
_ROOM: Final = 0.9  # of the file may be used by what comes in; the rest is for what goes out


def begin(connection: sqlite3.Connection) -> None:
    """Make the tables that are missing. Raises sqlite3.DatabaseError for a newer file."""
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise sqlite3.DatabaseError(f"written by a newer version (format {found})")
    if found == 1:
        connection.executescript(_FROM_1)
    connection.executescript(SCHEMA)
    connection.execute(f"PRAGMA user_version={VERSION}")


class Traffic(IntEnum):
    """Kinds of sending; each kind's failures are its own."""

    PAGE = 0  # something fires
    OTHER = 1  # ends and reminders
    EDIT = 2  # an end that changes the message before
    OPTIONAL = 3  # a triage, as an edit or by itself


_RANKS: Final = {Level.CRITICAL: 0, Level.WARNING: 1, Level.INFO: 2}
END, _REMINDER, _EDIT, _TRIAGE = 3, 4, 5, 6


def _urgency(
    occasion: Occasion, level: Level, *, resolved: bool, edit: bool
) -> tuple[Traffic, int]:
    """Return the kind of sending, and the rank: the lowest is sent first."""
    if occasion is Occasion.TRIAGE:
        return Traffic.OPTIONAL, _TRIAGE
    if edit:
        return Traffic.EDIT, _EDIT
    if occasion is Occasion.REMINDER:
        return Traffic.OTHER, _REMINDER
    return (Traffic.OTHER, END) if resolved else (Traffic.PAGE, _RANKS[level])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A delivery that is to be sent, as the workers keep it; the note stays on the disk.

    ``delay`` in seconds from when it was handed over; ``received`` epoch seconds.
    """

    id: int
    receiver: str
    target: str
    incident: str
    delay: float = 0.0
    attempts: int = 0
    traffic: Traffic = Traffic.PAGE
    rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A delivery as it stands. Times in epoch seconds."""

    id: int
    receiver: str
    target: str
    incident: str
    occasion: Occasion
    key: str
    note: Notification
    state: DeliveryState
    attempts: int
    due: float
    received: float
    created: float
    finished: float | None
    provider_id: str
    detail: str
    edits: int | None
    original: str | None = None  # the provider's id of the message that this one edits


def _row(found: sqlite3.Row, original: str | None = None) -> OutboxRow:
    return OutboxRow(
        id=found["id"],
        receiver=found["receiver"],
        target=found["target"],
        incident=found["incident"],
        occasion=Occasion(found["occasion"]),
        key=found["key"],
        note=documents.decode(found["note"], Notification),
        state=DeliveryState(found["state"]),
        attempts=found["attempts"],
        due=found["due"],
        received=found["received"],
        created=found["created"],
        finished=found["finished"],
        provider_id=found["provider_id"],
        detail=found["detail"],
        edits=found["edits"],
        original=original,
    )


def insert(
    connection: sqlite3.Connection,
    note: Notification,
    *,
    receiver: str,
    target: str,
    received: float,
    now: float,
    delay: float = 0.0,
    edits: int | None = None,
    part: int = 0,
    lead: bool = False,
) -> Pending:
    """Put one note in line. Its key is its own for ever: a reminder must not look like a retry."""
    cursor = connection.execute(
        "INSERT INTO deliveries (receiver, target, incident, occasion, key, note, edits, part,"
        " lead, state, due, received, created)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?, ?)",
        (
            receiver,
            target,
            note.incident,
            note.occasion.value,
            str(uuid4()),
            documents.encode(note),
            edits,
            part,
            int(lead),
            now + delay,
            received,
            now,
        ),
    )
    traffic, rank = _urgency(
        note.occasion, note.level, resolved=note.resolved, edit=edits is not None
    )
    return Pending(
        id=int(cursor.lastrowid or 0),
        receiver=receiver,
        target=target,
        incident=note.incident,
        delay=delay,
        traffic=traffic,
        rank=rank,
    )


def pending(connection: sqlite3.Connection, now: float, longest: float) -> list[Pending]:
    """Return all that is to be sent, in order. A due time is believed for ``longest`` seconds."""
    rows = connection.execute(
        "SELECT id, receiver, target, incident, due, attempts, occasion, edits,"
        " json_extract(note, '$.level') AS level, json_extract(note, '$.resolved') AS resolved"
        " FROM deliveries WHERE state IN ('waiting', 'sending') ORDER BY id"
    )
    return [_pending(row, now, longest) for row in rows]


def _pending(row: sqlite3.Row, now: float, longest: float) -> Pending:
    traffic, rank = _urgency(
        Occasion(row["occasion"]),
        Level(row["level"]),
        resolved=bool(row["resolved"]),
        edit=row["edits"] is not None,
    )
    return Pending(
        id=row["id"],
        receiver=row["receiver"],
        target=row["target"],
        incident=row["incident"],
        delay=row["due"] - now if 0.0 < row["due"] - now <= longest else 0.0,
        attempts=row["attempts"],
        traffic=traffic,
        rank=rank,
    )


def interrupted(
    connection: sqlite3.Connection,
    careful: Collection[str],
    now: float,
    but: Collection[str] = (),
) -> int:
    """Settle tries that were cut off: dead for ``careful`` receivers, else tried again.

    ``but``: receivers whose tries are still under way.
    """
    unsure = "this try was cut off: it may have been delivered"
    rows = connection.execute(
        "SELECT id, receiver FROM deliveries WHERE state = 'sending'"
    ).fetchall()
    dead = 0
    for row in rows:
        if row["receiver"] in but:
            continue
        if row["receiver"] in careful:
            finish(connection, row["id"], DeliveryState.DEAD, now=now, detail=unsure)
            dead += 1
        else:
            connection.execute("UPDATE deliveries SET state = 'waiting' WHERE id = ?", (row["id"],))
    return dead


def start(connection: sqlite3.Connection, id: int) -> OutboxRow | None:  # noqa: A002
    """Note that a try begins, and return the delivery; None when it is not to be sent any more."""
    cursor = connection.execute(
        "UPDATE deliveries SET state = 'sending', attempts = attempts + 1"
        " WHERE id = ? AND state IN ('waiting', 'sending')",
        (id,),
    )
    if not cursor.rowcount:
        return None
    found = connection.execute("SELECT * FROM deliveries WHERE id = ?", (id,)).fetchone()
    if found["occasion"] == Occasion.TRIAGE and _overtaken(connection, found):
        finish(connection, id, DeliveryState.DROPPED, now=found["due"], detail="the end came first")
        return None
    original = None
    if found["edits"] is not None:
        row = connection.execute(
            "SELECT provider_id FROM deliveries WHERE id = ?", (found["edits"],)
        ).fetchone()
        original = row["provider_id"] if row else None
    return _row(found, original or None)


def _overtaken(connection: sqlite3.Connection, triage: sqlite3.Row) -> bool:
    """Return whether a later edit has changed the message: a triage would take that back."""
    later = connection.execute(
        "SELECT 1 FROM deliveries WHERE edits = ? AND id > ? AND occasion != 'triage'",
        (triage["edits"], triage["id"]),
    )
    return later.fetchone() is not None


def postpone(connection: sqlite3.Connection, id: int, *, due: float, detail: str) -> None:  # noqa: A002
    """Put a delivery back in line until ``due`` (epoch seconds)."""
    connection.execute(
        "UPDATE deliveries SET state = 'waiting', due = ?, detail = ?"
        " WHERE id = ? AND state = 'sending'",
        (due, detail, id),
    )


def detach(connection: sqlite3.Connection, id: int, *, detail: str) -> None:  # noqa: A002
    """Make a new message of an edit whose original cannot be edited, and put it back in line."""
    connection.execute(
        "UPDATE deliveries SET state = 'waiting', edits = NULL, detail = ? WHERE id = ?",
        (detail, id),
    )


def finish(
    connection: sqlite3.Connection,
    id: int,  # noqa: A002
    state: DeliveryState,
    *,
    now: float,
    provider_id: str = "",
    detail: str = "",
) -> None:
    """End a delivery, and write down for good who was told what and when."""
    connection.execute(
        "UPDATE deliveries SET state = ?, finished = ?, provider_id = ?, detail = ? WHERE id = ?",
        (state.value, now, provider_id, detail, id),
    )
    connection.execute(
        "INSERT INTO audit (at, receiver, target, incident, occasion, delivery, outcome,"
        " provider_id, detail, title) SELECT ?, receiver, target, incident, occasion, id, ?, ?, ?,"
        " json_extract(note, '$.title') FROM deliveries WHERE id = ?",
        (now, state.value, provider_id, detail, id),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How the outbox stands. ``oldest`` in epoch seconds; ``version`` changes when another does."""

    oldest: float | None
    dead: int
    version: int


def backlog(connection: sqlite3.Connection) -> Backlog:
    """Return how the outbox stands."""
    ask = connection.execute
    oldest = ask("SELECT created FROM deliveries WHERE state IN ('waiting', 'sending')"
                 " ORDER BY id LIMIT 1").fetchone()  # fmt: skip
    return Backlog(
        oldest=oldest["created"] if oldest else None,
        dead=ask("SELECT count(*) FROM deliveries WHERE state = 'dead'").fetchone()[0],
        version=ask("PRAGMA data_version").fetchone()[0],
    )


def remember(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Keep a fact over restarts."""
    connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))


def recall(connection: sqlite3.Connection, name: str) -> str | None:
    """Return a fact that was kept."""
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row["value"])


# --- what people ask of it ----------------------------------------------------------------------


def listed(
    connection: sqlite3.Connection,
    states: Sequence[DeliveryState],
    most: int,
    receiver: str | None = None,
) -> list[OutboxRow]:
    """Return the newest deliveries in these states, newest first."""
    marks = ",".join("?" * len(states))
    where = f"state IN ({marks})" + (" AND receiver = ?" if receiver else "")
    values = [*(state.value for state in states), *([receiver] if receiver else []), most]
    rows = connection.execute(
        f"SELECT * FROM deliveries WHERE {where} ORDER BY id DESC LIMIT ?",  # noqa: S608
        values,
    )
    return [_row(row) for row in rows]


def one(connection: sqlite3.Connection, id: int) -> OutboxRow | None:  # noqa: A002
    """Return one delivery."""
    found = connection.execute("SELECT * FROM deliveries WHERE id = ?", (id,)).fetchone()
    return None if found is None else _row(found)


def revive(connection: sqlite3.Connection, id: int, now: float) -> bool:  # noqa: A002
    """Put a dead or dropped delivery in line again; False when it is neither.

    With a new key after a day: providers forget keys by then, and an old one may be refused.
    """
    row = connection.execute("SELECT state, created, key FROM deliveries WHERE id = ?", (id,))
    found = row.fetchone()
    if found is None or found["state"] not in (DeliveryState.DEAD, DeliveryState.DROPPED):
        return False
    key = found["key"] if near(found["created"], now, 86_400.0) else str(uuid4())
    connection.execute(
        "UPDATE deliveries SET state = 'waiting', attempts = 0, due = ?, finished = NULL, key = ?,"
        " detail = 'retried by hand' WHERE id = ?",
        (now, key, id),
    )
    return True


def drop(connection: sqlite3.Connection, id: int, now: float) -> bool:  # noqa: A002
    """Return a delivery up; False when it is delivered, dropped or unknown."""
    found = connection.execute("SELECT state FROM deliveries WHERE id = ?", (id,)).fetchone()
    if found is None or found["state"] in (DeliveryState.DELIVERED, DeliveryState.DROPPED):
        return False
    finish(connection, id, DeliveryState.DROPPED, now=now, detail="dropped by hand")
    return True


def full(connection: sqlite3.Connection) -> bool:
    """Return whether the file has no room for what comes in."""
    pages, free, most = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "max_page_count")
    )
    return bool(pages - free > _ROOM * most)


def shed(connection: sqlite3.Connection) -> int:
    """Forget the oldest quarter of what is over; return how many deliveries that were.

    Memory of the past must not keep the present out. Dead letters stay: they are not over.
    """
    gone = 0
    for table, key, over in (
        ("deliveries", "id", "state IN ('delivered', 'dropped')"),
        ("incidents", "serial", "closed IS NOT NULL"),
        ("audit", "id", "1"),
    ):
        cursor = connection.execute(
            f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {over}"  # noqa: S608
            f" ORDER BY {key} LIMIT (SELECT count(*) / 4 + 1 FROM {table} WHERE {over}))"
        )
        gone += cursor.rowcount if table == "deliveries" else 0
    return gone


def purge(connection: sqlite3.Connection, now: float, keep: float) -> None:
    """Forget what ended more than ``keep`` seconds ago."""
    old = now - keep
    for statement in (
        "DELETE FROM deliveries WHERE finished < ? AND state IN ('delivered', 'dropped', 'dead')",
        "DELETE FROM audit WHERE at < ?",
        "DELETE FROM incidents WHERE closed < ?",
        "DELETE FROM triage WHERE at < ?",
    ):
        connection.execute(statement, (old,))
    connection.execute("DELETE FROM told WHERE incident NOT IN (SELECT id FROM incidents)")
