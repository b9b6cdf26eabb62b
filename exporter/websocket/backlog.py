"""For how long bytes may have waited in the kernel until we read them: nothing stamps a stream's.

A read that leaves nothing behind took what had arrived since the one before. While the event loop
goes round that is a moment; after a stall of it, or where we read more slowly than it comes, it is
our lateness, and must not be taken for the exchange's.
"""

from __future__ import annotations

from collections.abc import Callable

from exporter.flow.stalls import LoopStalls

MUCH = 32 << 10  # bytes of one read that may have left something behind


class ReadBacklog:
    """Follows one connection's unread bytes, ``unread`` gives their number; times monotonic.

    Whatever is read next came after ``_since``, and once ``_left`` bytes more are read, after
    ``_mark``: that many were there then. With TLS they are more on the wire than are handed to us,
    so that the wait seems a little longer than it is.
    """

    __slots__ = ("_left", "_mark", "_since", "_stalls", "_unread", "behind")

    def __init__(self, unread: Callable[[], int], stalls: LoopStalls) -> None:
        self._unread, self._stalls = unread, stalls
        self.behind = False  # whether something was left behind
        self._since = self._mark = 0.0
        self._left = 0

    def read(self, size: int, now: float) -> float:
        """Return for how many seconds, at most, the ``size`` bytes just read have waited."""
        since = self._since
        if not self.behind:
            stall = self._stalls.since(now)
            since = now if stall is None else stall
        self._left -= size
        left = self._unread()
        if not left:
            self.behind = False
        elif not self.behind:
            self._leave(since, now, left)
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
