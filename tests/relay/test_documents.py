"""Documents of the spool: every wrong bit is noticed, and SQL reads them as any JSON."""

import sqlite3

import msgspec
import pytest

from exporter.notification import Level, Notification, Occasion
from exporter.relay import documents

_NOTE = Notification(
    occasion=Occasion.FIRING,
    level=Level.CRITICAL,
    incident="i",
    title="ü 1",
    texts=("x",),
    time=1.0,
)


def test_every_wrong_bit_is_noticed() -> None:
    """Where it is in the checksum's own name, nothing else is wrong."""
    raw = documents.encode(_NOTE)
    assert documents.decode(raw, Notification) == _NOTE
    unnoticed = 0
    for bit in range(8 * len(raw)):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = documents.decode(bytes(damaged), Notification)
        except (ValueError, msgspec.MsgspecError):
            continue
        unnoticed += 1
        assert found == _NOTE
        assert bit // 8 >= len(raw) - 17
    assert unnoticed <= 8 * 5  # the name of the checksum, and what ends it


@pytest.mark.parametrize("answer", [{}, {"cause": "a"}])
def test_an_object_without_members_is_one(answer: dict[str, str]) -> None:
    """An answer that never came is empty."""
    raw = documents.encode(answer)
    assert documents.decode(raw, dict[str, str]) == answer
    assert msgspec.json.decode(raw)["sum"]


def test_older_documents_have_no_checksum() -> None:
    """They are read as they are, and SQL reads both."""
    old = msgspec.json.encode(_NOTE)
    assert documents.decode(old, Notification) == _NOTE
    database = sqlite3.connect(":memory:")
    for each in (old, documents.encode(_NOTE)):
        found = database.execute("SELECT json_extract(?, '$.level')", (each.decode(),)).fetchone()
        assert found == (Level.CRITICAL.value,)
    database.close()
