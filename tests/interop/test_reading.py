"""What is held against ccxt's reading, without ccxt: our half, and what counts as a difference."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.reading import Ours, Task, compare, ours, tasks
from tests.recordings.record import HERE

OWN = [task for task in tasks() if task.file.parent == HERE]


@pytest.mark.parametrize("task", OWN, ids=lambda task: task.venue)
def test_each_recording_has_trades_and_a_book_to_compare(task: Task) -> None:
    """None of the comparisons is empty."""
    found = ours(task)
    assert len(found.trades) > 5
    assert all(len(trade) == 4 and trade[3] in ("buy", "sell") for trade in found.trades)
    assert len(found.books) == task.books
    for bids, asks in found.books.values():
        assert bids[0][0] < asks[0][0]


TRADE: list[Any] = [1_700_000_000_000, 100.0, 2.0, "buy"]
BOOK = {"t": [[[99.0, 1.0]], [[101.0, 1.0]]]}


def theirs(**more: Any) -> dict[str, Any]:
    """Return a reading that agrees, but for ``more``."""
    return {"failed": [], "trades": [TRADE], "books": {"BTC/USDT": BOOK["t"]}, **more}


@pytest.mark.parametrize(
    ("other", "wrong"),
    [
        (theirs(), ""),
        (theirs(trades=[[TRADE[0] + 160, *TRADE[1:]]]), ""),
        (theirs(trades=[[None, *TRADE[1:]]]), ""),
        (theirs(failed=["KeyError"]), "ccxt: KeyError"),
        (theirs(trades=[]), "1 trades are ours, 0 ccxt's"),
        (theirs(trades=[[*TRADE[:3], "sell"]]), "a trade: "),
        (theirs(trades=[[TRADE[0] + 5000, *TRADE[1:]]]), "a trade: "),
        (theirs(books={}), "1 books are ours, 0 ccxt's"),
        (theirs(books={"x": [[[99.0, 1.5]], [[101.0, 1.0]]]}), "a book: "),
    ],
)
def test_what_counts_as_a_difference(other: dict[str, Any], wrong: str) -> None:
    """Trades by price, size, side and about the time, books level by level."""
    found = compare(Ours([TRADE], BOOK), other, books=True)
    assert found.startswith(wrong)
    assert bool(found) is bool(wrong)
