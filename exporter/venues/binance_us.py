"""Binance.US, spot: Binance's wire under its own addresses, with its own limits.

Source: traffic of stream.binance.us recorded in October 2021; Binance's spot documents at a5e0bc3.
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
    name="binance_us",
    title="Binance.US",
    rest_url="https://api.binance.us",
    # /sapi/v1/system/status wants a signature here, unlike at Binance.
    endpoints=(
        Endpoint(name="ping", path="/api/v3/ping"),
        Endpoint(name="time", path="/api/v3/time", clock=rest.read_time),
        Endpoint(
            name="ticker",
            path="/api/v3/ticker/bookTicker?symbol={symbol}",
            default=False,
        ),
    ),
    fault=rest.fault,
    rest_limits=(
        RestLimit(name="weight_1m", weight=1200, window=60.0, used_header="x-mbx-used-weight-1m"),
    ),
    markets_path="/api/v3/exchangeInfo",
    read_markets=rest.read_markets,
    states=MarketStates(read=binance_states),
    markets_weight=10,
    volumes=VolumeLists(paths={Product.SPOT: "/api/v3/ticker/24hr"}, read=read_binance, weight=40),
    stream_urls=("wss://stream.binance.us:9443/stream",),
    connection_limit=streams.CONNECTION_LIMIT,
    topics=streams.TOPICS,
    subscribe=streams.subscribe,
    unsubscribe=streams.unsubscribe,
    parse=wire.parse,
    sequences=streams.sequences(Continuity.CONTIGUOUS),
    book=rest.book_rules("/api/v3/depth?symbol={symbol}&limit=1000", weight=10),
    cross_checks=rest.cross_checks("/api/v3", weight=1),
    lifetime=24 * 3600.0,
    topics_per_request=100,
    topics_per_connection=1024,
    requests_per_second=4.0,  # the limit is 5 a second, and pings and pongs count
    symbol=speller(spot=rest.joined),
    hosts=("stream.binance.us", "api.binance.us"),
    cadences=streams.CADENCES,
    timestamps={
        Channel.TRADES: streams.TIMESTAMP,
        Channel.QUOTES: "none is sent",
        Channel.BOOK: streams.TIMESTAMP,
        Channel.KLINES: streams.TIMESTAMP,
    },
    source="recorded traffic of 2021; binance-spot-api-docs at a5e0bc3 for what was not recorded",
    facts=(
        VenueFact(
            "cadence of books: 100 ms, as the stream's name says",
            "the name of the stream",
            "2026-11",
        ),
        VenueFact(
            "frames, channel by channel (tests/venues/documented/binance.yml)",
            "those of Binance; docs/profiles/binance/websocket.md of "
            "github.com/nemanull/arbitrage-observatory",
            "2026-11-30",
        ),
        VenueFact("limits", "docs of 2023-09, as public reports give them", "2026-11"),
        VenueFact(
            "weights (those that Binance had with 1,200 a minute)",
            "rest-api.md of binance-spot-api-docs at 5edf082; ccxt 4.5.90, binanceus",
            "2026-11-30",
        ),
        VenueFact(
            "what is shared with Binance",
            "github.com/binance/binance-spot-api-docs at a5e0bc3",
            "2026-07-21",
        ),
        VenueFact("frames on the wire", "recorded traffic", "2021-10"),
    ),
    checked="recording",
    unsure=(
        "limit of connections: that of spot",
        Doubt(
            "an unknown stream name is acked like any other and stays silent",
            VenueLook.UNKNOWN,
            "silent",
        ),
    ),
)
