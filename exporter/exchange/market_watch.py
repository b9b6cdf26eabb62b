"""Watches the states of one exchange's markets by the venue's lists."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from math import inf

from msgspec import structs

from exporter import config as settings
from exporter.contracts import Venue
from exporter.exchange.lists import VenueLists, jittered
from exporter.exchange.market_meter import MarketMeter
from exporter.instrument import Product
from exporter.listing import ListedMarket
from exporter.maintenance import TradingMode
from exporter.metrics.families import MarketRule
from exporter.metrics.registry import Registry
from exporter.probes.context import ExchangeContext
from exporter.probes.discovery import TIMEOUT
from exporter.probes.exchange_probes import ExchangeProbes

log = logging.getLogger(__name__)

_AGAIN = 10.0  # seconds after which a list that is doubted is asked for again
_TURNS = 3.0  # intervals for which a list stands
# Seconds for which what a stream said is not overruled by a list: venues keep copies of those.
_SETTLED = 5.0
_LEAST = tuple(TradingMode)  # from all that may be done to the least
# Where nothing is matched, so that neither trades nor prices need come.
RESTING = frozenset({TradingMode.CANCEL_ONLY, TradingMode.HALTED, TradingMode.ABSENT})


@dataclass(frozen=True, slots=True)
class WatchedMarket:
    """A market that is watched: the venue's symbol of it, and its class."""

    symbol: str
    product: Product


@dataclass(slots=True)
class KnownState:
    """What is known of one market, from when on by ``read`` (monotonic seconds).

    ``announced`` is when a stream last said something else than was known, None where what is
    known is by a list.
    """

    market: WatchedMarket
    listed: ListedMarket
    read: float
    announced: float | None = None


