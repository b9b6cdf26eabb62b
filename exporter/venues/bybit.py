"""Bybit v5, spot.

The same file reads linear and inverse contracts: give their address as the exchange's
``stream_url``.

Source: github.com/bybit-exchange/docs (docs/v5) at 072c197, read 2026-07-24; acks and quotes as
captured in August 2026 by other open-source clients.
"""

from __future__ import annotations

from datetime import UTC, datetime

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
from exporter.listing import MarketStates, PerpetualList, VolumeLists
from exporter.model import (
    MARKET_DATA,
    Channel,
    Continuity,
    SizeUnit,
)
from exporter.venues.families import perpetuals, state_streams
from exporter.venues.families.bybit import levels, parse, ping, subscribe, unsubscribe
from exporter.venues.families.bybit_rest import (
    fault,
    read_best,
    read_last_price,
    read_markets,
    read_status,
    read_time,
)
from exporter.venues.families.states import bybit_states
from exporter.venues.families.volumes import read_bybit

_MONTHS = "FGHJKMNQUVXZ"  # the letters of futures' months


def _delivery(expiry: str) -> str:
    """Format YYMMDD as the venue does: ``26DEC25``, the day without a zero."""
    moment = datetime.strptime(expiry, "%y%m%d").replace(tzinfo=UTC)
    return f"{moment.day}{moment.strftime('%b%y').upper()}"


def _perpetual(one: Instrument) -> str:
    """Format a perpetual: that in USDC has a word of its own (``BTCPERP``)."""
    return f"{one.base}{'PERP' if one.quote == 'USDC' else one.quote}"


def _dated(one: Instrument) -> str:
    if one.product is Product.INVERSE:  # BTCUSDZ25: a letter for the month
        return f"{one.base}{one.quote}{_MONTHS[int(one.expiry[2:4]) - 1]}{one.expiry[:2]}"
    base = one.base if one.quote == "USDC" else f"{one.base}{one.quote}"
    return f"{base}-{_delivery(one.expiry)}"


def _option(one: Instrument) -> str:
    end = "" if one.quote in ("USD", "USDC") else f"-{one.quote}"
    return f"{one.base}-{_delivery(one.expiry)}-{one.strike}-{one.right}{end}"


_TICKER = "/v5/market/tickers?category={category}&symbol={symbol}"


def _site(rest: str, stream: str = "stream.bybit.com") -> VenueSite:
    return VenueSite(
        rest_urls=(f"https://{rest}",), stream_urls=(f"wss://{stream}/v5/public/spot",)
    )


# Source: bybit-exchange/docs, wss-authentication.mdx at 1760380 (streams), and the page
# "Integration Guidance" of bybit-exchange.github.io (REST), read 2026-11-30. Sites without a stream
# of their own take the global one.
_REGIONS = {
    "ae": _site("api.bybit.ae"),
    "eu": _site("api.bybit.eu"),
    "ge": _site("api.bybitgeorgia.ge", "stream.bybitgeorgia.ge"),
    "id": _site("api.bybit.id", "stream.bybit.id"),
    "kz": _site("api.bybit.kz", "stream.bybit.kz"),
    "nl": _site("api.bybit.nl"),
    "tr": _site("api.bybit-tr.com", "stream.bybit.tr"),
}

