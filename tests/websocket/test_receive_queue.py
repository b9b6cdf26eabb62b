"""What an inbox has no room for, on disk: read back in order, once, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from exporter.contracts import ConnectionLostError, LateTime
from exporter.flow import dead_letters
from exporter.flow.overflow import SMALLEST, Overflow, Overflows, SpillOrigin
from exporter.metrics.registry import Registry
from exporter.model import Lost, QueuePolicy
from exporter.streams.dead_letters import DeadLetterWriter
from exporter.websocket.receive_queue import ReceiveQueue, ReceiveQueueBounds, ReceiveQueueMeter
from tests.fakes import FakeClock, run_virtual

ORIGIN = SpillOrigin(exchange="acme", venue="binance", stream="market")
# Frames of one read, or one turn of whoever takes them.
STEPS = st.lists(st.one_of(st.integers(1, 6), st.just("take")), max_size=40)
Steps = list[int | str]


class Desk:
    """An inbox for few frames, what was put into it, and what came out."""

    def __init__(self, folder: Path, most: int = SMALLEST) -> None:
        self.folder, self.most = folder, most
        self.overflows = Overflows(folder)
        self.put, self.got = list[bytes](), list[bytes]()
        self.dropped = 0.0
        self.depths, self.waits = list[float](), list[float]()
        self.inbox = ReceiveQueue(
            ReceiveQueueBounds(frames=4, size=1 << 20, policy=QueuePolicy.SPILL, spill=self.spill),
            ReceiveQueueMeter(
                dropped=self.drop, depth=self.depths.append, waited=self.waits.append
            ),
            now=lambda: asyncio.get_running_loop().time(),
            pause=lambda: pytest.fail("a spilling inbox reads on"),
            resume=lambda: None,
        )

    def spill(self) -> Overflow:
        return self.overflows.open(ORIGIN, self.most)

    def drop(self, count: float) -> None:
        self.dropped += count

    def read(self, count: int, size: int = 10) -> None:
        """Have some frames come in one read of the network."""
        frames = [len(self.put + [b""] * n).to_bytes(size, "big") for n in range(count)]
        self.put += frames
        self.inbox.frames += [(1.5e9 + len(self.put), frame) for frame in frames]
        self.inbox.added(count * size)
        # One read may overshoot, as with all policies.
        assert len(self.inbox.frames) <= 4 + 6

    async def take(self) -> None:
        """Take one batch, if there is any."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.0):
                await self.inbox.hand_over(self._take)

    def _take(self, batch: object) -> bool:
        assert isinstance(batch, list)
        self.got += [frame for _, frame in batch]
        return True

    async def drain(self) -> None:
        self.inbox.end(ConnectionLostError(Lost.NETWORK))
        while len(self.got) < len(self.put):
            before = len(self.got)
            await self.take()
            assert len(self.got) > before
        with pytest.raises(ConnectionLostError):
            await self.inbox.hand_over(self._take)


def _play(steps: Steps) -> None:
    with tempfile.TemporaryDirectory() as name:
        desk = Desk(Path(name))

        async def main() -> None:
            for step in steps:
                if isinstance(step, int):
                    desk.read(step)
                else:
                    await desk.take()
                assert desk.got == desk.put[: len(desk.got)]
            await desk.drain()

        run_virtual(main())
        assert desk.got == desk.put
        assert desk.dropped == 0
        assert list(Path(name).iterdir()) == []


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_frames_come_out_in_order_through_memory_and_disk(steps: Steps) -> None:
    """Whoever is slow gets all, in order, once; memory stays bounded, and the disk is cleared."""
    _play(steps)


def _forgets_to_stop(self: ReceiveQueue) -> list[tuple[float, bytes]]:
    most = self._most, self._most_size
    batch = _batch(self)
    self._most, self._most_size = most  # what comes next overtakes what is on the disk
    return batch


def _keeps_all_in_memory(self: ReceiveQueue, size: int) -> None:
    """Nothing is ever spilled."""


def _gives_up_early(self: ReceiveQueue) -> bool:
    return _read_back(self) and len(self.frames) > 1


_read_back, _batch = ReceiveQueue._read_back, ReceiveQueue._batch
MUTANTS: list[tuple[str, Callable[..., object]]] = [
    ("_batch", _forgets_to_stop),
    ("_overflow", _keeps_all_in_memory),
    ("_read_back", _gives_up_early),
]


