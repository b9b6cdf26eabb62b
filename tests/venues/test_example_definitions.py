"""The definitions of examples/venues: sound, and true to what was recorded of their venues."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exporter.books.levels import OrderBook
from exporter.capture import text_recording
from exporter.cli import _conformance as conformance
from exporter.continuity import Sequence, bind
from exporter.contracts import Venue
from exporter.model import Ack, Control, Depth, Event, Quote, Side, Trade
from exporter.venues import definition
from tests.conftest import shared
from tests.venues.truth import expected

FILES = sorted((Path(__file__).parents[2] / "examples" / "venues").glob("*.yml"))
RECORDINGS = {
    "bitget": ("ws_spot_v1.txt", "ws_mix_v1.txt"),
    "bithumb": ("ws.txt",),
    "gemini": ("ws.txt",),
    "htx": ("ws.txt",),
    "kraken_futures": ("ws.txt",),
    "upbit": ("ws.txt",),
}
CASES = [(name, file) for name, files in RECORDINGS.items() for file in files]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_is_a_sound_venue(file: Path) -> None:
    """It compiles and keeps what every venue must keep; the file's name is the venue's."""
    venue = definition.load(file)
    assert venue.name == file.stem
    assert list(conformance.complaints(venue)) == []


DOCUMENTED: dict[str, list[tuple[str, Event]]] = {
    "gate": [
        (
            '{"time":1619093543,"channel":"spot.trades","event":"update","result":{"id":816995772,'
            '"create_time":1619093543,"create_time_ms":"1619093543708.2642","side":"sell",'
            '"currency_pair":"DIS_USDT","amount":"0.2010000000","price":"121.5800000000"}}',
            Trade("trades", "spot.trades:DIS_USDT", "DIS_USDT", 1619093543.7082642, 121.58, 0.201,
                  Side.SELL, 816995772),
        ),
        (
            '{"time":1619093532,"channel":"spot.trades","event":"subscribe","error":{"code":2,'
            '"message":"unknown currency pair XXX"},"id":4,"result":null}',
            Ack("refusal", ok=False, request=4, reason="unknown currency pair XXX"),
        ),
    ],
    "deribit": [
        (
            '{"jsonrpc":"2.0","method":"subscription","params":{"channel":'
            '"trades.BTC-PERPETUAL.100ms","data":[{"timestamp":1765531356452,"price":92294.5,'
            '"amount":10.0,"direction":"sell","instrument_name":"BTC-PERPETUAL",'
            '"trade_seq":271252854,"trade_id":"403691824"}]}}',
            Trade("trades", "trades.BTC-PERPETUAL.100ms", "BTC-PERPETUAL", 1765531356.452, 92294.5,
                  10.0, Side.SELL, 271252854),
        ),
        (
            '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}',
            Control("test_request",
                    reply='{"jsonrpc":"2.0","id":1000001,"method":"public/test","params":{}}'),
        ),
    ],
    "hyperliquid": [
        (
            '{"channel":"bbo","data":{"coin":"@162","time":1750948919838,"bbo":[{"px":"0.97925",'
            '"sz":"4144.6","n":1},{"px":"0.97934","sz":"50.0","n":1}]}}',
            Quote("quotes", "bbo:@162", "@162", 1750948919.838, 0.97925, 0.97934, 4144.6, 50.0),
        ),
        (
            '{"channel":"bbo","data":{"coin":"@162","time":1750948919838,"bbo":[null,'
            '{"px":"0.97934","sz":"50.0","n":1}]}}',
            Control("quotes", data=True),
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_frames_are_understood(name: str) -> None:
    """What the venues' documentation and clients show becomes the events that it means."""
    venue = definition.load(next(each for each in FILES if each.stem == name))
    for frame, event in DOCUMENTED[name]:
        assert venue.parse(frame.encode()) == (event,)


def test_a_row_may_say_whether_it_is_the_whole_book() -> None:
    """Deribit's first frame of a book begins it, and each later one names the one before."""
    venue = definition.load(next(each for each in FILES if each.stem == "deribit"))
    frame = (
        '{"method":"subscription","params":{"channel":"book.X.100ms","data":{"type":"%s",'
        '"instrument_name":"X","timestamp":1699999999000,"change_id":%d%s,"bids":[["new",42500.0,'
        '1000.0]],"asks":[["delete",42501.0,0.0]]}}}'
    )
    whole = venue.parse((frame % ("snapshot", 8, "")).encode())[0]
    change = venue.parse((frame % ("change", 9, ',"prev_change_id":8')).encode())[0]
    assert isinstance(whole, Depth)
    assert isinstance(change, Depth)
    assert (whole.snapshot, whole.last, whole.previous) == (True, 8, None)
    assert (change.snapshot, change.last, change.previous) == (False, 9, 8)
    assert venue.book is not None
    assert venue.book.levels(change) == ([(42500.0, 1000.0)], [(42501.0, 0.0)])


def recorded(venue: Venue, path: str) -> list[tuple[Event, ...]]:
    """Return the events of each frame of a recording."""
    found, parse = [], venue.reader()
    for item in text_recording.read(shared(f"recordings/{path}").read_bytes().splitlines()):
        if isinstance(item, text_recording.Received):
            found.append(parse(item.frame))
    return found


@pytest.mark.shared
@pytest.mark.parametrize(("name", "file"), CASES)
def test_a_recording_is_understood_completely(name: str, file: str) -> None:
    """Each frame gives what it holds: trades by symbol, last prices, times, gaps, checksums."""
    venue = definition.load(next(each for each in FILES if each.stem == name))
    truth: dict[str, Any] = expected(f"{name}/{file}")
    frames = recorded(venue, f"{name}/{file}")
    assert len(frames) == truth["data_total"] + sum(truth["meta_messages"].values())
    events = [event for frame in frames for event in frame]
    live = [each for each in events if isinstance(each, Trade) and not each.snapshot]
    assert Counter(trade.symbol for trade in live) == truth["trades"]
    last = {trade.symbol: Decimal(str(trade.price)) for trade in live}
    assert last == {symbol: Decimal(price) for symbol, price in truth["last_trade_price"].items()}
    assert all(conformance.unsound(venue, event) == "" for event in events)
    rules: dict[str, dict[str, tuple[Sequence, ...]]] = {}
    for event in events:
        if isinstance(event, Depth | Trade):
            for one in rules.setdefault(event.topic, bind(venue.sequences)).get(event.label, ()):
                one.feed(event)
    fed = [one for bound in rules.values() for ones in bound.values() for one in ones]
    assert sum(one.gaps for one in fed) == 0
    if venue.book is not None and venue.book.checksum is not None:
        assert verified(venue, events) == truth["checksum"]["checked"]


def verified(venue: Venue, events: list[Event]) -> int:
    """Return how many books agree with their checksum; none may differ."""
    books: dict[str, OrderBook] = {}
    good = 0
    rules = venue.book
    assert rules is not None
    for event in events:
        if not isinstance(event, Depth):
            continue
        bids, asks = rules.levels(event)
        if event.snapshot:
            books[event.topic] = OrderBook(text=True)
            books[event.topic].load(bids, asks)
        else:
            books[event.topic].apply(bids, asks)
        if event.checksum is not None and rules.checksum is not None:
            assert rules.checksum(*books[event.topic].spelled(25)) == event.checksum
            good += 1
    return good
