"""A frame that could not be read is there to be looked at, after a kill too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.flow import dead_letters, segments
from exporter.flow.dead_letters import DeadLetter
from exporter.flow.segments import BusyError, DamagedSegmentError


def letter(number: int, frame: bytes = b"{") -> DeadLetter:
    return DeadLetter(time=float(number), exchange="acme", venue="acme", stream="market",
                  reason=f"wrong {number}", frame=frame, size=len(frame))  # fmt: skip


def test_letters_come_back_in_order_with_lasting_names(tmp_path: Path) -> None:
    """Over several segments and a restart, whatever bytes the frame is made of."""
    written = []
    for start in (0, 100):
        out = dead_letters.writer(tmp_path, segment_size=4096, max_bytes=1 << 20)
        for number in range(start, start + 100):
            written.append(letter(number, bytes([number]) * number))
            out.append(dead_letters.encode(written[-1]))
        out.close()
    found = list(dead_letters.read(tmp_path))
    assert [each for _, each in found] == written
    assert len({name for name, _ in found}) == 200
    assert found == list(dead_letters.read(tmp_path))


def test_bounds(tmp_path: Path) -> None:
    """A huge frame is cut, the oldest letters make room, and the newest are there."""
    out = dead_letters.writer(tmp_path, segment_size=4096, max_bytes=16384)
    for number in range(500):
        out.append(dead_letters.encode(letter(number, b"x" * 100)))
    out.append(dead_letters.encode(letter(500, b"y" * (dead_letters.LONGEST + 5))))
    out.close()
    *_, (_, last) = dead_letters.read(tmp_path)
    assert isinstance(last, DeadLetter)
    assert (len(last.frame), last.size) == (dead_letters.LONGEST, dead_letters.LONGEST + 5)
    assert out.removed > 0


def test_purge_waits_for_nobody_and_takes_all(tmp_path: Path) -> None:
    """Not while somebody writes; then nothing is left, and names are not used again."""
    out = dead_letters.writer(tmp_path)
    out.append(dead_letters.encode(letter(1)))
    with pytest.raises(BusyError):
        dead_letters.purge(tmp_path)
    out.close()
    (before, _), = dead_letters.read(tmp_path)  # fmt: skip
    assert dead_letters.purge(tmp_path) == 1
    assert list(dead_letters.read(tmp_path)) == []
    assert dead_letters.purge(tmp_path / "nothing") == 0
    assert before == "1-1"


_WRITER = """
import sys
from pathlib import Path
from exporter.flow import dead_letters
from tests.flow.test_dead_letters import letter
out = dead_letters.writer(Path(sys.argv[1]), segment_size=4096, max_bytes=1 << 30)
number = 0
while True:
    number += 1
    out.append(dead_letters.encode(letter(number, b"z" * (number % 700))))
    print(number, flush=True)
"""


@pytest.mark.parametrize("wait", [0.0, 0.003, 0.01, 0.04])
def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path, wait: float) -> None:
    """All letters whose writing had returned are read back; a torn tail is said and cut off."""
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(150):  # more than one segment holds
        writer.stdout.readline()
    time.sleep(wait)
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged = 150 + len(writer.stdout.readlines())
    writer.stdout.close()
    writer.wait()
    found = [each for _, each in dead_letters.read(tmp_path)]
    letters = [each for each in found if isinstance(each, DeadLetter)]
    assert [each.time for each in letters] == list(range(1, len(letters) + 1))
    assert len(letters) >= acknowledged
    torn = [each for each in found if isinstance(each, DamagedSegmentError)]
    assert all(each.torn for each in torn)
    again = dead_letters.writer(tmp_path)
    assert bool(again.mended) is bool(torn)
    again.append(dead_letters.encode(letter(0)))
    again.close()
    after = [each for _, each in dead_letters.read(tmp_path)]
    assert after == [*letters, letter(0)]
    assert len(segments.segments(tmp_path)) >= 2
