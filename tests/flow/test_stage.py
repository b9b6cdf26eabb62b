"""What a stage accepts is worked on or told to the dead letters, never both, never neither."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.flow.queue import Queue
from exporter.flow.stage import PipelineStage
from exporter.model import QueuePolicy
from tests.fakes import run_virtual

ITEMS = st.lists(st.tuples(st.sampled_from(("good", "bad", "slow")), st.floats(0.0, 3.0)))


def _queue(capacity: int = 3) -> Queue[tuple[str, float, int]]:
    return Queue(capacity, QueuePolicy.BLOCK, now=lambda: asyncio.get_running_loop().time())


async def _drained(queue: Queue[tuple[str, float, int]]) -> list[tuple[str, float, int]]:
    return [await queue.get() for _ in range(queue.depth)]  # which does not wait


@given(items=ITEMS, workers=st.integers(1, 3), stop=st.one_of(st.none(), st.floats(0.0, 20.0)))
def test_nothing_accepted_is_lost(
    items: list[tuple[str, float]], workers: int, stop: float | None
) -> None:
    """Through two stages with a bounded queue between them; cancelled at any time, or drained."""
    done: list[int] = []
    dead: list[int] = []
    put: list[int] = []

    async def main() -> None:
        first, second = _queue(), _queue(1)

        async def hand_on(item: tuple[str, float, int]) -> None:
            await second.put(item)

        async def work(item: tuple[str, float, int]) -> None:
            kind, duration, _ = item
            await asyncio.sleep(60.0 if kind == "slow" else duration)
            if kind == "bad":
                raise LookupError(kind)
            done.append(item[2])

        def bury(item: tuple[str, float, int], error: BaseException) -> None:
            dead.append(item[2])

        stages = [
            PipelineStage("one", first, hand_on, dead=bury, expected=(), workers=workers,
                  timeout=1e6),
            PipelineStage("two", second, work, dead=bury, expected=(LookupError,), workers=workers,
                  timeout=5.0),
        ]  # fmt: skip

        async def feed() -> None:
            for number, (kind, duration) in enumerate(items):
                await first.put((kind, duration, number))
                put.append(number)
            first.close()

        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(stage.run()) for stage in stages]
            feeding = tasks.create_task(feed())
            if stop is None:
                await running[0]
                second.close()
            else:
                await asyncio.sleep(stop)
                for each in (feeding, *running):
                    each.cancel()
        left = [item[2] for queue in (first, second) for item in await _drained(queue)]
        assert sorted(done + dead + left) == sorted(put + [n for n in left if n not in put])
        if stop is None:
            assert left == []
            assert set(dead) == {n for n, (kind, _) in enumerate(items) if kind != "good"}

    run_virtual(main())


def test_a_fault_of_ours_ends_the_stage_and_keeps_the_item() -> None:
    """It is raised for the supervisor, after its item was told to the dead letters."""
    dead: list[str] = []

    async def main() -> None:
        queue: Queue[str] = Queue(3, now=lambda: 0.0)

        async def work(item: str) -> None:
            raise ZeroDivisionError

        stage = PipelineStage(
            "x", queue, work, dead=lambda item, error: dead.append(item), expected=()
        )
        queue.offer("one")
        with pytest.raises(ExceptionGroup):
            await stage.run()

    run_virtual(main())
    assert dead == ["one"]
