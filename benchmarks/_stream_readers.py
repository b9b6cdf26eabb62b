"""The programs that `stream.py` compares: each reads the same feed, in a process of its own.

Run as a program it connects to a port, reads a number of messages, and prints as JSON what that
cost between the first look that found one and the last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import resource
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:  # a peer's memory shall not hold what is ours
    from exporter.contracts import Clock, Fetch, Venue
    from exporter.flow.stalls import LoopStalls
    from exporter.model import Data
    from exporter.streams.connection import Sink
    from exporter.streams.exchange_books import LocalBook
    from exporter.streams.feed import Feed
    from exporter.streams.stream import Stream

from benchmarks._feed_server import SYMBOLS

INSTRUMENTS = {symbol: f"{symbol[:3]}-{symbol[3:]}" for symbol in SYMBOLS}
PATIENCE = 15.0  # seconds without a message after which it is over


class Watch:
    """Looks at a counter from aside, so that measuring costs no message anything.

    The first ``skip`` messages open the feed and are not measured.
    """

    def __init__(self, count: int, skip: int = 0) -> None:
        self.count, self.skip = count, skip
        self._start: tuple[int, float, float] | None = None
        self._last = (0, time.perf_counter())

    def update(self, seen: int) -> bool:
        """Take what was seen so far; return whether to go on."""
        now, cpu = time.perf_counter(), _cpu()
        if seen > self.skip and self._start is None:
            self._start = (seen, now, cpu)
        if seen != self._last[0]:
            self._last = (seen, now)
        self._end = (seen, now, cpu)
        return seen < self.count and now - self._last[1] < PATIENCE

    def report(self, **more: object) -> None:
        """Print the cost per message."""
        assert self._start is not None, "no message came"
        (first, begun, before), (last, ended, after) = self._start, self._end
        messages = max(1, last - first)
        figures = {
            "seen": last,
            "lost": self.count - last,
            "cpu_us": (after - before) / messages * 1e6,
            "rate": messages / (ended - begun),
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(figures | more))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def watched(reader: Awaitable[None], watch: Watch, seen: Callable[[], int]) -> None:
    """Run a reader until all is seen."""
    async with asyncio.TaskGroup() as tasks:

        async def run() -> None:
            await reader

        task = tasks.create_task(run())
        while watch.update(seen()):  # noqa: ASYNC110 - looked at from aside on purpose
            await asyncio.sleep(0.01)
        task.cancel()


# --- this project -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ours:
    """One stream of this project's, to be run, and where to look at what it has seen."""

    stream: Stream
    venue: Venue
    clock: Clock
    feeds: Mapping[str, Feed]
    books: Mapping[str, LocalBook]
    lost: list[str]

    def seen(self) -> int:
        """Return how many messages came."""
        return sum(feed.count for feed in self.feeds.values())


