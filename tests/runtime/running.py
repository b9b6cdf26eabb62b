"""The running program against the simulator, in one loop: real sockets, everything within reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

import exporter.simulator.venues as simulated
from exporter import config as settings
from exporter import venues
from exporter.exchange.exchange import Exchange
from exporter.runtime.app import App, RunOptions
from exporter.simulator import Simulator
from exporter.simulator.market import Pair
from exporter.streams.exchange_books import LocalBook

INSTRUMENT = "BTC-USDT"


_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def elsewhere(address: str = "127.0.0.1") -> AsyncIterator[tuple[str, list[str]]]:
    """Answer every request with 200; give the base URL and the heads of what is asked."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
                writer.write(_OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, address, 0)
    try:
        host = f"[{address}]" if ":" in address else address
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()


@dataclass(slots=True)
class Running:
    """A program that watches a simulator."""

    app: App
    simulator: Simulator
    url: str
    wanted: list[settings.Config] = field(default_factory=list)  # a reload reads the last

    def exchange(self, name: str) -> Exchange:
        """Return one exchange."""
        return next(each for each in self.app.exchanges if each.name == name)

    def book(self, name: str) -> LocalBook:
        """Return the one book of an exchange."""
        (book,) = self.exchange(name).books.books
        return book

    def pair(self, name: str) -> Pair:
        """Return the simulated market itself."""
        pairs = self.simulator.desks[name].pairs()
        return next(pair for pair in pairs if pair.listing.instrument == INSTRUMENT)

    def equal(self, name: str, depth: int = 10) -> bool:
        """Return whether the best levels of the local book are those of the market right now."""
        book, pair = self.book(name), self.pair(name)
        spell = pair.listing
        truth = tuple(
            [(float(spell.price(price)), float(spell.size(lots))) for price, lots in side]
            for side in (pair.bids.top(depth), pair.asks.top(depth))
        )
        return book.sync.synced and book.sync.book.top(depth) == truth

    async def wait_equal(self, name: str, steps: int = 20, timeout: float = 30.0) -> None:
        """Wait until the book was right in ``steps`` different states of the market."""
        seen = set[int]()
        async with asyncio.timeout(timeout):
            while len(seen) < steps:
                if self.equal(name):
                    seen.add(self.pair(name).number)
                await asyncio.sleep(0.002)

    async def reload(self, config: settings.Config) -> dict[str, list[str]]:
        """Have the program follow this config; return what came of it."""
        self.wanted.append(config)
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/-/reload", raise_for_status=True) as reply,
        ):
            changes: dict[str, list[str]] = await reply.json()
            return changes

    async def metrics(self) -> dict[str, float]:
        """Scrape the program; return its samples."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/metrics") as page:
            lines = (await page.text()).splitlines()
        rows = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in rows}


async def wait_metrics(
    program: Running, condition: Callable[[dict[str, float]], bool], timeout: float = 60.0
) -> dict[str, float]:
    """Scrape until the samples are as wanted, and return them. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while True:
            seen = await program.metrics()
            if condition(seen):
                return seen
            await asyncio.sleep(0.05)


async def wait_until(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    """Wait for something that will come true. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def listing() -> tuple[str, ...]:
    """Return the simulated venues that list `INSTRUMENT`: COIN-M has nothing in tethers."""
    return tuple(
        name
        for name in simulated.names()
        if INSTRUMENT in simulated.load(name).lists((INSTRUMENT,))
    )


@asynccontextmanager
async def running(
    names: Sequence[str],
    *,
    exchange: str = "endpoints: []",
    shared: str = "",
    book_rate: float = 40.0,
    rate: float = 5.0,
    listed: Sequence[str] = (INSTRUMENT,),
    symbols: str = INSTRUMENT,
) -> AsyncIterator[Running]:
    """Run the program on some simulated venues until leaving.

    ``exchange`` are keys of each exchange, ``shared`` those of the config, both as YAML;
    ``listed`` is what the simulator trades, ``symbols`` what the program watches.
    """
    async with Simulator(
        venue_names=names, symbols=listed, book_rate=book_rate, rate=rate
    ) as venue:
        rows = [row(venue, name, exchange, symbols) for name in names]
        async with watching(venue, rows, shared) as program:
            yield program


@asynccontextmanager
async def watching(
    simulator: Simulator, rows: Sequence[str], shared: str = ""
) -> AsyncIterator[Running]:
    """Run the program on exchanges that are given as ``rows`` of YAML, until leaving."""
    text = f"anomaly: {{enabled: false, tick: 100ms}}\n{shared}\nexchanges:\n"
    config = settings.read(text + "\n".join(rows), "test", venues.names(), venues.load)
    ports = asyncio.Queue[int]()
    wanted = [config]
    options = RunOptions(
        listen_address="127.0.0.1:0", ready=ports.put_nowait, reload=lambda before: wanted[-1]
    )
    app = App(config, options)
    async with asyncio.TaskGroup() as tasks:
        program = tasks.create_task(app.run())
        try:
            async with asyncio.timeout(30.0):
                port = await ports.get()
            yield Running(app, simulator, f"http://127.0.0.1:{port}", wanted)
        finally:
            program.cancel()


def row(simulator: Simulator, name: str, keys: str, symbols: str = INSTRUMENT) -> str:
    """Return the YAML of one exchange, with these ``keys`` too."""
    path = urlsplit(venues.load(name).stream_urls[0]).path
    rest, stream = simulator.rest_url(name), simulator.stream_url(name, path)
    return (
        f"- {{venue: {name}, symbols: [{symbols}], {keys}, "
        f"rest_url: '{rest}', stream_url: '{stream}'}}"
    )
