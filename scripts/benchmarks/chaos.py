"""Random faults from a seed, over real sockets, at 50 endpoints and 20 streams.

    python scripts/benchmarks/chaos.py [--for SECONDS] [--seed N] [--soak]

`make soak` is an hour of it, at 10 exchanges, 100 endpoints and 50 streams.

The simulated exchanges misbehave one after another and at once, each in its own way, while an
exporter watches them; both are processes of their own. Held against it:

- no error of ours: no task was restarted, and nothing that looks like one stands in the log
- every fault shows in the metrics of its exchange
- afterwards everything works again, with the tasks and file descriptors of before
- memory is flat: the slope over the run after its warm-up, extrapolated to an hour. It means
  something only for long runs, and counts for those of eight minutes and more.

Prints its findings as JSON; exit status 1 if one of these does not hold.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, cycle, islice
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))

from exporter import venues
from exporter.simulator import venues as simulated_venues
from tests.live import programs
from tests.live.conftest import Samples, World
from tests.live.worlds import NO_LIMITS, simulated, watched

LONG = 480.0  # seconds from which on the slope of memory counts
MOST_SLOPE = 1.0  # MB an hour
_PATIENCE = 6.0  # seconds in which a fault must show
_RECOVERY = 150  # seconds until all is well, bans included
_WORD_EVERY = 120.0  # seconds
_WELL = ("exchange_probe_success", "exchange_stream_connected", "exchange_stream_subscriptions")
Tell = Callable[[Samples, Samples, str], bool]


def _rises(*names: str) -> Tell:
    """One of these counters is higher than before."""
    return lambda before, after, exchange: any(
        after.total(name, exchange=exchange) > before.total(name, exchange=exchange)
        for name in names
    )


# A probe that the breaker holds back because of the fault before tells of it too.
_PROBES = _rises("exchange_probe_failures_total", "exchange_probe_skipped_total")
_STREAMS = _rises("exchange_stream_disconnects_total", "exchange_stream_parse_errors_total")


def _stale(before: Samples, after: Samples, exchange: str) -> bool:
    name = "exchange_stream_subscriptions"
    return after.total(name, exchange=exchange, state="stale") > 0 or _STREAMS(
        before, after, exchange
    )


# What is done, with which parameters, and what must show it.
FAULTS: dict[str, tuple[dict[str, object], Tell]] = {
    "error": ({"status": 503}, _PROBES),
    "rate_limit": ({"retry_after": 1}, _PROBES),
    "ban": ({"retry_after": 2}, _PROBES),
    "timeout": ({}, _PROBES),
    "reset": ({}, _rises("exchange_probe_failures_total", "exchange_probe_skipped_total",
                         "exchange_stream_disconnects_total")),
    "garbage_body": ({}, _PROBES),
    "maintenance": ({}, _PROBES),
    "disconnect": ({}, _STREAMS),
    "mute": ({}, _stale),
    "malformed": ({"probability": 0.5}, _rises("exchange_stream_parse_errors_total",
                                               "exchange_stream_disconnects_total")),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is watched: exchanges beyond the simulated ones watch those once more."""

    exchanges: int
    endpoints: int
    streams: int


CHAOS = Size(exchanges=8, endpoints=50, streams=20)
_SYMBOLS = ("BTC-USDT", "ETH-USDT")
SOAK = Size(exchanges=10, endpoints=100, streams=50)


def config(size: Size, places: dict[str, str]) -> str:
    """Return the config: the endpoints and streams dealt out evenly over all exchanges."""
    lines = [
        "probes: {interval: 500ms, timeout: 400ms}",
        "streams: {stale_floor: 1s, stale_ceiling: 2s, backoff_cap: 1s, idle_timeout: 5s}",
        "metrics: {series_limit: 100000}",
        "exchanges:",
    ]
    for index, (name, url) in enumerate(islice(cycle(places.items()), size.exchanges)):
        venue = venues.load(name)
        path = urlsplit(venue.stream_urls[0]).path
        probe = next(each.path for each in venue.endpoints if each.default)
        # The venue's own endpoint with a clock is read, so that garbage is told from an answer.
        first = _read(name) or "e0"
        address = "" if _read(name) else f", path: '{probe}'"
        lines += [
            f"- venue: {name}",
            f"  name: {name}{'' if index < len(places) else f'_{index // len(places) + 1}'}",
            "  symbols: [BTC-USDT, ETH-USDT]",
            f"  rest_url: {url}",
            f"  stream_url: {url.replace('http', 'ws', 1)}{path}",
            "  breaker: {failures: 5, recovery: 1s, recovery_cap: 2s}",
            "  limits: {weight: 1000000, share: 100%}",
            "  endpoints:",
        ]
        lines.append(f"  - {{name: {first}{address}}}")
        for number in range(1, _share(size.endpoints, index, size.exchanges)):
            lines.append(f"  - {{name: e{number}, path: '{probe}'}}")
        lines.append("  streams:")
        for number in range(_share(size.streams, index, size.exchanges)):
            channel = ("trades", "book", "trades")[number % 3]
            symbol = ("BTC-USDT", "BTC-USDT", "ETH-USDT")[number % 3]
            lines.append(f"  - {{name: s{number}, channels: [{channel}], symbols: [{symbol}]}}")
    return "\n".join(lines) + "\n"


