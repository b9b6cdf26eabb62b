"""Binance USD-M futures, on the split addresses of 2026.

Source: developers.binance.info, "Important WebSocket Change Notice" and USD-M websocket market
streams, as read 2026-07; frames checked against traffic recorded in July 2021, whose single
address was retired on 2026-04-23 and whose frames have not changed.
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
from exporter.venues.families import perpetuals, state_streams
from exporter.venues.families.states import binance_states
from exporter.venues.families.volumes import read_binance

VENUE = Venue(
    name="binance_futures",
    title="Binance USD-M futures",
    rest_url="https://fapi.binance.com",
    endpoints=(
        Endpoint(name="ping", path="/fapi/v1/ping"),
        Endpoint(name="time", path="/fapi/v1/time", clock=rest.read_time),
        Endpoint(
            name="ticker",
            path="/fapi/v1/ticker/bookTicker?symbol={symbol}",
            weight=2,
            default=False,
        ),
    ),
    fault=rest.fault,
    rest_limits=(
        RestLimit(
            name="weight_1m",
            weight=2400,
            window=60.0,
            used_header="x-mbx-used-weight-1m",
            # Documented as inaccurate in its answers, read 2026-11.
            untrusted=("/ticker/bookTicker",),
        ),
    ),
    markets_path="/fapi/v1/exchangeInfo",
    read_markets=rest.read_markets,
    states=MarketStates(read=binance_states),
    state_stream=state_streams.binance("/market/stream"),
    perpetuals={Product.LINEAR: perpetuals.binance("/fapi/v1")},
    volumes=VolumeLists(
        paths={Product.LINEAR: "/fapi/v1/ticker/24hr"}, read=read_binance, weight=40
    ),
    stream_urls=("wss://fstream.binance.com",),
    connection_limit=streams.CONNECTION_LIMIT,
    # A stream asked on the wrong route stays silent, so each channel names its own.
    routes={
        Channel.TRADES: "/market/stream",
        Channel.QUOTES: "/public/stream",
        Channel.BOOK: "/public/stream",
        Channel.KLINES: "/market/stream",
    },
    topics=streams.FUTURES_TOPICS,
    subscribe=streams.subscribe,
    unsubscribe=streams.unsubscribe,
    parse=wire.parse,
    sequences=streams.sequences(Continuity.LINKED),
    book=rest.book_rules("/fapi/v1/depth?symbol={symbol}&limit=1000", weight=20),
    # v1 of the last price is deprecated; v2 weighs 1, read 2026-11.
    cross_checks=rest.cross_checks("/fapi/v1", weight=2, price=("/fapi/v2", 1)),
    lifetime=24 * 3600.0,
    topics_per_request=100,
    topics_per_connection=200,  # the page says 1024, clients in production keep to 200
    requests_per_second=8.0,  # the limit is 10 a second
    plain=Product.LINEAR,
    symbol=speller(
        plain=Product.LINEAR,
        perpetual=rest.joined,
        dated=lambda one: f"{rest.joined(one)}_{one.expiry}",
        products=frozenset({Product.LINEAR}),
    ),
    hosts=("fstream.binance.com", "fapi.binance.com"),
    cadences=streams.CADENCES,
    timestamps={
        Channel.TRADES: streams.TIMESTAMP + ", up to 160 ms after the match",
        Channel.QUOTES: streams.TIMESTAMP,
        Channel.BOOK: streams.TIMESTAMP,
        Channel.KLINES: streams.TIMESTAMP,
    },
    source="developers.binance.info USD-M pages, read 2026-07; recorded traffic of July 2021",
    facts=(
        VenueFact(
            "contracts whose state changes: !contractInfo, not of high frequency, hence its route",
            "developers.binance.com, Contract Info Stream of USD-M futures, and the change notice",
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
            "(2026-07-26), which names the pages; issues 28 of Lean.Brokerages.Binance and 261 of "
            "binance-futures-connector-python",
            "2026-11-30",
        ),
        VenueFact(
            "addresses and channels",
            "developers.binance.info, Important WebSocket Change Notice",
            "2026-07",
        ),
        VenueFact(
            "ticker/price v2, bookTicker's weight and header",
            "its documentation, as public reports give it",
            "2026-11",
        ),
        VenueFact("frames on the wire", "recorded traffic", "2021-07"),
    ),
    checked="recording",
    unsure=(
        "limit of connections: that of spot",
        Doubt("body of ticker/bookTicker", VenueLook.ANSWER, "quotes"),
        "Retry-After on 418 and 429",
        "whether aggTrade ids stay without holes outside the recordings",
    ),
)