def assemble(
    port: int,
    *,
    books: bool = False,
    stalls: LoopStalls | None = None,
    look: Callable[[Data, float], None] | None = None,
) -> Ours:
    """Put the whole path together: receive, decode, count, latency, sequence, price, staleness.

    ``look`` sees each event, and when it was read, before the path does.
    """
    from exporter.clock import SystemClock
    from exporter.flow.rate_limit import Ban
    from exporter.flow.stalls import UNWATCHED
    from exporter.metrics import families
    from exporter.metrics.children import CounterChild, HistogramChild
    from exporter.model import Channel, Subscription
    from exporter.probes.clock_offset import Skew
    from exporter.streams.admission import ConnectAdmission
    from exporter.streams.connection import StreamListener
    from exporter.streams.feed import Feed
    from exporter.streams.stream import Stream
    from exporter.venues.binance import VENUE
    from exporter.websocket.client import connect

    venue = replace(VENUE, topics={**VENUE.topics, Channel.TRADES: "{lower}@aggTrade"})
    channel = Channel.BOOK if books else Channel.TRADES
    clock = SystemClock()
    latency = HistogramChild(families.STREAM_LATENCY, ("binance", "trades"))
    negative = CounterChild(families.STREAM_LATENCY_NEGATIVE, ("binance", "trades"))
    late = CounterChild(families.SAMPLES_DISCARDED, (families.Measurement.STREAM,))
    decode = HistogramChild(families.STREAM_PROCESSING, ("binance", "decode"))
    apply = HistogramChild(families.STREAM_PROCESSING, ("binance", "apply"))
    subscriptions = [
        Subscription(
            exchange="binance",
            channel=channel,
            instrument=INSTRUMENTS[symbol],
            symbol=symbol,
            topic=venue.topic(channel, symbol),
        )
        for symbol in SYMBOLS
    ]
    skew = Skew()
    feeds = {
        one.topic: Feed(one, venue.sequences, skew, latency, negative, late, clock.wall())
        for one in subscriptions
    }
    local = {topic: _book(feed, venue, clock) for topic, feed in feeds.items() if books}

    def processed(decoding: float, applying: float) -> None:
        decode.observe(decoding)
        apply.observe(applying)

    lost: list[str] = []
    meter = StreamListener(
        attempted=lambda ok: None,
        connected=lambda up: None,
        lost=lambda reason: lost.append(reason),
        subscriptions=lambda counts: None,
        armed=lambda topic: None,
        control=lambda event: None,
        unknown=lambda events: lost.append(f"{events} unknown"),
        unreadable=lambda channel: lost.append("unreadable"),
        processed=processed,
    )
    stream = Stream(
        "bench",
        venue,
        subscriptions,
        connect=partial(connect, clock=clock, stalls=stalls or UNWATCHED),
        clock=clock,
        meter=meter,
        sinks=local or {topic: _looked(feed, look) for topic, feed in feeds.items()},
        stale_after=lambda topic: 60.0,
        chance=random.random,
        admission=ConnectAdmission(exchange="x", clock=clock, ban=Ban(clock)),
        urls=[f"ws://127.0.0.1:{port}/stream"],
    )
    return Ours(stream, venue, clock, feeds, local, lost)


def _looked(feed: Feed, look: Callable[[Data, float], None] | None) -> Sink:
    if look is None:
        return feed

    def sink(event: Data, received: float) -> None:
        look(event, received)
        feed(event, received)

    return sink


def ours(port: int, count: int, *, uvloop: bool, books: bool = False) -> None:
    """The whole path, with prices or with books."""
    from exporter.http.client import HttpClient

    parts = assemble(port, books=books)
    watch = Watch(count, skip=len(SYMBOLS) if books else 0)

    async def run() -> None:
        async with HttpClient() as client, asyncio.TaskGroup() as tasks:
            for book in parts.books.values():
                _keep(book, parts.venue, client, parts.clock, port, tasks)
            await parts.stream.run()

    _run(watched(run(), watch, parts.seen), uvloop)
    parts.lost.remove("shutdown")
    unsynced = [topic for topic, book in parts.books.items() if not book.sync.synced]
    trouble = parts.lost + [f"{topic}: not synced" for topic in unsynced]
    watch.report(gaps=sum(feed.gaps for feed in parts.feeds.values()), trouble=trouble)


def _book(feed: Feed, venue: Venue, clock: Clock) -> LocalBook:
    """Return the sink that builds one book."""
    from exporter.books.meter import BookMeter
    from exporter.metrics.registry import Registry
    from exporter.streams.exchange_books import LocalBook

    assert venue.book is not None
    meter = partial(BookMeter, Registry(), feed.subscription, checksums=False, audited=False)
    return LocalBook(feed, venue.book, venue, meter, priced=True, clock=clock)


