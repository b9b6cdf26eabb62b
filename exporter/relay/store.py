"""A SQLite file used by one thread; after `write` has returned, the data is on disk.

Group commit: jobs that wait while one transaction is synced share the next one, so that the sync
is paid once for all of them. Each job runs in a savepoint of its own: one that fails takes none
of the others with it. Source: sqlite.org, "Write-Ahead Logging" and "PRAGMA synchronous" (FULL
syncs the log at every commit), read 2026-11-20.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from exporter.relay import write_ahead
from exporter.relay.recovery import Recovered, recover, unreadable

log = logging.getLogger(__name__)

T = TypeVar("T")
Job: TypeAlias = Callable[[sqlite3.Connection], Any]

_BATCH: Final = 256  # jobs of one transaction
_BATCH_TIME: Final = 0.03  # seconds of jobs before their commit
_PRAGMAS: Final = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=OFF", "temp_store=MEMORY")
_KEPT: Final = 3  # damaged files: a crash loop makes no pile of them
_SUFFIXES: Final = ("-wal", "-shm", "")
_PAGE_SIZES: Final = frozenset(1 << bits for bits in range(9, 17))
_BUSY: Final = 5.0  # seconds to wait for another process, which writes a row now and then


class StoreError(Exception):
    """Nothing of the job is on the disk; it may be tried again."""


class FullError(StoreError):
    """There is no room: on the disk, in the file's bound, or in line."""


class DiskError(StoreError):
    """The disk does not let us: it is over a quota, read-only or broken."""


class DamagedStoreError(sqlite3.DatabaseError):
    """The file is no database of ours any more."""


def _damaged(error: sqlite3.DatabaseError) -> bool:
    """Tell a file that cannot be used from a disk that does not let us, or a newer version."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # SQLITE_ERROR: a table that we know by another shape.
    return isinstance(error, DamagedStoreError) or code in (
        sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR
    )  # fmt: skip


def _set_aside(path: Path) -> Path:
    """Rename a file and its log; return the new name. The oldest beyond three go for ever."""
    stem = f"{path.name}.damaged-"
    found = (each.name.removeprefix(stem) for each in path.parent.glob(f"{glob.escape(stem)}*"))
    numbers = sorted(int(each) for each in found if each.isdecimal())
    for old in numbers[: max(0, len(numbers) - _KEPT + 1)]:
        for suffix in _SUFFIXES:
            path.with_name(f"{stem}{old}{suffix}").unlink(missing_ok=True)
    aside = path.with_name(f"{stem}{numbers[-1] + 1 if numbers else 1}")
    for suffix in _SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _page_size(path: Path) -> int:
    """Return the bytes of a page, by the head of a file; SQLite's usual where that has none."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(18)[16:18], "big")
    size = 65536 if size == 1 else size
    return size if size in _PAGE_SIZES else 4096


class Disk(Protocol):
    """What runs a job in a transaction; when `write` returns, what it did is on the disk."""

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T: ...


@dataclass(slots=True)
class _Waiting:
    job: Job
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


