"""Hours of ordinary traffic, with the noise that healthy exchanges make, and what fires meanwhile.

An alert that fires here would wake somebody every night.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from exporter.simulator.rehearsal.stage import RehearsalStage
from exporter.simulator.rehearsal.talk import RehearsalError, ask, inject, withdraw

_PACE = 5.0  # seconds between two checks
_PROGRESS = 300.0  # seconds between two progress messages
_BLIND = 60.0  # seconds without an answer of Prometheus that are forgiven
# Faults an hour and exchange; most exchanges have fewer than that a day.
_BUSY_SPELLS, _LOST_STREAMS, _QUIET_SPELLS = 4.0, 2.0, 1.0
QUIET_SYMBOLS = ("SOL-USDT", "ETH-USDT")
_HOUR = 3600.0
_CALM = (
    {"endpoint": "*", "seconds": 0.02, "jitter": 0.03, "tail": 1.2, "tail_share": 0.005},
    {"channel": "*", "seconds": 0.005, "jitter": 0.01, "tail": 0.3, "tail_share": 0.002},
)
_BUSY = (
    {"endpoint": "*", "seconds": 0.12, "jitter": 0.25, "tail": 1.5, "tail_share": 0.04},
    {"channel": "*", "seconds": 0.05, "jitter": 0.15, "tail": 0.8, "tail_share": 0.01},
)
Fault = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """One alert while it fired, whoever heard of it; seconds since the traffic began."""

    alert: str
    severity: str
    labels: Mapping[str, str]
    start: float
    end: float | None  # None: it still fired at the end


def noise(seed: int, venues: Sequence[str], length: float) -> tuple[Fault, ...]:
    """Return the ordinary noise of ``length`` seconds, in the simulator's words.

    Latency with tails and with busy spells, single requests that fail, clocks a little off, symbols
    that few trade for a while, connections lost without warning, and one planned end of each
    exchange's stream.
    """
    made: list[Fault] = []
    for place, venue in enumerate(venues):
        random = Random(f"{seed}/{venue}/noise")
        skew, drift = random.uniform(-0.05, 0.05), random.uniform(-2, 2)
        found = [
            *_latency(random, length),
            # Half of the failures that the objective of 99.9 % allows.
            {"fault": "error", "status": 502, "probability": 0.0003},
            {"fault": "timeout", "probability": 0.0002},
            {"fault": "clock_skew", "seconds": skew, "drift_ppm": drift},
            *_quiet(random, length),
            *({"fault": "disconnect", "at": at, "code": random.choice((1001, 1006))}
              for at in _moments(random, _LOST_STREAMS, length)),
            # Announced half a minute ahead, where the venue has words for it.
            {"fault": "disconnect", "notice": min(30.0, length / 10),
             "at": length * (place + 1) / (len(venues) + 1)},
        ]  # fmt: skip
        made += ({"venue": venue, **fault} for fault in found)
    return tuple(made)


def _moments(random: Random, an_hour: float, length: float) -> Iterator[float]:
    """Yield moments at random, so many an hour on average, in order."""
    at = random.expovariate(an_hour / _HOUR)
    while at < length:
        yield at
        at += random.expovariate(an_hour / _HOUR)


def _latency(random: Random, length: float) -> Iterator[Fault]:
    """Calm and busy spells in turn: of two latencies in force the simulator takes the first."""
    at = 0.0
    for busy in (*_moments(random, _BUSY_SPELLS, length), length):
        if busy <= at:  # within the busy spell before
            continue
        yield from ({"fault": "latency", "at": at, "for": busy - at, **kind} for kind in _CALM)
        at = busy + random.uniform(10, 60)
        if busy < length:
            yield from ({"fault": "latency", "at": busy, "for": at - busy, **k} for k in _BUSY)


def _quiet(random: Random, length: float) -> Iterator[Fault]:
    """Fade a symbol's trades to a thirtieth, and back; what overlaps multiplies."""
    for at in _moments(random, _QUIET_SPELLS, length):
        symbol, lasting = random.choice(QUIET_SYMBOLS), random.uniform(900, 1800)
        for early in (0.0, 120.0, 240.0):
            if at + early < length:
                yield {"fault": "quiet", "symbol": symbol, "share": 0.32,
                       "at": at + early, "for": lasting - 2 * early}  # fmt: skip


