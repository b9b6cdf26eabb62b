"""Starts the real programs that tests talk to, and ends them whatever happens."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


def program(*names: str) -> str:
    """Return the path of the first of these programs; skips the test where none is installed."""
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.skip(f"{names[0]} is not installed (apt-get install {names[-1]})")


def free_port() -> int:
    """Return a port that is free, and that the kernel gives to nobody who asks for any.

    Ports from 32768 on are given to whoever connects or binds port 0, and so could be taken before
    the program under test binds its own, or while it is started again.
    """
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            port = random.randrange(20_000, 32_000)
            probe.bind(("127.0.0.1", port))
            return port


def get(url: str, *, accept: str = "*/*", timeout: float = 10.0) -> str:
    """Fetch a page as text."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    return _ask(request, timeout).decode()


def _ask(request: urllib.request.Request, timeout: float) -> bytes:
    """Send a request. An error status is raised with its body read, so that no socket is left."""
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return bytes(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode(errors="replace")
        raise AssertionError(f"{request.full_url}: {error.code} {text[:500]}") from None
    except http.client.IncompleteRead as error:
        raise ConnectionError(f"{request.full_url}: {error}") from error


def get_json(url: str) -> Any:
    """Fetch a JSON document."""
    return json.loads(get(url))


def post_json(url: str, body: object, *, method: str = "POST") -> Any:
    """Send a JSON document; return the JSON reply, or None for an empty one."""
    request = urllib.request.Request(
        url,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method=method,
    )
    text = _ask(request, 10.0)
    return json.loads(text) if text else None


def eventually(condition: Callable[[], T | None], what: str, *, within: float = 60.0) -> T:
    """Wait until ``condition`` gives something true; fails, saying ``what``, after ``within`` s.

    Its end is for what never comes true: how soon something does is for a benchmark to say.
    """
    deadline = time.monotonic() + within
    last: object = None
    while time.monotonic() < deadline:
        try:
            if result := condition():
                return result
            last = result
        except (OSError, urllib.error.URLError, json.JSONDecodeError, AssertionError) as error:
            last = error
        time.sleep(0.1)
    pytest.fail(f"not within {within:.0f} s: {what} (last: {last!r})")


class Process:
    """A program under test: its lines of output, and its end."""

    def __init__(self, *command: str, env: dict[str, str] | None = None) -> None:
        self.command = command
        self.started = time.monotonic()
        self.popen = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.lines: list[str] = []
        self._news: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.append(line.rstrip("\n"))
            self._news.put(line)
        self._news.put(None)

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return "\n".join(self.lines)

    def wait_line(self, start: str, *, within: float = 60.0) -> str:
        """Wait for a line that starts so; return the rest of it."""
        deadline = time.monotonic() + within
        seen = 0
        while time.monotonic() < deadline:
            for line in self.lines[seen:]:
                seen += 1
                if line.startswith(start):
                    return line[len(start) :].strip()
            if self.popen.poll() is not None and seen == len(self.lines):
                break
            time.sleep(0.02)
        pytest.fail(
            f"{self.command[0]} never printed a line with {start!r}:\n{self.output[-4000:]}"
        )

    def memory(self) -> int:
        """Return its resident memory in bytes."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def end(self, how: signal.Signals = signal.SIGTERM, *, within: float = 60.0) -> int:
        """Send a signal and wait; return the exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(how)
            try:
                self.popen.wait(within)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
                raise
        self._reader.join(5.0)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        return self.popen.returncode


@contextmanager
def process(*command: str, env: dict[str, str] | None = None) -> Iterator[Process]:
    """Run a program for the length of a ``with``; killed at its end if it still lives."""
    running = Process(*command, env=env)
    try:
        yield running
    finally:
        if running.popen.poll() is None:
            running.popen.kill()
        running.popen.wait()
        running._reader.join(5.0)
        assert running.popen.stdout is not None
        running.popen.stdout.close()


@contextmanager
def command(*arguments: str, env: dict[str, str] | None = None) -> Iterator[Process]:
    """Run one of our own commands as a process of its own."""
    with process(sys.executable, "-u", "-m", "exporter", *arguments, env=env) as running:
        yield running


@contextmanager
def simulator(*arguments: str) -> Iterator[tuple[Process, str]]:
    """Run the simulated exchanges; return the process and its base URL."""
    with command("simulate", "--listen-address=127.0.0.1:0", *arguments) as running:
        yield running, running.wait_line("ready ")


@contextmanager
def prometheus(folder: Path, config: str, *arguments: str) -> Iterator[tuple[Process, str]]:
    """Run the real Prometheus on this config text; return the process and its URL."""
    binary = program("prometheus")
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    with process(
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *arguments,
    ) as running:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: get(f"{url}/-/ready"), "Prometheus is ready")
        yield running, url


def query(url: str, expression: str) -> list[dict[str, Any]]:
    """Evaluate an instant query; return the result vector."""
    escaped = urllib.parse.quote(expression)
    answer = get_json(f"{url}/api/v1/query?query={escaped}")
    assert answer["status"] == "success", answer
    return list(answer["data"]["result"])
