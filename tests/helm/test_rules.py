"""The rules that the chart brings are the project's, and their changes do what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.helm.engine import CHART, Manifest, RefusedError, manifests, values_of

RULES = ROOT / "alert_rules"
PROJECT = sorted(set(RULES.glob("*.yml")) - {RULES / "alertmanager.yml"})


def _rules(**values: Any) -> list[Manifest]:
    found = manifests({"prometheusRule": {"enabled": True} | values})
    return [each for each in found if each["kind"] == "PrometheusRule"]


def _alerts(found: list[Manifest], name: str) -> list[Manifest]:
    return [
        rule
        for manifest in found
        for group in manifest["spec"]["groups"]
        for rule in group["rules"]
        if rule.get("alert") == name
    ]


def test_they_are_the_projects() -> None:
    """Without changes each PrometheusRule says what its file in alert_rules/ says."""
    rendered = {each["metadata"]["name"]: each["spec"] for each in _rules()}
    original = {
        f"rel-exchange-exporter-{file.stem.replace('_', '-')}": yaml.safe_load(
            file.read_text(encoding="utf-8")
        )
        for file in PROJECT
    }
    assert rendered == original


def test_switches_by_file() -> None:
    """Every file has its switch, and switched off it is away."""
    for file in PROJECT:
        names = {each["metadata"]["name"] for each in _rules(files={file.stem: False})}
        assert len(names) == len(PROJECT) - 1
        assert f"rel-exchange-exporter-{file.stem.replace('_', '-')}" not in names


def test_changes_of_single_alerts() -> None:
    """A change reaches the alert it names, that one only, and keeps the rest of it."""
    before = _rules()
    after = _rules(
        overrides={
            "ExchangeLatencyHigh": {"threshold": 0.25, "for": "10m"},
            "ExchangePriceDivergence/2": {"severity": "warning", "labels": {"desk": "7"}},
            "ExchangeDown": {"replace": {"> 0.5 *": "> 0.66 *"}},
            "ExchangeMaintenance": {"enabled": False},
        },
        additionalRuleLabels={"team": "trading"},
    )
    [old], [new] = (_alerts(each, "ExchangeLatencyHigh") for each in (before, after))
    assert new["expr"] == re.sub(r"> [0-9.]+\s*$", "> 0.25", old["expr"]) != old["expr"]
    assert (new["for"], new["labels"]["team"]) == ("10m", "trading")
    assert new["annotations"] == old["annotations"]
    first, second = _alerts(after, "ExchangePriceDivergence")
    assert "desk" not in first["labels"]
    assert (second["labels"]["severity"], second["labels"]["desk"]) == ("warning", "7")
    assert "> 0.66 *" in _alerts(after, "ExchangeDown")[0]["expr"]
    assert _alerts(after, "ExchangeMaintenance") == []
    assert len(_alerts(after, "ExchangeMaintenanceOverrun")) == 1


def test_links_follow() -> None:
    """Runbooks and dashboards can stand elsewhere."""
    found = _rules(runbookBaseUrl="https://wiki/r/", grafanaUrl="https://grafana/")
    [alert] = _alerts(found, "ExchangeDown")
    assert alert["annotations"]["runbook_url"] == "https://wiki/r/ExchangeDown.md"
    assert alert["annotations"]["dashboard_url"].startswith("https://grafana/d/exobs-exchange?")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"Nope": {"for": "1m"}}, 'found "Nope", expected the name of an alert'),
        ({"ExchangeDown/2": {"for": "1m"}}, 'found "ExchangeDown/2", but there are 1'),
        ({"ExchangeDown": {"threshold": 0.6}}, "does not end with a threshold, use replace"),
        ({"ExchangeEndpointDown": {"threshold": 1}}, "does not end with a threshold"),
        ({"ExchangePriceDivergence": {"threshold": 1}}, "name one of them"),
        ({"ExchangeDown": {"replace": {"> 0.7 *": "1"}}}, 'found no "> 0.7 *" in'),
    ],
)
def test_changes_that_reach_nothing_are_refused(overrides: dict[str, Any], words: str) -> None:
    """A change that would silently do nothing, or too much, is an error."""
    with pytest.raises(RefusedError) as refused:
        _rules(overrides=overrides)
    assert words in str(refused.value)


@pytest.mark.parametrize("example", ["rules", "everything"])
def test_promtool_passes_them(example: str, tmp_path: Path) -> None:
    """What the cluster's Prometheus would load passes `promtool check rules`, changes included."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is missing: apt-get install prometheus")
    found = manifests(values_of(CHART / "ci" / f"{example}-values.yaml"))
    files = []
    for each in found:
        if each["kind"] == "PrometheusRule":
            files.append(tmp_path / f"{each['metadata']['name']}.yml")
            files[-1].write_text(yaml.safe_dump(each["spec"]), encoding="utf-8")
    assert len(files) >= len(PROJECT)
    done = subprocess.run(
        [promtool, "check", "rules", *files],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_fit_an_apply() -> None:
    """Every object stays below the 256 KiB that `kubectl apply` may keep beside it."""
    for each in manifests(values_of(CHART / "ci" / "everything-values.yaml")):
        size = len(yaml.safe_dump(each))
        assert size < 256 * 1024, (each["kind"], each["metadata"]["name"], size)
