"""Which symbols have their own series, and the one series that aggregates all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from exporter.metrics.children import CounterChild, GaugeChild
from exporter.model import Family, Fold

OTHER: Final = "other"  # in the place of the symbol; no instrument is spelled so
Labels = tuple[str, ...]


_FOLDS: Mapping[Fold, Callable[[Sequence[float]], float]] = {
    "min": min,
    "max": max,
    "farthest": partial(max, key=abs),
}


class FoldedChild:
    """The series of many symbols as one: counters are added up, gauges are one of their values.

    A counter keeps what those counted that are gone.
    """

    __slots__ = ("_fold", "_gone", "_shown", "owners", "parts")

    def __init__(self, family: Family, labels: Labels) -> None:
        self.parts: dict[Labels, CounterChild | GaugeChild] = {}
        self.owners = 0
        self._gone: float = 0
        self._fold = None if family.fold is None else _FOLDS[family.fold]
        self._shown = (GaugeChild if self._fold else CounterChild)(family, labels)

    def release(self, labels: Labels) -> None:
        """Forget a part. Raises KeyError if it is none."""
        part = self.parts.pop(labels)
        if self._fold is None:
            self._gone += part.value or 0.0

    def text(self) -> str:
        """Return the line of all parts together; none while all gauges are absent."""
        values = [part.value for part in self.parts.values() if part.value is not None]
        if self._fold is None:
            self._shown.value = sum(values, self._gone)
        else:
            self._shown.value = self._fold(values) if values else None
        return self._shown.text()


class OwnSymbols:
    """The first ``limit`` symbols of each exchange that ask have series of their own; None: all."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._own: dict[str, Counter[str]] = {}  # by exchange, how many series each has
        self._folded: dict[str, Counter[str]] = {}

    def folded(self, family: Family, labels: Labels) -> Labels | None:
        """Return the labels of what the series is a part of, None where it stands for itself."""
        if self._limit is None or "symbol" not in family.labels:
            return None
        exchange, symbol = _names(family, labels)
        if exchange is None:
            own = any(symbol in each for each in self._own.values())
        else:
            mine: Counter[str] = self._own.get(exchange, Counter())
            own = symbol in mine or (
                len(mine) < self._limit and symbol not in self._folded.get(exchange, Counter())
            )
        return None if own else others(family, labels)

    def count(self, family: Family, labels: Labels, change: int, *, folded: bool) -> None:
        """Take note that a symbol has a series more or less."""
        if self._limit is None or "symbol" not in family.labels:
            return
        exchange, symbol = _names(family, labels)
        if exchange is None:
            return
        symbols = (self._folded if folded else self._own).setdefault(exchange, Counter())
        symbols[symbol] += change
        if not symbols[symbol]:
            del symbols[symbol]


def others(family: Family, labels: Labels) -> Labels:
    """Return the labels of the series of all symbols without their own. Raises ValueError."""
    at = family.labels.index("symbol")
    return (*labels[:at], OTHER, *labels[at + 1 :])


def _names(family: Family, labels: Labels) -> tuple[str | None, str]:
    named = dict(zip(family.labels, labels, strict=True))
    return named.get("exchange"), named["symbol"]
