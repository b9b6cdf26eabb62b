"""What venues' lists say of each market: its mode, its steps, its announced end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter import venues
from exporter.decoding import ParseError
from exporter.listing import ListedMarket
from exporter.maintenance import TradingMode
from tests.venues.truth import rest_bodies

T = TradingMode


def states(venue: str, body: object) -> list[ListedMarket]:
    """Read a list."""
    found = venues.load(venue).states
    assert found is not None
    return list(found.read(json.dumps(body).encode()))


def binance(**row: Any) -> object:
    return {"symbols": [{"symbol": "S", "baseAsset": "B", "quoteAsset": "Q", **row}]}


def kraken(**row: Any) -> object:
    return {"result": {"XXBTZUSD": {"wsname": "XBT/USD", **row}, "DARK": {"status": "online"}}}


def coinbase(**row: Any) -> object:
    return [{"id": "S", "base_currency": "B", "quote_currency": "Q", "status": "online", **row}]


def advanced(**row: Any) -> object:
    return {"products": [{"product_id": "S", "status": "online", **row}]}


def bybit(**row: Any) -> object:
    return {"result": {"category": "linear", "list": [{"symbol": "S", **row}]}}


def okx(**row: Any) -> object:
    return {"data": [{"instId": "S", "instType": "SWAP", **row}]}


@pytest.mark.parametrize(
    ("venue", "body", "mode"),
    [
        ("binance", binance(status="TRADING"), T.TRADING),
        ("binance", binance(status="CANCEL_ONLY"), T.CANCEL_ONLY),
        ("binance", binance(status="HALT"), T.HALTED),
        ("binance", binance(status="AUCTION_MATCH"), T.AUCTION),
        ("binance", binance(status="HALT_BUY_ONLY"), T.UNKNOWN),
        ("binance", binance(), T.UNKNOWN),
        ("binance_futures", binance(status="TRADING_CANCEL_ONLY"), T.CANCEL_ONLY),
        ("binance_futures", binance(status="SETTLING"), T.HALTED),
        ("binance_futures", binance(status="CLOSE"), T.ABSENT),
        ("binance_coinm", binance(contractStatus="TRADING_HALT"), T.HALTED),
        ("kraken", kraken(), T.TRADING),
        ("kraken", kraken(status="reduce_only"), T.REDUCE_ONLY),
        ("kraken", kraken(status="limit_only"), T.LIMIT_ONLY),
        ("kraken", kraken(status="cancel_only"), T.CANCEL_ONLY),
        ("kraken", kraken(status="delisted"), T.ABSENT),
        ("kraken", kraken(status="work_in_progress"), T.UNKNOWN),
        ("kraken_v1", kraken(status="post_only"), T.POST_ONLY),
        ("coinbase", coinbase(), T.TRADING),
        ("coinbase", coinbase(auction_mode=True), T.AUCTION),
        ("coinbase", coinbase(auction_mode=True, post_only=True), T.POST_ONLY),
        ("coinbase", coinbase(limit_only=True, cancel_only=True), T.CANCEL_ONLY),
        ("coinbase", coinbase(trading_disabled=True), T.HALTED),
        ("coinbase", coinbase(status="delisted"), T.ABSENT),
        ("coinbase", coinbase(status="internal"), T.UNKNOWN),
        ("coinbase_advanced", advanced(is_disabled=True), T.HALTED),
        ("coinbase_advanced", advanced(limit_only=True), T.LIMIT_ONLY),
        ("bybit", bybit(status="Trading"), T.TRADING),
        ("bybit", bybit(status="Delivering"), T.HALTED),
        ("bybit", bybit(status="PreLaunch", preListingInfo=None), T.HALTED),
        (
            "bybit",
            bybit(status="PreLaunch", preListingInfo={"curAuctionPhase": "CallAuction"}),
            T.AUCTION,
        ),
        ("bybit", bybit(status="Paused"), T.UNKNOWN),
        ("okx", okx(state="live"), T.TRADING),
        ("okx", okx(state="suspend"), T.HALTED),
        ("okx", okx(state="post_only"), T.POST_ONLY),
        ("okx", okx(state="preopen", openType="call_auction"), T.AUCTION),
        ("okx", okx(state="settled"), T.UNKNOWN),
        ("kucoin", {"data": [{"symbol": "S", "enableTrading": False}]}, T.HALTED),
        ("bitmex", [{"symbol": "S", "state": "Closed"}], T.HALTED),
        ("bitmex", [{"symbol": "S", "state": "Frozen"}], T.UNKNOWN),
        ("bitstamp", [{"market_symbol": "s", "trading": "Disabled"}], T.HALTED),
    ],
)
def test_words_of_venues_are_modes_and_an_unknown_one_is_no_reason_to_trade(
    venue: str, body: object, mode: TradingMode
) -> None:
    """Each documented word has its mode; one that came later is unknown, and never trading."""
    (found,) = states(venue, body)
    assert found.mode is mode


def test_steps_and_announced_times_are_read() -> None:
    """Ticks and lots as the venue has them; the end of a perpetual, not its year 2100."""
    (found,) = states(
        "binance_futures",
        binance(
            status="TRADING", contractType="PERPETUAL", onboardDate=1_790_000_000_000,
            deliveryDate=4_133_404_800_000,
            filters=[{"filterType": "PRICE_FILTER", "tickSize": "0.10"}, {"filterType": "NEW"},
                     {"filterType": "LOT_SIZE", "stepSize": "0.001"}],
        ),
    )  # fmt: skip
    assert (found.tick, found.lot) == (0.1, 0.001)
    assert (found.opening, found.delisting) == (1.79e9, None)
    dated = binance(contractType="CURRENT_QUARTER", deliveryDate=1_790_000_000_000)
    assert states("binance_futures", dated)[0].delisting is None
    ending = binance(contractType="PERPETUAL", deliveryDate=1_790_000_000_000)
    assert states("binance_futures", ending)[0].delisting == 1.79e9
    (found,) = states("kraken", kraken(tick_size="0.1", lot_decimals=8))
    assert (found.symbol, found.tick, found.lot) == ("BTC/USD", 0.1, 1e-8)
    assert states("kraken", kraken(pair_decimals=2))[0].tick == 0.01
    (found,) = states("okx", okx(state="live", tickSz="0.1", lotSz="1", expTime="1790000000000"))
    assert (found.tick, found.lot, found.delisting) == (0.1, 1.0, 1.79e9)
    assert states("okx", {"data": [{"instId": "S", "instType": "FUTURES", "expTime": "1790000000000"}]})[0].delisting is None  # fmt: skip  # noqa: E501
    (found,) = states(
        "bybit",
        bybit(contractType="LinearPerpetual", deliveryTime="1790000000000",
              priceFilter={"tickSize": "0.5"}, lotSizeFilter={"basePrecision": "0.01"}),
    )  # fmt: skip
    assert (found.tick, found.lot, found.delisting) == (0.5, 0.01, 1.79e9)


@pytest.mark.parametrize("figure", ["", "0", "-1", "NaN", "1e999", "soon", None, 0])
def test_a_figure_that_is_none_costs_the_state_nothing(figure: object) -> None:
    """A tick or a time that cannot be read is left out."""
    (found,) = states("okx", okx(state="live", tickSz=figure, expTime=figure))
    assert (found.mode, found.tick, found.delisting) == (T.TRADING, None, None)


@pytest.mark.parametrize("venue", [n for n in venues.names() if venues.load(n).states])
@pytest.mark.parametrize("body", [b"", b"{}", b'{"symbols": 3}', b"[[]]", b"[" * 10_000])
def test_what_is_no_list_is_a_parse_error(venue: str, body: bytes) -> None:
    """Whatever comes in its place, nothing else is raised."""
    reader = venues.load(venue).states
    assert reader is not None
    with pytest.raises(ParseError):
        list(reader.read(body))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("venue", "symbol", "tick", "lot"),
    [
        ("binance", "ETHBTC", 1e-06, 0.0001),
        ("binance_futures", "BTCUSDT", 0.01, 0.001),
        ("binance_coinm", "BTCUSD_PERP", 0.1, 1.0),
        ("kraken", "AAVE/AUD", 0.01, 1e-08),
        ("coinbase", "SKL-EUR", 0.0001, 0.1),
        ("kucoin", "REQ-ETH", 1e-07, 0.0001),
    ],
)
def test_recorded_lists_are_read(venue: str, symbol: str, tick: float, lot: float) -> None:
    """Real answers: every market has a known mode, a tick and a lot."""
    ((_, body),) = rest_bodies(f"{venue}/markets.txt")
    reader = venues.load(venue).states
    assert reader is not None
    found = {each.symbol: each for each in reader.read(body)}
    assert (found[symbol].tick, found[symbol].lot) == (tick, lot)
    assert all(each.mode is not T.UNKNOWN and each.tick and each.lot for each in found.values())
