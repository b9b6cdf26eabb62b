"""TCP connections to names with several addresses: an unreachable one delays by 0.25 s.

Source: RFC 8305 (Happy Eyeballs, version 2), sections 4 and 5: families take turns, the next
address is tried 250 ms after the last one or as soon as that has failed, the first to answer wins.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from time import monotonic
from typing import Final

from exporter.flow.workers import WorkersBusyError
from exporter.http.resolver import Addresses
from exporter.http.tcp import TcpConnection, open_connection
from exporter.model import ConnectAttempt

DELAY: Final = 0.25  # seconds until the next address is tried as well
_MOST: Final = 16  # addresses tried for one connection
_FORGET: Final = 600.0  # seconds for which it counts what an address was
_REMEMBERED: Final = 1000  # addresses
# What our own system says of its routes tells less than what another machine answers.
_NO_ROUTE: Final = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


# Seconds by which this process is later than asked: more is nobody's fault but ours.
STALLED: Final = 1.0

# What we have run out of ourselves says nothing of the other side, in whatever phase.
_LOCAL: Final = (
    errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.ENOMEM, errno.ENOSPC,
    errno.EDQUOT,
)  # fmt: skip


def is_local(error: OSError) -> bool:
    """Return whether descriptors, buffers, ports, threads or room on disks of our own ran out."""
    if isinstance(error, WorkersBusyError):
        return True
    # The numbers of the others are of other tables.
    return error.errno in _LOCAL and not isinstance(error, socket.gaierror | ssl.SSLError)


class AddressMemory:
    """Which addresses let us connect last, and which did not; for all that connect.

    Both are forgotten after ten minutes, what was good from when it was first preferred: else all
    would go to one address for ever, and the order that a name server gives would spread nothing.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._known: OrderedDict[tuple[str, int], tuple[bool, float]] = OrderedDict()

    def note(self, address: str, port: int, *, good: bool) -> None:
        """Note how one attempt ended."""
        now = self._now()
        was_good, since = self._known.get((address, port), (False, now))
        kept = good and was_good and now - since <= _FORGET
        self._known[address, port] = (good, since if kept else now)
        self._known.move_to_end((address, port))
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def ordered(self, addresses: Sequence[tuple[int, str]], port: int) -> Addresses:
        """Return addresses as they should be tried: good, unknown, dead of late; families in turn.

        Within each, the system's order stands.
        """
        good, unknown, dead = [], [], []
        for each in addresses:
            was_good, since = self._known.get((each[1], port), (None, 0.0))
            if was_good is None or self._now() - since > _FORGET:
                unknown.append(each)
            elif was_good:
                good.append(each)
            else:
                dead.append(each)
        return (*_in_turn(good), *_in_turn(unknown), *_in_turn(dead))


def _in_turn(addresses: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield addresses with their families in turn, beginning with that of the first."""
    families: dict[int, list[tuple[int, str]]] = {}
    for each in addresses:
        families.setdefault(each[0], []).append(each)
    rows = chain.from_iterable(zip_longest(*families.values()))
    return (each for each in rows if each is not None)


_MEMORY: Final = AddressMemory()


class _Race:
    """The attempts of one connection, of which the first to succeed is kept."""

    def __init__(self, port: int, memory: AddressMemory, attempts: list[ConnectAttempt]) -> None:
        self.won: TcpConnection | None = None
        self.errors: list[OSError] = []
        self._port, self._memory, self._attempts = port, memory, attempts
        self._news = asyncio.Event()

    async def run(self, addresses: Sequence[tuple[int, str]]) -> None:
        """Try one address after the other until one lets us, or none is left."""
        left, running = deque(addresses), list[asyncio.Task[None]]()
        async with asyncio.TaskGroup() as group:
            while self.won is None and (left or len(self.errors) < len(running)):
                self._news.clear()
                if left:
                    running.append(group.create_task(self.attempt(*left.popleft())))
                with suppress(TimeoutError):
                    async with asyncio.timeout(DELAY if left else None):
                        await self._news.wait()
            for each in running:
                each.cancel()

    async def attempt(self, family: int, address: str) -> None:
        """Try one address, and note what came of it."""
        begun, outcome, good = monotonic(), "no answer", False
        try:
            connection = await open_connection(family, address, self._port)
            outcome, good = "connected", True
            if self.won is None:
                self.won = connection
            else:
                connection.close()
        except OSError as error:
            self.errors.append(error)
            outcome = os.strerror(error.errno) if error.errno else str(error)
        finally:
            took = monotonic() - begun - (connection.late if good else 0.0)
            lost = self.won is not None and outcome == "no answer"
            self._attempts.append(ConnectAttempt(address, took, "slower" if lost else outcome))
            if good or outcome != "no answer" or took > DELAY:
                self._memory.note(address, self._port, good=good)
            self._news.set()


async def connect(
    addresses: Sequence[tuple[int, str]],
    port: int,
    attempts: list[ConnectAttempt] | None = None,
    memory: AddressMemory = _MEMORY,
) -> TcpConnection:
    """Connect to the first address that answers; ``attempts`` takes what came of each.

    Raises OSError: of the addresses that failed, the last one that says more than that there is
    no route.
    """
    race = _Race(port, memory, [] if attempts is None else attempts)
    ordered = memory.ordered(addresses, port)[:_MOST]
    try:
        if len(ordered) == 1:  # as mostly: no task of its own
            await race.attempt(*ordered[0])
        else:
            await race.run(ordered)
    except BaseException:
        if race.won is not None:
            race.won.close()
        raise
    if race.won is None:
        raise _best(race.errors)
    return race.won


def _best(errors: Sequence[OSError]) -> OSError:
    telling = [each for each in errors if each.errno not in _NO_ROUTE]
    found = telling or errors
    return found[-1] if found else socket.gaierror(socket.EAI_NONAME, "the name has no address")
