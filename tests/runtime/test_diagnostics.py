"""A deep probe asks an address of either family, on new and on reused connections."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from exporter.clock import SystemClock
from exporter.runtime.diagnostics import ProbeSeries, burst
from tests.runtime.running import running

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(_ANSWER)
    except asyncio.IncompleteReadError:
        writer.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_burst_reaches_both_families(address: str) -> None:
    """Each series says which address and family it is of, and every probe of it succeeds."""

    async def test() -> None:
        try:
            server = await asyncio.start_server(_answer, address, 0)
        except OSError as error:
            pytest.skip(f"{address} cannot be used here: {error}")
        port = server.sockets[0].getsockname()[1]
        host = f"[{address}]" if ":" in address else address
        async with server, running(["binance"], exchange="streams: []") as program:
            exchange = program.exchange("binance")
            state = next(iter(exchange.probing.endpoints.values()))
            target = replace(state.target, url=f"http://{host}:{port}/")
            found = await burst(exchange, replace(state, target=target), 3, SystemClock())
        series = found["series"]
        assert isinstance(series, list)
        assert all(isinstance(each, ProbeSeries) for each in series)
        assert [(each.address, each.connection) for each in series] == [
            (address, "new"), (address, "reused"),
        ]  # fmt: skip
        family = f"IPv{ip_address(address).version}"
        assert all((each.family, each.probes, each.failures) == (family, 3, {}) for each in series)

    asyncio.run(asyncio.wait_for(test(), 60.0))
