"""Rate limits of one exchange's connection attempts, and bans announced in refused handshakes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exporter.contracts import Clock
from exporter.flow.rate_limit import Ban, RateBudget
from exporter.model import Answer, Reason
from exporter.probes import probe

log = logging.getLogger(__name__)

_LOOK_EVERY = 60.0  # seconds between two looks at a ban, which may last for days
_PATIENCE = 600.0  # seconds in line for a limit, after which the log says so


def _nothing_wrong(answer: Answer) -> Reason | None:
    return None


def _nobody(answer: Answer) -> None:
    """Tell nobody of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectAdmission:
    """Admits what all streams of one exchange send before they are open, over its own means.

    ``attempts`` is the venue's limit of connection attempts, None where it has none; ``requests``
    are its limits of REST requests. ``answered`` hears every answer, a refused handshake among
    them, and ``fault`` says what it means.
    """

    exchange: str
    clock: Clock
    ban: Ban
    attempts: RateBudget | None = None
    requests: Sequence[RateBudget] = ()
    fault: Callable[[Answer], Reason | None] = _nothing_wrong
    answered: Callable[[Answer], None] = _nobody

    async def wait_attempt(self) -> None:
        """Wait, for as long as it takes, until one more attempt to connect may be made."""
        while not self.ban.admit():
            await self.clock.sleep(min(self.ban.left(), _LOOK_EVERY))
        if self.attempts is not None:
            await self._wait_in_line(self.attempts, 1)

    async def wait_request(self, weight: int) -> None:
        """Wait, for as long as it takes, until a REST request of ``weight`` may be sent."""
        for budget in self.requests:
            await self._wait_in_line(budget, min(weight, budget.rules.weight))

    def refused(self, answer: Answer) -> float:
        """Have the exchange rest if an answer says so; return how long its asker must, seconds."""
        self.answered(answer)
        return probe.heed(answer, self.fault, self.ban, self.clock.wall())

    async def _wait_in_line(self, budget: RateBudget, weight: int) -> None:
        while True:
            try:
                await budget.wait_acquired(weight, _PATIENCE)
            except TimeoutError:
                log.warning("stream_held_back exchange=%s reason=limits", self.exchange)
            else:
                return
