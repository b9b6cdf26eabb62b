"""Frames that never came or could not be read, and the books that may have needed them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import venues
from exporter.books.book import BookSync
from exporter.contracts import HOLE, BookRules, Socket
from exporter.decoding import ParseError
from exporter.flow.rate_limit import Ban
from exporter.model import Channel, Data, Depth, Subscription
from exporter.streams.admission import ConnectAdmission
from exporter.streams.connection import StreamConnection, StreamListener
from exporter.streams.session import Session, Timing
from exporter.streams.stream import Stream
from tests.fakes import FakeClock, ScriptedSocket, run_virtual

COINBASE = venues.load("coinbase")


def subscription(venue: str, channel: Channel, symbol: str) -> Subscription:
    topic = venues.load(venue).topic(channel, symbol)
    return Subscription(
        exchange=venue, channel=channel, instrument=symbol, symbol=symbol, topic=topic
    )


BOOK = subscription("coinbase", Channel.BOOK, "BTC-USD")


@dataclass
class Heard:
    """What a stream says is missing; the rest goes unheard."""

    missed: list[Collection[str]] = field(default_factory=list)

    @property
    def listener(self) -> StreamListener:
        def ignore(*_: object) -> None:
            pass

        return StreamListener(
            attempted=ignore, connected=ignore, lost=ignore, subscriptions=ignore, armed=ignore,
            control=ignore, unknown=ignore, unreadable=ignore, processed=ignore, faulted=ignore,
            missed=self.on_missed,
        )  # fmt: skip

    def on_missed(self, topics: Collection[str]) -> None:
        self.missed.append(topics)


class Book(Heard):
    """The book of one stream of Coinbase, whose updates have no numbers."""

    def __init__(self) -> None:
        super().__init__()
        assert COINBASE.book is not None
        self.sync = BookSync(COINBASE.book, COINBASE.sequences)

    def sink(self, event: Data, received: float) -> None:
        assert isinstance(event, Depth)
        self.sync.feed(event)

    def on_missed(self, topics: Collection[str]) -> None:
        assert list(topics) == [BOOK.topic]
        self.sync.miss()


@dataclass
class Market:
    """A venue's bids, and what it sends of them."""

    bids: dict[float, float] = field(default_factory=lambda: {100.0: 1.0})

    def answer(self, frame: str) -> Iterable[bytes]:
        """Begin each subscription with a snapshot."""
        if json.loads(frame)["type"] == "unsubscribe":
            return [_json({"type": "subscriptions", "channels": []})]
        channel = {"name": "level2_50", "product_ids": ["BTC-USD"]}
        return [_json({"type": "subscriptions", "channels": [channel]}), self.snapshot()]

    def snapshot(self) -> bytes:
        """Say how all stands."""
        bids = [[str(price), str(size)] for price, size in self.bids.items()]
        return _json({"type": "snapshot", "product_id": "BTC-USD", "bids": bids, "asks": []})

    def change(self, level: float) -> bytes:
        """Put or take a level, and say so."""
        if self.bids.pop(level, None) is None:
            self.bids[level] = 1.0
        change = ["buy", str(level), str(self.bids.get(level, 0.0))]
        return _json({"type": "l2update", "product_id": "BTC-USD", "changes": [change]})


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("good", "broken", "dropped", "snapshot", "ask again", "look")),
        st.integers(90, 95),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(steps=STEPS)
def test_a_book_in_step_is_the_venue_s_whatever_became_of_frames(
    steps: Sequence[tuple[str, int]],
) -> None:
    """Where no number shows a hole, a book that an update may be missing of is never trusted.

    Also when snapshot and hole come in one read.
    """
    market, book = Market(), Book()

    async def look() -> None:
        await asyncio.sleep(0.1)
        assert not book.sync.synced or dict(book.sync.book.top(100)[0]) == market.bids

    async def main() -> None:
        clock = FakeClock()
        socket = ScriptedSocket(clock, answer=market.answer)

        async def connect(url: str) -> Socket:
            return socket

        stream = Stream(
            "coinbase", COINBASE, [BOOK], connect=connect, clock=clock, meter=book.listener,
            sinks={BOOK.topic: book.sink}, stale_after=lambda topic: None, chance=lambda: 0.5,
            admission=ConnectAdmission(exchange="x", clock=clock, ban=Ban(clock)),
        )  # fmt: skip
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(stream.run())
            await asyncio.sleep(1.0)
            for kind, price in steps:
                if kind == "look":
                    await look()
                elif kind == "ask again":
                    stream.resubscribe(BOOK.topic)
                    await asyncio.sleep(5.0)
                    assert book.sync.synced
                elif kind == "snapshot":
                    socket.push(market.snapshot())
                else:
                    frame = market.change(float(price))
                    socket.push({"good": frame, "broken": frame[:-4], "dropped": b""}[kind])
            await look()
            task.cancel()

    run_virtual(main())


