"""What tests read from the committed dashboards, and queries with their variables filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dashboards import FOLDER, PAGES

# As Grafana fills them in when everything is chosen and Prometheus scrapes every five seconds.
CHOSEN = {
    "$__rate_interval": "20s",
    "$__range": "1h",
    "$job": ".+",
    "$instance": ".+",
    "$exchange": ".+",
    "$symbol": ".+",
    "$signal": ".+",
}
_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORDS = frozenset(
    re.split(
        " ",
        "by on and or unless bool offset ignoring group_left group_right sum min max avg count "
        "topk rate increase histogram_quantile avg_over_time last_over_time abs time vector "
        "clamp_max clamp_min max_over_time end",
    )
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of one panel."""

    page: str
    panel: str
    query: str
    instant: bool

    @property
    def name(self) -> str:
        """Page and title, as tests name a panel."""
        return f"{self.page}: {self.panel}"


def pages() -> dict[str, dict[str, Any]]:
    """Return each committed dashboard by its name."""
    return {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in PAGES}


def panels(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield all panels of a dashboard, rows and what is folded into them too."""
    for panel in document["panels"]:
        yield panel
        yield from panel.get("panels", ())


def asked() -> list[Asked]:
    """Return every query of every panel, variables and all."""
    return [
        Asked(name, panel["title"], target["expr"], target["instant"])
        for name, document in pages().items()
        for panel in panels(document)
        for target in panel.get("targets", ())
    ]


def filled(query: str, chosen: Mapping[str, str] = CHOSEN) -> str:
    """Put values in the place of variables. Raises AssertionError for one that is not known."""
    for name, value in chosen.items():
        query = query.replace(name, value)
    assert "$" not in query, f"an unknown variable in {query}"
    return query


@dataclass(frozen=True, slots=True)
class Use:
    """A series that a query reads: its name, and the labels that it is filtered by."""

    metric: str
    filters: dict[str, str]


def uses(query: str) -> list[Use]:
    """Return the series that a query reads. Groupings and functions are no series."""
    found = []
    bare = re.sub(r"\b(by|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", query)
    for name in _NAME.finditer(_TEXT.sub(lambda text: "\0" * len(text[0]), bare)):
        start, end = name.span()
        braces = bare.rfind("{", 0, start) > bare.rfind("}", 0, start)
        ranges = bare.rfind("[", 0, start) > bare.rfind("]", 0, start)
        if braces or ranges or name[0] in _WORDS or bare[start - 1 : start] in ("$", "."):
            continue
        labels = re.match(r"\{([^}]*)\}", bare[end:])
        pairs = re.findall(r'([a-z_]+)\s*=?[=!]~?\s*"([^"]*)"', labels[1] if labels else "")
        found.append(Use(name[0], dict(pairs)))
    return found


def grouped(query: str) -> set[str]:
    """Return the labels that a query groups or matches by."""
    lists = re.findall(r"\b(?:by|on|ignoring|group_left)\s*\(([^)]*)\)", query)
    return {label.strip() for each in lists for label in each.split(",") if label.strip()}
