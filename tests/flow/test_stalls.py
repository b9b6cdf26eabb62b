"""Stalls of the event loop, in virtual time."""

from __future__ import annotations

import asyncio

from exporter.flow.stalls import BEAT, UNWATCHED, LoopStalls
from tests.fakes import run_virtual


def test_a_stall_is_known_from_its_overdue_beat_until_its_traces_are_read() -> None:
    """Whether readers run before the beat or after it, they hear of the stall."""

    async def main() -> list[float | None]:
        stalls, heard = LoopStalls(), list[float | None]()
        await stalls.beat(100.0)
        heard.append(stalls.since(100.0 + BEAT))
        heard.append(stalls.since(102.0))  # read before the beat of this turn
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stalls.beat(102.0))
            await asyncio.sleep(0)
            heard.append(stalls.since(102.01))  # read after it
        heard.append(stalls.since(102.01))
        return heard

    assert run_virtual(main()) == [None, 100.0, 100.0, None]


def test_beats_in_time_and_no_beats_at_all_are_no_stall() -> None:
    """What nobody watches is not suspected."""

    async def main() -> list[float | None]:
        stalls, heard = LoopStalls(), list[float | None]()
        for number in range(10):
            await stalls.beat(number * BEAT * 1.5)
            heard.append(stalls.since(number * BEAT * 1.5))
        return heard

    assert run_virtual(main()) == [None] * 10
    assert UNWATCHED.since(1e9) is None
