"""Damage one file of all that we write, and start: ``python -m tests.endurance.corruptions``.

A killed exporter leaves bans, what its detectors learnt, spills and dead letters; a killed relay
its spool; a capture its segments. Each time one bit of one file is turned over, or its end is cut
off, and the program starts on it. Held against it:

- it starts, and nothing that looks like an error of ours stands in the log
- the log names the damaged file, unless all that was in it is still there, or it is cut off where a
  kill may have done so (the spool's write-ahead log, a segment between two blocks)
- what can be read is read: one bit costs at most one block, or what one small file holds
- what is lost is counted

Prints its figures as JSON; exit status 1 if one of these does not hold.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TypeAlias

from exporter.capture.replay import captured
from exporter.flow import dead_letters, segments, spill
from exporter.flow.segments import HEAD_SIZE, SUFFIX, DamagedSegmentError
from tests.endurance import disk
from tests.endurance.feed import Feed, feeding
from tests.endurance.kills import config
from tests.endurance.nursery import Child, Nursery, nursery, wait_until
from tests.live import programs
from tests.live.conftest import Samples
from tests.relay import fakes
from tests.relay.programs import SECRETS, alert, metric, post_of, receiver, send, write

_WORD_EVERY = 25  # corruptions
_POSTS = 40
_SPILLED = 64 << 10  # bytes that the killed exporter leaves at least
_LOST = "exchange_exporter_dead_letters_lost_total"


def damage(file: Path, chance: Random) -> tuple[str, int | None]:
    """Turn one bit of a file over, or cut its end off; return what was done, and where it ends."""
    raw = bytearray(file.read_bytes())
    if chance.random() < 0.2:
        size = chance.randrange(1, len(raw))
        file.write_bytes(raw[:size])
        return f"{file.name}: cut at {size} of {len(raw)} bytes", size
    bit = chance.randrange(len(raw) * 8)
    raw[bit // 8] ^= 1 << bit % 8
    file.write_bytes(raw)
    return f"{file.name}: bit {bit % 8} of byte {bit // 8} of {len(raw)}", None


class ExporterDamage:
    """A storage directory as a kill leaves it, and what an exporter makes of its damage."""

    def __init__(self, folder: Path, feed: Feed, nest: Nursery) -> None:
        self._whole, self._work = folder / "whole", folder / "work"
        self._file, self._log = folder / "exchanges.yml", folder / "exporter.log"
        self._file.write_text(config(feed))
        self._nest, self._feed = nest, feed
        self.done = ""  # the latest damage
        self._make()
        self._letters, self._spilled = disk.letters(self._whole), disk.spilled(self._whole)

    def _make(self) -> None:
        """Let an exporter learn, be banned and write letters; and kill it while it spills."""
        self._feed.bans = 1
        child, _ = self._serve(self._whole)
        wait_until(lambda: disk.bans(self._whole), "a ban")
        wait_until(lambda: disk.letters(self._whole), "a letter")
        assert child.end(signal.SIGTERM, 30.0) == 0
        child, _ = self._serve(self._whole)
        wait_until(lambda: disk.size(self._whole / "spill") > _SPILLED, "a spill")
        child.end(signal.SIGKILL)
        self._feed.loud, self._feed.bans = False, 1 << 30

    def _serve(self, storage: Path) -> tuple[Child, str]:
        arguments = ("run", f"--config.file={self._file}", f"--storage.path={storage}")
        return self._nest.serve(self._log, *arguments)

    def kinds(self) -> list[Path]:
        """Return what is damaged: files, relative to the storage."""
        found = [path.relative_to(self._whole) for path in disk.files(self._whole)]
        return [path for path in found if path.name != "lock"]

    def run(self, name: Path, chance: Random) -> None:
        """Damage a file, and start on it. Raises AssertionError: what does not hold."""
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(self._whole, self._work)
        self._log.unlink(missing_ok=True)
        wounded = self._work / name
        self.done, end = damage(wounded, chance)
        child, url = self._serve(self._work)
        try:
            lost = Samples(programs.get(f"{url}/metrics")).total(_LOST)
        finally:
            child.end(signal.SIGKILL)
        output = child.output
        assert "Traceback" not in output, f"{output[-3000:]}"
        missing = (self._letters | self._spilled) - disk.letters(self._work)
        if name.suffix != SUFFIX:
            assert str(wounded) in output, f"the log does not name it: {output[-3000:]}"
            assert not missing, f"{len(missing)} frames are missing"
            return
        blocks = _blocks(self._whole / name)
        if end in {start for start, _ in blocks}:
            return  # a segment that ends with a block is a whole one
        assert str(wounded) in output, f"the log does not name it: {output[-3000:]}"
        assert lost >= 1, "nothing is counted"
        gone = [frames for start, frames in blocks if end is not None and start > end]
        most = sum(gone) + max(frames for _, frames in blocks)
        assert len(missing) <= most, f"{len(missing)} frames are missing, more than {most}"


def _blocks(path: Path) -> list[tuple[int, int]]:
    """Return where each block of a segment begins, and how many frames it holds."""
    found, start = [], HEAD_SIZE
    content = spill.CONTENT if "spill" in path.parts else dead_letters.CONTENT
    with suppress(DamagedSegmentError):
        for block in segments.read(path, content):
            found.append((start, block.count(b'"f":')))
            start += 8 + len(block)
    return found


class CaptureDamage:
    """Segments of a capture, and what `replay` reads of them when one is damaged."""

    def __init__(self, folder: Path, feed: Feed, nest: Nursery) -> None:
        self._whole, self._work = folder / "capture", folder / "work"
        file = folder / "exchanges.yml"
        file.write_text(config(feed))
        sizes = ("--segment.size=64KiB", "--max.bytes=64MiB", "--for=3s")
        child = nest.start(
            folder / "capture.log",
            "capture",
            f"--config.file={file}",
            f"--out={self._whole}",
            *sizes,
        )
        assert child.wait() == 0, child.output[-3000:]
        self.done = ""  # the latest damage
        self._rows = {path.name: _rows(path) for path in disk.files(self._whole)}
        assert len(self._rows) > 2, "too few segments"

    def kinds(self) -> list[Path]:
        """Return what is damaged: files, relative to the capture."""
        return [Path(name) for name in self._rows]

    def run(self, name: Path, chance: Random) -> None:
        """Damage a segment, and read all. Raises AssertionError: what does not hold."""
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(self._whole, self._work)
        self.done, _ = damage(self._work / name, chance)
        told: list[str] = []
        read = [repr(row) for row in captured(self._work, told.append)]
        before = [row for other, rows in self._rows.items() if other < name.name for row in rows]
        after = [row for other, rows in self._rows.items() if other > name.name for row in rows]
        own = self._rows[name.name]
        end = len(read) - len(after)
        assert read[: len(before)] == before, "rows of segments before are lost"
        assert end >= len(before), "rows of segments after are lost"
        assert read[end:] == after, "rows of segments after are lost"
        there, left = read[len(before) : end], iter(own)
        assert all(row in left for row in there), "rows that were not written, or in another order"
        named = any(str(self._work / name) in each for each in told)
        assert named or there == own, f"{len(own) - len(there)} rows lost without a word"


def _rows(path: Path) -> list[str]:
    return [repr(row) for row in captured(path, lambda damage: None)]


class RelayDamage:
    """A spool as a kill leaves it, full of what was not delivered, and what a relay makes of it."""

    def __init__(self, folder: Path, providers: fakes.Providers, nest: Nursery) -> None:
        self._whole, self._work = folder / "whole", folder / "work"
        self._log, self._nest, self._providers = folder / "relay.log", nest, providers
        for each in (self._whole, self._work):
            each.mkdir()
        calm = {"storm": {"messages": 10_000, "window": "1s"}}
        self._file = write(folder, [receiver("webhook", providers.url, **calm)])
        self.done = ""  # the latest damage
        self._make()

    def _make(self) -> None:
        """Let a relay take posts that it cannot deliver: half into the file, half into its log."""
        self._providers.fault["webhook"] = lambda: "close"
        for how in (signal.SIGTERM, signal.SIGKILL):
            child, url = self._serve(self._whole)
            for number in range(_POSTS // 2):
                name = f"Spooled{how:d}n{number}"
                assert send(url, post_of(alert(name), group=name)) == 200
            child.end(how, 30.0 if how is signal.SIGTERM else 0.0)
        del self._providers.fault["webhook"]

    def _serve(self, storage: Path) -> tuple[Child, str]:
        arguments = ("relay", f"--config.file={self._file}", f"--storage.path={storage}")
        return self._nest.serve(self._log, *arguments)

    def kinds(self) -> list[Path]:
        """Return what is damaged: files, relative to the storage."""
        found = [path.relative_to(self._whole) for path in disk.files(self._whole)]
        return [path for path in found if path.suffix in (".db", ".db-wal")]

    def run(self, name: Path, chance: Random) -> None:
        """Damage a file, and start on it. Raises AssertionError: what does not hold."""
        shutil.rmtree(self._work)
        shutil.copytree(self._whole, self._work)
        self._log.unlink(missing_ok=True)
        self._providers.taken.clear()
        self._providers.keys.clear()
        self.done, end = damage(self._work / name, chance)
        child, url = self._serve(self._work)
        try:
            status = send(url, post_of(alert("After"), group="after"))
            assert status == 200, f"refuses posts: {status}"
            wait_until(lambda: "After" in self._told(), "what is new is delivered", 10.0)
            wait_until(lambda: self._settled(url), "nothing waits", 10.0)
        finally:
            child.end(signal.SIGKILL)
        output = child.output
        assert "Traceback" not in output, f"{output[-3000:]}"
        missing = [
            posted
            for how in (signal.SIGTERM, signal.SIGKILL)
            for number in range(_POSTS // 2)
            if (posted := f"Spooled{how:d}n{number}") not in self._told()
        ]
        # A log that is cut off is what a kill leaves of a transaction: nothing tells them apart.
        named = str(self._work / "relay.db") in output or (end and name.suffix == ".db-wal")
        assert named or not missing, f"{len(missing)} lost without a word"

    def _told(self) -> set[str]:
        texts = [json.dumps(each.body) for each in self._providers.of("webhook")]
        return {name for text in texts for name in re.findall(r"Spooled\d+n\d+|After", text)}

    def _settled(self, url: str) -> bool:
        return metric(url, "alert_relay_queue_depth") == 0


def exporter(count: int, seed: int, folder: Path) -> Counter[str]:
    """Damage what the exporter writes, ``count`` times. Raises AssertionError."""
    with feeding(seed) as feed, nursery() as nest:
        return _repeat("exporter", count, ExporterDamage(folder, feed, nest), Random(seed))


def relay(count: int, seed: int, folder: Path) -> Counter[str]:
    """Damage what the relay writes, ``count`` times. Raises AssertionError."""
    with fakes.serving() as providers, nursery(SECRETS) as nest:
        return _repeat("relay", count, RelayDamage(folder, providers, nest), Random(seed))


def capture(count: int, seed: int, folder: Path) -> Counter[str]:
    """Damage what `capture` writes, ``count`` times. Raises AssertionError."""
    with feeding(seed) as feed, nursery() as nest:
        return _repeat("capture", count, CaptureDamage(folder, feed, nest), Random(seed))


Damages: TypeAlias = ExporterDamage | RelayDamage | CaptureDamage


def _repeat(what: str, count: int, damages: Damages, chance: Random) -> Counter[str]:
    """Damage each kind of file as often as the others."""
    done: Counter[str] = Counter()
    kinds, findings = damages.kinds(), list[str]()
    for number in range(1, count + 1):
        name = kinds[number % len(kinds)]
        try:
            damages.run(name, chance)
        except AssertionError as error:
            findings.append(f"{what}, corruption {number}, {name}, {damages.done}: {error}")
        done[name.parts[0] if len(name.parts) > 1 else name.name] += 1
        if number % _WORD_EVERY == 0:
            sys.stderr.write(f"{what}: {number} of {count}, {len(findings)} findings\n")
    if findings:
        raise AssertionError(f"{len(findings)} findings\n" + "\n".join(findings))
    return done


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corruptions", type=int, default=500, help="of all kinds of files")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("parts", nargs="*", metavar="exporter|relay|capture")
    args = parser.parse_args()
    status = 0
    for what, share in ((exporter, 0.6), (relay, 0.3), (capture, 0.1)):
        if args.parts and what.__name__ not in args.parts:
            continue
        count, begun = round(args.corruptions * share), time.monotonic()
        folder = Path(tempfile.mkdtemp(prefix="corruptions-"))
        try:
            found: object = what(count, args.seed, folder)
        except AssertionError as error:
            status, found = 1, str(error)
        seconds = round(time.monotonic() - begun)
        row = {"part": what.__name__, "corruptions": count, "seed": args.seed, "seconds": seconds}
        print(json.dumps({**row, "files" if status == 0 else "finding": found}))  # noqa: T201
        sys.stdout.flush()
        if status == 0:
            shutil.rmtree(folder)
    return status


if __name__ == "__main__":
    sys.exit(main())
