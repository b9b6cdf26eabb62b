"""Requests for a venue's public lists, within its rate limits: markets, volumes, states."""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import uniform
from typing import TypeVar

from exporter import config as settings
from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.flow.breaker import Breaker
from exporter.logs import SPARING
from exporter.model import Probed, Skip, Target
from exporter.probes import rest_request
from exporter.probes.context import ExchangeContext
from exporter.probes.discovery import LONGEST_LIST, TIMEOUT
from exporter.probes.exchange_probes import ExchangeProbes

log = logging.getLogger(__name__)

_JITTER = 0.1  # of the interval: exchanges are not all asked at once
PATIENCE = 60.0  # seconds that a request may wait for the rate limits

T = TypeVar("T")


def jittered(interval: float) -> float:
    """Return the seconds until lists are requested again."""
    return interval * uniform(1.0 - _JITTER, 1.0 + _JITTER)


class VenueLists:
    """Requests lists of one kind from one exchange; the kind is named in the log."""

    def __init__(
        self,
        configured: settings.ExchangeConfig,
        venue: Venue,
        around: ExchangeContext,
        probing: ExchangeProbes,
        kind: str,
    ) -> None:
        self._of = configured.name, kind
        self._venue = venue
        self._around, self._probing = around, probing
        self._url = settings.site(configured, venue).rest_urls[0]
        # As for every endpoint: after failures there is a pause.
        self._breaker = Breaker(settings.breaker_rules(configured, kind))

    async def ask(
        self, path: str, weight: int, read: Callable[[bytes], T], body: bytes | None = None
    ) -> T | None:
        """Request one list and return what ``read`` makes of it; None without an answer.

        ``body`` is posted.
        """
        exchange, kind = self._of
        target = Target(
            exchange=exchange,
            endpoint=kind,
            url=self._url + path,
            method="GET" if body is None else "POST",
            headers={} if body is None else {"Content-Type": "application/json"},
            body=body,
            timeout=TIMEOUT,
            body_limit=LONGEST_LIST,
            weight=weight,
        )
        found = await rest_request.ask(
            target,
            read,
            venue=self._venue,
            around=self._around,
            probing=self._probing,
            breaker=self._breaker,
            patience=PATIENCE,
        )
        if isinstance(found, Skip):
            log.info("markets_not_asked exchange=%s list=%s reason=%s", *self._of, found)
        elif isinstance(found, Probed):
            log.warning(
                "markets_not_read exchange=%s list=%s reason=%s detail=%r",
                *self._of, found.reason, found.detail[:200], extra=SPARING,
            )  # fmt: skip
        elif isinstance(found, ParseError):
            log.warning(
                "markets_unreadable exchange=%s list=%s reason=%r",
                *self._of, str(found)[:200], extra=SPARING,
            )  # fmt: skip
        else:
            return found
        return None
