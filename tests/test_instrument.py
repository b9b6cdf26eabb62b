"""The names of markets: what they say, how venues spell them, and what a mistaken one means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import venues
from exporter.instrument import (
    Instrument,
    Product,
    UnlistedError,
    VenueSymbol,
    canonical,
    meant,
    parse,
    product_of,
)
from exporter.model import Channel

LINEAR, INVERSE, OPTION, SPOT = Product.LINEAR, Product.INVERSE, Product.OPTION, Product.SPOT


@pytest.mark.parametrize(
    ("name", "found", "product"),
    [
        ("BTC-USDT", Instrument("BTC", "USDT"), SPOT),
        ("币安人生-USDT", Instrument("币安人生", "USDT"), SPOT),
        ("1INCH-USDT", Instrument("1INCH", "USDT"), SPOT),
        ("1000-USDT", Instrument("1000", "USDT"), SPOT),
        ("AAPLx-USD", Instrument("AAPLx", "USD"), SPOT),
        ("kPEPE-USDC-PERP", Instrument("kPEPE", "USDC", perpetual=True), LINEAR),
        ("BTC-USDT-PERP", Instrument("BTC", "USDT", perpetual=True), LINEAR),
        ("BTC-USDT-SWAP", Instrument("BTC", "USDT", perpetual=True), LINEAR),
        ("BTC-USD-PERP", Instrument("BTC", "USD", perpetual=True), INVERSE),
        ("BTC-USDT-261225", Instrument("BTC", "USDT", expiry="261225"), LINEAR),
        ("BTC-USD-261225", Instrument("BTC", "USD", expiry="261225"), INVERSE),
        (
            "BTC-USD-261225-60000-C",
            Instrument("BTC", "USD", expiry="261225", strike="60000", right="C"),
            OPTION,
        ),
        (
            "XRP-USDT-261225-0.55-P",
            Instrument("XRP", "USDT", expiry="261225", strike="0.55", right="P"),
            OPTION,
        ),
    ],
)
def test_names_are_read(name: str, found: Instrument, product: Product) -> None:
    """Any script, any case, digits first; spot, perpetual, dated, option."""
    assert parse(name) == found
    assert found.product is product
    assert meant(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "BTC", "BTCUSDT", "BTC-", "-USDT", "BTC_USDT", "BTC/USDT", "BTCUSD-261225", "A B-USDT",
     "BTC-USDT-261325", "BTC-USDT-261232", "BTC-USDT-FOO", "BTC-USD-261225-60000",
     "BTC-USD-261225-60000-X", "BTC-USD-PERP-1-C", "BTC-USDT\n", "B\u202eTC-USDT", "BTC--USDT",
     "A" * 31 + "-USDT"],
)  # fmt: skip
def test_what_is_no_name_is_none(name: str) -> None:
    """A date is no quote, a month has no 13, and nothing turns the reader's text around."""
    assert parse(name) is None


@pytest.mark.parametrize(
    ("found", "near"),
    [
        ("BTCUSDT", "BTC-USDT"),
        ("btc_usd", "BTC-USD"),
        ("eth/usdt", "ETH-USDT"),
        ("BTCUSD_261225", "BTC-USD-261225"),
        ("BTCUSDT_261225", "BTC-USDT-261225"),
        ("BTCUSD_PERP", "BTC-USD-PERP"),
        ("btcusdt-swap", "BTC-USDT-PERP"),
        ("BTCUSDZ26", "{venue_symbol: BTCUSDZ26}"),
        ("币安人生USDT", "币安人生-USDT"),
        ("nothing", ""),
    ],
)
def test_a_mistaken_name_means_one_that_is_served(found: str, near: str) -> None:
    """What is suggested is a name that a venue knows, or the way to write its own symbol."""
    assert meant(found) == near
    assert not near or near.startswith("{") or parse(near) is not None


@given(st.text(max_size=40))
def test_whatever_is_suggested_can_be_written(text: str) -> None:
    """A suggestion is never refused in turn."""
    near = meant(text)
    assert not near or near.startswith("{venue_symbol: ") or parse(near) is not None


