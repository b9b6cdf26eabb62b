"""What a market traded in a day is read in its quote currency, whatever a venue counts in."""

from __future__ import annotations

import json
from math import isfinite

import pytest

from exporter import venues
from exporter.decoding import ParseError
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
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_day_s_volume_is_in_the_quote_currency(name: str) -> None:
    """Rows that lack it count as markets without volume, and cost the others nothing."""
    lists, (body, wanted) = venues.load(name).volumes, BODIES[name]
    assert lists is not None
    assert lists.read(json.dumps(body).encode()) == wanted
    with pytest.raises(ParseError):
        lists.read(b'{"error": "no list"')


@pytest.mark.parametrize("text", ["NaN", "inf", "-1", "", None, "1e400", "x"])
def test_what_is_no_figure_is_none(text: str | None) -> None:
    """It would put a market first, or make the order undefined."""
    assert number(text) == 0.0
    assert isfinite(number("1e300"))
