"""Failover between equivalent addresses of one service: the preferred one that works is used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

_REST = 300.0  # seconds for which an address that failed is left alone, while another may serve


class Addresses:
    """The addresses of one service, the preferred first; at least one. ``now`` is monotonic.

    An address that failed is tried again once its rest is over; when all of them rest, whichever
    failed longest ago. ``current`` is the one that was picked last.
    """

    def __init__(
        self, name: str, addresses: Sequence[str], now: Callable[[], float], rest: float = _REST
    ) -> None:
        if not addresses:
            raise ValueError(f"{name}: expected an address")
        self._name, self._now, self._rest = name, now, rest
        self._failed: dict[str, float | None] = dict.fromkeys(addresses)
        self.current = addresses[0]

    def pick(self) -> str:
        """Return the address to use next."""
        now, before = self._now(), self.current
        rested = (
            address
            for address, failed in self._failed.items()
            if failed is None or now - failed >= self._rest
        )
        self.current = next(rested, None) or min(
            self._failed, key=lambda address: self._failed[address] or 0.0
        )
        if self.current != before:
            log.warning("address_changed of=%s from=%s to=%s", self._name, before, self.current)
        return self.current

    def failed(self, address: str) -> None:
        """Leave an address alone for a while: it cannot be reached, or serves nothing."""
        if address in self._failed:
            self._failed[address] = self._now()

    def worked(self, address: str) -> None:
        """Forget that an address failed."""
        if address in self._failed:
            self._failed[address] = None
