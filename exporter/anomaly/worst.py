"""The greatest value of late, in constant memory."""

from __future__ import annotations


class Worst:
    """The greatest value of the last ``window`` to twice as many seconds; zero without any."""

    def __init__(self, window: float = 10.0) -> None:
        self._window = window
        self._slice = 0
        self._this = self._before = 0.0

    def observe(self, value: float, now: float) -> None:
        """Take in one value; ``now`` is monotonic seconds."""
        self._turn(now)
        self._this = max(self._this, value)

    def read(self, now: float) -> float:
        """Return the greatest one."""
        self._turn(now)
        return max(self._this, self._before)

    def _turn(self, now: float) -> None:
        number = int(now / self._window)
        if number > self._slice:
            self._before = self._this if number == self._slice + 1 else 0.0
            self._this, self._slice = 0.0, number
