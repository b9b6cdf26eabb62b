"""The disk: what is written is there, one job's failure is its own, a full file says so."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter.notification import Level, Notification, Occasion
from exporter.relay import documents, outbox
from exporter.relay import store as module
from exporter.relay.recovery import Recovered
from exporter.relay.store import DiskError, FullError, Store, StoreError, connect


def _begin(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, text TEXT)")


def _insert(n: int, text: str = "") -> Callable[[sqlite3.Connection], Any]:
    return lambda db: db.execute("INSERT INTO t VALUES (?, ?)", (n, text)).lastrowid


def test_group_commit(tmp_path: Path) -> None:
    """Many jobs share few syncs; each gets its own result, and another process sees them all."""

    async def story() -> int:
        async with Store(tmp_path / "s.db", _begin, size=1 << 24, waiting=1000) as store:
            results = await asyncio.gather(*(store.write(_insert(n)) for n in range(500)))
            assert results == list(range(500))
            with closing(sqlite3.connect(tmp_path / "s.db")) as other:
                assert other.execute("SELECT count(*) FROM t").fetchone() == (500,)
            return store.commits

    assert asyncio.run(story()) < 250
    assert stat.S_IMODE((tmp_path / "s.db").stat().st_mode) == 0o600


def test_a_job_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    """A wrong statement, an exception of ours and a good job in one batch."""

    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO t VALUES (10, '')")
        raise KeyError("ours")

    async def story() -> list[object]:
        async with Store(tmp_path / "s.db", _begin, size=1 << 24, waiting=10) as store:
            jobs = [_insert(1), _insert(1), half, lambda db: db.execute("no sql"), _insert(2)]
            found = await asyncio.gather(
                *(store.write(job) for job in jobs),
                return_exceptions=True,
            )
            rows = await store.write(lambda db: [row[0] for row in db.execute("SELECT n FROM t")])
            return [*map(type, found), rows]

    assert asyncio.run(story()) == [int, StoreError, KeyError, StoreError, int, [1, 2]]


def _promises(folder: Path, patience: float = 60.0) -> None:
    """What is answered is on the disk, once; what failed is not, and nobody waits for ever."""

    def bump(db: sqlite3.Connection) -> int:
        db.execute("INSERT INTO t VALUES (1, '1') ON CONFLICT DO UPDATE SET text = text + 1")
        return int(db.execute("SELECT text FROM t WHERE n = 1").fetchone()[0])

    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO t VALUES (10, '')")
        raise KeyError("ours")

    async def story() -> None:
        async with Store(folder / "s.db", _begin, size=1 << 24, waiting=1000) as store:
            async with asyncio.timeout(patience):
                jobs: list[Callable[[sqlite3.Connection], Any]] = [bump] * 40
                jobs[20:20] = [half]
                found = await asyncio.gather(
                    *(store.write(job) for job in jobs), return_exceptions=True
                )
            assert [type(each) for each in found].count(KeyError) == 1
            assert [each for each in found if isinstance(each, int)] == list(range(1, 41))
            with closing(sqlite3.connect(folder / "s.db")) as other:
                assert other.execute("SELECT n, text FROM t").fetchall() == [(1, "40")]

    asyncio.run(story())


def _keeps_halves(connection: sqlite3.Connection, waiting: Any) -> None:
    try:
        waiting.result = waiting.job(connection)
    except KeyError as error:
        waiting.error = error


def _runs_twice(connection: sqlite3.Connection, waiting: Any) -> None:
    _run(connection, waiting)
    _run(connection, waiting)


def _hides_errors(connection: sqlite3.Connection, waiting: Any) -> None:
    _run(connection, waiting)
    waiting.error = None


def _answers_the_first_alone(batch: list[Any]) -> None:
    _answer(batch[:1])


def _answers_before_it_is_written(self: Any, connection: Any, first: Any, batch: list[Any]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    batch.append(first)
    _run(connection, first)
    connection.execute("ROLLBACK")


_run, _answer = module._run, module._answer
MUTANTS: list[tuple[object, str, Callable[..., None]]] = [
    (module, "_run", _keeps_halves),
    (module, "_run", _runs_twice),
    (module, "_run", _hides_errors),
    (module, "_answer", _answers_the_first_alone),
    (Store, "_transact", _answers_before_it_is_written),
]


def test_what_is_answered_is_written_once(tmp_path: Path) -> None:
    """Forty additions and a job that breaks in their midst."""
    _promises(tmp_path)


@pytest.mark.parametrize(
    ("where", "name", "mutant"), MUTANTS, ids=[m.__name__ for *_, m in MUTANTS]
)
def test_broken_variants_are_caught(
    where: object,
    name: str,
    mutant: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The promise above would notice each mistake that one could make here."""
    monkeypatch.setattr(where, name, mutant)
    with pytest.raises((AssertionError, TimeoutError)):
        _promises(tmp_path, patience=2.0)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, FullError),
        (sqlite3.SQLITE_IOERR, DiskError),
        (sqlite3.SQLITE_IOERR | 3 << 8, DiskError),  # SQLITE_IOERR_WRITE: a quota, a broken disk
        (sqlite3.SQLITE_READONLY, DiskError),
        (sqlite3.SQLITE_CORRUPT, StoreError),
    ],
)
def test_a_disk_that_does_not_let_us_is_no_damage(
    tmp_path: Path, code: int, kind: type[StoreError]
) -> None:
    """What keeps us from writing has a name, for it decides what people are told to do."""

    def job(db: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("as the disk says")
        error.sqlite_errorcode = code
        raise error

    async def write() -> type[BaseException]:
        async with Store(tmp_path / "x.db", outbox.begin, size=1 << 22, waiting=8) as store:
            try:
                await store.write(job)
            except StoreError as error:
                return type(error)
        raise AssertionError

    assert asyncio.run(write()) is kind


def test_full_file_and_full_line(tmp_path: Path) -> None:
    """Beyond the bound a job fails whole, and the next works; beyond the line it fails at once."""

    async def story() -> None:
        async with Store(tmp_path / "s.db", _begin, size=64 << 10, waiting=3) as store:
            written, full = 0, False
            while not full:
                try:
                    await store.write(_insert(written, "x" * 1000))
                    written += 1
                except FullError:
                    full = True
            assert 20 < written < 64
            count = await store.write(lambda db: db.execute("SELECT count(*) FROM t").fetchone()[0])
            assert count == written
            await store.write(lambda db: db.execute("DELETE FROM t").rowcount)
            await store.write(_insert(1, "x" * 1000))
            found = await asyncio.gather(
                *(store.write(_insert(n)) for n in range(100, 200)),
                return_exceptions=True,
            )
            assert FullError in {type(each) for each in found}

    asyncio.run(story())


def test_spool_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """It is left alone, and the reason is said."""
    db = connect(tmp_path / "s.db")
    db.execute(f"PRAGMA user_version={outbox.VERSION + 1}")
    db.close()

    async def story() -> None:
        async with Store(tmp_path / "s.db", outbox.begin, size=1 << 24, waiting=3):
            pass

    with pytest.raises(StoreError, match="written by a newer version"):
        asyncio.run(story())


@pytest.mark.parametrize(
    "content", [b"no database " * 100, b"SQLite format 3\0" + bytes(1000), "torn", "shape"]
)
def test_a_damaged_spool_is_set_aside(
    tmp_path: Path, content: bytes | str, caplog: pytest.LogCaptureFixture
) -> None:
    """A fresh one is begun, the old one is kept, and a line says where; no start is refused."""
    file = tmp_path / "s.db"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        with closing(connect(file)) as db:
            if content == "shape":
                db.execute("CREATE TABLE incidents (id TEXT)")
            else:
                outbox.begin(db)
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if content == "torn":
            raw = bytearray(file.read_bytes())
            raw[4096 : 3 * 4096] = b"\xa5" * (2 * 4096)
            file.write_bytes(raw)

    async def story() -> int:
        async with Store(file, outbox.begin, size=1 << 24, waiting=3) as store:
            return (await store.write(outbox.backlog)).dead

    assert asyncio.run(story()) == 0
    assert (tmp_path / "s.db.damaged-1").exists()
    assert f"spool_damaged path={file}" in caplog.text
    caplog.clear()
    assert asyncio.run(story()) == 0  # the fresh one is good
    assert "spool_damaged" not in caplog.text
    opened = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.exists()]
    assert not [each for each in opened if each.startswith(str(file))]


