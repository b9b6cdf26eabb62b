"""Keepalive of a connection by pings: measures the round trip and detects a dead peer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Keepalive:
    """Sends a numbered ping ``every`` so many seconds, and waits ``timeout`` seconds for its pong.

    ``excused`` says that an answer may have come and was not read: late is then not lost.
    """

    def __init__(
        self,
        *,
        every: float,
        timeout: float,
        send: Callable[[bytes], None],
        on_rtt: Callable[[float], None],
        on_timeout: Callable[[], None],
        excused: Callable[[], bool],
    ) -> None:
        self._every, self._timeout = every, timeout
        self._send, self._on_rtt, self._on_timeout = send, on_rtt, on_timeout
        self._excused = excused
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._sent: float | None = None  # when the unanswered ping was sent, by the loop's clock
        self._timer = self._loop.call_later(every, self._beat)

    def _beat(self) -> None:
        if self._sent is None:
            self._number += 1
            self._sent = self._loop.time()
            self._timer = self._loop.call_later(self._timeout, self._beat)
            self._send(str(self._number).encode())
        elif self._excused():
            self._timer = self._loop.call_later(self._timeout, self._beat)
        else:
            self._on_timeout()

    def pong(self, payload: bytes) -> None:
        """Take a pong. Unsolicited ones are allowed (RFC 6455, section 5.5.3), and mean nothing."""
        if self._sent is None or payload != str(self._number).encode():
            return
        rtt = self._loop.time() - self._sent
        self._sent = None
        self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, self._every - rtt), self._beat)
        self._on_rtt(rtt)

    def stop(self) -> None:
        """Send no more."""
        self._timer.cancel()
