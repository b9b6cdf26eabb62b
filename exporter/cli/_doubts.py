"""What venue files are unsure of, each with a verdict of its own where a look can settle it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from exporter import config as settings
from exporter.cli import _judge_rest as rest
from exporter.cli._facts import REPORT, FactVerdict, Finding, Judged
from exporter.cli._judge_streams import Means, address
from exporter.config import Config, ExchangeConfig
from exporter.contracts import FetchFailedError, Venue
from exporter.decoding import ParseError
from exporter.doubt import Doubt, VenueLook
from exporter.instrument import Product, UnlistedError, parse
from exporter.model import Channel, Market, Subscription
from exporter.probes.discovery import LONGEST_LIST, Question, Unasked, ask
from exporter.streams.frames import spoken
from exporter.streams.watch_once import watch_once

_WAIT = 5.0  # seconds, at most, for what is said of a market that is not listed
_TIMEOUT = 10.0  # seconds
_UNLISTED = "NOSUCHCOIN"
_SEEN, _DIFFERENT, _NOT = (
    FactVerdict.AS_DOCUMENTED, FactVerdict.DIFFERENT, FactVerdict.NOT_SEEN,
)  # fmt: skip


async def settle(
    exchange: ExchangeConfig, config: Config, venue: Venue, means: Means, judged: Judged
) -> list[Finding]:
    """Return one finding for each doubt of the venue file; ``judged`` has what was seen before."""
    looks = _Looks(exchange, config, venue, means, judged)
    return [await looks.take(doubt) for doubt in venue.unsure]


class _Looks:
    """The looks at one exchange."""

    def __init__(
        self,
        exchange: ExchangeConfig,
        config: Config,
        venue: Venue,
        means: Means,
        judged: Judged,
    ) -> None:
        self._exchange, self._config, self._venue = exchange, config, venue
        self._means, self._judged = means, judged
        self._base = settings.site(exchange, venue).rest_urls[0]
        self._product = settings.plain(exchange, venue)

    async def take(self, doubt: str) -> Finding:
        """Look at what one doubt is about."""
        found = partial(Finding, about=f"unsure: {doubt}", at=self._base)
        if not isinstance(doubt, Doubt):
            return found(expected="", verdict=_NOT, seen="no single look can tell")
        verdict, seen = await self._look(doubt)
        expected = f"{doubt.look} {' '.join(doubt.of)}".strip()
        mend = REPORT if verdict is _DIFFERENT else ""
        return found(expected=expected, verdict=verdict, seen=seen[:200], mend=mend)

    async def _look(self, doubt: Doubt) -> tuple[FactVerdict, str]:
        try:
            match doubt.look:
                case VenueLook.ENDPOINT:
                    return self._known(f"REST {name}" for name in doubt.of)
                case VenueLook.HEADERS:
                    return self._known(
                        fact.about for fact in self._judged.facts
                        if fact.about.startswith("limit ")
                    )  # fmt: skip
                case VenueLook.CHANNELS:
                    return self._channels(doubt.of)
                case VenueLook.ANSWER:
                    return await self._answer(doubt.of)
                case VenueLook.SNAPSHOT:
                    return await self._snapshot(int(doubt.of[0]))
                case VenueLook.UNKNOWN:
                    return await self._unknown(doubt.of[0])
                case VenueLook.SPELLING:
                    return await self._spelling(doubt.of)
                case VenueLook.REGIONS:
                    return await self._regions(doubt.of)
        except FetchFailedError as error:
            return _NOT, str(error)
        except ParseError as error:
            return _DIFFERENT, str(error)

    def _known(self, about: Iterable[str]) -> tuple[FactVerdict, str]:
        """Return the worst of facts that were found already."""
        wanted = set(about)
        facts = [fact for fact in self._judged.facts if fact.about in wanted]
        if not facts:
            return _NOT, "not asked for by this config"
        order = (_DIFFERENT, _NOT, _SEEN)
        worst = min(facts, key=lambda fact: order.index(fact.verdict))
        return worst.verdict, worst.seen

    def _channels(self, channels: Sequence[str]) -> tuple[FactVerdict, str]:
        if any(fact.about == "frames" for fact in self._judged.facts):
            return self._known(["frames"])
        return self._known(
            fact.about
            for fact in self._judged.facts
            if fact.about.partition(" ")[0] in channels and fact.about.endswith(" data")
        )

    async def _body(self, path: str) -> bytes:
        """Ask for a path. Raises FetchFailedError, and ParseError for a refusal."""
        answer = await self._means.fetch(
            "GET", self._base + path, headers={}, timeout=_TIMEOUT, body_limit=LONGEST_LIST
        )
        if answer.status != 200 or self._venue.fault(answer) is not None:
            raise ParseError(f"HTTP {answer.status}: {answer.body[:100]!r}")
        return answer.body

    def _subscription(self, channel: Channel) -> Subscription | None:
        """Return one of a channel that is watched, else of the first market."""
        every = [
            each
            for stream in self._exchange.streams
            for each in settings.subscriptions(
                self._exchange, replace(stream, channels=tuple(self._venue.topics)), self._venue
            )
        ]
        return next((each for each in every if each.channel == channel), None)

    async def _answer(self, channels: Sequence[str]) -> tuple[FactVerdict, str]:
        said = []
        for channel in map(Channel, channels):
            one, where = self._subscription(channel), self._venue.cross_checks[channel]
            if one is None:
                return _NOT, "no market is watched"
            path = self._venue.place(where.path, where.spell(one.symbol), one.product)
            said.append(f"{path}: {where.read(await self._body(path)).state}")
        return _SEEN, "; ".join(said)

    async def _snapshot(self, most: int) -> tuple[FactVerdict, str]:
        one, rules = self._subscription(Channel.BOOK), self._venue.book
        if one is None or rules is None or rules.snapshot_path is None:
            return _NOT, "no market is watched"
        assert rules.read_snapshot is not None  # noqa: S101 - it stands beside the path
        body = await self._body(self._venue.place(rules.snapshot_path, one.symbol, one.product))
        sides = rules.levels(rules.read_snapshot(body, one.topic, one.symbol))
        seen = " and ".join(str(len(side)) for side in sides)
        verdict = _SEEN if max(map(len, sides)) <= most else _DIFFERENT
        return verdict, f"{seen} levels"

    async def _unknown(self, expected: str) -> tuple[FactVerdict, str]:
        """Subscribe to trades of a market that nobody lists."""
        known = self._subscription(Channel.TRADES)
        found = None if known is None else parse(known.instrument)
        if known is None or found is None:
            return _NOT, "no market is watched"
        name = known.instrument.replace(found.base, _UNLISTED, 1)
        symbol = self._venue.symbol(name)
        one = replace(known, instrument=name, symbol=symbol,
                      topic=self._venue.topic(known.channel, symbol, known.product))  # fmt: skip
        venue = spoken(self._venue, self._exchange.streams[0])
        url = await address(self._exchange, venue, one, self._means)
        wait = min(_WAIT, self._means.wait)
        heard = await watch_once(
            venue, (one,), self._means.connect, self._means.clock, url=url, wait=wait
        )
        if heard.first:
            return _DIFFERENT, f"{symbol} is traded"
        if one.topic in heard.refused:
            words = f"refused: {heard.refused[one.topic] or 'no reason given'}"
            return (_SEEN if expected == "refused" else _DIFFERENT), words
        if one.topic in heard.acked:
            return (_SEEN if expected == "silent" else _DIFFERENT), "agreed to, and silent"
        return _NOT, str(heard.lost or f"no answer within {wait:g} s")

    async def _spelling(self, products: Sequence[str]) -> tuple[FactVerdict, str]:
        if self._venue.read_markets is None:
            return _NOT, "no list"
        markets: list[Market] = []
        for product in map(Product, products):
            for path in self._venue.more_markets.get(product, ()):
                question = Question(self._base + path, self._venue.read_markets, self._venue.fault)
                part = await ask(question, self._means.fetch, self._means.clock)
                if isinstance(part, Unasked):
                    return _NOT, str(part)
                markets += [each for each in part if not each.instrument.endswith("-PERP")]
        odd = [each.symbol for each in markets if not self._spelled(each)]
        if odd:
            return _DIFFERENT, f"{len(odd)} of {len(markets)} differ: {', '.join(odd[:5])}"
        return (_SEEN if markets else _NOT), f"{len(markets)} markets"

    def _spelled(self, market: Market) -> bool:
        try:
            return self._venue.symbol(market.instrument) == market.symbol
        except UnlistedError:
            return False

    async def _regions(self, names: Sequence[str]) -> tuple[FactVerdict, str]:
        if self._exchange.rest_url is not None:
            return _NOT, "rest_url is set, and stands for all of them"
        targets = settings.targets(self._exchange, self._venue, self._config.probes)
        first = next((each for each in targets if not each.apart), None)
        if first is None:
            return _NOT, "no endpoint is asked"
        said, worst = [], _SEEN
        for base in (self._venue.regions[name].rest_urls[0] for name in names):
            moved = replace(first, url=base + first.url.removeprefix(self._base))
            _, done = await rest.ask(moved, self._venue, self._means.fetch, self._means.clock)
            said.append(f"{base}: {done.reason or 'answers'}")
            if done.reason is not None:
                worst = _NOT if done.answer is None else _DIFFERENT
        return worst, "; ".join(said)
