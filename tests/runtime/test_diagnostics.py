"""A deep probe asks an address of either family, on new and on reused connections."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from ipaddress import ip_address

import pytest

from exporter.clock import SystemClock
from exporter.runtime.diagnostics import ProbeSeries, burst
from tests.runtime.running import elsewhere, running

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_burst_reaches_both_families(address: str) -> None:
    """Each series says which address and family it is of, and every probe of it succeeds."""

    try:
        socket.create_server((address, 0), family=_FAMILIES[ip_address(address).version]).close()
    except OSError as error:
        pytest.skip(f"{address} cannot be used here: {error}")

    async def test() -> None:
        async with (
            elsewhere(address) as (url, _),
            running(["binance"], exchange="streams: []") as program,
        ):
            exchange = program.exchange("binance")
            state = next(iter(exchange.probing.endpoints.values()))
            target = replace(state.target, url=f"{url}/")
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