def test_a_rehearsal_leaves_no_trace_and_finds_what_a_post_would() -> None:
    """Nothing of it is kept; a table that is gone and a file without room are found."""
    from tests.relay.parts import EPOCH, Book

    book = Book()
    book.ledger.rehearse(book.db, EPOCH)
    for table in ("incidents", "deliveries", "told", "held"):
        count = book.db.execute(f"SELECT count(*) FROM {table}")  # noqa: S608
        assert count.fetchone()[0] == 0
    book.db.execute("DROP TABLE told")
    with pytest.raises(sqlite3.OperationalError, match="no such table: told"):
        book.ledger.rehearse(book.db, EPOCH)


def test_the_past_makes_room() -> None:
    """What is over is shed, oldest first, a quarter at a time; what waits or is dead stays."""
    from tests.relay.parts import EPOCH, Book, make

    book = Book()
    for number in range(40):
        book.take(EPOCH + number, make("a", start=EPOCH + number), group=f"g{number}")
    book.db.execute("UPDATE deliveries SET state = 'delivered' WHERE id <= 20")
    book.db.execute("UPDATE deliveries SET state = 'dead' WHERE id > 20 AND id <= 30")
    assert outbox.shed(book.db) == 6
    left = [row["id"] for row in book.db.execute("SELECT id FROM deliveries ORDER BY id")]
    assert left == list(range(7, 41))
    while outbox.shed(book.db) > 0 and len(left) > 20:
        left = [row["id"] for row in book.db.execute("SELECT id FROM deliveries ORDER BY id")]
    assert left == list(range(21, 41))


