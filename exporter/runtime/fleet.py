"""The exchanges that run, and how they become those of another config."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

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
    tasks: tuple[asyncio.Task[None], ...]


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
        made: dict[str, tuple[settings.ExchangeConfig, Exchange]] = {}
        try:
            for each in wanted:
                if each.name not in kept:
                    made[each.name] = (each, make(each))
        except BaseException:
            for _, exchange in made.values():
                exchange.close()
            raise
        before = tuple(self._units)
        await self._stop([name for name in before if name not in kept], patience)
        for name, (configured, exchange) in made.items():
            tasks = tuple(self._start(task) for task in exchange.tasks())
            self._units[name] = _Unit(configured, exchange, tasks)
        self._units = {each.name: self._units[each.name] for each in wanted}
        self._list()
        return Changes(
            added=tuple(name for name in made if name not in before),
            removed=tuple(name for name in before if name not in self._units),
            restarted=tuple(name for name in made if name in before),
            kept=tuple(name for name in before if name in kept),
        )

    async def stop(self, patience: float) -> None:
        """Stop all, within ``patience`` seconds; their last figures stay on the page."""
        await end([task for unit in self._units.values() for task in unit.tasks], patience)

    async def _stop(self, names: Sequence[str], patience: float) -> None:
        units = [self._units.pop(name) for name in names]
        self._list()  # at once: nobody looks at what is being stopped
        await end([task for unit in units for task in unit.tasks], patience)
        for unit in units:
            unit.exchange.close()

    def _list(self) -> None:
        self.exchanges = tuple(unit.exchange for unit in self._units.values())


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
