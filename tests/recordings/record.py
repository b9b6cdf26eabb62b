"""Record the simulated venues: ``python -m tests.recordings.record`` writes the files beside this.

A file is one connection, in the format that `replay` reads; where the venue's books begin with a
REST answer, that is in it. The address is the real venue's, by which its reader is found; all else
is the simulator's. In the second half a fault leaves out some frames: the truth knows which gaps.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

import exporter.simulator.venues as simulated
import exporter.venues as real
from exporter.contracts import Venue
from exporter.model import Channel
from exporter.simulator import Simulator
from exporter.streams.requests import stamped
from tests.recordings import truth

HERE = Path(__file__).parent
CHANNELS = (Channel.TRADES, Channel.QUOTES, Channel.BOOK)
NAMES = sorted(set(simulated.names()) & set(real.names()))
FRAMES = 100  # of each recording


def _now() -> float:
    return time.time_ns() / 1e9


async def record(name: str, simulator: Simulator) -> list[str]:
    """Return the lines of one recording."""
    venue, address = real.load(name), real.load(name).stream_urls[0]
    rest = f"{simulator.url}/{name}{urlsplit(venue.rest_url).path.rstrip('/')}"
    symbol = venue.symbol(simulated.load(name).lists(["BTC-USDT"])[0])
    route = venue.routes.get(Channel.TRADES, "")
    channels = [c for c in CHANNELS if c in venue.topics and venue.routes.get(c, "") == route]
    requests = [venue.subscribe([venue.topic(c, symbol)], n) for n, c in enumerate(channels, 1)]
    lines = [f"{address} <-> {_now():.6f}"]
    async with aiohttp.ClientSession() as http:
        url = await _url(venue, simulator, http)
        async with http.ws_connect(url + route) as socket:

            async def receive() -> None:
                text = (await socket.receive()).data
                text = text.decode() if isinstance(text, bytes) else str(text)
                lines.append(f"{_now():.6f}: {text}")

            if venue.welcomed:
                await receive()
            for request in requests:
                text = stamped(request, _now()) if venue.timed else request
                await socket.send_str(text)
                lines.append(f"{address} <- {_now():.6f}: {text}")
            for number in range(FRAMES):
                await receive()
                if number == FRAMES // 3 and venue.book and venue.book.snapshot_path:
                    path = venue.book.snapshot_path.format(symbol=symbol, lower=symbol.lower())
                    async with http.get(rest + path) as answer:
                        body = (await answer.text()).strip()
                    lines.append(f"{venue.rest_url}{path} -> {_now():.6f}: {body}")
                # A frame that is missing would spoil all checksums after it.
                if number == FRAMES // 2 and not (venue.book and venue.book.checksum):
                    simulator.inject({"fault": "gap", "venue": name, "probability": 0.2})
    return lines


async def _url(venue: Venue, simulator: Simulator, http: aiohttp.ClientSession) -> str:
    if venue.prelude is None:
        return simulator.stream_url(venue.name, urlsplit(venue.stream_urls[0]).path.rstrip("/"))
    where = f"{simulator.url}/{venue.name}{venue.prelude.path}"
    async with http.request(venue.prelude.method, where) as answer:
        return venue.prelude.read(await answer.read())


async def main() -> None:
    """Record all venues that are simulated."""
    async with Simulator(seed=13, rate=20.0, book_rate=20.0) as simulator, asyncio.timeout(120):
        for name in NAMES:
            lines = await record(name, simulator)
            (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n")
    truth.main()


if __name__ == "__main__":
    asyncio.run(main())