def _keep(
    book: LocalBook, venue: Venue, fetch: Fetch, clock: Clock, port: int, tasks: asyncio.TaskGroup
) -> None:
    """Let one book fetch its snapshot, and what it may lose."""
    from exporter.books.synchronisation import BookSynchronizer, Snapshots
    from exporter.flow import backoff
    from exporter.flow.rate_limit import Ban

    assert venue.book is not None
    snapshots = Snapshots(
        exchange="binance",
        url=f"http://127.0.0.1:{port}",
        rules=venue.book,
        fetch=fetch,
        clock=clock,
        slots=asyncio.Semaphore(4),
        part=(),
        budgets=(),
        ban=Ban(clock),
        fault=venue.fault,
        answered=lambda answer: None,
    )
    book.keeper = BookSynchronizer(
        book.feed.subscription,
        book.sync,
        source=snapshots,
        live=lambda: True,
        clock=clock,
        rules=backoff.BackoffRules(base=1.0, cap=60.0),
        chance=random.random,
    )
    tasks.create_task(book.keeper.run())


def _run(main: Any, uvloop: bool) -> None:
    if uvloop:
        import uvloop as loops

        with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
            runner.run(main)
    else:
        asyncio.run(main)


def transport(port: int, count: int, *, uvloop: bool) -> None:
    """Our transports alone: messages are counted, not looked at."""
    from exporter.clock import SystemClock
    from exporter.websocket.client import connect

    seen = 0

    def take(batch: Sequence[tuple[float, bytes]]) -> bool:
        nonlocal seen
        seen += len(batch)
        return False

    async def read() -> None:
        socket = await connect(f"ws://127.0.0.1:{port}/?streams=", clock=SystemClock())
        await socket.receive(take)

    watch = Watch(count)
    _run(watched(read(), watch, lambda: seen), uvloop)
    watch.report()


# --- peers ------------------------------------------------------------------------------------


def cryptofeed(port: int, count: int, *, books: bool = False) -> None:
    """cryptofeed's own Binance feed with one callback that counts, on uvloop as it prefers."""
    from cryptofeed import FeedHandler
    from cryptofeed.connection import AsyncConnection, RestEndpoint, WSAsyncConn
    from cryptofeed.defines import L2_BOOK, TRADES
    from cryptofeed.exchanges import Binance
    from cryptofeed.symbols import Symbols

    class Local(WSAsyncConn):
        """Its connection, without its refusal of what is not wss://."""

        def __init__(self, address: str) -> None:
            AsyncConnection.__init__(self, "bench")
            self.address = address
            self.ws_kwargs: dict[str, object] = {}

    class Here(Binance):
        """Its feed, at another address."""

        rest_endpoints = (
            RestEndpoint(f"http://127.0.0.1:{port}", routes=Binance.rest_endpoints[0].routes),
        )

        def connect(self) -> list[tuple[Any, ...]]:
            address = f"ws://127.0.0.1:{port}/stream?streams={SYMBOLS[0].lower()}@aggTrade"
            return [(Local(address), self.subscribe, self.message_handler, self.authenticate)]

    names = {instrument: symbol for symbol, instrument in INSTRUMENTS.items()}
    Symbols.set(
        Binance.id,
        names,
        {
            "tick_size": dict.fromkeys(names, "0.01"),
            "instrument_type": dict.fromkeys(names, "spot"),
        },
    )
    seen = 0

    async def counted(trade: object, received: float) -> None:
        nonlocal seen
        seen += 1

    async def updated(book: Any, received: float) -> None:
        nonlocal seen
        if book.delta is not None:  # else it is the snapshot's
            seen += 1

    handler = FeedHandler(config={"uvloop": True, "log": {"disabled": True}})
    callbacks = {L2_BOOK: updated} if books else {TRADES: counted}
    handler.add_feed(Here(symbols=list(names), channels=list(callbacks), callbacks=callbacks))
    loop = asyncio.get_event_loop_policy().new_event_loop()
    asyncio.set_event_loop(loop)
    handler.run(start_loop=False, install_signal_handlers=False)
    watch = Watch(count, skip=len(SYMBOLS) if books else 0)

    async def wait() -> None:
        while watch.update(seen):  # noqa: ASYNC110 - looked at from aside on purpose
            await asyncio.sleep(0.01)

    loop.run_until_complete(wait())
    watch.report()


