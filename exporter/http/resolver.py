"""Name resolution in threads: a slow name server delays only requests for its own names.

The system's resolver blocks, for up to tens of seconds, and knows no deadline. Each name is asked
for in a thread of pools that nothing else uses, once at a time for all who want it. (An
asynchronous resolver such as c-ares would need no threads, but does not read what the system is
configured to read: NSS, mDNS, systemd-resolved.) While the answer is awaited for longer than a
moment, the last good one stands in, as RFC 8767 has it ("Serving Stale Data to Improve DNS
Resiliency", section 5).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from threading import Lock
from time import monotonic
from typing import Final, TypeAlias

from exporter.flow.workers import Workers, WorkersBusyError

log = logging.getLogger(__name__)

Addresses: TypeAlias = tuple[tuple[int, str], ...]  # family, address; in the system's order

_MOST: Final = 1000  # names remembered


def system_lookup(name: str) -> Addresses:
    """Ask the system for all addresses of a name. Raises OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys((int(family), str(at[0])) for family, _, _, _, at in found))


def _shortage() -> OSError | None:
    """Return the error of opening a socket now, if there is one.

    Without a descriptor the system's resolver says that it knows no such name, or to try again.
    """
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError as error:
        return error
    return None


class Resolver:
    """Looks names up; may be shared by several event loops. Durations in seconds.

    A lookup is waited for during ``timeout``, or ``patience`` where a good answer is known that is
    no older than ``stale``. ``lookup`` blocks. Names that were late last time have threads apart.
    """

    def __init__(
        self,
        lookup: Callable[[str], Addresses] = system_lookup,
        *,
        timeout: float = 5.0,
        patience: float = 0.5,
        stale: float = 600.0,
        threads: int = 24,
        late_threads: int = 8,
    ) -> None:
        self._lookup = lookup
        self._timeout, self._patience, self._stale = timeout, patience, stale
        self._prompt = Workers("names", threads)
        self._tardy = Workers("late-names", late_threads)
        self._lock = Lock()
        self._asked: dict[str, Future[Addresses | OSError]] = {}
        self._good: OrderedDict[str, tuple[float, Addresses]] = OrderedDict()
        self._late: set[str] = set()

    async def resolve(self, name: str) -> Addresses:
        """Return all addresses of a name, each with its family. Raises OSError."""
        with suppress(ValueError):
            literal = ipaddress.ip_address(name)
            return ((int(socket.AF_INET if literal.version == 4 else socket.AF_INET6), name),)
        known = self._known(name)
        try:
            asked = self.ask(name)
        except WorkersBusyError:
            if known is None:
                raise
            return known
        result = await _wait_done(asked, self._timeout if known is None else self._patience)
        if isinstance(result, OSError):
            raise result.with_traceback(None)
        if result is not None:
            return result
        if name not in self._late:
            log.warning("name_lookup_late name=%s known=%s", name, known is not None)
            self._remember_late(name)
        if known is not None:
            return known
        why = f"no answer about the name within {self._timeout:g} s"
        raise socket.gaierror(socket.EAI_AGAIN, why)

    def ask(self, name: str) -> Future[Addresses | OSError]:
        """Return the lookup of a name that is under way, or begin one. Raises WorkersBusyError."""
        with self._lock:
            asked = self._asked.get(name)
            if asked is None:
                workers = self._tardy if name in self._late else self._prompt
                self._late.discard(name)  # until it is late again
                asked = self._asked[name] = workers.submit(partial(self._answer, name))
            return asked

    def _answer(self, name: str) -> Addresses | OSError:
        """Look a name up, in a thread, and keep what is good; an error is a value here."""
        result: Addresses | OSError
        try:
            result = self._lookup(name)
        except (OSError, UnicodeError) as error:
            result = error if isinstance(error, OSError) else socket.gaierror(0, str(error))
            result = _shortage() or result
        with self._lock:
            del self._asked[name]
            if not isinstance(result, OSError):
                self._good[name] = (monotonic(), result)
                self._good.move_to_end(name)
                if len(self._good) > _MOST:
                    self._good.popitem(last=False)
        return result

    def _known(self, name: str) -> Addresses | None:
        since, addresses = self._good.get(name, (0.0, ()))
        return addresses if addresses and monotonic() - since <= self._stale else None

    def _remember_late(self, name: str) -> None:
        with self._lock:
            if len(self._late) >= _MOST:
                self._late.clear()
            self._late.add(name)


async def _wait_done(
    asked: Future[Addresses | OSError], patience: float
) -> Addresses | OSError | None:
    """Wait for a lookup that others may wait for, too; None when it takes too long."""
    loop = asyncio.get_running_loop()
    waited: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not waited.done():
            waited.set_result(None)

    def note(_: object) -> None:
        with suppress(RuntimeError):  # the loop that asked is closed by now
            loop.call_soon_threadsafe(wake)

    asked.add_done_callback(note)
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await waited
    return asked.result() if asked.done() else None


NAMES: Final = Resolver()


async def resolve(name: str) -> Addresses:
    """Return all addresses of a name, each with its family. Raises OSError."""
    return await NAMES.resolve(name)
