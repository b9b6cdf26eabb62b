"""Whether a silent subscription missed anything: its silence compared with the venue's REST API.

A stream that is connected and acknowledged but delivers nothing looks exactly like a market without
trades. Only the state of the market shows whether the stream should have delivered something.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.model import MarketState, SilenceVerdict

# A trade may have left the venue just before the silence began, by two clocks and their error.
_MARGIN = 2.0
_LASTS = 3.0  # turns for which the word that a market is quiet is taken


@dataclass(slots=True)
class CrossChecked:
    """One subscription; it is asked about at most once in ``every`` seconds. Times: epoch seconds.

    What REST says of a silence lasts until data comes: asking the venue again for the same topic
    does not make its silence another one.
    """

    every: float
    verdict: SilenceVerdict | None = None  # of the silence that goes on
    asked: float = 0.0
    _count: int = 0
    _since: float = 0.0  # from when on the stream owes us what happened
    _first: MarketState | None = None
    _quiet: float = 0.0  # until when nothing had happened, as far as was asked

    def update(self, count: int, since: float) -> None:
        """Take how many messages have come, and since when none has although it was asked for."""
        if count != self._count:
            self.verdict, self._first = None, None
        elif since != self._since:
            self._first = None  # subscribed again: what came before was lost, and is known
        self._count, self._since = count, since

    def due(self, now: float, patience: float) -> bool:
        """Return whether to ask, for a silence longer than ``patience`` seconds."""
        return now - self._since > patience and now - self.asked >= self.every

    def judge(self, glance: MarketState | None, at: float, offset: float) -> SilenceVerdict | None:
        """Take what the market looked like at ``at``, None where nobody said; return the verdict.

        To be called after a moment in which the stream could have brought the same. ``offset`` is
        the venue's clock minus ours. None: one glance without a time proves nothing yet.
        """
        self.asked = at
        if glance is None:
            if self.verdict is not SilenceVerdict.MOVED:
                self.verdict = SilenceVerdict.UNKNOWN
            return SilenceVerdict.UNKNOWN
        first = self._first
        if first is None:
            self._first = glance
        newer = glance.time is not None and glance.time - offset > self._since + _MARGIN
        if newer or (first is not None and glance.state != first.state):
            self.verdict = SilenceVerdict.MOVED
            return self.verdict
        if first is None and glance.time is None:
            return None
        if self.verdict is not SilenceVerdict.MOVED:
            self.verdict, self._quiet = SilenceVerdict.QUIET, at
        return self.verdict

    def stale_after(self, usual: float, floor: float, last: float) -> float:
        """Return how long the subscription may be silent, where ``usual`` was learnt, in seconds.

        A market that moved leaves no more than the ``floor``; one that was quiet until now is no
        reason to call a subscription stale that was ``last`` heard long ago.
        """
        if self.verdict is SilenceVerdict.MOVED:
            return floor
        if self._quiet > last:
            return max(usual, self._quiet - last + _LASTS * self.every)
        return usual

    def reset(self) -> None:
        """Forget the silence: the connection is gone, and with it what it owed us."""
        self.verdict, self._first, self._quiet = None, None, 0.0
