"""Bound children of metric families: plain slots that hot paths move and a scrape reads.

They belong to the event loop's thread: nothing here locks. Each keeps the text of its last
scrape, because most of a page has not changed since the page before.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from math import inf, isnan

from exporter.model import Family


def spelled(value: float) -> str:
    """Format a number as both exposition formats read it: shortest form that reads back equal."""
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is not float:  # a bool or a numpy scalar, whose repr is no number
        value = float(value)
    if value - value == 0.0:  # finite
        return repr(value)
    return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"


def escaped(value: str) -> str:
    """Escape a label value. What UTF-8 cannot carry (lone surrogates) becomes ``?``."""
    clean = value.encode("utf-8", "replace").decode()
    return clean.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _pairs(family: Family, labels: tuple[str, ...]) -> list[str]:
    return [f'{name}="{escaped(value)}"' for name, value in zip(family.labels, labels, strict=True)]


def _head(name: str, pairs: list[str]) -> str:
    return f"{name}{{{','.join(pairs)}}} " if pairs else f"{name} "


class CounterChild:
    """A number that only rises."""

    __slots__ = ("_head", "_shown", "_text", "owners", "value")

    def __init__(self, family: Family, labels: tuple[str, ...]) -> None:
        self.value: float = 0
        self.owners = 0
        self._head = _head(family.name, _pairs(family, labels))
        self._shown: float = 0
        self._text = f"{self._head}0\n"

    def inc(self, amount: float = 1) -> None:
        """Add ``amount``, which must not be negative (not checked: this is the frame path)."""
        self.value += amount

    def text(self) -> str:
        """Return the child's line."""
        if self.value != self._shown:
            self._shown = self.value
            self._text = f"{self._head}{spelled(self.value)}\n"
        return self._text


class GaugeChild:
    """A number that moves, or is absent: born absent, and again after ``set(None)``."""

    __slots__ = ("_head", "_shown", "_text", "owners", "value")

    def __init__(self, family: Family, labels: tuple[str, ...]) -> None:
        self.value: float | None = None
        self.owners = 0
        self._head = _head(family.name, _pairs(family, labels))
        self._shown: float | None = None
        self._text = ""

    def set(self, value: float | None) -> None:
        """Show ``value``, or with None take the series away."""
        self.value = value

    def inc(self, amount: float = 1) -> None:
        """Add ``amount``, which may be negative; an absent gauge counts from zero."""
        self.value = (self.value or 0) + amount

    def text(self) -> str:
        """Return the child's line, or nothing while it is absent."""
        if self.value != self._shown:
            self._shown = self.value
            self._text = "" if self.value is None else f"{self._head}{spelled(self.value)}\n"
        return self._text


class HistogramChild:
    """Counts by upper bound. They are summed up when scraped, not when observed."""

    __slots__ = ("_bounds", "_counts", "_shown", "_sum", "_template", "_text", "owners")

    def __init__(self, family: Family, labels: tuple[str, ...]) -> None:
        self.owners = 0
        self._bounds = family.buckets
        self._counts = [0] * (len(family.buckets) + 1)
        self._sum = 0.0
        pairs = _pairs(family, labels)
        lines = [
            _head(f"{family.name}_bucket", [*pairs, f'le="{spelled(bound)}"'])
            for bound in (*family.buckets, inf)
        ]
        lines += [_head(f"{family.name}_count", pairs), _head(f"{family.name}_sum", pairs)]
        # One call in C fills a whole child: 0.1 µs a line, where joining pieces costs 0.4 µs.
        kinds = ["%d"] * (len(lines) - 1) + ["%s"]
        self._template = "".join(
            line.replace("%", "%%") + kind + "\n" for line, kind in zip(lines, kinds, strict=True)
        )
        self._shown = -1
        self._text = ""

    def observe(self, value: float) -> None:
        """Count one finite ``value`` in the bucket whose upper bound is the first not below it."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self._counts)

    @property
    def total(self) -> float:
        """The sum of what was observed."""
        return self._sum

    def text(self) -> str:
        """Return the child's lines: cumulative buckets, count, sum."""
        rising = list(accumulate(self._counts))
        count = rising[-1]
        if count != self._shown:  # every observation moves the count
            self._shown = count
            self._text = self._template % (*rising, count, spelled(self._sum))
        return self._text


Child = CounterChild | GaugeChild | HistogramChild
