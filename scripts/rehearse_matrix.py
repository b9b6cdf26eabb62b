# ruff: noqa: T201 - it prints to a person
"""Rehearse pages at the shipped windows: outages of 20 s to 20 min, twice in a row, push and rules.

Every outage must be told once, every end once, and nothing else until 20 minutes after the last
end; what the exporter pushes must be at Alertmanager within 5 s of its verdict. One run takes about
two hours; outages of different exchanges go on at the same time. The newer programs are used where
they are first in PATH.

usage: rehearse_matrix.py exchanges | all_down SECONDS | anomalies
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter import config as settings
from exporter import venues
from exporter.cli._promise import told_within
from exporter.simulator.rehearsal import derive, own, told
from exporter.simulator.rehearsal.stage import RehearsalStage
from exporter.simulator.rehearsal.talk import (
    RehearsalError,
    ask,
    has_result,
    inject,
    text,
    withdraw,
)

RULES = Path(__file__).resolve().parent.parent / "alert_rules"
QUIET = 1200.0  # seconds after the last end in which nobody may be told anything
LONGEST_END = 1800.0  # seconds from the end of an outage to its end being told
PUSHED = 5.0  # seconds from the verdict to Alertmanager
WARM = 1800.0  # seconds in which detectors learn what is usual
DOWN, STREAM_DOWN = "ExchangeDown", "ExchangeStreamDown"
ALL_DOWN, ODD = "ExchangeAllDown", "ExchangeAnomalyCorroborated"


@dataclass(slots=True, kw_only=True)
class Outage:
    """One outage: what it is to be told as, of which exchange ("" for all), and its faults."""

    alert: str
    exchange: str
    seconds: float
    faults: Sequence[Mapping[str, Any]]
    ids: list[int] = field(default_factory=list)
    verdict: float | None = None  # seconds from the start, as are the next two
    arrived: float | None = None
    over: float | None = None

    def __str__(self) -> str:
        return f"{self.alert} {self.exchange or 'all'} {self.seconds:.0f} s"


def outages(what: str, length: float, watched: Sequence[str]) -> list[Outage]:
    """Return what goes on at the same time in one round."""
    if what == "all_down":
        faults: list[dict[str, Any]] = [{"fault": "timeout", "venue": venue} for venue in watched]
        faults += [{"fault": "disconnect", "venue": venue, "code": 1006} for venue in watched]
        return [Outage(alert=ALL_DOWN, exchange="", seconds=length, faults=faults)]
    if what == "anomalies":
        return [
            Outage(alert=ODD, exchange=venue, seconds=seconds, faults=[
                {"fault": "latency", "venue": venue, "endpoint": "*", "seconds": 0.9},
                {"fault": "latency", "venue": venue, "channel": "*", "seconds": 0.9},
            ])
            for venue, seconds in zip(watched, (20.0, 90.0, 240.0, 1200.0), strict=True)
        ]  # fmt: skip
    down = zip(("binance", "bybit", "coinbase", "kucoin"), (20.0, 90.0, 240.0, 1200.0), strict=True)
    streams = zip(("okx", "bitstamp", "binance_futures"), (90.0, 240.0, 1200.0), strict=True)
    return [
        *(Outage(alert=DOWN, exchange=venue, seconds=seconds, faults=[
            {"fault": "error", "venue": venue, "status": 503}]) for venue, seconds in down),
        *(Outage(alert=STREAM_DOWN, exchange=venue, seconds=seconds, faults=[
            {"fault": "timeout", "venue": venue, "endpoint": "*ws*"},
            {"fault": "timeout", "venue": venue, "endpoint": "*stream*"},
            {"fault": "disconnect", "venue": venue, "code": 1006}]) for venue, seconds in streams),
    ]  # fmt: skip


def venues_of(what: str) -> tuple[str, ...]:
    """Return the venues that are watched."""
    every = ("binance", "bybit", "coinbase", "kucoin", "okx", "bitstamp", "binance_futures")
    return {"all_down": every[:3], "anomalies": every[:4]}.get(what, every)


def promised(venue: str) -> float | None:
    """Return within how long an outage of a venue is to be told, as `check` prints it."""
    text = f"exchanges: [{{venue: {venue}, symbols: [BTC-USDT]}}]"
    config = settings.read(text, venue, venues.names(), venues.load, {})
    return told_within(config.exchanges[0], venues.load(venue), config)


def say(words: str) -> None:
    """Print with the time."""
    print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)


def firing(stage: RehearsalStage) -> dict[str, dict[str, str]]:
    """Return the labels of what fires at Alertmanager, by fingerprint."""
    answer: Any = ask(f"{stage.alertmanager}/api/v2/alerts")
    return {
        each["fingerprint"]: each["labels"]
        for each in answer
        if each["labels"]["alertname"] != "Watchdog" and each["labels"].get("severity") != "none"
    }


def pushed(page: str) -> set[tuple[str, str]]:
    """Return the alerts, with their exchange, that an exporter's page says it pushes."""
    lines = (line for line in page.splitlines() if line.startswith("exchange_exporter_alert_act"))
    labels = (dict(pair.split("=", 1) for pair in line[31:-3].split(",")) for line in lines)
    return {(each["alert"].strip('"'), each["exchange"].strip('"')) for each in labels}


