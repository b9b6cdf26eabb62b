"""Coinbase Exchange."""

from __future__ import annotations

import json

import pytest

from exporter.decoding import ParseError
from exporter.model import Ack, Answer, Depth, Market, Message, Quote, Reason, Side, Trade
from exporter.venues import by_url, load
from tests.venues.recorded import bodies

VENUE = load("coinbase")
MATCH = {
    "type": "match",
    "trade_id": 280232,
    "maker_order_id": "2a0da34e-5b2a-4b0e-8b0e-000000000000",
    "taker_order_id": "3c82abaa-5b2a-4b0e-8b0e-000000000000",
    "side": "sell",
    "size": "985",
    "price": "0.00001305",
    "product_id": "SKL-BTC",
    "sequence": 177100030,
    "time": "2021-04-17T16:43:37.089723Z",
}


def parse(message: object) -> tuple[object, ...]:
    """Read one message."""
    return VENUE.parse(json.dumps(message).encode())


def test_the_taker_is_on_the_other_side_of_the_maker() -> None:
    """`side` is the maker's; the trade id is contiguous, the sequence only rises."""
    assert parse(MATCH) == (
        Trade(
            label="match",
            topic="matches:SKL-BTC",
            symbol="SKL-BTC",
            time=1618677817.089723,
            price=0.00001305,
            size=985.0,
            side=Side.BUY,
            sequence=280232,
            order=177100030,
        ),
    )
    (sold,) = parse({**MATCH, "side": "buy"})
    assert isinstance(sold, Trade)
    assert sold.side is Side.SELL


def test_the_last_match_is_history() -> None:
    """What was traded before the subscription is no news."""
    (trade,) = parse({**MATCH, "type": "last_match"})
    assert isinstance(trade, Trade)
    assert (trade.label, trade.snapshot, trade.sequence) == ("last_match", True, 280232)


def test_quotes_and_a_side_without_any() -> None:
    """A ticker is a quote; where nobody bids there is none, and the frame is still understood."""
    ticker = {
        "type": "ticker",
        "sequence": 333938798,
        "product_id": "BAND-GBP",
        "price": "14.7775",
        "best_bid": "14.7550",
        "best_ask": "14.8060",
        "best_bid_size": "3.5",
        "side": "buy",
        "time": "2021-04-17T16:43:30.244075Z",
        "trade_id": 881613,
    }
    assert parse(ticker) == (
        Quote(
            label="ticker",
            topic="ticker:BAND-GBP",
            symbol="BAND-GBP",
            time=1618677810.244075,
            bid=14.755,
            ask=14.806,
            bid_size=3.5,
            sequence=333938798,
        ),
    )
    assert parse({**ticker, "best_bid": "0"}) == (
        Message("ticker", "ticker:BAND-GBP", "BAND-GBP", 1618677810.244075, 333938798),
    )


def test_books() -> None:
    """A snapshot has both sides; an update names the side of each change; 0 takes away."""
    assert VENUE.book is not None
    (snapshot,) = parse(
        {
            "type": "snapshot",
            "product_id": "SKL-BTC",
            "asks": [["2", "1.5"]],
            "bids": [["1", "7"], ["0.5", "8"]],
        }
    )
    assert isinstance(snapshot, Depth)
    assert snapshot.snapshot
    assert VENUE.book.levels(snapshot) == ([(1.0, 7.0), (0.5, 8.0)], [(2.0, 1.5)])
    (update,) = parse(
        {
            "type": "l2update",
            "product_id": "SKL-BTC",
            "changes": [["sell", "2", "0.00000000"], ["buy", "1", "3"]],
            "time": "2021-04-17T16:43:37.075687Z",
        }
    )
    assert isinstance(update, Depth)
    assert (update.topic, update.time) == ("level2_batch:SKL-BTC", 1618677817.075687)
    assert VENUE.book.levels(update) == ([(1.0, 3.0)], [(2.0, 0.0)])


