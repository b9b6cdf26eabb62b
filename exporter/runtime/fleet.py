"""The running exchanges, and how a reload changes them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from exporter import config as settings
from exporter.config.reload import Changes
from exporter.contracts import Venue
from exporter.exchange.exchange import Exchange
from exporter.probes.context import Task

log = logging.getLogger(__name__)

_INSIST_EVERY = 1.0  # seconds until a task that should have ended is told so again


@dataclass(frozen=True, slots=True)
class _Unit:
    configured: settings.ExchangeConfig
    exchange: Exchange
    tasks: dict[tuple[str, str], asyncio.Task[None]] = field(default_factory=dict)


class Fleet:
    """All running exchanges, in the config's order; ``start`` runs one task of theirs."""

    def __init__(self, start: Callable[[Task], asyncio.Task[None]]) -> None:
        self._start = start
        self._units: dict[str, _Unit] = {}
        self.exchanges: tuple[Exchange, ...] = ()

    async def change(
        self,
        wanted: Sequence[settings.ExchangeConfig],
        make: Callable[[settings.ExchangeConfig], Exchange],
        venue: Callable[[str], Venue],
        *,
        all_anew: bool,
        patience: float,
    ) -> Changes:
        """Bring the fleet to what is wanted; whoever is configured as before is left alone.

        Where only the markets differ, those that are new are subscribed to on what is open.

        The new ones are all made before the first old one is stopped, so that an error of making
        them, which is passed on, leaves everything as it was. Series that an exchange has before
        and after keep their values. Whoever does not stop within ``patience`` seconds is left.
        """
        kept = {
            each.name
            for each in wanted
            if not all_anew
            and each.name in self._units
            and self._units[each.name].configured == each
            and self._units[each.name].exchange.venue.edition == venue(each.venue).edition
        }
        moved = {
            each.name: each
            for each in wanted
            if not all_anew
            and each.name in self._units
            and each.name not in kept
            and self._units[each.name].exchange.venue.edition == venue(each.venue).edition
            and _alike(self._units[each.name].configured, each)
        }
        made: dict[str, tuple[settings.ExchangeConfig, Exchange]] = {}
        try:
            for each in wanted:
                if each.name not in kept and each.name not in moved:
                    made[each.name] = (each, make(each))
        except BaseException:
            for _, exchange in made.values():
                exchange.close()
            raise
        before = tuple(self._units)
        await self._stop([n for n in before if n not in kept and n not in moved], patience)
        for name, (configured, exchange) in made.items():
            self._units[name] = _Unit(configured, exchange)
            await self.settle(name)
        for name, configured in moved.items():
            unit = self._units[name]
            self._units[name] = replace(unit, configured=configured)
            await unit.exchange.change(configured)
            await self.settle(name)
        self._units = {each.name: self._units[each.name] for each in wanted}
        self._list()
        return Changes(
            added=tuple(name for name in made if name not in before),
            removed=tuple(name for name in before if name not in self._units),
            restarted=tuple(name for name in made if name in before),
            kept=tuple(name for name in before if name in kept or name in moved),
        )

    async def settle(self, name: str, patience: float = 5.0) -> None:
        """Start what an exchange has to run by now, and end what it has not to any more."""
        unit = self._units.get(name)
        if unit is None:
            return
        wanted = {(task[0], task[1]): task for task in unit.exchange.tasks()}
        gone = [unit.tasks.pop(key) for key in tuple(unit.tasks) if key not in wanted]
        for key, task in wanted.items():
            if key not in unit.tasks:
                unit.tasks[key] = self._start(task)
        await end(gone, patience)

    async def stop(self, patience: float) -> None:
        """Stop all, within ``patience`` seconds; their last figures stay on the page."""
        units = self._units.values()
        await end([task for unit in units for task in unit.tasks.values()], patience)

    async def _stop(self, names: Sequence[str], patience: float) -> None:
        units = [self._units.pop(name) for name in names]
        self._list()  # at once: nobody looks at what is being stopped
        await end([task for unit in units for task in unit.tasks.values()], patience)
        for unit in units:
            unit.exchange.close()

    def _list(self) -> None:
        self.exchanges = tuple(unit.exchange for unit in self._units.values())


def _alike(before: settings.ExchangeConfig, now: settings.ExchangeConfig) -> bool:
    """Return whether two configs of an exchange differ in nothing but the markets watched.

    {symbol} in a path stands for the first market: where that is another, probes are.
    """

    def bare(each: settings.ExchangeConfig) -> settings.ExchangeConfig:
        return replace(
            each,
            symbols=(),
            symbol_overrides={},
            symbols_limit=now.symbols_limit,
            symbols_refresh=now.symbols_refresh,
            streams=tuple(replace(stream, symbols=None) for stream in each.streams),
        )

    return bare(before) == bare(now) and before.named[:1] == now.named[:1]


async def end(tasks: Iterable[asyncio.Task[None]], patience: float) -> None:
    """Cancel tasks and wait for them, ``patience`` seconds at most."""
    left = {task for task in tasks if not task.done()}
    give_up = asyncio.get_running_loop().time() + patience
    while left:
        for task in left:
            # More than once: a task group whose child fails meanwhile loses a cancellation.
            task.cancel()
        rest = give_up - asyncio.get_running_loop().time()
        if rest <= 0.0:
            names = ",".join(sorted(task.get_name() for task in left)[:10])
            log.error("tasks_still_running count=%d tasks=%s", len(left), names)
            return
        _, left = await asyncio.wait(left, timeout=min(rest, _INSIST_EVERY))
