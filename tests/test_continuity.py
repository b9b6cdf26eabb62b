"""Sequence continuity."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.continuity import Sequence, bind
from exporter.contracts import SequenceRule
from exporter.model import Continuity, Depth, Quote, Trade


def rule(
    continuity: Continuity,
    attribute: Literal["sequence", "order", "span"] = "span",
    labels: tuple[str, ...] = ("book",),
) -> SequenceRule:
    """Return a rule."""
    return SequenceRule(name="x", labels=labels, continuity=continuity, attribute=attribute)


def depth(
    first: int | None, last: int | None, previous: int | None = None, *, snapshot: bool = False
) -> Depth:
    """Return a book message of that span."""
    return Depth("book", "t", "s", None, None, snapshot, first=first, last=last, previous=previous)


def trade(number: int | None, *, snapshot: bool = False) -> Trade:
    """Return a trade of that number."""
    return Trade("book", "t", "s", None, 1.0, 1.0, sequence=number, order=number, snapshot=snapshot)


@pytest.mark.parametrize(
    ("continuity", "before", "after", "found"),
    [
        (Continuity.CONTIGUOUS, depth(1, 5), depth(6, 9), 0),
        (Continuity.CONTIGUOUS, depth(1, 5), depth(8, 9), 2),
        (Continuity.CONTIGUOUS, depth(1, 5), depth(5, 9), -1),
        (Continuity.CONTIGUOUS, depth(1, 5), depth(1, 5), -1),
        (Continuity.OVERLAPPING, depth(1, 5), depth(3, 9), 0),
        (Continuity.OVERLAPPING, depth(1, 5), depth(6, 6), 0),
        (Continuity.OVERLAPPING, depth(1, 5), depth(8, 9), 2),
        (Continuity.OVERLAPPING, depth(1, 5), depth(3, 5), -1),
        (Continuity.LINKED, depth(1, 5), depth(7, 9, 5), 0),
        (Continuity.LINKED, depth(1, 5), depth(7, 9, 6), 1),
        (Continuity.LINKED, depth(1, 5), depth(6, 9, 6), 1),
        (Continuity.LINKED, depth(1, 5), depth(None, 5, 5), 0),  # a keepalive
        (Continuity.LINKED, depth(1, 5), depth(None, 2, 5), 0),  # the venue started anew
        (Continuity.LINKED, depth(1, 5), depth(1, 5, 0), -1),
        (Continuity.RISING, depth(1, 5), depth(9, 9), 0),
        (Continuity.RISING, depth(1, 5), depth(5, 5), 0),
        (Continuity.RISING, depth(1, 5), depth(4, 4), -1),
        (Continuity.NONE, depth(1, 5), depth(2, 2), 0),
    ],
)
def test_each_rule(continuity: Continuity, before: Depth, after: Depth, found: int) -> None:
    """0 where it follows, the size of a gap, -1 for a step back; and all are counted."""
    sequence = Sequence(rule(continuity))
    assert sequence.feed(before) == 0
    assert sequence.feed(after) == found
    assert sequence.pairs == 1
    assert (sequence.gaps, sequence.missed) == ((1, found) if found > 0 else (0, 0))
    assert sequence.backward == (found < 0)


@given(
    start=st.integers(0, 10**12),
    count=st.integers(2, 60),
    lost=st.sets(st.integers(1, 58), max_size=20),
)
def test_what_was_lost_is_what_is_missed(start: int, count: int, lost: set[int]) -> None:
    """Numbers taken out of a contiguous stream are missed to the last one, each hole a gap."""
    kept = [n for n in range(count) if n not in lost or n == count - 1]
    sequence = Sequence(rule(Continuity.CONTIGUOUS, "sequence"))
    for number in kept:
        sequence.feed(trade(start + number))
    assert sequence.missed == count - len(kept)
    assert sequence.gaps == sum(b != a + 1 for a, b in pairwise(kept))
    assert sequence.backward == 0


def test_a_snapshot_begins_anew() -> None:
    """It is no pair, whatever its number; the next message follows it."""
    sequence = Sequence(rule(Continuity.CONTIGUOUS))
    sequence.feed(depth(1, 5))
    assert sequence.feed(depth(None, 100, snapshot=True)) == 0
    assert sequence.feed(depth(101, 102)) == 0
    assert sequence.feed(depth(None, None, snapshot=True)) == 0  # it carries no number
    assert sequence.feed(depth(900, 901)) == 0
    assert (sequence.pairs, sequence.gaps) == (1, 0)


def test_messages_without_the_number_are_passed_over() -> None:
    """They neither follow nor break."""
    sequence = Sequence(rule(Continuity.CONTIGUOUS, "order"))
    assert [sequence.feed(trade(n)) for n in (1, None, 2)] == [0, 0, 0]
    assert sequence.pairs == 1


def test_a_new_connection_forgets() -> None:
    """What was missed between two connections is not known, so it is no gap."""
    sequence = Sequence(rule(Continuity.CONTIGUOUS, "sequence"))
    sequence.feed(trade(1))
    sequence.reset()
    assert sequence.feed(trade(50)) == 0
    assert (sequence.pairs, sequence.gaps) == (0, 0)


def test_labels_share_the_sequence_of_their_rule() -> None:
    """A match follows the last match before the subscription; two rules look at one message."""
    labels = ("match", "last_match")
    table = bind(
        [
            rule(Continuity.CONTIGUOUS, "sequence", labels),
            rule(Continuity.RISING, "order", labels),
            rule(Continuity.RISING, "sequence", ("ticker",)),
        ]
    )
    assert table["match"] == table["last_match"]
    ids, numbers = table["match"]
    assert (ids.rule.attribute, numbers.rule.attribute) == ("sequence", "order")
    ids.feed(trade(7, snapshot=True))
    assert ids.feed(trade(9)) == 1
    (quotes,) = table["ticker"]
    assert quotes.feed(Quote("ticker", "t", "s", None, 1.0, 2.0, sequence=5)) == 0
    assert quotes.feed(Quote("ticker", "t", "s", None, 1.0, 2.0, sequence=4)) == -1
