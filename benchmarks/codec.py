"""Bytes and decode time of the binary codec, beside the JSON it was made from.

Peers, over the same frames in the same run: json.loads, which stops at plain lists and dicts, and
this project's own typed decoders (msgspec), levels of books included. Ours twice: to arrays, and
on to the same events that the typed decoders give. Frames are the recorded ones of ../shared where
they are, else some seconds of the simulator. Bytes are those of the recording as it is; for the
times a short one is repeated until it fills a block.

Run: python benchmarks/codec.py
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from functools import partial
from itertools import groupby
from pathlib import Path
from time import process_time
from urllib.parse import urlsplit

import msgspec

from exporter import venues
from exporter.capture.codec import Decoder, Encoder, Row
from exporter.capture.text_recording import Received, read
from exporter.cli.replay import recognise
from exporter.clock import SystemClock
from exporter.contracts import ConnectionLostError, Venue
from exporter.model import Channel, Depth
from exporter.simulator import Simulator
from exporter.simulator import venues as simulated
from exporter.websocket import client as websocket

ROUNDS = 7
BLOCK = 4096  # rows, as `capture` writes them
FEWEST = 100  # frames: a shorter recording says nothing of a stream
SIMULATED = 4.0  # seconds
SYMBOLS = ("BTC-USDT", "ETH-USDT")
SHARED = Path(
    os.environ.get("EXCHANGE_EXPORTER_SHARED") or Path(__file__).resolve().parents[2] / "shared"
)

Frames = list[tuple[float, bytes]]


def recorded() -> dict[str, tuple[Venue, Frames]]:
    """Return the frames of all recordings whose venue we speak."""
    found = {}
    for path in sorted(SHARED.glob("recordings/*/ws*.txt")):
        with path.open("rb") as lines:
            items = list(read(lines))
        try:
            venue = recognise(items)
        except ValueError:
            continue
        if venue is None or path.parent.name not in venues.names():
            continue
        decode = venue.decode or bytes
        frames = [(i.time or 0.0, decode(i.frame)) for i in items if isinstance(i, Received)]
        if len(frames) >= FEWEST:
            found[f"{path.parent.name}/{path.stem}"] = venue, frames
    return found


async def listen() -> dict[str, tuple[Venue, Frames]]:
    """Return some seconds of frames of each simulated venue that needs no token."""
    found = {}
    names = [n for n in simulated.names() if n in venues.names() and not venues.load(n).prelude]
    async with Simulator(venue_names=names, rate=200, book_rate=100) as simulator:
        for name in names:
            venue = venues.load(name)
            route = venue.routes.get(Channel.TRADES, "")
            path = urlsplit(venue.stream_urls[0]).path.rstrip("/") + route
            channels = [c for c in venue.topics if venue.routes.get(c, "") == route]
            topics = [venue.topic(c, venue.symbol(s)) for c in channels for s in SYMBOLS]
            try:
                socket = await websocket.connect(
                    simulator.stream_url(name, path), clock=SystemClock()
                )
            except ConnectionLostError:
                continue  # one that must be asked for an address first
            topics.sort(key=venue.request_group)
            number, most = 0, venue.topics_per_request
            for _, grouped in groupby(topics, key=venue.request_group):
                together = list(grouped)
                for start in range(0, len(together), most):
                    number += 1
                    await socket.send(venue.subscribe(together[start : start + most], number))
            frames: Frames = []
            try:
                async with asyncio.timeout(SIMULATED):
                    await socket.receive(lambda batch, kept=frames: bool(kept.extend(batch)))  # type: ignore[misc]  # keeps, and never has enough
            except (TimeoutError, ConnectionLostError):
                await socket.close()
            if len(frames) >= FEWEST:
                found[name] = venue, frames
    return found


def rows_of(venue: Venue, frames: Frames) -> list[Row]:
    """Return the events of some frames, levels decoded."""
    rows = []
    for received, frame in frames:
        for event in venue.parse(frame):
            if isinstance(event, Depth) and venue.book is not None:
                sides = venue.book.levels(event)
                levels = tuple([(float(p), float(s)) for p, s in side] for side in sides)  # type: ignore[arg-type]  # float or text
                event = msgspec.structs.replace(event, levels=levels)
            rows.append(Row(received, venue.name, event))
    return rows


def packed(rows: list[Row]) -> list[bytes]:
    """Encode rows as a capture does."""
    encoder = Encoder()
    return [encoder.encode(rows[i : i + BLOCK]) for i in range(0, len(rows), BLOCK)]


def typed(venue: Venue, frames: Frames) -> None:
    """Decode frames and levels by the venue's typed decoders."""
    levels = None if venue.book is None else venue.book.levels
    for _, frame in frames:
        for event in venue.parse(frame):
            if type(event) is Depth and levels is not None:
                levels(event)


