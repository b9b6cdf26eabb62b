"""Whoever asks gets an answer, an error or a timeout; who is asked is never flooded."""

from __future__ import annotations

import asyncio

import pytest

from exporter.flow.mailbox import Mailbox, MailboxFullError, UnansweredError
from tests.fakes import run_virtual


async def _double(question: int) -> int:
    if question < 0:
        raise ValueError("negative")
    if question == 0:
        raise ZeroDivisionError
    await asyncio.sleep(1.0)
    return 2 * question


def test_answers_come_in_the_order_of_asking() -> None:
    """Each who asks gets the answer to his own question, one at a time."""

    async def main() -> None:
        mailbox: Mailbox[int, int] = Mailbox()
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            owner = tasks.create_task(mailbox.serve(_double))
            asked = [tasks.create_task(mailbox.ask(n, 10.0)) for n in (1, 2, 3)]
            assert [await each for each in asked] == [2, 4, 6]
            assert asyncio.get_running_loop().time() - began == 3.0
            owner.cancel()

    run_virtual(main())


def test_an_expected_error_is_an_answer() -> None:
    """It reaches who asked, and the owner goes on; so does one posted without a wish to know."""

    async def main() -> None:
        mailbox: Mailbox[int, int] = Mailbox()
        async with asyncio.TaskGroup() as tasks:
            owner = tasks.create_task(mailbox.serve(_double))
            mailbox.post(-1)
            with pytest.raises(ValueError, match="negative"):
                await mailbox.ask(-1, 10.0)
            assert await mailbox.ask(4, 10.0) == 8
            owner.cancel()

    run_virtual(main())


def test_a_fault_of_ours_ends_the_owner_and_tells_everyone_who_waits() -> None:
    """Nobody waits for ever for an owner that is gone; the fault itself is the supervisor's."""

    async def main() -> None:
        mailbox: Mailbox[int, int] = Mailbox()
        asked = [asyncio.ensure_future(mailbox.ask(n, 10.0)) for n in (0, 1)]  # noqa: TID251
        await asyncio.sleep(0)
        with pytest.raises(ZeroDivisionError):
            await mailbox.serve(_double)
        for each in asked:
            with pytest.raises(UnansweredError):
                await each
        assert mailbox.depth == 0

    run_virtual(main())


def test_a_question_that_nobody_waits_for_is_not_looked_at() -> None:
    """A timeout takes the question back; what is under way is finished all the same."""
    seen: list[int] = []

    async def note(question: int) -> int:
        seen.append(question)
        await asyncio.sleep(5.0)
        return question

    async def main() -> None:
        mailbox: Mailbox[int, int] = Mailbox(capacity=2)
        async with asyncio.TaskGroup() as tasks:
            owner = tasks.create_task(mailbox.serve(note))
            async with asyncio.TaskGroup() as askers:
                for n in (1, 2):
                    askers.create_task(_times_out(mailbox, n))
            await asyncio.sleep(0)
            assert await mailbox.ask(3, 20.0) == 3
            owner.cancel()

    run_virtual(main())
    assert seen == [1, 3]


async def _times_out(mailbox: Mailbox[int, int], question: int) -> None:
    with pytest.raises(TimeoutError):
        await mailbox.ask(question, 2.0)


def test_a_full_mailbox_refuses_at_once() -> None:
    """No more than its capacity wait, and a place that was given up is free again."""

    async def main() -> None:
        mailbox: Mailbox[int, int] = Mailbox(capacity=2)
        async with asyncio.TaskGroup() as askers:
            for n in (1, 2):
                askers.create_task(_times_out(mailbox, n))
            await asyncio.sleep(0)
            with pytest.raises(MailboxFullError):
                await mailbox.ask(3, 1.0)
            assert mailbox.depth == 2
        mailbox.post(4)
        assert mailbox.depth == 1

    run_virtual(main())
