"""OKX v5.

Source: OKX API documentation v5 and announcement of 2026-05-21 on book checksums; frames checked
against traffic recorded in May 2022, newer fields (connId, count, seqId) against captures of
August 2026 by other open-source clients.
"""

from __future__ import annotations

from exporter.contracts import (
    BookRules,
    CrossCheck,
    Endpoint,
    RestLimit,
    SequenceRule,
    Venue,
    VenueFact,
    VenueSite,
)
from exporter.doubt import Doubt, VenueLook
from exporter.instrument import Instrument, Product, speller
from exporter.listing import MarketStates, VolumeLists
from exporter.model import (
    Channel,
    Continuity,
)
from exporter.venues.families import perpetuals, state_streams
from exporter.venues.families.okx import checksum, levels, parse, ping, subscribe, unsubscribe
from exporter.venues.families.okx_rest import (
    fault,
    read_best,
    read_last_trade,
    read_markets,
    read_status,
    read_time,
)
from exporter.venues.families.states import okx_states
from exporter.venues.families.volumes import read_okx


def _pair(instrument: Instrument) -> str:
    return f"{instrument.base}-{instrument.quote}".upper()


_TICKER = "/api/v5/market/ticker?instId={symbol}"


_CONTRACTS = (
    "/api/v5/public/instruments?instType=SWAP",
    "/api/v5/public/instruments?instType=FUTURES",
)

