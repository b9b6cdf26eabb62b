"""The relay killed between each pair of steps, as a real process with real sockets and files."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from tests.live.programs import eventually
from tests.relay import fakes
from tests.relay.programs import SECRETS, alert, inside, post_of, receiver, relay, send, write

pytestmark = pytest.mark.live

INSERT = "INSERT INTO deliveries"
MARK = "UPDATE deliveries SET state = 'sending'"
DONE = "UPDATE deliveries SET state = 'delivered'"


@dataclass(frozen=True)
class Nursery:
    """A process that forks relays to be killed: see killed.py."""

    stdin: IO[str]
    stdout: IO[str]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Start it once for all steps."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "tests.relay.killed"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **SECRETS},
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            yield Nursery(running.stdin, running.stdout)
        finally:
            running.stdin.close()
            running.kill()


def _line(nursery: Nursery, start: str) -> str:
    """Wait for a line that starts so; return the rest of it. The test's own timeout bounds it."""
    for line in nursery.stdout:
        if line.startswith(start):
            return line.removeprefix(start).strip()
    pytest.fail(f"the relay never printed {start!r}")


def _try_send(url: str, body: object) -> bool:
    try:
        return send(url, body) == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.parametrize(
    ("pattern", "commits"),
    [
        (INSERT, 0),  # while the post is being written
        (INSERT, 1),  # before that is committed
        (MARK, 0),  # acknowledged, and no try begun
        (MARK, 1),  # before the mark of a try is committed
        (DONE, 0),  # the provider has it, and we have not noted it
        (DONE, 1),  # before that is committed
        (DONE, 2),  # one receiver done, the other not
    ],
)
def test_a_kill_loses_nothing_acknowledged(
    tmp_path: Path, nursery: Nursery, pattern: str, commits: int
) -> None:
    """LINE knows the retry key: exactly one. Discord knows none: one, or two for the kill."""
    with fakes.serving() as providers:
        file = write(tmp_path, [receiver(kind, providers.url) for kind in ("line", "discord")])
        body = post_of(alert())
        nursery.stdin.write(json.dumps([str(file), pattern, commits]) + "\n")
        nursery.stdin.flush()
        acknowledged = _try_send(_line(nursery, "ready "), body)
        assert int(_line(nursery, "ended ")) == signal.SIGKILL
        with inside(file) as url:
            if not acknowledged:  # as Alertmanager does
                assert send(url, body) == 200
            eventually(lambda: providers.of("line"), "LINE is told")
            eventually(lambda: providers.of("discord"), "Discord is told")
            assert send(url, body) == 200  # the second Alertmanager of a pair
            eventually(lambda: not _open(tmp_path), "nothing waits")
        assert len(providers.of("line")) == 1
        assert len(providers.of("discord")) <= (2 if pattern == DONE else 1)
        with inside(file):  # and nothing comes again after another start
            eventually(lambda: not _open(tmp_path), "nothing waits")
        assert len(providers.of("line")) == 1
        assert not [each for each in providers.refused if each[1] != 409]


def _open(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "relay.db")) as db:
        found = db.execute("SELECT count(*) FROM deliveries WHERE state IN ('waiting', 'sending')")
        return int(found.fetchone()[0])


def _kill_once(pid: int, acknowledged: threading.Event) -> None:
    """Kill the relay, but not between its commit of a post and the answer to it."""
    acknowledged.wait(60)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("taken", [False, True], ids=["before it takes it", "before it answers"])
def test_a_kill_while_the_provider_works(tmp_path: Path, taken: bool) -> None:
    """Killed with a request under way: LINE gets it once, Discord at most once more."""
    with fakes.serving() as providers:
        file = write(tmp_path, [receiver(kind, providers.url) for kind in ("line", "discord")])
        with relay(file) as (doomed, url):
            acknowledged = threading.Event()

            def kill() -> str | None:
                if not providers.answering.endswith("push"):
                    return None  # it asks for its quota, too
                _kill_once(doomed.pid, acknowledged)
                return "lost" if taken else "close"

            providers.fault["line"] = kill
            assert send(url, post_of(alert())) == 200
            acknowledged.set()
            doomed.popen.wait(60)
        del providers.fault["line"]
        if taken:  # its record is written by a thread that may be behind the death of the relay
            eventually(lambda: providers.of("line"), "LINE took it")
        assert len(providers.of("line")) == int(taken)
        with inside(file):
            eventually(lambda: not _open(tmp_path), "nothing waits")
        assert len(providers.of("line")) == 1
        assert 1 <= len(providers.of("discord")) <= 2


def test_a_receiver_may_rather_miss_than_hear_twice(tmp_path: Path) -> None:
    """With ``when_unsure: give_up`` a try cut off by a kill goes to the dead letters."""
    with fakes.serving() as providers:
        careful = receiver("twilio", providers.url, when_unsure="give_up")
        file = write(tmp_path, [careful])
        with relay(file) as (doomed, url):
            acknowledged = threading.Event()

            def kill() -> str:
                _kill_once(doomed.pid, acknowledged)
                return "lost"

            providers.fault["twilio"] = kill
            assert send(url, post_of(alert())) == 200
            acknowledged.set()
            doomed.popen.wait(60)
        del providers.fault["twilio"]
        with inside(file) as url:
            assert send(url, post_of(alert("Other"), group="other")) == 200
            eventually(lambda: len(providers.of("twilio")) == 2, "the next one")
        assert ["ExchangeDown" in each.body["Body"] for each in providers.taken] == [True, False]
