"""CPU per book update: decode, apply, keep in step; beside cryptofeed on the same updates.

Both build the same books from the same seeded stream of single-level updates around a still
price, most of them near the best, four in ten of them removals, as recorded traffic has them:
KuCoin's frames, numbered, for both; Coinbase's as each of the two reads them (cryptofeed 2.4.1
knows the Advanced Trade feed alone, whose frames are a half longer). Network and event loop are
left out on both sides, and measured by stream.py. Ours is the sink of the running program, with
gaps, latency and staleness. Rounds take turns; the cheapest round of each counts, being the one
least disturbed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from time import process_time
from typing import Any

from exporter import venues
from exporter.books.meter import BookMeter
from exporter.clock import SystemClock
from exporter.metrics.registry import Registry
from exporter.model import Channel, Depth, Subscription
from exporter.probes.clock_offset import Skew
from exporter.streams.exchange_books import LocalBook
from exporter.streams.feed import Feed
from exporter.streams.meter import ChannelMeter

SYMBOL, START, DEPTH = "BTC-USDT", 1_000_000, 100
MIDDLE, TICK = 50_000.0, 0.1
TIME, ISO = 1_700_000_000.0, "2023-11-14T22:13:20.000000Z"

Top = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Update:
    """One level that changed."""

    number: int
    bid: bool
    price: str
    size: str


def updates(count: int, seed: int) -> list[Update]:
    """Return the updates that follow the opening book."""
    random, made = Random(seed), []
    for number in range(START + 1, START + count + 1):
        bid = random.random() < 0.5
        away = 1 + min(int(random.expovariate(0.1)), 10 * DEPTH)
        price = MIDDLE - TICK * away if bid else MIDDLE + TICK * away
        size = "0" if random.random() < 0.4 else f"{random.random() * 3:.8f}"
        made.append(Update(number, bid, f"{price:.1f}", size))
    return made


def opening() -> tuple[list[list[str]], list[list[str]]]:
    """Return the opening book."""
    rows = range(1, DEPTH + 1)
    return (
        [[f"{MIDDLE - TICK * n:.1f}", "1.5"] for n in rows],
        [[f"{MIDDLE + TICK * n:.1f}", "1.5"] for n in rows],
    )


def spell(message: object) -> bytes:
    """Return JSON as venues write it."""
    return json.dumps(message, separators=(",", ":")).encode()


def kucoin(one: Update) -> bytes:
    """Format an update of KuCoin's."""
    level = [one.price, one.size, str(one.number)]
    return spell(
        {
            "type": "message",
            "topic": f"/market/level2:{SYMBOL}",
            "subject": "trade.l2update",
            "data": {
                "changes": {
                    "asks": [] if one.bid else [level],
                    "bids": [level] if one.bid else [],
                },
                "sequenceEnd": one.number,
                "sequenceStart": one.number,
                "symbol": SYMBOL,
                "time": int(TIME * 1000),
            },
        }
    )


def coinbase(one: Update) -> bytes:
    """Format an update of Coinbase's Exchange feed."""
    change = ["buy" if one.bid else "sell", one.price, one.size]
    return spell({"type": "l2update", "product_id": SYMBOL, "changes": [change], "time": ISO})


def advanced(one: Update, kind: str = "update") -> bytes:
    """Format an update of Coinbase's Advanced Trade feed."""
    level = {
        "side": "bid" if one.bid else "offer",
        "event_time": ISO,
        "price_level": one.price,
        "new_quantity": one.size,
    }
    event = {"type": kind, "product_id": SYMBOL, "updates": [level]}
    return spell(
        {
            "channel": "l2_data",
            "client_id": "",
            "timestamp": ISO,
            "sequence_num": one.number,
            "events": [event],
        }
    )


# --- ours -------------------------------------------------------------------------------------


