"""The unit tests notice broken rules: a few mutants here, all of them by scripts/mutate_rules."""

from __future__ import annotations

import random

import pytest

from tests.alert_rules.mutation import Mutant, killed, mutants
from tests.alert_rules.rules import RULE_FILES, load
from tests.live.programs import program

QUICK = {"limits.yml", "pipeline.yml", "exporter.yml"}
SAMPLE = 10


def test_most_mutants_of_a_sample_are_noticed() -> None:
    """Of ten mutants of the quick files at least eight fail a unit test."""
    program("promtool", "prometheus")
    chosen = random.Random(5).sample([each for each in mutants() if each.file in QUICK], SAMPLE)
    survivors = [str(each) for each in chosen if not killed(each)]
    assert len(survivors) <= SAMPLE // 5, survivors


@pytest.mark.parametrize(
    ("file", "name"), [("limits.yml", "ExchangeBanned"), ("pipeline.yml", None)]
)
def test_an_unchanged_rule_is_no_mutant(file: str, name: str | None) -> None:
    """The reduced rules and tests that mutants are tried with pass by themselves."""
    program("promtool", "prometheus")
    path = next(each for each in RULE_FILES if each.name == file)
    group = load(path)["groups"][0]["rules"]
    place = next(n for n, entry in enumerate(group) if name in (None, entry["alert"]))
    entry = group[place]
    same = Mutant(file, 0, place, entry["alert"], "none", "none", "expr", entry["expr"])
    assert not killed(same)


def test_a_mutant_is_one_change_of_each_kind() -> None:
    """Thresholds, waits, windows, matchers, operators and groupings are all tried."""
    found = mutants()
    assert {each.kind for each in found} == {
        "threshold", "factor", "operator", "set", "aggregation", "window", "offset", "matcher",
        "grouping", "for", "keep_firing_for",
    }  # fmt: skip
    assert len({(m.file, m.group, m.place, m.key, m.value) for m in found}) > 0.97 * len(found)
    assert not any("> 14 " in each.what for each in found), "a number is taken whole"
