"""Channels that the program does not ask for, and that others' recordings have beside its own."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from exporter import venues
from exporter.config import ConfigError
from exporter.decoding import ParseError
from exporter.model import Control, Depth, Event, Kline, Trade
from exporter.venues import definition


def brief(event: Event) -> tuple[Any, ...]:
    """Return what tells an event from others."""
    if isinstance(event, Control):
        return ("data" if event.data else "control", event.label, event.time)
    return (type(event).__name__.lower(), event.label, getattr(event, "topic", None))


def field(number: int, value: int | str | bytes) -> bytes:
    """Write one field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    body = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(body)) + body


def varint(value: int) -> bytes:
    """Write a number, seven bits a byte, the lowest first."""
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def mexc(channel: str, number: int, body: bytes) -> bytes:
    """Write a message of MEXC; fields as mexcdevelop/websocket-proto has them."""
    return (
        field(1, f"spot@public.{channel}")
        + field(3, "BTCUSDT")
        + field(6, 1736409765052)
        + field(number, body)
    )


LEVEL = field(1, "93180.18") + field(2, "0.219")
DEAL = field(1, "93220.00") + field(2, "0.04438243") + field(3, 2) + field(4, 1736409765051)
# venue, frame, what it tells
FRAMES: list[tuple[str, bytes, list[tuple[Any, ...]]]] = [
    # Candles of another length are data, and of no topic of ours.
    (
        "gate",
        b'{"time":1,"time_ms":1611541000123,"channel":"spot.candlesticks","event":"update","result":'
        b'{"t":"1606292600","v":"2","c":"19128.1","h":"1","l":"1","o":"1","n":"10s_BTC_USDT"}}',
        [("data", "spot.candlesticks", 1611541000.123)],
    ),
    (
        "gate_futures",
        b'{"time":1,"time_ms":1611541000123,"channel":"futures.candlesticks","event":"update",'
        b'"result":[{"t":1545129300,"v":2,"c":"95.4","n":"5m_BTC_USDT"}]}',
        [("data", "futures.candlesticks", 1611541000.123)],
    ),
    (
        "deribit",
        b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":"chart.trades.BTC-PERPETUAL.1D",'
        b'"data":{"volume":1,"tick":1573645080000,"open":1,"low":1,"high":1,"cost":1,"close":2}}}',
        [("data", "chart.trades", None)],
    ),
    # Gate's books of up to 400 levels name no event.
    (
        "gate",
        b'{"channel":"spot.obu","result":{"t":1743673026995,"full":true,"s":"ob.BTC_USDT.50","u":4,'
        b'"b":[["93000.1","1.2"]],"a":[]},"time_ms":1743673026999}',
        [("data", "spot.obu", 1743673026.995)],
    ),
    # One market's books in several forms are several topics.
    (
        "deribit",
        b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.raw","data":'
        b'{"timestamp":1554373911330,"prev_change_id":1,"instrument_name":"BTC-PERPETUAL",'
        b'"change_id":2,"bids":[["change",5041.94,10]],"asks":[]}}}',
        [("depth", "book.change", "book.BTC-PERPETUAL.raw")],
    ),
    (
        "deribit",
        b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":'
        b'"book.BTC-PERPETUAL.none.10.100ms","data":{"timestamp":1554375447971,"instrument_name":'
        b'"BTC-PERPETUAL","change_id":1,"bids":[[160,40]],"asks":[[161,20]]}}}',
        [("depth", "book", "book.BTC-PERPETUAL.grouped")],
    ),
    (
        "deribit",
        b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":"deribit_volatility_index.btc_usd",'
        b'"data":{"volatility":129.36,"timestamp":1619777946007,"index_name":"btc_usd"}}}',
        [("data", "deribit_volatility_index", 1619777946.007)],
    ),
    (
        "bitmex",
        b'{"table":"orderBookL2_25","action":"partial","filter":{"symbol":"XBTUSD"},"data":[{"symbol":'
        b'"XBTUSD","id":8,"side":"Sell","size":5000,"price":62143.5}]}',
        [("depth", "orderBookL2_25.partial", "orderBookL2_25:XBTUSD")],
    ),
    (
        "bitmex",
        b'{"table":"orderBook10","action":"update","data":[{"symbol":"XBTUSD","bids":[[62143,15]],'
        b'"asks":[[62143.5,5]],"timestamp":"2021-04-17T16:51:07.117Z"}]}',
        [("depth", "orderBook10.update", "orderBook10:XBTUSD")],
    ),
    (
        "bitmex",
        b'{"success":true,"request":{"op":"authKeyExpires","args":["k",1,"s"]}}',
        [("control", "authKeyExpires", None)],
    ),
    (
        "mexc",
        mexc("deals.v3.api.pb@BTCUSDT", 301, field(1, DEAL)),
        [("trade", "public.deals", "spot@public.deals.v3.api.pb@BTCUSDT")],
    ),
    (
        "mexc",
        mexc("limit.depth.v3.api.pb@BTCUSDT@5", 303, field(1, LEVEL) + field(4, "36913565463")),
        [("depth", "public.limit.depth", "spot@public.limit.depth.v3.api.pb@BTCUSDT@5")],
    ),
    ("mexc", b'{"method":"PING"}', [("control", "PING", None)]),
    # An empty list is data all the same.
    ("hyperliquid", b'{"channel":"trades","data":[]}', [("data", "trades", None)]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "frame", "told"), FRAMES)
