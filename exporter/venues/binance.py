"""Binance, spot.

Source: github.com/binance/binance-spot-api-docs (rest-api.md, web-socket-streams.md, errors.md)
at a5e0bc3, read 2026-07-21; frames checked against traffic recorded in October 2021.
"""

from __future__ import annotations

from exporter.contracts import Endpoint, RestLimit, Venue, VenueFact
from exporter.doubt import Doubt, VenueLook
from exporter.instrument import Product, speller
from exporter.listing import MarketStates, VolumeLists
from exporter.model import Channel, Continuity
from exporter.venues.families import binance as wire
from exporter.venues.families import binance_rest as rest
from exporter.venues.families import binance_streams as streams
from exporter.venues.families.states import binance_states
from exporter.venues.families.volumes import read_binance

VENUE = Venue(
    name="binance",
    title="Binance",
    rest_url="https://api.binance.com",
    # Source: rest-api.md and web-socket-streams.md at a5e0bc3, "General Information", 2026-07-21.
    # The last of each serves market data alone, which is all that is asked of it here.
    other_rest_urls=(
        "https://api-gcp.binance.com",
        "https://api1.binance.com",
        "https://api2.binance.com",
        "https://api3.binance.com",
        "https://api4.binance.com",
        "https://data-api.binance.vision",
    ),
    endpoints=(
        Endpoint(name="ping", path="/api/v3/ping"),
        Endpoint(name="time", path="/api/v3/time", clock=rest.read_time),
        Endpoint(
            name="status", path="/sapi/v1/system/status", interval=30.0, status=rest.read_status
        ),
        Endpoint(
            name="ticker",
            path="/api/v3/ticker/bookTicker?symbol={symbol}",
            weight=2,
            default=False,
        ),
    ),
    fault=rest.fault,
    rest_limits=(
        RestLimit(name="weight_1m", weight=6000, window=60.0, used_header="x-mbx-used-weight-1m"),
        RestLimit(name="requests_5m", weight=300_000, window=300.0),
    ),
    markets_path="/api/v3/exchangeInfo",
    read_markets=rest.read_markets,
    states=MarketStates(read=binance_states, query="?showPermissionSets=false"),
    markets_weight=20,
    volumes=VolumeLists(paths={Product.SPOT: "/api/v3/ticker/24hr"}, read=read_binance, weight=80),
    stream_urls=(
        "wss://stream.binance.com:9443/stream",
        "wss://stream.binance.com:443/stream",
        "wss://data-stream.binance.vision/stream",
    ),
    connection_limit=streams.CONNECTION_LIMIT,
    topics=streams.TOPICS,
    subscribe=streams.subscribe,
    unsubscribe=streams.unsubscribe,
    parse=wire.parse,
    sequences=streams.sequences(Continuity.CONTIGUOUS),
    book=rest.book_rules("/api/v3/depth?symbol={symbol}&limit=1000", weight=50),
    cross_checks=rest.cross_checks("/api/v3", weight=2),
    lifetime=24 * 3600.0,
    topics_per_request=100,
    topics_per_connection=1024,
    requests_per_second=4.0,  # the limit is 5 a second, and pings and pongs count
    symbol=speller(spot=rest.joined),
    hosts=(
        "stream.binance.com",
        "data-stream.binance.vision",
        "api.binance.com",
        "data-api.binance.vision",
    ),
    cadences=streams.CADENCES,
    timestamps={
        Channel.TRADES: streams.TIMESTAMP,
        Channel.QUOTES: "none is sent",
        Channel.BOOK: streams.TIMESTAMP,
        Channel.KLINES: streams.TIMESTAMP,
    },
    source="binance-spot-api-docs at a5e0bc3, read 2026-07-21",
    facts=(
        VenueFact(
            "cadence of books: 100 ms, as the stream's name says",
            "web-socket-streams.md of github.com/binance/binance-spot-api-docs",
            "2026-07",
        ),
        VenueFact(
            "frames, channel by channel (tests/venues/documented/binance.yml)",
            "web-socket-streams.md of binance-spot-api-docs (060fe48 whole, the current one in "
            "parts), developers.binance.com, captures of 2026-09-23",
            "2026-11-30",
        ),
        VenueFact(
            "channels, frames, weights, connection limits",
            "github.com/binance/binance-spot-api-docs at a5e0bc3",
            "2026-07-21",
        ),
        VenueFact(
            "weights of lists: exchangeInfo 20, ticker/24hr of all 80; of one market 2",
            "ccxt 4.5.90, costs of binance",
            "2026-11-30",
        ),
        VenueFact(
            "RAW_REQUESTS of 300,000 in 5 minutes",
            "its changelog, as public reports give it",
            "2026-11",
        ),
        VenueFact("system status", "developers.binance.com, Wallet, System Status", "2026-11-30"),
        VenueFact("frames on the wire", "recorded traffic", "2021-10"),
    ),
    checked="recording",
    unsure=(
        Doubt(
            "an unknown stream name is acked like any other and stays silent",
            VenueLook.UNKNOWN,
            "silent",
        ),
    ),
)
