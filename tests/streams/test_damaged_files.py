"""Any file that we write may come back with a bit flipped: the program starts, and says so."""

from __future__ import annotations

import logging
import random
import shutil
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.flow import dead_letters
from exporter.flow.dead_letters import DeadLetter
from exporter.flow.overflow import Overflows, SpillOrigin
from exporter.flow.segments import HEAD_SIZE
from exporter.metrics import families
from exporter.metrics.registry import Registry
from exporter.probes.bans import Bans
from exporter.runtime.storage import Storage
from exporter.streams.dead_letters import DeadLetterWriter

ORIGIN = SpillOrigin(exchange="acme", venue="binance", stream="market")
FRAMES = [bytes([number]) * 30 for number in range(8)]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A storage directory as a killed process leaves it: every kind of file that we write."""
    folder = tmp_path / "written"
    storage = Storage(folder, Registry(), SystemClock())
    storage.save_bans(Bans({"binance": SystemClock().wall() + 60.0}))
    storage.save_learnt({"one": [b"1", b"2" * 50]})
    letters = dead_letters.writer(folder / "deadletters")
    for number in range(5):
        letters.append(dead_letters.encode(_letter(number)))
    letters.close()
    for _ in range(2):
        spilled = storage.overflows.open(ORIGIN, 1 << 26)
        for frame in FRAMES:
            assert spilled.put([(1.5e9, frame)], 0.0)
    storage.close()
    return folder


def _letter(number: int) -> DeadLetter:
    return DeadLetter(time=float(number), exchange="acme", venue="acme", stream="market",
                      reason="wrong", frame=b"{", size=1)  # fmt: skip


def _start(folder: Path, registry: Registry) -> list[DeadLetter]:
    """Do what `run` does with a storage directory; return the letters that there are then."""
    storage = Storage(folder, registry, SystemClock())
    try:
        storage.bans()
        try:
            storage.learnt()
        except ValueError as error:
            logging.getLogger(__name__).warning("detectors.state %s", error)
        kept = DeadLetterWriter(folder / "deadletters", registry, SystemClock())
        kept.adopt(folder / "spill")
        kept.close()
    finally:
        storage.close()
    found = [letter for _, letter in dead_letters.read(folder / "deadletters")]
    return [letter for letter in found if isinstance(letter, DeadLetter)]


def test_one_flipped_bit_anywhere_stops_nothing(
    written: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is whole is read; what is damaged is named, counted and kept aside, or was torn."""
    paths = [path for path in sorted(written.rglob("*")) if path.is_file() and path.stat().st_size]
    assert {path.suffix for path in paths} == {".json", ".state", ".seg"}
    chance = random.Random(17)
    for path in paths:
        size = path.stat().st_size * 8
        head = range(0, min(size, 36 * 8), 5)  # the whole head, sampled
        for bit in {*head, *(chance.randrange(size) for _ in range(40))}:
            folder = tmp_path / "damaged"
            shutil.copytree(written, folder)
            wounded = folder / path.relative_to(written)
            raw = bytearray(wounded.read_bytes())
            raw[bit // 8] ^= 1 << bit % 8
            wounded.write_bytes(raw)
            caplog.clear()
            registry = Registry()
            letters = _start(folder, registry)
            lost = registry.counter(families.DEAD_LETTERS_LOST).value
            assert not list((folder / "spill").iterdir())
            frames = [letter.frame for letter in letters if letter.venue == "binance"]
            if "spill" in path.parts:
                assert frames[-len(FRAMES) :] == FRAMES or frames[: len(FRAMES)] == FRAMES
                assert 2 * len(FRAMES) - len(frames) == (bit >= HEAD_SIZE * 8)
                assert lost == 1
                assert str(wounded) in caplog.text
                aside = folder / "damaged" / f"{wounded.parent.name}-{wounded.name}"
                assert aside.read_bytes() == bytes(raw)
            else:
                assert frames == FRAMES * 2
                assert str(wounded) in caplog.text
            if "deadletters" in path.parts:
                own = [letter for letter in letters if letter.venue == "acme"]
                assert 5 - len(own) == (bit >= HEAD_SIZE * 8)
                assert lost == 1
            assert len([*(folder / "deadletters").iterdir()]) == 1, "no pile of segments"
            shutil.rmtree(folder)


def test_damage_again_and_again_makes_no_pile(tmp_path: Path) -> None:
    """Whatever a crash loop leaves, the latest few are kept."""
    for start in range(20):
        spilled = Overflows(tmp_path / "spill").open(ORIGIN, 1 << 26)
        assert spilled.put([(1.5e9, b"x")], 0.0)
        (own,) = (tmp_path / "spill").iterdir()
        named = own.with_name(f"{start:08d}")
        own.rename(named)
        (segment,) = named.iterdir()
        segment.write_bytes(b"no segment")
        assert _start(tmp_path, Registry()) == []
    assert len(list((tmp_path / "damaged").iterdir())) == 8
