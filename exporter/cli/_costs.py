"""Estimate what a process needs for so much of everything, by coefficients that were fitted.

They are in `costs.json`, with the date and how to fit them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import ceil, sqrt

import msgspec

_BUSY = 0.5  # of a core: more leaves too little for a burst of messages
_TOGETHER = 500.0  # messages a second from which on many are read in one turn


class Coefficients(msgspec.Struct, frozen=True):
    """What one of each takes: ``cores`` by its rate a second, ``memory`` and ``page`` in MB."""

    measured: str
    cores: dict[str, float]
    memory: dict[str, float]
    page: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process takes: CPU cores, MB of memory, MB of a page, shards that share it."""

    cores: float
    memory: float
    page: float
    shards: int


@cache
def coefficients() -> Coefficients:
    """Read the coefficients."""
    file = resources.files("exporter.cli").joinpath("costs.json")
    return msgspec.json.decode(file.read_bytes(), type=Coefficients)


def cost_of(
    *,
    exchanges: int,
    probes: float,
    messages: float,
    books: float,
    series: float,
    series_limit: int,
) -> Cost:
    """Estimate the whole; ``probes`` and ``messages`` a second, a tick a second.

    Series cost by the detectors' tick and by scrapes.
    Shards are as many as keep each below half a core and below its limit of series, but no more
    than there are exchanges.
    """
    known = coefficients()
    cores = (
        known.cores["itself"]
        + known.cores["probe"] * probes
        + _cores_of(messages)
        + known.cores["series"] * series
    )
    wanted = max(ceil(cores / _BUSY), ceil(series / series_limit), 1)
    return Cost(
        cores=cores,
        memory=known.memory["itself"]
        + known.memory["series"] * series
        + known.memory["book"] * books,
        page=known.page["itself"] + known.page["series"] * series,
        shards=min(wanted, max(exchanges, 1)),
    )


def _cores_of(messages: float) -> float:
    """Return what so many messages a second take.

    One that comes alone wakes the process, which costs far more than to read it.
    """
    return float(coefficients().cores["message"] * messages / sqrt(1.0 + messages / _TOGETHER))


def lines_of(cost: Cost) -> list[str]:
    """Return what `check` prints of it."""
    enough = "one process is enough (chart: `shards: 1`)"
    if cost.shards > 1:
        enough = f"{cost.shards} processes are needed (chart: `shards: {cost.shards}`)"
    return [
        f"about {cost.memory:.0f} MB of memory, more for books of many levels",
        f"about {cost.cores:.2f} CPU cores with one message a second from each subscription; "
        f"1,000 messages a second take {_cores_of(1000.0):.2f}, 10,000 take {_cores_of(1e4):.2f}",
        f"about {cost.page:.2f} MB for each scrape, before compression",
        enough,
    ]
