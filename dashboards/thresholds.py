"""The numbers that alerts act on, read from the rules, so that one place holds them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).resolve().parent.parent / "alert_rules"
# A comparison with a number, or with a product of numbers, as in `> 7 * 86400`.
_COMPARED = re.compile(
    r"(?:[<>]=?|[=!]=)\s*(?:bool\s+)?(-?[\d.]+(?:\s*\*\s*[\d.]+)*)(?![\w.]|\s*\*)"
)


@cache
def rules() -> tuple[Mapping[str, Any], ...]:
    """Give every rule, recording and alerting, in the order of the files."""
    documents = (yaml.safe_load(path.read_text()) for path in sorted(RULES.glob("*.yml")))
    return tuple(
        rule for each in documents for group in each.get("groups", ()) for rule in group["rules"]
    )


def limit(alert: str, severity: str = "", *, place: int | None = None, **labels: str) -> float:
    """Return the number that an alert compares with, in the unit of its expression.

    ``severity`` and further labels choose among alerts of one name; ``place`` among the
    comparisons of one expression, and must be given where those differ: what comes after an ``or``
    or an ``and`` may be another quantity. Raises LookupError where not exactly one fits.
    """
    wanted = {**labels, **({"severity": severity} if severity else {})}
    fitting = [
        rule["expr"]
        for rule in rules()
        if rule.get("alert") == alert and wanted.items() <= rule["labels"].items()
    ]
    if len(fitting) != 1:
        raise LookupError(f"{len(fitting)} alerts fit {alert} {wanted}, expected one")
    numbers = compared(fitting[0])
    if place is None and len(set(numbers)) > 1:
        raise LookupError(f"{alert} compares with {numbers}: say at which place the limit stands")
    return numbers[place or 0]


def budget() -> float:
    """Give the share of attempts that may fail by the objective, as the recording rules have it."""
    name = "exchange:error_budget_remaining:ratio30d"
    (expression,) = (rule["expr"] for rule in rules() if rule.get("record") == name)
    return float(expression.rsplit("/", 1)[1])


def compared(expression: str) -> list[float]:
    """Give the numbers that an expression compares with, in order."""
    return [
        round(prod(float(factor) for factor in found.split("*")), 9)
        for found in _COMPARED.findall(expression)
    ]
