"""REST requests beside the probes go to another address of the venue while one is dead."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from exporter.contracts import FetchFailedError
from exporter.flow.addresses import Addresses
from exporter.model import Answer, Reason
from exporter.probes.failover import FailoverFetch


class Venue:
    """Hosts of which some fail, and what they were asked."""

    def __init__(self) -> None:
        self.fails: dict[str, Reason] = {}
        self.asked: list[str] = []

    async def fetch(self, method: str, url: str, **_: object) -> Answer:
        self.asked.append(url)
        host = url.split("/")[2]
        if host in self.fails:
            raise FetchFailedError(self.fails[host])
        return Answer(status=500, headers={}, body=b"", new_connection=True, phases={})


@pytest.mark.parametrize(
    ("reason", "second"),
    [
        (Reason.DNS, "b"),
        (Reason.CONNECT_REFUSED, "b"),
        (Reason.CONNECT_TIMEOUT, "b"),
        (Reason.TLS, "b"),
        (Reason.READ_TIMEOUT, "a"),  # it answered the handshake: slow, not gone
        (Reason.LOCAL_RESOURCE, "a"),
    ],
)
def test_who_cannot_be_reached_is_not_asked_again_at_once(reason: Reason, second: str) -> None:
    """The path stays the same; whatever is answered, a 500 too, shows that somebody is there."""
    venue = Venue()
    venue.fails["a"] = reason
    hosts = Addresses("x", ["http://a", "http://b"], lambda: 0.0)
    fetch = FailoverFetch(venue.fetch, "http://a", hosts)

    async def ask() -> None:
        for _ in range(2):
            with suppress(FetchFailedError):
                await fetch("GET", "http://a/depth?s=1", headers={}, timeout=1.0, body_limit=9)

    asyncio.run(ask())
    assert venue.asked == ["http://a/depth?s=1", f"http://{second}/depth?s=1"]
