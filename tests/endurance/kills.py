"""Kill the exporter and the relay at random moments: ``python -m tests.endurance.kills``.

The exporter spills a flood to disk, writes down frames that it cannot read, and is banned; the
relay takes posts and delivers them. Each is killed in its start, at work or in its end, and starts
again from what it left. Held against them:

- it starts every time, and nothing that looks like an error of ours stands in the log
- every frame that was on the disk, spilled or as a dead letter, still is after the next kill
- no exchange is asked before the end of a ban that was on the disk
- every post that the relay acknowledged is delivered: once where the receiver knows the key
- there is no pile of files

Prints its figures as JSON; exit status 1 if one of these does not hold.
"""

from __future__ import annotations

import argparse
import json
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from random import Random

from exporter.clock import SystemClock
from exporter.flow import dead_letters
from tests.endurance import disk
from tests.endurance.feed import PATHS, Feed, feeding
from tests.endurance.nursery import Nursery, nursery, wait_ready, wait_until
from tests.live import programs
from tests.relay import fakes
from tests.relay.programs import SECRETS, alert, post_of, receiver, send, write

_WORD_EVERY = 25  # kills
_MOST_FILES = 40  # of a storage directory: eight damaged ones, and what bytes bound
_PURGED = 24 << 20  # bytes of dead letters, far from where the oldest make room


def config(feed: Feed) -> str:
    """Return a config with a flood that spills, and exchanges that ban."""
    lines = [
        "probes: {interval: 500ms, timeout: 400ms}",
        "streams: {backoff_base: 50ms, backoff_cap: 200ms, spill_bytes: 8MiB}",
        "exchanges:",
        "- {name: flood, venue: binance, symbols: [BTC-USDT], endpoints: [], status_page: false, "
        f"stream_url: 'ws://127.0.0.1:{feed.port}/flood', streams: [{{name: market, "
        "channels: [trades], queue: 64, queue_policy: spill}]}",
    ]
    for name in PATHS:
        lines.append(
            f"- {{name: {name}, venue: binance, streams: [], status_page: false, "
            f"breaker: {{failures: 1000}}, limits: {{weight: 100000, share: 100%}}, "
            f"rest_url: 'http://127.0.0.1:{feed.port}', "
            f"endpoints: [{{name: ping, path: '/{name}'}}]}}"
        )
    return "\n".join(lines) + "\n"


class ExporterKills:
    """The exporter, its storage, and what was seen there after each kill."""

    def __init__(self, folder: Path, feed: Feed, chance: Random) -> None:
        self.storage, self.feed, self.chance = folder / "storage", feed, chance
        self.seen: Counter[str] = Counter()
        self._file, self._log = folder / "exchanges.yml", folder / "exporter.log"
        self._file.write_text(config(feed))
        self._kept: set[int] = set()  # numbers of frames that must still be there
        self._bans: dict[str, float] = {}
        self._clock = SystemClock()
        self._read = 0  # characters of the log that were looked through

    def kill(self, nest: Nursery) -> None:
        """Start it, and end it at some moment. Raises AssertionError: what does not hold."""
        chance, port = self.chance, programs.free_port()
        began = self._clock.wall()
        child = nest.start(self._log, *self._arguments(port))
        if chance.random() < 0.25:
            time.sleep(chance.uniform(0.0, 0.6))
            self.seen["kills in a start"] += 1
        else:
            wait_ready(child, port)
            time.sleep(chance.uniform(0.0, 1.0))
        if child.ended:
            raise AssertionError(f"ended by itself, status {child.wait()}: {child.output[-3000:]}")
        if chance.random() < 0.25:
            status = child.end(signal.SIGTERM, chance.uniform(0.0, 0.4))
            self.seen["kills in an end"] += 1
        else:
            status = child.end(signal.SIGKILL)
        assert status in (-signal.SIGKILL, -signal.SIGTERM, 0), status
        self._look(began)

    def finish(self, nest: Nursery) -> None:
        """Start it once more; it ends as it should."""
        began = self._clock.wall()
        child, _ = nest.serve(self._log, *self._arguments(None))
        assert child.end(signal.SIGTERM, 30.0) == 0
        self._look(began)

    def _arguments(self, port: int | None) -> tuple[object, ...]:
        address = () if port is None else (f"--web.listen-address=127.0.0.1:{port}",)
        return ("run", f"--config.file={self._file}", f"--storage.path={self.storage}", *address)

    def _look(self, began: float) -> None:
        """Hold what is on the disk, and who was asked, against what was there before."""
        seen = self.seen
        log = self._log.read_text(errors="replace")
        new, self._read = log[self._read :], len(log)
        assert "Traceback" not in new, new[-5000:]
        spilled, letters = disk.spilled(self.storage), disk.letters(self.storage)
        lost = self._kept - spilled - letters
        assert not lost, f"{len(lost)} frames are lost, {sorted(lost)[:5]} among them"
        seen["kills with frames spilled"] += bool(spilled)
        seen["frames spilled"] += len(spilled)
        seen["most letters"] = max(seen["most letters"], len(letters))
        folder = self.storage / "deadletters"
        if disk.size(folder) > _PURGED:
            dead_letters.purge(folder)
            letters = set()
            seen["purges"] += 1
        self._kept = spilled | letters
        for name, until in self._bans.items():
            early = [at for at, who in self.feed.asked if who == name and began + 0.1 < at < until]
            assert not early, f"{name} was asked {until - early[0]:.1f} s before its ban ended"
        self.feed.asked.clear()
        now = self._clock.wall()
        self._bans = {name: end for name, end in disk.bans(self.storage).items() if end > now}
        seen["bans found"] += len(self._bans)
        files = disk.files(self.storage)
        seen["most files"] = max(seen["most files"], len(files))
        assert len(files) <= _MOST_FILES, f"{len(files)} files: {files[:60]}"


