"""What venues that are simulated in short share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from exporter import venues
from exporter.model import Channel
from exporter.simulator.market import Levels, Pair, PriceWindow, Print, Step
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import (
    Query,
    Refusals,
    Route,
    SimulatedFeed,
    SimulatedReply,
    VenueSpec,
    dump,
)
from exporter.simulator.venue_server import VenueServer

DEPTH = 50
_MINUTE = 60_000


class UnknownMarketError(Exception):
    """A request names a market that the venue does not have."""


def asked_pair(desk: VenueServer, query: Query) -> Pair:
    """Return the market that a request names, the first where none is named.

    Raises UnknownMarketError.
    """
    name = query.get("symbol", "")
    pair = desk.pair(name)
    if pair is None and name and not asked_always(desk, name):
        raise UnknownMarketError(name)
    return pair or desk.pairs()[0]


def asked_always(desk: VenueServer, name: str) -> bool:
    """Return whether probes ask for this market by itself: each venue has it, simulated or not."""
    return any(name in one.path for one in venues.load(desk.wire.name).endpoints)


def spec_of(
    name: str,
    routes: Mapping[str, Callable[[VenueServer, Query], object]],
    received: Callable[[SimulatedSession, Any], None],
    opened: Callable[[SimulatedSession], None] = lambda session: None,
    *,
    unknown: SimulatedReply,
) -> VenueSpec:
    """Make a venue of its answers over REST and what it does with messages.

    ``unknown`` answers a request for a market that it does not have.
    """
    venue = venues.load(name)

    def take(session: SimulatedSession, text: str) -> None:
        try:
            received(session, json.loads(text))
        except (ValueError, KeyError, TypeError):
            received(session, {"text": text})

    def route(answer: Callable[[VenueServer, Query], object]) -> Route:
        def found(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
            try:
                return dump(answer(desk, query))
            except UnknownMarketError:
                return unknown

        return Route(answer=found)

    return VenueSpec(
        name=name,
        symbol=venue.symbol,
        lists=partial(venues.listed, venue),
        routes={path: route(answer) for path, answer in routes.items()},
        refusals=Refusals(
            unknown_path=lambda desk, path: SimulatedReply(status=404),
            limited=lambda desk, wait: SimulatedReply(status=429),
            banned=lambda desk, wait: SimulatedReply(status=429),
            unavailable=lambda desk: SimulatedReply(status=503),
        ),
        sockets=lambda path: True,
        received=take,
        opened=opened,
    )


def feed_of(
    name: str,
    topic: str,
    pair: Pair,
    *,
    key: str = "",
    trades: Callable[[Pair, Sequence[Print], int], list[bytes]],
    quotes: Callable[[Pair, Step], list[bytes]],
    book: Callable[[Pair, Levels, Levels, int, int, int, bool], list[bytes]],
    candles: Callable[[Pair, Any, int], list[bytes]] | None = None,
) -> SimulatedFeed | None:
    """Make the feed of a topic: by channel, as the venue's own functions write its frames."""
    venue = venues.load(name)
    symbol = pair.listing.symbol
    channel = next((c for c in venue.topics if venue.topic(c, symbol) == topic), None)
    if channel is None:
        return None
    feed = SimulatedFeed(key=key or topic, topic=topic, channel=channel, pair=pair)
    window, last = PriceWindow(pair, DEPTH), pair.last

    def changed(step: Step) -> list[bytes]:
        nonlocal last
        first, last = last + 1, step.last
        return book(pair, *window.changes(), first, last, step.millis, False)

    def whole(millis: int) -> list[bytes]:
        return book(pair, *window.levels(), last, last, millis, True)

    def candle(step: Step) -> list[bytes]:
        closed = step.closed.get(_MINUTE)
        if candles is None or (closed is None and not step.second):
            return []
        return candles(pair, closed or pair.kline(_MINUTE, step.millis), step.millis)

    match channel:
        case Channel.TRADES:
            feed.prints = lambda prints, millis: trades(pair, prints, millis)
        case Channel.QUOTES:
            feed.steps = lambda step: quotes(pair, step)
        case Channel.KLINES:
            feed.steps = candle
        case _:
            feed.steps, feed.opening = changed, whole
    return feed


def best(pair: Pair) -> tuple[str, str, str, str]:
    """Return best bid, its size, best ask and its size."""
    one, (bid, bid_size), (ask, ask_size) = pair.listing, pair.bids.top(1)[0], pair.asks.top(1)[0]
    return one.price(bid), one.size(bid_size), one.price(ask), one.size(ask_size)


def join(session: SimulatedSession, feed: SimulatedFeed | None) -> SimulatedFeed | None:
    """Subscribe to a feed, to the one that is there already if there is."""
    if feed is None:
        return None
    feed = session.desk.feeds.get(feed.key) or feed
    return feed if session.subscribe(feed) else None
