"""Judge exchanges over the network: one fact for each thing that their venue files say."""

from __future__ import annotations

from dataclasses import replace

from exporter import config as settings
from exporter import venues
from exporter.cli import _judge_rest as rest
from exporter.cli import _judge_streams as streams
from exporter.cli._doubts import settle
from exporter.cli._facts import NETWORK, FactVerdict, Finding, Judged
from exporter.cli._judge_streams import Means
from exporter.config import Config, ExchangeConfig
from exporter.flow.fan_out import Failed, fan_out
from exporter.model import Target

_AT_ONCE = 8  # exchanges
_MOST_HEADERS = 60  # of one answer, kept as evidence
_UNSHOWN = frozenset(("set-cookie", "set-cookie2", "content-security-policy"))


async def judge(config: Config, means: Means) -> list[Judged]:
    """Ask and watch every exchange of the config."""
    longest = 60.0 + 20 * (means.wait + 20.0)  # endpoints and addresses at their slowest
    outcomes = await fan_out(
        config.exchanges,
        lambda exchange: _exchange(exchange, config, means),
        concurrency=_AT_ONCE,
        timeout=longest,
    )
    return [
        _late(outcome.item) if isinstance(outcome, Failed) else outcome.result
        for outcome in outcomes
    ]


def _late(exchange: ExchangeConfig) -> Judged:
    fact = Finding(about="all", at="", verdict=FactVerdict.NOT_SEEN, expected="answers",
                seen="it took too long", mend=NETWORK)  # fmt: skip
    return Judged(exchange=exchange.name, venue=exchange.venue, facts=[fact])


async def _exchange(exchange: ExchangeConfig, config: Config, means: Means) -> Judged:
    venue = venues.within(config)(exchange.venue)
    judged = Judged(exchange=exchange.name, venue=exchange.venue)
    first, *others = settings.site(exchange, venue).rest_urls
    own = settings.targets(exchange, venue, config.probes)
    for base in (first, *others):
        # All endpoints at the first address; of the others it suffices that they serve one.
        asked = own if base == first else tuple(each for each in own if not each.apart)[:1]
        probes = [
            await rest.ask(_at(base, first, each), venue, means.fetch, means.clock)
            for each in asked
        ]
        judged.facts += rest.facts(base, probes, venue.rest_limits)
        for _, done in probes:
            if done.answer is not None:
                shown = {k: v for k, v in done.answer.headers.items() if k not in _UNSHOWN}
                judged.headers |= dict(list(shown.items())[:_MOST_HEADERS])
    for stream in exchange.streams:
        await streams.watch(exchange, stream, venue, means, judged)
    judged.doubts = await settle(exchange, config, venue, means, judged)
    return judged


def _at(base: str, first: str, target: Target) -> Target:
    """Return a target at another address of the same site."""
    moved = target.url if target.apart else base + target.url.removeprefix(first)
    return replace(target, url=moved)
