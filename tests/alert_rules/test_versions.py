"""The rules mean the same on Prometheus 2.42 and on 3: they use nothing that differs.

Source: prometheus.io, "Prometheus 3.0 migration guide", read 2026-11-21. Ranges exclude the sample
at their left end, a dot in a regex matches a newline, `holt_winters` has another name, `le` and
`quantile` are floats, names may be any UTF-8; and keys that came after 2.42 are refused there.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from exporter.simulator.rehearsal.derive import seconds
from tests.alert_rules.rules import RULE_FILES, Rule, rules

# In both versions, with the same meaning.
FUNCTIONS = {
    "abs", "absent", "clamp", "increase", "label_replace", "rate", "time", "timestamp", "vector",
    "avg_over_time", "last_over_time", "max_over_time", "min_over_time", "quantile_over_time",
    "sum_over_time", "changes", "present_over_time",
}  # fmt: skip
WORDS = {
    "and", "or", "unless", "by", "on", "ignoring", "group_left", "group_right", "bool", "offset",
    "sum", "max", "min", "avg", "count", "group", "quantile", "count_values",
}  # fmt: skip
SLOWEST_SCRAPE = 15.0  # seconds


def identify(value: object) -> str:
    return f"{value.file}:{value.name}" if isinstance(value, Rule) else str(value)


def bare(expression: str) -> str:
    """Return an expression without its strings."""
    return re.sub(r'"[^"]*"', '""', expression)


@pytest.mark.parametrize("rule", rules(), ids=identify)
def test_a_rule_uses_only_what_both_versions_have(rule: Rule) -> None:
    """Functions of both, no subquery, plain names, floats as bucket bounds, dots nowhere alone."""
    called = set(re.findall(r"\b([a-z_]+)\s*\(", bare(rule.expr)))
    assert called <= FUNCTIONS | WORDS
    assert not re.search(r"\[\w*:\w*\]", bare(rule.expr)), "a subquery has a sample less on 3"
    assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", rule.name)
    assert all(re.fullmatch(r"[a-zA-Z_]\w*", label) for label in rule.labels)
    assert all("." in bound or bound == "+Inf" for bound in re.findall(r'le="([^"]*)"', rule.expr))
    for pattern in re.findall(r'[=!]~"([^"]*)"', rule.expr):
        assert "." not in pattern, "a dot matches a newline on 3 only"


@pytest.mark.parametrize("rule", rules(), ids=identify)
def test_a_range_bears_to_lose_its_oldest_sample(rule: Rule) -> None:
    """At the slowest scrape a rate keeps two samples and more, any other range at least one."""
    for function, range_ in re.findall(r"(\w+)\s*\([^][]*\[(\w+)\]", bare(rule.expr)):
        samples = seconds(range_) // SLOWEST_SCRAPE
        least = 4 if function in {"rate", "increase", "changes"} else 2
        assert samples >= least, f"{function} over {range_}"


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_a_file_has_only_keys_that_both_versions_know(path: Path) -> None:
    """No key that came after 2.42, which refuses the whole file for one."""
    document = yaml.safe_load(path.read_text())
    assert set(document) == {"groups"}
    for group in document["groups"]:
        assert set(group) <= {"name", "interval", "rules"}
        for rule in group["rules"]:
            assert set(rule) <= {
                "record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"
            }  # fmt: skip
