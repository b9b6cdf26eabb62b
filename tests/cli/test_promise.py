"""Times that are promised follow from the config and the shipped rules."""

from __future__ import annotations

import re

import pytest
import yaml

from exporter import config as settings
from exporter import venues
from exporter.cli import _promise as promise
from exporter.simulator.rehearsal import load as load_plan
from exporter.simulator.rehearsal.derive import seconds
from exporter.simulator.rehearsal.judge import late
from exporter.simulator.rehearsal.scenarios import Scenario
from tests.alert_rules.rules import FOLDER, alerts, load
from tests.conftest import ROOT


def told(text: str) -> float | None:
    """Return within how long the first exchange of a config is told to be down."""
    config = settings.read(text, "c.yml", venues.names(), venues.load, {})
    first = config.exchanges[0]
    return promise.told_within(first, venues.load(first.venue), config)


def test_what_follows_a_probe_is_as_shipped() -> None:
    """Scrape, evaluation, hold and wait are those of the files that users take."""
    scraped = yaml.safe_load((ROOT / "provisioning" / "prometheus.yml").read_text())
    assert seconds(scraped["global"]["scrape_interval"]) == promise.SCRAPE
    (rule,) = (alert for alert in alerts() if alert.name == "ExchangeDown")
    assert seconds(rule.hold) == promise.HOLD
    (group,) = (
        group for group in load(FOLDER / "availability.yml")["groups"]
        if any(each.get("alert") == "ExchangeDown" for each in group["rules"])
    )  # fmt: skip
    assert seconds(group["interval"]) == promise.EVALUATION
    config = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())
    wanted = {'severity="critical"', 'category="availability"'}
    (route,) = (each for each in config["route"]["routes"] if set(each["matchers"]) == wanted)
    assert seconds(route["group_wait"]) == promise.GROUP_WAIT


@pytest.mark.parametrize(
    ("text", "within"),
    [
        # One endpoint: 10 s until its probe, 5 s for its timeout, and 35 s.
        ("exchanges: [{venue: okx, symbols: [BTC-USDT], endpoints: [{name: time}]}]", 50.0),
        # Another that is asked every 30 s only, so out of turn: 1 s and its timeout.
        ("exchanges: [{venue: bybit, symbols: [BTC-USDT]}]", 56.0),
        # And this one at most every 5.5 s.
        ("exchanges: [{venue: okx, symbols: [BTC-USDT]}]", 61.5),
        ("{probes: {interval: 5s, timeout: 2s}, exchanges: [{venue: okx, symbols: [BTC-USDT]}]}",
         50.5),
        ("exchanges: [{venue: okx, symbols: [BTC-USDT], endpoints: [{name: time, interval: 1m}]}]",
         100.0),
    ],
)  # fmt: skip
def test_a_promise_is_the_sum_of_all_that_must_pass(text: str, within: float) -> None:
    """Slower probes, longer timeouts and what a venue makes us wait come on top."""
    assert told(text) == pytest.approx(within)


def test_an_exchange_without_endpoints_is_promised_nothing() -> None:
    """Streams alone never say that an exchange is down."""
    assert told("exchanges: [{venue: okx, symbols: [BTC-USDT], endpoints: []}]") is None


def test_rehearsals_hold_the_page_to_its_promise() -> None:
    """What a rehearsal allows at the shipped windows is what follows from the venue's endpoints."""
    scenario = load_plan(FOLDER / "rehearsals" / "exchanges.yml").scenarios["ExchangeDown"]
    venue = scenario.faults[0]["venue"]
    assert scenario.told == told(f"exchanges: [{{venue: {venue}, symbols: [BTC-USDT]}}]")


def test_a_lost_stream_is_told_within_what_the_docs_promise() -> None:
    """Look-back, evaluation, hold and wait are 60 s together, and never less than an exchange's.

    The scrape is part of the look-back: that reaches from the last sample that was connected.
    """
    (rule,) = (alert for alert in alerts() if alert.name == "ExchangeStreamDown")
    (looks_back,) = re.findall(r"stream_connected\[(\w+)\]", rule.expr)
    (group,) = (
        group for group in load(FOLDER / "streams.yml")["groups"]
        if any(each.get("alert") == "ExchangeStreamDown" for each in group["rules"])
    )  # fmt: skip
    config = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())
    (route,) = (
        each for each in config["route"]["routes"] if each["matchers"] == ['severity="critical"']
    )
    least = sum(map(seconds, (looks_back, rule.hold, route["group_wait"]))) - promise.SCRAPE
    scenario = load_plan(FOLDER / "rehearsals" / "exchanges.yml").scenarios["ExchangeStreamDown"]
    assert scenario.told == least + promise.SCRAPE + seconds(group["interval"])
    assert f"`ExchangeStreamDown` leaves within {scenario.told:.0f} s" in (
        ROOT / "docs" / "alerting.md"
    ).read_text(encoding="utf-8")
    down = told("exchanges: [{venue: binance, symbols: [BTC-USDT]}]")
    assert down is not None
    assert least >= down - promise.GROUP_WAIT - 1.0


@pytest.mark.parametrize(
    ("factor", "told_after", "complaint"),
    [
        (1.0, 55.9, []),
        (1.0, 56.1, ["told after 56.1 s, promised within 56 s"]),
        (20.0, 56.1, []),
        (1.0, None, []),
    ],
)
def test_a_late_page_fails_a_rehearsal(
    factor: float, told_after: float | None, complaint: list[str]
) -> None:
    """A page that comes later than promised is said; shorter windows promise nothing."""
    scenario = Scenario(alert="ExchangeDown", faults=(), told=56.0)
    assert list(late(scenario, factor, told_after)) == complaint


def test_no_endpoint_is_asked_more_often_than_the_venue_allows() -> None:
    """However quick the usual probes are, what the venue paces keeps its pace."""
    text = "{probes: {interval: 500ms, timeout: 400ms}, exchanges: [{venue: okx, symbols: [A-B]}]}"
    config = settings.read(text, "c.yml", venues.names(), venues.load, {})
    venue = venues.load("okx")
    paces = {each.name: each.pace for each in venue.endpoints}
    targets = settings.targets(config.exchanges[0], venue, config.probes)
    assert any(paces[each.endpoint] for each in targets)
    assert all(each.interval > paces[each.endpoint] for each in targets)
