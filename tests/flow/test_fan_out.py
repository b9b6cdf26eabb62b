"""Many at once, never more than allowed, and one that fails spoils nothing for the others."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.flow.fan_out import Done, Failed, batches, fan_out
from tests.fakes import run_virtual


@given(
    items=st.lists(st.tuples(st.sampled_from(("good", "bad", "slow")), st.floats(0.0, 4.0))),
    concurrency=st.integers(1, 5),
)
def test_every_item_has_its_outcome_in_order(
    items: list[tuple[str, float]], concurrency: int
) -> None:
    """Results, errors and timeouts stand where their items stood; the bound holds throughout."""
    running = most = 0

    async def work(item: tuple[str, float]) -> float:
        nonlocal running, most
        kind, duration = item
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(100.0 if kind == "slow" else duration)
            if kind == "bad":
                raise LookupError(kind)
            return duration
        finally:
            running -= 1

    heard: list[object] = []

    async def main() -> list[Done[tuple[str, float], float] | Failed[tuple[str, float]]]:
        return await fan_out(
            items,
            work,
            concurrency=concurrency,
            timeout=5.0,
            expected=(LookupError,),
            each=heard.append,
        )

    outcomes = run_virtual(main())
    assert [outcome.item for outcome in outcomes] == items
    for outcome in outcomes:
        match outcome:
            case Done((kind, duration), result):
                assert (kind, duration) == ("good", result)
            case Failed((kind, _), error):
                assert isinstance(error, {"bad": LookupError, "slow": TimeoutError}[kind])
    assert most <= concurrency
    assert sorted(map(id, heard)) == sorted(map(id, outcomes))


def test_items_are_not_drawn_ahead() -> None:
    """A source as long as the world is fine: nobody draws what nobody works on."""
    drawn = count(1)

    async def main() -> None:
        async with asyncio.timeout(10.5):
            await fan_out(drawn, lambda _: asyncio.sleep(1.0), concurrency=3, timeout=5.0)

    with pytest.raises(TimeoutError):
        run_virtual(main())
    assert next(drawn) == 34


def test_a_fault_of_ours_ends_the_whole() -> None:
    """It is raised, and nothing of it runs on."""
    ended: list[int] = []

    async def work(item: int) -> None:
        try:
            await asyncio.sleep(float(item))
            raise ZeroDivisionError
        finally:
            ended.append(item)

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as raised:
            await fan_out((1, 2, 3), work, concurrency=2, timeout=60.0)
        assert raised.group_contains(ZeroDivisionError)
        await asyncio.sleep(10.0)

    run_virtual(main())
    assert ended == [1, 2]


@given(items=st.lists(st.integers()), size=st.integers(1, 7))
def test_batches_are_full_and_lose_nothing(items: list[int], size: int) -> None:
    """Put together again they are the items; only the last one may be short."""
    cut = list(batches(items, size))
    assert [item for batch in cut for item in batch] == items
    assert all(len(batch) == size for batch in cut[:-1])
    assert all(cut)
