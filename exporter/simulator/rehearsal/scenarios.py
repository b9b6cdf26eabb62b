"""The rehearsals of a folder of rules: which faults bring which alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import yaml

from exporter.simulator.rehearsal.talk import RehearsalError
from exporter.words import why

_NUMBERS = {
    "within",
    "ends",
    "fixed",
    "every",
    "compress",
    "sites",
    "notifications",
    "told",
    "deadline",
}
_KEYS = {"faults", "companions", "ready", "venues", *_NUMBERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What brings one alert, in the simulator's words.

    ``within`` and ``ends`` are seconds at the shipped windows: until it fires, and from the end of
    the faults until it is resolved; ``fixed`` seconds more, of thresholds that no shorter window
    shortens. ``every`` seconds the faults are injected anew, for those that strike once. Windows
    ``compress`` times shorter are the shortest that the rule can bear. The faults begin once the
    query ``ready`` has a result, and strike the first of ``sites`` places. ``venues`` are watched
    beside the usual ones. In ``deadline`` days a part of an API that is used ends, as long as the
    faults last. At most so many ``notifications`` may leave, and the first within ``told`` seconds
    of the faults, at the shipped windows. ``companions`` are alerts that people may be told beside
    it, each with the reason.
    """

    alert: str
    faults: tuple[Mapping[str, Any], ...]
    within: float = 180.0
    ends: float = 1500.0
    fixed: float = 0.0
    every: float | None = None
    compress: float = inf
    sites: int = 1
    venues: tuple[str, ...] = ()
    ready: str | None = None
    notifications: int | None = None
    told: float | None = None
    deadline: float | None = None
    companions: Mapping[str, str] = field(default_factory=dict)

    @property
    def cause(self) -> str:
        """Say what brings the alert, by the names of the faults."""
        ends = () if self.deadline is None else (f"an API's end in {self.deadline:g} days",)
        return ", ".join((*(str(fault["fault"]) for fault in self.faults), *ends))


@dataclass(frozen=True, slots=True)
class Plan:
    """All rehearsals, and why other alerts have none; both by alert name."""

    scenarios: Mapping[str, Scenario]
    left_out: Mapping[str, str]


def load(file: Path) -> Plan:
    """Read the rehearsals. Raises RehearsalError."""
    try:
        document = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RehearsalError(f"{why(error, file)}") from error
    if not isinstance(document, dict) or set(document) != {"rehearsals", "left_out"}:
        raise RehearsalError(f"{file}: expected the keys rehearsals and left_out")
    return Plan(
        {name: _scenario(file, name, entry) for name, entry in document["rehearsals"].items()},
        {name: str(why) for name, why in document["left_out"].items()},
    )


def _scenario(file: Path, name: str, entry: Any) -> Scenario:
    place = f"{file}: rehearsals.{name}"
    if not isinstance(entry, dict) or not isinstance(entry.get("faults"), list):
        raise RehearsalError(f"{place}: expected a mapping with a list of faults")
    if unknown := set(entry) - _KEYS:
        raise RehearsalError(
            f"{place}: unknown {min(unknown)!r}; known: {', '.join(sorted(_KEYS))}"
        )
    numbers = {key: entry[key] for key in _NUMBERS & set(entry)}
    for key, value in numbers.items():
        if not isinstance(value, int | float) or not 0 < value <= 86_400:
            raise RehearsalError(f"{place}.{key}: expected a number up to 86400, was {value!r}")
    ready = entry.get("ready")
    if not isinstance(ready, str | None):
        raise RehearsalError(f"{place}.ready: expected a PromQL query, was {ready!r}")
    venues = entry.get("venues", [])
    if not isinstance(venues, list) or not all(isinstance(each, str) for each in venues):
        raise RehearsalError(f"{place}.venues: expected a list of venues, was {venues!r}")
    return Scenario(
        alert=name,
        ready=ready,
        venues=tuple(venues),
        faults=tuple(entry["faults"]),
        companions=dict(entry.get("companions", {})),
        **numbers,
    )
