"""Venues, notifiers and detectors of other packages, by entry point: taken if they fit.

A package declares ``[project.entry-points."exchange_exporter.venues"]`` with ``acme =
"acme_exporter:VENUE"``. What does not fit is refused with a line that says why, and stops nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

VENUES, NOTIFIERS, DETECTORS = (
    f"exchange_exporter.{each}" for each in ("venues", "notifiers", "detectors")
)


@dataclass(frozen=True, slots=True)
class Plugins:
    """What the installed packages offer of one kind: what fits, and why the rest does not."""

    good: Mapping[str, Any] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)  # name → distribution and version


def found(group: str, ours: Collection[str], unfit: Callable[[str, Any], str]) -> Plugins:
    """Load all entry points of a group, in the order of names.

    ``unfit`` gets the name and the object, and says what is wrong with it; empty for nothing.
    """
    good: dict[str, Any] = {}
    packages: dict[str, str] = {}
    refused: list[str] = []
    for entry in sorted(entry_points(group=group), key=lambda each: (each.name, each.value)):
        what = f"{group}: {entry.name} ({entry.value}, of {_package(entry)})"
        if entry.name in ours:
            refused.append(f"{what}: found a name that the program has itself, expected another")
            continue
        if entry.name in good:
            refused.append(
                f"{what}: found a name that {packages[entry.name]} has, expected another"
            )
            continue
        try:
            loaded = entry.load()
        except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything
            why = " ".join(str(error).split())  # one line, whatever it says
            refused.append(f"{what}: cannot be loaded: {type(error).__name__}: {why}"[:500])
            continue
        if wrong := unfit(entry.name, loaded):
            refused.append(f"{what}: {wrong}"[:500])
            continue
        good[entry.name], packages[entry.name] = loaded, _package(entry)
    return Plugins(good, tuple(refused), packages)


def _package(entry: EntryPoint) -> str:
    return "?" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