def play(stage: RehearsalStage, exporter: str, round_of: list[Outage]) -> Iterator[str]:
    """Play one round to its end; yield what is wrong."""
    names: dict[str, dict[str, str]] = {}
    receiver = stage.told
    if receiver is None:
        raise RehearsalError("only programs of its own tell what people were told")
    begun = time.monotonic()
    for each in round_of:
        each.ids = inject(stage.simulator, each.faults)
    last = begun + max(each.seconds for each in round_of)
    try:
        while True:
            passed = time.monotonic() - begun
            now = firing(stage)
            names |= now
            there = {(one["alertname"], one.get("exchange", "")) for one in now.values()}
            verdicts = pushed(text(exporter))
            for each in round_of:
                key = (each.alert, each.exchange)
                if each.ids and passed >= each.seconds:
                    withdraw(stage.simulator, each.ids)
                    each.ids = []
                if each.verdict is None and key in verdicts:
                    each.verdict = passed
                if each.arrived is None and key in there:
                    each.arrived = passed
            if now or any(each.ids for each in round_of):
                last = time.monotonic()
            if time.monotonic() > last + QUIET or passed > 1200 + LONGEST_END + 2 * QUIET:
                break
            time.sleep(0.5)
    finally:
        for each in round_of:
            withdraw(stage.simulator, each.ids)
    news = [(at - begun, alert) for at, alert in told.changes(receiver()) if at >= begun]
    expected = set()
    for each in round_of:
        of_it = [
            (alert.fingerprint, at, alert.firing)
            for at, alert in news
            if alert.name == each.alert
            and names.get(alert.fingerprint, {}).get("exchange", "") == each.exchange
        ]
        # An exchange of several streams has an alert for each; the first of them stands for all.
        first = next((fingerprint for fingerprint, _, _ in of_it), None)
        mine = [(at, fires) for fingerprint, at, fires in of_it if fingerprint == first]
        expected |= {(each.alert, each.exchange)}
        starts = [f"{at:.1f}" for at, fires in mine if fires]
        ends = [f"{at - each.seconds:.1f}" for at, fires in mine if not fires]
        say(f"{each}: told after {starts}, end told after {ends}, verdict {each.verdict}, "
            f"at Alertmanager {each.arrived}")  # fmt: skip
        if len(starts) != len(ends) or len(starts) > 1 or (each.seconds > 60 and not starts):
            yield f"{each}: told {len(starts)} times, its end {len(ends)} times"
        most = promised(each.exchange) if each.alert == DOWN else None
        if most is not None and starts and float(starts[0]) > most:
            yield f"{each}: told after {starts[0]} s, promised within {most:.0f} s"
        if each.verdict is not None and (each.arrived or 1e9) > each.verdict + PUSHED:
            yield f"{each}: verdict after {each.verdict:.1f} s, pushed only after {each.arrived}"
    for at, alert in news:
        labels = names.get(alert.fingerprint, {})
        if (alert.name, labels.get("exchange", "")) not in expected:
            say(f"  beside it: {at:.0f} s {'fires' if alert.firing else 'ends'} {labels}")
            if alert.severity != "info":
                yield f"told beside it: {alert.name} {labels.get('exchange', '')}"


def main(what: str, length: float = 90.0) -> int:
    """Play two rounds; return the exit status."""
    watched = venues_of(what)
    complaints: list[str] = []
    with own(RULES, 1.0, watched, 1, say) as stage:
        while not has_result(stage.prometheus, 'up{job="exchange-exporter"} == 1'):
            time.sleep(1.0)
        targets: Any = ask(f"{stage.prometheus}/api/v1/targets")
        exporter = targets["data"]["activeTargets"][0]["scrapeUrl"]
        if what == "anomalies":
            learnt = 'exchange_anomaly_ready{signal=~"(probe|stream)_latency"} == 1'
            while not has_result(stage.prometheus, f"count({learnt}) == {2 * len(watched)}"):
                time.sleep(5.0)
            say(f"ready; {WARM:.0f} s more")
            time.sleep(WARM)
        time.sleep(30.0)
        for number in (1, 2):
            say(f"round {number}: {derive.CONTROL_VENUE} stands for the rest of the world")
            found = list(play(stage, exporter, outages(what, length, watched)))
            complaints += found
            say(f"round {number}: {'pass' if not found else 'FAIL: ' + '; '.join(found)}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(float, sys.argv[2:])))
