"""What every venue file must keep; it runs by itself on each file of exporter/venues.

A new venue needs nothing here: only its own test, its recorded frames and REST bodies, as
tests/venues/recorded.py describes.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from itertools import pairwise

import pytest

from exporter import venues
from exporter.contracts import Venue
from exporter.instrument import UnlistedError
from exporter.maintenance import Maintenance
from exporter.model import (
    Ack,
    Channel,
    Control,
    Depth,
    Kline,
    Market,
    MarketState,
    Quote,
    Reason,
    Trade,
)
from exporter.venues import load, names
from tests.venues.checks import answer, check, read, readers, recorded_events
from tests.venues.recorded import bodies, frames
from tests.venues.wounds import reordered

INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "ETH-BTC", "SOL-USD", "DOGE-EUR")
CHANNELS = {
    Trade: Channel.TRADES,
    Quote: Channel.QUOTES,
    Depth: Channel.BOOK,
    Kline: Channel.KLINES,
}
every_venue = pytest.mark.parametrize("name", names())


def listed(venue: Venue) -> list[str]:
    """Return those of a few instruments that a venue has."""
    found = []
    for instrument in (*INSTRUMENTS, "BTC-USDC", "ETH-USD"):
        with suppress(UnlistedError):
            venue.symbol(instrument)
            found.append(instrument)
    return found


def spelled(venue: Venue) -> dict[tuple[Channel, str], str]:
    """Return the topics of a few instruments, by channel and symbol."""
    symbols = [venue.symbol(one) for one in listed(venue)]
    return {(c, symbol): venue.topic(c, symbol) for c in venue.topics for symbol in symbols}


# --- tables -----------------------------------------------------------------------------------


@every_venue
def test_a_venue_says_where_its_facts_come_from(name: str) -> None:
    """Source, certainty, doubts and the clock behind every channel are written in the file."""
    venue = load(name)
    assert venue.name == name
    assert venue.title
    assert venue.source
    assert venue.checked in {"recording", "documentation", "unsure"}
    assert all(doubt.strip() for doubt in venue.unsure)
    assert set(venue.timestamps) == set(venue.topics), "say which clock each channel's time reads"
    assert all(venue.timestamps.values())


@every_venue
def test_endpoints_are_named_and_gentle(name: str) -> None:
    """Default probes are unique by name and use at most a quarter of every documented limit."""
    venue = load(name)
    labels = [endpoint.name for endpoint in venue.endpoints]
    assert len(set(labels)) == len(labels)
    for endpoint in venue.endpoints:
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,30}", endpoint.name)
        assert endpoint.path.startswith("/")
        assert endpoint.weight >= 1
        assert 1.0 <= endpoint.interval <= 600.0
    probed = [endpoint for endpoint in venue.endpoints if endpoint.default]
    assert probed, "something must be probed when the config names no endpoints"
    assert any("{symbol}" not in endpoint.path for endpoint in probed)
    rate = sum(endpoint.weight / endpoint.interval for endpoint in probed)
    for limit in venue.rest_limits:
        assert rate <= 0.25 * limit.weight / limit.window
        headers = (limit.used_header, limit.remaining_header)
        assert all(header is None or header == header.lower() for header in headers)


@every_venue
def test_addresses_are_encrypted_and_known(name: str) -> None:
    """REST and streams use TLS, routes lead from the root, a recording's URL finds its venue."""
    venue = load(name)
    assert venue.rest_url.startswith("https://")
    assert venue.stream_urls or venue.prelude
    assert all(url.startswith("wss://") for url in venue.stream_urls)
    assert not venue.rest_url.endswith("/")
    assert not (venue.routes and any(url.endswith("/") for url in venue.stream_urls))
    assert all(route.startswith("/") for route in venue.routes.values())
    assert set(venue.routes) in (set(), set(venue.topics))
    sites = venue.regions.values()
    rest = [*venue.other_rest_urls, *(url for site in sites for url in site.rest_urls)]
    assert all(url.startswith("https://") and not url.endswith("/") for url in rest)
    streams = [*venue.stream_urls, *(url for site in sites for url in site.stream_urls)]
    for url in streams:
        assert url.startswith("wss://")
        place = re.sub(r"^wss://([^/:]+)(:\d+)?", r"\1", url)
        assert any(place.startswith(host) for host in venue.hosts), f"{place} is in no `hosts`"


@every_venue
def test_limits_make_sense(name: str) -> None:
    """No limit is zero, and the client's own keepalive is a text that may be repeated."""
    venue = load(name)
    assert venue.topics_per_request >= 1
    assert venue.topics_per_connection >= 1
    assert 0 < venue.requests_per_second <= 100
    assert venue.lifetime is None or venue.lifetime >= 600.0
    assert venue.ping_every > 0
    if venue.ping is not None:
        assert venue.ping(1)
        assert isinstance(venue.ping(2), str)


@every_venue
def test_numbers_are_ruled_where_they_are_sent(name: str) -> None:
    """Every recorded message carries what its rule reads."""
    venue = load(name)
    ruled = [rule.name for rule in venue.sequences]
    assert len(set(ruled)) == len(ruled)
    for event in recorded_events(venue):
        for rule in venue.sequences:
            if event.label in rule.labels:
                assert isinstance(event, Depth) or rule.attribute != "span"
                assert rule.attribute == "span" or hasattr(event, rule.attribute)


# --- topics and symbols -----------------------------------------------------------------------