def ours(name: str, frames: Sequence[bytes]) -> tuple[float, Top]:
    """Return CPU seconds and the best bids."""
    venue, registry = venues.load(name), Registry()
    rules = venue.book
    assert rules is not None
    topic = venue.topic(Channel.BOOK, SYMBOL)
    what = Subscription(
        exchange=name, channel=Channel.BOOK, instrument=SYMBOL, symbol=SYMBOL, topic=topic
    )
    channel = ChannelMeter(registry, name, Channel.BOOK)
    counters = channel.latency, channel.negative, channel.late
    feed = Feed(what, venue.sequences, Skew(), *counters, TIME)
    book = LocalBook(
        feed,
        rules,
        venue,
        lambda sync: BookMeter(registry, what, sync, checksums=False, audited=False),
        priced=True,
        clock=SystemClock(),
    )
    bids, asks = opening()
    if rules.read_snapshot is None:
        first = {"type": "snapshot", "product_id": SYMBOL, "bids": bids, "asks": asks}
        for event in venue.parse(spell({**first, "time": ISO})):
            assert isinstance(event, Depth)
            book(event, TIME)
    else:
        body = {"sequence": str(START), "time": int(TIME * 1000), "bids": bids, "asks": asks}
        whole = spell({"code": "200000", "data": body})
        assert book.sync.join(rules.read_snapshot(whole, topic, SYMBOL))
    parse = venue.parse
    begun = process_time()
    for frame in frames:
        for event in parse(frame):
            book(event, TIME)  # type: ignore[arg-type]  # all of them are updates
    took = process_time() - begun
    assert book.sync.synced
    assert feed.gaps == 0
    assert feed.count >= len(frames)
    return took, book.sync.book.top(20)[0]


# --- the peer ---------------------------------------------------------------------------------


def cryptofeed(name: str, frames: Sequence[bytes]) -> tuple[float, Top]:
    """Return the same of its compiled order book, behind its own message handler."""
    from decimal import Decimal

    from cryptofeed import exchanges
    from cryptofeed.defines import L2_BOOK
    from cryptofeed.symbols import Symbols
    from cryptofeed.types import OrderBook

    class Server:
        """Stands for its HTTP connection."""

        def write(self, url: str, json: bool) -> dict[str, Any]:
            server = {"endpoint": "wss://local.example", "pingInterval": 18_000}
            return {"data": {"token": "", "instanceServers": [server]}}

    base = {"kucoin": exchanges.KuCoin, "coinbase": exchanges.Coinbase}[name]

    class Here(base):  # type: ignore[misc, valid-type]  # the library has no types
        """Its feed, which asks nobody for a token or keys."""

        http_sync = Server()

        @classmethod
        def is_authenticated_channel(cls, channel: str) -> bool:
            return False

    async def updated(book: object, received: float) -> None:
        return None

    Symbols.set(base.id, {SYMBOL: SYMBOL}, {"instrument_type": {SYMBOL: "spot"}})
    feed = Here(symbols=[SYMBOL], channels=[L2_BOOK], callbacks={L2_BOOK: updated})
    bids, asks = ({Decimal(price): Decimal(size) for price, size in side} for side in opening())
    feed._l2_book = {SYMBOL: OrderBook(base.id, SYMBOL, bids=bids, asks=asks)}
    feed.seq_no = {SYMBOL: START}
    texts = [frame.decode() for frame in frames]  # as its connection hands them over

    async def read() -> float:
        begun = process_time()
        for text in texts:
            await feed.message_handler(text, None, TIME)
        return process_time() - begun

    took = asyncio.run(read())
    rows = feed._l2_book[SYMBOL].book.bids
    best = (rows.index(n) for n in range(20))
    return took, [(float(price), float(size)) for price, size in best]


def main() -> None:
    """Print both figures and their ratio for each venue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    made = updates(args.count, args.seed)
    spellings: dict[str, tuple[Callable[[Update], bytes], Callable[[Update], bytes]]]
    spellings = {"kucoin": (kucoin, kucoin), "coinbase": (coinbase, advanced)}
    print(f"{'CPU per update, us':20}{'ours':>10}{'cryptofeed 2.4.1':>20}{'ratio':>10}")
    for name, (mine, theirs) in spellings.items():
        readers = (
            (ours, [mine(each) for each in made]),
            (cryptofeed, [theirs(each) for each in made]),
        )
        best = [float("inf")] * 2
        tops: list[Top] = [[], []]
        for _ in range(args.rounds):
            for index, (reader, frames) in enumerate(readers):
                took, tops[index] = reader(name, frames)
                best[index] = min(best[index], took / args.count * 1e6)
        assert tops[0] == tops[1], "the two books differ"
        print(f"{name:20}{best[0]:10.2f}{best[1]:20.2f}{best[0] / best[1]:10.2f}")


if __name__ == "__main__":
    main()
