"""CPU per trade message of the whole stream path, beside its peers, on one feed.

A local server sends Binance aggTrade frames prepared in advance; every reader is a process of its
own, and its user and system time between its first and its last message is divided by the
messages. Loads: a flood (as fast as the socket takes them), a pace of 20,000 a second in bunches
of one millisecond, and 10,000 a second each by a write of its own, where the kernel and the event
loop cost more than the message. A burst of 50,000 in 100 ms must lose nothing. Rounds go through
all readers in turn; the cheapest round of each counts, being the one least disturbed.

Books: depth updates of four symbols, with the book fetched over REST from the same server, and
every level applied; calm has 4 levels a side on average, as recorded, busy 5 to 20.

The thread is a client as articles show it: one thread, json.loads, metrics found by their labels
for each message. The library's own queue of 16 frames stops reading from the socket for each
handful of messages; this project reads without it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

READERS = "benchmarks._stream_readers"
ROOT = Path(__file__).resolve().parent.parent
PEER, BARE, FAST = "cryptofeed 2.4.1", "bare picows, msgspec, uvloop", "ours, uvloop"
THREAD = "thread, json.loads, prometheus_client"
WHOLE = ("ours", FAST, PEER, BARE, THREAD)
TRANSPORTS = (
    "transport: websockets client, its queue of 16",
    "transport: websockets client, a queue of 4096",
    "transport: ours",
    "transport: ours, uvloop",
)
LOADS: dict[str, list[str]] = {
    "flood": ["--count", "200000"],
    "20,000/s": ["--count", "60000", "--rate", "20000"],
    "10,000/s singly": ["--count", "30000", "--rate", "10000", "--each"],
}
BURST = ["--count", "50000", "--rate", "500000"]
BOOKS = ("ours, books", "ours, books, uvloop", "cryptofeed 2.4.1, books")
UPDATES: dict[str, list[str]] = {
    "calm, flood": ["--feed", "calm", "--count", "60000"],
    "busy, flood": ["--feed", "busy", "--count", "30000"],
    "calm, 5,000/s": ["--feed", "calm", "--count", "15000", "--rate", "5000"],
    "busy, 5,000/s": ["--feed", "busy", "--count", "15000", "--rate", "5000"],
}


def measure(reader: str, load: list[str]) -> dict[str, Any]:
    """Run one reader under one load; return its figures."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks._feed_server", *load],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert server.stdout is not None
    try:
        port = server.stdout.readline().strip()
        count = load[load.index("--count") + 1]
        ran = subprocess.run(
            [sys.executable, "-m", READERS, reader, "--port", port, "--count", count],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=120,
            check=False,
        )
        if ran.returncode != 0:
            raise SystemExit(f"{reader}: {ran.stderr[-2000:]}")
        figures: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        return figures
    finally:
        server.kill()
        server.wait(10)


def table(
    title: str, readers: tuple[str, ...], loads: dict[str, list[str]], rounds: int
) -> dict[tuple[str, str], float]:
    """Measure some readers under some loads; print and give µs per message."""
    best: dict[tuple[str, str], float] = {}
    trouble: list[str] = []
    for load, flags in loads.items():
        for _ in range(rounds):
            for reader in readers:
                figures = measure(reader, flags)
                cost = best.get((reader, load), figures["cpu_us"])
                best[reader, load] = min(cost, figures["cpu_us"])
                if figures["lost"] or figures.get("gaps") or figures.get("trouble"):
                    trouble.append(f"{reader}, {load}: {figures}")
    print(f"\n{title:48}" + "".join(f"{load:>17}" for load in loads))
    for reader in readers:
        print(f"{reader:48}" + "".join(f"{best[reader, load]:14.2f} µs" for load in loads))
    for line in trouble:
        print(f"  LOST MESSAGES: {line}")
    return best


def ratios(best: dict[tuple[str, str], float], targets: Sequence[tuple[str, str, str]]) -> None:
    """Print the whole path's cost over its peers'."""
    loads = list(dict.fromkeys(load for _, load in best))
    print(f"\n{'ratio to the peer':48}" + "".join(f"{load:>17}" for load in loads))
    for ours, peer, target in targets:
        row = "".join(f"{best[ours, load] / best[peer, load]:17.2f}" for load in loads)
        print(f"{ours[:24]} / {peer[:20]}".ljust(48) + row + f"   {target}")


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=("trades", "books", "transport", "burst"))
    flags = parser.parse_args()
    only, rounds = flags.only, flags.rounds
    if only in (None, "trades"):
        best = table("whole path, CPU per message", WHOLE, LOADS, rounds)
        ratios(
            best,
            (
                (FAST, PEER, "at most 0.33"),
                ("ours", PEER, "at most 1.00"),
                (FAST, THREAD, "at most 0.08"),
                (FAST, BARE, "at most 1.25"),
            ),
        )
    if only in (None, "books"):
        best = table("book building, CPU per update", BOOKS, UPDATES, rounds)
        ratios(best, tuple((ours, BOOKS[-1], "at most 0.50") for ours in BOOKS[:-1]))
    if only in (None, "transport"):
        table("transport alone, CPU per message", TRANSPORTS, LOADS, rounds)
    if only in (None, "burst"):
        burst()


def burst() -> None:
    """Send 50,000 messages in 100 ms and say what was lost."""
    print("\nburst of 50,000 messages in 100 ms")
    for reader in ("ours", FAST):
        figures = measure(reader, BURST)
        print(f"{reader:48} lost {figures['lost']}, gaps {figures['gaps']}")


if __name__ == "__main__":
    main()