def _read(venue: str) -> str | None:
    """Name an endpoint of the venue whose body is read, if it has one."""
    endpoints = venues.load(venue).endpoints
    return next((each.name for each in endpoints if each.clock is not None), None)


def _share(total: int, index: int, among: int) -> int:
    return total * (index + 1) // among - total * index // among


@dataclass
class Run:
    """What is seen on the way."""

    world: World
    chance: random.Random
    kinds: AbstractSet[str]
    memory: list[tuple[float, int]] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    unseen: list[str] = field(default_factory=list)
    busy: dict[str, tuple[str, float, Samples]] = field(default_factory=dict)
    next_word: float = 0.0

    def strike(self, exchange: str) -> None:
        """Let one exchange misbehave for a while."""
        before = self.world.scrape()
        kinds = set(self.kinds) if _read(exchange) else self.kinds - {"garbage_body"}
        # What is cut off already can neither be cut off nor fall silent.
        subscriptions = "exchange_stream_subscriptions"
        live = before.total(subscriptions, exchange=exchange, state="live")
        if live != before.total(subscriptions, exchange=exchange):
            kinds -= {"disconnect", "mute", "malformed"}
        kind = self.chance.choice(sorted(kinds))
        # What is silent for less than is normal for it is not silent.
        length = self.chance.uniform(5.0, 7.0) if kind == "mute" else self.chance.uniform(1.5, 4.0)
        lasting: dict[str, object] = {} if kind == "disconnect" else {"for_": length}
        self.world.inject(fault=kind, venue=exchange, **lasting, **FAULTS[kind][0])
        self.struck[kind] += 1
        self.busy[exchange] = kind, time.monotonic() + length + _PATIENCE, before

    def update(self) -> None:
        """See what shows, and forget what has shown or can show no more."""
        page = self.world.scrape()
        now, used = time.monotonic(), self.world.exporter.memory()
        self.memory.append((now, used))
        if now > self.next_word:
            self.next_word = now + _WORD_EVERY
            tasks = page.total("exchange_exporter_tasks")
            sys.stderr.write(
                f"{self.struck.total()} faults, {len(self.unseen)} unseen, {used / 1e6:.1f} MB,"
                f" {tasks:.0f} tasks, {descriptors(self.world)} descriptors\n"
            )
        for exchange, (kind, until, before) in list(self.busy.items()):
            if FAULTS[kind][1](before, page, exchange):
                del self.busy[exchange]
            elif time.monotonic() > until:
                self.unseen.append(f"{exchange}: {kind}")
                del self.busy[exchange]

    def storm(self, exchanges: list[str], duration: float) -> None:
        """Strike at random for ``duration`` seconds, then wait for what must still show."""
        until = time.monotonic() + duration
        while time.monotonic() < until or self.busy:
            free = [name for name in exchanges if name not in self.busy]
            if free and time.monotonic() < until:
                self.strike(self.chance.choice(free))
            time.sleep(self.chance.uniform(0.2, 0.8))
            self.update()


def descriptors(world: World) -> int:
    """Count the exporter's open files and sockets."""
    return len(list(Path(f"/proc/{world.exporter.pid}/fd").iterdir()))


def well(world: World, size: Size) -> bool:
    """See that every endpoint answers and every stream is live. Raises AssertionError: what not."""
    page = world.scrape()
    probes, streams, states = map(page.named, _WELL)
    wrong = [
        f"{len(found)} instead of {many} of {name}"
        for name, found, many in zip(
            _WELL, (probes, streams), (size.endpoints, size.streams), strict=False
        )
        if len(found) != many
    ]
    wrong += [str(each.labels) for each in (*probes, *streams) if not each.value]
    wrong += [str(each.labels) for each in states if each.value and each.labels["state"] != "live"]
    if wrong:
        raise AssertionError(", ".join(wrong[:10]))
    return True


