"""For how long bytes may have waited until we read them: nothing stamps a stream's.

A read that leaves nothing behind took what had arrived since the one before. While the event loop
goes round that is a moment; after a stall of it, or where we read more slowly than it comes, it is
our lateness, and must not be taken for the exchange's.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from exporter.flow.stalls import LoopStalls

MUCH: Final = 32 << 10  # bytes of one read that may have left something behind
_PRESSED: Final = 256 << 10  # unread bytes with which TCP may hold the sender back
_CALM: Final = (
    0.25  # seconds with few unread bytes (`MUCH`) after which it holds nothing back any more
)


class ReadBacklog:
    """Follows one connection's unread bytes, ``unread`` gives their number; times monotonic.

    Whatever is read next came after ``_since``, and once ``_left`` bytes more are read, after
    ``_mark``: that many were there then. With TLS they are more on the wire than are handed to us,
    so that the wait seems a little longer than it is. Where very many are there, more may wait at
    the sender, for nobody knows how long: then ``_since`` stays until it was calm.
    """

    __slots__ = ("_calm", "_left", "_mark", "_pressed", "_since", "_stalls", "_unread", "behind")

    def __init__(self, unread: Callable[[], int], stalls: LoopStalls) -> None:
        self._unread, self._stalls = unread, stalls
        self.behind = False  # whether something was left behind, here or at the sender
        self._pressed, self._calm = False, inf  # since when little is unread
        self._since = self._mark = 0.0
        self._left = 0

    def read(self, size: int, now: float) -> float:
        """Return for how many seconds, at most, the ``size`` bytes just read have waited."""
        if now - self._calm > _CALM:
            self.behind, self._pressed, self._calm = False, False, inf
        since = self._since
        if not self.behind:
            stall = self._stalls.since(now)
            since = now if stall is None else stall
        self._left -= size
        left = self._unread()
        self._pressed = self._pressed or left > _PRESSED
        if left and not self.behind:
            self._leave(since, now, left)
        elif self._pressed:
            self._calm = inf if left > MUCH else min(self._calm, now)
        elif not left:
            self.behind = False
        elif self._left <= 0:
            self._leave(self._mark, now, left)
        return now - since

    def pause(self, now: float) -> None:
        """Note that nothing is read from now on, until `read` says otherwise."""
        if not self.behind:
            self._leave(now, now, self._unread())

    def _leave(self, since: float, now: float, left: int) -> None:
        self.behind = True
        self._since, self._mark, self._left = since, now, left
