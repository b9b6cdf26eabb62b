"""Parses YAML to a frozen Config, with all defaults, bounds and error messages.

Nothing in the text is expanded (no ``${VAR}``): what one reads is what counts. Secrets come from
the environment or a file, as ``{env: NAME}`` or ``{file: PATH}``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from exporter.config import tree
from exporter.config.deadlines import DeadlinesConfig
from exporter.config.endpoint import EndpointConfig, ExpectConfig
from exporter.config.exchange import ExchangeConfig, StreamConfig
from exporter.config.gates import GateConfig
from exporter.config.kinds import (
    MOST_COMPLAINTS,
    EnoughError,
    Place,
    Reading,
    RejectedError,
    Schema,
)
from exporter.config.kinds import (
    path as spelled,
)
from exporter.config.leaving import BreakerConfig, LimitsConfig
from exporter.config.markets import (
    FollowedMarkets,
    at_most,
    follow,
    market_lists,
    perpetual_lists,
    pushes_states,
    state_lists,
    volume_lists,
)
from exporter.config.pegs import PegConfig
from exporter.config.plan import (
    APART,
    book_weight,
    breaker_rules,
    budget_share,
    connection_rules,
    connections,
    cut_timeouts,
    plain,
    site,
    status_page,
    subscriptions,
    targets,
    watched,
    windows,
)
from exporter.config.secret import Secret
from exporter.config.section import Section
from exporter.config.server import ServerConfig
from exporter.config.shape import (
    AlertingConfig,
    AlertmanagerConfig,
    AnomalyConfig,
    Config,
    ControlTargetConfig,
    LogConfig,
    MetricsConfig,
    PricesConfig,
    ProbesConfig,
    StreamsConfig,
)
from exporter.config.shares import shares, units
from exporter.config.venue_names import DefinedVenue
from exporter.config.weights import rest_limits
from exporter.config.windows import WindowConfig
from exporter.contracts import Venue
from exporter.instrument import VenueSymbol

__all__ = [
    "APART",
    "AlertingConfig",
    "AlertmanagerConfig",
    "AnomalyConfig",
    "BreakerConfig",
    "Config",
    "ConfigError",
    "ControlTargetConfig",
    "DeadlinesConfig",
    "DefinedVenue",
    "EndpointConfig",
    "ExchangeConfig",
    "ExpectConfig",
    "FollowedMarkets",
    "GateConfig",
    "LimitsConfig",
    "LogConfig",
    "MetricsConfig",
    "PegConfig",
    "Places",
    "PricesConfig",
    "ProbesConfig",
    "Secret",
    "ServerConfig",
    "StreamConfig",
    "StreamsConfig",
    "WindowConfig",
    "at_most",
    "book_weight",
    "breaker_rules",
    "budget_share",
    "config_hash",
    "connection_rules",
    "connections",
    "cut_timeouts",
    "follow",
    "json_schema",
    "load",
    "load_others",
    "load_placed",
    "market_lists",
    "perpetual_lists",
    "plain",
    "pushes_states",
    "read",
    "rest_limits",
    "shares",
    "site",
    "state_lists",
    "status_page",
    "subscriptions",
    "targets",
    "units",
    "volume_lists",
    "watched",
    "windows",
]

S = TypeVar("S")
LONGEST: Final = 1 << 20  # bytes; 500 exchanges with their symbols take a tenth of it


class ConfigError(ValueError):
    """The config cannot be used. ``complaints`` are all its mistakes, one line each.

    ``unreadable``: there was no text to judge (no such file, a directory, not UTF-8). ``instead``
    is what can be followed all the same, where only venues are unknown or wrong: in it the
    exchanges ``excused`` are as they were, or left out.
    """

    def __init__(
        self,
        complaints: tuple[str, ...],
        *,
        unreadable: bool = False,
        instead: Config | None = None,
        excused: Collection[str] = (),
    ) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = complaints
        self.unreadable = unreadable
        self.instead = instead
        self.excused = tuple(sorted(excused))


@dataclass(frozen=True, slots=True)
class Places:
    """Where the keys of a config that was read stand, for what is found wrong with it later."""

    name: str  # its file's
    lines: Mapping[Place, int]

    def complaint(self, place: Place, wrong: str) -> tuple[int, str]:
        """Return a line number to sort by, and the complaint in the form of all others."""
        known = next(place[:n] for n in range(len(place), -1, -1) if place[:n] in self.lines)
        line = self.lines[known]
        return line, f"{self.name}:{line}: {spelled(place)}{': ' if place else ''}{wrong}"


Define: TypeAlias = Callable[[Path], Venue | tuple[str, ...]]
"""Compiles a definition's file: the venue, or all that is wrong with it."""


def load(
    file: str | Path,
    venues: Collection[str],
    venue: Callable[[str], Venue],
    environ: Mapping[str, str] = os.environ,
    define: Define | None = None,
    folder: Iterable[DefinedVenue] = (),
) -> Config:
    """Read a config file. ``venues`` are all names that ``venue`` knows. Raises ConfigError.

    ``define`` reads what ``venue_files`` names; ``folder`` are venues defined elsewhere.
    """
    return load_placed(file, venues, venue, environ, define, folder)[0]


def load_placed(
    file: str | Path,
    venues: Collection[str],
    venue: Callable[[str], Venue],
    environ: Mapping[str, str] = os.environ,
    define: Define | None = None,
    folder: Iterable[DefinedVenue] = (),
) -> tuple[Config, Places]:
    """Read a config file, and keep where everything in it stands. Raises ConfigError."""
    found = list(folder)
    reading = _reading(file, venues, venue, environ, define, found)
    return _read(text_of(file), str(file), reading, found)


