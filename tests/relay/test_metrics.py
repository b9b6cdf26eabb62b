"""The relay's metrics are those of the contract, complete from the start."""

from __future__ import annotations

import re

import pytest

from exporter.metrics.registry import Registry
from exporter.relay.metrics import DeliveryOutcome, RelayMeter, all_families
from tests.conftest import shared
from tests.metrics.test_registry import samples


@pytest.mark.shared
def test_families_keep_the_contract() -> None:
    """Every alert_relay_ metric of the contract is declared, with its kind and bucket count."""
    declared = {family.name: family for family in all_families()}
    found = []
    for row in shared("METRICS.md").read_text().splitlines():
        if not row.startswith("| `alert_relay_"):
            continue
        names, kind, *_ = row.strip("| ").split(" | ")
        kinds = re.findall(r"gauge|counter|histogram", kind)
        for at, name in enumerate(re.findall(r"`(alert_relay_\w+)`", names)):
            found.append(name)
            assert declared[name].kind == kinds[min(at, len(kinds) - 1)], name
            if declared[name].kind == "histogram":
                assert len(declared[name].buckets) == 8, name
    assert len(found) == 11


def test_closed_sets_are_there_at_zero() -> None:
    """A counter that was never raised can still be alerted on."""
    registry = Registry()
    meter = RelayMeter(registry, ["line", "chat"])
    lines = samples(registry, "alert_relay_deliveries_total")
    assert len(lines) == 2 * len(DeliveryOutcome)
    assert all(line.endswith(" 0") for line in lines)
    meter.tried("line", "failed")
    meter.delivered("line", 0.2, 1.7e9)
    meter.quota("line", None, 57)
    assert 'alert_relay_deliveries_total{channel="line",outcome="failed"} 1' in samples(
        registry, "alert_relay_deliveries_total"
    )
    assert samples(registry, "alert_relay_quota_limit") == []
    assert samples(registry, "alert_relay_quota_used") == [
        'alert_relay_quota_used{channel="line"} 57'
    ]
