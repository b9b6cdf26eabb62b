"""How true the measured latency of a probe is while the exporter is busy, beside blackbox_exporter.

    python benchmarks/accuracy.py [--seconds N]

A server answers each probe after a delay of its own and says in the body how long it really took
from reading the request to writing the answer: the truth. Meanwhile 20,000 trades a second flow
into the exporter's stream path and 20,000 lines of metrics are scraped from it every five seconds.
The error is the measured time from the request's last byte to the answer's last byte (phases
processing and transfer) minus the truth. Ours is measured by the busy process itself; the peer
probes from its own process while the same load runs beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from benchmarks import _stream_readers as readers
from benchmarks.probe import MODULE, blackbox, release
from exporter.clock import SystemClock
from exporter.http.client import HttpClient
from exporter.metrics.exposition import Exposition
from exporter.metrics.families import PROBE_DURATION
from exporter.metrics.registry import Registry
from exporter.model import Phase, Target
from exporter.probes.probe import Readers, probe
from exporter.web.routes import scrape_route
from exporter.web.server import Server

ROOT = Path(__file__).resolve().parent.parent
RATE = 20_000  # trades a second
PACE = 0.05  # seconds between two probes
SCRAPE = 5.0  # seconds between two scrapes
SO_TIMESTAMPNS, TIMESPEC = 35, struct.Struct("@ll")  # socket(7): seconds, nanoseconds
AIM = 0.001  # seconds of error at the 99th percentile


def _answer(connection: socket.socket, took: dict[str, float]) -> None:
    """Answer /N after a while and note how long that took; answer /took with all of it.

    It counts from the moment at which the kernel had the request, which is before we are woken.
    """
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            data, notes, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(TIMESPEC.size))
            if not data:
                return
            stamps = [
                TIMESPEC.unpack(content) for _, kind, content in notes if kind == SO_TIMESTAMPNS
            ]
            path, body = data.split(b" ", 2)[1].decode(), b'{"serverTime": 1700000000000}'
            if path == "/took":
                body = json.dumps(took).encode()
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            )
            answer = head % len(body) + body
            time.sleep(random.uniform(0.002, 0.05))
            if stamps:  # the kernel begins with it some moments after it was asked to
                now = time.time_ns()
                took[path] = (now - stamps[0][0] * 1_000_000_000 - stamps[0][1]) / 1e9
            connection.sendall(answer)


def _serve() -> None:
    took = dict[str, float]()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # which connections inherit
        print(listening.getsockname()[1], flush=True)
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_answer, args=(connection, took), daemon=True).start()


async def _busy(feed: int, target: int, seconds: float) -> None:
    """Consume the feed, be scraped, and probe if there is a target; print what was measured."""
    registry = Registry(series_limit=100_000)
    rows = product((f"x{n}" for n in range(20)), (f"e{n}" for n in range(30)), ("new", "reused"))
    histograms = [registry.histogram(PROBE_DURATION, *row) for row in rows]
    parts = readers.assemble(feed)
    routes = {"/metrics": scrape_route(Exposition(registry))}
    measured: dict[str, float] = {}
    async with (
        Server("127.0.0.1:0", routes) as server,
        HttpClient(limit_per_host=4) as client,
        asyncio.TaskGroup() as tasks,
    ):
        print(server.port, flush=True)
        reading = tasks.create_task(parts.stream.run())
        while not parts.seen():  # noqa: ASYNC110 - the counter is looked at from aside on purpose
            await asyncio.sleep(0.01)
        first, begun, clock = parts.seen(), time.perf_counter(), SystemClock()
        for number in range(int(seconds / PACE)):
            await asyncio.sleep(max(0.0, begun + number * PACE - time.perf_counter()))
            for histogram in histograms[number % 5 :: 5]:
                histogram.observe(0.1)  # every scrape finds all series changed
            if target:
                url = f"http://127.0.0.1:{target}/{number}"
                one = Target(exchange="acme", endpoint="time", url=url)
                done = await probe(one, client, clock, Readers())
                assert done.answer is not None, done.detail
                phases = done.answer.phases
                measured[f"/{number}"] = phases[Phase.PROCESSING] + phases[Phase.TRANSFER]
        rate = (parts.seen() - first) / (time.perf_counter() - begun)
        reading.cancel()
    print(json.dumps({"measured": measured, "rate": rate, "lost": parts.lost}))


def _blackbox(port: int, target: int, seconds: float) -> dict[str, float]:
    """Let the peer probe at the same pace. Gives seconds by path."""
    measured = {}
    begun = time.perf_counter()
    for number in range(int(seconds / PACE)):
        time.sleep(max(0.0, begun + number * PACE - time.perf_counter()))
        url = f"http://127.0.0.1:{port}/probe?module=http&target=http://127.0.0.1:{target}/{number}"
        page = urllib.request.urlopen(url, timeout=10).read().decode()
        measured[f"/{number}"] = sum(
            float(line.split()[1])
            for line in page.splitlines()
            if line.startswith("probe_http_duration_seconds")
            and ('"processing"' in line or '"transfer"' in line)
        )
    return measured


@contextmanager
def _started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a part as a process of its own. Gives it and the port that it prints."""
    command = [sys.executable, "-m", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def _under_load(seconds: float, ours: bool) -> tuple[list[float], float, int]:
    """Measure one of the two. Gives its errors in seconds, trades a second, lines scraped."""
    here = "benchmarks.accuracy"
    count = ["--count", str(int((seconds + 5) * RATE)), "--rate", str(RATE)]
    with (
        _started("benchmarks._feed_server", *count) as (_, feed),
        _started(here, "--serve") as (_, truth),
        blackbox(MODULE.replace("CA_FILE", "")) as (_, peer),
    ):
        target = str(truth if ours else 0)
        flags = ["--busy", str(feed), "--target", target, "--seconds", str(seconds)]
        with _started(here, *flags) as (process, port):
            scraper = subprocess.Popen(
                [sys.executable, "-m", here, "--scrape", str(port), "--seconds", str(seconds)],
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            measured = {} if ours else _blackbox(peer, truth, seconds)
            output, _ = process.communicate(timeout=seconds + 60)
            lines, _ = scraper.communicate(timeout=30)
        report = json.loads(output.splitlines()[-1])
        url = f"http://127.0.0.1:{truth}/took"
        took = json.load(urllib.request.urlopen(url, timeout=10))
    measured = report["measured"] if ours else measured
    assert not report["lost"] or report["lost"] == ["shutdown"], report["lost"]
    return (
        [abs(measured[path] - took[path]) for path in measured if path in took],
        report["rate"],
        int(lines),
    )


def _scrape(port: int, seconds: float) -> None:
    """Scrape every few seconds; print how many lines there were."""
    lines, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until - SCRAPE / 2:
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read()
        lines = page.count(b"\n")
        time.sleep(SCRAPE)
    print(lines)


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="for each of the two")
    for name, kind in (("--busy", int), ("--target", int), ("--scrape", int)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.serve:
        _serve()
    elif flags.busy is not None:
        asyncio.run(_busy(flags.busy, flags.target, flags.seconds))
    elif flags.scrape is not None:
        _scrape(flags.scrape, flags.seconds)
    else:
        for name, ours in (("ours", True), (release(), False)):
            errors, rate, lines = _under_load(flags.seconds, ours)
            errors.sort()
            median, p99 = (errors[int(len(errors) * share)] for share in (0.5, 0.99))
            print(
                f"{name:30} error of {len(errors)} probes: median {median * 1e6:.0f} µs, p99 "
                f"{p99 * 1e6:.0f} µs, worst {errors[-1] * 1e6:.0f} µs, while {rate:,.0f} trades/s "
                f"came and {lines:,} lines were scraped every {SCRAPE:.0f} s"
            )
            if ours:
                print(f"    aim: p99 at most 1 ms: {'reached' if p99 <= AIM else 'MISSED'}")


if __name__ == "__main__":
    main()
