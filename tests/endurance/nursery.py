"""Real processes that start in a tenth of the time: children of one that has loaded all code.

``python -m tests.endurance.nursery`` reads lines of JSON, the command's arguments and the file of
its output, and prints ``started PID`` and, at its end, ``ended STATUS``. One child at a time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from tests.live import programs


@dataclass
class Child:
    """A running command of ours."""

    pid: int
    log: Path
    _nursery: IO[str]
    status: int | None = None

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return self.log.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        """Whether it is gone, or is about to be: a zombie."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    def end(self, how: signal.Signals, grace: float = 0.0) -> int:
        """Send a signal, and SIGKILL ``grace`` seconds later; return its exit status."""
        if self.status is not None:
            return self.status
        for number in (how, signal.SIGKILL):
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                break
            until = time.monotonic() + grace
            while time.monotonic() < until and not self.ended:
                time.sleep(0.01)
        return self.wait()

    def wait(self) -> int:
        """Return the exit status, once it has ended; that of a signal is below zero."""
        if self.status is None:
            self.status = int(_answer(self._nursery, "ended "))
        return self.status


def _answer(lines: IO[str], start: str) -> str:
    for line in lines:
        if line.startswith(start):
            return line.removeprefix(start).strip()
    raise RuntimeError("the nursery has ended")


@dataclass
class Nursery:
    """Starts children, one after the other."""

    _stdin: IO[str]
    _stdout: IO[str]

    def start(self, log: Path, *arguments: object) -> Child:
        """Run one of our commands; its output goes to the end of ``log``."""
        self._stdin.write(json.dumps([[str(each) for each in arguments], str(log)]) + "\n")
        self._stdin.flush()
        return Child(int(_answer(self._stdout, "started ")), log, self._stdout)

    def serve(self, log: Path, *arguments: object, patience: float = 60.0) -> tuple[Child, str]:
        """Run a serving command, and wait until it serves; return its URL too.

        Raises AssertionError if it ends instead, or is not ready in time.
        """
        port = programs.free_port()
        child = self.start(log, *arguments, f"--web.listen-address=127.0.0.1:{port}")
        return child, wait_ready(child, port, patience)


def wait_ready(child: Child, port: int, patience: float = 60.0) -> str:
    """Wait until a child serves; return its URL. Raises AssertionError: its last lines."""
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + patience
    while time.monotonic() < until:
        try:
            programs.get(f"{url}/-/healthy", timeout=5.0)
        except (OSError, AssertionError):
            if child.ended:
                raise AssertionError(
                    f"did not start, status {child.wait()}:\n{child.output[-3000:]}"
                ) from None
            time.sleep(0.02)
        else:
            return url
    child.end(signal.SIGKILL)
    raise AssertionError(f"does not serve after {patience:g} s:\n{child.output[-3000:]}")


def wait_until(condition: Callable[[], object], what: str, within: float = 60.0) -> None:
    """Wait for something that will come true. Raises AssertionError after ``within`` seconds."""
    try:
        programs.eventually(condition, what, within=within)
    except pytest.fail.Exception as error:
        raise AssertionError(str(error)) from error


@contextmanager
def nursery(env: dict[str, str] | None = None) -> Iterator[Nursery]:
    """Start it, and end it with all that it has started."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "tests.endurance.nursery"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            yield Nursery(running.stdin, running.stdout)
        finally:
            running.send_signal(signal.SIGTERM)


def _child(arguments: Sequence[str], log: str) -> int:
    """Run a command in a child until its end; return its exit status."""
    from exporter.__main__ import main

    pid = os.fork()
    if pid == 0:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # whose end is the nursery's
        status = 70
        try:
            status = main(list(arguments))
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        finally:
            sys.stdout.flush()
            os._exit(status)
    sys.stdout.write(f"started {pid}\n")
    sys.stdout.flush()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    import exporter.cli._serve
    import exporter.cli.relay
    import exporter.cli.run
    import exporter.relay.app
    import exporter.runtime.app
    import exporter.web.security
    import exporter.websocket.client  # noqa: F401 - what a start would load

    signal.signal(signal.SIGTERM, lambda number, frame: os.killpg(0, signal.SIGKILL))
    os.setpgid(0, 0)  # so that its end is that of its children
    for line in sys.stdin:
        ended = _child(*json.loads(line))
        sys.stdout.write(f"ended {ended}\n")
        sys.stdout.flush()
