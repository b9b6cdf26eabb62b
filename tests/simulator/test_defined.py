"""Venues that are simulated by their definition: what they send is what their reader reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.books.book import BookSync
from exporter.maintenance import Maintenance
from exporter.model import Ack, Channel, Depth, Event, Kline, Quote, Trade
from exporter.simulator import defined, defined_frames, venues
from exporter.simulator.market import Pair, Walk, listing
from exporter.simulator.spec import SimulatedReply
from exporter.simulator.venue_server import VenueServer
from exporter.venues import definition, load

KINDS = {
    Channel.TRADES: Trade,
    Channel.QUOTES: Quote,
    Channel.BOOK: Depth,
    Channel.KLINES: Kline,
}
EACH = pytest.mark.parametrize("name", list(definition.names()))
NOW = 1_790_000_000_000


def served(name: str) -> VenueServer:
    """Return a simulated venue with one market."""
    wire = defined.spec(name)
    (instrument,) = wire.lists(["BTC-USDT"])
    pair = Pair(listing(instrument, wire.symbol(instrument), 1), name, 1, rate=5.0, steps=10.0,
                depth=20)  # fmt: skip
    return VenueServer(wire, [(pair, Walk(1, "BTC", 0.1))], [], seed=1, steps=10.0, limited=True,
                       lifetime=None, buffer_limit=1 << 20)  # fmt: skip


@EACH
def test_every_channel_is_read(name: str) -> None:
    """Trades, quotes and candles come with what was traded; a book stays in step for 50 changes."""
    venue, server = load(name), served(name)
    (pair,) = server.pairs()
    parse, shape = venue.reader(), definition.shape_of(name)
    for channel in venue.topics:
        topic = venue.topic(channel, pair.listing.symbol)
        feed = defined_frames.feed_of(shape, channel, topic, pair)
        events: list[Event] = []
        sync = None if venue.book is None else BookSync(venue.book, venue.sequences)
        for frame in feed.opening(NOW) if feed.opening else []:
            events += parse(frame)
        if sync is not None and venue.book is not None and venue.book.read_snapshot:
            asked = {"symbol": pair.listing.symbol}
            path = venue.book.snapshot_path or ""
            body = server.wire.routes[path.partition("?")[0]].answer(server, asked)
            assert isinstance(body, bytes)
            sync.join(venue.book.read_snapshot(body, topic, pair.listing.symbol))
        for number in range(50):
            step = pair.advance(1.0 + number / 1e5, NOW + 100 * number)
            if feed.steps:
                events += [event for frame in feed.steps(step) for event in parse(frame)]
            if feed.prints:
                frames = feed.prints(pair.prints(2), NOW)
                events += [event for frame in frames for event in parse(frame)]
        assert events
        for event in events:
            assert isinstance(event, KINDS[channel]), event
            assert event.topic == topic
            if isinstance(event, Depth) and sync is not None:
                sync.feed(event)
        if channel is Channel.BOOK:
            assert sync is not None
            assert sync.synced
            best = sync.book.top(1)
            assert (best[0][0][0], best[1][0][0]) == tuple(
                float(pair.listing.price(side.best)) for side in (pair.bids, pair.asks)
            )


@EACH
def test_every_request_of_rest_is_answered(name: str) -> None:
    """Clocks, states, markets and what silences are held against; nothing is a fault."""
    venue, server = load(name), served(name)
    (pair,) = server.pairs()

    def body(path: str, posted: Any = None) -> bytes:
        place = path.partition("?")[0].replace("{lower}", "{symbol}")
        made = server.wire.routes[place].answer(
            server, {"x": pair.listing.symbol, **(posted or {})}
        )
        assert not isinstance(made, SimulatedReply)
        return made

    for endpoint in venue.endpoints:
        if endpoint.clock is not None:
            assert (
                abs(endpoint.clock(body(endpoint.path, endpoint.json)) - server.millis() / 1e3) < 60
            )
        if endpoint.status is not None:
            assert isinstance(endpoint.status(body(endpoint.path, endpoint.json)), Maintenance)
    for check in venue.cross_checks.values():
        posted = None if check.body is None else check.body(pair.listing.symbol)
        assert check.read(body(check.path, posted)).state
    if venue.read_markets is not None:
        assert [each.symbol for each in venue.read_markets(body(venue.markets_path or ""))] == [
            pair.listing.symbol
        ]


class Client:
    """A session that keeps what it is sent."""

    def __init__(self, desk: VenueServer) -> None:
        self.desk, self.said, self.joined = desk, list[str](), list[str]()

    def reply(self, text: str, *, keepalive: bool = False) -> None:
        self.said.append(text)

    def subscribe(self, feed: object) -> bool:
        self.joined.append(feed.topic)  # type: ignore[attr-defined]  # it is a feed
        self.desk.feeds[self.joined[-1]] = feed  # type: ignore[assignment]  # as above
        return True

    def unsubscribe(self, key: str) -> None:
        self.joined.remove(key)

    def open(self, feed: object) -> None:
        pass


@EACH
def test_requests_are_understood_and_agreed_to(name: str) -> None:
    """Each topic is joined by the venue's own request, acknowledged as its reader expects."""
    venue, server = load(name), served(name)
    (pair,) = server.pairs()
    client = Client(server)
    for channel in venue.topics:
        topic = venue.topic(channel, pair.listing.symbol)
        server.wire.received(client, venue.subscribe([topic], 7))  # type: ignore[arg-type]  # as one
        assert topic in client.joined
        if venue.acks:
            (ack,) = venue.parse(client.said[-1].encode())
            assert isinstance(ack, Ack)
            assert ack.ok
            assert ack.request == 7 or topic in ack.topics
    if venue.ping is not None:
        before = len(client.said)
        server.wire.received(client, venue.ping(1))  # type: ignore[arg-type]  # as above
        assert len(client.said) >= before


def test_all_that_is_watched_can_be_simulated() -> None:
    """By a file of their own, or by their definition."""
    assert len(venues.every()) >= 22
    assert json.dumps(list(venues.every()))


@EACH
def test_what_is_not_known_is_refused(name: str) -> None:
    """In the form that the definition reads, where it has one; what is known is joined."""
    venue, server = load(name), served(name)
    refusals = definition.shape_of(name).stream.refusals  # type: ignore[union-attr]  # all stream
    parse, client = load(name).reader(), Client(server)
    for channel in venue.topics:
        topic = venue.topic(channel, "NO-SUCH")
        server.wire.received(client, venue.subscribe([topic], 3))  # type: ignore[arg-type]
    answers = [event for text in client.said for event in parse(text.encode())]
    assert not client.joined
    assert [getattr(each, "ok", None) for each in answers] == [False] * len(
        venue.topics if refusals else ()
    )