VENUE = Venue(
    name="bybit",
    title="Bybit",
    rest_url="https://api.bybit.com",
    endpoints=(
        Endpoint(name="time", path="/v5/market/time", clock=read_time),
        Endpoint(name="status", path="/v5/system/status", interval=30.0, status=read_status),
        Endpoint(name="ticker", path=_TICKER, default=False),
    ),
    fault=fault,
    rest_limits=(RestLimit(name="requests_5s", weight=600, window=5.0),),
    # Spot comes in one page, the others of up to 1000 markets (there are some 700 linear ones).
    markets_path="/v5/market/instruments-info?category=spot",
    more_markets={
        Product.LINEAR: ("/v5/market/instruments-info?category=linear&limit=1000",),
        Product.INVERSE: ("/v5/market/instruments-info?category=inverse&limit=1000",),
        Product.OPTION: tuple(
            f"/v5/market/instruments-info?category=option&baseCoin={base}&limit=1000"
            for base in ("BTC", "ETH")
        ),
    },
    read_markets=read_markets,
    states=MarketStates(read=bybit_states),
    state_stream=state_streams.BYBIT,
    perpetuals={
        product: (
            PerpetualList(
                path=f"/v5/market/tickers?category={product}", read=perpetuals.read_bybit_tickers
            ),
        )
        for product in (Product.LINEAR, Product.INVERSE)
    },
    volumes=VolumeLists(
        paths={
            product: f"/v5/market/tickers?category={product}"
            for product in (Product.SPOT, Product.LINEAR, Product.INVERSE)
        },
        read=read_bybit,
    ),
    other_rest_urls=("https://api.bytick.com",),
    regions=_REGIONS,
    stream_urls=("wss://stream.bybit.com/v5/public/spot",),
    connection_limit=RestLimit(name="connections_5m", weight=500, window=300.0),
    topics={
        Channel.TRADES: "publicTrade.{symbol}",
        # Every 10 ms on change and every 3 s without: quicker than `tickers`, which on spot has no
        # bid and ask at all, and a heartbeat of the data itself.
        Channel.QUOTES: "orderbook.1.{symbol}",
        Channel.BOOK: "orderbook.50.{symbol}",
        Channel.KLINES: "kline.1.{symbol}",
    },
    # Source: docs/v5/websocket/public/orderbook.mdx (options: 25 and 100 levels), ticker.mdx and
    # trade.mdx, read 2026-11-30: trades of options come by their coin, all in one topic, and there
    # are no candles.
    product_topics={
        Product.OPTION: {
            Channel.QUOTES: "tickers.{symbol}",
            Channel.BOOK: "orderbook.25.{symbol}",
        },
    },
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    sequences=(
        SequenceRule(
            name="orderbook.1",
            labels=("orderbook.1",),
            continuity=Continuity.RISING,
            attribute="sequence",
        ),
        SequenceRule(
            name="orderbook",
            labels=("orderbook.snapshot", "orderbook.delta"),
            continuity=Continuity.CONTIGUOUS,
            attribute="span",
        ),
    ),
    book=BookRules(
        levels=levels,
        depth=50,
        units={
            **dict.fromkeys((Product.SPOT, Product.LINEAR, Product.OPTION), SizeUnit.BASE),
            Product.INVERSE: SizeUnit.QUOTE,  # contracts of 1 USD
        },
    ),
    cross_checks={
        Channel.TRADES: CrossCheck(path=_TICKER, read=read_last_price),
        Channel.KLINES: CrossCheck(path=_TICKER, read=read_last_price),
        Channel.QUOTES: CrossCheck(path=_TICKER, read=read_best),
        Channel.BOOK: CrossCheck(path=_TICKER, read=read_best),
    },
    ping=ping,
    ping_every=20.0,
    topics_per_request=10,
    topics_per_connection=500,  # all topics of a connection may have 21,000 characters together
    request_length=21_000,
    categories={each: each.value for each in Product},
    symbol=speller(
        spot=lambda one: f"{one.base}{one.quote}",
        perpetual=_perpetual,
        dated=_dated,
        option=_option,
    ),
    # The retired v2 protocol had other paths on the same hosts.
    hosts=(
        "stream.bybit.com/v5",
        "api.bybit.com/v5",
        "api.bytick.com/v5",
        *(
            url.partition("://")[2].removesuffix("/public/spot")
            for site in _REGIONS.values()
            for url in (*site.rest_urls, *site.stream_urls)
        ),
    ),
    cadences={Channel.QUOTES: 0.01, Channel.BOOK: 0.02},
    timestamps=dict.fromkeys(MARKET_DATA, "ts, when the frame was generated (ms)"),
    source="bybit-exchange/docs v5 at 072c197, read 2026-07-24",
    facts=(
        VenueFact(
            "maintenance first: the topic system.status at /v5/public/misc/status",
            "bybit-exchange.github.io/docs, v5/websocket/system/system-status",
            "2026-11-30",
        ),
        VenueFact(
            "cadence of books of 1 level: 10 ms, of 50: 20 ms",
            "bybit-exchange.github.io, docs/v5/websocket/public/orderbook",
            "2026-11-30",
        ),
        VenueFact(
            "frames, channel by channel (tests/venues/documented/bybit.yml)",
            "bybit-exchange/docs, docs/v5/websocket/public: orderbook, orderbook-rpi, full-ob, "
            "trade, ticker, kline, order-price-limit",
            "2026-11-30",
        ),
        VenueFact(
            "an inverse contract is 1 USD, a linear one 1 coin",
            "crypto-contract-value 1.7.25 on docs.rs, exchanges/bybit.rs",
            "2026-11-30",
        ),
        VenueFact(
            "channels, frames, limits, errors",
            "github.com/bybit-exchange/docs at 072c197",
            "2026-07-24",
        ),
        VenueFact(
            "system status", "bybit-exchange.github.io/docs, Get System Status", "2026-11-30"
        ),
        VenueFact(
            "acks and quotes on the wire", "captures of other open-source clients", "2026-08"
        ),
    ),
    checked="documentation",
    unsure=(
        Doubt(
            "how dated futures and options are spelled, beside the examples of the documentation",
            VenueLook.SPELLING,
            "linear",
            "inverse",
            "option",
        ),
        "that the regions ae, eu and nl take the global streams",
    ),
)
