"""Accepts connections for the web server: limits are checked before the TLS handshake.

asyncio's own server tells nobody of a connection before its TLS handshake is finished, so that
half-done ones could neither be counted nor make room.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from exporter.logs import SPARING
from exporter.web.connection_limits import ConnectionLimiter, ConnectionLimiters, client_of

log = logging.getLogger(__name__)

_AT_ONCE: Final = 64  # connections taken before others have their turn
_AGAIN: Final = 0.25  # seconds until the next try when descriptors ran out
_GOODBYE: Final = 1.0  # seconds for the other side's end of TLS, and for reading a refusal
_LEAVING: Final = 16  # connections at a time that were turned away and have not read it


class Listener:
    """Takes what connects to a bound socket; ``tls`` gives the context in force, None: plain.

    One descriptor is kept for the moment at which there is none left: who scrapes can then say so.
    """

    def __init__(
        self,
        bound: socket.socket,
        limiters: ConnectionLimiters,
        tasks: asyncio.TaskGroup,
        tls: Callable[[], ssl.SSLContext | None],
    ) -> None:
        self._socket, self._limiters, self._tasks, self._tls = bound, limiters, tasks, tls
        self._loop = asyncio.get_running_loop()
        self._spare: int | None = None
        self._again: asyncio.TimerHandle | None = None
        self._leaving = deque[socket.socket]()  # turned away, and not closed yet
        bound.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Take no more connections."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._let_go()
        while self._leaving:
            self._leaving.popleft().close()

    def _resume(self) -> None:
        self._again = None
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def _accept(self) -> None:
        """Take those that wait."""
        if self._spare is None:
            with suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        for _ in range(_AT_ONCE):
            try:
                connected, name = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE) and self._spare is not None:
                    self._let_go()
                    continue
                self._wait(error)
                return
            self._admit(connected, client_of(str(name[0])))

    def _wait(self, error: OSError) -> None:
        """Try again soon; a stranger's idle connection makes room meanwhile."""
        log.error("connection_not_accepted reason=%r", error.strerror, extra=SPARING)
        self._loop.remove_reader(self._socket.fileno())
        self._again = self._loop.call_later(_AGAIN, self._resume)
        self._limiters.make_room()

    def _let_go(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)

    def _admit(self, connected: socket.socket, client: str) -> None:
        connected.setblocking(False)
        admitted, tls = self._limiters.enter(client), self._tls()
        if isinstance(admitted, ConnectionLimiter):
            opening = self._tasks.create_task(
                self._open(admitted, connected, tls), name="web connection"
            )
            admitted.opening = opening
            opening.add_done_callback(lambda _: self._opened(admitted, connected))
        elif tls is None:
            self._turn_away(connected, admitted)
        else:
            connected.close()  # before a handshake nobody could read why

    async def _open(
        self, limiter: ConnectionLimiter, connected: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        """Shake hands; the limiters see to it that this does not take too long."""
        patience = None if tls is None else _GOODBYE
        try:
            await self._loop.connect_accepted_socket(
                lambda: limiter, connected, ssl=tls, ssl_shutdown_timeout=patience
            )
        except OSError as error:
            log.debug("connection_not_opened reason=%s", error)
        except Exception:  # nobody's handshake ends the server
            log.exception("connection_not_opened", extra=SPARING)

    def _opened(self, limiter: ConnectionLimiter, connected: socket.socket) -> None:
        """Let go of a connection that was not made; its task may not even have begun."""
        if limiter.transport is None:
            self._limiters.leave(limiter)
            connected.close()

    def _turn_away(self, connected: socket.socket, answer: bytes) -> None:
        """Answer, and close a little later: closed with a request unread, the answer is lost."""
        with suppress(OSError):
            connected.send(answer)
            connected.shutdown(socket.SHUT_WR)
        self._leaving.append(connected)
        if len(self._leaving) > _LEAVING:
            self._leaving.popleft().close()
        elif len(self._leaving) == 1:
            self._loop.call_later(_GOODBYE, self._end_leaving, 1)

    def _end_leaving(self, count: int) -> None:
        """Close those that were turned away before the last look."""
        for _ in range(min(count, len(self._leaving))):
            self._leaving.popleft().close()
        if self._leaving:
            self._loop.call_later(_GOODBYE, self._end_leaving, len(self._leaving))