def thinned(samples: list[tuple[float, int]], most: int) -> list[tuple[float, int]]:
    """Return the first, the last and so many between that there are about ``most``."""
    return [*samples[:: max(1, len(samples) // most)], samples[-1]]


def slope(samples: list[tuple[float, int]]) -> float:
    """Return the growth in MB an hour: the median over all pairs (Theil and Sen)."""
    thin = thinned(samples, 200)
    slopes = [(b - a) / (u - t) for (t, a), (u, b) in combinations(thin, 2) if u > t]
    return statistics.median(slopes) * 3600.0 / 1e6 if slopes else 0.0


def play(
    world: World, exchanges: list[str], size: Size, duration: float, seed: int
) -> dict[str, object]:
    """Go through it all; return what was found."""
    programs.eventually(lambda: well(world, size), "all is well", within=30)
    # Who does not say how long it bans is let alone for two minutes: too long for a short run.
    run = Run(world, random.Random(seed), FAULTS.keys() - (() if duration >= LONG else {"ban"}))
    # Everything has happened once before anything is measured.
    # The histories behind the figures reach back five minutes: before that they only fill.
    run.storm(exchanges, 360.0 if duration >= LONG else duration / 4.0)
    world.clear()
    programs.eventually(lambda: well(world, size), "all is well again", within=_RECOVERY)
    time.sleep(2.0)
    before, files = world.scrape(), descriptors(world)
    run.memory.clear()
    run.storm(exchanges, duration)
    world.clear()
    began = time.monotonic()
    programs.eventually(lambda: well(world, size), "full recovery", within=_RECOVERY)
    recovery = time.monotonic() - began
    time.sleep(2.0)
    after, left = world.scrape(), descriptors(world)
    tasks = "exchange_exporter_tasks"
    growth = slope(run.memory)
    found: dict[str, object] = {
        "seed": seed,
        "seconds": duration,
        "exchanges": size.exchanges,
        "endpoints": size.endpoints,
        "streams": size.streams,
        "faults": dict(run.struck),
        "unseen": run.unseen,
        "restarts": after.total("exchange_exporter_task_restarts_total"),
        "errors": [line for line in world.exporter.lines if "raceback" in line][:5],
        "tasks": [before.total(tasks), after.total(tasks)],
        "descriptors": [files, left],
        "memory_mb": [round(used / 1e6, 1) for _, used in thinned(run.memory, 12)],
        "slope_mb_per_hour": round(growth, 2),
        "recovery_s": round(recovery, 1),
    }
    found["broken"] = list(_broken(found, duration))
    return found


def _broken(found: dict[str, object], duration: float) -> Iterator[str]:
    if found["unseen"]:
        yield "a fault did not show"
    if found["restarts"] or found["errors"]:
        yield "an error of ours"
    match found["tasks"], found["descriptors"], found["slope_mb_per_hour"]:
        case [before, after], [int(files), int(left)], float(growth):
            if before != after:
                yield "tasks were left behind"
            # Idle connections of the pool come and go: two a venue are no leak.
            if left > files + 16:
                yield "file descriptors were left behind"
            if duration >= LONG and growth > MOST_SLOPE:
                yield "memory grows"


def main() -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--for", dest="duration", type=float, default=600.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--soak", action="store_true", help="10 exchanges, 100 endpoints, 50 streams"
    )
    args = parser.parse_args()
    size = SOAK if args.soak else CHAOS
    # What trades these symbols: the market of coin-margined futures does not.
    able = [
        name
        for name in simulated_venues.names()
        if set(_SYMBOLS) <= set(simulated_venues.load(name).lists(_SYMBOLS))
    ]
    arguments = (
        f"--venues={','.join(able)}",
        NO_LIMITS,
        f"--seed={args.seed}",
        "--rate=3",
        "--book-rate=3",
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        simulated(Path(folder), partial(config, size), *arguments) as simulator,
        watched(*simulator) as world,
    ):
        exchanges = programs.get_json(f"{world.url}/api/v1/state")["exchanges"]
        # Faults are a venue's; one that is watched twice shows them at the exchange of its name.
        names = [each["name"] for each in exchanges if each["name"] in venues.names()]
        found = play(world, names, size, args.duration, args.seed)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 1 if found["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