class RelayKills:
    """The relay, its spool, the services that it tells, and what it acknowledged."""

    def __init__(self, folder: Path, providers: fakes.Providers, chance: Random) -> None:
        self.providers, self.chance = providers, chance
        self.seen: Counter[str] = Counter()
        self._folder, self._log = folder, folder / "relay.log"
        calm = {"storm": {"messages": 10_000, "window": "1s"}}
        kinds = ("webhook", "discord")
        self._file = write(folder, [receiver(kind, providers.url, **calm) for kind in kinds])
        self._acknowledged: set[str] = set()
        self._number = 0

    def kill(self, nest: Nursery) -> None:
        """Start it, post until it is killed at some moment. Raises AssertionError."""
        port, chance = programs.free_port(), self.chance
        child = nest.start(self._log, *self._arguments(port))
        if chance.random() < 0.25:
            time.sleep(chance.uniform(0.0, 0.3))
            self.seen["kills in a start"] += 1
            assert not child.ended, child.output[-3000:]
            child.end(signal.SIGKILL)
            return
        url = wait_ready(child, port)
        timer = threading.Timer(chance.uniform(0.0, 0.5), child.end, (signal.SIGKILL,))
        timer.start()
        while self._post(url):
            pass
        timer.join()
        assert child.wait() == -signal.SIGKILL, child.output[-3000:]

    def finish(self, nest: Nursery) -> None:
        """Start it once more, until nothing waits; hold what came against what was acknowledged."""
        child, url = nest.serve(self._log, *self._arguments(None))
        self._post(url)  # the one that was not acknowledged, as Alertmanager does
        wait_until(lambda: not self._open(), "nothing waits", 120.0)
        assert child.end(signal.SIGTERM, 30.0) == 0
        assert "Traceback" not in child.output, child.output[-5000:]
        for kind in ("webhook", "discord"):
            texts = [json.dumps(each.body) for each in self.providers.of(kind)]
            told = Counter(name for text in texts for name in set(_names(text)))
            missing = self._acknowledged - told.keys()
            assert not missing, f"{kind} was never told of {sorted(missing)[:5]}"
            twice = [name for name, count in told.items() if count > 1]
            self.seen[f"told {kind} twice"] = len(twice)
            assert kind != "webhook" or not twice, f"told twice: {twice[:5]}"
        self.seen["posts acknowledged"] = len(self._acknowledged)
        files = disk.files(self._folder)
        self.seen["most files"] = len(files)
        assert len(files) <= _MOST_FILES, files

    def _arguments(self, port: int | None) -> tuple[object, ...]:
        address = () if port is None else (f"--web.listen-address=127.0.0.1:{port}",)
        return ("relay", f"--config.file={self._file}", *address)

    def _post(self, url: str) -> bool:
        """Post the next alert; one that is not acknowledged is posted again the next time."""
        name = f"Killed{self._number:06d}"
        try:
            status = send(url, post_of(alert(name), group=name), timeout=5.0)
        except (OSError, HTTPException):  # killed in the midst of its answer
            return False
        if status == 200:
            self._acknowledged.add(name)
            self._number += 1
        return True

    def _open(self) -> int:
        with closing(sqlite3.connect(self._folder / "relay.db")) as db:
            found = db.execute(
                "SELECT count(*) FROM deliveries WHERE state IN ('waiting', 'sending')"
            )
            return int(found.fetchone()[0])


def _names(text: str) -> list[str]:
    return [text[at : at + 12] for at in range(len(text)) if text.startswith("Killed", at)]


def exporter(count: int, seed: int, folder: Path) -> dict[str, int]:
    """Kill the exporter ``count`` times; return what was seen. Raises AssertionError."""
    with feeding(seed) as feed, nursery() as nest:
        kills = ExporterKills(folder, feed, Random(seed))
        _repeat("exporter", count, kills, nest)
    return dict(kills.seen)


def relay(count: int, seed: int, folder: Path) -> dict[str, int]:
    """Kill the relay ``count`` times; return what was seen. Raises AssertionError."""
    with fakes.serving() as providers, nursery(SECRETS) as nest:
        kills = RelayKills(folder, providers, Random(seed))
        _repeat("relay", count, kills, nest)
    return dict(kills.seen)


def _repeat(what: str, count: int, kills: ExporterKills | RelayKills, nest: Nursery) -> None:
    for number in range(1, count + 1):
        try:
            kills.kill(nest)
        except AssertionError as error:
            raise AssertionError(f"{what}, kill {number}: {error}") from error
        if number % _WORD_EVERY == 0:
            sys.stderr.write(f"{what}: {number} of {count} kills, {dict(kills.seen)}\n")
    kills.finish(nest)


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=500, help="three fifths of the exporter")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    status = 0
    for what, share in ((exporter, 0.6), (relay, 0.4)):
        folder = Path(tempfile.mkdtemp(prefix="kills-"))
        count = round(args.kills * share)
        begun = time.monotonic()
        try:
            seen = what(count, args.seed, folder)
        except AssertionError:
            status = 1
            why = traceback.format_exc(limit=-3)
            print(f"FINDING (seed {args.seed}, files in {folder}) {why}", flush=True)  # noqa: T201
            continue
        found = {"kills": count, "seed": args.seed, **seen}
        found["seconds"] = round(time.monotonic() - begun)
        print(json.dumps({what.__name__: found}), flush=True)  # noqa: T201
    return status


if __name__ == "__main__":
    sys.exit(main())
