"""Two connections joined into one sequence, whatever the delay between them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.model import Data, Depth, Kline, Quote, Trade
from exporter.streams.handover import Handover, position


def trade(number: int | None, time: float | None = None, *, snapshot: bool = False) -> Trade:
    return Trade("trade", "t.A", "A", time, 1.0, 1.0, None, number, snapshot=snapshot)


def depth(last: int | None, *, snapshot: bool = False) -> Depth:
    return Depth("depth", "t.A", "A", None, (), snapshot, last=last)


def kline(time: float | None) -> Kline:
    return Kline("kline", "t.A", "A", time, 0.0, 1.0)


def quote(time: float | None) -> Quote:
    return Quote("quote", "t.A", "A", time, 1.0, 2.0)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_every_number_comes_once(first: int, until: int, further: int) -> None:
    """Where the two overlap, each number is delivered once and in order, whoever is ahead."""
    old_until, new_until = first + until, first + further
    handover, delivered = Handover(), list[int | None]()
    for number in range(old_until):
        handover.passed(trade(number), 0.0)
        delivered.append(number)
    for number in range(first, new_until):
        handover.hold(trade(number), 0.0)
    delivered += [event.sequence for event, _ in handover.release() if isinstance(event, Trade)]
    later = range(new_until, max(old_until, new_until) + 5)
    delivered += [number for number in later if handover.fresh(trade(number), 0.0)]
    assert delivered == list(range(max(old_until, new_until) + 5)) or old_until == 0


def test_a_hole_is_seen_and_told_from_a_seam() -> None:
    """Joined: the new one begins no later than right after the old one's last."""
    for first, joined in ((3, True), (6, True), (7, False)):
        handover = Handover()
        handover.passed(trade(5), 0.0)
        handover.hold(trade(first), 0.0)
        assert handover.joined("t.A") is joined
        assert handover.torn("t.A") is not joined


def test_a_topic_that_only_one_side_knows_is_neither_joined_nor_torn() -> None:
    """A quiet topic proves nothing."""
    handover = Handover()
    handover.passed(trade(5), 0.0)
    assert (handover.joined("t.A"), handover.torn("t.A")) == (False, False)


def test_repeated_history_is_not_news() -> None:
    """Trades sent on subscribing are dropped where nothing numbers them against the old ones."""
    handover = Handover()
    handover.hold(trade(None, snapshot=True), 1.0)
    handover.hold(trade(None), 2.0)
    assert [received for _, received in handover.release()] == [2.0]


def test_unnumbered_books_start_anew_from_their_snapshot() -> None:
    """All that was held is released, the snapshot first."""
    handover = Handover()
    handover.passed(depth(None), 5.0)
    events: list[Data] = [depth(None, snapshot=True), depth(None)]
    for event in events:
        handover.hold(event, 1.0)
    assert [event for event, _ in handover.release()] == events


def test_unnumbered_events_go_by_their_time_then_by_their_arrival() -> None:
    """Later than the old one's last, by the venue's clock where there is one."""
    for make in (kline, quote):
        handover = Handover()
        handover.passed(make(10.0), 100.0)
        for time in (9.0, 10.0, 11.0):
            handover.hold(make(time), 99.0)
        assert [event for event, _ in handover.release()] == [make(11.0)]
    handover = Handover()
    handover.passed(quote(None), 100.0)
    for received in (99.0, 101.0):
        handover.hold(quote(None), received)
    assert [received for _, received in handover.release()] == [101.0]


def test_a_hole_on_the_new_connection_keeps_its_place() -> None:
    """What follows it may not be taken to join on to what came before."""
    handover = Handover()
    handover.hold(depth(None, snapshot=True), 1.0)
    handover.miss(("A",))
    handover.hold(depth(None), 2.0)
    released = [event for event, _ in handover.release()]
    assert released == [depth(None, snapshot=True), ("A",), depth(None)]


def test_room_is_bounded() -> None:
    """At the limit it is full, and says so."""
    handover = Handover(limit=2)
    handover.hold(trade(1), 0.0)
    assert not handover.full
    handover.hold(trade(2), 0.0)
    assert handover.full


def test_a_books_position_is_its_last_update() -> None:
    """Deltas are compared by where they end."""
    assert position(Depth("d", "t.A", "A", 3.0, (), first=5, last=9)) == 9
    assert position(Depth("d", "t.A", "A", 3.0, ())) is None
