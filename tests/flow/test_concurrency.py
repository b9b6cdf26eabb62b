"""Whoever is stuck holds his own slots and nobody else's."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.flow.concurrency import FairSemaphore, FairShare
from tests.fakes import run_virtual


@given(
    total=st.integers(1, 8),
    work=st.lists(st.tuples(st.integers(0, 3), st.floats(0.1, 5.0)), max_size=30),
)
def test_neither_bound_is_ever_exceeded(total: int, work: list[tuple[int, float]]) -> None:
    """At no moment do more run than there are slots, nor more of one share than is its part."""
    running = [0, 0, 0, 0]

    async def main() -> None:
        slots = FairSemaphore(total)
        shares = [slots.share(4) for _ in running]

        async def one(who: int, duration: float) -> None:
            async with shares[who]:
                running[who] += 1
                assert sum(running) <= total
                assert running[who] <= max(1, total // 4)
                await asyncio.sleep(duration)
                running[who] -= 1

        async with asyncio.TaskGroup() as tasks:
            for who, duration in work:
                tasks.create_task(one(who, duration))

    run_virtual(main())
    assert running == [0, 0, 0, 0]


def test_a_stalled_share_leaves_the_others_alone() -> None:
    """However many wait in one share, another gets its slot at once."""

    async def main() -> float:
        slots = FairSemaphore(4)
        stuck, free = slots.share(2), slots.share(2)
        async with asyncio.TaskGroup() as tasks:
            held = [tasks.create_task(_hold(stuck, 1000.0)) for _ in range(50)]
            await asyncio.sleep(0)
            async with free:
                begun = asyncio.get_running_loop().time()
            for each in held:
                each.cancel()
        return begun

    assert run_virtual(main()) == 0.0


async def _hold(share: FairShare, duration: float) -> None:
    async with share:
        await asyncio.sleep(duration)


def test_who_is_cancelled_while_waiting_gives_back_what_he_held() -> None:
    """Cancelled between its own and the common bound, a share loses no slot."""

    async def main() -> None:
        slots = FairSemaphore(1)
        first, second = slots.share(1), slots.share(1)
        async with first:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0), second:
                    pytest.fail("two at a time")
        async with asyncio.timeout(1.0), second:
            pass

    run_virtual(main())


def test_absurd_bounds_are_refused() -> None:
    """No slots at all would be a standstill."""
    with pytest.raises(ValueError, match="at least 1"):
        FairSemaphore(0)