def connection(venue: str, wanted: Sequence[Subscription], heard: Heard) -> StreamConnection:
    """Make a connection that is fed by hand."""
    topics, own = [one.topic for one in wanted], venues.load(venue)
    session = Session(
        own, topics, now=0.0, timing=Timing(), stale_after=lambda topic: None, blamed=set()
    )
    made = StreamConnection(
        venue, ScriptedSocket(FakeClock()), session, parse=own.reader(), timed=False,
        subscriptions=wanted,
        clock=FakeClock(), meter=heard.listener, opened=0.0, url="ws://x",
    )  # fmt: skip
    made.route(lambda topic: lambda event, received: None)
    return made


def missed(venue: str, channels: Iterable[Channel], frame: bytes) -> set[str]:
    """Say of which topics one is missing after a frame, where two symbols are watched."""
    heard = Heard()
    pair = {"bitstamp": ("btcusd", "ethusd"), "kraken": ("BTC/USD", "ETH/USD")}
    symbols = pair.get(venue, ("BTC-USD", "ETH-USD"))
    wanted = [subscription(venue, channel, symbol) for channel in channels for symbol in symbols]

    async def main() -> None:
        connection(venue, wanted, heard)._begin([(1.5e9, frame)] if frame else [HOLE])

    run_virtual(main())
    return {topic for topics in heard.missed for topic in topics}


ALL = (Channel.TRADES, Channel.QUOTES, Channel.BOOK)


@pytest.mark.parametrize(
    ("venue", "frame", "topics"),
    [
        ("kraken", b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD"}]}',
         {"trade:BTC/USD"}),
        ("kraken", b'{"channel":"book","type":"update","data":[{"symbol":"ETH/USD",',
         {"book:ETH/USD"}),
        ("coinbase", b'{"type":"ticker","product_id":"BTC-USD","best_bid":[]}', {"ticker:BTC-USD"}),
        ("coinbase", b'{"type":"l2update","product_id":"BTC-USD","changes":',
         {"matches:BTC-USD", "ticker:BTC-USD", "level2_batch:BTC-USD"}),
        ("coinbase", b"{", {f"{name}:{symbol}-USD" for name in ("matches", "ticker", "level2_batch")
                            for symbol in ("BTC", "ETH")}),
        ("bitstamp", b'{"data":{"microtimestamp":"0","bids":[' + b"1," * 999 +
         b'2]},"channel":"diff_order_book_ethusd","event":"data"}', {"diff_order_book_ethusd"}),
    ],
)  # fmt: skip
def test_a_frame_that_cannot_be_read_is_laid_to_whom_it_names(
    venue: str, frame: bytes, topics: set[str]
) -> None:
    """By its topic, else its symbol and channel; to everyone, where it names nobody."""
    channels = [channel for channel in ALL if channel in venues.load(venue).topics]
    assert missed(venue, channels, frame) == topics


def test_a_bad_time_costs_an_update_nothing() -> None:
    """Nothing is missing after it: the rest of the frame was taken."""
    update = b'{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1","0"]],"time":%b}'
    assert missed("coinbase", (Channel.BOOK,), update % b"5") == set()
    assert missed("coinbase", (Channel.BOOK,), update % b"{") == {"level2_batch:BTC-USD"}


def test_dropped_frames_are_laid_to_everyone() -> None:
    """Nobody knows what stood in them."""
    assert missed("kraken", (Channel.BOOK,), b"") == {"book:BTC/USD", "book:ETH/USD"}


def test_a_hole_in_a_connection_s_numbers_is_laid_to_everyone() -> None:
    """Its frames are numbered whatever they hold, so nobody knows whose the missing ones were."""
    venue, heard = venues.load("coinbase_advanced"), Heard()
    wanted = [subscription(venue.name, Channel.BOOK, f"{one}-USD") for one in ("BTC", "ETH")]
    frame = b'{"channel":"heartbeats","sequence_num":%d,"events":[]}'

    async def main() -> None:
        link = connection(venue.name, wanted, heard)
        for number in (0, 1, 2):
            link._begin([(1.5e9, frame % number)])
        assert heard.missed == []
        link._begin([(1.5e9, frame % 5)])

    run_virtual(main())
    assert [set(topics) for topics in heard.missed] == [{one.topic for one in wanted}]


@pytest.mark.parametrize("name", venues.names())
def test_no_venue_reads_a_hole_as_a_message(name: str) -> None:
    """So that the path of good frames need not look for one."""
    with pytest.raises(ParseError):
        venues.load(name).parse(HOLE[1])


@pytest.mark.parametrize("name", venues.names())
def test_a_venue_s_numbers_show_holes_or_its_books_begin_anew(name: str) -> None:
    """By the venue's table of sequences, as its documentation has it."""
    venue = venues.load(name)
    # Of these a connection's numbers, a checksum, or the next whole book shows it, if anything.
    others = (
        "bitfinex bitget bithumb bitmex bitstamp coinbase coinbase_advanced gemini htx hyperliquid"
    )
    shown = name not in f"{others} kraken kraken_v1 upbit".split()
    assert isinstance(venue.book, BookRules)
    assert BookSync(venue.book, venue.sequences).numbered is shown
