"""Pushed alerts are the rules' alerts: the same labels, and the same texts where they are fixed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.anomaly.alerts import AlertOrigin, Claim, all_down, anomalies, down
from exporter.signals import Change, Evidence, Series, Severity, Verdict

RULES = Path(__file__).parents[2] / "alert_rules"
ORIGIN = AlertOrigin(site="tokyo", external={"cluster": "a", "severity": "never mine"})
VERDICT = Verdict(
    series=Series("okx", "probe_latency"),
    change=Change.OPENED,
    severity=Severity.WARNING,
    time=110.0,
    since=100.0,
    evidence=Evidence(value=1.0, center=0.1, lower=0.0, upper=0.2, score=1.2, detectors={}),
    sentence="okx: median probe latency is 1 s",
)


def _rule(name: str) -> dict[str, Any]:
    groups = [
        group
        for file in ("anomalies.yml", "availability.yml")
        for group in yaml.safe_load((RULES / file).read_text())["groups"]
    ]
    rules = [rule for group in groups for rule in group["rules"] if rule.get("alert") == name]
    (rule,) = rules
    return dict(rule)


def _claims() -> list[tuple[Claim, set[str]]]:
    spread = replace(VERDICT, series=Series("okx", "spread"), since=105.0)
    alone, _, together = anomalies(ORIGIN, [VERDICT, spread])
    return [
        (alone, {"job", "site", "exchange", "signal"}),
        (together, {"job", "exchange"}),
        (down(ORIGIN, "okx", 1.0, streams=True), {"job", "exchange"}),
        (all_down(ORIGIN, 0.8, 1.0), {"job", "site"}),
    ]


@pytest.mark.parametrize(
    ("claim", "level"), _claims(), ids=["alone", "corroborated", "down", "all down"]
)
def test_labels_equal_those_of_the_rule(claim: Claim, level: set[str]) -> None:
    """Name, the rule's own labels, the labels its expression keeps, and external ones: no more."""
    rule = _rule(claim.labels["alertname"])
    fixed = {name: claim.labels[name] for name in rule["labels"]}
    assert fixed == rule["labels"]
    assert claim.labels.keys() == {"alertname", "cluster", *rule["labels"], *level}
    assert claim.annotations.keys() == rule["annotations"].keys()
    for name, text in rule["annotations"].items():
        if name != "description":
            text = text.replace("{{ $labels.exchange }}", "okx")
            assert claim.annotations[name] == text


def test_fewer_messages_and_more_time_between_them_are_one_observation() -> None:
    """A stream that falls silent shows in both, and neither confirms the other."""
    both = [
        replace(VERDICT, series=Series("okx", each)) for each in ("message_rate", "inter_arrival")
    ]
    names = [claim.labels["alertname"] for claim in anomalies(ORIGIN, both)]
    assert names == ["ExchangeAnomaly", "ExchangeAnomaly"]


def test_two_percentiles_of_one_quantity_do_not_corroborate_each_other() -> None:
    """A median and a 95th percentile are one signal; a spread beside them is a second."""
    p95 = replace(VERDICT, series=Series("okx", "probe_latency_p95"))
    names = [claim.labels["alertname"] for claim in anomalies(ORIGIN, [VERDICT, p95])]
    assert names == ["ExchangeAnomaly"] * 2
    spread = replace(VERDICT, series=Series("okx", "spread"), since=105.0)
    *_, last = anomalies(ORIGIN, [VERDICT, p95, spread])
    assert (last.labels["alertname"], last.start) == ("ExchangeAnomalyCorroborated", 105.0)
    elsewhere = replace(VERDICT, series=Series("bybit", "spread"))
    assert len(list(anomalies(ORIGIN, [VERDICT, elsewhere]))) == 2
