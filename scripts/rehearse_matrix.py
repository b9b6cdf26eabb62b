# ruff: noqa: T201 - it prints to a person
"""Rehearse pages at the shipped windows: outages of 20 s to 20 min, each twice, push and rules.

Every outage must be told once, its end once, and nothing else in the 20 minutes after it, then it
comes again; what the exporter pushes must be at Alertmanager within 5 s of its verdict. For each
length there are an exporter whose exchanges fail one by one, and one whose exchanges fail together,
all with jobs of their own, so that all goes on at the same time: about an hour and a half. The
newer programs are used where they are first in PATH.

usage: rehearse_matrix.py [MINUTES]   judge after so many minutes, whatever goes on
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from exporter import config as settings
from exporter import venues
from exporter.cli._promise import told_within
from exporter.simulator.rehearsal import Place, RehearsalError, RehearsalStage, own, told
from exporter.simulator.rehearsal.talk import ask, has_result, inject, text, withdraw

RULES = Path(__file__).resolve().parent.parent / "alert_rules"
LENGTHS = (20.0, 90.0, 240.0, 1200.0)  # seconds
ROUNDS = 2
QUIET = 1200.0  # seconds after an outage in which nothing may be told but its end
PUSHED = 5.0  # seconds from the verdict to Alertmanager
SETTLED = 60.0  # seconds that exporters run before the first fault
# Detectors learn for so long at least what is usual, and as in `rehearse` are twice as sensitive.
LEARNT = 420.0
JOB = "exchange-exporter"
DOWN, STREAM_DOWN = "ExchangeDown", "ExchangeStreamDown"
ALL_DOWN, ODD = "ExchangeAllDown", "ExchangeAnomalyCorroborated"
STREAM_TOLD = 60.0  # docs/alerting.md
# By length: who goes down, whose stream is lost and at which path it is asked for, who is slow.
APART = (
    ("binance", ("okx", "*ws*"), "coinbase"),
    ("bybit", ("okx", "*ws*"), "binance_us"),
    ("coinbase", ("binance_us", "*stream*"), "bybit"),
    ("kucoin", ("okx", "*ws*"), "binance"),
)
Fault = Mapping[str, Any]
TOGETHER = (("binance", "bybit"), ("okx", "coinbase"), ("bybit", "kucoin"), ("okx", "binance"))


@dataclass(slots=True, kw_only=True)
class Outage:
    """What strikes again and again: as what it is to be told, of whom ("" for all), its faults.

    ``begun`` and ``over`` are moments (monotonic) of each round; ``verdicts`` and ``arrived``, by
    round, seconds from the beginning until the exporter knew it, and until Alertmanager did.
    """

    alert: str
    exchange: str
    seconds: float
    job: str
    simulator: str
    exporter: str
    faults: Sequence[Fault]
    begun: list[float] = field(default_factory=list)
    over: list[float] = field(default_factory=list)
    verdicts: dict[int, float] = field(default_factory=dict)
    arrived: dict[int, float] = field(default_factory=dict)
    ids: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.alert} {self.exchange or 'all'} {self.seconds:.0f} s"

    def update(self, now: float, fires: bool) -> None:
        """Begin or end a round if it is time; ``fires``: Alertmanager has the alert."""
        running = len(self.begun) > len(self.over)
        if running and now >= self.begun[-1] + self.seconds:
            withdraw(self.simulator, self.ids)
            self.over.append(now)
        elif not running and len(self.begun) < ROUNDS:
            if self.over and (fires or now < self.over[-1] + QUIET):
                return
            self.begun.append(time.monotonic())
            self.ids = inject(self.simulator, self.faults)
            say(f"{self}: round {len(self.begun)} begins")

    def observe(self, now: float, fires: bool) -> None:
        """Note when the exporter and Alertmanager know of the outage of this round."""
        if not self.begun or (len(self.over) == len(self.begun) and not fires):
            return
        number, since = len(self.begun), now - self.begun[-1]
        unknown = self.alert != STREAM_DOWN and number not in self.verdicts
        if unknown and (self.alert, self.exchange) in pushed(text(f"{self.exporter}/metrics")):
            self.verdicts[number] = since
        if fires:
            self.arrived.setdefault(number, since)


def say(words: str) -> None:
    """Print with the time."""
    print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)


def places() -> list[Place]:
    """Return those of outages of one exchange, by length, then those of all together."""
    found = [
        Place(venues=(down, stream, slow), labels={"job": f"{JOB}-{n}"}, keen=(slow,))
        for n, (down, (stream, _), slow) in enumerate(APART, 1)
    ]
    found += [
        Place(venues=all_of, labels={"job": f"{JOB}-{n}"}) for n, all_of in enumerate(TOGETHER, 5)
    ]
    found[0] = Place(venues=found[0].venues, labels={"job": JOB}, keen=found[0].keen)
    return found


def outages(stage: RehearsalStage, jobs: Sequence[str]) -> Iterator[Outage]:
    """Yield all that is to go on."""
    where = list(zip(jobs, stage.simulators, stage.exporters, strict=True))
    for seconds, (down, (stream, path), slow), (job, simulator, exporter) in zip(
        LENGTHS, APART, where[:4], strict=True
    ):
        apart: tuple[tuple[str, str, list[Fault]], ...] = (
            (DOWN, down, [{"fault": "error", "venue": down, "status": 503}]),
            (STREAM_DOWN, stream, [
                {"fault": "timeout", "venue": stream, "endpoint": path},
                {"fault": "disconnect", "venue": stream, "code": 1006},
            ]),
            (ODD, slow, [
                {"fault": "latency", "venue": slow, "endpoint": "*", "seconds": 0.9},
                {"fault": "latency", "venue": slow, "channel": "*", "seconds": 0.9},
            ]),
        )  # fmt: skip
        for alert, exchange, faults in apart:
            yield Outage(alert=alert, exchange=exchange, seconds=seconds, job=job,
                         simulator=simulator, exporter=exporter, faults=faults)  # fmt: skip
    for seconds, all_of, (job, simulator, exporter) in zip(
        LENGTHS, TOGETHER, where[4:], strict=True
    ):
        every: list[Fault] = [{"fault": "timeout", "venue": each} for each in all_of]
        every += [{"fault": "disconnect", "venue": each, "code": 1006} for each in all_of]
        yield Outage(alert=ALL_DOWN, exchange="", seconds=seconds, job=job,
                     simulator=simulator, exporter=exporter, faults=every)  # fmt: skip


def promised(outage: Outage) -> float:
    """Return within how many seconds an outage is to be told, as `check` and the docs say."""
    if outage.alert == STREAM_DOWN:
        return STREAM_TOLD
    if outage.alert != DOWN:
        return inf
    config = settings.read(
        f"exchanges: [{{venue: {outage.exchange}, symbols: [BTC-USDT]}}]",
        outage.exchange, venues.names(), venues.load, {},
    )  # fmt: skip
    return told_within(config.exchanges[0], venues.load(outage.exchange), config) or inf


def firing(stage: RehearsalStage) -> dict[str, dict[str, str]]:
    """Return the labels of what fires at Alertmanager, by fingerprint."""
    answer: Any = ask(f"{stage.alertmanager}/api/v2/alerts")
    return {each["fingerprint"]: each["labels"] for each in answer}


def learnt(stage: RehearsalStage, outage: Outage) -> bool:
    """Return whether detectors know what is usual of the latencies that are to rise."""
    which = f'job="{outage.job}",exchange="{outage.exchange}",signal=~"(probe|stream)_latency"'
    return has_result(stage.prometheus, f"sum(exchange_anomaly_ready{{{which}}}) == 2")


def pushed(page: str) -> set[tuple[str, str]]:
    """Return the alerts, with their exchange, that an exporter's page says it pushes."""
    lines = (line for line in page.splitlines() if line.startswith("exchange_exporter_alert_act"))
    labels = (
        dict(pair.split("=", 1) for pair in line[31 : line.rindex("}")].split(","))
        for line in lines
    )
    return {(each["alert"].strip('"'), each["exchange"].strip('"')) for each in labels}


