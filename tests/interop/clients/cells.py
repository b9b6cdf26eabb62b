"""A cell of the table: one thing that a client did with one venue, and what came of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

Result = TypeVar("Result")
Levels = Sequence[tuple[float, float]]
PATIENCE = 40.0  # seconds for one cell, on a busy machine
TRIES = 60  # updates within which a book must equal the one that REST shows


def addresses() -> Mapping[str, str]:
    """Return the base URL of each simulated venue, ``http://host:port``, as this was started."""
    urls: dict[str, str] = json.loads(sys.argv[1])
    return urls


def tell(venue: str, cell: str, wrong: str = "") -> None:
    """Write what came of a cell to standard output; ``wrong`` is empty where it went well."""
    sys.stdout.write(json.dumps({"venue": venue, "cell": cell, "wrong": wrong}) + "\n")
    sys.stdout.flush()


async def attempt(venue: str, cell: str, work: Awaitable[Result]) -> Result | None:
    """Await one cell's work and tell what came of it; None where it failed."""
    try:
        result = await asyncio.wait_for(work, PATIENCE)
    except Exception as error:  # noqa: BLE001 - whatever a foreign client raises is its verdict
        tell(venue, cell, f"{type(error).__name__}: {str(error)[:300]}")
        return None
    tell(venue, cell)
    return result


def once(venue: str, cell: str, work: Callable[[], Any]) -> None:
    """Do one cell's work at once and tell what came of it; it may return a complaint."""
    try:
        wrong = work()
    except Exception as error:  # noqa: BLE001 - whatever a foreign client raises is its verdict
        wrong = f"{type(error).__name__}: {str(error)[:300]}"
    tell(venue, cell, wrong if isinstance(wrong, str) else "")


async def equal_books(
    streamed: Callable[[], Awaitable[tuple[Levels, Levels]]],
    asked: Callable[[], Awaitable[tuple[Levels, Levels]]],
) -> None:
    """Wait until a book that follows a stream equals the one that REST shows at that moment.

    ``streamed`` waits for the next update. Sides are bids and asks, best first. Raises
    AssertionError if the two never agree or if a book is not in order.
    """
    for _ in range(TRIES):
        bids, asks = await streamed()
        assert list(bids) == sorted(bids, reverse=True), "bids out of order"
        assert list(asks) == sorted(asks), "asks out of order"
        assert bids[0][0] < asks[0][0], f"crossed: {bids[0]} {asks[0]}"
        theirs = await asked()
        depths = [min(map(len, pair)) for pair in zip((bids, asks), theirs, strict=True)]
        mine = [list(side[:depth]) for side, depth in zip((bids, asks), depths, strict=True)]
        if min(depths) >= 5 and mine == [
            list(side[:depth]) for side, depth in zip(theirs, depths, strict=True)
        ]:
            return
    raise AssertionError(f"the book never equals REST's: {mine[0][:3]} {list(theirs[0])[:3]}")
