"""Kraken, both WebSocket protocols."""

from __future__ import annotations

import json

import pytest

from exporter.decoding import ParseError
from exporter.model import (
    Ack,
    Answer,
    Control,
    Depth,
    Kline,
    Market,
    Message,
    Quote,
    Reason,
    Side,
    Trade,
)
from exporter.venues import by_url, load
from tests.venues.recorded import bodies, frames

V2 = load("kraken")
V1 = load("kraken_v1")


def answer(status: int, body: str) -> Answer:
    """Return an answer with that status and body."""
    return Answer(status=status, headers={}, body=body.encode(), new_connection=False, phases={})


# --- WebSocket v2 -----------------------------------------------------------------------------


def test_trades_of_a_snapshot_are_history() -> None:
    """One frame carries many trades, in order; those of the snapshot are no news."""
    sold, bought = V2.parse(
        b'{"channel":"trade","type":"snapshot","data":['
        b'{"symbol":"BTC/USD","side":"sell","price":105944.10,"qty":0.001,"ord_type":"market",'
        b'"trade_id":10218206,"timestamp":"2023-10-06T17:35:54.120000Z"},'
        b'{"symbol":"BTC/USD","side":"buy","price":105944.20,"qty":0.002,"ord_type":"limit",'
        b'"trade_id":10218207,"timestamp":"2023-10-06T17:35:55.000001Z"}]}'
    )
    assert sold == Trade(
        label="trade.snapshot",
        topic="trade:BTC/USD",
        symbol="BTC/USD",
        time=1696613754.12,
        price=105944.1,
        size=0.001,
        side=Side.SELL,
        order=10218206,
        snapshot=True,
    )
    assert isinstance(bought, Trade)
    assert (bought.side, bought.time) == (Side.BUY, 1696613755.000001)


def test_quotes_and_closed_markets() -> None:
    """A closed market sends zeros and the year 1970: no quote, and no error."""
    row = (
        b'{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":%s,"bid_qty":5.5,'
        b'"ask":63297.8,"ask_qty":0.4,"last":63297.8%s}]}'
    )
    quote = Quote(
        "ticker.update", "ticker:BTC/USD", "BTC/USD", 1786562942.066592, 63297.7, 63297.8, 5.5, 0.4
    )
    assert V2.parse(row % (b"63297.7", b',"timestamp":"2026-08-12T19:29:02.066592Z"')) == (quote,)
    (older,) = V2.parse(row % (b"63297.7", b""))
    assert isinstance(older, Quote)
    assert older.time is None
    closed = row % (b"0", b',"timestamp":"1970-01-01T00:00:00Z"')
    assert V2.parse(closed) == (Message("ticker.update", "ticker:BTC/USD", "BTC/USD"),)


def test_levels_keep_every_zero_of_the_wire() -> None:
    """The checksum is made of digits, so levels are text: 0.00005100 is not 0.000051."""
    assert V2.book is not None
    events = [event for frame in frames("kraken") for event in V2.parse(frame)]
    snapshot = next(event for event in events if isinstance(event, Depth))
    assert (snapshot.snapshot, snapshot.checksum, snapshot.topic) == (
        True,
        817831036,
        "book:BTC/USD",
    )
    bids, asks = V2.book.levels(snapshot)
    assert bids[-1] == ("85592.0", "0.00005100")
    assert asks[4] == ("85603.0", "0.00770000")
    assert V2.book.checksum is not None
    assert V2.book.checksum(bids, asks) == 817831036  # type: ignore[arg-type]  # text, just seen


def test_candles_and_signs_of_life() -> None:
    """A candle's time is the message's; its own timestamp is its end and deprecated."""
    (candle,) = V2.parse(
        b'{"channel":"ohlc","type":"update","timestamp":"2026-08-12T19:28:44.084233010Z","data":['
        b'{"symbol":"BTC/USD","close":63297.7,"interval_begin":"2026-08-12T19:28:00.000000000Z",'
        b'"interval":1,"timestamp":"2026-08-12T19:29:00.000000Z"}]}'
    )
    assert candle == Kline(
        "ohlc.update", "ohlc:BTC/USD", "BTC/USD", 1786562924.084233, 1786562880.0, 63297.7
    )
    assert V2.parse(b'{"channel":"heartbeat"}') == (Control("heartbeat"),)


