"""What a market traded in a day is read in its quote currency, whatever a venue counts in."""

from __future__ import annotations

import json
from math import isfinite

import pytest

from exporter import venues
from exporter.decoding import ParseError
from exporter.instrument import Product
from exporter.venues.definition.rest import volumes
from exporter.venues.definition.rest_shape import VolumesShape
from exporter.venues.families.volumes import number

BODIES: dict[str, tuple[object, dict[str, float]]] = {
    "binance": ([{"symbol": "BTCUSDT", "volume": "2.0", "quoteVolume": "120000.5", "count": 5},
                 {"symbol": "GONEUSDT", "quoteVolume": None}, {"symbol": "ODDUSDT"}],
                {"BTCUSDT": 120000.5, "GONEUSDT": 0.0, "ODDUSDT": 0.0}),
    "binance_coinm": ([{"symbol": "BTCUSD_PERP", "pair": "BTCUSD", "volume": "1000",
                        "baseVolume": "1.5", "weightedAvgPrice": "60000"}],
                      {"BTCUSD_PERP": 90000.0}),
    "bybit": ({"retCode": 0, "result": {"category": "inverse", "list": [
                  {"symbol": "BTCUSD", "turnover24h": "2352.9", "volume24h": "49337318"}]}},
              {"BTCUSD": 49337318.0}),
    "okx": ({"code": "0", "data": [
                {"instType": "SPOT", "instId": "BTC-USDT", "last": "60000", "volCcy24h": "7",
                 "vol24h": "1"},
                {"instType": "SWAP", "instId": "BTC-USDT-SWAP", "last": "60000",
                 "volCcy24h": "2", "vol24h": "200"}]},
            {"BTC-USDT": 7.0, "BTC-USDT-SWAP": 120000.0}),
    "kucoin": ({"code": "200000", "data": {"time": 1, "ticker": [
                   {"symbol": "BTC-USDT", "vol": "3", "volValue": "180000"},
                   {"symbol": "NEW-USDT", "volValue": ""}]}},
               {"BTC-USDT": 180000.0, "NEW-USDT": 0.0}),
    "kraken": ({"error": [], "result": {"XXBTZUSD": {
                   "v": ["0.5", "2.0"], "p": ["1", "60000"]}, "EMPTY": {}}},
               {"XXBTZUSD": 120000.0, "EMPTY": 0.0}),
    "bitstamp": ([{"pair": "BTC/USD", "volume": "2", "vwap": "25681", "last": "26216"}],
                 {"BTC/USD": 51362.0}),
    "coinbase_advanced": ({"products": [
        {"product_id": "ETH-USD", "price": "2752.71", "volume_24h": "143300",
         "approximate_quote_24h_volume": "390503641.25"}, {"product_id": "NEW-USD"}]},
        {"ETH-USD": 390503641.25, "NEW-USD": 0.0}),
    "mexc": ([{"symbol": "BTCUSDT", "volume": "2.0", "quoteVolume": "120000.5"}],
             {"BTCUSDT": 120000.5}),
    "bitmex": ([{"symbol": "XBTUSD", "volume24h": 35000, "foreignNotional24h": 35000}],
               {"XBTUSD": 35000.0}),
    "bitfinex": ([["tBTCUSD", 1, 2, 3, 4, 5, 6, 60000.0, 2.0, 8, 9],
                  ["fUSD", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], ["tNEWUSD", None, None]],
                 {"tBTCUSD": 120000.0}),
    "coinbase": ({"BTC-USD": {"stats_30day": {"volume": "9"}, "stats_24hour": {
                      "open": "1", "high": "1", "low": "1", "volume": "2.0", "last": "60000"}},
                  "NEW-USD": {"stats_24hour": None}, "ODD-USD": {}},
                 {"BTC-USD": 120000.0, "NEW-USD": 0.0, "ODD-USD": 0.0}),
    "gate": ([{"currency_pair": "BTC_USDT", "last": "60000", "base_volume": "2",
               "quote_volume": "120000.5"}, {"currency_pair": "NEW_USDT", "quote_volume": ""}],
             {"BTC_USDT": 120000.5, "NEW_USDT": 0.0}),
    "gate_futures": ([{"contract": "BTC_USDT", "volume_24h": "5", "volume_24h_quote": "120000"}],
                     {"BTC_USDT": 120000.0}),
    "bitget": ({"code": "00000", "data": [{"symbol": "BTCUSDT", "baseVolume": "2",
                                           "quoteVolume": "120000"}]}, {"BTCUSDT": 120000.0}),
    "htx": ({"status": "ok", "data": [{"symbol": "btcusdt", "amount": 2.0, "vol": 120000.25}]},
            {"btcusdt": 120000.25}),
    "crypto_com": ({"code": 0, "result": {"data": [{"i": "BTC_USDT", "v": "2", "vv": "120000"},
                                                   {"i": "NEW_USDT", "vv": None}]}},
                   {"BTC_USDT": 120000.0, "NEW_USDT": 0.0}),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_day_s_volume_is_in_the_quote_currency(name: str) -> None:
    """Rows that lack it count as markets without volume, and cost the others nothing."""
    lists, (body, wanted) = venues.load(name).volumes, BODIES[name]
    assert lists is not None
    assert lists.read(json.dumps(body).encode()) == wanted
    with pytest.raises(ParseError):
        lists.read(b'{"error": "no list"')


def test_a_definition_may_value_what_is_counted_in_the_base_currency() -> None:
    """By a price of the same row; rows may be a mapping, and lack figures."""
    shape = VolumesShape(path="/days", rows="data", symbol="id", base="size", price="last")
    lists = volumes("acme", shape, Product.SPOT)
    rows = {"a": {"id": "A_B", "size": "2", "last": 60000.0}, "c": {"id": "C_D", "size": 1}}
    assert lists.read(json.dumps({"data": rows}).encode()) == {"A_B": 120000.0, "C_D": 0.0}
    assert lists.paths == {Product.SPOT: "/days"}


@pytest.mark.parametrize("text", ["NaN", "inf", "-1", "", None, "1e400", "x"])
def test_what_is_no_figure_is_none(text: str | None) -> None:
    """It would put a market first, or make the order undefined."""
    assert number(text) == 0.0
    assert isfinite(number("1e300"))
