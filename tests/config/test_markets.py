"""What patterns in `symbols` come to: names, the venue's spelling, the bound, the complaints."""

from __future__ import annotations

import pytest

from exporter import config as settings
from exporter import venues
from exporter.cli import _estimate as estimate
from exporter.config import ConfigError, ExchangeConfig
from exporter.instrument import Product, VenueSymbol
from exporter.model import Market


def exchange(keys: str, venue: str = "binance") -> ExchangeConfig:
    """Return one exchange of a config."""
    return load(f"exchanges: [{{venue: {venue}, {keys}}}]").exchanges[0]


def load(text: str) -> settings.Config:
    """Read a config's text."""
    return settings.read(text, "c.yml", venues.names(), venues.load)


def spot(*names: str) -> list[Market]:
    """Return markets as Binance spells them."""
    return [Market(name.replace("-", ""), name) for name in names]


LISTED = spot("SOL-USDT", "BTC-USDT", "ETH-USDT", "BTC-EUR", "币安人生-USDT")


def come_to(
    keys: str,
    markets: list[Market],
    venue: str = "binance",
    volumes: dict[str, float] | None = None,
    before: tuple[str, ...] = (),
) -> settings.FollowedMarkets:
    """Return what an exchange's patterns come to."""
    return settings.follow(
        exchange(keys, venue), venues.load(venue), markets, volumes or {}, before
    )


def test_names_come_first_and_patterns_fill_what_is_left() -> None:
    """A market that is named is not subscribed to twice; streams' own patterns count too."""
    found = come_to(
        'symbols: ["*-USDT", ETH-USDT], streams: [{name: a}, {name: b, symbols: ["*-EUR"]}]',
        LISTED,
    )
    assert found.configured.named == ("ETH-USDT", "BTC-USDT", "SOL-USDT", "币安人生-USDT")
    wanted = settings.subscriptions(
        found.configured, found.configured.streams[1], venues.load("binance")
    )
    assert {(each.instrument, each.symbol) for each in wanted} == {("BTC-EUR", "BTCEUR")}
    assert found.left_out == ()
    again = settings.follow(
        found.configured, venues.load("binance"), LISTED, {}, tuple(found.symbols.values())
    )
    assert again.configured.named == found.configured.named


def test_who_streams_nothing_looks_nothing_up() -> None:
    """As the parts of an exchange that other shards probe."""
    assert exchange('symbols: ["*-USDT"], streams: []').selections == ()


def test_the_bound_cannot_be_passed_and_who_is_followed_stays() -> None:
    """What there is no room for is named; a newcomer does not push out who was there."""
    keys = 'symbols: [ETH-USDT, "*-USDT"], symbols_limit: 2'
    found = come_to(keys, LISTED)
    assert found.configured.named == ("ETH-USDT", "BTC-USDT")
    assert found.left_out == ("SOL-USDT", "币安人生-USDT")
    more = come_to(keys, [*spot("A-USDT"), *LISTED], before=tuple(found.symbols.values()))
    assert more.configured.named == ("ETH-USDT", "BTC-USDT")
    assert "A-USDT" in more.left_out
    less = come_to(keys, LISTED[2:], before=("BTCUSDT",))
    assert less.configured.named == ("ETH-USDT", "币安人生-USDT")


def test_the_largest_by_volume_are_followed() -> None:
    """Of one quote currency and class; another has other volumes."""
    volumes = {"SOLUSDT": 5.0, "BTCUSDT": 9.0, "ETHUSDT": 7.0, "BTCEUR": 99.0}
    found = come_to("symbols: [{top: 2, by: volume, quote: USDT}]", LISTED, volumes=volumes)
    assert found.configured.named == ("BTC-USDT", "ETH-USDT")


def test_each_market_is_subscribed_to_by_the_venue_s_own_symbol() -> None:
    """A symbol that the usual rule would not give is kept; what has no name here goes as it is."""
    markets = [Market("XYZOLD-USDT", "XYZ-USDT"), Market("A:B/USDT", "A:B-USDT")]
    found = come_to('symbols: ["*USDT"]', markets, "kucoin").configured
    wanted = settings.subscriptions(found, found.streams[0], venues.load("kucoin"))
    assert {each.symbol for each in wanted} == {"XYZOLD-USDT", "A:B/USDT"}
    hostile = come_to('symbols: ["*"]', [Market("A\nB", "A-B"), Market("x" * 65, "C-D")])
    assert hostile.configured.named == ()


