"""What tests of the relay's parts share: alerts, receivers, a disk in memory."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from exporter.contracts import Account
from exporter.notification import Alert, Level
from exporter.relay import notifiers, outbox, suppression
from exporter.relay.incident_store import IncidentStore, IncidentStoreSettings
from exporter.relay.receiver import Receiver
from exporter.relay.webhook import Post

T = TypeVar("T")
EPOCH = 1_700_000_000.0


def make(
    fingerprint: str = "a", *, firing: bool = True, start: float = EPOCH, **more: Any
) -> Alert:
    """Return one alert."""
    return Alert(
        **{
            "fingerprint": fingerprint,
            "firing": firing,
            "start": start,
            "end": None if firing else start + 60.0,
            "name": "ExchangeDown",
            "exchange": "okx",
            "level": Level.CRITICAL,
            "annotations": {"summary": "okx does not answer"},
            **more,
        }
    )


def post(*alerts: Alert, group: str = "g") -> Post:
    """Return a post of one group."""
    return Post(group=group, receiver="relay", alerts=alerts)


def receiver(kind: str = "webhook", **more: Any) -> Receiver:
    """Return one receiver that keeps nothing back."""
    notifier = notifiers.load(kind)
    account = Account(url="http://h", token="t", user="u", sender="s", to=more.pop("to", ()))
    return Receiver(
        **{
            "name": kind,
            "notifier": notifier,
            "accounts": (account,),
            "limit": notifier.limit,
            "cooldown": 0.0,
            **more,
        }
    )


class Book:
    """A ledger on a database in memory."""

    def __init__(self, *receivers: Receiver, **settings: Any) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        weakref.finalize(self, self.db.close)
        self.db.row_factory = sqlite3.Row
        outbox.begin(self.db)
        self.ledger = IncidentStore(receivers or (receiver(),), IncidentStoreSettings(**settings))

    def take(self, now: float, *alerts: Alert, group: str = "g") -> list[str]:
        """Take a post; return the occasions of what is to be told."""
        return self.said(self.ledger.take(self.db, post(*alerts, group=group), now).pending)

    def tick(self, now: float) -> list[str]:
        """Let time pass; return the occasions of what is to be told."""
        pending = self.ledger.settle(self.db, now).pending
        for name in suppression.receivers(self.db):
            pending += self.ledger.release(self.db, name, now).pending
        return self.said(pending)

    def said(self, pending: list[outbox.Pending]) -> list[str]:
        """Return occasions by delivery."""
        rows = [outbox.one(self.db, each.id) for each in pending]
        return [row.occasion.value for row in rows if row is not None]


class Memory:
    """`store.Disk` on a connection in memory; no thread, so that time can be virtual."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        return job(self.db)
