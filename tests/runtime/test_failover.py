"""A stream whose address is dead goes on at the next one, and comes back: over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp

from exporter.simulator import Simulator
from tests.live.programs import free_port
from tests.runtime.running import INSTRUMENT, Running, wait_until, watching


class Address:
    """A TCP address that leads to a server while it is open, and refuses while it is closed."""

    def __init__(self, port: int) -> None:
        self._to, self.port = port, free_port()
        self._server: asyncio.Server | None = None
        self._passing = set[asyncio.StreamWriter]()

    async def open(self) -> None:
        """Listen, always at the same port."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)

    def close(self) -> None:
        """Listen no more, and break what is connected."""
        if self._server is not None:
            self._server.close()
        for writer in self._passing:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, before = await asyncio.open_connection("127.0.0.1", self._to)
        self._passing |= {writer, before}
        with suppress(OSError, ExceptionGroup):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_copy(reader, before))
                tasks.create_task(_copy(behind, writer))
        self._passing -= {writer, before}
        for each in (writer, before):
            each.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    raise ConnectionError  # one side is gone, so is the other


async def shown(program: Running) -> str:
    """Return the address that the API shows for the stream."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{program.url}/api/v1/exchanges/binance") as reply,
    ):
        state = await reply.json()
    return str(state["streams"][0]["address"])


def test_a_stream_moves_to_the_address_that_is_alive_and_back() -> None:
    """First one is dead, then the other; the API names the one in use, and data flows."""

    async def test() -> None:
        async with Simulator(venue_names=("binance",), symbols=(INSTRUMENT,), rate=20.0) as venue:
            port = urlsplit(venue.url).port
            assert port is not None
            first, second = Address(port), Address(port)
            await first.open()
            await second.open()
            first.close()
            names = [f"ws://127.0.0.1:{each.port}/binance/stream" for each in (first, second)]
            row = (
                f"- {{venue: binance, symbols: [{INSTRUMENT}], endpoints: [], "
                f"rest_url: '{venue.rest_url('binance')}', stream_url: {names}, "
                "streams: [{name: market, channels: [trades]}]}"
            )
            shared = "streams: {backoff_base: 50ms, backoff_cap: 200ms}"
            async with watching(venue, [row], shared) as program:
                (state,) = program.exchange("binance").streams
                (feed,) = program.exchange("binance").feeds
                for number, name in ((1, names[1]), (0, names[0])):
                    before = feed.count
                    await wait_until(lambda: feed.count > before + 5)  # noqa: B023 - awaited here
                    assert state.connected
                    assert state.address == name == await shown(program)
                    if number:
                        await first.open()
                        second.close()
                        await wait_until(lambda: state.losses == 1)
            first.close()

    asyncio.run(asyncio.wait_for(test(), 60.0))