@pytest.mark.parametrize(
    "levels", [[["buy", "nan", "1"]], [["hold", "1", "1"]], [["buy", "1"]], {"buy": 1}]
)
def test_levels_that_are_none_are_refused(levels: object) -> None:
    """Levels are looked at late, and no less closely."""
    assert VENUE.book is not None
    (update,) = parse(
        {
            "type": "l2update",
            "product_id": "X-Y",
            "changes": levels,
            "time": "2021-04-17T16:43:37.075687Z",
        }
    )
    assert isinstance(update, Depth)
    with pytest.raises(ParseError):
        VENUE.book.levels(update)


@pytest.mark.parametrize(
    "wound",
    [
        {"price": "0"},
        {"price": "Infinity"},
        {"size": "-1"},
        {"time": "2021-04-17T16:43:37.089723"},
    ],
)
def test_what_no_page_describes_is_refused(wound: dict[str, object]) -> None:
    """Wrong values, times without a zone and messages never asked for are ParseErrors."""
    with pytest.raises(ParseError):
        parse({**MATCH, **wound})


def test_acknowledgements_list_all_that_is_active() -> None:
    """They name topics as subscriptions spell them, under either name of the book's channel."""
    (ack,) = parse(
        {
            "type": "subscriptions",
            "channels": [
                {"name": "level2", "product_ids": ["A-B"]},
                {"name": "level2_50", "product_ids": ["C-D"]},
                {"name": "matches", "product_ids": ["A-B"], "account_ids": None},
                {"name": "status", "product_ids": None},
            ],
        }
    )
    topics = ("level2_batch:A-B", "level2_batch:C-D", "matches:A-B")
    assert ack == Ack("subscriptions", topics=topics)
    (refused,) = parse({"type": "error", "message": "Failed", "reason": "x" * 999})
    assert isinstance(refused, Ack)
    assert (refused.ok, len(refused.reason)) == (False, 200)


def test_requests_group_products_by_channel_and_bring_one_heartbeat() -> None:
    """One frame asks for many channels; quiet products need one sign of life a second."""
    topics = ("matches:A-B", "ticker:A-B", "matches:C-D")
    assert json.loads(VENUE.subscribe(topics, 1)) == {
        "type": "subscribe",
        "channels": [
            {"name": "matches", "product_ids": ["A-B", "C-D"]},
            {"name": "ticker", "product_ids": ["A-B"]},
            {"name": "heartbeat", "product_ids": ["A-B"]},
        ],
    }
    assert json.loads(VENUE.unsubscribe(topics[:1], 2)) == {
        "type": "unsubscribe",
        "channels": [{"name": "matches", "product_ids": ["A-B"]}],
    }


def test_rest_readers() -> None:
    """The clock is read to the millisecond; products that may not be traded are left out."""
    time = VENUE.endpoints[0].clock
    assert time is not None
    assert time(bodies("coinbase")["time"]) == 1420674445.201
    assert VENUE.read_markets is not None
    assert VENUE.read_markets(bodies("coinbase")["markets"])[:2] == (
        Market("SKL-EUR", "SKL-EUR"),
        Market("BTC-GBP", "BTC-GBP"),
    )
    rows = json.loads(bodies("coinbase")["markets"])
    rows[0]["trading_disabled"], rows[1]["status"] = True, "delisted"
    assert len(VENUE.read_markets(json.dumps(rows).encode())) == 1
    busy = Answer(status=429, headers={}, body=b"", new_connection=False, phases={})
    assert VENUE.fault(busy) is Reason.RATE_LIMITED


def test_retired_addresses_are_known() -> None:
    """A recording of 2021 finds its venue."""
    assert by_url("wss://ws-feed.pro.coinbase.com") is VENUE
    assert by_url("https://api.pro.coinbase.com/products") is VENUE
    assert by_url("wss://ws-feed.pro.coinbase.com.evil.example/") is None
