"""An upgrade never touches what a cluster forbids to change."""

from __future__ import annotations

from typing import Any

from tests.helm.engine import CHART, EXAMPLES, Manifest, manifests, pods, values_of


def _fixed(found: list[Manifest]) -> dict[tuple[str, str], object]:
    """Give what is immutable, by kind and name: selectors, volume claims, the Service's name."""
    return {
        (each["kind"], each["metadata"]["name"]): (
            each["spec"]["selector"],
            each["spec"].get("volumeClaimTemplates"),
            each["spec"].get("serviceName"),
            each["spec"].get("podManagementPolicy"),
        )
        for each, _ in pods(found)
        if each["kind"] != "Pod"
    }


def test_selectors_are_the_ones_of_version_1() -> None:
    """These words stand in clusters since the chart's first version: they must never change."""
    relay = {"enabled": True, "configExistingSecret": "r"}
    found = manifests({"relay": relay, "persistence": {"enabled": True}})
    assert {name: fixed[0] for name, fixed in _fixed(found).items()} == {  # type: ignore[index]
        ("StatefulSet", "rel-exchange-exporter"): {
            "matchLabels": {
                "app.kubernetes.io/name": "exchange-exporter",
                "app.kubernetes.io/instance": "rel",
            }
        },
        ("StatefulSet", "rel-exchange-exporter-relay"): {
            "matchLabels": {
                "app.kubernetes.io/name": "exchange-exporter-relay",
                "app.kubernetes.io/instance": "rel",
            }
        },
    }


def test_no_value_changes_what_is_fixed() -> None:
    """Going from any example's values to other labels, tags, configs and sizes keeps it."""
    changes: dict[str, Any] = {
        "commonLabels": {"team": "other", "app.kubernetes.io/name": "theirs"},
        "podLabels": {"app.kubernetes.io/instance": "theirs"},
        "image": {"tag": "v9.9.9"},
        "config": {"exchanges": [{"venue": "okx", "symbols": ["ETH-USDT"]}]},
        "resources": {"requests": {"cpu": "1"}},
        "releaseLabel": True,
    }
    for example in EXAMPLES:
        values = values_of(example)
        assert _fixed(manifests(values | changes)) == _fixed(manifests(values)), example.name


def test_more_shards_keep_the_first() -> None:
    """Adding shards to a sharded release changes only their number."""
    values = values_of(CHART / "ci" / "shards-values.yaml")
    assert _fixed(manifests(values | {"shards": 8})) == _fixed(manifests(values))


def test_pods_carry_their_selectors() -> None:
    """The labels of every pod template hold its selector's, whatever users add."""
    for example in EXAMPLES:
        for each, _ in pods(manifests(values_of(example))):
            if each["kind"] != "Pod":
                labels = each["spec"]["template"]["metadata"]["labels"]
                assert each["spec"]["selector"]["matchLabels"].items() <= labels.items()
