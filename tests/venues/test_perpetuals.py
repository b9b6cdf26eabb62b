"""What venues' lists say of perpetuals: their prices and their funding, in seconds and ratios."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter import venues
from exporter.decoding import ParseError
from exporter.instrument import Product
from exporter.listing import ListedPerpetual, merged

PERPETUAL = ListedPerpetual


def read(venue: str, *bodies: object, product: str = "linear") -> dict[str, ListedPerpetual]:
    """Read the lists of one class, together."""
    lists = venues.load(venue).perpetuals[Product(product)]
    texts = [json.dumps(each).encode() for each in bodies]
    return merged(one.read(text) for one, text in zip(lists, texts, strict=True))


PREMIUM = {
    "symbol": "BTCUSDT", "markPrice": "45802.81129892", "indexPrice": "45745.47701915",
    "estimatedSettlePrice": "45133.91753671", "lastFundingRate": "0.00063521",
    "interestRate": "0.00010000", "nextFundingTime": 1621267200000, "time": 1621252344001,
}  # fmt: skip
DATED = {
    "symbol": "BTCUSDT_210625", "markPrice": "46000.1", "indexPrice": "45745.4",
    "lastFundingRate": "", "interestRate": "", "nextFundingTime": 0, "time": 1621252344001,
}  # fmt: skip


def test_binance_names_only_what_is_funded_unusually() -> None:
    """Eight hours, unless the other list says another interval; what ends is not funded."""
    blz = {**PREMIUM, "symbol": "BLZUSDT", "lastFundingRate": "-0.02000000"}
    adjusted = {"symbol": "BLZUSDT", "adjustedFundingRateCap": "0.03000000",
                "adjustedFundingRateFloor": "-0.02000000", "fundingIntervalHours": 4,
                "disclaimer": False}  # fmt: skip
    found = read("binance_futures", [PREMIUM, blz, DATED], [adjusted])
    usual = PERPETUAL("BTCUSDT", 45802.81129892, 45745.47701915, 0.00063521, 28800.0, 1621267200.0)
    assert found["BTCUSDT"] == usual
    assert (found["BLZUSDT"].interval, found["BLZUSDT"].rate) == (14400.0, -0.02)
    assert found["BTCUSDT_210625"] == PERPETUAL("BTCUSDT_210625", 46000.1, 45745.4)


def test_bybit_tells_all_in_its_tickers() -> None:
    """In texts, the interval in hours; other contracts have empty texts."""
    row = {"symbol": "BTCUSDT", "lastPrice": "19255.50", "indexPrice": "80363.66",
           "markPrice": "80328.27", "fundingRate": "0.0001", "nextFundingTime": "1789891200000",
           "fundingIntervalHour": "8", "fundingCap": "0.005"}  # fmt: skip
    dated = {**row, "symbol": "BTC-26DEC26", "fundingRate": "", "nextFundingTime": "0",
             "fundingIntervalHour": "", "fundingCap": ""}  # fmt: skip
    body = {"retCode": 0, "result": {"category": "linear", "list": [row, dated]}}
    found = read("bybit", body)
    assert found["BTCUSDT"] == PERPETUAL(
        "BTCUSDT", 80328.27, 80363.66, 0.0001, 28800.0, 1789891200.0, 0.005
    )
    assert found["BTC-26DEC26"] == PERPETUAL("BTC-26DEC26", 80328.27, 80363.66)


@pytest.mark.parametrize(("rate", "cap"), [("0.0001875", 0.00375), ("-0.0001875", 0.003)])
def test_okx_tells_it_in_three_lists(rate: str, cap: float) -> None:
    """The interval lies between two times; the cap is that of the side on which the rate is."""
    funding = {"fundingRate": rate, "fundingTime": "1700726400000", "instId": "BTC-USDT-SWAP",
               "instType": "SWAP", "method": "current_period", "maxFundingRate": "0.00375",
               "minFundingRate": "-0.003", "nextFundingRate": "", "ts": "1700724675402",
               "nextFundingTime": "1700755200000"}  # fmt: skip
    mark = {"instType": "SWAP", "instId": "BTC-USDT-SWAP", "markPx": "37000.5", "ts": "1"}
    index = {"instId": "BTC-USDT", "idxPx": "37010.1", "high24h": "1", "ts": "1700724675402"}
    found = read("okx", *({"code": "0", "data": [each]} for each in (funding, mark, index)))
    assert found["BTC-USDT-SWAP"] == PERPETUAL(
        "BTC-USDT-SWAP", 37000.5, 37010.1, float(rate), 28800.0, 1700726400.0, cap
    )


def test_bitmex_counts_durations_from_2000() -> None:
    """2000-01-01T08:00 are eight hours."""
    row = {"symbol": "XBTUSD", "typ": "FFWCSX", "state": "Open", "markPrice": 77156.96,
           "indicativeSettlePrice": 77155.45, "fundingRate": -0.000299,
           "fundingTimestamp": "2026-09-12T04:00:00.000Z",
           "fundingInterval": "2000-01-01T08:00:00.000Z"}  # fmt: skip
    spot = {"symbol": "XBT_USDT", "markPrice": 77156.9, "fundingRate": None,
            "fundingTimestamp": None, "fundingInterval": None}  # fmt: skip
    found = read("bitmex", [row, spot], product="inverse")
    assert found["XBTUSD"] == PERPETUAL(
        "XBTUSD", 77156.96, 77155.45, -0.000299, 28800.0, 1789185600.0
    )
    assert found["XBT_USDT"] == PERPETUAL("XBT_USDT", 77156.9)


def test_definitions_tell_theirs() -> None:
    """Gate's contracts, Deribit's summaries, Hyperliquid's two lists of one order."""
    gate = {"name": "BTC_USDT", "mark_price": "80445.79", "index_price": "80481.38",
            "funding_rate": "0.000097", "funding_interval": 28800, "funding_next_apply": 1789920000,
            "funding_rate_limit": "0.003"}  # fmt: skip
    assert read("gate_futures", [gate])["BTC_USDT"] == PERPETUAL(
        "BTC_USDT", 80445.79, 80481.38, 0.000097, 28800.0, 1789920000.0, 0.003
    )
    row = {"instrument_name": "BTC-PERPETUAL", "mark_price": 77150.2,
           "estimated_delivery_price": 77155.4, "funding_8h": -1.5e-05,
           "current_funding": 0.0}  # fmt: skip
    dated = {**row, "instrument_name": "BTC-25DEC26"}
    del dated["funding_8h"], dated["current_funding"]
    found = read("deribit", {"result": [row, dated]}, {"result": []}, product="inverse")
    assert found["BTC-PERPETUAL"] == PERPETUAL("BTC-PERPETUAL", 77150.2, 77155.4, -1.5e-05, 28800.0)
    assert found["BTC-25DEC26"].rate is None
    universe = [{"name": "BTC", "szDecimals": 5}, {"name": "ETH", "szDecimals": 4}]
    contexts = [{"funding": "0.0000125", "oraclePx": "77155.0", "markPx": "77150.0"},
                {"funding": "0.00004807", "oraclePx": "2367.3", "markPx": "2369.6"}]  # fmt: skip
    found = read("hyperliquid", [{"universe": universe}, contexts])
    assert found["ETH"] == PERPETUAL("ETH", 2369.6, 2367.3, 0.00004807, 3600.0)
    (one,) = venues.load("hyperliquid").perpetuals[Product.LINEAR]
    assert one.body is not None
    assert json.loads(one.body) == {"type": "metaAndAssetCtxs"}
    with pytest.raises(ParseError):
        read("hyperliquid", [{"universe": universe}, contexts[:1]])


