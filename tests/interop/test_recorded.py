"""The short form of `make interop`: what other people's clients asked for is asked again.

The clients themselves are seventy packages and two hundred megabytes, and need minutes; so what
they sent and got, when all of it went well, is in `recorded.jsonl`. A venue that no longer answers
one of those requests, or leaves out a field that it then had, is seen here, offline and in seconds.
"""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

import exporter.simulator.venues as simulated
from exporter.simulator import Simulator
from exporter.simulator.more import WIRES
from tests.interop.asking import answers, frames, missing
from tests.interop.recording import Asked, read

RECORDED = read()
VENUES = sorted({one.venue for one in RECORDED})
CLIENTS = {"ccxt", "cryptofeed", "pybit", "python_binance", "python_kraken_sdk", "python_okx"}


def test_every_client_and_every_venue_is_in_the_recording() -> None:
    """Each client was there, and each simulated venue was asked over REST and over a stream."""
    assert {client for asked in RECORDED for client in asked.by} == CLIENTS
    for stream in (False, True):
        assert {one.venue for one in RECORDED if one.stream is stream} >= {
            *simulated.names(),
            *WIRES,
        }


@pytest.mark.parametrize("venue", VENUES)
def test_what_clients_asked_for_is_still_answered(venue: str) -> None:
    """Every request gets its answer, every subscription its frames, with all their fields."""

    async def again(simulator: Simulator, asked: Asked, http: aiohttp.ClientSession) -> str:
        if asked.stream:
            seen = await frames(simulator, asked, http, seconds=30.0, wanted=asked.shapes)
        else:
            seen = await answers(simulator, asked, http)
        gone = missing(asked.shapes, seen)
        return f"{asked.by} {asked.target} {asked.sent}: {gone[0]}" if gone else ""

    async def run() -> None:
        own = [one for one in RECORDED if one.venue == venue]
        connections = aiohttp.TCPConnector(limit=0)
        async with (
            Simulator(own_ports=True, limited=False, venue_names=[venue], rate=20) as simulator,
            aiohttp.ClientSession(connector=connections) as http,
        ):
            found = await asyncio.gather(*(again(simulator, one, http) for one in own))
        assert "".join(found) == ""

    asyncio.run(run())