class _Trade(msgspec.Struct, gc=False):
    """The fields that are of use."""

    E: int
    s: str
    a: int
    p: float
    q: float
    m: bool


class _Combined(msgspec.Struct, gc=False):
    """The envelope."""

    stream: str
    data: _Trade


def bare(port: int, count: int) -> None:
    """The fastest transport and a typed decoder on uvloop, and nothing else at all."""
    import picows

    decode = msgspec.json.Decoder(_Combined, strict=False).decode
    seen = 0

    class Listener(picows.WSListener):
        """Decodes and counts."""

        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            nonlocal seen
            decode(frame.get_payload_as_memoryview())
            seen += 1

    async def read() -> None:
        transport, _ = await picows.ws_connect(Listener, f"ws://127.0.0.1:{port}/?streams=")
        await transport.wait_disconnected()

    watch = Watch(count)
    _run(watched(read(), watch, lambda: seen), True)
    watch.report()


def thread(port: int, count: int) -> None:
    """A thread, the synchronous client, json.loads, and metrics looked up by label per message."""
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
    from websockets.sync.client import connect

    registry = CollectorRegistry()
    messages = Counter("messages", "Messages.", ["exchange", "symbol"], registry=registry)
    latency = Histogram("latency_seconds", "Latency.", ["exchange", "symbol"], registry=registry)
    price = Gauge("price", "Price.", ["exchange", "symbol"], registry=registry)
    seen = 0

    def read() -> None:
        nonlocal seen
        with connect(f"ws://127.0.0.1:{port}/?streams=") as socket:
            for text in socket:
                message = json.loads(text)["data"]
                labels = ("binance", message["s"])
                now = time.time()  # noqa: TID251 - as such clients do
                messages.labels(*labels).inc()
                latency.labels(*labels).observe(max(0.0, now - message["E"] / 1000))
                price.labels(*labels).set(float(message["p"]))
                seen += 1

    threading.Thread(target=read, daemon=True).start()
    watch = Watch(count)
    while watch.update(seen):
        time.sleep(0.01)
    watch.report()


def library(port: int, count: int, *, queue: int) -> None:
    """The `websockets` library's own asyncio client: messages are counted, not looked at."""
    from websockets.asyncio.client import connect

    seen = 0

    async def read() -> None:
        nonlocal seen
        url = f"ws://127.0.0.1:{port}/?streams="
        async with connect(url, max_queue=queue, compression=None) as socket:
            while True:
                await socket.recv(decode=False)
                seen += 1

    watch = Watch(count)
    _run(watched(read(), watch, lambda: seen), False)
    watch.report()


READERS: dict[str, Callable[[int, int], None]] = {
    "ours": partial(ours, uvloop=False),
    "ours, uvloop": partial(ours, uvloop=True),
    "ours, books": partial(ours, uvloop=False, books=True),
    "ours, books, uvloop": partial(ours, uvloop=True, books=True),
    "cryptofeed 2.4.1": cryptofeed,
    "cryptofeed 2.4.1, books": partial(cryptofeed, books=True),
    "bare picows, msgspec, uvloop": bare,
    "thread, json.loads, prometheus_client": thread,
    "transport: websockets client, its queue of 16": partial(library, queue=16),
    "transport: websockets client, a queue of 4096": partial(library, queue=4096),
    "transport: ours": partial(transport, uvloop=False),
    "transport: ours, uvloop": partial(transport, uvloop=True),
}


def main() -> None:
    """Read the flags and run one reader."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    flags = parser.parse_args()
    logging.disable(logging.ERROR)
    READERS[flags.reader](flags.port, flags.count)


if __name__ == "__main__":
    main()