@every_venue
def test_topics_are_unique(name: str) -> None:
    """No two subscriptions share a key, and instruments never collide in a venue's spelling."""
    venue = load(name)
    topics = spelled(venue)
    assert Channel.TRADES in venue.topics
    assert len(set(topics.values())) == len(venue.topics) * len(listed(venue))
    assert all(topic and not re.search(r"\s", topic) for topic in topics.values())


@every_venue
def test_topics_come_back_in_events(name: str) -> None:
    """What was subscribed is what events carry: of every recorded channel, one at least."""
    venue = load(name)
    asked: dict[type, set[bool]] = {}
    for event in recorded_events(venue):
        if isinstance(event, Trade | Quote | Depth | Kline):
            channel = CHANNELS[type(event)]
            if channel in venue.topics:
                same = event.topic == venue.topic(channel, event.symbol)
                asked.setdefault(type(event), set()).add(same)
    assert asked, "no market data among the recorded frames"
    assert all(True in same for same in asked.values()), asked


@every_venue
def test_requests_are_text_within_the_limits(name: str) -> None:
    """Subscribing is JSON, shorter than allowed, unlike its opposite, and names its topics."""
    venue = load(name)
    by_group: dict[str, list[str]] = {}
    for topic in spelled(venue).values():
        by_group.setdefault(venue.request_group(topic), []).append(topic)
    for topics in by_group.values():
        some = topics[: venue.topics_per_request]
        request, opposite = venue.subscribe(some, 7), venue.unsubscribe(some, 7)
        assert isinstance(json.loads(request), dict | list)
        assert opposite == "" or isinstance(json.loads(opposite), dict | list)
        assert request != opposite
        assert venue.request_length is None or len(request) <= venue.request_length
        for one, other in pairwise(some):
            assert venue.subscribe([one], 7) != venue.subscribe([other], 7)


@every_venue
def test_markets_round_trip(name: str) -> None:
    """Discovery finds pairs as BASE-QUOTE, and the venue's rule of spelling agrees with it."""
    venue = load(name)
    if venue.read_markets is None:
        pytest.skip("the venue has no discovery")
    markets = venue.read_markets(bodies(name)["markets"])
    assert markets
    assert len({market.instrument for market in markets}) == len(markets)
    assert len({market.symbol for market in markets}) == len(markets)
    for market in markets:
        if re.fullmatch(r"[A-Z0-9]+-[A-Z0-9]+", market.instrument):
            assert venue.symbol(market.instrument) == market.symbol


# --- frames -----------------------------------------------------------------------------------


@every_venue
def test_recorded_frames_are_understood(name: str) -> None:
    """Every recorded frame gives at least one event, and its book levels can be read."""
    venue = load(name)
    for frame in frames(name):
        events = read(venue, frame)
        assert events, frame
        for event in events:
            check(event)
            assert isinstance(event, Ack | Control) or (event.topic and event.symbol)
            if isinstance(event, Depth) and venue.book is not None:
                bids, asks = venue.book.levels(event)
                for level in (*bids, *asks):
                    price, size = level
                    assert float(str(price)) >= 0.0
                    assert float(str(size)) >= 0.0


@every_venue
def test_the_order_of_keys_does_not_matter(name: str) -> None:
    """JSON objects have no order: a venue that shuffles its keys is still understood."""
    venue = load(name)
    if venue.decode is not None:
        pytest.skip("frames are compressed")
    for frame in frames(name):
        try:
            shuffled = reordered(frame)
        except ValueError:
            continue  # not JSON
        before, after = read(venue, frame), read(venue, shuffled)
        for one, other in zip(before, after, strict=True):
            assert type(one) is type(other)
            if not isinstance(one, Depth):  # whose levels stay undecoded text
                assert one == other


# --- REST -------------------------------------------------------------------------------------


@every_venue
def test_rest_bodies_are_read(name: str) -> None:
    """Clocks give epoch seconds, states a Maintenance, discovery markets, snapshots a book."""
    for reader in readers(load(name)):
        match reader(reader.body):
            case float() as clock:
                assert 1e9 < clock < 1e10
            case Maintenance() as state:
                assert state.end is None or 1e9 < state.end < 1e10
                assert len(state.title) <= 200
            case Depth() as depth:
                assert depth.snapshot
                check(depth)
            case MarketState() as glance:
                assert glance.state
                assert glance.time is None or 1e9 < glance.time < 1e10
            case str() as url:
                assert url.startswith("wss://")
            case markets:
                assert isinstance(markets, tuple)
                assert all(isinstance(market, Market) for market in markets)


@every_venue
def test_every_channel_can_be_held_against_rest(name: str) -> None:
    """What a silent channel missed shows over REST, at a price that the limits allow."""
    venue = load(name)
    assert set(venue.cross_checks) == set(venue.topics)
    for where in venue.cross_checks.values():
        assert where.path.startswith("/")
        (instrument,) = venues.listed(venue, ["BTC-USDT"])
        symbol = where.spell(venue.symbol(instrument))
        path = venue.place(where.path, symbol, venue.plain)
        asked = path if where.body is None else json.dumps(where.body(symbol))
        assert re.search("btc|xbt", asked, re.IGNORECASE)
        assert not re.search(r"[{}\s]", path)
        assert all(1 <= where.weight <= limit.weight for limit in venue.rest_limits)


@every_venue
def test_good_answers_hide_no_fault(name: str) -> None:
    """No recorded body is mistaken for a refusal, and a full limit is never mistaken for health."""
    venue = load(name)
    for body in bodies(name).values():
        assert venue.fault(answer(200, body)) is None
    assert venue.fault(answer(429, b"{}")) in (None, Reason.RATE_LIMITED)
