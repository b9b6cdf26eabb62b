"""The simulated venues and the exporter's own venue files, written apart, must agree."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from urllib.parse import urlsplit

import aiohttp
import pytest

import exporter.simulator.venues as simulated
import exporter.venues as real
from exporter.contracts import BookRules, SequenceRule, Venue
from exporter.instrument import canonical
from exporter.model import (
    Ack,
    Answer,
    Channel,
    Continuity,
    Control,
    Depth,
    Event,
    Kline,
    Quote,
    Trade,
)
from exporter.simulator import Simulator
from tests.simulator.client import fetch

BOTH = sorted(set(simulated.names()) & set(real.names()))
KINDS = {Channel.TRADES: Trade, Channel.QUOTES: Quote, Channel.BOOK: Depth, Channel.KLINES: Kline}
CASES = [(name, channel) for name in BOTH for channel in real.load(name).topics]


def instrument(name: str) -> str:
    """Return an instrument that the venue lists."""
    return simulated.load(name).lists(["BTC-USDT"])[0]


def span(event: Event, rule: SequenceRule) -> tuple[int, int, int | None] | None:
    """Return first, last and previous number of an event that the rule is about."""
    if event.label not in rule.labels:
        return None
    if rule.attribute == "span":
        assert isinstance(event, Depth)
        last = event.last
        assert last is not None
        return last if event.first is None else event.first, last, event.previous
    number = getattr(event, rule.attribute)
    return None if number is None else (number, number, None)


def continuous(rule: SequenceRule, before: Event, after: Event) -> bool:
    """Return whether two consecutive messages of one topic obey the venue's rule."""
    one, other = span(before, rule), span(after, rule)
    if one is None or other is None:
        return True
    (_, last, _), (first, newest, previous) = one, other
    match rule.continuity:
        case Continuity.CONTIGUOUS:
            return first == last + 1
        case Continuity.LINKED:
            return previous == last
        case Continuity.OVERLAPPING:
            return first <= last + 1 and newest > last
        case Continuity.RISING:
            return newest >= last
        case Continuity.NONE:
            return True


def sums_up(rules: BookRules, events: list[Event]) -> bool:
    """Build the book of a stream and compare each frame's checksum with the venue file's."""
    sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
    compared = 0
    for event in events:
        if not isinstance(event, Depth):
            continue
        for side, levels in zip(sides, rules.levels(event), strict=True):
            if event.snapshot:
                side.clear()
            for price, size, *_ in levels:
                side.pop(str(price), None)
                if float(str(size)):
                    side[str(price)] = str(size)
        bids, asks = (sorted(side.items(), key=lambda row: float(row[0])) for side in sides)
        if event.checksum and rules.checksum:
            depth = rules.depth or len(bids)
            if rules.checksum(bids[::-1][:depth], asks[:depth]) != event.checksum:
                return False
            compared += 1
    return compared > 0 or all(not getattr(event, "checksum", None) for event in events)


async def stream_url(venue: Venue, channel: Channel, simulator: Simulator) -> str:
    """Return the URL to connect to, by the venue's prelude if it has one."""
    path = urlsplit(venue.stream_urls[0]).path.rstrip("/")
    if venue.prelude:
        where = f"/{venue.name}{venue.prelude.path}"
        url = simulator.url + where
        async with (
            aiohttp.ClientSession() as http,
            http.request(venue.prelude.method, url) as answer,
        ):
            return venue.prelude.read(await answer.read())
    return simulator.stream_url(venue.name, path) + venue.routes.get(channel, "")


@pytest.mark.parametrize(("name", "channel"), CASES)
def test_streams_are_understood_by_the_venue_file(name: str, channel: Channel) -> None:
    """Subscribed as the venue file subscribes, all frames parse, are acked and continuous."""
    venue = real.load(name)

    async def run() -> list[Event]:
        symbol = venue.symbol(instrument(name))
        events: list[Event] = []
        async with (
            Simulator(venue_names=[name], rate=50, book_rate=20) as simulator,
            aiohttp.ClientSession() as http,
            http.ws_connect(await stream_url(venue, channel, simulator)) as socket,
            asyncio.timeout(60),
        ):
            asked = venue.welcomed
            if not asked:
                await socket.send_str(venue.subscribe([venue.topic(channel, symbol)], 1))
            wanted = 2 if channel is Channel.KLINES else 15
            while sum(isinstance(event, KINDS[channel]) for event in events) < wanted:
                frame = (await socket.receive()).data
                for event in venue.parse(frame if isinstance(frame, bytes) else frame.encode()):
                    if isinstance(event, Control) and event.ready and asked:
                        asked = False
                        await socket.send_str(venue.subscribe([venue.topic(channel, symbol)], 1))
                    events.append(event)
        assert not asked
        return events

    events = asyncio.run(run())
    acks = [event for event in events if isinstance(event, Ack)]
    assert all(ack.ok for ack in acks)
    assert acks or not venue.acks
    news = [
        e for e in events if isinstance(e, KINDS[channel]) and not getattr(e, "snapshot", False)
    ]
    topic = venue.topic(channel, venue.symbol(instrument(name)))
    assert {getattr(event, "topic", "") for event in news} == {topic}
    for rule in venue.sequences:
        assert all(continuous(rule, before, after) for before, after in pairwise(news)), rule
    if channel is Channel.BOOK and venue.book and venue.book.checksum:
        assert sums_up(venue.book, events)


@pytest.mark.parametrize("name", BOTH)
def test_rest_is_understood_by_the_venue_file(name: str) -> None:
    """Every endpoint answers 200 without a fault; clocks, status and markets can be read."""
    venue = real.load(name)
    prefix = f"/{name}{urlsplit(venue.rest_url).path.rstrip('/')}"
    symbol = venue.symbol(instrument(name))

    async def run() -> None:
        async with Simulator(venue_names=[name]) as simulator, aiohttp.ClientSession() as http:
            for endpoint in venue.endpoints:
                url = simulator.url + prefix + venue.place(endpoint.path, symbol, venue.plain)
                async with http.request(endpoint.method, url) as got:
                    body = await got.read()
                    headers = {key.lower(): value for key, value in got.headers.items()}
                    answer = Answer(status=got.status, headers=headers, body=body,
                                    new_connection=False, phases={})  # fmt: skip
                assert answer.status == 200, endpoint.path
                assert venue.fault(answer) is None
                if endpoint.clock:
                    truth = (await fetch(simulator, "/control/truth"))[2]["time"]
                    assert abs(endpoint.clock(body) - truth) < 1.5
                if endpoint.status:
                    assert not endpoint.status(body).active
            if venue.markets_path and venue.read_markets:
                async with http.get(simulator.url + prefix + venue.markets_path) as got:
                    markets = {m.symbol: m.instrument for m in venue.read_markets(await got.read())}
                assert markets[symbol] == canonical(instrument(name), venue.plain)

    asyncio.run(run())