class MarketWatch:
    """Keeps the states of the markets that are watched, by instrument. `run` asks and applies.

    What a stream says (`announced`) counts at once, and the lists are asked soon after.

    ``wanted`` gives what is watched now. ``rest`` is told the instruments in which nothing is
    matched now, whenever they become others.
    """

    def __init__(
        self,
        configured: settings.ExchangeConfig,
        venue: Venue,
        around: ExchangeContext,
        registry: Registry,
        probing: ExchangeProbes,
        wanted: Callable[[], Mapping[str, WatchedMarket]],
        rest: Callable[[Collection[str]], None],
    ) -> None:
        self._name, self._configured, self._venue = configured.name, configured, venue
        self._around, self._clock, self._probing = around, around.clock, probing
        self._wanted, self._rest = wanted, rest
        self._lists = VenueLists(configured, venue, around, probing, "market_states")
        self._meter = MarketMeter(registry, configured.name) if self.on else None
        self._whole: dict[Product, tuple[TradingMode, float]] = {}  # what each class has at best
        self._resting: frozenset[str] = frozenset()
        self._missing = set[str]()  # what the last lists left out
        self._pushed: dict[str, ListedMarket] = {}  # what a stream said last, by instrument
        self._due = inf  # when the lists are to be asked because of what a stream said, monotonic
        self.states: dict[str, KnownState] = {}

    @property
    def on(self) -> bool:
        """Return whether states are watched at all."""
        return self._configured.instruments.watch

    @property
    def standing(self) -> float:
        """Return how long a list stands, in seconds."""
        return _TURNS * self._configured.instruments.interval + TIMEOUT

    def change(self, configured: settings.ExchangeConfig) -> None:
        """Watch other markets of the same exchange from now on."""
        self._configured = configured
        wanted = self._wanted()
        self._forget(
            [name for name, each in self.states.items() if wanted.get(name) != each.market]
        )

    async def run(self) -> None:
        """Request the lists periodically until cancelled."""
        while True:
            every, self._due = self._configured.instruments.interval, inf
            sure = await self.refresh()
            wait = jittered(every if sure else min(every, _AGAIN))
            until, said = self._clock.monotonic() + wait, self._probing.status_mode
            # What the venue says of itself changes sooner than it is asked what each market is in.
            while (left := min(until, self._due) - self._clock.monotonic()) > 0.0:
                if self._probing.status_mode is not said:
                    break
                await self._clock.sleep(min(left, 1.0))

    async def refresh(self) -> bool:
        """Request all lists; return whether they still have all markets of before."""
        venue, sure = self._venue, True
        lists: dict[Product, list[ListedMarket]] = {}
        lost = set[Product]()
        begun = self._clock.monotonic()
        for product, path in settings.state_lists(self._configured, venue):
            part = await self._lists.ask(path, venue.markets_weight, self._read)
            if part is None:
                lost.add(product)
            else:
                lists.setdefault(product, []).extend(part)
        for product, listed in lists.items():
            if product not in lost and listed:
                alone = len(lists) + len(lost) == 1
                sure = self._take(product, listed, alone=alone, begun=begun) and sure
        return sure

    def announced(self, markets: Iterable[ListedMarket]) -> None:
        """Take what a stream says of some markets, at once; the lists are asked some seconds later.

        A frame may say less than a list does, and may round otherwise. So what it leaves out
        stays, a tick or lot is another if the stream's own is, and it ends only a restriction that
        a stream began: a halt may be nothing that it knows of.
        """
        found, now = {each.symbol: each for each in markets}, self._clock.monotonic()
        for instrument, market in self._wanted().items():
            said = found.get(market.symbol)
            if said is None:
                continue
            known = self._joined(said, self.states.get(instrument), self._pushed.get(instrument))
            self._pushed[instrument] = said
            if known is not None:
                self._know(instrument, market, known, announced=now)
                self._due = min(self._due, now + _SETTLED)
        self._find_resting()

    def _joined(
        self, said: ListedMarket, before: KnownState | None, pushed: ListedMarket | None
    ) -> ListedMarket | None:
        """Return what is known of a market with what a stream says now, None if that is no news.

        ``pushed`` is what the stream said of it before.
        """
        if before is None:
            return said
        was, mode, status = before.listed, said.mode, said.status
        if _LEAST.index(mode) < _LEAST.index(was.mode) and before.announced is None:
            self._due = min(self._due, self._clock.monotonic() + 1.0)  # the list must say it
            mode, status = was.mode, was.status
        rules = {
            rule: new
            for rule in ("tick", "lot")
            if (new := getattr(said, rule)) is not None
            and pushed is not None
            and getattr(pushed, rule) not in (None, new)
        }
        joined = structs.replace(
            was,
            mode=mode,
            status=status,
            opening=said.opening or was.opening,
            delisting=said.delisting or was.delisting,
            **rules,
        )
        same = structs.replace(joined, status=was.status) == was
        return None if same else joined

    def _read(self, body: bytes) -> list[ListedMarket]:
        """Read a list, as the venue has it; where it tells no states, what it lists is traded."""
        if self._venue.states is not None:
            return list(self._venue.states.read(body))
        assert self._venue.read_markets is not None  # noqa: S101 - the config asks for it
        trading = TradingMode.TRADING
        return [ListedMarket(each.symbol, trading) for each in self._venue.read_markets(body)]

    def _take(
        self, product: Product, listed: list[ListedMarket], *, alone: bool, begun: float
    ) -> bool:
        """Take the whole list of one class, the only list if ``alone``; return whether it is sure.

        A market that is left out is believed to be gone when the next list says the same. A list
        that was asked for (``begun``, monotonic) before a stream had news, or shortly after, does
        not overrule those, unless less may be done by it.
        """
        now, sure = self._clock.monotonic(), True
        found = {each.symbol: each for each in listed}
        best = min(found.values(), key=lambda each: _LEAST.index(each.mode))
        self._whole[product] = (best.mode, now)
        self._tell_whole()
        for instrument, market in self._wanted().items():
            if market.product is not product and not alone:
                continue
            one = found.get(market.symbol)
            if one is None and instrument not in self._missing:
                self._missing.add(instrument)
                sure = False
                log.warning("market_missing exchange=%s symbol=%s", self._name, instrument)
                continue
            if one is not None:
                self._missing.discard(instrument)
            one = one or ListedMarket(market.symbol, TradingMode.ABSENT)
            state = self.states.get(instrument)
            if state and state.announced is not None and begun < state.announced + _SETTLED:
                state.read = now
                if _LEAST.index(one.mode) <= _LEAST.index(state.listed.mode):
                    continue
            self._know(instrument, market, one)
        self._find_resting()
        return sure

    def _know(
        self,
        instrument: str,
        market: WatchedMarket,
        listed: ListedMarket,
        announced: float | None = None,
    ) -> None:
        before, now = self.states.get(instrument), self._clock.monotonic()
        self.states[instrument] = KnownState(market, listed, now, announced)
        if self._meter is None:
            return
        self._meter.show(instrument, listed, self._clock.wall())
        was = None if before is None else before.listed
        if was is None or was.mode is not listed.mode:
            log.log(
                logging.INFO if listed.mode is TradingMode.TRADING else logging.WARNING,
                "market_mode exchange=%s symbol=%s mode=%s before=%s status=%r by=%s",
                self._name, instrument, listed.mode,
                None if was is None else was.mode, listed.status[:60],
                "list" if announced is None else "stream",
            )  # fmt: skip
        if was is None:
            return
        if listed.delisting != was.delisting:
            log.warning(
                "market_delisting exchange=%s symbol=%s time=%s before=%s",
                self._name, instrument, listed.delisting, was.delisting,
            )  # fmt: skip
        for rule, old, new in (
            (MarketRule.TICK_SIZE, was.tick, listed.tick),
            (MarketRule.LOT_SIZE, was.lot, listed.lot),
        ):
            if old is not None and new is not None and old != new:
                self._meter.changed(rule)
                log.warning(
                    "market_rule_changed exchange=%s symbol=%s rule=%s before=%g now=%g",
                    self._name, instrument, rule, old, new,
                )  # fmt: skip

    def tick(self) -> None:
        """Discard outdated states, once a tick."""
        if not self.states:
            return
        oldest = self._clock.monotonic() - self.standing
        self._whole = {one: each for one, each in self._whole.items() if each[1] >= oldest}
        self._tell_whole()
        self._forget([name for name, each in self.states.items() if each.read < oldest])

    def _forget(self, gone: Iterable[str]) -> None:
        for name in gone:
            del self.states[name]
            self._pushed.pop(name, None)
            if self._meter is not None:
                self._meter.forget(name)
        self._find_resting()

    def _tell_whole(self) -> None:
        """Tell what may be done at the whole exchange: what its least restricted market has."""
        modes = [mode for mode, _ in self._whole.values()]
        self._probing.lists_said(min(modes, key=_LEAST.index, default=None))

    def _find_resting(self) -> None:
        resting = frozenset(n for n, each in self.states.items() if each.listed.mode in RESTING)
        if resting != self._resting:
            self._resting = resting
            self._rest(resting)


def weight_of(configured: settings.ExchangeConfig, venue: Venue) -> int:
    """Return the weight of one list of states, 1 where none is asked for."""
    return venue.markets_weight if configured.instruments.watch else 1
