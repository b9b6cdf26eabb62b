"""Reads the shipped rules, their unit tests and their runbooks, as they stand in the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "alert_rules"
RUNBOOKS = "https://github.com/exchange-exporter/exchange-exporter/blob/main/alert_rules/runbooks/"
RULE_FILES = sorted(path for path in FOLDER.glob("*.yml") if path.name != "alertmanager.yml")
TEST_FILES = sorted((FOLDER / "tests").glob("*.yml"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. ``labels`` as written; durations as Prometheus spells them."""

    file: str
    group: str
    name: str
    alert: bool
    expr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    hold: str
    keep: str

    @property
    def variant(self) -> str:
        """Name it and what tells it from others of its name."""
        extra = [f"{key}={value}" for key, value in sorted(self.labels.items())]
        return f"{self.name}({', '.join(extra)})"


def _rule(file: str, group: str, entry: Mapping[str, Any]) -> Rule:
    return Rule(
        file=file,
        group=group,
        name=entry.get("alert") or entry["record"],
        alert="alert" in entry,
        expr=entry["expr"],
        labels={key: str(value) for key, value in entry.get("labels", {}).items()},
        annotations=entry.get("annotations", {}),
        hold=str(entry.get("for", "")),
        keep=str(entry.get("keep_firing_for", "")),
    )


# The loader in C reads the unit tests in a tenth of the time; it is not built everywhere.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def load(path: Path) -> Any:
    """Read a YAML file; what it gives is shared, so nobody may change it."""
    return yaml.load(path.read_text(), Loader=_LOADER)  # noqa: S506 - one of the two safe ones


def rules() -> list[Rule]:
    """Return every shipped rule, in the order of files and groups."""
    return [
        _rule(path.name, group["name"], entry)
        for path in RULE_FILES
        for group in load(path)["groups"]
        for entry in group["rules"]
    ]


def alerts() -> list[Rule]:
    """Return every shipped alert, each variant by itself."""
    return [rule for rule in rules() if rule.alert]


def recorded() -> dict[str, set[str]]:
    """Return the labels of every recorded name by its level, beside the target labels."""
    found: dict[str, set[str]] = {}
    for rule in rules():
        if not rule.alert:
            level = set(rule.name.split(":")[0].split("_")) - {"site"}
            if "quote" in level:
                level.add("base_quote")
            found.setdefault(rule.name, set()).update(level, rule.labels)
    return found


def unit_tests() -> list[dict[str, Any]]:
    """Return every promtool test of every file."""
    return [test for path in TEST_FILES for test in load(path)["tests"]]
