"""Our readers against ccxt's: the same recorded frames through both, trades and books equal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exporter import venues
from exporter.books.book import BookSync
from exporter.capture.text_recording import Answered, Received, read
from exporter.model import Depth, Side, Trade
from exporter.simulator import Simulator
from exporter.simulator.more import WIRES
from tests.conftest import SHARED
from tests.recordings.record import HERE, record

# ccxt's class, where it reads the same protocol: it has left Kraken's first one, and asks Upbit for
# the long form.
KINDS = {
    "binance": "binance",
    "binance_coinm": "binancecoinm",
    "binance_futures": "binanceusdm",
    "binance_us": "binanceus",
    "bitstamp": "bitstamp",
    "bybit": "bybit",
    "coinbase": "coinbaseexchange",
    "kraken": "kraken",
    "kucoin": "kucoin",
    "okx": "okx",
    "bitget": "bitget",
    "deribit": "deribit",
    "gate": "gate",
    "gemini": "gemini",
    "htx": "htx",
    "hyperliquid": "hyperliquid",
    "kraken_futures": "krakenfutures",
}
# Whose books ccxt makes of the frames alone, or of the REST answer that is in the recording.
BOOKS = (
    "bitget",
    "deribit",
    "hyperliquid",
    "binance",
    "binance_coinm",
    "binance_us",
    "bybit",
    "coinbase",
    "kraken",
    "okx",
)
_BEFORE_GAPS = 45  # frames: later a fault leaves out some, and every reader gives its books up
_ALL = 10**9
_APART = 1000  # milliseconds: ours is when Binance published a trade, ccxt's when it was made
_REAL = {  # recorded at the venues themselves, without the REST answers that books begin with
    "binance": "binance/ws.txt",
    "binance_coinm": "binance_coinm/ws.txt",
    "binance_futures": "binance_futures/ws.txt",
    "bitstamp": "bitstamp/ws.txt",
    "coinbase": "coinbase/ws.txt",
    "kucoin": "kucoin/ws.txt",
    "gemini": "gemini/ws.txt",
    "htx": "htx/ws.txt",
    "kraken_futures": "kraken_futures/ws.txt",
}


@dataclass(slots=True, kw_only=True)
class Task:
    """One recording: how many of its frames are read, and whether its books are compared."""

    venue: str
    file: Path
    most: int
    books: bool

    @property
    def name(self) -> str:
        """Name it in the table."""
        return f"{self.file.parent.name}/{self.file.name}"


@dataclass(slots=True)
class Ours:
    """What our reader makes of a recording."""

    trades: list[list[Any]] = field(default_factory=list)
    books: dict[str, list[list[list[float]]]] = field(default_factory=dict)


def tasks() -> Iterator[Task]:
    """Yield what is compared: every clone's recordings, and real traffic where it is at hand."""
    for venue in KINDS:
        if (file := HERE / f"{venue}.txt").exists():
            yield Task(venue=venue, file=file, most=_BEFORE_GAPS, books=venue in BOOKS)
    for venue, path in _REAL.items():
        file = SHARED / "recordings" / path
        if file.exists():
            yield Task(venue=venue, file=file, most=_ALL, books=False)


def ours(task: Task) -> Ours:
    """Read a recording with our venue file, books by its own rules."""
    venue, found, count = venues.load(task.venue), Ours(), 0
    parse = venue.reader()
    syncs: dict[str, BookSync] = {}
    for item in read(task.file.read_bytes().splitlines()):
        if isinstance(item, Answered):
            if task.books and venue.book and venue.book.read_snapshot:
                for topic, sync in syncs.items():
                    sync.join(venue.book.read_snapshot(item.body, topic, ""))
            continue
        if not isinstance(item, Received):
            continue
        if count == task.most:
            break
        count += 1
        for event in parse(item.frame):
            # ccxt leaves out the trade before the subscription, which Coinbase repeats.
            if isinstance(event, Trade) and event.label != "last_match":
                side = "buy" if event.side is Side.BUY else "sell"
                at = None if event.time is None else round(event.time * 1000)
                found.trades.append([at, event.price, event.size, side])
            elif isinstance(event, Depth) and task.books and venue.book:
                if event.topic not in syncs:
                    syncs[event.topic] = BookSync(venue.book, venue.sequences)
                    syncs[event.topic].agree(venue.book.depth)
                syncs[event.topic].feed(event)
    for topic, sync in syncs.items():
        sides = sync.book.top(1000) if sync.synced else ([], [])
        found.books[topic] = [[list(level) for level in side] for side in sides]
    return found


def _place(row: list[Any]) -> list[Any]:
    return [*row[1:], row[0] or 0]


def compare(mine: Ours, theirs: dict[str, Any], *, books: bool) -> str:
    """Return what differs first, or an empty text."""
    if theirs["failed"]:
        return f"ccxt: {theirs['failed'][0]}"
    # ccxt keeps trades by market, we by frame.
    sides = [sorted(trades, key=_place) for trades in (mine.trades, theirs["trades"])]
    if not sides[0]:
        return "no trade was read"
    if len(sides[0]) != len(sides[1]):
        return f"{len(sides[0])} trades are ours, {len(sides[1])} ccxt's"
    for one, other in zip(*sides, strict=True):
        apart = 0 if None in (one[0], other[0]) else abs(one[0] - other[0])
        if one[1:] != other[1:] or apart > _APART:
            return f"a trade: ours {one}, ccxt's {other}"
    if not books:
        return ""
    own, foreign = list(mine.books.values()), list(theirs["books"].values())
    if len(own) != 1 or len(foreign) != 1 or not own[0][0]:
        return f"{len(own)} books are ours, {len(foreign)} ccxt's"
    return "" if own == foreign else f"a book: ours {own[0][0][:2]}, ccxt's {foreign[0][0][:2]}"


async def _recorded(folder: Path) -> list[Task]:
    """Record the simulated venues of which no recording is kept."""
    found = []
    async with Simulator(venue_names=[*WIRES], seed=13, rate=20.0, book_rate=20.0) as simulator:
        for venue in WIRES:
            file = folder / f"{venue}.txt"
            file.write_text("\n".join(await record(venue, simulator)) + "\n")
            found.append(Task(venue=venue, file=file, most=_BEFORE_GAPS, books=venue in BOOKS))
    return found


async def judge(python: Path) -> dict[str, dict[str, str]]:
    """Read all recordings with both; return what is wrong, by venue and recording."""
    with TemporaryDirectory() as folder:
        return await _judge(python, [*tasks(), *await _recorded(Path(folder))])


async def _judge(python: Path, wanted: list[Task]) -> dict[str, dict[str, str]]:
    asked = json.dumps([[t.venue, KINDS[t.venue], str(t.file), t.most] for t in wanted])
    process = await asyncio.create_subprocess_exec(
        python, "-W", "ignore", "-m", "tests.interop.clients.reading_with_ccxt", asked,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 300.0)
    found: dict[str, dict[str, str]] = {}
    lines = out.decode().splitlines()
    if len(lines) != len(wanted):
        raise RuntimeError(f"{len(lines)} of {len(wanted)} recordings read: {err.decode()[-500:]}")
    for task, line in zip(wanted, lines, strict=True):
        mine = await asyncio.to_thread(ours, task)
        cells = found.setdefault(task.venue, {})
        cells[task.name] = compare(mine, json.loads(line), books=task.books)
    return found
