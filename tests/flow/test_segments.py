"""Segments: what was appended is there, up to the first byte that is wrong, and no further."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.capture.codec import Decoder, Encoder, Row
from exporter.flow.segments import (
    HEAD_SIZE,
    SMALLEST,
    BusyError,
    Content,
    DamagedSegmentError,
    ForeignError,
    Writer,
    mend,
    read,
    segments,
)
from exporter.model import Trade

CONTENT = Content("test", 3)
PAYLOADS = [b"one", b"second" * 7, b"\0" * 40, b"4"]


def write(directory: Path, payloads: list[bytes], content: Content = CONTENT) -> Path:
    """Write one segment and return its path."""
    writer = Writer(directory, content)
    for payload in payloads:
        writer.append(payload)
    writer.close()
    return segments(directory)[-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of one segment with all payloads."""
    return write(tmp_path_factory.mktemp("whole"), PAYLOADS).read_bytes()


def kept(path: Path, content: Content = CONTENT) -> tuple[list[bytes], Exception | None]:
    """Return what can be read, and what ended it."""
    found: list[bytes] = []
    payloads = read(path, content)
    while True:
        try:
            found.append(next(payloads))
        except StopIteration:
            return found, None
        except (DamagedSegmentError, ForeignError) as error:
            return found, error


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    """In order, and nothing more."""
    assert kept(write(tmp_path, PAYLOADS)) == (PAYLOADS, None)


def test_a_kill_at_any_byte(whole: bytes, tmp_path: Path) -> None:
    """Cut anywhere: the blocks that were complete are read, and the rest is called torn."""
    path = tmp_path / "00000001.seg"
    ends = [HEAD_SIZE]
    for payload in PAYLOADS:
        ends.append(ends[-1] + 8 + len(payload))
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found, error = kept(path)
        assert found == PAYLOADS[: max(0, sum(end <= length for end in ends) - 1)]
        if length in (0, *ends):  # of an empty file nothing was lost
            assert error is None
        else:
            assert isinstance(error, DamagedSegmentError)
            assert error.torn


