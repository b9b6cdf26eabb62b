"""How a family is declared: its kind, name, meaning and labels."""

from __future__ import annotations

from exporter.model import Family, Fold


def counter(name: str, text: str, *labels: str) -> Family:
    """Declare a counter."""
    return Family(name=name, kind="counter", help=text, labels=labels)


def gauge(name: str, text: str, *labels: str, fold: Fold | None = None) -> Family:
    """Declare a gauge. ``fold``: of many symbols with one series this value is shown."""
    return Family(name=name, kind="gauge", help=text, labels=labels, fold=fold)


def info(name: str, text: str, *labels: str) -> Family:
    """Declare a family whose value is always 1."""
    return Family(name=name, kind="info", help=text, labels=labels)


def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Family:
    """Declare a histogram."""
    return Family(name=name, kind="histogram", help=text, labels=labels, buckets=buckets)
