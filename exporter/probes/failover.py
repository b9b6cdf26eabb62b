"""REST requests beside the probes, sent to another address of the venue while one is dead.

Probes are not: they tell whether the address that people use works.
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.contracts import Fetch, FetchFailedError
from exporter.flow.addresses import Addresses
from exporter.model import Answer, Reason

_UNREACHED = (
    Reason.DNS,
    Reason.CONNECT_REFUSED,
    Reason.CONNECT_TIMEOUT,
    Reason.TLS,
    Reason.CERT_EXPIRED,
)


class FailoverFetch:
    """A `Fetch` for URLs below ``base``, which stands for any of ``addresses``."""

    def __init__(self, fetch: Fetch, base: str, addresses: Addresses) -> None:
        self._fetch, self._base, self._addresses = fetch, base, addresses

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        """Ask the address that works as far as is known. Raises FetchFailedError."""
        address = self._addresses.pick()
        try:
            answer = await self._fetch(
                method,
                address + url.removeprefix(self._base),
                headers=headers,
                timeout=timeout,
                body_limit=body_limit,
                body=body,
            )
        except FetchFailedError as error:
            if error.reason in _UNREACHED:
                self._addresses.failed(address)
            raise
        self._addresses.worked(address)
        return answer