def judge(
    outage: Outage, news: Sequence[told.News], names: Mapping[str, Mapping[str, str]], now: float
) -> Iterator[str]:
    """Say what was told of an outage; yield what is wrong."""
    own_news = [
        (at, alert)
        for at, alert in news
        if alert.name == outage.alert and key_of(names.get(alert.fingerprint, {})) == key(outage)
    ]
    for number, begun in enumerate(outage.begun, 1):
        what = f"{outage}, round {number}"
        over = outage.over[number - 1] if number <= len(outage.over) else inf
        until = outage.begun[number] if number < len(outage.begun) else inf
        mine = [(at, alert) for at, alert in own_news if begun <= at < until]
        starts = [at - begun for at, alert in mine if alert.firing]
        ends = [at - over for at, alert in mine if not alert.firing]
        verdict, arrived = outage.verdicts.get(number), outage.arrived.get(number)
        say(f"{what}: told after {_all(starts)}, its end {_all(ends)} after the end, verdict after "
            f"{_all([verdict])}, at Alertmanager {_all([arrived])}, "
            f"heard for {now - over:.0f} s more")  # fmt: skip
        # An exchange of several streams has an alert for each of them.
        each = {alert.fingerprint for _, alert in mine}
        counts = [
            tuple(
                sum(alert.fingerprint == one and alert.firing is fires for _, alert in mine)
                for fires in (True, False)
            )
            for one in each
        ]
        if any(count != (1, 1) for count in counts) or (outage.seconds > 60 and not counts):
            yield f"{what}: told {len(starts)} times, its end {len(ends)} times"
        if starts and starts[0] > promised(outage):
            yield f"{what}: told after {starts[0]:.1f} s, promised within {promised(outage):.0f} s"
        if starts and outage.alert != STREAM_DOWN and verdict is None:
            yield f"{what}: told, and never seen on the exporter's own page"
        if verdict is not None and (arrived or inf) > verdict + PUSHED:
            yield f"{what}: verdict after {verdict:.1f} s, at Alertmanager after {arrived}"
        if now - over < QUIET:
            yield f"{what}: listened for {now - over:.0f} s only"
    if len(outage.begun) < ROUNDS:
        yield f"{outage}: only {len(outage.begun)} rounds"


