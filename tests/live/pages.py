"""The pages that people look at, each with something of everything, for tests in a browser."""

from __future__ import annotations

from dataclasses import replace

from exporter.notification import Level
from exporter.relay import incident_store, outbox
from exporter.relay import page as relay
from exporter.web.page import FailureLine, of_one, render
from tests.relay.parts import EPOCH, Book, make
from tests.web.examples import NOW, SHAKY, SNAPSHOT

FAILURE = FailureLine(time=NOW - 61.0, where="depth", text="http_5xx 503: " + "overloaded " * 20)


def status() -> str:
    """Return the status page."""
    return render(SNAPSHOT, refresh=1)


def exchange() -> str:
    """Return the page of one exchange."""
    return render(of_one(SNAPSHOT, SHAKY.name), refresh=1, failures=(FAILURE,))


def incidents() -> str:
    """Return the relay's page."""
    return relay.render(overview())


def overview() -> relay.Overview:
    """Return what the relay shows: an open incident, one that is over, messages of each state."""
    book = Book()
    long = {"summary": "okx does not answer, and its streams are lost " * 4}
    book.take(EPOCH, make("a", annotations=long), make("b", exchange="bybit"), group="open")
    book.take(EPOCH, make("c", level=Level.WARNING), group="over")
    book.take(EPOCH + 60.0, make("c", firing=False, level=Level.WARNING), group="over")
    rows = outbox.listed(book.db, tuple(outbox.DeliveryState), 10)
    states = ("delivered", "dead", "dropped", "sending")
    told = [
        replace(row, state=outbox.DeliveryState(state), finished=EPOCH + 2.5, detail="503 " * 40)
        for row, state in zip(rows * 2, states, strict=False)
    ]
    return relay.Overview(
        version="0.2.0", now=EPOCH + 90.0, incidents=incident_store.recent(book.db, 50),
        deliveries=[*rows, *told], depth=len(rows), dead=1, beat=EPOCH, silent=False,
    )  # fmt: skip


PAGES = {"/": status, f"/exchanges/{SHAKY.name}": exchange, "/relay": incidents}
