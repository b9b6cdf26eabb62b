"""Facts of a stream's addresses: connection, acks, first messages, frames that can be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from exporter import config as settings
from exporter.cli._facts import NETWORK, REPORT, FactVerdict, Finding, Judged
from exporter.config import ExchangeConfig, StreamConfig
from exporter.contracts import Clock, Connect, ConnectionLostError, Fetch, FetchFailedError, Venue
from exporter.decoding import ParseError
from exporter.model import Subscription
from exporter.streams.frames import spoken
from exporter.streams.watch_once import Heard, watch_once

_PRELUDE_LIMIT = 1 << 20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """How the network is reached, and how long a stream is waited for, in seconds."""

    fetch: Fetch
    connect: Connect
    clock: Clock
    wait: float


async def watch(
    exchange: ExchangeConfig, stream: StreamConfig, venue: Venue, means: Means, judged: Judged
) -> None:
    """Watch one symbol of each channel at each address, one connection a route."""
    site = settings.site(exchange, venue)
    named = stream.symbols or exchange.symbols
    one = replace(stream, channels=tuple(venue.topics), symbols=named[:1] or None)
    venue = spoken(venue, stream)

    def route_of(each: Subscription) -> tuple[str, str]:
        return venue.route(each.channel, each.product, each.symbol)

    wanted = sorted(settings.subscriptions(exchange, one, venue), key=route_of)
    urls = list(site.stream_urls)
    if venue.prelude is not None:
        try:
            urls = [await _prelude(venue, site.rest_urls[0], means.fetch)]
        except (FetchFailedError, ParseError, ConnectionLostError) as error:
            judged.facts.append(
                Finding(about="token", at=site.rest_urls[0] + venue.prelude.path,
                     verdict=FactVerdict.NOT_SEEN, expected="an answer that names the address",
                     seen=str(error)[:200], mend=NETWORK)
            )  # fmt: skip
            return
    for base in urls:
        for route, some in groupby(wanted, key=route_of):
            subscriptions, url = tuple(some), venue.stream_url(base, route)
            heard = await watch_once(
                venue, subscriptions, means.connect, means.clock, url=url, wait=means.wait
            )
            judged.facts += _stream_facts(_bare(url), venue, subscriptions, heard, means.wait)
            judged.frames += heard.frames


async def address(exchange: ExchangeConfig, venue: Venue, one: Subscription, means: Means) -> str:
    """Return where one subscription is streamed. Raises FetchFailedError, ParseError."""
    site = settings.site(exchange, venue)
    if venue.prelude is not None:
        return await _prelude(venue, site.rest_urls[0], means.fetch)
    return venue.stream_url(site.stream_urls[0], venue.route(one.channel, one.product, one.symbol))


async def _prelude(venue: Venue, base: str, fetch: Fetch) -> str:
    prelude = venue.prelude
    assert prelude is not None  # noqa: S101 - asked for by the caller
    answer = await fetch(prelude.method, base + prelude.path, headers={}, timeout=10.0,
                         body_limit=_PRELUDE_LIMIT)  # fmt: skip
    if answer.status != 200:
        raise ParseError(f"HTTP {answer.status}: {answer.body[:100]!r}")
    return prelude.read(answer.body)


def _bare(url: str) -> str:
    """Return a URL without its query, which may hold a token."""
    return url.partition("?")[0]


def _stream_facts(
    url: str, venue: Venue, wanted: Sequence[Subscription], heard: Heard, wait: float
) -> Iterator[Finding]:
    lost = heard.lost
    refused = lost is not None and lost.answer is not None
    why = "" if lost is None else str(lost)[:200]
    if heard.opened is None:
        yield Finding(about="stream", at=url, expected="a WebSocket connection",
                   verdict=FactVerdict.DIFFERENT if refused else FactVerdict.NOT_SEEN, seen=why,
                   mend=REPORT if refused else NETWORK)  # fmt: skip
        return
    yield Finding(about="stream", at=url, verdict=FactVerdict.AS_DOCUMENTED,
               expected="a WebSocket connection", seen=f"{heard.opened * 1000:.0f} ms")  # fmt: skip
    if heard.unreadable:
        yield Finding(about="frames", at=url, verdict=FactVerdict.DIFFERENT, mend=REPORT,
                   expected="frames as documented", seen=heard.unreadable[:200])  # fmt: skip
    for one in wanted:
        about, words = f"{one.channel} {one.symbol}", heard.refused.get(one.topic)
        if words is not None:
            yield Finding(about=f"{about} ack", at=url, verdict=FactVerdict.DIFFERENT,
                       expected="agreed to", seen=f"refused: {words[:150] or 'no reason given'}",
                       mend=f"look whether the symbol is listed; if so, {REPORT}")  # fmt: skip
            continue
        if venue.acks and venue.asks:
            acked = one.topic in heard.acked
            yield Finding(about=f"{about} ack", at=url, expected="agreed to",
                       verdict=FactVerdict.AS_DOCUMENTED if acked else FactVerdict.NOT_SEEN,
                       seen="agreed to" if acked else why or f"no answer within {wait:g} s",
                       mend="" if acked else REPORT)  # fmt: skip
        first = heard.first.get(one.topic)
        silent = why or f"nothing within {wait:g} s"
        yield Finding(
            about=f"{about} data", at=url, expected="a first message",
            verdict=FactVerdict.NOT_SEEN if first is None else FactVerdict.AS_DOCUMENTED,
            seen=silent if first is None else f"{first * 1000:.0f} ms",
            mend="" if first is not None else
            "wait longer (--wait), for a market may be quiet; if others trade there, report it",
        )  # fmt: skip
