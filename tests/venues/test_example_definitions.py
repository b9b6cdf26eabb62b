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
from exporter.model import Depth, Event, Trade
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


def recorded(venue: Venue, path: str) -> list[tuple[Event, ...]]:
    """Return the events of each frame of a recording."""
    found = []
    for item in text_recording.read(shared(f"recordings/{path}").read_bytes().splitlines()):
        if isinstance(item, text_recording.Received):
            found.append(conformance.read(venue, item.frame))
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
