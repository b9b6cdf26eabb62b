"""Random faults from a seed, over real sockets, at 50 endpoints and 20 streams.

    python scripts/benchmarks/chaos.py [--for SECONDS] [--seed N] [--soak] [--hostile]

`make soak` is an hour of it, at 10 exchanges, 100 endpoints and 50 streams, with the hostile peers
of the live tests beside them: endless answers, bombs, floods and false certificates.

The simulated exchanges misbehave one after another and at once, each in its own way, while an
exporter watches them; both are processes of their own. Held against it:

- no error of ours: no task was restarted, and nothing that looks like one stands in the log
- every fault shows in the metrics of its exchange
- afterwards everything works again, with the tasks and file descriptors of before
- memory is flat: the blocks that Python objects occupy, before and after, and resident memory, by
  the medians of the second and of the last quarter. Resident memory stays at the highest point so
  far and what is free within it moves it up and down by some MB, so the warm-up ends with the worst
  moment that the run can hold, every hostile peer at once, and the first quarter does not count. It
  means something only for long runs, and counts for those of half an hour and more.

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
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))

from exporter import venues
from exporter.simulator import venues as simulated_venues
from tests.live import hostile as attacks
from tests.live import programs
from tests.live.conftest import Samples, World
from tests.live.hostile import CERTIFICATES, Hostile, hostile
from tests.live.worlds import NO_LIMITS, simulated, watched

LONG = 480.0  # seconds from which on bans are among the faults, and everything happens once before
FLAT = 1800.0  # seconds from which on memory counts
MOST_GROWTH = 0.02  # of resident memory, and of the blocks in use
_PATIENCE = 15.0  # seconds in which a fault must show
# Seconds until all is well: Kraken takes 150 connections of an address in ten minutes, no more.
_RECOVERY = 660
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


def _for_reason(name: str, reason: str) -> Tell:
    """The counter is higher than before for just that reason."""
    return lambda before, after, exchange: (
        after.total(name, exchange=exchange, reason=reason)
        > before.total(name, exchange=exchange, reason=reason)
    )


def _flooded(before: Samples, after: Samples, exchange: str) -> bool:
    # Half of what is sent: the peer hangs up, whether or not a busy machine has read it all.
    name = "exchange_stream_received_bytes_total"
    return after.total(name, exchange=exchange) >= before.total(name, exchange=exchange) + 100_000


def _not_opened(before: Samples, after: Samples, exchange: str) -> bool:
    name, failed = "exchange_stream_connects_total", {"exchange": exchange, "result": "failure"}
    return after.total(name, **failed) > before.total(name, **failed)


# What the exchange of that name does to us, and what must show it.
ATTACKS: dict[str, Tell] = {
    # On a busy machine the time of a probe is over before the bound of what it reads.
    **dict.fromkeys(attacks.PROBES, _rises("exchange_probe_failures_total")),
    **{
        name: _for_reason("exchange_stream_disconnects_total", reason)
        for name, reason in attacks.STREAMS.items()
    },
    "tiny_frames": _flooded,
    "endless_handshake": _not_opened,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is watched: exchanges beyond the simulated ones watch those once more."""

    exchanges: int
    endpoints: int
    streams: int


CHAOS = Size(exchanges=8, endpoints=50, streams=20)
_SYMBOLS = ("BTC-USDT", "ETH-USDT")
SOAK = Size(exchanges=10, endpoints=100, streams=50)


