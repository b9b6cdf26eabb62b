"""Venues simulated in short, and those whose readers are definitions: read as they are sent."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from exporter.books.book import BookSync
from exporter.contracts import CrossCheck, Venue
from exporter.decoding import ParseError
from exporter.model import Ack, Answer, Channel, Control, Depth, Event, Kline, Quote, Trade
from exporter.simulator import defined
from exporter.simulator.brief import SPECS
from exporter.simulator.market import Pair, Walk, listing
from exporter.simulator.more import WIRES
from exporter.simulator.spec import SimulatedFeed, SimulatedReply, find_route
from exporter.simulator.venue_server import VenueServer
from exporter.streams.requests import stamped
from exporter.venues import definition, load

KINDS = {Channel.TRADES: Trade, Channel.QUOTES: Quote, Channel.BOOK: Depth, Channel.KLINES: Kline}
NOW = 1_790_000_000_000


class Client:
    """A session that keeps what it is sent."""

    def __init__(self, desk: VenueServer) -> None:
        self.desk, self.said = desk, list[str]()
        self.feeds: dict[str, SimulatedFeed] = {}
        self.id, self.told = "1", ""

    def reply(self, text: str, *, keepalive: bool = False) -> None:
        self.said.append(text)

    def subscribe(self, feed: SimulatedFeed) -> bool:
        self.feeds[feed.key] = self.desk.feeds[feed.key] = feed
        return True

    def unsubscribe(self, key: str) -> None:
        self.feeds.pop(key, None)

    def open(self, feed: SimulatedFeed) -> None:
        pass


@pytest.mark.parametrize("name", [*SPECS, *WIRES])
def test_a_venue_is_watched(name: str) -> None:
    """Each channel is agreed to and read, the book follows 50 changes, REST answers its readers."""
    venue, wire = load(name), WIRES.get(name) or SPECS[name]()
    pair = Pair(listing("BTC-USDT", wire.symbol("BTC-USDT"), 1), name, 1, rate=5.0, steps=10.0,
                depth=20)  # fmt: skip
    server = VenueServer(wire, [(pair, Walk(1, "BTC", 0.1))], [], seed=1, steps=10.0, limited=True,
                         lifetime=None, buffer_limit=1 << 20)  # fmt: skip

    def body(path: str, posted: object = None) -> bytes:
        place = venue.place(path, pair.listing.symbol, venue.plain).partition("?")[0]
        wanted = {"symbol": pair.listing.symbol, "with_id": "true"}
        wanted |= dict.fromkeys(("currency_pair", "instrument_name"), pair.listing.symbol)
        wanted |= posted if isinstance(posted, dict) else {}
        _, route, query = find_route(wire.routes, place, wanted)
        assert route is not None, place
        made = route.answer(server, query)
        assert isinstance(made, bytes)
        return made

    def asked(frame: str) -> str:
        return stamped(frame, server.millis() / 1e3) if venue.timed else frame

    server.printed(pair, pair.prints(3), server.millis())
    client, parse = Client(server), venue.reader()
    wire.opened(client)  # type: ignore[arg-type]  # as a session
    for channel in venue.topics:
        topic = venue.topic(channel, pair.listing.symbol)
        wire.received(client, asked(venue.subscribe([topic], 7)))  # type: ignore[arg-type]  # as above
        answers = [event for text in client.said for event in parse(text.encode())]
        client.said.clear()
        assert any(
            isinstance(each, Ack) and each.ok and (topic in each.topics or each.request == 7)
            for each in answers
        )
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
            assert (
                abs(endpoint.clock(body(endpoint.path, endpoint.json)) - server.millis() / 1e3) < 60
            )
        if endpoint.status is not None:
            assert not endpoint.status(body(endpoint.path)).active
    for check in venue.cross_checks.values():
        posted = None if check.body is None else check.body(pair.listing.symbol)
        assert check.read(body(check.path, posted)).state
    if venue.read_markets is not None:
        found = venue.read_markets(body(venue.markets_path or ""))
        assert found[0].symbol == pair.listing.symbol
    if venue.ping is not None:
        wire.received(client, asked(venue.ping(1)))  # type: ignore[arg-type]  # as above
        assert isinstance(parse(client.said[-1].encode())[0], Control)


@pytest.mark.parametrize(
    ("name", "request_", "said"),
    [
        ("gate", '{"time":"$time","channel":"spot.trades","event":"subscribe",'
         '"payload":["XXX"]}',
         "unknown currency pair XXX"),
        ("gate", '{"time":1,"channel":"spot.trades","event":"subscribe","payload":["BTC_USDT"]}',
         "invalid request format"),
        ("gate", '{"time":"$time","id":3,"channel":"spot.order_book_update","event":"subscribe",'
         '"payload":["BTC_USDT","5s"]}', "unknown channel"),
        ("bitget", '{"op":"subscribe","args":[{"instType":"SPOT","channel":"x","instId":"Y"}]}',
         "doesn't exist"),
        ("deribit", '{"jsonrpc":"2.0","id":3,"method":"public/subscribe","params":{"channels":'
         '["book.BTC_USDT.raw"]}}', "raw_subscriptions_not_available_for_unauthorized"),
        ("deribit", '{"jsonrpc":"2.0","id":3,"method":"public/subscribe","params":{"channels":7}}',
         "Invalid params"),
        ("hyperliquid", '{"method":"subscribe","subscription":{"type":"trades","coin":"XXX"}}',
         "Invalid subscription"),
        ("bitfinex", '{"event":"subscribe","channel":"trades","symbol":"tXXX"}', "symbol: invalid"),
        ("bitfinex", '{"event":"subscribe","channel":"x","symbol":"tBTCUST"}', "symbol: invalid"),
        ("bitmex", '{"op":"subscribe","args":["trade:XXX"]}', "Unknown or expired symbol"),
        ("coinbase_advanced", '{"type":"subscribe","channel":"ticker","product_ids":["X-Y"]}',
         "failed to subscribe"),
        ("coinbase_advanced", '{"type":"subscribe","channel":"x","product_ids":["BTC-USDT"]}',
         "failed to subscribe"),
        ("mexc", '{"method":"SUBSCRIPTION","params":["spot@public.x@BTCUSDT"],"id":3}', "Blocked"),
    ],
)  # fmt: skip
def test_what_the_provider_refuses_is_refused(name: str, request_: str, said: str) -> None:
    """Unknown markets and channels, wrong forms, and what asks for an account."""
    wire, venue = WIRES.get(name) or SPECS[name](), load(name)
    pair = Pair(listing("BTC-USDT", wire.symbol("BTC-USDT"), 1), name, 1, rate=5.0, steps=10.0,
                depth=20)  # fmt: skip
    server = VenueServer(wire, [(pair, Walk(1, "BTC", 0.1))], [], seed=1, steps=10.0, limited=True,
                         lifetime=None, buffer_limit=1 << 20)  # fmt: skip
    client = Client(server)
    wire.received(client, stamped(request_, server.millis() / 1e3))  # type: ignore[arg-type]  # as a session
    (refused,) = venue.parse(client.said[-1].encode())
    assert isinstance(refused, Ack)
    assert not refused.ok
    assert said in refused.reason
    assert not client.feeds


@pytest.mark.parametrize("name", sorted({*SPECS, *WIRES, *definition.names()}))
def test_an_unknown_market_is_refused_over_rest(name: str) -> None:
    """It is not answered with another one: a wrong symbol must not look well."""
    venue = load(name)
    wire = WIRES.get(name) or (SPECS[name]() if name in SPECS else defined.spec(name))
    instrument = wire.lists(["BTC-USDT"])[0]
    pair = Pair(listing(instrument, wire.symbol(instrument), 1), name, 1, rate=5.0, steps=10.0,
                depth=20)  # fmt: skip
    server = VenueServer(wire, [(pair, Walk(1, "BTC", 0.1))], [], seed=1, steps=10.0, limited=True,
                         lifetime=None, buffer_limit=1 << 20)  # fmt: skip
    server.printed(pair, pair.prints(3), server.millis())
    for check in venue.cross_checks.values():
        for symbol, known in ((pair.listing.symbol, True), ("NOPE_NIL", False)):
            path, _, query = venue.place(check.path, symbol, venue.plain).partition("?")
            wanted = dict(parse_qsl(query))
            posted = None if check.body is None else check.body(symbol)
            wanted |= posted if isinstance(posted, dict) else {}
            _, route, found = find_route(wire.routes, path, wanted)
            assert route is not None, path
            made = route.answer(server, found)
            reply = made if isinstance(made, SimulatedReply) else SimulatedReply(body=made)
            assert _is_read(venue, check, reply) is known, (path, wanted, reply)


def _is_read(venue: Venue, check: CrossCheck, reply: SimulatedReply) -> bool:
    answer = Answer(
        status=reply.status, headers={}, body=reply.body, new_connection=False, phases={}
    )
    try:
        return reply.status < 400 and venue.fault(answer) is None and bool(check.read(reply.body))
    except ParseError:
        return False
