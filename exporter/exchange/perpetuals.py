"""Watches what perpetuals of one exchange are valued by, and what is paid for holding them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from exporter import config as settings
from exporter.contracts import Venue
from exporter.exchange.consensus import agreed
from exporter.exchange.lists import VenueLists, jittered
from exporter.exchange.market_watch import WatchedMarket
from exporter.instrument import canonical, parse
from exporter.listing import ListedPerpetual, PerpetualList, merged
from exporter.metrics import families as f
from exporter.metrics.registry import Registry
from exporter.probes.context import ExchangeContext
from exporter.probes.discovery import TIMEOUT
from exporter.probes.exchange_probes import ExchangeProbes

log = logging.getLogger(__name__)

_TURNS = 3.0  # intervals for which what was read stands
_FAMILIES = (
    f.MARK_PRICE, f.INDEX_PRICE, f.FUNDING_RATE, f.FUNDING_INTERVAL, f.FUNDING_NEXT, f.FUNDING_CAP,
)  # fmt: skip
_DEVIATIONS = (f.MARK_DEVIATION, f.INDEX_DEVIATION)


@dataclass(frozen=True, slots=True)
class _KnownPerpetual:
    """What is known of one perpetual, from when on by ``read`` (monotonic seconds).

    ``spot`` is the spot market that it follows; empty if its name does not say.
    """

    market: WatchedMarket
    spot: str
    listed: ListedPerpetual
    read: float


class PerpetualWatch:
    """Keeps what a venue tells of the perpetuals that are watched. `run` asks and shows it."""

    def __init__(
        self,
        configured: settings.ExchangeConfig,
        venue: Venue,
        around: ExchangeContext,
        registry: Registry,
        probing: ExchangeProbes,
        wanted: Callable[[], Mapping[str, WatchedMarket]],
    ) -> None:
        self._name, self._configured, self._venue = configured.name, configured, venue
        self._clock, self._wanted, self._registry = around.clock, wanted, registry
        self._lists = VenueLists(configured, venue, around, probing, "perpetuals")
        self._known: dict[str, _KnownPerpetual] = {}
        self._new = set[str]()  # not compared yet

    @property
    def on(self) -> bool:
        """Return whether perpetuals are watched at all."""
        return self._configured.perpetuals.watch

    @property
    def waiting(self) -> bool:
        """Return whether anything was read that `compare` has not seen."""
        return bool(self._new)

    def change(self, configured: settings.ExchangeConfig) -> None:
        """Watch other markets of the same exchange from now on."""
        self._configured = configured
        wanted = self._wanted()
        self._forget([n for n, each in self._known.items() if wanted.get(n) != each.market])

    async def run(self) -> None:
        """Ask for the lists again and again, until cancelled."""
        while True:
            await self.refresh()
            await self._clock.sleep(jittered(self._configured.perpetuals.interval))

    async def refresh(self) -> None:
        """Ask for all lists, and take what they say together; nothing if one of them is missing.

        A part alone could tell another interval than the whole.
        """
        wanted = settings.perpetual_lists(self._configured, self._venue)
        found = [await self._ask(each) for each in wanted]
        parts = [part for part in found if part is not None]
        if len(parts) < len(found):
            return
        rows = merged(parts)
        for instrument, market in self._wanted().items():
            row = rows.get(market.symbol)
            if row is None or market.product not in self._venue.perpetuals:
                continue
            name = parse(canonical(instrument, market.product))
            if name is None or name.perpetual:
                spot = "" if name is None else f"{name.base}-{name.quote}"
                self._know(instrument, market, spot, row)

    async def _ask(self, one: PerpetualList) -> list[ListedPerpetual] | None:
        return await self._lists.ask(
            one.path, one.weight, lambda body: list(one.read(body)), one.body
        )

    def _know(
        self, instrument: str, market: WatchedMarket, spot: str, listed: ListedPerpetual
    ) -> None:
        before = self._known.get(instrument)
        self._known[instrument] = _KnownPerpetual(market, spot, listed, self._clock.monotonic())
        self._new.add(instrument)
        for family, value in zip(
            _FAMILIES,
            (listed.mark, listed.index, listed.rate, listed.interval, listed.next_funding,
             listed.cap),
            strict=True,
        ):  # fmt: skip
            self._registry.gauge(family, self._name, instrument).set(value)
        for family in _DEVIATIONS:
            self._registry.gauge(family, self._name, instrument)  # until `compare` sets it: absent
        if before is not None and before.listed.interval != listed.interval:
            log.warning(
                "funding_interval_changed exchange=%s symbol=%s before_s=%s now_s=%s",
                self._name, instrument, before.listed.interval, listed.interval,
            )  # fmt: skip

    def compare(self, spot: Mapping[str, Mapping[str, float]], peers: int) -> None:
        """Hold what was read since the last call against spot prices of this moment.

        ``spot`` gives the price of each exchange by market; ``peers`` others must agree. Only here,
        for what was read half a minute ago says nothing of a price of now.
        """
        for instrument in self._new:
            known = self._known[instrument]
            others = [
                price
                for exchange, price in spot.get(known.spot, {}).items()
                if exchange != self._name
            ]
            against = agreed(others, peers)
            for family, value in zip(
                _DEVIATIONS, (known.listed.mark, known.listed.index), strict=True
            ):
                self._registry.gauge(family, self._name, instrument).set(
                    None if value is None or against is None else value / against - 1.0
                )
        self._new.clear()

    @property
    def standing(self) -> float:
        """Return how long what was read stands, in seconds."""
        return _TURNS * self._configured.perpetuals.interval + TIMEOUT

    def tick(self, now: float) -> None:
        """Forget, once a tick, what was read too long before ``now`` (monotonic seconds)."""
        if not self._known:
            return
        oldest = now - self.standing
        self._forget([name for name, each in self._known.items() if each.read < oldest])

    def _forget(self, gone: Iterable[str]) -> None:
        for name in gone:
            del self._known[name]
            self._new.discard(name)
            for family in (*_FAMILIES, *_DEVIATIONS):
                self._registry.remove(family, self._name, name)


def weight_of(configured: settings.ExchangeConfig, venue: Venue) -> int:
    """Return the weight of the heaviest list of perpetuals, 1 where none is asked for."""
    wanted = settings.perpetual_lists(configured, venue) if configured.perpetuals.watch else ()
    return max((each.weight for each in wanted), default=1)