@settings(deadline=None)  # it touches the disk
@given(st.data())
def test_any_bit_flip_is_seen(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Some bits turned over: a prefix and a clear error, never a payload that was not written."""
    damaged = bytearray(whole)
    for bit in data.draw(st.sets(st.integers(0, len(whole) * 8 - 1), min_size=1, max_size=5)):
        damaged[bit // 8] ^= 1 << bit % 8
    path = tmp_path_factory.getbasetemp() / "flipped.seg"
    path.write_bytes(damaged)
    found, error = kept(path)
    assert found == PAYLOADS[: len(found)]
    assert isinstance(error, DamagedSegmentError | ForeignError)


@settings(deadline=None)  # it touches the disk
@given(st.integers(HEAD_SIZE * 8, 10**9))
def test_blocks_after_a_flipped_bit_are_read(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, bit: int
) -> None:
    """One bit costs one block, whether it is in a length, a checksum or a payload."""
    first = HEAD_SIZE * 8
    bit = first + (bit - first) % (len(whole) * 8 - first)
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    path = tmp_path_factory.getbasetemp() / "00000001.seg"
    path.write_bytes(damaged)
    found: list[bytes] = []
    with pytest.raises(DamagedSegmentError) as caught:
        found.extend(read(path, CONTENT, further=True))
    size = path.stat().st_size
    if not caught.value.torn:  # no tail of a kill: nothing of it is cut off
        with pytest.raises(DamagedSegmentError):
            mend(path, CONTENT)
        assert path.stat().st_size == size
    lost = [payload for payload in PAYLOADS if payload not in found]
    assert len(lost) == 1
    assert found == [payload for payload in PAYLOADS if payload not in lost]


def test_a_block_in_a_wrong_place_does_not_verify(whole: bytes, tmp_path: Path) -> None:
    """A block repeated, or of another segment: its checksum knows where it belongs."""
    first = whole[HEAD_SIZE : HEAD_SIZE + 8 + 3]
    path = tmp_path / "00000001.seg"
    path.write_bytes(whole[: HEAD_SIZE + 11] + first + whole[HEAD_SIZE + 11 :])
    found, error = kept(path)
    assert found == PAYLOADS[:1]
    assert "wrong checksum" in str(error)


def test_zeros_after_the_end_are_no_blocks(whole: bytes, tmp_path: Path) -> None:
    """A file system that lost power may leave them."""
    path = tmp_path / "00000001.seg"
    path.write_bytes(whole + b"\0" * 100)
    found, error = kept(path)
    assert found == PAYLOADS
    assert "a block of 0 bytes" in str(error)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    """No segment, other content, another version: each is named."""
    path = write(tmp_path / "a", PAYLOADS)
    with pytest.raises(ForeignError, match="holds 'test', expected 'other'"):
        next(read(path, Content("other", 3)))
    with pytest.raises(ForeignError, match="test version 3, expected 4"):
        next(read(path, Content("test", 4)))
    alien = tmp_path / "alien"
    alien.write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(ForeignError, match="no segment"):
        next(read(alien, CONTENT))


def test_a_new_writer_cuts_what_a_kill_left(whole: bytes, tmp_path: Path) -> None:
    """The torn tail goes, the blocks before it stay, and a new segment begins."""
    (tmp_path / "00000007.seg").write_bytes(whole[:-1])
    writer = Writer(tmp_path, CONTENT)
    assert writer.mended == 8 + len(PAYLOADS[-1]) - 1
    writer.append(b"new")
    writer.close()
    assert [path.stem for path in segments(tmp_path)] == ["00000007", "00000008"]
    assert kept(tmp_path / "00000008.seg") == ([b"new"], None)


def test_mending_leaves_other_damage_alone(whole: bytes, tmp_path: Path) -> None:
    """A flipped bit in the middle is not what a kill does: nothing is cut."""
    path = tmp_path / "00000001.seg"
    damaged = bytearray(whole)
    damaged[HEAD_SIZE + 9] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DamagedSegmentError, match=f"a wrong checksum at byte {HEAD_SIZE}"):
        mend(path, CONTENT)
    Writer(tmp_path, CONTENT).close()
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("size", [0, 10])
def test_a_torn_head_is_an_empty_segment(whole: bytes, tmp_path: Path, size: int) -> None:
    """Killed while the file was begun: it goes, and its number is not used again."""
    (tmp_path / "00000001.seg").write_bytes(whole[:size])
    writer = Writer(tmp_path, CONTENT)
    writer.close()
    assert [path.stem for path in segments(tmp_path)] == ["00000002"]


def test_segments_rotate_and_the_oldest_go(tmp_path: Path) -> None:
    """Each takes up to its size, all together stay below the bound, and what went is counted."""
    writer = Writer(tmp_path, CONTENT, segment_size=SMALLEST, max_bytes=3 * SMALLEST)
    ends = [writer.append(bytes([n]) * 1000) for n in range(1, 21)]
    assert [n for n, end in enumerate(ends, start=1) if end] == [4 + 1, 10, 15, 20]
    writer.close()
    assert writer.removed == 2
    left = [payload[0] for path in segments(tmp_path) for payload in read(path, CONTENT)]
    assert left == list(range(11, 21))
    assert writer.size == sum(path.stat().st_size for path in segments(tmp_path))
    assert writer.size <= 3 * SMALLEST + 1100


def test_absurd_bounds_are_refused(tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(ValueError, match="4096 or more"):
        Writer(tmp_path, CONTENT, segment_size=100)
    with pytest.raises(ValueError, match="at least two segments"):
        Writer(tmp_path, CONTENT, segment_size=SMALLEST, max_bytes=SMALLEST)
    writer = Writer(tmp_path, CONTENT)
    with pytest.raises(ValueError, match="a block of 0 bytes"):
        writer.append(b"")
    writer.close()


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """The second is told; once the first is closed it may."""
    first = Writer(tmp_path, CONTENT)
    with pytest.raises(BusyError, match="another process writes here"):
        Writer(tmp_path, CONTENT)
    first.close()
    Writer(tmp_path, CONTENT).close()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let writes beyond ``size`` bytes fail as they do on a full disk.

    Python before 3.12.8 keeps what it could write of a compiled module, cut off in the middle, and
    every later import of it fails.
    """
    compiled = sys.dont_write_bytecode
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
        sys.dont_write_bytecode = compiled


def test_a_full_disk_costs_one_block(tmp_path: Path) -> None:
    """What did not fit is taken back whole, what came before stays, and later blocks are good."""
    writer = Writer(tmp_path, CONTENT)
    writer.append(b"before")
    with file_size_limit(200), pytest.raises(OSError, match="too large"):
        writer.append(b"x" * 500)
    writer.append(b"after")
    writer.close()
    assert kept(segments(tmp_path)[0]) == ([b"before", b"after"], None)


ROWS = [
    Row(1.7e9 + n, "x", Trade("t", "topic", "s", 1.7e9, n / 8, 1.0, sequence=n)) for n in range(30)
]


@settings(deadline=None)  # it touches the disk
@given(st.data())
def test_damaged_captures_give_a_prefix(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Through codec and segment, cut short or bits turned over: a prefix, never a wrong row."""
    encoder = Encoder()
    payloads = [encoder.encode(ROWS[start : start + 5]) for start in range(0, 30, 5)]
    path = write(tmp_path_factory.mktemp("capture"), payloads)
    damaged = bytearray(path.read_bytes())
    del damaged[data.draw(st.integers(0, len(damaged))) :]
    if damaged:
        for bit in data.draw(st.sets(st.integers(0, len(damaged) * 8 - 1), max_size=3)):
            damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    decoder = Decoder()
    rows = [row for payload in kept(path)[0] for row in decoder.decode(payload).rows()]
    assert rows == ROWS[: len(rows)]
    assert len(rows) % 5 == 0


KILLED = """
import os, sys
from pathlib import Path
from exporter.flow.segments import Content, Writer
writer = Writer(Path(sys.argv[1]), Content("test", 3), segment_size=4096)
for number in range(10**9):
    writer.append(number.to_bytes(8, "little") * 50)
    if number == 100:
        print("running", flush=True)
"""


def test_a_killed_process_leaves_what_it_wrote(tmp_path: Path) -> None:
    """SIGKILL in mid-write: numbers without a hole, and a new writer goes on at once."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "running\n"
        process.kill()
        process.wait(10)
    found: list[bytes] = []
    for path in segments(tmp_path):
        payloads, error = kept(path)
        found += payloads
        assert error is None or (isinstance(error, DamagedSegmentError) and error.torn)
    numbers = [int.from_bytes(payload[:8], "little") for payload in found]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 100
    Writer(tmp_path, CONTENT).close()
