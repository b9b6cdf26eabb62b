"""Binance COIN-M futures, margined in the base currency.

Source: traffic of dstream.binance.com recorded in July 2021; Binance's USD-M pages for what the
two share.
"""

from __future__ import annotations

from exporter.contracts import Endpoint, RestLimit, Venue, VenueFact
from exporter.doubt import Doubt, VenueLook
from exporter.instrument import Product, speller
from exporter.listing import MarketStates, VolumeLists
from exporter.model import MARKET_DATA, Continuity
from exporter.venues.families import binance as wire
from exporter.venues.families import binance_rest as rest
from exporter.venues.families import binance_streams as streams
from exporter.venues.families import perpetuals, state_streams
from exporter.venues.families.states import binance_states
from exporter.venues.families.volumes import read_binance

VENUE = Venue(
    name="binance_coinm",
    title="Binance COIN-M futures",
    rest_url="https://dapi.binance.com",
    endpoints=(
        Endpoint(name="ping", path="/dapi/v1/ping"),
        Endpoint(name="time", path="/dapi/v1/time", clock=rest.read_time),
        Endpoint(
            name="ticker",
            path="/dapi/v1/ticker/bookTicker?symbol={symbol}",
            weight=2,
            default=False,
        ),
    ),
    fault=rest.fault,
    rest_limits=(
        RestLimit(name="weight_1m", weight=2400, window=60.0, used_header="x-mbx-used-weight-1m"),
    ),
    markets_path="/dapi/v1/exchangeInfo",
    read_markets=rest.read_markets,
    states=MarketStates(read=binance_states),
    state_stream=state_streams.binance(""),
    perpetuals={Product.INVERSE: perpetuals.binance("/dapi/v1")},
    volumes=VolumeLists(
        paths={Product.INVERSE: "/dapi/v1/ticker/24hr"}, read=read_binance, weight=40
    ),
    stream_urls=("wss://dstream.binance.com/stream",),
    connection_limit=streams.CONNECTION_LIMIT,
    topics=streams.FUTURES_TOPICS,
    subscribe=streams.subscribe,
    unsubscribe=streams.unsubscribe,
    parse=wire.parse,
    sequences=streams.sequences(Continuity.LINKED),
    book=rest.book_rules("/dapi/v1/depth?symbol={symbol}&limit=1000", weight=20),
    cross_checks=rest.cross_checks("/dapi/v1", weight=2),
    lifetime=24 * 3600.0,
    topics_per_request=100,
    topics_per_connection=200,  # of 1,024
    requests_per_second=8.0,  # the limit is 10 a second
    plain=Product.INVERSE,
    symbol=speller(
        plain=Product.INVERSE,
        perpetual=lambda one: f"{rest.joined(one)}_PERP",
        dated=lambda one: f"{rest.joined(one)}_{one.expiry}",
        products=frozenset({Product.INVERSE}),
    ),
    hosts=("dstream.binance.com", "dapi.binance.com"),
    cadences=streams.CADENCES,
    timestamps=dict.fromkeys(MARKET_DATA, streams.TIMESTAMP),
    source="recorded traffic of July 2021; USD-M pages read 2026-07 for what the two share",
    facts=(
        VenueFact(
            "contracts whose state changes: !contractInfo",
            "developers.binance.com, Contract Info Stream of COIN-M futures",
            "2026-11-30",
        ),
        VenueFact(
            "cadence of books: 100 ms, as the stream's name says",
            "developers.binance.com, Diff. Book Depth Streams of USD-M and COIN-M futures",
            "2026-11-30",
        ),
        VenueFact(
            "weights: exchangeInfo 1, ticker/24hr of all 40, bookTicker of one market 2",
            "ccxt 4.5.90, costs of fapi and dapi",
            "2026-11-30",
        ),
        VenueFact(
            "frames, channel by channel (tests/venues/documented/binance_futures.yml)",
            "docs/profiles/binance/websocket.md of github.com/nemanull/arbitrage-observatory "
            "(2026-07-26), which names the pages",
            "2026-11-30",
        ),
        VenueFact(
            "address and connection limits",
            "its documentation, as public reports give it",
            "2026-11",
        ),
        VenueFact("what is shared with USD-M", "USD-M pages of developers.binance.info", "2026-07"),
        VenueFact("frames on the wire", "recorded traffic", "2021-07"),
    ),
    checked="recording",
    unsure=(
        "limit of connections: that of spot",
        Doubt("body of ticker/bookTicker", VenueLook.ANSWER, "quotes"),
        "Retry-After on 418 and 429",
    ),
)