def test_classes_are_kept_apart() -> None:
    """At a venue of perpetuals BASE-QUOTE is one; at Bybit one market has one class."""
    perpetual = [Market("BTCUSDT", "BTC-USDT-PERP"), Market("BTCUSDT_261225", "BTC-USDT-261225")]
    found = come_to('symbols: ["*-USDT", "*-PERP"]', perpetual, "binance_futures").configured
    assert found.named == ("BTC-USDT",)
    both = [Market("BTCUSDT", "BTC-USDT", Product.SPOT),
            Market("BTCUSDT", "BTC-USDT-PERP", Product.LINEAR),
            Market("BTCPERP", "BTC-USDC-PERP", Product.LINEAR)]  # fmt: skip
    found = come_to('symbols: ["BTC-*"]', both, "bybit").configured
    assert found.named == ("BTC-USDT", "BTC-USDC-PERP", "BTC-USDT-PERP")
    assert settings.market_lists(
        exchange('symbols: ["*-PERP"]', "bybit"), venues.load("bybit"), all_named=False
    ) == tuple(
        f"/v5/market/instruments-info?category={each}&limit=1000" for each in ("inverse", "linear")
    )
    odd = [Market("BTC-USDQ", "BTC-USDQ", Product.LINEAR)]
    (name,) = come_to('symbols: ["BTC-*"]', odd, "okx").configured.named
    assert name == VenueSymbol("BTC-USDQ", Product.LINEAR)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ('venue: coinbase, symbols: ["*-PERP"]',
         'found "*-PERP", expected markets of coinbase: it lists none of that class, only spot'),
        ("venue: gemini, symbols: [{top: 5, quote: USD}]",
         'found "top 5 by volume in USD", expected markets of gemini: it'),
        ('venue: binance, symbols: [A-B, C-D, "*-E"], symbols_limit: 1',
         "symbols_limit: found 1, expected at least the 2 instruments that are named"),
        ("venue: binance, symbols: [{top: 5, by: price, quote: USD}]", "expected one of volume"),
        ("venue: binance, symbols: [{top: 0, quote: USD}]", "expected a whole number from 1"),
        ('venue: binance, symbols: ["*/USDT"]', 'found "*/USDT", expected a pattern such as'),
        ('venue: binance, symbols: ["*-USDT"], endpoints: [{name: ticker}]',
         "expected symbols in the exchange to take the first of (patterns are none)"),
    ],
)  # fmt: skip
def test_a_pattern_that_can_match_nothing_is_refused(keys: str, complaint: str) -> None:
    """It would be followed and stay silent for ever."""
    with pytest.raises(ConfigError) as error:
        load(f"exchanges: [{{{keys}}}]")
    assert complaint in str(error.value)


def test_the_cost_beforehand_is_that_of_the_bound() -> None:
    """Nobody was asked yet: as many series as there can ever be."""
    config = load('exchanges: [{venue: binance, symbols: [BTC-USDT, "*-USDT"], symbols_limit: 7}]')
    load_of = estimate.load_of(
        settings.at_most(config.exchanges[0]), venues.load("binance"), config
    )
    assert (load_of.symbols, load_of.subscriptions) == (7, 21)


def test_options_are_asked_for_on_the_streams_that_options_have() -> None:
    """Bybit's have neither candles nor trades of one market, and books of another depth."""
    found = exchange(
        "symbols: [BTC-USDT, BTC-USDC-261225-60000-C], "
        "streams: [{name: a, channels: [trades, quotes, book, klines]}]",
        "bybit",
    )
    wanted = settings.subscriptions(found, found.streams[0], venues.load("bybit"))
    assert [(each.channel.value, each.topic) for each in wanted] == [
        ("trades", "publicTrade.BTCUSDT"),
        ("quotes", "orderbook.1.BTCUSDT"),
        ("quotes", "tickers.BTC-25DEC26-60000-C"),
        ("book", "orderbook.50.BTCUSDT"),
        ("book", "orderbook.25.BTC-25DEC26-60000-C"),
        ("klines", "kline.1.BTCUSDT"),
    ]
