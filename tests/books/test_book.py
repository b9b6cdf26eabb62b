"""When an order book can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

import msgspec
import pytest

from exporter.books.book import BookSync
from exporter.contracts import BookRules, SequenceRule
from exporter.decoding import ParseError
from exporter.model import Continuity, Depth, Resync

Level = tuple[object, ...]


def levels(event: Depth) -> tuple[Sequence[Level], Sequence[Level]]:
    """Return levels that are made decoded; a text stands for unreadable ones."""
    if isinstance(event.levels, tuple):
        return event.levels
    raise ParseError("unreadable")


def never(body: bytes, topic: str, symbol: str) -> Depth:
    """Stand for a venue that has its snapshots by REST."""
    raise AssertionError("BookSync does no I/O")


def ruled(continuity: Continuity) -> tuple[SequenceRule, ...]:
    """Return a venue's rule for its deltas."""
    return (SequenceRule(name="d", labels=("d",), continuity=continuity, attribute="span"),)


STREAMED = BookRules(levels=levels)
FETCHED = BookRules(levels=levels, snapshot_path="/depth", read_snapshot=never)


def delta(
    first: int | None,
    last: int | None,
    previous: int | None = None,
    bids: Sequence[Level] = (),
    asks: Sequence[Level] = (),
) -> Depth:
    """Return a delta."""
    return Depth("d", "t", "s", None, (bids, asks), first=first, last=last, previous=previous)


def snapshot(
    last: int | None, bids: Sequence[Level] = ((1.0, 1.0),), asks: Sequence[Level] = ((2.0, 1.0),)
) -> Depth:
    """Return a snapshot."""
    return Depth("s", "t", "s", None, (bids, asks), snapshot=True, last=last)


@pytest.mark.parametrize(
    ("continuity", "stale", "first", "second"),
    [
        (Continuity.CONTIGUOUS, delta(90, 100), delta(99, 103), delta(104, 105)),
        (Continuity.CONTIGUOUS, delta(90, 100), delta(101, 103), delta(104, 105)),
        (Continuity.OVERLAPPING, delta(90, 100), delta(99, 103), delta(103, 105)),
        (Continuity.LINKED, delta(90, 100, 89), delta(99, 103, 97), delta(106, 108, 103)),
    ],
)
def test_deltas_join_a_fetched_snapshot(
    continuity: Continuity, stale: Depth, first: Depth, second: Depth
) -> None:
    """What the snapshot holds already is dropped, what straddles it is applied, then each rule."""
    sync = BookSync(FETCHED, ruled(continuity))
    tagged = [
        replace_levels(stale, 9.0),
        replace_levels(first, 1.25),
        replace_levels(second, 1.5),
    ]
    assert [sync.feed(event) for event in tagged[:2]] == [None, None]
    assert (sync.synced, sync.wanted) == (False, Resync.START)
    assert sync.join(snapshot(100))
    assert sync.synced
    assert sync.feed(tagged[2]) is None
    assert [price for price, _ in sync.book.top(9)[0]] == [1.5, 1.25, 1.0]


def replace_levels(event: Depth, bid: float) -> Depth:
    """Return the event with one bid."""
    return msgspec.structs.replace(event, levels=(((bid, 1.0),), ()))


@pytest.mark.parametrize(
    ("continuity", "late"),
    [
        (Continuity.CONTIGUOUS, delta(105, 106)),
        (Continuity.OVERLAPPING, delta(105, 106)),
        (Continuity.LINKED, delta(105, 106, 104)),
    ],
)
def test_a_snapshot_that_is_too_old_is_asked_for_again(continuity: Continuity, late: Depth) -> None:
    """A hole before the first delta is the snapshot's fault and no gap; a newer one mends it."""
    sync = BookSync(FETCHED, ruled(continuity))
    sync.feed(late)
    assert not sync.join(snapshot(100))
    assert (sync.book.bid, sync.waiting) == (None, 1)
    assert sync.join(snapshot(105))
    assert sync.synced
    assert sync.resyncs == {**dict.fromkeys(Resync, 0), Resync.START: 1}


def test_a_gap_among_the_waiting_is_a_gap() -> None:
    """What stands behind the hole waits on, so that the next snapshot needs to reach no further."""
    sync = BookSync(FETCHED, ruled(Continuity.CONTIGUOUS))
    sync.feed(delta(101, 102))
    sync.feed(delta(105, 106, bids=((1.5, 1.0),)))
    assert not sync.join(snapshot(100))
    assert (sync.wanted, sync.waiting, sync.resyncs[Resync.GAP]) == (Resync.GAP, 1, 1)
    assert sync.join(snapshot(104))
    assert sync.book.bid == 1.5


def test_the_delta_behind_a_gap_waits_for_the_snapshot() -> None:
    """A fetched book loses no delta that came after the hole."""
    sync = BookSync(FETCHED, ruled(Continuity.CONTIGUOUS))
    sync.join(snapshot(100))
    assert sync.feed(delta(101, 101)) is None
    assert sync.feed(delta(103, 103, bids=((1.5, 1.0),))) is Resync.GAP
    assert sync.join(snapshot(102))
    assert sync.book.bid == 1.5


def test_a_new_subscription_begins_anew() -> None:
    """A synced book is lost at a start; one that was lost before keeps its reason."""
    sync = BookSync(STREAMED, ruled(Continuity.CONTIGUOUS))
    sync.restart()
    assert sync.resyncs[Resync.START] == 1
    sync.feed(snapshot(10))
    sync.restart()
    assert (sync.wanted, sync.resyncs[Resync.START]) == (Resync.START, 2)
    sync.feed(snapshot(20))
    assert sync.feed(delta(25, 26)) is Resync.GAP
    sync.restart()
    assert (sync.wanted, sync.resyncs[Resync.START]) == (Resync.GAP, 2)


