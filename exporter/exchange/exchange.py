"""One exchange: its probes, its streams, its books."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from exporter import config as settings
from exporter.contracts import Venue
from exporter.exchange import lead, market_watch, markets, perpetuals
from exporter.exchange.market_watch import MarketWatch, WatchedMarket
from exporter.exchange.markets import MarketFollower
from exporter.exchange.perpetuals import PerpetualWatch
from exporter.exchange.state_stream import MarketStateStream
from exporter.flow.addresses import Addresses
from exporter.flow.mailbox import Mailbox
from exporter.instrument import product_of
from exporter.metrics import families
from exporter.probes.attribution import Domain, Symptom, of_stream
from exporter.probes.context import ExchangeContext, Task
from exporter.probes.exchange_probes import ExchangeProbes
from exporter.probes.failover import FailoverFetch
from exporter.streams import cross_check
from exporter.streams.contract_watch import ContractWatch
from exporter.streams.cross_check import CrossChecks
from exporter.streams.exchange_books import ExchangeBooks, weight_of
from exporter.streams.exchange_streams import ExchangeStreams
from exporter.streams.feed import Feed
from exporter.streams.stream_state import StreamState

_WELL: Final = frozenset[Symptom]()


class Exchange:
    """One configured exchange. `tasks` gives what must run; `close` takes its series away."""

    def __init__(
        self, configured: settings.ExchangeConfig, venue: Venue, around: ExchangeContext
    ) -> None:
        self.name, self.venue, self._settle = configured.name, venue, around.settle
        self._registry = registry = around.registry.scope()
        self.provider = configured.provider
        if self.provider is not None:
            registry.info(families.EXCHANGE_PROVIDER, self.name, self.provider)
        for each in configured.endpoints or ():
            if each.provider is not None:
                registry.info(families.ENDPOINT_PROVIDER, self.name, each.name, each.provider)
        checked = any(stream.cross_check is not None for stream in configured.streams)
        heaviest = max(
            weight_of(venue, configured.streams),
            cross_check.weight_of(venue, wanted=checked),
            1 if venue.prelude is None else venue.prelude.weight,
            markets.weight_of(configured, venue),
            market_watch.weight_of(configured, venue),
            perpetuals.weight_of(configured, venue),
        )
        self.probing = ExchangeProbes(configured, venue, around, registry, heaviest)
        rest = settings.site(configured, venue).rest_urls
        addresses = Addresses(f"{self.name}/rest", rest, around.clock.monotonic)
        around = replace(around, fetch=FailoverFetch(around.fetch, rest[0], addresses))
        self.books = ExchangeBooks(configured, venue, around, self.probing)
        self._checks = CrossChecks(configured, venue, around, self.probing)
        self._streams = ExchangeStreams(
            configured, venue, around, registry, self.probing, self.books, self._checks
        )
        self.markets = MarketFollower(
            configured, venue, around, registry, self.probing, self._follow
        )
        self.states = MarketWatch(
            configured, venue, around, registry, self.probing, self.wanted, self._streams.rest
        )
        self._state_stream = MarketStateStream(
            configured, venue, around, registry, self.probing, self._streams, self.states
        )
        self.perpetuals = PerpetualWatch(
            configured, venue, around, registry, self.probing, self.wanted
        )
        self._configured, self._monotonic = configured, around.clock.monotonic
        self._contract = (
            ContractWatch(self.name, venue, registry) if configured.schema_watch else None
        )
        self._mailbox: Mailbox[Callable[[], object], object] = Mailbox()
        self.domain: Domain | None = None  # where the fault lies, if anything fails
        self.lead = lead.IncidentLead()
        self._lead = registry.gauge(families.INCIDENT_LEAD, self.name)
        self._domains = registry.gauges(families.FAULT_DOMAIN, self.name, values=Domain)

    @property
    def streams(self) -> list[StreamState]:
        """All connections."""
        return self._streams.streams

    @property
    def queue_waited(self) -> tuple[int, float]:
        """How often frames waited in our queue, and for how many seconds in all."""
        return self._streams.queue_waited

    def tasks(self) -> Iterator[Task]:
        """Yield everything of this exchange that must run."""
        yield "mailbox", f"{self.name}/mailbox", partial(self._mailbox.serve, _done)
        yield from self.probing.tasks()
        yield from self._streams.tasks()
        yield from self.books.tasks()
        yield from self._checks.tasks()
        if self._configured.selections:
            yield "markets", f"{self.name}/markets", self.markets.run
        if self.states.on:
            yield "markets", f"{self.name}/market states", self.states.run
        yield from self._state_stream.tasks()
        if self.perpetuals.on:
            yield "markets", f"{self.name}/perpetuals", self.perpetuals.run

    def close(self) -> None:
        """Remove all series of this exchange."""
        self._streams.close()
        self._registry.close()

    async def change(self, configured: settings.ExchangeConfig) -> None:
        """Watch other markets of the same exchange; what is watched before and after goes on."""
        self._configured = configured
        await self.markets.change(configured)

    async def _follow(self, configured: settings.ExchangeConfig) -> None:
        """Subscribe to the markets that this config names, and to no others."""
        self.probing.watch(configured)
        self._streams.follow(configured)
        self.states.change(configured)
        self.perpetuals.change(configured)
        await self._settle()

    def wanted(self) -> dict[str, WatchedMarket]:
        """Return the markets that are watched now, by the names that they have here."""
        named = settings.watched(self._configured, self.venue)
        own = settings.plain(self._configured, self.venue)
        found = {
            instrument: WatchedMarket(symbol, product_of(instrument, own))
            for instrument, symbol in zip(named.instruments, named.symbols, strict=True)
        }
        for feed in self.feeds:
            what = feed.subscription
            found[what.instrument] = WatchedMarket(what.symbol, what.product)
        return found

    @property
    def feeds(self) -> Iterator[Feed]:
        """All subscriptions, over all streams."""
        return (watch.feed for stream in self.streams for watch in stream.watches.values())

    @property
    def priced(self) -> list[Feed]:
        """Those that know a best bid and ask: quotes, and the books of what has none."""
        return self._streams.priced

    @property
    def begun(self) -> bool:
        """Return whether every endpoint and stream has had its first turn."""
        begun = self.probing.begun and self.markets.tried
        return begun and all(stream.counts for stream in self.streams)

    async def ask(self, question: Callable[[], object], timeout: float) -> object:
        """Have this exchange's own task do something; return what came of it.

        Raises MailboxFullError, UnansweredError, TimeoutError after ``timeout`` seconds, and
        ValueError from the question.
        """
        return await self._mailbox.ask(question, timeout)

    def symptoms(self) -> frozenset[Symptom]:
        """Return what fails now, as far as it tells of the other side; empty when all is well."""
        found = [*self.probing.symptoms()]
        for stream in self._streams.streams:
            if stream.attempts and not stream.connected:
                found.append(of_stream(stream.lost))
        return frozenset(found) if found else _WELL

    def blame(self, domain: Domain | None) -> None:
        """Set the fault domain; None: there is no fault."""
        if domain is self.domain:
            return
        self.domain = domain
        for each, gauge in self._domains.items():
            gauge.set(1 if each is domain else 0)

    def compare_notices(self, troubled: bool, now: float) -> None:
        """Hold what the venue declares against what we see; ``now`` in epoch seconds."""
        said = [each.notice for each in self.probing.notices.declared]
        after = lead.step(self.lead, troubled, said, now)
        if after is not self.lead:
            self.lead = after
            self._lead.set(after.newest)

    def tick(self, now: float) -> None:
        """Look once at what passes with time alone; ``now`` in epoch seconds."""
        self._streams.update(now)
        if self._contract is not None:
            self._contract.update(self.streams, now)
        self.books.update(now)
        self.probing.tick(now)
        self.states.tick()
        self.perpetuals.tick(self._monotonic())


async def _done(question: Callable[[], object]) -> object:
    return question()
