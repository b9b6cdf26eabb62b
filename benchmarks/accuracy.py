"""How true measured latencies are while the exporter is busy, beside blackbox_exporter.

    python -m benchmarks.accuracy [--seconds N] [--rates 0,5000,20000,50000]

A server answers each probe after a delay of its own and says in the body how long it really took
from reading the request to writing the answer: the truth. Meanwhile trades flow into the exporter's
stream path and 20,000 lines of metrics are scraped from it every five seconds. The error of a probe
is the measured time from the request's last byte to the answer's last byte (phases processing and
transfer) minus the truth; that of a stream, of which each hundredth message is looked at, is when
a message was read minus when it was sent. Ours is measured by the busy process itself; the peer
probes from its own process, beside the same load of 20,000 a second. What we were late with
ourselves is left out as the exporter leaves it out, and counted. A stream that is lost is opened
anew, and told of: beside others on a busy machine that may happen.
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
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from benchmarks import _stream_readers as readers
from benchmarks._feed_server import FIRST_TRADE, SYMBOLS
from benchmarks.probe import MODULE, PEER, blackbox, release
from exporter.clock import SystemClock
from exporter.contracts import LateTime
from exporter.flow.stalls import BEAT, LoopStalls
from exporter.http.client import HttpClient
from exporter.metrics.exposition import Exposition
from exporter.metrics.families import PROBE_DURATION
from exporter.metrics.registry import Registry
from exporter.model import Data, Phase, Target, Trade
from exporter.probes.probe import Readers, probe
from exporter.web.routes import scrape_route
from exporter.web.server import Server

ROOT = Path(__file__).resolve().parent.parent
RATE = 20_000  # trades a second beside the peer
RATES = "0,5000,20000,50000"  # beside us
EACH = 100  # messages of which one is looked at
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


async def _beat(stalls: LoopStalls, clock: SystemClock) -> None:
    while True:
        await clock.sleep(BEAT)
        await stalls.beat(clock.monotonic())


async def _busy(feed: int, target: int, seconds: float) -> None:
    """Consume the feed, be scraped, and probe if there is a target; print what was measured."""
    registry, clock, stalls = Registry(series_limit=100_000), SystemClock(), LoopStalls()
    rows = product((f"x{n}" for n in range(20)), (f"e{n}" for n in range(30)), ("new", "reused"))
    histograms = [registry.histogram(PROBE_DURATION, *row) for row in rows]
    received: list[tuple[int, float]] = []  # number of a message, when it was read
    discarded = {"probe": 0, "stream": 0}

    def look(event: Data, at: float) -> None:
        if isinstance(event, Trade) and event.sequence is not None:
            number = (event.sequence - FIRST_TRADE) * len(SYMBOLS) + SYMBOLS.index(event.symbol)
            if number % EACH == 0:
                if type(at) is LateTime:
                    discarded["stream"] += 1
                else:
                    received.append((number, at))

    parts = readers.assemble(feed, stalls=stalls, look=look)
    routes = {"/metrics": scrape_route(Exposition(registry))}
    measured: dict[str, float] = {}
    async with (
        Server("127.0.0.1:0", routes) as server,
        HttpClient(limit_per_host=4) as client,
        asyncio.TaskGroup() as tasks,
    ):
        print(server.port, flush=True)
        own = [tasks.create_task(_beat(stalls, clock))]
        if feed:
            own.append(tasks.create_task(parts.stream.run()))
        while feed and not parts.seen():  # noqa: ASYNC110 - looked at from aside on purpose
            await asyncio.sleep(0.01)
        first, begun = parts.seen(), time.perf_counter()
        for number in range(int(seconds / PACE)):
            await asyncio.sleep(max(0.0, begun + number * PACE - time.perf_counter()))
            for histogram in histograms[number % 5 :: 5]:
                histogram.observe(0.1)  # every scrape finds all series changed
            if target:
                url = f"http://127.0.0.1:{target}/{number}"
                one = Target(exchange="acme", endpoint="time", url=url)
                done = await probe(one, client, clock, Readers())
                if done.answer is None or done.tainted:
                    discarded["probe"] += 1
                else:
                    phases = done.answer.phases
                    measured[f"/{number}"] = phases[Phase.PROCESSING] + phases[Phase.TRANSFER]
        rate = (parts.seen() - first) / (time.perf_counter() - begun)
        for task in own:
            task.cancel()
    lost = [reason for reason in parts.lost if reason != "shutdown"]
    report = {"measured": measured, "rate": rate, "lost": lost, "received": received}
    print(json.dumps(report | {"discarded": discarded}))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run gave: errors in seconds, in order of size."""

    probes: list[float]
    messages: list[float]
    rate: float  # trades a second
    lines: int  # of a scrape
    lost: list[str]
    discarded: dict[str, int]


