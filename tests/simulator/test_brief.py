"""Venues that are simulated in short: their reader reads them, over a connection of its own."""

from __future__ import annotations

import pytest

from exporter.books.book import BookSync
from exporter.model import Ack, Channel, Control, Depth, Event, Kline, Quote, Trade
from exporter.simulator.brief import SPECS
from exporter.simulator.market import Pair, Walk, listing
from exporter.simulator.spec import SimulatedFeed, find_route
from exporter.simulator.venue_server import VenueServer
from exporter.venues import load

KINDS = {Channel.TRADES: Trade, Channel.QUOTES: Quote, Channel.BOOK: Depth, Channel.KLINES: Kline}
NOW = 1_790_000_000_000


class Client:
    """A session that keeps what it is sent."""

    def __init__(self, desk: VenueServer) -> None:
        self.desk, self.said = desk, list[str]()
        self.feeds: dict[str, SimulatedFeed] = {}

    def reply(self, text: str, *, keepalive: bool = False) -> None:
        self.said.append(text)

    def subscribe(self, feed: SimulatedFeed) -> bool:
        self.feeds[feed.key] = self.desk.feeds[feed.key] = feed
        return True

    def unsubscribe(self, key: str) -> None:
        self.feeds.pop(key, None)

    def open(self, feed: SimulatedFeed) -> None:
        pass


@pytest.mark.parametrize("name", list(SPECS))
def test_a_venue_in_short_is_watched(name: str) -> None:
    """Each channel is agreed to and read, the book follows 50 changes, REST answers its readers."""
    venue, wire = load(name), SPECS[name]()
    pair = Pair(listing("BTC-USDT", wire.symbol("BTC-USDT"), 1), name, 1, rate=5.0, steps=10.0,
                depth=20)  # fmt: skip
    server = VenueServer(wire, [(pair, Walk(1, "BTC", 0.1))], [], seed=1, steps=10.0, limited=True,
                         lifetime=None, buffer_limit=1 << 20)  # fmt: skip

    def body(path: str) -> bytes:
        place = venue.place(path, pair.listing.symbol, venue.plain).partition("?")[0]
        _, route, query = find_route(wire.routes, place, {"symbol": pair.listing.symbol})
        assert route is not None, place
        made = route.answer(server, query)
        assert isinstance(made, bytes)
        return made

    client, parse = Client(server), venue.reader()
    wire.opened(client)  # type: ignore[arg-type]  # as a session
    for channel in venue.topics:
        topic = venue.topic(channel, pair.listing.symbol)
        wire.received(client, venue.subscribe([topic], 7))  # type: ignore[arg-type]  # as above
        answers = [event for text in client.said for event in parse(text.encode())]
        client.said.clear()
        assert any(isinstance(each, Ack) and topic in each.topics for each in answers)
        feed = next(each for each in client.feeds.values() if each.topic == topic)
        events: list[Event] = []
        assert venue.book is not None
        sync = BookSync(venue.book, venue.sequences)
        frames = feed.opening(NOW) if feed.opening else []
        if venue.book.read_snapshot and venue.book.snapshot_path:
            sync.join(venue.book.read_snapshot(body(venue.book.snapshot_path), topic, "X"))
        for number in range(50):
            step = pair.advance(1.0 + number / 1e5, NOW + 100 * number)
            frames += feed.steps(step) if feed.steps else []
            frames += feed.prints(pair.prints(2), NOW) if feed.prints else []
        for frame in frames:
            events += parse(frame)
        assert events
        for event in events:
            assert isinstance(event, KINDS[channel]), event
            assert event.topic == topic
            if isinstance(event, Depth):
                sync.feed(event)
        assert sync.synced or channel is not Channel.BOOK
    for endpoint in venue.endpoints:
        if endpoint.clock is not None:
            assert abs(endpoint.clock(body(endpoint.path)) - server.millis() / 1e3) < 60
        if endpoint.status is not None:
            assert not endpoint.status(body(endpoint.path)).active
    for check in venue.cross_checks.values():
        assert check.read(body(check.path)).state
    assert venue.read_markets is not None
    assert venue.read_markets(body(venue.markets_path or ""))[0].symbol == pair.listing.symbol
    if venue.ping is not None:
        wire.received(client, venue.ping(1))  # type: ignore[arg-type]  # as above
        assert isinstance(parse(client.said[-1].encode())[0], Control)