def test_what_others_ask_for_is_understood(
    name: str, frame: bytes, told: list[tuple[Any, ...]]
) -> None:
    """Each such frame is counted under its kind, with its time where it has one."""
    assert [brief(event) for event in venues.load(name).reader()(frame)] == told


def test_best_levels_are_a_book() -> None:
    """BitMEX's ten levels and MEXC's few hold both sides, whole each time."""
    for name, frame in ((row[0], row[1]) for row in FRAMES):
        for event in venues.load(name).reader()(frame):
            if not isinstance(event, Depth) or event.label not in (
                "orderBook10.update",
                "public.limit.depth",
            ):
                continue
            rules = venues.load(name).book
            assert rules is not None
            assert event.snapshot
            bids, asks = rules.levels(event)
            best = ([(62143.0, 15.0)], [(62143.5, 5.0)])
            few: tuple[list[Any], list[Any]] = [], [(93180.18, 0.219)]
            assert (bids, asks) == (best if name == "bitmex" else few)


def test_a_channel_has_frames_of_its_own_topic() -> None:
    """A definition that only tells what recordings have beside it is refused, with the place."""
    source = (files("exporter.venues") / "hyperliquid.yml").read_text()
    kind = "{when: {channel: trades}, "
    assert kind in source
    with pytest.raises(ConfigError, match=r"channels\.trades\.frames.*topic of its own in each"):
        definition.compiled(source.replace(kind, f"{kind}topic: 'old:{{symbol}}', "), "own.yml")


def bitfinex(*frames: bytes) -> list[Event]:
    """Return the events of one connection."""
    read = venues.load("bitfinex").reader()
    return [event for frame in frames for event in read(frame)]


def test_books_of_bitfinex_by_precision() -> None:
    """Levels rounded to four digits are a book beside that of full prices; so are raw orders."""
    subscribed = (
        b'{"event":"subscribed","channel":"book","chanId":%d,"symbol":"tBTCUSD","prec":"%b"}'
    )
    events = bitfinex(
        subscribed % (10, b"P0"), subscribed % (11, b"P1"), subscribed % (12, b"R0"),
        b"[10,[[55000,2,1.5]]]", b"[11,[[55100,2,1.5]]]", b"[12,[[62343242,55000,1.5]]]",
    )  # fmt: skip
    assert [brief(event) for event in events[3:]] == [
        ("depth", "book.snapshot", "book:tBTCUSD"),
        ("depth", "book.snapshot", "book:tBTCUSD:P1"),
        ("data", "book.snapshot", None),
    ]


def test_loans_of_bitfinex_are_trades() -> None:
    """Executions of loans are those of their own symbol; candles of five minutes are data."""
    events = bitfinex(
        b'{"event":"subscribed","channel":"trades","chanId":14,"symbol":"fUSD","currency":"USD"}',
        b'{"event":"subscribed","channel":"candles","chanId":18,"key":"trade:5m:tBTCUSD"}',
        b'[14,"fte",[133323072,1574694245478,-258.7458086,0.0002587,2],1]',
        b'[14,"ftu",[133323072,1574694245478,-258.7458086,0.0002587,2],2]',
        b"[18,[1574698200000,7399.9,7379.7,7399.9,7371.8,41.63633658],3]",
    )
    trade, *rest = events[2:]
    assert isinstance(trade, Trade)
    assert (trade.symbol, trade.price) == ("fUSD", 0.0002587)
    assert [brief(event)[:2] for event in rest] == [("data", "trades.ftu"), ("data", "candles")]


def test_bitfinex_with_numbers_as_texts() -> None:
    """Under the flag DEC_S prices and sizes are texts."""
    events = bitfinex(
        b'{"event":"conf","status":"OK","flags":8}',
        b'{"event":"subscribed","channel":"trades","chanId":13,"symbol":"tBTCUSD"}',
        b'[13,"te",[401597396,1574694478809,"-0.005","7245.3"]]',
        b'[13,"hb"]',
    )
    trade = events[2]
    assert isinstance(trade, Trade)
    assert (trade.price, trade.size) == (7245.3, 0.005)
    assert events[3] == Control("hb")


def test_an_id_of_zeros_costs_no_trade() -> None:
    """Coinbase's own sample has such an id; candles of a minute stay candles at Gate."""
    (trade,) = venues.load("coinbase_advanced").reader()(
        b'{"channel":"market_trades","timestamp":"2023-02-09T20:19:35.39625135Z","sequence_num":0,'
        b'"events":[{"type":"update","trades":[{"trade_id":"000000000","product_id":"ETH-USD","price":'
        b'"1260.01","size":"0.3","side":"BUY","time":"2019-08-14T20:42:27.265Z"}]}]}'
    )
    assert isinstance(trade, Trade)
    assert trade.order is None
    (candle,) = venues.load("gate").reader()(FRAMES[0][1].replace(b"10s_", b"1m_"))
    assert isinstance(candle, Kline)


def test_a_frame_that_cannot_be_read_is_not_missing() -> None:
    """Its number counts at Coinbase Advanced, so only the frame that never came is a gap."""
    read = venues.load("coinbase_advanced").reader()
    heartbeat = (
        b'{"channel":"heartbeats","timestamp":"2023-06-23T20:31:26Z","sequence_num":%d,"events":[]}'
    )
    assert read(heartbeat % 0) == (Control("heartbeats"),)
    with pytest.raises(ParseError):
        read(b'{"channel":"l2_data","sequence_num":2,"events":[{"type":"odd"}]}')
    assert read(heartbeat % 3) == (Control("gap", missed=1), Control("heartbeats"))
