"""Programs that are started for a while: found, run with their output in a log, waited for."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from exporter.simulator.rehearsal.talk import RehearsalError, answers, text

_PROBE, _STREAM = "exchange_probe_success{", "exchange_stream_connected{"
_STARTED_WITHIN = 60.0  # seconds until programs must be up


def path_of(names: Sequence[str]) -> str | None:
    """Return the path of the first of these programs that is installed."""
    return next((path for name in names if (path := shutil.which(name))), None)


def free_ports(count: int) -> list[int]:
    """Return ports that are free, all different.

    They are below those that Linux gives to whoever connects (32768 and above), so that none is
    taken before the program that it is for has started.
    """
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            probe = stack.enter_context(socket.socket())
            port = random.randrange(20_000, 32_000)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
    return found


@contextmanager
def running(name: str, command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, its output in ``log``, for the length of a ``with``."""
    with log.open("wb") as out:
        # Its own session: Ctrl-C in the terminal is for us, and we end it. The open input tells
        # programs of ours, which end with it, that we live.
        program = subprocess.Popen(  # noqa: S603 - a list of our own making
            command,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield program
    finally:
        program.terminate()
        try:
            program.wait(10.0)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
        if program.stdin is not None:
            program.stdin.close()


def wait_ready(program: subprocess.Popen[bytes], name: str, ready: str, log: Path) -> None:
    """Wait until the page ``ready`` answers. Raises RehearsalError with the log's last lines."""
    deadline = time.monotonic() + _STARTED_WITHIN
    while not answers(ready):
        if program.poll() is not None or time.monotonic() > deadline:
            lines = [line[:500] for line in log.read_text(errors="replace").splitlines()[-10:]]
            raise RehearsalError("\n  ".join([f"{name} did not start:", *lines]))
        time.sleep(0.1)


def wait_well(exporter: str) -> None:
    """Wait until every probe succeeds and every stream is connected. Raises RehearsalError.

    Being ready is not enough: it says that each has had its turn, whatever came of it.
    """
    _wait_until(exporter, _ill, "before any fault there fails: ")


def wait_answer(exporter: str) -> None:
    """Wait until any probe succeeds: all failed, and that is over. Raises RehearsalError."""
    _wait_until(exporter, _mute, "since the end of the fault there fails: ")


def _wait_until(exporter: str, ill: Callable[[str], list[str]], complaint: str) -> None:
    deadline = time.monotonic() + _STARTED_WITHIN
    while found := ill(text(f"{exporter}/metrics")):
        if time.monotonic() > deadline:
            raise RehearsalError(complaint + "; ".join(found[:5]))
        time.sleep(0.25)


def _ill(page: str) -> list[str]:
    """Return the series that must be 1 and are not."""
    ill = []
    for name in (_PROBE, _STREAM):
        series = _of(page, name)
        ill += [f"{each} {value:g}" for each, value in series.items() if value != 1.0] or (
            [] if series else [name]
        )
    return ill


def _mute(page: str) -> list[str]:
    """Return the probes, if none of them succeeds."""
    series = _of(page, _PROBE)
    return [] if 1.0 in series.values() else [*series] or [_PROBE]


def _of(page: str, name: str) -> dict[str, float]:
    """Return the values of a metric's series."""
    lines = [line.rpartition(" ") for line in page.splitlines() if line.startswith(name)]
    return {series: float(value) for series, _, value in lines}
