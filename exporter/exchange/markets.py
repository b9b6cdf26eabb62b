"""Follows the markets that match the patterns in ``symbols``, by the venue's lists."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import chain
from random import random

from exporter import config as settings
from exporter.contracts import Venue
from exporter.exchange.lists import VenueLists, jittered
from exporter.flow import backoff
from exporter.metrics import families
from exporter.metrics.registry import Registry
from exporter.model import Market
from exporter.probes.context import ExchangeContext
from exporter.probes.exchange_probes import ExchangeProbes

log = logging.getLogger(__name__)

_FIRST_RETRY = 5.0  # seconds at most, doubling, until a list that was not had is asked for again
_NAMED = 20  # markets in one line of the log


class MarketFollower:
    """Keeps the markets of one exchange as its patterns want them. `run` asks and applies.

    ``apply`` subscribes to what a config names and leaves the rest; it must not fail.
    """

    def __init__(
        self,
        configured: settings.ExchangeConfig,
        venue: Venue,
        around: ExchangeContext,
        registry: Registry,
        probing: ExchangeProbes,
        apply: Callable[[settings.ExchangeConfig], Awaitable[None]],
    ) -> None:
        self._name, self._configured, self._venue = configured.name, configured, venue
        self._around, self._apply = around, apply
        self._venue_lists = VenueLists(configured, venue, around, probing, "markets")
        self._registry = registry
        self._lists: dict[str, tuple[Market, ...]] = {}  # what each path last gave
        self._volumes: dict[str, Mapping[str, float]] = {}
        self._doubted = False  # the last list had lost most of what is followed
        self.followed = settings.follow(configured, venue, (), {}, ())
        self.tried = not configured.selections

    @property
    def known(self) -> bool:
        """Return whether it is known what the patterns stand for; true where there are none."""
        return bool(self._lists) or not self._configured.selections

    def may_list(self, name: str) -> bool:
        """Return whether a market of this name may be one that the patterns stand for."""
        return any(each.covers(name) for each in self._configured.selections)

    async def run(self) -> None:
        """Request the lists periodically and follow them until cancelled."""
        state = backoff.BackoffState()
        while True:
            every = self._configured.symbols_refresh
            done = await self.refresh()
            self.tried = True
            wait: float | None = jittered(every)
            if done:
                state = backoff.BackoffState()
            else:
                rules = backoff.BackoffRules(base=min(_FIRST_RETRY, every), cap=every)
                state, wait = backoff.step(state, 0.0, rules, random())
            await self._around.clock.sleep(every if wait is None else wait)

    async def change(self, configured: settings.ExchangeConfig) -> None:
        """Follow other patterns or names from now on, by the lists that are known."""
        self._configured = configured
        await self._follow()

    async def refresh(self) -> bool:
        """Ask for all lists, and follow them; return whether all came.

        Of one that does not come the last one stands: a class of markets that cannot be listed
        costs those of the others nothing.
        """
        configured, venue = self._configured, self._venue
        if venue.read_markets is None:
            return False
        paths = settings.market_lists(configured, venue, all_named=False)
        lists = {path: self._lists[path] for path in paths if path in self._lists}
        came = list[bool]()
        for path in paths:
            part = await self._venue_lists.ask(path, venue.markets_weight, venue.read_markets)
            came.append(part is not None)
            lists |= {} if part is None else {path: part}
        for path in settings.volume_lists(configured, venue) if venue.volumes else ():
            assert venue.volumes is not None  # noqa: S101 - as just asked
            told = await self._venue_lists.ask(path, venue.volumes.weight, venue.volumes.read)
            came.append(told is not None)
            self._volumes |= {} if told is None else {path: told}
        if self._lost_most(chain.from_iterable(lists.values())) and not self._doubted:
            self._doubted = True
            log.warning("markets_doubted exchange=%s lists=%d", self._name, len(lists))
            return False
        self._doubted = False
        self._lists = lists
        await self._follow()
        if all(came) and configured.selections:
            time = self._registry.gauge(families.MARKETS_READ_TIME, self._name)
            time.set(self._around.clock.wall())
        return all(came)

    def _lost_most(self, markets: Iterable[Market]) -> bool:
        """Return whether most of what is followed is not listed: a list may be cut, or empty."""
        listed = {market.symbol for market in markets}
        followed = self.followed.symbols.values()
        gone = sum(symbol not in listed for symbol in followed)
        return gone > 1 and 2 * gone > len(followed)

    async def _follow(self) -> None:
        before = self.followed
        self.followed = found = settings.follow(
            self._configured,
            self._venue,
            chain.from_iterable(self._lists.values()),
            {symbol: n for each in self._volumes.values() for symbol, n in each.items()},
            frozenset(before.symbols.values()),
        )
        self._show()
        new = [name for name in found.symbols if name not in before.symbols]
        gone = [name for name in before.symbols if name not in found.symbols]
        if new or gone or found.left_out != before.left_out:
            log.info(
                "markets_followed exchange=%s count=%d new=%s gone=%s",
                self._name, len(found.symbols), _some(new), _some(gone),
            )  # fmt: skip
        if found.left_out and found.left_out != before.left_out:
            log.warning(
                "markets_left_out exchange=%s count=%d symbols_limit=%d symbols=%s",
                self._name,
                len(found.left_out),
                self._configured.symbols_limit,
                _some(found.left_out),
            )
        if found.configured != before.configured:
            await self._apply(found.configured)

    def _show(self) -> None:
        if self._configured.selections:
            counts = {
                families.MarketChoice.FOLLOWED: len(self.followed.symbols),
                families.MarketChoice.LEFT_OUT: len(self.followed.left_out),
            }
            for choice, number in counts.items():
                self._registry.gauge(families.MARKETS, self._name, choice).set(number)


def weight_of(configured: settings.ExchangeConfig, venue: Venue) -> int:
    """Return the weight of the heaviest list that patterns ask for, 1 where there are none."""
    if not configured.selections:
        return 1
    volumes = venue.volumes if settings.volume_lists(configured, venue) else None
    return max(venue.markets_weight, 1 if volumes is None else volumes.weight)


def _some(names: Sequence[str]) -> str:
    shown = ",".join(names[:_NAMED]) or "-"
    return f"{shown},+{len(names) - _NAMED}" if len(names) > _NAMED else shown
