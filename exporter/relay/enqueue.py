"""Writes notifications into the outbox: new messages, edits, and triages.

Functions of an open connection, in the transaction of their caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from exporter.notification import Notification, Occasion
from exporter.relay import documents, outbox, rendering
from exporter.relay.incident import Incident
from exporter.relay.outbox import Pending
from exporter.relay.receiver import Receiver, target_of
from exporter.relay.suppression import Suppression


@dataclass(slots=True, kw_only=True)
class Taken:
    """What one transaction came to."""

    duplicates: int = 0
    pending: list[Pending] = field(default_factory=list)
    triage: list[Incident] = field(default_factory=list)  # incidents to ask the model about
    unasked: int = 0  # incidents beyond the budget of questions
    urgent: int = 0  # incidents that a model would be asked about, if one were configured
    held: list[tuple[str, Suppression]] = field(default_factory=list)  # receiver and reason
    truncated: list[str] = field(default_factory=list)  # receivers whose text was cut


def waits_for_triage(receiver: Receiver) -> bool:
    return receiver.notifier.waits_for_triage and receiver.triage


def insert(
    db: sqlite3.Connection,
    receiver: Receiver,
    notes: Sequence[Notification],
    taken: Taken,
    *,
    now: float,
    delay: float = 0.0,
    edit: bool = False,
) -> None:
    """Put notes in line for each account; with ``edit`` the first changes what was sent before."""
    if receiver.notifier.short and notes[0].texts[0].endswith("..."):
        taken.truncated.append(receiver.name)
    for number, account in enumerate(receiver.accounts):
        target = target_of(account)
        original = None
        if edit and receiver.notifier.supports_edit:
            original = original_of(db, notes[0].incident, receiver.name, target)
        for part, note in enumerate(notes):
            taken.pending.append(
                outbox.insert(
                    db,
                    note,
                    receiver=receiver.name,
                    target=target,
                    received=now,
                    now=now,
                    delay=delay,
                    edits=original if part == 0 else None,
                    part=part,
                    lead=number == 0 and part == 0,
                )
            )


def original_of(db: sqlite3.Connection, incident: str, receiver: str, target: str) -> int | None:
    row = db.execute(
        "SELECT id FROM deliveries WHERE incident = ? AND receiver = ? AND target = ?"
        " AND occasion = 'firing' AND part = 0 ORDER BY id DESC LIMIT 1",
        (incident, receiver, target),
    ).fetchone()
    return None if row is None else int(row["id"])


def triage_of(db: sqlite3.Connection, receiver: Receiver, incident: str) -> str:
    row = db.execute("SELECT answer FROM triage WHERE incident = ?", (incident,)).fetchone()
    answer = documents.decode(row["answer"], dict[str, str]) if row else {}
    return rendering.triage_text(receiver, answer["language"], answer) if answer else ""


def append(
    db: sqlite3.Connection,
    receiver: Receiver,
    target: str,
    incident: Incident,
    text: str,
    now: float,
    taken: Taken,
) -> None:
    """Get a triage to one target: into the message that still waits, as an edit, or after it."""
    original = original_of(db, incident.id, receiver.name, target)
    row = None
    if original is not None:
        row = db.execute("SELECT * FROM deliveries WHERE id = ?", (original,)).fetchone()
    if row is not None and (waits_for_triage(receiver) or receiver.notifier.supports_edit):
        note = documents.decode(row["note"], Notification)
        with_triage = msgspec.structs.replace(note, triage=text)
        waiting = row["state"] == "waiting" and row["attempts"] == 0
        if waiting and len(note.texts) < receiver.notifier.texts:
            db.execute(
                "UPDATE deliveries SET note = ? WHERE id = ?",
                (documents.encode(with_triage), original),
            )
            return
        if receiver.notifier.supports_edit:
            edit = msgspec.structs.replace(with_triage, occasion=Occasion.TRIAGE)
            taken.pending.append(
                outbox.insert(db, edit, receiver=receiver.name, target=target, received=now,
                              now=now, edits=original)
            )  # fmt: skip
            return
    first = rendering.compose(receiver, incident, Occasion.TRIAGE, now, text)[0]
    body = text if receiver.notifier.titled else f"{first.title}\n{text}"
    after = msgspec.structs.replace(first, texts=(body,), fields=(), triage="")
    taken.pending.append(
        outbox.insert(db, after, receiver=receiver.name, target=target, received=now, now=now)
    )