@pytest.mark.parametrize(
    ("venue", "name", "symbol"),
    [
        ("binance", "BTC-USDT", "BTCUSDT"),
        ("binance", "币安人生-USDT", "币安人生USDT"),
        ("binance_us", "BTC-USD", "BTCUSD"),
        ("binance_futures", "BTC-USDT", "BTCUSDT"),
        ("binance_futures", "BTC-USDT-PERP", "BTCUSDT"),
        ("binance_futures", "BTC-USDT-261225", "BTCUSDT_261225"),
        ("binance_coinm", "BTC-USD", "BTCUSD_PERP"),
        ("binance_coinm", "BTC-USD-PERP", "BTCUSD_PERP"),
        ("binance_coinm", "BTC-USD-261225", "BTCUSD_261225"),
        ("bitstamp", "BTC-USD", "btcusd"),
        ("bybit", "BTC-USDT", "BTCUSDT"),
        ("bybit", "BTC-USDT-PERP", "BTCUSDT"),
        ("bybit", "BTC-USDC-PERP", "BTCPERP"),
        ("bybit", "BTC-USD-PERP", "BTCUSD"),
        ("bybit", "BTC-USDT-261225", "BTCUSDT-25DEC26"),
        ("bybit", "BTC-USD-261225", "BTCUSDZ26"),
        ("bybit", "BTC-USDC-220729-25000-C", "BTC-29JUL22-25000-C"),
        ("coinbase", "BTC-USD", "BTC-USD"),
        ("kraken", "AAPLx-USD", "AAPLx/USD"),
        ("kraken_v1", "BTC-USD", "XBT/USD"),
        ("kucoin", "BTC-USDT", "BTC-USDT"),
        ("okx", "BTC-USDT-PERP", "BTC-USDT-SWAP"),
        ("okx", "BTC-USD-220527", "BTC-USD-220527"),
        ("okx", "BTC-USD-220527-30000-C", "BTC-USD-220527-30000-C"),
    ],
)
def test_venues_spell_what_they_have(venue: str, name: str, symbol: str) -> None:
    """As their documentation and the recorded lists of markets have it."""
    assert venues.load(venue).symbol(name) == symbol


@pytest.mark.parametrize(
    ("venue", "name"),
    [
        ("binance", "BTC-USDT-PERP"),
        ("binance", "BTC-USDT-261225"),
        ("binance_futures", "BTC-USD-PERP"),
        ("binance_futures", "BTC-USD-261225-60000-C"),
        ("binance_coinm", "BTC-USDT-PERP"),
        ("coinbase", "BTC-USD-PERP"),
        ("kraken", "BTC-USD-PERP"),
        ("kucoin", "BTC-USDT-PERP"),
        ("bitstamp", "BTC-USD-PERP"),
    ],
)
def test_what_a_venue_does_not_have_is_refused(venue: str, name: str) -> None:
    """Its stream would agree to a symbol that it made up, and stay silent."""
    with pytest.raises(UnlistedError, match="it has no"):
        venues.load(venue).symbol(name)


@pytest.mark.parametrize("venue", venues.names())
@pytest.mark.parametrize("symbol", ["BTCUSD_261225", "BTC-26DEC26", "币安人生USDT", 'a"b c/{d}'])
def test_the_venue_s_own_symbol_is_taken_as_it_is(venue: str, symbol: str) -> None:
    """Whatever characters it has: in requests, and in paths, where they are quoted."""
    own = venues.load(venue)
    assert own.symbol(VenueSymbol(symbol)) == symbol
    path = own.place("/x?s={symbol}", symbol, own.plain)
    assert path.isascii()
    assert not set(path) & set('" {}')


@pytest.mark.parametrize("channel", list(venues.load("bybit").cross_checks))
def test_a_silent_contract_is_held_against_its_own_price(channel: Channel) -> None:
    """Not against that of spot, which has the same symbol."""
    bybit = venues.load("bybit")
    for product in Product:
        path = bybit.place(bybit.cross_checks[channel].path, "BTCUSDT", product)
        assert f"category={product.value}&symbol=BTCUSDT" in path


def test_own_symbols_of_two_classes_are_two() -> None:
    """Bybit has a BTCUSDT of spot and one of linear contracts."""
    spot, linear = VenueSymbol("BTCUSDT"), VenueSymbol("BTCUSDT", LINEAR)
    assert spot != linear
    assert linear != "BTCUSDT"
    assert len({spot, linear, VenueSymbol("BTCUSDT")}) == 2
    assert [product_of(each, SPOT) for each in (spot, linear)] == [SPOT, LINEAR]


def test_what_is_alike_has_one_name() -> None:
    """A perpetual is the same whether a venue calls it so or has nothing else."""
    perpetuals = {
        canonical("BTC-USDT", LINEAR),
        canonical("BTC-USDT-PERP", SPOT),
        canonical("BTC-USDT-SWAP", SPOT),
    }
    assert perpetuals == {"BTC-USDT-PERP"}
    assert canonical("BTC-USDT", SPOT) == "BTC-USDT"
    assert canonical("BTC-USD", INVERSE) == "BTC-USD-PERP"
