"""Books built from recorded traffic, by each venue's own synchronisation procedure."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from exporter.books.book import BookSync
from exporter.capture.text_recording import Answered, Received, read
from exporter.model import Depth
from exporter.venues import load
from tests.conftest import shared


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "books"), [("binance", 2), ("binance_coinm", 5), ("binance_futures", 2), ("kucoin", 5)]
)
def test_fetched_snapshots_join_the_stream(name: str, books: int) -> None:
    """Every REST book that was recorded joins its deltas at once, stays in step, never crosses."""
    venue = load(name)
    assert venue.book is not None
    assert venue.book.read_snapshot is not None
    items = [
        item
        for file in ("ws.txt", "rest.txt")
        for item in read(shared(f"recordings/{name}/{file}").read_bytes().splitlines())
        if isinstance(item, Received | Answered)
    ]
    syncs: dict[str, BookSync] = {}
    followed = Counter[str]()
    for item in sorted(items, key=lambda item: item.time or 0.0):
        if isinstance(item, Answered):
            found = re.search(r"symbol=([\w-]+)", item.url)
            assert found is not None
            snapshot = venue.book.read_snapshot(item.body, "topic", found[1])
            assert syncs[found[1]].join(snapshot)
            continue
        for event in venue.parse(item.frame):
            if isinstance(event, Depth):
                if event.symbol not in syncs:
                    syncs[event.symbol] = BookSync(venue.book, venue.sequences)
                sync = syncs[event.symbol]
                assert sync.feed(event) is None
                assert not sync.book.crossed
                followed[event.symbol] += sync.synced
    assert sum(sync.synced for sync in syncs.values()) == books
    assert all(followed[symbol] > 0 for symbol, sync in syncs.items() if sync.synced)


@pytest.mark.shared
@pytest.mark.parametrize(("name", "file"), [("coinbase", "ws.txt"), ("kraken_v1", "ws_book.txt")])
def test_streamed_snapshots_begin_a_book(name: str, file: str) -> None:
    """All ten books of the recording are built, agree with their checksums and never cross."""
    venue = load(name)
    assert venue.book is not None
    syncs: dict[str, BookSync] = {}
    folder = name.removesuffix("_v1")
    for item in read(shared(f"recordings/{folder}/{file}").read_bytes().splitlines()):
        for event in venue.parse(item.frame) if isinstance(item, Received) else ():
            if isinstance(event, Depth):
                if event.topic not in syncs:
                    syncs[event.topic] = BookSync(venue.book, venue.sequences)
                    syncs[event.topic].agree(1000)
                assert syncs[event.topic].feed(event) is None
                assert not syncs[event.topic].book.crossed
    assert [sync.synced for sync in syncs.values()] == [True] * 10
