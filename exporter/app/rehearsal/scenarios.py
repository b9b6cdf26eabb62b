"""The rehearsals of a folder of rules: which faults bring which alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from exporter.app.rehearsal.talk import RehearsalError

_KEYS = {"faults", "within", "ends", "every", "companions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What brings one alert, in the simulator's words.

    ``within`` and ``ends`` are seconds at the shipped windows: until it fires, and from the end of
    the faults until it is resolved. ``every`` seconds the faults are injected anew, for those that
    strike once. ``companions`` are alerts that people may be told beside it, each with the reason.
    """

    alert: str
    faults: tuple[Mapping[str, Any], ...]
    within: float
    ends: float
    every: float | None
    companions: Mapping[str, str]


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
        raise RehearsalError(f"{file}: {error}") from error
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
    times = {key: entry.get(key, usual) for key, usual in (("within", 180), ("ends", 1200))}
    for key, value in {**times, "every": entry.get("every", 1)}.items():
        if not isinstance(value, int | float) or not 0 < value <= 86_400:
            raise RehearsalError(f"{place}.{key}: expected seconds up to 86400, was {value!r}")
    return Scenario(
        alert=name,
        faults=tuple(entry["faults"]),
        within=float(times["within"]),
        ends=float(times["ends"]),
        every=entry.get("every"),
        companions=dict(entry.get("companions", {})),
    )
