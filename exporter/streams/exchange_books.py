"""The order books of one exchange: each combines a feed, a book and its synchronization."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from random import random

from exporter import config as settings
from exporter.books import synchronisation as source
from exporter.books.book import BookSync
from exporter.books.levels import divergence
from exporter.books.meter import BookMeter, LiquidityMeter
from exporter.books.synchronisation import BookSynchronizer, Snapshots
from exporter.contracts import BookRules, Clock, RestLimit, Venue
from exporter.decoding import ParseError
from exporter.flow import backoff
from exporter.flow.rate_limit import RateBudget, RateLimitRules
from exporter.metrics.registry import Registry
from exporter.model import Data, Depth, Resync, Subscription
from exporter.probes.context import ExchangeContext, Task
from exporter.probes.exchange_probes import ExchangeProbes
from exporter.streams.feed import Feed

_AT_ONCE = 4  # snapshots of one exchange
_AUDITED = 20  # levels a side
_CATCH_UP = 5.0  # seconds in which the stream reaches a snapshot that was ahead of it
_LOOK_EVERY = 0.1  # seconds
_STANDS, _TICKS = 3.0, 3.0  # seconds, or ticks if that is longer, for which a look at depth counts


class LocalBook:
    """One subscription's sink that builds a book beside its feed.

    ``priced``: nobody else quotes this symbol, so that the book gives its feed the price.
    """

    def __init__(
        self,
        feed: Feed,
        rules: BookRules,
        venue: Venue,
        meter: Callable[[BookSync], BookMeter],
        *,
        priced: bool,
        clock: Clock,
    ) -> None:
        self.feed = feed
        self.sync = BookSync(rules, venue.sequences)
        self.meter = meter(self.sync)
        self.keeper: BookSynchronizer | None = None  # set once it is made, for it takes this book
        self.liquidity: LiquidityMeter | None = None  # where it is configured
        self._rules, self._venue, self._clock = rules, venue, clock
        self._priced = priced
        self._shadow: BookSync | None = None
        self._looked = clock.monotonic()
        self.crossed_since: float | None = None  # epoch seconds

    def __call__(self, event: Data, received: float) -> None:
        """Take one event whose frame was received at ``received`` (epoch seconds).

        What it raises is the frame's end, never the stream's: the book is lost, and asked for anew.
        """
        self.feed(event, received)
        if type(event) is not Depth:
            return
        sync = self.sync
        before = sync.wanted
        try:
            sync.feed(event)
            if self._shadow is not None:
                self._shadow.feed(event)
        except BaseException as error:
            if sync.synced and not isinstance(error, ParseError):
                sync.lose(Resync.GAP)  # half of the message may stand in it
            self._wake(before)
            raise
        if before is None and sync.wanted is None:
            return  # nearly always
        self._wake(before)

    def _wake(self, before: Resync | None) -> None:
        sync = self.sync
        if (sync.wanted is not before or sync.waiting == 1) and self.keeper is not None:
            self.keeper.wake()

    def restart(self) -> None:
        """Begin anew: the subscription does, or its connection is gone."""
        self.sync.restart()
        if self.keeper is not None:
            self.keeper.restarted()

    def miss(self) -> None:
        """Take that a message may be missing here, for a frame was dropped or not read."""
        if self.sync.numbered:
            return
        self.sync.miss()
        if self._shadow is not None:
            self._shadow.miss()
        if self.keeper is not None:
            self.keeper.restarted()  # a snapshot that is on its way may be older than the hole

    def update(self, wall: float) -> None:
        """Look once a tick at what passes with time alone; ``wall`` in epoch seconds."""
        sync, now = self.sync, self._clock.monotonic()
        bad = not sync.synced or sync.book.touching
        if sync.synced and bad:
            self.meter.crossed(now - self._looked)
            self.crossed_since = self.crossed_since or wall
        else:
            self.crossed_since = None
        self._looked = now
        if sync.tick(now) is not None and self.keeper is not None:
            self.keeper.wake()
        if self._priced:
            self.feed.show(*((None, None) if bad else (sync.book.bid, sync.book.ask)), wall)

    def measure(self) -> None:
        """Look once a tick how much the book holds, where that is wanted."""
        if self.liquidity is not None:
            self.liquidity.update(self.feed.count, self._clock.monotonic())

    async def audit(self, snapshots: Snapshots) -> float | None:
        """Build the book a second time from REST; return the share of top levels that differ.

        Both take the same deltas, so at the same one they must be equal. None: it could not be
        done, which says nothing of the book.
        """
        clock, sync = self._clock, self.sync
        self._shadow = shadow = BookSync(self._rules, self._venue.sequences)
        try:
            if not await source.wait_shadowed(shadow, snapshots, self.feed.subscription, clock):
                return None
            give_up = clock.monotonic() + _CATCH_UP
            while not (sync.synced and shadow.synced and sync.position == shadow.position):
                if clock.monotonic() >= give_up:
                    return None
                await clock.sleep(_LOOK_EVERY)
            found = divergence(sync.book, shadow.book, _AUDITED)
        finally:
            self._shadow = None
        self.meter.audited(found)
        return found


class ExchangeBooks:
    """All books of one exchange, and their shared resources."""

    def __init__(
        self,
        configured: settings.ExchangeConfig,
        venue: Venue,
        around: ExchangeContext,
        probing: ExchangeProbes,
    ) -> None:
        self._name, self._venue, self._around = configured.name, venue, around
        self.books: list[LocalBook] = []
        self._liquidity, self._tick = configured.liquidity, around.config.anomaly.tick
        limits = around.config.streams
        self._backoff = backoff.BackoffRules(base=limits.backoff_base, cap=limits.backoff_cap)
        self.snapshots: Snapshots | None = None
        rules = venue.book
        if rules is None or rules.read_snapshot is None:
            return
        share = settings.budget_share(configured, around.config.probes)
        clock = around.clock
        self.snapshots = Snapshots(
            exchange=configured.name,
            url=settings.site(configured, venue).rest_urls[0],
            rules=rules,
            fetch=around.fetch,
            clock=clock,
            slots=asyncio.Semaphore(_AT_ONCE),
            part=[_part(limit, share, rules.weight, clock) for limit in probing.budgets],
            budgets=tuple(probing.budgets.values()),
            ban=probing.ban,
            fault=venue.fault,
            answered=probing.answered,
        )

    def add(
        self,
        feed: Feed,
        registry: Registry,
        *,
        priced: bool,
        live: Callable[[], bool],
        renew: Callable[[], None],
        audit_every: float | None,
    ) -> LocalBook:
        """Make the book of one subscription, with its series in ``registry``.

        Raises ValueError where the venue has no rules.
        """
        rules, what, snapshots = self._venue.book, feed.subscription, self.snapshots
        if rules is None:
            raise ValueError(f"{self._venue.name} has no rules for books")
        book = LocalBook(
            feed,
            rules,
            self._venue,
            lambda sync: BookMeter(
                registry,
                what,
                sync,
                checksums=rules.checksum is not None,
                audited=audit_every is not None,
            ),
            priced=priced,
            clock=self._around.clock,
        )
        book.liquidity = self._measured(registry, what, book.sync)
        book.keeper = BookSynchronizer(
            what,
            book.sync,
            source=renew if snapshots is None else snapshots,
            live=live,
            clock=self._around.clock,
            rules=self._backoff,
            chance=random,
            audit=None if snapshots is None else lambda: book.audit(snapshots),
            audit_every=audit_every,
        )
        self.books.append(book)
        return book

    def _measured(
        self, registry: Registry, what: Subscription, sync: BookSync
    ) -> LiquidityMeter | None:
        rules, wanted = self._venue.book, self._liquidity
        unit = None if rules is None else rules.units.get(what.product)
        if unit is None or not wanted.covers(what.instrument):
            return None
        return LiquidityMeter(
            registry,
            what,
            sync,
            unit,
            bps=wanted.bps,
            sizes=wanted.sizes,
            stands=max(_STANDS, _TICKS * self._tick),
        )

    @property
    def measured(self) -> Iterator[LocalBook]:
        """Those books whose depth is measured."""
        return (book for book in self.books if book.liquidity is not None)

    def tasks(self) -> Iterator[Task]:
        """Yield everything that must run."""
        for book in self.books:
            if book.keeper is not None:
                what = book.feed.subscription
                yield "book", f"{self._name}/{what.instrument}/book", book.keeper.run

    def update(self, wall: float) -> None:
        """Look once at what passes with time alone; ``wall`` in epoch seconds."""
        for book in self.books:
            book.update(wall)


def _part(limit: RestLimit, share: float, weight: int, clock: Clock) -> RateBudget:
    """Return what books may use of a limit."""
    room = settings.book_weight(limit, share, weight)
    heaviest = min(weight, limit.weight)
    return RateBudget(
        RateLimitRules(weight=room, window=limit.window, share=1.0, heaviest=heaviest, ceiling=1.0),
        clock,
    )


def weight_of(venue: Venue, streams: Iterable[settings.StreamConfig]) -> int:
    """Return the weight of a snapshot that these streams may ask for, 1 if of none."""
    if venue.book is None or not any(stream.book for stream in streams):
        return 1
    return venue.book.weight