def connect(path: Path, *, size: int | None = None) -> sqlite3.Connection:
    """Open the file, made if absent, readable for its owner alone. ``size`` bounds it, in bytes."""
    if str(path) != ":memory:":
        path.touch(mode=0o600, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        if size is not None:
            page = connection.execute("PRAGMA page_size").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count={max(1, size // page)}")
    except BaseException:  # no database, or one that is damaged
        connection.close()
        raise
    return connection


class Store:
    """One writer for the whole program; open it with ``async with``.

    ``begin`` is run once on the open connection, for the schema. ``waiting`` jobs may be in line.
    A damaged file is set aside; what can be read of it is ``recovered``.
    """

    def __init__(
        self, path: Path, begin: Callable[[sqlite3.Connection], None], *, size: int, waiting: int
    ) -> None:
        self._path, self._begin, self._size = path, begin, size
        self.recovered: Recovered | None = None
        self._jobs: queue.Queue[_Waiting | None] = queue.Queue(waiting)
        self._connection: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = False
        self.commits = 0

    async def __aenter__(self) -> Store:
        self._loop = asyncio.get_running_loop()
        self._connection = await asyncio.to_thread(self._open)
        self._thread = threading.Thread(target=self._work, name="spool", daemon=True)
        self._thread.start()
        return self

    def _open(self) -> sqlite3.Connection:
        try:
            self._mend_log()
            try:
                return self._begun()
            except sqlite3.DatabaseError as error:
                if not _damaged(error):
                    raise
                return self._recovered(_set_aside(self._path), error)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._path}: {error}") from error

    def _mend_log(self) -> None:
        """Have SQLite read all of a log in which a bit is wrong, and not only what is before it."""
        log_file = self._path.with_name(self._path.name + "-wal")
        if not log_file.exists() or not self._path.exists():
            return
        kept = self._path.with_name(self._path.name + ".damaged-wal")
        found = write_ahead.mend(log_file, _page_size(self._path), lambda: kept)
        if found is not None:
            log.error(
                "spool_log_damaged path=%s frames=%d wrong=%d kept=%s remedy=%r",
                log_file, found.frames, found.wrong, found.kept,
                "none is needed, the rest of it was read" if found.kept
                else "none is needed, its last transaction was cut off by a kill or is lost",
            )  # fmt: skip

    def _recovered(self, aside: Path, error: Exception) -> sqlite3.Connection:
        """Begin a fresh file with what can be read of the damaged one."""
        connection = self._begun()
        try:
            self.recovered = found = recover(aside, connection)
        except BaseException:
            connection.close()
            raise
        lost = "unknown" if found.lost is None else found.lost
        log.error(
            "spool_damaged path=%s error=%r set_aside=%s recovered_rows=%d waiting=%d lost=%s"
            " remedy=%r",
            self._path, str(error), aside, found.rows, found.waiting, lost,
            "none is needed, a fresh one was begun with what could be read",
        )  # fmt: skip
        return connection

    def _begun(self) -> sqlite3.Connection:
        connection = connect(self._path, size=self._size)
        try:
            # The quick one does not see a row that its index does not lead to.
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                raise DamagedStoreError(found)
            self._begin(connection)
            with contextlib.closing(connect(Path(":memory:"))) as fresh:
                self._begin(fresh)
                if (wrong := unreadable(connection, fresh)) is not None:
                    raise DamagedStoreError(wrong)
        except BaseException:
            connection.close()
            raise
        return connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            await asyncio.to_thread(self._jobs.put, None)  # after all that is in line
            await asyncio.to_thread(self._thread.join)

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``job`` in a transaction; when this returns, what it did is on the disk.

        Cancelled, the job may still run. Raises StoreError, and what the job raises.
        """
        assert self._loop is not None  # noqa: S101 - entered
        future: asyncio.Future[T] = self._loop.create_future()
        try:
            self._jobs.put_nowait(_Waiting(job, future))
        except queue.Full:
            raise FullError("too many jobs wait for the disk") from None
        return await future

    def _work(self) -> None:
        assert self._connection is not None  # noqa: S101 - entered
        assert self._loop is not None  # noqa: S101
        with contextlib.closing(self._connection) as connection:
            while not self._ending:
                batch: list[_Waiting] = []
                first = self._jobs.get()
                self._ending = first is None
                if first is not None:
                    self._transact(connection, first, batch)
                    with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
                        self._loop.call_soon_threadsafe(_answer, batch)

    def _transact(
        self, connection: sqlite3.Connection, first: _Waiting, batch: list[_Waiting]
    ) -> None:
        """Run the first job and those that come while it lasts, and commit them together."""
        until = monotonic() + _BATCH_TIME
        waiting: _Waiting | None = first
        try:
            connection.execute("BEGIN IMMEDIATE")
            while waiting is not None:
                batch.append(waiting)
                _run(connection, waiting)
                waiting = None
                if len(batch) < _BATCH and monotonic() < until:
                    with contextlib.suppress(queue.Empty):
                        waiting = self._jobs.get_nowait()
                        self._ending = waiting is None
            connection.execute("COMMIT")
            self.commits += 1
        except sqlite3.Error as error:
            if not batch:
                batch.append(first)
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for each in batch:
                each.error = _store_error(error)


def _run(connection: sqlite3.Connection, waiting: _Waiting) -> None:
    """Run one job. Raises sqlite3.Error when that has ended the whole transaction."""
    if waiting.future.cancelled():
        return
    connection.execute("SAVEPOINT job")
    try:
        waiting.result = waiting.job(connection)
        connection.execute("RELEASE job")
    except sqlite3.Error as error:
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        waiting.error = _store_error(error)
    except BaseException as error:  # noqa: BLE001 - it is raised where the job was asked for
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        waiting.error = error


def _store_error(error: sqlite3.Error) -> StoreError:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return FullError(str(error))
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN:
            return DiskError(str(error))
        case _:
            return StoreError(str(error))


def _answer(batch: list[_Waiting]) -> None:
    for each in batch:
        if each.future.done():
            continue
        if each.error is not None:
            each.future.set_exception(each.error)
        else:
            each.future.set_result(each.result)