def config(size: Size, peer: Hostile | None, places: dict[str, str]) -> str:
    """Return the config: the endpoints and streams dealt out evenly over all exchanges.

    With a hostile ``peer`` there is one exchange more for each of its attacks.
    """
    authority = f"ca_file: {CERTIFICATES / 'ca.pem'}"
    lines = [
        f"probes: {{interval: 1s, timeout: 900ms, {authority}}}",
        "streams: {stale_floor: 1s, stale_ceiling: 2s, backoff_cap: 1s, idle_timeout: 5s, "
        f"{authority}}}",
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
    lines += () if peer is None else attacks.exchanges(peer)
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
    peer: Hostile | None = None
    memory: list[tuple[float, float]] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    unseen: list[str] = field(default_factory=list)
    busy: dict[str, tuple[str, float, Samples]] = field(default_factory=dict)
    next_word: float = 0.0

    def free(self, exchanges: list[str]) -> list[str]:
        """Return the exchanges that behave, the hostile ones among them."""
        names = (
            exchanges if self.peer is None else [*exchanges, *(ATTACKS.keys() - self.peer.angry)]
        )
        return sorted(name for name in names if name not in self.busy)

    def strike(self, exchange: str) -> None:
        """Let one exchange misbehave for a while."""
        before = programs.eventually(self.world.scrape, "a page")
        if self.peer is not None and exchange in ATTACKS:
            self.peer.angry.add(exchange)
            self._struck(exchange, exchange, self.chance.uniform(2.0, 5.0), before)
            return
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
        self._struck(exchange, kind, length, before)

    def _struck(self, exchange: str, kind: str, length: float, before: Samples) -> None:
        self.struck[kind] += 1
        self.busy[exchange] = kind, time.monotonic() + length + _PATIENCE, before

    def clear(self) -> None:
        """End all faults."""
        self.world.clear()
        if self.peer is not None:
            self.peer.angry.clear()

    def update(self) -> None:
        """See what shows, and forget what has shown or can show no more."""
        page = programs.eventually(self.world.scrape, "a page")
        now, used = time.monotonic(), self.world.exporter.memory()
        self.memory.append((now, used))
        if now > self.next_word:
            self.next_word = now + _WORD_EVERY
            tasks = page.total("exchange_exporter_tasks")
            sys.stderr.write(
                f"{self.struck.total()} faults, unseen {self.unseen}, {used / 1e6:.1f} MB,"
                f" {tasks:.0f} tasks, {descriptors(self.world)} descriptors\n"
            )
        for exchange, (kind, until, before) in list(self.busy.items()):
            attack = kind in ATTACKS
            shown = (ATTACKS[kind] if attack else FAULTS[kind][1])(before, page, exchange)
            # An attack goes on for its time, whether or not it shows before.
            if now <= until and not (shown and (not attack or now > until - _PATIENCE)):
                continue
            if not shown:
                self.unseen.append(f"{exchange}: {kind}")
            del self.busy[exchange]
            if self.peer is not None:
                self.peer.angry.discard(exchange)

    def storm(self, exchanges: list[str], duration: float) -> None:
        """Strike at random for ``duration`` seconds, then wait for what must still show."""
        until = time.monotonic() + duration
        while time.monotonic() < until or self.busy:
            free = self.free(exchanges)
            if free and time.monotonic() < until:
                self.strike(self.chance.choice(free))
            time.sleep(self.chance.uniform(0.2, 0.8))
            self.update()

    def worst(self) -> None:
        """Let all hostile peers do their worst at the same time, twice."""
        for _ in range(2):
            for peer in sorted(ATTACKS) if self.peer is not None else ():
                self.strike(peer)
            while self.busy:
                time.sleep(0.5)
                self.update()


def descriptors(world: World) -> int:
    """Count the exporter's open files and sockets."""
    return len(list(Path(f"/proc/{world.exporter.pid}/fd").iterdir()))


def well(world: World, size: Size) -> bool:
    """See that every endpoint answers and every stream is live. Raises AssertionError: what not.

    The hostile peers have nothing to say, and a false certificate stays one.
    """
    page = world.scrape()
    odd = {*ATTACKS, *attacks.CERTIFIED}
    probes, streams, states = (
        [each for each in page.named(name) if each.labels["exchange"] not in odd] for name in _WELL
    )
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


def thinned(samples: list[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Return the first, the last and so many between that there are about ``most``."""
    return [*samples[:: max(1, len(samples) // most)], samples[-1]]


def growth(samples: list[tuple[float, float]]) -> float:
    """Return how much greater the median of the last quarter is than that of the second."""
    quarter = len(samples) // 4
    second, last = samples[quarter : 2 * quarter], samples[-quarter:]
    return _middle(last) / _middle(second) - 1.0 if quarter else 0.0


def _middle(samples: list[tuple[float, float]]) -> float:
    return statistics.median(value for _, value in samples)


def _late(before: Samples, after: Samples) -> float | None:
    """Return a bound of how late the event loop was in 99 of 100 looks between, in seconds."""
    name = "exchange_exporter_event_loop_lag_seconds"
    looks = after.total(f"{name}_count") - before.total(f"{name}_count")
    for sample in sorted(after.named(f"{name}_bucket"), key=lambda each: float(each.labels["le"])):
        bound = sample.labels["le"]
        within = sample.value - before.total(f"{name}_bucket", le=bound)
        if within >= 0.99 * looks:
            return float(bound)
    return None


def play(
    world: World,
    exchanges: list[str],
    size: Size,
    duration: float,
    seed: int,
    peer: Hostile | None = None,
) -> dict[str, object]:
    """Go through it all; return what was found."""
    programs.eventually(lambda: well(world, size), "all is well", within=_RECOVERY)
    # Who does not say how long it bans is let alone for two minutes: too long for a short run.
    run = Run(
        world, random.Random(seed), FAULTS.keys() - (() if duration >= LONG else {"ban"}), peer
    )
    # Everything has happened once before anything is measured.
    # The histories behind the figures reach back five minutes: before that they only fill.
    run.storm(exchanges, 360.0 if duration >= LONG else duration / 4.0)
    if duration >= LONG:
        run.worst()
    run.clear()
    programs.eventually(lambda: well(world, size), "all is well again", within=_RECOVERY)
    time.sleep(2.0)
    before, files = world.scrape(), descriptors(world)
    run.memory.clear()
    run.storm(exchanges, duration)
    run.clear()
    began = time.monotonic()
    programs.eventually(lambda: well(world, size), "full recovery", within=_RECOVERY)
    recovery = time.monotonic() - began
    time.sleep(2.0)
    after, left = world.scrape(), descriptors(world)
    tasks = "exchange_exporter_tasks"
    blocks = "exchange_exporter_memory_blocks"
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
        "memory_growth": round(growth(run.memory), 4),
        "memory_blocks": [before.total(blocks), after.total(blocks)],
        "recovery_s": round(recovery, 1),
        "loop_late_p99_s": _late(before, after),
    }
    found["broken"] = list(_broken(found, duration))
    return found


def _broken(found: dict[str, object], duration: float) -> Iterator[str]:
    if found["unseen"]:
        yield "a fault did not show"
    if found["restarts"] or found["errors"]:
        yield "an error of ours"
    match found["tasks"], found["descriptors"]:
        case [before, after], [int(files), int(left)]:
            if before != after:
                yield "tasks were left behind"
            # Idle connections of the pool come and go: two a venue are no leak.
            if left > files + 16:
                yield "file descriptors were left behind"
    match found["memory_growth"], found["memory_blocks"]:
        case float(growth), [int() | float() as before, int() | float() as after] if (
            duration >= FLAT
        ):
            if growth > MOST_GROWTH:
                yield "resident memory grows"
            if after > before * (1.0 + MOST_GROWTH):
                yield "memory blocks are left behind"


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
    parser.add_argument("--hostile", action="store_true", help="with the peers that do their worst")
    parser.add_argument(
        "--part", type=float, default=1.0, metavar="SHARE", help="of the endpoints and streams"
    )
    args = parser.parse_args()
    size = SOAK if args.soak else CHAOS
    size = Size(
        exchanges=size.exchanges,
        endpoints=max(size.exchanges, round(size.endpoints * args.part)),
        streams=max(size.exchanges, round(size.streams * args.part)),
    )
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
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peer = stack.enter_context(hostile()) if args.hostile else None
        text = partial(config, size, peer)
        simulator = stack.enter_context(simulated(folder, text, *arguments))
        world = stack.enter_context(watched(*simulator))
        exchanges = programs.get_json(f"{world.url}/api/v1/state")["exchanges"]
        # Faults are a venue's; one that is watched twice shows them at the exchange of its name.
        names = [each["name"] for each in exchanges if each["name"] in venues.names()]
        found = play(world, names, size, args.duration, args.seed, peer)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 1 if found["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
