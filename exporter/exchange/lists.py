"""Lists that a venue keeps for everyone, asked for within its limits: markets, volumes, states."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from exporter import config as settings
from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.flow.breaker import Breaker
from exporter.logs import SPARING
from exporter.model import Probed, Skip, Target
from exporter.probes import probe
from exporter.probes.context import ExchangeContext
from exporter.probes.discovery import LONGEST_LIST, TIMEOUT
from exporter.probes.exchange_probes import ExchangeProbes

log = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds that a question waits for room in the limits

T = TypeVar("T")


class VenueLists:
    """Asks one exchange for its lists of one kind, whose name the log has. `ask` asks for one."""

    def __init__(
        self,
        configured: settings.ExchangeConfig,
        venue: Venue,
        around: ExchangeContext,
        probing: ExchangeProbes,
        kind: str,
    ) -> None:
        self._name, self._kind, self._fault = configured.name, kind, venue.fault
        self._around, self._probing = around, probing
        self._url = settings.site(configured, venue).rest_urls[0]
        # What refuses us is left alone for a while, as every endpoint is.
        self._breaker = Breaker(settings.breaker_rules(configured, kind))

    async def ask(self, path: str, weight: int, read: Callable[[bytes], T]) -> T | None:
        """Ask for one list within the venue's limits; None where none came."""
        target = Target(
            exchange=self._name,
            endpoint=self._kind,
            url=self._url + path,
            timeout=TIMEOUT,
            body_limit=LONGEST_LIST,
            weight=weight,
        )
        found: list[T] = []

        def report(done: Probed) -> None:
            if done.answer is not None:
                self._probing.answered(done.answer, target.url)
            if done.answer is None or done.reason is not None:
                log.warning(
                    "markets_not_read exchange=%s list=%s reason=%s detail=%r",
                    self._name, self._kind, done.reason, done.detail[:200], extra=SPARING,
                )  # fmt: skip
                return
            try:
                found.append(read(done.answer.body))
            except ParseError as error:
                log.warning(
                    "markets_unreadable exchange=%s list=%s reason=%r",
                    self._name, self._kind, str(error)[:200], extra=SPARING,
                )  # fmt: skip

        def skipped(target: Target, skip: Skip) -> None:
            log.info(
                "markets_not_asked exchange=%s list=%s reason=%s", self._name, self._kind, skip
            )

        await probe.once(
            target,
            fetch=self._around.fetch,
            clock=self._around.clock,
            readers=probe.Readers(fault=self._fault),
            slots=self._around.slots,
            gates=probe.Gates(
                breaker=self._breaker,
                budgets=self._probing.allowances,
                online=self._around.online,
            ),
            listeners=probe.Listeners(report=report, skipped=skipped),
            patience=PATIENCE,
        )
        return found[0] if found else None