def test_a_gap_loses_the_book() -> None:
    """A book with a hole is not shown; a snapshot in the stream mends it."""
    sync = BookSync(STREAMED, ruled(Continuity.LINKED))
    sync.feed(snapshot(10))
    assert sync.feed(delta(None, 12, 10)) is None
    assert sync.feed(delta(None, 15, 14)) is Resync.GAP
    assert (sync.synced, sync.book.bid) == (False, None)
    assert sync.feed(delta(None, 16, 15)) is None  # nothing to apply it to
    assert sync.book.bid is None
    sync.feed(snapshot(20))
    assert sync.book.top(1)[0] == [(1.0, 1.0)]


def test_old_news_changes_nothing() -> None:
    """A delta that the book has seen is passed over, and is no gap."""
    sync = BookSync(STREAMED, ruled(Continuity.CONTIGUOUS))
    sync.feed(snapshot(10))
    sync.feed(delta(11, 12, bids=((1.5, 1.0),)))
    assert sync.feed(delta(11, 12, bids=((1.5, 0.0),))) is None
    assert (sync.synced, sync.book.bid) == (True, 1.5)


def test_books_by_time_alone() -> None:
    """Where only a rising time orders messages, the older than the snapshot are dropped."""
    sync = BookSync(FETCHED, ruled(Continuity.RISING))
    for order, bid in ((100, 1.25), (101, 1.5)):
        sync.feed(Depth("d", "t", "s", None, (((bid, 1.0),), ()), order=order))
    taken = Depth("s", "t", "s", None, (((1.0, 1.0),), ()), snapshot=True, order=100)
    assert sync.join(taken)
    assert [price for price, _ in sync.book.top(9)[0]] == [1.5, 1.0]


def test_books_without_any_number() -> None:
    """Where the venue promises delivery and numbers nothing, every delta is applied."""
    sync = BookSync(STREAMED, ruled(Continuity.NONE))
    sync.feed(snapshot(None))
    assert sync.feed(delta(None, None, bids=((1.5, 2.0),))) is None
    assert sync.book.bid == 1.5


def test_a_wrong_checksum_loses_the_book() -> None:
    """The venue's digest is held against ours after each message that brings one."""

    def digest(bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> int:
        return crc32(repr((list(bids), list(asks))).encode())

    rules = replace(STREAMED, checksum=digest)
    sync = BookSync(rules, ruled(Continuity.NONE))
    good = digest([("1.0", "1.0")], [])
    first = Depth("s", "t", "s", None, ((("1.0", "1.0"),), ()), snapshot=True, checksum=good)
    assert sync.feed(first) is None
    assert sync.feed(Depth("d", "t", "s", None, ((), ()), checksum=good)) is None
    assert sync.feed(Depth("d", "t", "s", None, ((), ()), checksum=good + 1)) is Resync.CHECKSUM
    assert not sync.synced


def test_unreadable_levels_lose_the_book() -> None:
    """A delta that cannot be read is a hole like any other, and a ParseError to be counted."""
    sync = BookSync(STREAMED, ruled(Continuity.NONE))
    sync.feed(snapshot(None))
    with pytest.raises(ParseError):
        sync.feed(Depth("d", "t", "s", None, "garbage"))
    assert sync.wanted is Resync.GAP


def test_a_book_that_stays_crossed_is_lost() -> None:
    """A moment is the wire's, five seconds are a fault; a locked one is no better."""
    sync = BookSync(STREAMED, ruled(Continuity.NONE))
    sync.feed(snapshot(None))
    sync.feed(delta(None, None, bids=((2.5, 1.0),)))
    assert sync.tick(100.0) is None
    sync.feed(delta(None, None, bids=((2.5, 0.0),)))
    assert sync.tick(106.0) is None
    sync.feed(delta(None, None, bids=((2.5, 1.0),)))
    assert [sync.tick(now) for now in (107.0, 111.9)] == [None, None]
    assert sync.tick(112.0) is Resync.CROSSED
    assert not sync.synced
    sync.feed(snapshot(None, bids=((2.0, 1.0),)))
    assert [sync.tick(now) for now in (113.0, 118.0)] == [None, Resync.CROSSED]


def test_the_acknowledged_depth_counts() -> None:
    """A venue that sends ten levels never takes the eleventh away, so it must not stay."""
    sync = BookSync(replace(STREAMED, depth=100), ruled(Continuity.NONE))
    sync.agree(1)
    sync.feed(snapshot(None))
    sync.feed(delta(None, None, bids=((1.5, 1.0),)))
    assert sync.book.top(9)[0] == [(1.5, 1.0)]


def test_the_buffer_is_bounded_and_says_so() -> None:
    """Deltas beyond the buffer fall out oldest first, and are counted."""
    sync = BookSync(FETCHED, ruled(Continuity.CONTIGUOUS), buffer=2)
    for number in range(5):
        sync.feed(delta(number, number))
    assert sync.overflows == 3


def test_who_drives_it_may_distrust_it() -> None:
    """An audit that failed costs the book, and is counted by its reason."""
    sync = BookSync(STREAMED, ruled(Continuity.NONE))
    sync.feed(snapshot(None))
    assert sync.lose(Resync.AUDIT) is Resync.AUDIT
    assert sync.wanted is Resync.AUDIT
    assert sync.resyncs == {
        Resync.START: 1,
        Resync.GAP: 0,
        Resync.CHECKSUM: 0,
        Resync.CROSSED: 0,
        Resync.AUDIT: 1,
    }
