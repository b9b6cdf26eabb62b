"""Names: each is asked for once at a time, in time, and the last good answer stands in."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from threading import Event, Lock
from typing import Final

import pytest

from exporter.http.resolver import Addresses, Resolver, resolve

HERE: Final[Addresses] = ((int(socket.AF_INET), "127.0.0.1"),)
THERE: Final[Addresses] = ((int(socket.AF_INET), "127.0.0.2"),)


class NameServer:
    """Answers at once, but for names that hang until it is told otherwise."""

    def __init__(self, *silent: str) -> None:
        self.silent, self.asked = set(silent), list[str]()
        self.answer: Addresses | OSError = HERE
        self.speak = Event()
        self.ended = 0  # lookups that hung
        self._lock = Lock()

    def __call__(self, name: str) -> Addresses:
        with self._lock:
            self.asked.append(name)
        if name in self.silent:
            assert self.speak.wait(60)
            with self._lock:
                self.ended += 1
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


def test_addresses_need_no_lookup() -> None:
    """A literal address is its own answer."""
    server = NameServer()

    async def run() -> None:
        resolver = Resolver(server)
        assert await resolver.resolve("127.0.0.1") == HERE
        assert await resolver.resolve("::1") == ((int(socket.AF_INET6), "::1"),)

    asyncio.run(run())
    assert server.asked == []


def test_the_system_is_asked() -> None:
    """A name of the system's own tables has its addresses; one that is none is refused as such."""
    assert ("127.0.0.1" in {at for _, at in asyncio.run(resolve("localhost"))}) or (
        "::1" in {at for _, at in asyncio.run(resolve("localhost"))}
    )
    with pytest.raises(socket.gaierror):
        asyncio.run(resolve("a" * 70 + ".invalid"))


def test_one_lookup_for_all_who_wait() -> None:
    """Fifty wait for one name that hangs: one thread, and all are answered when it speaks."""
    server = NameServer("slow")

    async def run() -> None:
        resolver = Resolver(server, timeout=60.0)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(resolver.resolve("slow")) for _ in range(50)]
            await asyncio.sleep(0)
            server.speak.set()
        assert {task.result() for task in tasks} == {HERE}

    asyncio.run(run())
    assert server.asked == ["slow"]


def test_silence_has_a_limit_and_costs_others_nothing() -> None:
    """Names that hang end as failures of name resolution; there are threads left for others."""
    silent = [f"silent{number}" for number in range(10)]
    server = NameServer(*silent)

    async def run() -> None:
        resolver = Resolver(server, timeout=0.05, threads=12, late_threads=2)
        for _ in range(3):
            for name in silent:
                with pytest.raises(socket.gaierror, match=r"within 0\.05 s"):
                    await resolver.resolve(name)
            assert await resolver.resolve("healthy") == HERE
        server.speak.set()

    asyncio.run(run())
    assert sorted(server.asked) == sorted([*silent, "healthy", "healthy", "healthy"])


def test_the_late_wait_among_themselves() -> None:
    """Who was late before is asked for in threads apart, however many there are."""
    late = [f"late{number}" for number in range(8)]
    server = NameServer(*late)

    async def run() -> None:
        resolver = Resolver(server, timeout=0.05, patience=0.01, threads=8, late_threads=2)
        for name in late:
            with pytest.raises(socket.gaierror):
                await resolver.resolve(name)
        server.speak.set()  # the first lookups end, late as they are
        while server.ended < len(late):  # noqa: ASYNC110 - in other threads
            await asyncio.sleep(0.001)
        server.speak.clear()
        await asyncio.gather(*map(resolver.resolve, late))  # what is known stands in
        assert await resolver.resolve("healthy") == HERE
        server.speak.set()

    asyncio.run(run())


def test_the_last_good_answer_stands_in_while_a_new_one_is_awaited() -> None:
    """It does until the new one is there, but not for an answer that is a failure."""
    server = NameServer()

    async def run() -> None:
        resolver = Resolver(server, timeout=60.0, patience=0.01)
        assert await resolver.resolve("name") == HERE
        server.silent, server.answer = {"name"}, THERE
        assert await resolver.resolve("name") == HERE
        assert await resolver.resolve("name") == HERE
        server.speak.set()
        while await resolver.resolve("name") != THERE:
            pass
        server.answer = socket.gaierror(socket.EAI_NONAME, "no such name")
        with suppress(socket.gaierror):
            while await resolver.resolve("name"):
                pass
        with pytest.raises(socket.gaierror, match="no such name"):
            await resolver.resolve("name")

    asyncio.run(run())
    assert len(server.asked) >= 3


def test_what_is_too_old_stands_in_no_more() -> None:
    """A name server that is silent for long shows as what it is."""
    server = NameServer()

    async def run() -> None:
        resolver = Resolver(server, timeout=0.05, patience=0.01, stale=0.0)
        assert await resolver.resolve("name") == HERE
        server.silent = {"name"}
        with pytest.raises(socket.gaierror, match="no answer about the name"):
            await resolver.resolve("name")
        server.speak.set()

    asyncio.run(run())
