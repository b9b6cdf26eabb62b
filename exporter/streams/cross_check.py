"""Checks silent subscriptions of one exchange against its REST API, one request at a time."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from exporter import config as settings
from exporter.contracts import CrossCheck, Venue
from exporter.decoding import ParseError
from exporter.flow.breaker import Breaker
from exporter.metrics import families
from exporter.metrics.children import CounterChild
from exporter.metrics.registry import Registry
from exporter.model import MarketState, SilenceVerdict, Skip, Subscription, Target
from exporter.probes import rest_request
from exporter.probes.context import ExchangeContext, Task
from exporter.probes.exchange_probes import ExchangeProbes
from exporter.streams.feed import Feed
from exporter.streams.liveness import Liveness
from exporter.streams.silence import CrossChecked

log = logging.getLogger(__name__)

_LOOK_EVERY = 1.0  # seconds between two checks for silent subscriptions
_GRACE = 1.0  # seconds in which the stream may still deliver what REST has shown
LEAST_APART = _LOOK_EVERY + _GRACE  # seconds between two requests to one exchange
_TIMEOUT, _BODY = 5.0, 1 << 20  # seconds, bytes


@dataclass(slots=True, kw_only=True)
class _Silent:
    """One subscription that may fall silent. ``live``: it is confirmed, on an open connection."""

    feed: Feed
    liveness: Liveness
    checked: CrossChecked
    where: CrossCheck
    live: Callable[[], bool]
    verdicts: dict[SilenceVerdict, CounterChild]

    def due(self, now: float) -> bool:
        """Return whether it has been silent for longer than ever before, and a request is due."""
        self.checked.update(self.feed.count, self.liveness.last)
        patience = max(self.liveness.patience.floor, self.liveness.longest)
        return self.live() and self.checked.due(now, patience)


class CrossChecks:
    """All subscriptions of one exchange whose silences are checked over REST."""

    def __init__(
        self,
        configured: settings.ExchangeConfig,
        venue: Venue,
        around: ExchangeContext,
        probing: ExchangeProbes,
    ) -> None:
        self._name, self._venue, self._around = configured.name, venue, around
        self._probing = probing
        self._url = settings.site(configured, venue).rest_urls[0]
        self._watched: list[_Silent] = []
        # What refuses us is left alone for a while, as every endpoint is.
        self._breaker = Breaker(settings.breaker_rules(configured, "cross_check"))

    def add(
        self,
        feed: Feed,
        liveness: Liveness,
        registry: Registry,
        live: Callable[[], bool],
        every: float,
    ) -> CrossChecked | None:
        """Watch one subscription; None where the venue has no REST equivalent of its channel."""
        what = feed.subscription
        where = self._venue.cross_checks.get(what.channel)
        if where is None:
            return None
        names = (what.exchange, what.channel, what.instrument)
        verdicts = registry.counters(families.STREAM_CROSS_CHECKS, *names, values=SilenceVerdict)
        silent = _Silent(
            feed=feed,
            liveness=liveness,
            checked=CrossChecked(every),
            where=where,
            live=live,
            verdicts=verdicts,
        )
        self._watched.append(silent)
        return silent.checked

    def remove(self, feed: Feed) -> None:
        """Stop watching one subscription."""
        self._watched = [silent for silent in self._watched if silent.feed is not feed]

    def tasks(self) -> Iterator[Task]:
        """Yield everything that must run."""
        if self._watched:
            yield "cross_check", f"{self._name}/cross checks", self.run

    async def run(self) -> None:
        """Check silent subscriptions, the one checked longest ago first, until cancelled."""
        clock = self._around.clock
        while True:
            now = clock.wall()
            due = [silent for silent in self._watched if silent.due(now)]
            if due:
                await self._check(min(due, key=lambda silent: silent.checked.asked))
            await clock.sleep(_LOOK_EVERY)

    async def _check(self, silent: _Silent) -> None:
        clock, feed = self._around.clock, silent.feed
        count, asked = feed.count, clock.wall()
        shown = await self._ask(feed.subscription, silent.where)
        await clock.sleep(_GRACE)
        if feed.count != count or not silent.live():
            silent.checked.asked = asked  # the silence is over: nothing to decide
            return
        before = silent.checked.verdict
        verdict = silent.checked.judge(shown, asked, self._probing.skew.offset)
        if verdict is None:
            return
        silent.verdicts[verdict].inc()
        if verdict is SilenceVerdict.MOVED is not before:
            log.warning(
                "stream_missed_market exchange=%s topic=%s silent_s=%.1f",
                self._name,
                feed.subscription.topic,
                asked - feed.last,
            )

    async def _ask(self, what: Subscription, where: CrossCheck) -> MarketState | None:
        """Return what REST shows; None where no request may be sent or no answer can be parsed."""
        symbol = where.spell(what.symbol)
        asked = None if where.body is None else json.dumps(where.body(symbol)).encode()
        target = Target(
            exchange=self._name,
            endpoint="cross_check",
            url=self._url + self._venue.place(where.path, symbol, what.product),
            method="GET" if asked is None else "POST",
            headers={} if asked is None else {"Content-Type": "application/json"},
            body=asked,
            timeout=_TIMEOUT,
            body_limit=_BODY,
            weight=where.weight,
        )
        found = await rest_request.ask(
            target,
            where.read,
            venue=self._venue,
            around=self._around,
            probing=self._probing,
            breaker=self._breaker,
            maintenance=lambda: self._probing.maintenance.active,
        )
        if isinstance(found, MarketState):
            return found
        if isinstance(found, Skip):
            log.debug("cross_check_skipped exchange=%s reason=%s", self._name, found)
        elif isinstance(found, ParseError):
            log.warning(
                "cross_check_unreadable exchange=%s reason=%r", self._name, str(found)[:200]
            )
        return None


def weight_of(venue: Venue, wanted: bool) -> int:
    """Return the weight of the heaviest request that cross-checks may send, 1 if there are none."""
    return max((one.weight for one in venue.cross_checks.values()), default=1) if wanted else 1