def _under_load(seconds: float, ours: bool, rate: int) -> Outcome:
    """Measure one of the two while ``rate`` trades a second flow."""
    here = "benchmarks.accuracy"
    with TemporaryDirectory() as folder, ExitStack() as parts:
        log = Path(folder) / "sent"
        _, truth = parts.enter_context(_started(here, "--serve"))
        peer = 0
        if not ours:
            peer = parts.enter_context(blackbox(MODULE.replace("CA_FILE", "")))[1]
        sender, feed = None, 0
        if rate:
            count = ["--count", str(int((seconds + 5) * rate)), "--rate", str(rate)]
            served = _started("benchmarks._feed_server", *count, "--log", str(log))
            sender, feed = parts.enter_context(served)
        flags = ["--busy", str(feed), "--target", str(truth if ours else 0)]
        busy, port = parts.enter_context(_started(here, *flags, "--seconds", str(seconds)))
        scraper = subprocess.Popen(
            [sys.executable, "-m", here, "--scrape", str(port), "--seconds", str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        measured = {} if ours else _blackbox(peer, truth, seconds)
        output, _ = busy.communicate(timeout=4 * seconds + 60)
        lines, _ = scraper.communicate(timeout=60)
        report = json.loads(output.splitlines()[-1])
        measured = report["measured"] if ours else measured
        url = f"http://127.0.0.1:{truth}/took"
        took = json.load(urllib.request.urlopen(url, timeout=30))
        if sender is not None:
            sender.wait(timeout=60)
        sent = json.loads(log.read_text()) if rate else []
    starts, times = [first for first, _ in sent], [at for _, at in sent]
    messages = [at - times[bisect_right(starts, number) - 1] for number, at in report["received"]]
    return Outcome(
        probes=sorted(abs(measured[path] - took[path]) for path in measured if path in took),
        messages=sorted(abs(error) for error in messages),
        rate=report["rate"],
        lines=int(lines),
        lost=report["lost"],
        discarded=report["discarded"],
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
    parser.add_argument("--seconds", type=float, default=30.0, help="for each run")
    parser.add_argument("--rates", default=RATES, help="trades a second beside our probes")
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
        runs = [("ours", True, int(rate)) for rate in flags.rates.split(",")]
        if which(PEER) is None:
            print(f"{PEER} is not here: ours alone")
        else:
            runs.append((release(), False, RATE))
        for name, ours, rate in runs:
            done = _under_load(flags.seconds, ours, rate)
            print(
                f"{name}, {done.rate:,.0f} trades/s came of {rate:,}, {done.lines:,} lines scraped "
                f"every {SCRAPE:.0f} s; lost: {done.lost or 'nothing'}; left out: {done.discarded}"
            )
            for what, errors in (("probes", done.probes), ("messages", done.messages)):
                if errors:
                    _print_errors(what, errors, ours)


def _print_errors(what: str, errors: list[float], ours: bool) -> None:
    median, p99 = (errors[int(len(errors) * share)] for share in (0.5, 0.99))
    aim = ("  reached" if p99 <= AIM else "  MISSED: aim 1,000") if ours else ""
    print(
        f"    error of {len(errors):6,} {what:8}: median {median * 1e6:6,.0f} µs, p99 "
        f"{p99 * 1e6:8,.0f} µs, worst {errors[-1] * 1e6:8,.0f} µs{aim}"
    )


if __name__ == "__main__":
    main()