def _page(number: int) -> slice:
    return slice((number - 1) * 4096, number * 4096)


def _spool(file: Path, count: int) -> None:
    """Write a spool in which so many messages wait, and some were delivered."""
    with closing(connect(file)) as db:
        outbox.begin(db)
        note = documents.encode(
            Notification(
                occasion=Occasion.FIRING,
                level=Level.CRITICAL,
                incident="i",
                title="t",
                texts=("x" * 100,),
                time=1.0,
            )
        )
        db.execute("BEGIN")
        for number in range(count):
            state = "delivered" if number % 10 == 0 else "waiting"
            db.execute(
                "INSERT INTO deliveries (receiver, target, incident, occasion, key, note, part,"
                " lead, state, due, received, created) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                ("a", "b", f"i{number}", "firing", f"k{number}", note, 0, 1, state, 1, 1, 1),
            )
            db.execute(
                "INSERT INTO told (incident, receiver, at) VALUES (?, ?, ?)", (f"i{number}", "a", 1)
            )
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _incidents(file: Path, state: str = "waiting") -> set[str]:
    with closing(connect(file)) as db:
        found = db.execute("SELECT incident FROM deliveries WHERE state = ?", (state,))
        return {row["incident"] for row in found}


def test_what_can_be_read_of_a_damaged_spool_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of each damaged page at most its own rows are lost, and how many is said."""
    whole = tmp_path / "whole.db"
    _spool(whole, 400)
    raw, waiting = whole.read_bytes(), _incidents(whole)
    damaged = 0
    for number in range(2, len(raw) // 4096 + 1, 5):
        file = tmp_path / f"{number}.db"
        content = bytearray(raw)
        content[_page(number)] = b"\xa5" * 4096
        file.write_bytes(content)

        async def story(file: Path = file) -> Recovered | None:
            async with Store(file, outbox.begin, size=1 << 24, waiting=3) as store:
                return store.recovered

        found = asyncio.run(story())
        if found is None:
            continue  # a page that nothing is in
        damaged += 1
        kept = _incidents(file)
        assert kept <= waiting
        assert found.waiting == len(kept)
        if found.lost is not None:
            assert len(kept) + found.lost == len(waiting)
        assert len(kept) == 0 or len(kept) >= len(waiting) - 60, number
    assert damaged > 5
    assert sum("lost=0" in record.getMessage() for record in caplog.records) > 3


def test_pages_that_lead_in_a_circle_are_read_once(tmp_path: Path) -> None:
    """A page that stands in the place of another, or of none: the relay starts all the same."""
    whole = tmp_path / "whole.db"
    _spool(whole, 400)
    raw, waiting = whole.read_bytes(), _incidents(whole)
    pages = len(raw) // 4096
    chance = random.Random(1)
    for number in range(40):
        file = tmp_path / f"{number}.db"
        content = bytearray(raw)
        content[_page(chance.randint(2, pages))] = raw[_page(chance.randint(2, pages))]
        file.write_bytes(content[: len(raw) if number % 2 else chance.randrange(len(raw))])

        async def story(file: Path = file) -> None:
            async with Store(file, outbox.begin, size=1 << 24, waiting=3):
                pass

        asyncio.run(story())
        assert _incidents(file) <= waiting


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"('waiting', 'sending')", b"('waitinf', 'sending')"),
        (b"CREATE INDEX audit_at", b"CREATE INDEX audit_au"),
        (b"attempts INTEGER NOT NULL DEFAULT 0", b"attempts INTEGER NOT NULL DEFAULT 1"),
        (b"}waiting", b"}waitinf"),
        (b'["xxxxx', b'["xxxxy'),
        (b"SQLite format 3", b"SQLite format 2"),
        (b"\x00\x40\x20\x20", b"\x00\x40\x20\x24"),
        (b"CREATE TABLE deliveries", b"CREATE TABME deliveries"),
        (b"tabledeliveriesdeliveries", b"tabledeliveriesdeliverier"),
        (b"tabledeliveriesdeliveries", b"tablddeliveriesdeliveries"),
        (b"indexdeliveries_opendeliveries", b"indexdeliveries_opeodeliveries"),
        (b"i7firing", b"i7firinw"),
        (b"i7firing", b"\xe97firing"),
        (b'"critical"', b'"crit\xe9cal"'),
        (b'"texts"', b'"textr"'),
        (b'{"occasion"', b'["occasion"'),
    ],
)
def test_a_wrong_bit_in_a_row_costs_that_row(tmp_path: Path, written: bytes, read: bytes) -> None:
    """The relay starts, all other messages go on, and the one is counted."""
    file = tmp_path / "s.db"
    _spool(file, 20)
    raw, waiting, at, seen = file.read_bytes(), _incidents(file), -1, 0
    while (at := raw.find(written, at + 1)) >= 0 and seen < 3:
        file.write_bytes(raw[:at] + read + raw[at + len(written) :])

        async def story() -> Recovered | None:
            async with Store(file, outbox.begin, size=1 << 24, waiting=3) as store:
                return store.recovered

        found, kept = asyncio.run(story()), _incidents(file)
        if found is None:  # where a row was before it was moved to another page
            assert kept == waiting
            continue
        seen += 1
        assert kept <= waiting
        assert len(kept) + (found.lost or 0) == len(waiting)
        assert len(kept) >= len(waiting) - 1
    assert seen


def test_a_crash_loop_keeps_three_damaged_spools(tmp_path: Path) -> None:
    """The latest are kept; each start begins a fresh one."""
    file = tmp_path / "s.db"

    async def story() -> None:
        async with Store(file, outbox.begin, size=1 << 24, waiting=3):
            pass

    for _ in range(6):
        file.write_bytes(b"no database " * 100)
        asyncio.run(story())
    kept = sorted(each.name for each in tmp_path.glob("s.db.damaged-?"))
    assert kept == ["s.db.damaged-4", "s.db.damaged-5", "s.db.damaged-6"]
