"""The colour that a stat or a cell of a table shows for a value, by the committed dashboards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.dashboards.queries import pages, panels


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of a stat or one column of a table: its query, and how it is coloured."""

    page: str
    panel: str
    column: str  # empty in a stat
    query: str
    steps: tuple[tuple[float | None, str], ...]  # from which value on, lowest first
    words: Mapping[float, tuple[str, str]]  # value → text and colour
    nothing: str = ""  # the colour without a value

    @property
    def name(self) -> str:
        """Page, panel and column, as tests name them."""
        return f"{self.page}: {self.panel}" + (f", {self.column}" if self.column else "")

    def colour(self, value: float | None) -> str:
        """Return the colour of a value, of None where the query gave no series."""
        if value is None:
            return self.nothing
        if value in self.words:
            return self.words[value][1]
        return [name for least, name in self.steps if least is None or value >= least][-1]

    def text(self, value: float) -> str:
        """Return the word that stands there for a value, or the value."""
        return self.words[value][0] if value in self.words else f"{value:g}"


def cells() -> Iterator[Cell]:
    """Yield every stat and every column of a table."""
    for page, document in pages().items():
        for panel in panels(document):
            if panel["type"] not in ("stat", "table"):
                continue
            for target in panel["targets"]:
                column = _column(panel, target["refId"]) if panel["type"] == "table" else ""
                yield _cell(page, panel, column, target["expr"])


def _column(panel: Mapping[str, Any], reference: str) -> str:
    names = {
        name: shown
        for step in panel.get("transformations", ())
        for name, shown in step["options"].get("renameByName", {}).items()
    }
    return str(names.get(f"Value #{reference}") or names.get("Value") or reference)


def _cell(page: str, panel: Mapping[str, Any], column: str, query: str) -> Cell:
    config = dict(panel["fieldConfig"]["defaults"])
    for each in panel["fieldConfig"]["overrides"]:
        if column and each["matcher"]["options"] == column:
            config |= {one["id"]: one["value"] for one in each["properties"]}
    words, nothing = {}, ""
    for mapping in config.get("mappings", ()):
        if mapping["type"] == "value":
            for value, shown in mapping["options"].items():
                words[float(value)] = (shown.get("text", value), shown.get("color", ""))
        elif mapping["type"] == "special" and mapping["options"]["match"] == "null":
            nothing = mapping["options"]["result"].get("color", "")
    steps = tuple((step["value"], step["color"]) for step in config["thresholds"]["steps"])
    return Cell(page, panel["title"], column, query, steps, words, nothing)
