"""A wrong bit in the log of a spool costs what it is in, and not all that came after it."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from exporter.relay.write_ahead import LogDamage, mend

ROWS, PAGE = 12, 4096


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file and its log as they are while somebody writes: a kill leaves the same."""
    folder = tmp_path_factory.mktemp("killed")
    with closing(sqlite3.connect(folder / "live.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)")
        for number in range(ROWS):
            db.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * 500))
        shutil.copy(folder / "live.db", folder / "s.db")
        shutil.copy(folder / "live.db-wal", folder / "s.db-wal")
    return folder


def _opened(killed: Path, folder: Path, log: bytes) -> tuple[LogDamage | None, int, str]:
    """Return what was mended of a log, how many rows there are then, and if the file is sound."""
    shutil.copy(killed / "s.db", folder / "s.db")
    (folder / "s.db-wal").write_bytes(log)
    (folder / "s.db-shm").unlink(missing_ok=True)
    found = mend(folder / "s.db-wal", PAGE, lambda: folder / "kept")
    if found is not None and found.kept is not None:
        assert found.kept.read_bytes() == log
    with closing(sqlite3.connect(folder / "s.db")) as db:
        try:
            rows = db.execute("SELECT count(*) FROM t").fetchone()[0]
            return found, rows, str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
        except sqlite3.DatabaseError as error:
            return found, 0, str(error)


def test_a_wrong_bit_anywhere_hides_nothing(killed: Path, tmp_path: Path) -> None:
    """Told of, and all rows there: but for the last, or where the file's own check sees it."""
    whole, chance = (killed / "s.db-wal").read_bytes(), random.Random(17)
    head = range(0, 56 * 8, 7)
    less = 0
    for bit in (*head, *(chance.randrange(len(whole) * 8) for _ in range(60))):
        log = bytearray(whole)
        log[bit // 8] ^= 1 << bit % 8
        found, rows, sound = _opened(killed, tmp_path, bytes(log))
        assert found is not None, bit
        assert rows >= ROWS - 1 or sound != "ok", (bit, rows, sound)
        less += rows < ROWS
    assert less < 20


def test_what_a_kill_leaves_is_no_damage(killed: Path, tmp_path: Path) -> None:
    """Whole, cut off anywhere, or before the frames of an older log: nothing is changed."""
    whole = (killed / "s.db-wal").read_bytes()
    assert _opened(killed, tmp_path, whole) == (None, ROWS, "ok")
    for size in (0, 10, 32, 40, 5000, len(whole) - 5000, len(whole) - 1):
        found, _, sound = _opened(killed, tmp_path, whole[:size])
        assert (found, sound) in ((None, "ok"), (None, "no such table: t"))
    older = bytes(byte ^ 0x5A for byte in whole[40:48]) + whole[48 : 24 + 32 + PAGE]
    found, rows, _ = _opened(killed, tmp_path, whole + whole[32:40] + older)
    assert (found, rows) == (None, ROWS)