def test_replies_name_the_topic_even_where_the_venue_does_not() -> None:
    """A refusal names the symbol alone: the channel comes back in the request's number."""
    request = json.loads(V2.subscribe(("book:BTC/USD", "book:XXX/USD"), 7))
    assert request["params"] == {
        "channel": "book",
        "symbol": ["BTC/USD", "XXX/USD"],
        "depth": 10,
    }
    number = request["req_id"]
    good = {"channel": "book", "depth": 10, "snapshot": True, "symbol": "BTC/USD"}
    reply = {"method": "subscribe", "req_id": number, "result": good, "success": True}
    assert V2.parse(json.dumps(reply).encode()) == (
        Ack("subscribe", request=7, topics=("book:BTC/USD",), depth=10),
    )
    refusal = {
        "method": "subscribe",
        "req_id": number,
        "success": False,
        "error": "Currency pair not supported XXX/USD",
        "symbol": "XXX/USD",
    }
    assert V2.parse(json.dumps(refusal).encode()) == (
        Ack("subscribe", False, 7, ("book:XXX/USD",), "Currency pair not supported XXX/USD"),
    )
    assert V2.parse(b'{"Error":"Exceeded msg rate"}') == (
        Ack("error", ok=False, reason="Exceeded msg rate"),
    )
    with pytest.raises(ParseError):
        V2.parse(b'{"method":"subscribe","success":true}')


def test_one_request_asks_for_one_channel() -> None:
    """Topics of different channels fall into different groups, those of one into the same."""
    assert V2.request_group("book:A/B") == V2.request_group("book:C/D")
    assert V2.request_group("book:A/B") != V2.request_group("trade:A/B")


# --- WebSocket v1 -----------------------------------------------------------------------------


def test_v1_trades_and_quotes() -> None:
    """A trade's time is in seconds; the ticker has none."""
    assert V1.parse(
        b'[993,[["354.11000000","0.89594024","1618678142.557535","s","l",""]],"trade","XMR/USD"]'
    ) == (
        Trade(
            label="trade",
            topic="trade:XMR/USD",
            symbol="XMR/USD",
            time=1618678142.557535,
            price=354.11,
            size=0.89594024,
            side=Side.SELL,
        ),
    )
    assert V1.parse(
        b'[1668,{"a":["13.2539",35,"35.7"],"b":["13.2329",1,"1.5"],"c":["13.2539","3.7"]},'
        b'"ticker","WAVES/EUR"]'
    ) == (Quote("ticker", "ticker:WAVES/EUR", "WAVES/EUR", None, 13.2329, 13.2539, 1.5, 35.7),)


def test_v1_both_sides_come_as_two_objects() -> None:
    """A frame of five elements is one update: newest level's time, the one checksum."""
    assert V1.book is not None
    (update,) = V1.parse(
        b'[1920,{"a":[["0.2","5.0","1618678134.1"],["0.3","1.0","1618678101.5","r"]]},'
        b'{"b":[["0.1","0.00000000","1618678134.2"]],"c":"43621407"},"book-1000","SC/EUR"]'
    )
    assert isinstance(update, Depth)
    assert (update.label, update.topic) == ("book.update", "book:SC/EUR")
    assert (update.time, update.checksum, update.snapshot) == (1618678134.2, 43621407, False)
    assert V1.book.levels(update) == ([("0.1", "0.00000000")], [("0.2", "5.0"), ("0.3", "1.0")])
    (snapshot,) = V1.parse(
        b'[1360,{"as":[["0.2","5.0","1618678134.1"]],"bs":[]},"book-10","SC/EUR"]'
    )
    assert isinstance(snapshot, Depth)
    assert snapshot.snapshot
    assert V1.book.levels(snapshot) == ([], [("0.2", "5.0")])