def test_krakens_rate_is_an_amount_of_the_base_currency() -> None:
    """2.19e-7 ETH a dollar at 277.66 dollars are 0.0061 percent, as its history has both."""
    row = {"symbol": "PI_ETHUSD", "tag": "perpetual", "pair": "ETH:USD", "markPrice": 277.66,
           "indexPrice": 277.5, "fundingRate": 2.18900669884e-7}  # fmt: skip
    body = {"result": "success", "tickers": [row, {"symbol": "in_xbtusd", "last": 7000.0}]}
    found = read("kraken_futures", body, product="inverse")
    assert found["PI_ETHUSD"].rate == pytest.approx(0.00006077996, rel=1e-4)
    assert found["PI_ETHUSD"].interval == 3600.0
    assert found["in_xbtusd"] == PERPETUAL("in_xbtusd")


@pytest.mark.parametrize("wrong", ["nan", "inf", "-1", "", "soon", None, True, [], {}, 10**309])
def test_a_figure_that_is_none_costs_the_others_nothing(wrong: Any) -> None:
    """The mark price is left out, the index stays."""
    body = [{**PREMIUM, "markPrice": wrong}]
    found = read("binance_futures", body, [])["BTCUSDT"]
    assert (found.mark, found.index) == (None, 45745.47701915)


@pytest.mark.parametrize("body", [{}, [], {"data": 3}, "down", {"result": None}])
@pytest.mark.parametrize(
    ("venue", "product"),
    [("bybit", "linear"), ("okx", "linear"), ("deribit", "linear"), ("hyperliquid", "linear"),
     ("kraken_futures", "inverse")],
)  # fmt: skip
def test_other_bodies_are_refused(venue: str, product: str, body: object) -> None:
    """An error page is no list."""
    for one in venues.load(venue).perpetuals[Product(product)]:
        with pytest.raises(ParseError):
            list(one.read(json.dumps(body).encode()))
