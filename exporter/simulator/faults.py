"""One fault as a frozen value, and its reader.

The control API, a scenario file and a test all speak through the same `read`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase

from exporter.simulator.kinds import RULES, FaultKind, Param, Value

CHANNELS = ("trades", "quotes", "book", "klines", "ticker", "heartbeat")
_FILTERS = ("endpoint", "channel", "symbol")
_COMMON = ("fault", "venue", "at", "for")


class FaultError(ValueError):
    """A fault that cannot be: ``complaints`` names each key, what was found and expected."""

    def __init__(self, complaints: Sequence[str]) -> None:
        super().__init__("; ".join(complaints))
        self.complaints = tuple(complaints)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One misbehaviour. ``at`` in seconds from its injection, ``duration`` None until cleared.

    Filters are glob patterns; None matches everything.
    """

    kind: FaultKind
    venue: str = "*"
    endpoint: str | None = None
    channel: str | None = None
    symbol: str | None = None
    at: float = 0.0
    duration: float | None = None
    probability: float = 1.0
    params: Mapping[str, Value] = field(default_factory=dict)

    def number(self, name: str) -> float:
        """Return a numeric parameter, or its default."""
        return float(self.params.get(name, RULES[self.kind].params[name].default))

    def text(self, name: str) -> str:
        """Return a textual parameter, or its default."""
        return str(self.params.get(name, RULES[self.kind].params[name].default))

    def flag(self, name: str) -> bool:
        """Return a yes-or-no parameter, or its default."""
        return bool(self.params.get(name, RULES[self.kind].params[name].default))

    def covers_venue(self, name: str) -> bool:
        """Return whether it strikes a venue."""
        if self.venue not in ("*", name):
            return False
        hosted = self.text("venues") if self.kind is FaultKind.PROVIDER_DOWN else "*"
        return any(fnmatchcase(name, each.strip()) for each in hosted.split(","))

    def covers_path(self, path: str) -> bool:
        """Return whether it strikes requests of this path."""
        if self.channel is not None or self.symbol is not None:
            return False
        return self.endpoint is None or fnmatchcase(path, self.endpoint)

    def covers_topic(self, channel: str, names: Iterable[str]) -> bool:
        """Return whether it strikes this channel of the instrument that goes by these names."""
        if self.endpoint is not None:
            return False
        if self.channel is not None and not fnmatchcase(channel, self.channel):
            return False
        wanted = self.symbol
        return wanted is None or any(fnmatchcase(name, wanted) for name in names)

    def as_json(self) -> dict[str, object]:
        """Return it in the spelling in which it is read."""
        shown: dict[str, object] = {"fault": str(self.kind), "venue": self.venue, "at": self.at}
        if self.duration is not None:
            shown["for"] = self.duration
        shown |= {f: getattr(self, f) for f in _FILTERS if getattr(self, f) is not None}
        if RULES[self.kind].probability is not None:
            shown["probability"] = self.probability
        return shown | dict(self.params)


def read(entry: object, venues: Sequence[str]) -> Fault:
    """Read one fault, for one of ``venues``. Raises FaultError with all that is wrong with it."""
    if not isinstance(entry, Mapping):
        raise FaultError([f"expected a mapping such as {{fault: mute}}, was {entry!r:.80}"])
    wrong: list[str] = []
    kind = _choice(entry, "fault", [str(k) for k in FaultKind], wrong)
    venue = entry.get("venue", "*")
    if venue != "*":
        venue = _choice(entry, "venue", venues, wrong)
    if kind is None:
        raise FaultError(wrong)
    rule = RULES[FaultKind(kind)]
    known = [*_COMMON, *rule.filters, *rule.params]
    known += ["probability"] if rule.probability is not None else []
    for key in entry:
        if key not in known:
            wrong.append(_unknown(f"key of {kind}", str(key), known))
    at = _seconds(entry, "at", wrong)
    duration = _seconds(entry, "for", wrong)
    if rule.instant and duration is not None:
        wrong.append(f"for: {kind} acts once, when it starts, and takes no duration")
    chance = Param(default=rule.probability or 1.0, most=1.0, meaning="")
    probability = _value("probability", entry["probability"], chance, wrong) if (
        "probability" in entry and rule.probability is not None
    ) else chance.default  # fmt: skip
    filters = {f: _text(f, entry[f], wrong) for f in rule.filters if entry.get(f) is not None}
    channel = filters.get("channel")
    if channel and not any(fnmatchcase(name, channel) for name in CHANNELS):
        wrong.append(_unknown("channel", channel, CHANNELS))
    params = {n: _value(n, entry[n], p, wrong) for n, p in rule.params.items() if n in entry}
    if wrong:
        raise FaultError(wrong)
    return Fault(
        kind=FaultKind(kind), venue=str(venue), at=at or 0.0, duration=duration,
        probability=float(probability), params=params, **filters,
    )  # fmt: skip


def _choice(
    entry: Mapping[object, object], key: str, known: Sequence[str], wrong: list[str]
) -> str | None:
    value = entry.get(key)
    if isinstance(value, str) and value in known:
        return value
    if value is None:
        wrong.append(f"{key}: missing; expected one of {', '.join(known)}")
    else:
        wrong.append(_unknown(key, str(value), known))
    return None


def _unknown(what: str, value: str, known: Sequence[str]) -> str:
    near = get_close_matches(value, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
    return f"{what}: unknown {value!r:.80}; {hint}"


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def duration(value: object) -> float | None:
    """Read seconds (``10``) or a duration (``500ms``, ``10s``, ``2m``); None if it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if 0 <= value <= 1e9 else None
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else float(found[1]) * _UNITS[found[2]]


def _seconds(entry: Mapping[object, object], key: str, wrong: list[str]) -> float | None:
    if entry.get(key) is None:
        return None
    seconds = duration(entry[key])
    if seconds is None:
        wrong.append(f"{key}: expected seconds such as 10 or '10s', was {entry[key]!r:.80}")
    return seconds


def _text(key: str, value: object, wrong: list[str]) -> str:
    if not isinstance(value, str) or not value:
        wrong.append(f"{key}: expected a text, was {value!r:.80}")
    return str(value)


def _value(key: str, value: object, param: Param, wrong: list[str]) -> Value:
    default = param.default
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        wrong.append(f"{key}: expected true or false, was {value!r:.80}")
    elif isinstance(default, str):
        if isinstance(value, str) and (not param.choices or value in param.choices):
            return value
        wrong.append(
            _unknown(key, str(value), param.choices)
            if param.choices
            else f"{key}: expected a text, was {value!r:.80}"
        )
    else:
        amount = _number(value)
        if amount is not None and param.least <= amount <= param.most:
            return amount
        wrong.append(f"{key}: expected {param.least:g} to {param.most:g}, was {value!r:.80}")
    return default


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return duration(value)
