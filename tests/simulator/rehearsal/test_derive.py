"""Derived configs: shorter waits, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from exporter.simulator.rehearsal import RehearsalError, at_sites, derive, load
from tests.alert_rules.rules import FOLDER, RULE_FILES


@pytest.mark.parametrize(
    ("expr", "shortened"),
    [
        ("rate(a[5m]) > 0.1", "rate(a[30000ms]) > 0.1"),
        ("max_over_time(a[30s]) == 0", "max_over_time(a[6000ms]) == 0"),
        ("last_over_time(a[5s])", "last_over_time(a[5000ms])"),
        ("avg_over_time(a[1h] offset 5m)", "avg_over_time(a[360000ms] offset 30000ms)"),
        ('a{b="[x]"} > 120', 'a{b="[x]"} > 120'),
    ],
)
def test_only_windows_shrink(expr: str, shortened: str) -> None:
    """Ranges and offsets are divided, down to what a rate needs; thresholds stay as they are."""
    assert derive.expression(expr, 10.0) == shortened


def test_a_factor_of_one_changes_no_rule(tmp_path: Path) -> None:
    """What is rehearsed without compression is what is shipped."""
    written = derive.rules(FOLDER, tmp_path, 1.0)
    assert [path.name for path in written] == [path.name for path in RULE_FILES]
    for path in RULE_FILES:
        assert yaml.safe_load((tmp_path / path.name).read_text()) == yaml.safe_load(
            path.read_text()
        )


def test_every_wait_shrinks_and_no_name_changes(tmp_path: Path) -> None:
    """Holds, keeps and intervals are divided; alerts, labels and annotations are the shipped."""
    for path in derive.rules(FOLDER, tmp_path, 10.0):
        shipped = yaml.safe_load((FOLDER / path.name).read_text())["groups"]
        for group, before in zip(yaml.safe_load(path.read_text())["groups"], shipped, strict=True):
            assert 1.0 <= derive.seconds(group["interval"]) <= derive.seconds(before["interval"])
            for rule, old in zip(group["rules"], before["rules"], strict=True):
                assert {k: rule[k] for k in rule if k not in _WAITS} == {
                    k: old[k] for k in old if k not in _WAITS
                }
                if "for" in old:
                    hold, shipped_hold = derive.seconds(rule["for"]), derive.seconds(old["for"])
                    assert hold == max(shipped_hold / 10, min(shipped_hold * 0.3, 6.0))


_WAITS = {"expr", "for", "keep_firing_for"}


def test_a_folder_without_rules_is_refused(tmp_path: Path) -> None:
    """A wrong --rules is said at once."""
    with pytest.raises(RehearsalError, match="no files of rules"):
        derive.rules(tmp_path, tmp_path, 10.0)


def test_alertmanager_tells_the_hook_only() -> None:
    """No rehearsal reaches the relay, and no hour mutes it."""
    text = derive.alertmanager(FOLDER / "alertmanager.yml", "http://127.0.0.1:1", 10.0)
    config = yaml.safe_load(text)
    urls = [
        each["url"]
        for receiver in config["receivers"]
        for each in receiver.get("webhook_configs", [])
    ]
    assert urls == [f"http://127.0.0.1:1/{name}" for name in ("page", "chat", "heartbeat")]
    assert derive.seconds(config["route"]["group_wait"]) == 6.0
    assert not [route for route in config["route"]["routes"] if "mute_time_intervals" in route]


def test_short_learning_is_made_up_for_where_anomalies_are_rehearsed() -> None:
    """Only the judged exchange is twice as sensitive, and only where time is compressed."""
    places = dict.fromkeys(
        ("okx", derive.JUDGED_VENUE, derive.CONTROL_VENUE), ("http://a", "ws://b")
    )
    watched = ("okx", derive.JUDGED_VENUE)
    for factor, keen in ((1.0, []), (20.0, [derive.JUDGED_VENUE])):
        (place,) = at_sites(watched, 1, factor)
        text = derive.exporter(places, watched, factor, keen=place.keen)
        found = yaml.safe_load(text)["exchanges"]
        assert [each["venue"] for each in found if "signals" in each] == keen
    plan = load(FOLDER / "rehearsals" / "exchanges.yml")
    assert plan.scenarios["ExchangeAnomalyCorroborated"].venues == (derive.JUDGED_VENUE,)