@pytest.mark.parametrize(("name", "mutant"), MUTANTS, ids=[m.__name__ for _, m in MUTANTS])
def test_broken_variants_are_caught(
    name: str, mutant: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promise above would notice each mistake that one could make here."""
    monkeypatch.setattr(ReceiveQueue, name, mutant)

    @settings(max_examples=200, deadline=None, database=None, phases=[Phase.generate])
    @given(steps=STEPS)
    def check(steps: Steps) -> None:
        _play(steps)

    with pytest.raises((AssertionError, ConnectionLostError)):
        check()


def test_bounds_waits_and_depths_are_told(tmp_path: Path) -> None:
    """Beyond the bytes on disk frames are dropped and counted; so are those that nobody takes."""

    async def main() -> None:
        desk = Desk(tmp_path)
        for _ in range(3):
            desk.read(6, size=2 << 20)  # of 12 MB two fit no more
            await asyncio.sleep(1.0)
        assert desk.dropped == 12
        desk.read(2)
        await desk.take()
        assert (desk.depths, desk.waits) == ([6 + 2], [3.0])
        assert desk.got == desk.put[:6]
        assert desk.dropped == 12
        desk.inbox.discard()
        assert desk.dropped == 14

    run_virtual(main())
    assert list(tmp_path.iterdir()) == []


def test_a_hole_stands_where_the_disk_had_no_room(tmp_path: Path) -> None:
    """Between what had found room and what finds it again, and before what follows in memory."""

    async def main() -> None:
        desk = Desk(tmp_path)
        for size in (2 << 20, 2 << 20, 10, 2 << 20):  # 12 MB of the second do not fit
            desk.read(6, size=size)
        assert desk.dropped == 12
        for _ in range(3):
            await desk.take()
        desk.read(1)
        await desk.take()
        assert desk.got == [*desk.put[:6], b"", *desk.put[12:18], b"", *desk.put[24:]]

    run_virtual(main())


def test_a_segment_that_rots_on_the_disk_leaves_a_hole_and_is_counted(tmp_path: Path) -> None:
    """What cannot be read back is dropped, and whoever takes the rest is told where it stood."""

    async def main() -> None:
        desk = Desk(tmp_path, most=64 << 20)
        for _ in range(12):
            desk.read(4, size=1 << 20)
        second = sorted(tmp_path.glob("*/*.seg"))[1]  # noqa: ASYNC240 - nobody else waits
        rotten = bytearray(second.read_bytes())
        rotten[-1] ^= 1
        second.write_bytes(rotten)
        while desk.inbox.frames or desk.inbox._spill is not None:
            await desk.take()
        desk.read(1)
        await desk.take()
        holes = [at for at, frame in enumerate(desk.got) if not frame]
        missing = [each for each in desk.put if each not in desk.got]
        assert desk.dropped == len(missing) == 4
        at = desk.put.index(missing[0])
        assert holes[0] == at
        assert [each for each in desk.got if each] == desk.put[:at] + desk.put[at + 4 :]

    run_virtual(main())


def test_a_disk_that_refuses_costs_what_it_would_have_held(tmp_path: Path) -> None:
    """No room in memory and none on disk: the newest is dropped, counted, and reading goes on."""
    (tmp_path / "file").write_text("no directory")

    async def main() -> None:
        desk = Desk(tmp_path / "file")
        for _ in range(3):
            desk.read(5)
        assert desk.dropped == 10
        await desk.take()
        assert desk.got == desk.put[:5]

    run_virtual(main())


def test_absurd_bounds_are_refused() -> None:
    """A spilling inbox without a place, a place without spilling."""
    for policy, spill in ((QueuePolicy.SPILL, None), (QueuePolicy.BLOCK, Desk(Path("x")).spill)):
        with pytest.raises(ValueError, match="needs one"):
            ReceiveQueueBounds(policy=policy, spill=spill)


_KILLED = """
import os, signal, sys
from pathlib import Path
from exporter.flow.overflow import Overflows, SpillOrigin
held = Overflows(Path(sys.argv[1])).open(
    SpillOrigin(exchange="acme", venue="binance", stream="market"), 1 << 26)
for number in range(500):
    assert held.put([(1.5e9 + number, number.to_bytes(900, "big"))] * 10, 0.0)
assert len(held.take()[0]) == 10
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_read_late_is_known_as_such_from_disk_too(tmp_path: Path) -> None:
    """Waiting on disk makes no latency of a late frame good again."""
    origin = SpillOrigin(exchange="acme", venue="acme", stream="s")
    overflow = Overflow(tmp_path / "spill", origin, max_bytes=SMALLEST)
    assert overflow.put([(1000.5, b"a"), (LateTime(1001.5), b"b")], 1.0)
    taken = overflow.take()
    assert taken == ([(1000.5, b"a"), (1001.5, b"b")], 1.0)
    assert [type(received) for received, _ in taken[0]] == [float, LateTime]
    overflow.close()


def test_what_was_spilled_survives_a_kill_as_dead_letters(tmp_path: Path) -> None:
    """It was accepted: the next process keeps it where it can be listed and read again."""
    folder = tmp_path / "spill"
    done = subprocess.run([sys.executable, "-c", _KILLED, str(folder)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    (torn,) = (each for each in folder.iterdir() if each.is_dir())
    newest = max(torn.glob("*.seg"))
    os.truncate(newest, newest.stat().st_size - 5)  # as a kill in the middle of a write does
    registry = Registry()
    kept = DeadLetterWriter(tmp_path / "deadletters", registry, FakeClock())
    kept.adopt(folder)
    kept.close()
    letters = [letter for _, letter in dead_letters.read(tmp_path / "deadletters")]
    assert all(isinstance(letter, dead_letters.DeadLetter) for letter in letters)
    numbers = [int.from_bytes(letter.frame, "big") for letter in letters]  # type: ignore[union-attr]  # as said
    assert numbers == [number for number in range(499) for _ in range(10)]
    assert list(folder.iterdir()) == []
    assert [path.name for path in (tmp_path / "damaged").iterdir()] == [
        f"{torn.name}-{newest.name}"
    ]
