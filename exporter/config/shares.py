"""The share of each shard: whole exchanges, and single endpoints where they may be spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from exporter.config.exchange import ExchangeConfig
from exporter.config.placement import spread
from exporter.config.plan import budget_share, wanted
from exporter.config.shape import Config
from exporter.contracts import Venue

Load = Callable[[str], Venue]


def units(config: Config, count: int, load: Load) -> dict[str, int]:
    """Return the shard of each ``exchange``, and of each ``exchange/endpoint`` that may part."""
    names = [each.name for each in config.exchanges]
    loose = [
        f"{each.name}/{name}"
        for each in config.exchanges
        for name in _loose(each, load(each.venue))
    ]
    return spread((*names, *loose), count)


def shares(config: Config, count: int, load: Load) -> list[tuple[ExchangeConfig, ...]]:
    """Return the exchanges, or parts of them, that each of ``count`` shards watches.

    Where endpoints are spread, the exchange's streams, books, clock and status stay together. Each
    part gets an equal part of the probes' share of the rate limits, so that all of them together
    never use more than one process would, though they may have one address.
    """
    placed = units(config, count, load)
    found: list[list[ExchangeConfig]] = [[] for _ in range(count)]
    for each in config.exchanges:
        venue, home = load(each.venue), placed[each.name]
        if not each.spread_endpoints:
            found[home].append(each)
            continue
        asked = wanted(each, venue)
        where = {one.name: placed.get(f"{each.name}/{one.name}", home) for one in asked}
        holders = {home, *where.values()}
        limits = replace(each.limits, share=budget_share(each, config.probes) / len(holders))
        for holder in holders:
            mine = tuple(one for one in asked if where[one.name] == holder)
            part = replace(each, endpoints=mine, limits=limits)
            if holder != home:
                part = replace(part, streams=(), status_page=False)
            found[holder].append(part)
    return [tuple(each) for each in found]


def _loose(exchange: ExchangeConfig, venue: Venue) -> list[str]:
    """Name the endpoints that may part: not those that the rest of the exchange learns from."""
    if not exchange.spread_endpoints:
        return []
    read = {each.name for each in venue.endpoints if each.clock or each.status}
    return [
        each.name
        for each in wanted(exchange, venue)
        if each.name not in read and each.clock is None and each.maintenance is None
    ]
