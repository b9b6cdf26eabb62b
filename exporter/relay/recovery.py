"""Copies the readable rows of a damaged spool into a new one.

SQLite reads a table as a tree of pages. A damaged page hides its own rows, seldom those before and
after it: they are reached by their keys.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from exporter.notification import Level, Notification, Occasion
from exporter.relay import documents
from exporter.relay.incident import Incident
from exporter.relay.outbox import DeliveryState
from exporter.relay.suppression import Suppression

_STRIDES: Final = 40  # doublings of the step over rows that cannot be read
_DOCUMENTS: Final[Mapping[tuple[str, str], Any]] = {
    ("incidents", "state"): Incident,
    ("deliveries", "note"): Notification,
    ("triage", "answer"): dict[str, str],
}
_WORDS: Final[Mapping[tuple[str, str], Callable[[str], object]]] = {
    ("deliveries", "state"): DeliveryState,
    ("deliveries", "occasion"): Occasion,
    ("held", "occasion"): Occasion,
    ("held", "level"): Level,
    ("held", "reason"): Suppression,
}
_UNREADABLE: Final = (sqlite3.Error, msgspec.MsgspecError, ValueError, TypeError)
_OPEN: Final = "state IN ('waiting', 'sending')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What came of a damaged file: rows of all tables, and deliveries that were still to be sent.

    ``lost`` are those of them that cannot be read; None: not even how many there were.
    """

    rows: int
    waiting: int
    lost: int | None


def unreadable(spool: sqlite3.Connection, fresh: sqlite3.Connection) -> str | None:
    """Name the first thing that is not as it was written, in pages that are sound.

    That may be the definition of a table or an index, which ``fresh`` has as they should be: an
    index with another condition leads past rows.
    """
    try:
        wrong = _definitions(spool) ^ _definitions(fresh)
    except sqlite3.Error as error:
        return f"the definitions: {error}"
    if wrong:
        return f"the definition of {min(str(name) for name, *_ in wrong)}"
    for table, key in _tables(spool):
        last = None
        try:
            for row in spool.execute(f"SELECT * FROM {table} ORDER BY {key}"):  # noqa: S608
                last = row[0]
                _decode(table, dict(row))
        except _UNREADABLE as error:
            return f"{table}, at or after {last!r}: {error}"
    return None


def _definitions(spool: sqlite3.Connection) -> set[tuple[object, ...]]:
    """Return what is known of columns and indexes; a table that was altered has another text."""
    names = [name for name, _ in _tables(spool)]
    columns = {
        (name, *tuple(column)[1:])
        for name in names
        for column in spool.execute(f"PRAGMA table_info({name})")
    }
    indexes = spool.execute("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index'")
    return columns | set(map(tuple, indexes))


def _decode(table: str, values: Mapping[str, Any]) -> None:
    """Read the documents and words of a row. Raises msgspec's errors, ValueError, TypeError."""
    for name, value in values.items():
        if (kind := _DOCUMENTS.get((table, name))) is not None:
            documents.decode(value, kind)
        if (words := _WORDS.get((table, name))) is not None:
            words(value)


def recover(damaged: Path, fresh: sqlite3.Connection) -> Recovered:
    """Copy what can be read of a file, and its log, into empty tables."""
    with tempfile.TemporaryDirectory(dir=damaged.parent, prefix="recovery-") as folder:
        return _recover(_with_known_head(damaged, Path(folder), fresh), fresh)


def _with_known_head(damaged: Path, folder: Path, fresh: sqlite3.Connection) -> Path:
    """Copy the file and its log; what is the same in every spool is written as it should be.

    Source: the heads that SQLite 3.40 and 3.51 write (tests/relay/test_store.py holds them).
    """
    copy = folder / damaged.name
    shutil.copyfile(damaged, copy)
    log = damaged.with_name(damaged.name + "-wal")
    if log.exists():
        shutil.copyfile(log, folder / log.name)
    size = fresh.execute("PRAGMA page_size").fetchone()[0]
    start = b"SQLite format 3\0" + struct.pack(">H6B", size & 0xFFFF, 2, 2, 0, 64, 32, 32)
    with copy.open("r+b") as file:
        for offset, known in ((0, start), (44, bytes((0, 0, 0, 4))), (56, bytes((0, 0, 0, 1)))):
            file.seek(offset)
            file.write(known)
    return copy


def _define(old: sqlite3.Connection, fresh: sqlite3.Connection) -> None:
    """Set the definition of each table and index to what it should be.

    One whose own name is damaged is known by its definition, or by being the only one.
    """
    old.execute("PRAGMA writable_schema=ON")
    select = "SELECT type, name, tbl_name, sql, rowid FROM sqlite_master"
    known = {tuple(each)[:4] for each in fresh.execute(select)}
    found = {each["rowid"]: tuple(each)[:4] for each in old.execute(select)}
    for field in (1, 3):  # name, sql
        for number, each in list(found.items()):
            same = [other for other in known if other[field] == each[field] is not None]
            if len(same) == 1:
                _set_definition(old, number, same[0])
                known.remove(same[0])
                del found[number]
    if len(known) == len(found) == 1:
        _set_definition(old, next(iter(found)), known.pop())
    old.execute("PRAGMA writable_schema=RESET")