def test_v1_acknowledgements() -> None:
    """They name the topic and the depth that was agreed to."""
    reply = (
        b'{"channelID":1,"channelName":"book-1000","event":"subscriptionStatus","pair":"SC/EUR",'
        b'"status":"%s","subscription":{"depth":1000,"name":"book"},"reqid":3}'
    )
    assert V1.parse(reply % b"subscribed") == (
        Ack("subscriptionStatus", True, 3, ("book:SC/EUR",), depth=1000),
    )
    (refused,) = V1.parse(reply % b"error")
    assert isinstance(refused, Ack)
    assert not refused.ok
    assert V1.parse(reply % b"unsubscribed") == (Control("subscriptionStatus"),)
    assert json.loads(V1.subscribe(("trade:SC/EUR",), 3)) == {
        "event": "subscribe",
        "reqid": 3,
        "pair": ["SC/EUR"],
        "subscription": {"name": "trade"},
    }


@pytest.mark.parametrize(
    "frame",
    [
        b'[1,{"b":[]},"book-10","A/B"]',
        b'[1,{"b":[["1","1","1618678134.2"]]},"book-10","A/B"]',
        b"[1,[]]",
        b'["a"',
    ],
)
def test_v1_what_no_page_describes_is_refused(frame: bytes) -> None:
    """Updates without levels or checksum, unknown channels and shapes are ParseErrors."""
    with pytest.raises(ParseError):
        V1.parse(frame)


# --- what they share --------------------------------------------------------------------------


def test_symbols_lose_the_old_names_of_two_coins() -> None:
    """XBT and XDG are BTC and DOGE for us and for v2; v1 keeps them."""
    assert V2.read_markets is not None
    assert V1.read_markets is not None
    body = bodies("kraken")["markets"]
    assert V2.read_markets(body)[-1] == Market("BTC/USD", "BTC-USD", alias="XXBTZUSD")
    assert V1.read_markets(body)[-1] == Market("XBT/USD", "BTC-USD", alias="XXBTZUSD")
    assert (V2.symbol("DOGE-EUR"), V1.symbol("DOGE-EUR")) == ("DOGE/EUR", "XDG/EUR")
    # The last pair of the body may only be cancelled in, and no dark pool has a name here.
    assert all(market.instrument != "DOGE-USD" for market in V2.read_markets(body))


def test_status_and_faults_behind_a_good_status_code() -> None:
    """HTTP 200 hides errors; whole seconds are no clock."""
    status = next(endpoint.status for endpoint in V2.endpoints if endpoint.status)
    assert not status(bodies("kraken")["status"]).active
    assert status(b'{"error":[],"result":{"status":"maintenance"}}').active
    assert not any(endpoint.clock for endpoint in V2.endpoints)
    assert V2.fault(answer(200, '{"error":[],"result":{}}')) is None
    assert V2.fault(answer(200, '{"error":["EAPI:Rate limit exceeded"]}')) is Reason.RATE_LIMITED
    assert V2.fault(answer(200, '{"error":["EService:Unavailable"]}')) is Reason.HTTP_5XX
    assert V2.fault(answer(200, '{"error":["EQuery:Unknown asset pair"]}')) is Reason.BODY_INVALID
    assert V2.fault(answer(200, "<html>")) is Reason.BODY_INVALID
    assert V2.fault(answer(429, "")) is Reason.RATE_LIMITED
    assert V2.fault(answer(520, "<html>")) is None


def test_addresses_tell_the_protocols_apart() -> None:
    """The same host serves both; the path decides."""
    assert by_url("wss://ws.kraken.com/v2") is V2
    assert by_url("wss://ws.kraken.com") is V1
    assert by_url("wss://ws.kraken.com/") is V1
