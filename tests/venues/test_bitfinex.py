"""Bitfinex: what a connection agreed to tells what its frames hold."""

from __future__ import annotations

from zlib import crc32

import pytest

from exporter.books.levels import OrderBook
from exporter.decoding import ParseError
from exporter.maintenance import Maintenance
from exporter.model import Ack, Control, Depth, Event, Message, Quote, Side, Trade
from exporter.venues import load
from exporter.venues.bitfinex import BitfinexReader, checksum, subscribe

VENUE = load("bitfinex")
BOOK = '{"event":"subscribed","channel":"book","chanId":%d,"symbol":"tBTCUSD","prec":"P0"}'
TRADES = '{"event":"subscribed","channel":"trades","chanId":%d,"symbol":"tBTCUSD"}'


def read(*frames: str) -> list[Event]:
    """Return the events of the frames of one connection."""
    parse = VENUE.reader()
    return [event for frame in frames for event in parse(frame.encode())]


def test_a_channel_is_known_by_its_number_on_its_connection_alone() -> None:
    """Numbers are agreed to; on another connection the same number says nothing."""
    ack, trade = read(TRADES % 7, '[7,"te",[1,1618665870435,-2.5,0.07],1]')
    assert ack == Ack("subscribed", topics=("trades:tBTCUSD",))
    assert trade == Trade(
        "trades.te", "trades:tBTCUSD", "tBTCUSD", 1618665870.435, 0.07, 2.5, Side.SELL, order=1
    )
    with pytest.raises(ParseError, match="channel 7"):
        read('[7,"te",[1,1618665870435,-2.5,0.07],1]')


def test_a_lost_frame_shows_whosever_it_was() -> None:
    """Numbers run over all channels and heartbeats; a frame read twice is no hole."""
    parse = VENUE.reader()
    frames = [TRADES % 7, '[9,"hb",1]', '[7,"hb",2]', '[7,"hb",2]', '[7,"hb",5]', '[7,"hb",6]']
    events = [event for frame in frames for event in parse(frame.encode())]
    assert [each.missed for each in events if isinstance(each, Control)] == [0, 0, 0, 2, 0, 0]


def test_a_book_follows_snapshot_changes_and_sums() -> None:
    """Asks are negative, a count of 0 takes a level away, sums are of the wire's digits."""
    book, found = OrderBook(text=True), []
    for event in read(
        BOOK % 5,
        "[5,[[60400,1,0.68826974],[60399.5,2,1.5],[60401,1,-0.25]],1]",
        "[5,[60400,0,1],2]",
        "[5,[60402,3,-2.50],3]",
        '[5,"cs",-1,4]',
    )[1:]:
        assert isinstance(event, Depth)
        assert VENUE.book is not None
        sides = VENUE.book.levels(event)
        book.load(*sides) if event.snapshot else book.apply(*sides)
        found.append((event.snapshot, event.checksum))
    assert found == [(True, None), (False, None), (False, None), (False, -1)]
    assert book.spelled(25) == ([("60399.5", "1.5")], [("60401", "0.25"), ("60402", "2.50")])


def test_the_documented_sum() -> None:
    """Bids and asks in turn, sizes of asks below zero, as a signed number."""
    bids, asks = [("6000", "1"), ("5900", "2")], [("6100", "3"), ("6200", "4")]
    wanted = crc32(b"6000:1:6100:-3:5900:2:6200:-4")
    assert checksum(bids, asks) % (1 << 32) == wanted


def test_a_channel_is_left_and_joined_again_for_a_fresh_snapshot() -> None:
    """Asking again is refused; the reader, which knows the number, leaves and joins."""
    again = '{"event":"error","code":10301,"msg":"dup","channel":"book","symbol":"tBTCUSD"}'
    left, joined = read(BOOK % 5, again, '{"event":"unsubscribed","status":"OK","chanId":5}')[1:]
    assert left == Control("error", reply='{"event":"unsubscribe","chanId":5}')
    assert joined == Control("unsubscribed", reply=subscribe(["book:tBTCUSD"], 0))
    assert VENUE.unsubscribe(["book:tBTCUSD"], 0) == ""