VENUE = Venue(
    name="okx",
    title="OKX",
    rest_url="https://www.okx.com",
    endpoints=(
        Endpoint(name="time", path="/api/v5/public/time", clock=read_time),
        Endpoint(
            name="status",
            path="/api/v5/system/status",  # without a state: all but what is over
            interval=30.0,
            pace=5.0,
            status=read_status,
        ),
        Endpoint(name="ticker", path=_TICKER, default=False),
    ),
    fault=fault,
    rest_limits=(RestLimit(name="requests_2s", weight=10, window=2.0),),
    markets_path="/api/v5/public/instruments?instType=SPOT",
    # Source: ccxt 4.5.90 asks the same; options by the family, of which these two are the largest.
    more_markets={
        Product.LINEAR: _CONTRACTS,
        Product.INVERSE: _CONTRACTS,
        Product.OPTION: (
            "/api/v5/public/instruments?instType=OPTION&uly=BTC-USD",
            "/api/v5/public/instruments?instType=OPTION&uly=ETH-USD",
        ),
    },
    read_markets=read_markets,
    states=MarketStates(read=okx_states),
    state_stream=state_streams.OKX,
    perpetuals={
        Product.LINEAR: perpetuals.okx("USDT"),
        Product.INVERSE: perpetuals.okx("USD"),
    },
    volumes=VolumeLists(
        paths={
            Product.SPOT: "/api/v5/market/tickers?instType=SPOT",
            Product.LINEAR: "/api/v5/market/tickers?instType=SWAP",
            Product.INVERSE: "/api/v5/market/tickers?instType=SWAP",
        },
        read=read_okx,
    ),
    status_page=None,  # www.okx.com/status is for people
    # Source of the second REST address and of both regions: a client's table of "Regional API
    # routing" (github.com/tiagosiebler/okx-api, README, read 2026-11-30). That port 443 serves
    # the regions as it does the global site: clients' own reports, the venue's page was not read.
    other_rest_urls=("https://openapi.okx.com",),
    regions={
        "eea": VenueSite(
            rest_urls=("https://eea.okx.com",), stream_urls=("wss://wseea.okx.com/ws/v5",)
        ),
        "us": VenueSite(
            rest_urls=("https://us.okx.com",), stream_urls=("wss://wsus.okx.com/ws/v5",)
        ),
    },
    stream_urls=("wss://ws.okx.com/ws/v5",),
    connection_limit=RestLimit(name="connections_1s", weight=3, window=1.0),
    routes={
        Channel.TRADES: "/public",
        Channel.QUOTES: "/public",
        Channel.BOOK: "/public",
        Channel.KLINES: "/business",
    },
    topics={
        Channel.TRADES: "trades:{symbol}",
        # Every 10 ms on change, with a sequence; `tickers` comes every 100 ms and carries none.
        Channel.QUOTES: "bbo-tbt:{symbol}",
        Channel.BOOK: "books:{symbol}",
        Channel.KLINES: "candle1m:{symbol}",
    },
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    sequences=(
        SequenceRule(
            name="bbo-tbt",
            labels=("bbo-tbt",),
            continuity=Continuity.RISING,
            attribute="sequence",
        ),
        SequenceRule(
            name="books",
            labels=("books.snapshot", "books.update"),
            continuity=Continuity.LINKED,
            attribute="span",
        ),
    ),
    book=BookRules(levels=levels, checksum=checksum, depth=400),
    cross_checks={
        Channel.TRADES: CrossCheck(path=_TICKER, read=read_last_trade),
        Channel.KLINES: CrossCheck(path=_TICKER, read=read_last_trade),
        Channel.QUOTES: CrossCheck(path=_TICKER, read=read_best),
        Channel.BOOK: CrossCheck(path=_TICKER, read=read_best),
    },
    ping=ping,
    ping_every=20.0,
    topics_per_request=50,
    topics_per_connection=200,
    request_length=60_000,  # of 64 KiB
    requests_per_second=2.0,  # 480 requests an hour at most
    symbol=speller(
        spot=_pair,
        perpetual=lambda one: f"{_pair(one)}-SWAP",
        dated=lambda one: f"{_pair(one)}-{one.expiry}",
        option=lambda one: f"{_pair(one)}-{one.expiry}-{one.strike}-{one.right}",
    ),
    hosts=(
        "ws.okx.com",
        "wseea.okx.com",
        "wsus.okx.com",
        "wsaws.okx.com",
        "ws.okex.com",
        "www.okx.com",
        "openapi.okx.com",
        "eea.okx.com",
        "us.okx.com",
        "www.okex.com",
    ),
    cadences={Channel.QUOTES: 0.01, Channel.BOOK: 0.1},
    timestamps={
        Channel.TRADES: "ts, when the trade was matched (ms)",
        Channel.QUOTES: "ts, when the frame was generated (ms)",
        Channel.BOOK: "ts, when the frame was generated (ms)",
        Channel.KLINES: "none is sent",
    },
    source="OKX API documentation v5, announcement of 2026-05-21; recorded traffic of May 2022",
    facts=(
        VenueFact(
            "states of markets: the channel instruments",
            "OKX API v5, Instruments channel, as the clients amir-the-h/okex and okx-api give it",
            "2026-11-30",
        ),
        VenueFact(
            "cadence of bbo-tbt: 10 ms, of books: 100 ms",
            "OKX API v5, order book channel, as fact sheets give it",
            "2026-10",
        ),
        VenueFact(
            "frames, channel by channel (tests/venues/documented/okx.yml)",
            "docs/profiles/okx/websocket.md of github.com/nemanull/arbitrage-observatory "
            "(2026-07-26), which names the sections; notice of 2026-06-01; log_zh of 2026-05-21; "
            "test data of nautilus_trader",
            "2026-11-30",
        ),
        VenueFact("book checksums", "announcement of 2026-05-21", "2026-05-21"),
        VenueFact("addresses", "changelog of 2026-09-30, as public reports give it", "2026-11"),
        VenueFact("system status", "docs.rs/rust-okx 0.6.4 and public clients", "2026-11-30"),
        VenueFact("newer fields on the wire", "captures of other open-source clients", "2026-08"),
        VenueFact("frames on the wire", "recorded traffic", "2022-05"),
    ),
    checked="recording",
    unsure=(
        Doubt("body of /api/v5/public/time", VenueLook.ENDPOINT, "time"),
        "the REST limit",
        "book frames whose seqId equals prevSeqId, taken as keepalives",
        Doubt(
            "addresses of the regions eea and us: other clients name them",
            VenueLook.REGIONS,
            "eea",
            "us",
        ),
        "that openapi.okx.com serves all: other clients name it",
    ),
)
