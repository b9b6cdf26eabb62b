"""The registry: which families are published, their children, and a hard cap on their number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import TypeVar

from exporter.metrics.children import Child, CounterChild, GaugeChild, HistogramChild
from exporter.metrics.families import SERIES, SERIES_DROPPED, SERIES_LIMIT
from exporter.metrics.symbols import FoldedChild, OwnSymbols, others
from exporter.model import Family

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")  # the legacy set: nothing to escape, ever
_UNITS = ("seconds", "bytes", "ratio")
_SUFFIX = {"counter": "_total", "info": "_info"}
_KINDS: Mapping[str, type[Child]] = {
    "counter": CounterChild,
    "gauge": GaugeChild,
    "info": GaugeChild,
    "histogram": HistogramChild,
}

C = TypeVar("C", bound=Child)
V = TypeVar("V", bound=StrEnum)


class FamilyTable:
    """The children of one family, and the lines that stand above them on a page."""

    __slots__ = (
        "children",
        "declared",
        "family",
        "heading",
        "openmetrics_heading",
        "parts",
        "size",
    )

    def __init__(self, declared: Family, family: Family) -> None:
        _check(family)
        self.declared = declared
        self.family = family  # with the buckets that the config asked for
        self.children: dict[tuple[str, ...], Child | FoldedChild] = {}
        self.parts: dict[tuple[str, ...], Child] = {}  # children without a line of their own
        self.size = len(family.buckets) + 3 if family.kind == "histogram" else 1
        text = family.help.replace("\\", r"\\").replace("\n", r"\n")
        kind = "gauge" if family.kind == "info" else family.kind
        self.heading = f"# HELP {family.name} {text}\n# TYPE {family.name} {kind}\n"
        # OpenMetrics names the family, text names its samples.
        name = family.name.removesuffix(_SUFFIX.get(family.kind, ""))
        quoted = text.replace('"', r"\"")
        unit = next((unit for unit in _UNITS if name.endswith(f"_{unit}")), None)
        self.openmetrics_heading = (
            f"# HELP {name} {quoted}\n# TYPE {name} {family.kind}\n"
            + (f"# UNIT {name} {unit}\n" if unit and family.kind != "info" else "")
        )  # fmt: skip


def _check(family: Family) -> None:
    """Refuse a family that a scraper would refuse. Raises ValueError."""
    for name in (family.name, *family.labels):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{family.name}: {name!r} is no legacy metric or label name")
    if not family.name.endswith(_SUFFIX.get(family.kind, "")):
        raise ValueError(f"{family.name}: a {family.kind} ends in {_SUFFIX[family.kind]}")
    if family.kind == "histogram":
        if not family.buckets or list(family.buckets) != sorted(set(family.buckets)):
            raise ValueError(f"{family.name}: buckets must rise and must not be empty")
        if "symbol" in family.labels:
            raise ValueError(f"{family.name}: a histogram of each symbol is too much")
    elif family.buckets:
        raise ValueError(f"{family.name}: a {family.kind} has no buckets")


class _Store:
    """What a registry and its scopes share."""

    def __init__(
        self, limit: int, buckets: Mapping[str, tuple[float, ...]], symbols: int | None
    ) -> None:
        self.limit = limit
        self.symbols = OwnSymbols(symbols)
        self.buckets = buckets
        self.series = 0
        self.tables: dict[str, FamilyTable] = {}
        self.refreshers: dict[Callable[[], None], None] = {}
        self.sizes: dict[str, GaugeChild] = {}
        self.dropped: dict[str, CounterChild] = {}

    def table(self, family: Family) -> FamilyTable:
        table = self.tables.get(family.name)
        if table is None:
            buckets = self.buckets.get(family.name, family.buckets)
            table = self.tables[family.name] = FamilyTable(family, replace(family, buckets=buckets))
            # Never refused: what tells of the cap must not fall to it.
            name = (family.name,)
            self.sizes[family.name] = size = GaugeChild(SERIES, name)
            self.dropped[family.name] = dropped = CounterChild(SERIES_DROPPED, name)
            size.owners = dropped.owners = 1
            size.set(0)
            self.attach(self.table(SERIES), name, size)
            self.attach(self.table(SERIES_DROPPED), name, dropped)
        elif table.declared != family:
            raise ValueError(f"{family.name}: declared twice, in two ways")
        return table

    def add(self, table: FamilyTable, labels: tuple[str, ...], child: Child) -> bool:
        """Publish a new child, by itself or as a part; False: there is no room for its series."""
        folded = self.symbols.folded(table.family, labels)
        if folded is None:
            if not self._room(table):
                return False
            self.attach(table, labels, child)
        else:
            if table.family.kind == "counter" or table.family.fold is not None:
                whole = table.children.get(folded)
                if not isinstance(whole, FoldedChild):
                    if not self._room(table):
                        return False
                    whole = FoldedChild(table.family, folded)
                    self.attach(table, folded, whole)
                whole.parts[labels] = child  # type: ignore[assignment]  # no histogram has symbols
            table.parts[labels] = child
        self.symbols.count(table.family, labels, 1, folded=folded is not None)
        return True

    def drop(self, table: FamilyTable, labels: tuple[str, ...]) -> None:
        """Take a child away that was added."""
        part = table.parts.pop(labels, None)
        self.symbols.count(table.family, labels, -1, folded=part is not None)
        if part is None:
            self.detach(table, labels)
            return
        folded = others(table.family, labels)
        if isinstance(whole := table.children.get(folded), FoldedChild):
            whole.release(labels)
            if not whole.parts:
                self.detach(table, folded)

    def attach(
        self, table: FamilyTable, labels: tuple[str, ...], child: Child | FoldedChild
    ) -> None:
        if labels not in table.children:
            table.children[labels] = child
            self._count(table, table.size)

    def detach(self, table: FamilyTable, labels: tuple[str, ...]) -> None:
        if table.children.pop(labels, None) is not None:
            self._count(table, -table.size)

    def _room(self, table: FamilyTable) -> bool:
        return self.series + table.size <= self.limit

    def _count(self, table: FamilyTable, change: int) -> None:
        self.series += change
        self.sizes[table.family.name].inc(change)


class Registry:
    """Families and their children; `scope` gives a part that can be taken away as a whole.

    Label values come from the config or a closed enum, never from the wire: nothing else keeps
    the number of series bounded. Beyond ``series_limit`` a new child works as any other but is
    not published, and `exchange_exporter_series_dropped_total` counts it. ``buckets`` replaces the
    bounds of histograms, by family name. So many ``symbols`` of each exchange have series of their
    own (None: all); the others share one with the symbol `other`.
    """

    def __init__(
        self,
        series_limit: int = 15_000,
        buckets: Mapping[str, tuple[float, ...]] | None = None,
        symbols: int | None = None,
        *,
        _store: _Store | None = None,
    ) -> None:
        self._store = _store or _Store(series_limit, buckets or {}, symbols)
        self._owned: dict[tuple[str, tuple[str, ...]], None] = {}
        self._refreshers: list[Callable[[], None]] = []
        if _store is None:
            self.gauge(SERIES_LIMIT).set(series_limit)

    def scope(self) -> Registry:
        """Return a part of this registry that owns what is made through it, until `close`."""
        return Registry(_store=self._store)

    def counter(self, family: Family, *labels: str) -> CounterChild:
        """Return the bound child, made at 0 if it is new. Raises ValueError for wrong labels."""
        return self._child(CounterChild, family, labels)

    def gauge(self, family: Family, *labels: str) -> GaugeChild:
        """Return the bound child, absent from the page until it is set. Raises ValueError."""
        return self._child(GaugeChild, family, labels)

    def histogram(self, family: Family, *labels: str) -> HistogramChild:
        """Return the bound child, made empty if it is new. Raises ValueError."""
        return self._child(HistogramChild, family, labels)

    def info(self, family: Family, *labels: str) -> None:
        """Publish a fact as labels of a series that is 1. Raises ValueError."""
        self._child(GaugeChild, family, labels).set(1)

    def counters(self, family: Family, *labels: str, values: type[V]) -> dict[V, CounterChild]:
        """Return one counter for each value of the family's last label, all of them at 0."""
        return {value: self.counter(family, *labels, value) for value in values}

    def gauges(
        self, family: Family, *labels: str, values: type[V], start: float | None = 0
    ) -> dict[V, GaugeChild]:
        """Return one gauge for each value of the family's last label, all of them at ``start``."""
        found = {value: self.gauge(family, *labels, value) for value in values}
        for child in found.values():
            child.set(start)
        return found

    def histograms(self, family: Family, *labels: str, values: type[V]) -> dict[V, HistogramChild]:
        """Return one histogram for each value of the family's last label."""
        return {value: self.histogram(family, *labels, value) for value in values}

    def refresh(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called before each scrape, to set what is sampled (a queue's depth)."""
        self._refreshers.append(callback)
        self._store.refreshers[callback] = None

    def remove(self, family: Family, *labels: str) -> None:
        """Take away one child that was made through this scope. Raises KeyError if none was."""
        del self._owned[family.name, labels]
        self._release(family.name, labels)

    def close(self) -> None:
        """Take away every child and callback of this scope that no other scope holds too."""
        for name, labels in self._owned:
            self._release(name, labels)
        for callback in self._refreshers:
            self._store.refreshers.pop(callback, None)
        self._owned.clear()
        self._refreshers.clear()

    @property
    def series(self) -> int:
        """How many series are published, over all scopes."""
        return self._store.series

    def run_refreshers(self) -> Iterator[None]:
        """Call what `refresh` was given, one after another; for the scrape alone."""
        for callback in list(self._store.refreshers):
            if callback in self._store.refreshers:  # not taken away meanwhile
                callback()
                yield

    def tables(self) -> list[FamilyTable]:
        """Return all families in the order of their first child; for the scrape alone."""
        return list(self._store.tables.values())

    def _child(self, kind: type[C], family: Family, labels: tuple[str, ...]) -> C:
        if _KINDS[family.kind] is not kind:
            raise ValueError(f"{family.name} is a {family.kind}")
        if len(labels) != len(family.labels):
            raise ValueError(f"{family.name} has the labels {family.labels}, got {labels}")
        store = self._store
        table = store.table(family)
        child = table.children.get(labels) or table.parts.get(labels)
        if not isinstance(child, kind):  # there is none: a table holds one kind
            child = kind(table.family, labels)
            if not store.add(table, labels, child):
                store.dropped[family.name].inc()
                return child
        if (family.name, labels) not in self._owned:
            self._owned[family.name, labels] = None
            child.owners += 1
        return child

    def _release(self, name: str, labels: tuple[str, ...]) -> None:
        table = self._store.tables[name]
        child = table.parts.get(labels) or table.children[labels]
        child.owners -= 1
        if not child.owners:
            self._store.drop(table, labels)