def test_what_nobody_here_asks_for_is_passed_over() -> None:
    """Raw books, loans and other channels are data, and no error; a refusal may name little."""
    raw = BOOK.replace("P0", "R0") % 5
    loans = '{"event":"subscribed","channel":"ticker","chanId":6,"symbol":"fUSD"}'
    other = '{"event":"subscribed","channel":"status","chanId":7,"key":"deriv:tBTCF0:USTF0"}'
    frames = ["[5,[[34006738527,60400,0.1]],1]", "[6,[0.1,0.2,30],2]", "[7,[1596124822000,null],3]"]
    events = [each for each in read(raw, loans, other, *frames) if not isinstance(each, Ack)]
    assert events == [Control(each, data=True) for each in ("book.snapshot", "ticker", "status")]
    assert read('{"event":"error","code":10001,"msg":"unknown channel","channel":"x"}') == [
        Ack("error", ok=False, reason="10001 unknown channel")
    ]


def test_several_changes_in_a_frame_are_no_snapshot_where_they_are_asked_for() -> None:
    """With the flag BULK_UPDATES only the first frame of a book tells all of it."""
    conf = '{"event":"conf","status":"OK","flags":%d}'
    frames = BOOK % 5, "[5,[[1,1,2],[3,1,-2]]]", "[5,[[1,0,1],[2,1,2]]]"
    for flags, wanted in ((536_870_912, [True, False]), (65_536, [True, True])):
        events = [each for each in read(conf % flags, *frames) if isinstance(each, Depth)]
        assert [each.snapshot for each in events] == wanted
        assert VENUE.book is not None
        assert VENUE.book.levels(events[1]) == ([("1", "0"), ("2", "2")], [])


def test_times_at_the_end_of_frames_are_no_numbers() -> None:
    """The flag TIMESTAMP adds one, after the number where there is one."""
    plain, numbered = VENUE.reader(), VENUE.reader()
    for number in range(1, 4):
        plain(f'[7,"hb",{1618665870435 + 1000 * number}]'.encode())
        numbered(f'[7,"hb",{number},{1618665870435 + 1000 * number}]'.encode())
    assert isinstance(plain, BitfinexReader)
    assert isinstance(numbered, BitfinexReader)
    assert (plain.numbers.last, numbered.numbers.last, numbered.numbers.gaps) == (None, 3, 0)


def test_small_numbers_are_summed_up_as_they_are_written() -> None:
    """Below 0.000001 the venue writes, and sums up, 5.6e-7."""
    wanted = crc32(b"5.6e-7:60712.4250231:5.7e-7:-1e-7")
    assert checksum([("5.6e-7", "60712.4250231")], [("5.7e-7", "1e-7")]) % (1 << 32) == wanted


def test_quotes_and_announcements() -> None:
    """An empty side is no quote; maintenance is announced on the stream."""
    ticker = '{"event":"subscribed","channel":"ticker","chanId":3,"symbol":"tBTCUSD"}'
    quote, none = read(ticker, "[3,[1,2,3,4,0,0,1,1,1,1],1]", "[3,[null,2,3,4,0,0,1,1,1,1],2]")[1:]
    assert quote == Quote("ticker", "ticker:tBTCUSD", "tBTCUSD", None, 1.0, 3.0, 2.0, 4.0)
    assert none == Message("ticker", "ticker:tBTCUSD", "tBTCUSD")
    assert read('{"event":"info","code":20060,"msg":""}') == [
        Control("info", maintenance=Maintenance(active=True))
    ]
    assert read('{"event":"info","code":20051,"msg":""}') == [Control("info", reconnect=True)]


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("BTC-USD", "tBTCUSD"), ("BTC-USDT", "tBTCUST"), ("DOGE-USD", "tDOGE:USD"),
     ("BTC-USDT-PERP", "tBTCF0:USTF0")],
)  # fmt: skip
def test_symbols(name: str, symbol: str) -> None:
    """Longer names have a colon between them."""
    assert VENUE.symbol(name) == symbol