def load_others(
    file: str | Path,
    venues: Collection[str],
    venue: Callable[[str], Venue],
    define: Define,
    folder: Iterable[DefinedVenue],
    before: Config | None,
) -> tuple[Config, set[str]]:
    """Read a config file for the exchanges whose venues are good, after `load` has refused it.

    Returns it and the names of the others, which are as in ``before``, the config in force, or
    left out where that has none of their name. A definition is as it was where it is wrong now.
    Raises ConfigError where more is wrong.
    """
    known = {} if before is None else {Path(file).parent / e.file: e for e in before.venue_files}

    def first(path: Path) -> Venue | tuple[str, ...]:
        made = define(path)
        return known[path].venue if isinstance(made, tuple) and path in known else made

    found = [*known.values(), *folder]
    running = {} if before is None else {each.name: each for each in before.exchanges}
    reading = _reading(file, venues, venue, os.environ, first, found, running)
    config, _ = _read(text_of(file), str(file), reading, found)
    return config, reading.excused


def text_of(file: str | Path) -> str:
    """Return a config file's text. Raises ConfigError."""
    try:
        with Path(file).open("rb") as stream:
            raw = stream.read(LONGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError((f"{file}: cannot be read: {why}",), unreadable=True) from error
    if len(raw) > LONGEST:
        wrong = f"{file}: found more than {LONGEST >> 20} MiB, expected a config file"
        raise ConfigError((wrong,), unreadable=True)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        wrong = f"{file}:{line}: found bytes that are not UTF-8, expected a text file"
        raise ConfigError((wrong,), unreadable=True) from error


def read(
    text: str,
    name: str,
    venues: Collection[str],
    venue: Callable[[str], Venue],
    environ: Mapping[str, str] = os.environ,
    define: Define | None = None,
) -> Config:
    """Read a config's text; ``name`` is its file's, for complaints. Raises ConfigError."""
    return _read(text, name, _reading(name, venues, venue, environ, define, ()), ())[0]


def _reading(
    file: str | Path,
    venues: Collection[str],
    venue: Callable[[str], Venue],
    environ: Mapping[str, str],
    define: Define | None,
    folder: Iterable[DefinedVenue],
    before: Mapping[str, ExchangeConfig] | None = None,
) -> Reading:
    return Reading(
        folder=Path(file).parent,
        environ=environ,
        venues=venues,
        venue=venue,
        define=define,
        defined={each.name: each.venue for each in folder},
        before=before,
    )


def _read(
    text: str, name: str, reading: Reading, folder: Iterable[DefinedVenue]
) -> tuple[Config, Places]:
    elsewhere = {each.name: each for each in folder}
    config = read_as(Config, text, name, reading, "exchanges: [{venue: ..., symbols: [...]}]")
    for each in config.venue_files:  # what the config names itself comes first
        elsewhere.pop(each.name, None)
    files = (*config.venue_files, *elsewhere.values())
    return dataclasses.replace(config, venue_files=files), Places(name, reading.lines)


def read_as(section: type[S], text: str, name: str, reading: Reading, least: str) -> S:
    """Read a config's text as ``section``, of which ``least`` is the smallest.

    Raises ConfigError.
    """
    config: S | None = None
    try:
        node = tree.read(text)
        if node is None:
            wrong = f"found an empty file, expected at least {least}"
            raise reading.complain(1, (), wrong)
        config = Section(section).read(reading, (), node)
    except tree.YamlError as error:
        reading.complaints.append((error.line, (), error.problem))
    except (RejectedError, EnoughError):
        pass  # it is among the complaints
    if config is None or reading.complaints:
        ordered = sorted(reading.complaints, key=lambda complaint: complaint[0])
        lines = [
            f"{name}:{line}: {spelled(place)}{': ' if place else ''}{wrong}"
            for line, place, wrong in ordered
        ]
        if len(lines) >= MOST_COMPLAINTS:
            lines.append(f"{name}: found {MOST_COMPLAINTS} mistakes, and did not look further")
        raise ConfigError(tuple(lines))
    return config


def json_schema(venues: Collection[str]) -> Schema:
    """Describe the config as JSON Schema, so that editors complete and check it."""
    own = {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,30}$"}
    definitions: dict[str, Schema] = {"Venue": {"anyOf": [{"enum": sorted(venues)}, own]}}
    return schema_of(Config, "exchange-exporter config", definitions)


def schema_of(section: type[Any], title: str, definitions: dict[str, Schema]) -> Schema:
    """Describe a section as a whole document; ``definitions`` are those it refers to."""
    Section(section).schema(definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **definitions.pop(section.__name__),
        "patternProperties": {"^x-": {"description": "Anything: a place for YAML anchors."}},
        "$defs": dict(sorted(definitions.items())),
    }


def config_hash(config: object) -> str:
    """Return 16 hex digits that change when a setting does, and not with comments or spelling.

    Of a secret only its source counts: the digits are published.
    """
    canonical = json.dumps(_plain(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    match value:
        case Secret():
            return {"secret": value.source}
        case Enum():
            return value.value
        case VenueSymbol():
            return {"venue_symbol": str(value), "product": value.product}
        case DefinedVenue():
            return {"name": value.name, "edition": value.edition}
        case tuple() | list():
            return [_plain(each) for each in value]
        case Mapping():
            return {str(name): _plain(each) for name, each in value.items()}
        case _ if dataclasses.is_dataclass(value):
            return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value
