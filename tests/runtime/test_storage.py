"""Bans and what was learnt outlive the process, whatever moment it ends at."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.flow.state_file import Parts
from exporter.metrics.children import CounterChild
from exporter.metrics.registry import Registry
from exporter.probes.bans import Bans
from exporter.runtime.storage import Storage, StorageError, write_whole
from tests.fakes import FakeClock, run_virtual


def _storage(folder: Path) -> Storage:
    return Storage(folder, Registry(), FakeClock())


def test_bans_come_back_to_the_second(tmp_path: Path) -> None:
    """What was noted before is known after a restart; what is over, or absurd, is not."""

    async def main() -> None:
        clock = FakeClock()
        storage = _storage(tmp_path)
        bans = storage.bans()
        now = clock.wall()
        bans.record("binance", now + 120.5)
        bans.record("kraken", now + 10.0)
        bans.record("okx", now + 1e12)
        storage.save_bans(bans)
        storage.close()
        await asyncio.sleep(20.0)
        storage = _storage(tmp_path)
        again = storage.bans()
        storage.close()
        assert again.until == {"binance": now + 120.5}
        assert again.of("kraken") == again.of("x") == 0.0

    run_virtual(main())


def test_a_ban_is_written_at_once_and_learning_in_its_turn(tmp_path: Path) -> None:
    """Nobody waits for the next turn with a ban; what was learnt may be minutes old."""

    async def main() -> None:
        storage = _storage(tmp_path)
        bans, learnt = storage.bans(), {"one": [b"1", b"", b"2"]}

        async def snapshot() -> Parts:
            return learnt

        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(storage.run(bans, snapshot))
            await asyncio.sleep(1.0)
            bans.record("binance", 1_800_000_000.0)
            await asyncio.sleep(0.01)
            assert "1800000000" in (tmp_path / "bans.json").read_text()
            assert storage.learnt() is None
            running.cancel()
        storage.save_learnt(learnt)
        assert storage.learnt() == learnt
        storage.close()

    run_virtual(main())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 1, "banned_until": {}}',
        '{"version": 2}',
        "\0" * 100,
        '{"version": 3, "banned_until": {"okx": 2000000000.0}, "checksum": 1}',
    ],
)
def test_what_cannot_be_read_is_set_aside(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged file is kept under another name, which the log tells, and the program starts."""
    (tmp_path / "bans.json").write_text(text)

    async def main() -> None:
        storage = _storage(tmp_path)
        assert storage.bans().until == {}
        storage.close()

    run_virtual(main())
    assert (tmp_path / "damaged" / "bans.json").read_text() == text
    assert not (tmp_path / "bans.json").exists()
    assert f"set_aside={tmp_path / 'damaged' / 'bans.json'}" in caplog.text


def test_any_flipped_bit_of_the_state_is_seen(tmp_path: Path) -> None:
    """No ban comes back with another end than it had, and nothing else is learnt than was."""

    async def main() -> None:
        storage = _storage(tmp_path)
        bans = storage.bans()
        bans.record("okx", storage._clock.wall() + 100.1234567)
        storage.save_bans(bans)
        storage.save_learnt({"one": [b"1", b"22"]})
        for name in ("bans.json", "detectors.state"):
            whole = (tmp_path / name).read_bytes()
            for bit in range(len(whole) * 8):
                damaged = bytearray(whole)
                damaged[bit // 8] ^= 1 << bit % 8
                (tmp_path / name).write_bytes(damaged)
                if name == "bans.json":
                    assert storage.bans().until == {}
                else:
                    assert storage.learnt() is None
        storage.close()

    run_virtual(main())
    assert len(list((tmp_path / "damaged").iterdir())) == 2, "no pile of them"


def test_one_process_a_directory(tmp_path: Path) -> None:
    """The second one is told so; a directory that cannot be made is told of too."""
    storage = _storage(tmp_path)
    with pytest.raises(StorageError, match="another process"):
        _storage(tmp_path)
    storage.close()
    _storage(tmp_path).close()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot use"):
        _storage(tmp_path / "file")


def test_a_disk_that_refuses_is_counted(tmp_path: Path) -> None:
    """The program goes on without it."""
    registry = Registry()

    async def main() -> None:
        storage = Storage(tmp_path, registry, FakeClock())
        (tmp_path / ".bans.json.new").mkdir()
        storage.save_bans(Bans())
        storage.close()

    run_virtual(main())
    table = {table.family.name: table for table in registry.tables()}
    failures = table["exchange_exporter_state_save_failures_total"].children[()]
    assert isinstance(failures, CounterChild)
    assert failures.value == 1


def test_write_whole_survives_a_kill(tmp_path: Path) -> None:
    """Killed at any moment, the file is a whole one: never shorter, never mixed."""
    file = tmp_path / "state"
    code = (
        "import sys; from pathlib import Path\n"
        "from exporter.runtime.storage import write_whole\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    write_whole(Path(sys.argv[1]), str(n % 10).encode() * 20_000)\n"
        "    print(n, flush=True)\n"
    )
    for wait in (0.02, 0.05, 0.11, 0.17):
        command = [sys.executable, "-c", code, str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "1\n"
            time.sleep(wait)
            os.kill(writer.pid, signal.SIGKILL)
        content = file.read_bytes()
        assert len(content) == 20_000
        assert len(set(content)) == 1
    write_whole(file, json.dumps({}).encode())
    assert file.read_bytes() == b"{}"