def healthy(
    stage: RehearsalStage, length: float, seed: int, say: Callable[[str], None]
) -> tuple[Spell, ...]:
    """Let ``length`` seconds of traffic pass; give all that fired, oldest first.

    Raises RehearsalError if no rules are loaded, or Prometheus stops answering.
    """
    answer: Any = ask(f"{stage.prometheus}/api/v1/rules?type=alert")
    loaded = sum(len(group["rules"]) for group in answer["data"]["groups"])
    if not loaded:
        raise RehearsalError(f"{stage.prometheus} has no alerts: are the rules loaded?")
    faults = noise(seed, stage.venues, length)
    say(f"{len(faults)} disturbances over {length:.0f} s, {loaded} alerting rules")
    begun = time.monotonic()
    firing: dict[frozenset[tuple[str, str]], Spell] = {}
    over: list[Spell] = []
    seen, said = begun, begun
    with _in_force(stage, faults):
        while (now := time.monotonic()) - begun < length:
            try:
                current = _firing(stage)
                seen = now
            except RehearsalError:
                if now - seen > _BLIND:
                    raise
                current = set(firing)
            passed = now - begun
            for key in current - set(firing):
                firing[key] = _spell(dict(key), passed)
                say(f"  {clock(passed)} fires: {text(firing[key])}")
            for key in set(firing) - current:
                spell = firing.pop(key)
                say(f"  {clock(passed)} ended: {text(spell)}")
                over.append(_ended(spell, passed))
            if now - said >= _PROGRESS:
                said = now
                say(f"  {clock(passed)} of {clock(length)}, {len(over) + len(firing)} fired so far")
            time.sleep(min(_PACE, max(0.0, begun + length - time.monotonic())))
    return tuple(sorted((*over, *firing.values()), key=lambda spell: spell.start))


def kept(spells: Sequence[Spell]) -> bool:
    """Return whether the promise holds: nothing critical, at most one warning, muted or not."""
    severities = [spell.severity for spell in spells]
    return "critical" not in severities and severities.count("warning") <= 1


def text(spell: Spell) -> str:
    """Format a spell: severity, name and the labels that tell it from others."""
    plain = {"alertname", "severity", "category", "job", "instance"}
    labels = ", ".join(f"{k}={v}" for k, v in sorted(spell.labels.items()) if k not in plain)
    return f"{spell.severity} {spell.alert} {{{labels}}}"


def clock(seconds: float) -> str:
    """Format seconds as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _firing(stage: RehearsalStage) -> set[frozenset[tuple[str, str]]]:
    answer: Any = ask(f"{stage.prometheus}/api/v1/alerts")
    return {
        frozenset(alert["labels"].items())
        for alert in answer["data"]["alerts"]
        if alert["state"] == "firing" and alert["labels"]["alertname"] != "Watchdog"
    }


def _spell(labels: Mapping[str, str], at: float) -> Spell:
    return Spell(
        alert=labels["alertname"],
        severity=labels.get("severity", ""),
        labels=labels,
        start=at,
        end=None,
    )


def _ended(spell: Spell, at: float) -> Spell:
    return Spell(
        alert=spell.alert,
        severity=spell.severity,
        labels=spell.labels,
        start=spell.start,
        end=at,
    )


@contextmanager
def _in_force(stage: RehearsalStage, faults: Sequence[Fault]) -> Iterator[None]:
    """Post the faults, each with its time; take away what is left of them when leaving."""
    numbers = inject(stage.simulator, faults)
    try:
        yield
    finally:
        withdraw(stage.simulator, numbers)