def plain(frames: Frames) -> None:
    """Decode frames by the standard library."""
    for _, frame in frames:
        json.loads(frame)


def arrays(blocks: list[bytes]) -> None:
    """Decode blocks to arrays, every column of them."""
    decoder = Decoder()
    for block in blocks:
        for section in decoder.decode(block).sections:
            section.columns()


def events(blocks: list[bytes]) -> None:
    """Decode blocks to events."""
    decoder = Decoder()
    for block in blocks:
        for _ in decoder.decode(block).rows():
            pass


def cost(work: Callable[[], object]) -> float:
    """Return the CPU seconds of the least disturbed round."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = process_time()
        work()
        best = min(best, process_time() - start)
    return best


def main() -> None:
    """Measure and print, a line a recording and one for all of them."""
    samples = recorded()
    origin = f"recorded frames in {SHARED}"
    if not samples:
        samples, origin = asyncio.run(listen()), f"{SIMULATED:.0f} s of each simulated venue"
    print(f"{origin}; CPU per frame, best of {ROUNDS} rounds; targets: 30 % of the bytes, 10 times")
    head = "frames", "JSON B", "ours", "json.loads", "typed", "arrays", "events", "encode"
    print(" " * 22 + "".join(f"{each:>11}" for each in head))
    totals = [0.0] * 7
    for name, (venue, frames) in samples.items():
        size = sum(len(frame) for _, frame in frames)
        rows = rows_of(venue, frames)
        ours = sum(map(len, packed(rows)))
        times = max(1, -(-BLOCK // len(frames)))
        many, all_rows = frames * times, rows * times
        blocks = packed(all_rows)
        work: list[Callable[[], object]] = [
            partial(plain, many),
            partial(typed, venue, many),
            partial(arrays, blocks),
            partial(events, blocks),
            partial(packed, all_rows),
        ]
        costs = [cost(each) / len(many) * 1e6 for each in work]
        show(name, len(frames), size, ours, costs)
        sums = [size, ours, *(each * len(frames) for each in costs)]
        totals = [a + b for a, b in zip(totals, sums, strict=True)]
    count = sum(len(frames) for _, frames in samples.values())
    total, packed_total, *costs = totals
    show("all", count, total, packed_total, [each / count for each in costs])
    print(
        f"bytes: {packed_total / total:.1%} of the JSON; to arrays: {costs[0] / costs[2]:.1f} times"
        f" as fast as json.loads, {costs[1] / costs[2]:.1f} times the typed decoders; to events:"
        f" {costs[0] / costs[3]:.1f} and {costs[1] / costs[3]:.1f} times"
    )


def show(name: str, count: int, size: float, ours: float, costs: list[float]) -> None:
    """Print one line: bytes a frame, their ratio, µs a frame."""
    figures = "".join(f"{each:>8.2f} µs" for each in costs)
    print(f"{name:22}{count:>11}{size / count:>11.0f}{ours / size:>11.1%}{figures}")


if __name__ == "__main__":
    main()
