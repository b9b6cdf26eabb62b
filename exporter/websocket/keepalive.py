"""Keepalive of a connection by pings: measures the round trip and detects a dead peer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from exporter.model import TAINTED


class Keepalive:
    """Sends a numbered ping ``every`` so many seconds, and waits ``timeout`` seconds for its pong.

    ``excused`` says that an answer may have come and was not read: late is then not lost. Nor is it
    where we are woken late ourselves. ``on_rtt`` hears None of a pong that was read late.
    """

    def __init__(
        self,
        *,
        every: float,
        timeout: float,
        send: Callable[[bytes], None],
        on_rtt: Callable[[float | None], None],
        on_timeout: Callable[[], None],
        excused: Callable[[], bool],
    ) -> None:
        self._every, self._timeout = every, timeout
        self._send, self._on_rtt, self._on_timeout = send, on_rtt, on_timeout
        self._excused = excused
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._sent: float | None = None  # when the unanswered ping was sent, by the loop's clock
        self._wait(every)

    def _beat(self) -> None:
        if self._sent is None:
            self._number += 1
            self._sent = self._loop.time()
            self._wait(self._timeout)
            self._send(str(self._number).encode())
        elif self._loop.time() - self._timer.when() > TAINTED or self._excused():
            self._wait(self._timeout)
        else:
            self._on_timeout()

    def _wait(self, duration: float) -> None:
        self._timer = self._loop.call_later(duration, self._beat)

    def pong(self, payload: bytes, *, late: bool = False) -> None:
        """Take a pong. Unsolicited ones are allowed (RFC 6455, section 5.5.3), and mean nothing."""
        if self._sent is None or payload != str(self._number).encode():
            return
        rtt = self._loop.time() - self._sent
        self._sent = None
        self._timer.cancel()
        self._wait(max(0.0, self._every - rtt))
        self._on_rtt(None if late else rtt)

    def stop(self) -> None:
        """Send no more."""
        self._timer.cancel()