def _all(seconds: Sequence[float | None]) -> str:
    return ", ".join("-" if each is None else f"{each:.1f}" for each in seconds) + " s"


def key(outage: Outage) -> tuple[str, str, str]:
    """Return what tells an outage's alert from others."""
    return outage.alert, outage.job, outage.exchange


def key_of(labels: Mapping[str, str]) -> tuple[str, str, str]:
    """Return the same of an alert."""
    return labels.get("alertname", ""), labels.get("job", ""), labels.get("exchange", "")


def beside(
    all_of: Sequence[Outage], news: Sequence[told.News], names: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """Say what was told beside the outages; yield what should not have been."""
    expected = {key(each) for each in all_of}
    for at, alert in news:
        labels = names.get(alert.fingerprint, {})
        if key_of(labels) not in expected:
            say(f"  beside: {at:.0f} s {'fires' if alert.firing else 'ends'} {dict(labels)}")
            if alert.severity != "info" and alert.firing:
                yield f"told beside: {alert.name} {labels.get('job')} {labels.get('exchange', '')}"


def play(stage: RehearsalStage, all_of: Sequence[Outage], limit: float) -> Iterator[str]:
    """Play all rounds, for at most ``limit`` seconds; yield what is wrong."""
    if stage.told is None:
        raise RehearsalError("only programs of its own tell what people were told")
    names: dict[str, dict[str, str]] = {}
    start = time.monotonic()
    try:
        while (now := time.monotonic()) < start + limit:
            found = firing(stage)
            names |= found
            there = {key_of(labels) for labels in found.values()}
            for each in all_of:
                each.observe(now, key(each) in there)
                known = each.alert != ODD or each.begun
                if known or (now > start + LEARNT and learnt(stage, each)):
                    each.update(now, key(each) in there)
            if all(len(each.over) == ROUNDS and now > each.over[-1] + QUIET for each in all_of):
                break
            time.sleep(0.5)
    finally:
        for each in all_of:
            withdraw(each.simulator, each.ids)
    news = [(at, alert) for at, alert in told.changes(stage.told()) if at >= start]
    for each in all_of:
        yield from judge(each, news, names, now)
    yield from beside(all_of, [(at - start, alert) for at, alert in news], names)


def main(minutes: float = 150.0) -> int:
    """Play; return the exit status."""
    everywhere = places()
    jobs = [place.labels["job"] for place in everywhere]
    with own(RULES, 1.0, everywhere, say) as stage:
        while not has_result(stage.prometheus, f"count(up == 1) == {len(jobs)}"):
            time.sleep(1.0)
        time.sleep(SETTLED)
        complaints = list(play(stage, list(outages(stage, jobs)), 60.0 * minutes))
    for each in complaints:
        say(f"FAIL {each}")
    say("FAIL" if complaints else "pass")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:])))
