"""What a simulated venue's file promises: tables and functions, filled in by `venues/<name>.py`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from exporter.simulator.market import Pair, Print, Step

if TYPE_CHECKING:
    from exporter.simulator.session import SimulatedSession
    from exporter.simulator.venue_server import VenueServer

Query: TypeAlias = Mapping[str, str]


class Manner(Enum):
    """How an HTTP answer is delivered."""

    WHOLE = "whole"
    SILENT = "silent"  # never
    RESET = "reset"
    SLOW = "slow"
    ENDLESS = "endless"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedReply:
    """An HTTP answer. ``delay`` and ``pace`` (for slow bodies) in seconds."""

    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    manner: Manner = Manner.WHOLE
    delay: float = 0.0
    pace: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedRequest:
    """An HTTP request for a venue. ``path`` without the venue's prefix, header names lower."""

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    client: str  # peer address
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A limit of requests (by weight) per client address and window in seconds."""

    limit: int
    window: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Where a client stands: ``reset`` is epoch seconds (true clock) of the window's end."""

    used: int
    limit: int
    window: float
    reset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One REST path, maybe with one ``{symbol}`` segment.

    ``weight`` may depend on the query; ``quota`` is its own, beside the venue's.

    ``always`` answers even in maintenance.
    """

    answer: Callable[[VenueServer, Query], bytes | SimulatedReply]
    weight: Callable[[Query], int] = lambda query: 1
    quota: Quota | None = None
    always: bool = False
    method: str = "GET"


@dataclass(slots=True, kw_only=True, eq=False)
class SimulatedFeed:
    """One topic that is being published: how its frames are made, and to whom they go.

    ``prints`` makes frames of executions, ``steps`` of a market step; both get the venue's clock
    in milliseconds. ``opening`` gives what a new subscriber is sent first.
    """

    key: str
    topic: str
    channel: str
    pair: Pair
    prints: Callable[[Sequence[Print], int], list[bytes]] | None = None
    steps: Callable[[Step], list[bytes]] | None = None
    opening: Callable[[int], list[bytes]] | None = None
    members: set[SimulatedSession] = field(default_factory=set)  # all who subscribed
    sessions: set[SimulatedSession] = field(default_factory=set)  # those who are served
    behind: float = 0.0  # monotonic time until which injected latency holds its frames back


def _no_headers(desk: VenueServer, usage: Usage) -> Mapping[str, str]:
    return {}


def _no_listings(instruments: Sequence[str]) -> Sequence[str]:
    return instruments


def _no_contracts(instruments: Sequence[str]) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """The venue's own error answers. The float is seconds until it may be tried again."""

    unknown_path: Callable[[VenueServer, str], SimulatedReply]
    limited: Callable[[VenueServer, float], SimulatedReply]
    banned: Callable[[VenueServer, float], SimulatedReply]
    unavailable: Callable[[VenueServer], SimulatedReply]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSpec:
    """One venue's public protocol, seen from the server."""

    name: str
    symbol: Callable[[str], str]  # our instrument → the venue's spelling
    lists: Callable[[Sequence[str]], Sequence[str]] = _no_listings  # asked → listed instruments
    # Of contracts that are asked for (BTC-USDT-PERP), those that it lists beside.
    contracts: Callable[[Sequence[str]], Sequence[str]] = _no_contracts
    # REST
    routes: Mapping[str, Route]
    refusals: Refusals
    quota: Quota | None = None
    bans: bool = False  # who ignores 429s is banned, ever longer
    headers: Callable[[VenueServer, Usage], Mapping[str, str]] = _no_headers
    # WebSocket
    sockets: Callable[[str], bool]  # whether this path takes WebSocket handshakes
    opened: Callable[[SimulatedSession], None] = lambda session: None
    received: Callable[[SimulatedSession, str], None]
    tended: Callable[[SimulatedSession, float], None] = lambda session, now: (
        None
    )  # a few times a second
    ping_every: float | None = None  # the server's own ping frames, seconds
    pong_within: float = 60.0
    idle_limit: float | None = None  # seconds without any data pushed or frame received
    lifetime: float | None = None
    incoming: Quota | None = None  # frames of any kind a client may send
    connects: Quota | None = None  # handshakes per client address
    notice: Callable[[SimulatedSession], str | None] = lambda session: (
        None
    )  # before a planned close
    checksums: bool = False


def listed(instruments: Sequence[str], quote: str) -> tuple[str, ...]:
    """Add to ``instruments`` their bases quoted in ``quote``, for venues that use dollars."""
    return tuple(dict.fromkeys([
        *instruments, *(f"{one.partition('-')[0]}-{quote}" for one in instruments)
    ]))  # fmt: skip


def iso(millis: int) -> str:
    """Format a time as RFC 3339 in UTC with microseconds."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(millis // 1000))
    return f"{moment}.{millis % 1000:03d}000Z"


def dump(value: object) -> bytes:
    """Format JSON as the venues do, without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def find_route(
    routes: Mapping[str, Route], path: str, query: Query
) -> tuple[str, Route | None, Query]:
    """Find a path's route and its name; a ``{symbol}`` segment of it becomes part of the query."""
    if path in routes:
        return path, routes[path], query
    parts = path.split("/")
    for name, route in routes.items():
        wanted = name.split("/")
        if "{symbol}" in wanted and len(wanted) == len(parts):
            place = wanted.index("{symbol}")
            if wanted[:place] + wanted[place + 1 :] == parts[:place] + parts[place + 1 :]:
                return name, route, {**query, "symbol": parts[place]}
    return "other", None, query
