"""The health of each exchange in the last 24 hours, in cells of five minutes, saved on disk.

timelines.json: {"version": 1, "cells": {exchange: {cell: [seconds up, degraded, down]}}}; a cell is
numbered by its begin, in five minutes since the epoch. What nobody looked at is in none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from math import isfinite

import msgspec

from exporter.contracts import Clock
from exporter.exchange.exchange import Exchange
from exporter.maintenance import TradingMode
from exporter.model import Circuit
from exporter.web.state import Health, TimelineSpan

log = logging.getLogger(__name__)

CELL, CELLS = 300.0, 288
EVERY = 5.0  # seconds between two looks
_SAVED_EVERY = 60.0
_NOTICED = 30.0  # seconds of a cell that make it what they are
_VERSION = 1
_STATES = (Health.UP, Health.DEGRADED, Health.DOWN)


class _Kept(msgspec.Struct):
    version: int
    cells: dict[str, dict[int, tuple[float, float, float]]]


class Timelines:
    """The timelines of all exchanges, by name; one that is watched again goes on."""

    def __init__(self) -> None:
        self._cells: dict[str, dict[int, list[float]]] = {}
        self._looked = float("-inf")

    def update(self, exchanges: Iterable[Exchange], now: float) -> None:
        """Look at all exchanges, if it is time to; ``now`` in epoch seconds."""
        passed = now - self._looked
        if 0.0 <= passed < EVERY:
            return
        self._looked = now
        if not 0.0 < passed <= 4.0 * EVERY:  # the start, or time that nobody saw
            return
        for exchange in exchanges:
            health = health_of(exchange)
            if health is not Health.PENDING:
                self.note(exchange.name, health, passed, now)

    def note(self, name: str, health: Health, seconds: float, now: float) -> None:
        """Count some seconds of an exchange up to ``now``, epoch seconds."""
        cells = self._cells.setdefault(name, {})
        cell = cells.setdefault(int(now // CELL), [0.0, 0.0, 0.0])
        cell[_STATES.index(health)] += seconds
        oldest = int(now // CELL) - CELLS
        while (first := next(iter(cells))) <= oldest:
            del cells[first]

    def spans(self, name: str, now: float) -> tuple[TimelineSpan, ...]:
        """Return the last 24 hours, the oldest first; PENDING is time that nobody saw."""
        cells, last = self._cells.get(name, {}), int(now // CELL)
        found: list[TimelineSpan] = []
        for number in range(last - CELLS + 1, last + 1):
            state, start = _state(cells.get(number)), number * CELL
            if found and found[-1].health is state:
                start = found.pop().start
            found.append(TimelineSpan(start=start, end=(number + 1) * CELL, health=state))
        return tuple(found)

    def encode(self) -> bytes:
        """Return all of it for a file."""
        cells = {
            name: {number: (up, slow, down) for number, (up, slow, down) in kept.items()}
            for name, kept in self._cells.items()
        }
        return msgspec.json.encode(_Kept(_VERSION, cells))

    def restore(self, raw: bytes, now: float) -> None:
        """Take up what `encode` gave, as far as it is of the last day. Raises ValueError."""
        kept = msgspec.json.decode(raw, type=_Kept)
        if kept.version != _VERSION:
            raise ValueError(f"version {kept.version}, expected {_VERSION}")
        last = int(now // CELL)
        for name, cells in kept.cells.items():
            good = {
                number: list(seconds)
                for number, seconds in sorted(cells.items())
                if last - CELLS < number <= last
                and all(isfinite(each) and 0.0 <= each <= 2.0 * CELL for each in seconds)
            }
            if good:
                self._cells[name] = good

    async def run(self, clock: Clock, save: Callable[[bytes], None]) -> None:
        """Write them every minute, in a thread, until cancelled."""
        while True:
            await clock.sleep(_SAVED_EVERY)
            await asyncio.to_thread(save, self.encode())


def _state(cell: list[float] | None) -> Health:
    if cell is None or sum(cell) < _NOTICED:
        return Health.PENDING
    _, slow, down = cell
    if down >= _NOTICED:
        return Health.DOWN
    return Health.DEGRADED if slow + down >= _NOTICED else Health.UP


def health_of(exchange: Exchange) -> Health:
    """Return how an exchange is, from what is at hand: it is asked every few seconds."""
    parts = list(_parts(exchange))
    if not parts:
        return Health.PENDING
    if not any(parts):
        return Health.DOWN
    probing = exchange.probing
    restricted = probing.said.mode not in (None, TradingMode.TRADING)
    calm = all(parts) and not (restricted or probing.maintenance.active)
    return Health.UP if calm else Health.DEGRADED


def _parts(exchange: Exchange) -> Iterator[bool]:
    for state in exchange.probing.endpoints.values():
        if state.last is not None:
            yield state.last.ok and state.breaker.state.circuit is not Circuit.OPEN
    for stream in exchange.streams:
        if stream.attempts:
            yield stream.connected