def _set_definition(old: sqlite3.Connection, number: int, known: tuple[object, ...]) -> None:
    old.execute(
        "UPDATE sqlite_master SET type = ?, name = ?, tbl_name = ?, sql = ? WHERE rowid = ?",
        (*known, number),
    )


def _recover(damaged: Path, fresh: sqlite3.Connection) -> Recovered:
    rows = waiting = 0
    expected: int | None = None
    with contextlib.closing(sqlite3.connect(damaged, isolation_level=None)) as old:
        old.row_factory = sqlite3.Row
        with contextlib.suppress(sqlite3.Error):
            _define(old, fresh)
        fresh.execute("BEGIN IMMEDIATE")
        for table, key in _tables(fresh):
            known = {each["name"] for each in fresh.execute(f"PRAGMA table_info({table})")}
            for row in _readable(old, table, key):
                kept = _copy(fresh, table, row, known)
                rows += kept
                if table == "deliveries" and "state" in row.keys():  # noqa: SIM118 - a Row
                    waiting += kept and row["state"] in ("waiting", "sending")
        fresh.execute("COMMIT")
        with contextlib.suppress(sqlite3.Error):  # the index is a tree of its own
            found = old.execute(
                f"SELECT count(*) FROM deliveries INDEXED BY deliveries_open WHERE {_OPEN}"  # noqa: S608
            )
            expected = found.fetchone()[0]
    lost = None if expected is None else max(0, expected - waiting)
    return Recovered(rows=rows, waiting=waiting, lost=lost)


def _tables(fresh: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return each table, and the key that its rows lie in order of."""
    found = fresh.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    tables = []
    for name, sql in found.fetchall():
        if name.startswith("sqlite_"):
            continue
        keys = [each for each in fresh.execute(f"PRAGMA table_info({name})") if each["pk"]]
        ordered = ", ".join(each["name"] for each in sorted(keys, key=lambda each: each["pk"]))
        tables.append((name, ordered if "WITHOUT ROWID" in sql else "rowid"))
    return tables


def _readable(old: sqlite3.Connection, table: str, key: str) -> Iterator[sqlite3.Row]:
    """Yield the rows of a table that can be read, each once."""
    if key == "rowid":
        yield from _around(old, table)
        return
    seen = set()
    for order in ("", " DESC"):  # from both ends, as far as it goes
        keys = ", ".join(f"{each}{order}" for each in key.split(", "))
        for row in _rows(old, f"SELECT * FROM {table} ORDER BY {keys}"):  # noqa: S608
            name = tuple(row[each] for each in key.split(", "))
            if name in seen:
                return
            seen.add(name)
            yield row


def _around(old: sqlite3.Connection, table: str) -> Iterator[sqlite3.Row]:
    """Yield rows in the order of their numbers, over what is damaged and close up to it."""
    select = f"SELECT rowid AS number, * FROM {table} WHERE rowid"  # noqa: S608
    last, stride = 0, 0
    while stride <= _STRIDES:
        begin = last + (1 << stride)
        broken = list[sqlite3.Error]()
        first = None
        for row in _rows(old, f"{select} >= {begin} ORDER BY rowid", broken):
            if row["number"] <= last:  # damaged pages lead back to those before
                broken.append(sqlite3.DatabaseError("rows out of order"))
                break
            if first is None:
                first = row["number"]
                if stride:  # what was stepped over, from behind
                    middle = f"{select} > {last} AND rowid < {first} ORDER BY rowid DESC"
                    yield from _rows(old, middle)
            yield row
            last = row["number"]
        if not broken:
            return
        stride = stride + 1 if first is None else 0


def _rows(
    old: sqlite3.Connection, statement: str, broken: list[sqlite3.Error] | None = None
) -> Iterator[sqlite3.Row]:
    """Yield rows as far as they can be read; ``broken`` takes why no further."""
    try:
        yield from old.execute(statement)
    except sqlite3.Error as error:
        if broken is not None:
            broken.append(error)


def _copy(fresh: sqlite3.Connection, table: str, row: sqlite3.Row, known: set[str]) -> bool:
    """Write a row where it is one of ours; return whether it was."""
    values = {name: row[name] for name in row.keys() if name in known}  # noqa: SIM118 - a Row
    with contextlib.suppress(*_UNREADABLE):
        _decode(table, values)
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        insert = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
        fresh.execute(insert, list(values.values()))
        return True
    return False
