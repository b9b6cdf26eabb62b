"""The markets behind the simulated exchanges: one common walk per asset, one book per listing.

Pure and deterministic: the same seed gives the same prices, books and trades, step by step,
whatever the clock does. Prices are whole ticks and sizes whole lots inside, so that a book and
its deltas can never disagree by rounding.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import exp, floor, log10, sqrt
from random import Random
from typing import TypeAlias

# One execution: running number, whether the taker bought, price in ticks, size in lots.
# A plain tuple: a firehose makes tens of thousands of them a second.
Print: TypeAlias = tuple[int, bool, int, int]
Levels: TypeAlias = list[tuple[int, int]]  # (price in ticks, size in lots), best first

_PRICES = {"BTC": 62_000.0, "ETH": 3_000.0, "SOL": 150.0, "XRP": 0.6, "DOGE": 0.12, "BNB": 550.0}
_VOLATILITY = 1.0e-4  # of the common walk, per square root of a second: about 56 % a year
_NOISE = 1.0e-4  # how far a venue strays from the common price, standard deviation
_NOISE_LIFE = 10.0  # seconds in which it forgets


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One instrument as one venue lists it."""

    instrument: str  # BTC-USDT
    symbol: str  # the venue's spelling
    base: str
    quote: str
    start: float  # the price at step 0
    price_decimals: int
    size_decimals: int

    def price(self, ticks: int, decimals: int | None = None) -> str:
        """Format a price, padded to ``decimals`` where the venue pads."""
        places = self.price_decimals if decimals is None else decimals
        return f"{ticks / 10**self.price_decimals:.{places}f}"

    def size(self, lots: int, decimals: int | None = None) -> str:
        """Format a size, padded to ``decimals`` where the venue pads."""
        places = self.size_decimals if decimals is None else decimals
        return f"{lots / 10**self.size_decimals:.{places}f}"


def listing(instrument: str, symbol: str, seed: int) -> Listing:
    """List an instrument: six significant digits of price, lots worth about a dollar."""
    base, quote, *_ = instrument.split("-")
    start = _PRICES.get(base) or 10 ** Random(f"{seed}/{base}").uniform(-1.0, 3.0)
    magnitude = floor(log10(start))
    return Listing(
        instrument=instrument,
        symbol=symbol,
        base=base,
        quote=quote,
        start=start,
        price_decimals=max(0, 5 - magnitude),
        size_decimals=max(0, magnitude + 1),
    )


class Walk:
    """The price of one asset that all venues share, as a factor of its start, step by step."""

    __slots__ = ("_first", "_random", "_sigma", "_values")

    def __init__(self, seed: int, base: str, period: float) -> None:
        self._random = Random(f"{seed}/walk/{base}")
        self._sigma = _VOLATILITY * sqrt(period)
        self._values: deque[float] = deque([1.0], maxlen=256)
        self._first = 0  # the step of the oldest value still kept

    def at(self, step: int) -> float:
        """Return the factor at a step; steps older than 256 back give the oldest kept."""
        while step >= self._first + len(self._values):
            full = len(self._values) == self._values.maxlen
            self._values.append(self._values[-1] * exp(self._random.gauss(0.0, self._sigma)))
            self._first += full
        return self._values[max(0, step - self._first)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bend:
    """How faults distort one listing's market. The plain one distorts nothing."""

    offset: float = 0.0  # ratio added to the price
    spread: float = 1.0  # factor of the spread
    trades: float = 1.0  # share of the usual trades that are made
    depth: float = 1.0  # share of the usual sizes that the book holds
    crossed: bool = False
    frozen: bool = False


STRAIGHT = Bend()


class Ladder:
    """One side of a book. Keys are price ticks, negated for bids, so that the best is least."""

    __slots__ = ("_sign", "keys", "lots")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self.keys: list[int] = []
        self.lots: dict[int, int] = {}

    def move(
        self,
        best: int,
        depth: int,
        gap: int,
        random: Random,
        size: Callable[[], int],
        *,
        anew: bool = False,
    ) -> Levels:
        """Move the best price to ``best`` ticks, disturb some levels, give all changed levels.

        ``anew``: every level gets another size.
        """
        changed: dict[int, int] = {}
        key, keys, lots = best * self._sign, self.keys, self.lots
        for gone in keys[: bisect_left(keys, key)]:
            changed[gone] = 0
            del lots[gone]
        del keys[: len(changed)]
        if not keys or keys[0] != key:
            keys.insert(0, key)
        touched = [key, keys[min(int(random.expovariate(0.2)), len(keys) - 1)]]
        while len(keys) < depth:
            keys.append(keys[-1] + 1 + int(random.random() * 2 * gap))
            touched.append(keys[-1])
        for one in keys if anew else touched:
            lots[one] = changed[one] = size()
        for far in keys[depth:]:
            changed[far] = 0
            del lots[far]
        del keys[depth:]
        return [(k * self._sign, n) for k, n in changed.items()]

    def top(self, count: int | None = None) -> Levels:
        """Return the best ``count`` levels, best first."""
        return [(k * self._sign, self.lots[k]) for k in self.keys[:count]]

    @property
    def best(self) -> int:
        """The best price in ticks."""
        return self.keys[0] * self._sign


@dataclass(slots=True, kw_only=True)
class Candle:
    """One kline in the making. Times in epoch milliseconds, prices in ticks, volumes in lots."""

    start: int
    length: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    bought: int = 0
    count: int = 0
    first: int = -1
    last: int = -1
    closed: bool = False

    @property
    def end(self) -> int:
        """The last millisecond inside."""
        return self.start + self.length - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step of a market changed. Sizes of 0 delete a level."""

    number: int
    millis: int  # the venue's clock
    second: bool  # the first step of a second, for what is published once a second
    first: int  # running numbers of the updates inside
    last: int
    bids: Levels
    asks: Levels
    trades: list[Print]
    closed: dict[int, Candle] = field(default_factory=dict)  # by length in milliseconds


class Pair:
    """One market in operation: book, trades and klines, advanced step by step."""

    def __init__(self, listing: Listing, venue: str, seed: int, *, rate: float, steps: float,
                 depth: int) -> None:  # fmt: skip
        """``rate`` trades and ``steps`` steps a second; ``depth`` levels a side."""
        self.listing = listing
        self._random = Random(f"{seed}/{venue}/{listing.instrument}")
        self._rate, self._steps, self._depth = rate / steps, steps, depth
        self._noise = 0.0
        # Drawn once: a market with many trades only picks from it. A lognormal around two thousand
        # dollars.
        dollars = 10**listing.size_decimals / listing.start
        self.sizes = [max(1, int(dollars * exp(self._random.gauss(7.6, 1.2)))) for _ in range(1024)]
        self._price = listing.start
        self._gap = max(1, round(listing.start * 2e-5 * 10**listing.price_decimals))
        self.number = 0
        # Like the venues' own, numbers do not start at zero, and differ from market to market.
        self.last = self._random.randrange(10**9, 2 * 10**9)
        self.trade = self._random.randrange(10**7, 10**8)
        self._version = self._random.randrange(10**7, 10**8)
        self.bids, self.asks = Ladder(-1), Ladder(1)
        self._share = 1.0  # of the usual sizes
        self.candles: dict[int, Candle] = {}
        self.closed: deque[Candle] = deque(maxlen=500)  # one-minute klines
        self._move(STRAIGHT)
        middle = self.bids.best
        self.print: Print = (
            self.trade,
            True,
            self.asks.best,
            self.sizes[0],
        )  # the newest published
        self.printed = 0  # when, in milliseconds of the venue's clock
        self.recent: deque[tuple[Print, int]] = deque(maxlen=50)  # with their times
        self.day_open, self.day_high, self.day_low, self.day_volume = middle, middle, middle, 0

    def advance(
        self, common: float, millis: int, bend: Bend = STRAIGHT, trades: bool = True
    ) -> Step:
        """Go one step: ``common`` is the walk's factor, ``millis`` the venue's clock."""
        self.number += 1
        life = 1.0 / (_NOISE_LIFE * self._steps)
        self._noise += -self._noise * life + self._random.gauss(0.0, _NOISE * sqrt(2 * life))
        if not bend.frozen:
            self._price = self.listing.start * common * (1.0 + self._noise)
        bids, asks = self._move(bend)
        first, self.last = self.last + 1, self.last + len(bids) + len(asks)
        prints = self.prints(self._due(bend.trades), still=bend.frozen) if trades else []
        second = int(self.number % self._steps) == 0
        closed = dict(self._candles(millis, prints))
        return Step(number=self.number, millis=millis, second=second, first=first, last=self.last,
                    bids=bids, asks=asks, trades=prints, closed=closed)  # fmt: skip

    def prints(self, count: int, *, still: bool = False) -> list[Print]:
        """Execute ``count`` trades at the best prices of the moment; ``still``: all at one."""
        bits, sizes, base = self._random.getrandbits, self.sizes, self.trade + 1
        # A crossed book has no inside; its trades stay at its own prices all the same.
        bid, ask = self.bids.best, self.bids.best if still else self.asks.best
        self.trade += count
        made = []
        for number in range(base, base + count):
            draw = bits(11)
            buy = draw & 1 == 1
            made.append((number, buy, ask if buy else bid, sizes[draw >> 1]))
        return made

    @property
    def version(self) -> int:
        """The running number of the book's state, one a step."""
        return self._version + self.number

    def kline(self, length: int, millis: int) -> Candle:
        """Return the open kline of ``length`` milliseconds, kept from the first call on."""
        return self.candles.get(length) or self._open(length, millis)

    def _due(self, share: float) -> int:
        whole, part = divmod(self._rate * share, 1.0)
        return int(whole) + (self._random.random() < part)

    def _move(self, bend: Bend) -> tuple[Levels, Levels]:
        scale = 10**self.listing.price_decimals
        middle = self._price * (1.0 + bend.offset) * scale
        # Half a spread to each side; a frozen market keeps its last one.
        jitter = 1.0 if bend.frozen else self._random.uniform(0.5, 1.5)
        half = max(0.5, middle * 1e-5 * jitter * bend.spread)
        bid = max(1, floor(middle - half))
        ask = max(bid + 1, floor(middle + half) + 1)
        if bend.crossed:
            bid, ask = ask, bid
        random, sizes, share = self._random, self.sizes, bend.depth
        anew, self._share = share != self._share, share

        def size() -> int:
            lots = sizes[random.getrandbits(10)]
            return lots if share == 1.0 else max(1, int(lots * share))

        return (
            self.bids.move(bid, self._depth, self._gap, random, size, anew=anew),
            self.asks.move(ask, self._depth, self._gap, random, size, anew=anew),
        )

    def _candles(self, millis: int, prints: list[Print]) -> Iterator[tuple[int, Candle]]:
        self.kline(60_000, millis)
        for length, candle in list(self.candles.items()):
            if millis > candle.end:
                candle.closed = True
                if length == 60_000:
                    self.closed.append(candle)
                yield length, candle
                candle = self._open(length, millis)
            if prints:
                _fold(candle, prints)
        if prints:
            ticks = prints[-1][2]
            self.day_high = max(self.day_high, ticks)
            self.day_low = min(self.day_low, ticks)
            self.day_volume += sum(row[3] for row in prints)

    def _open(self, length: int, millis: int) -> Candle:
        price = self.print[2] if self.number else self.bids.best
        start = millis - millis % length
        candle = Candle(start=start, length=length, open=price, high=price, low=price, close=price)
        self.candles[length] = candle
        return candle


class PriceWindow:
    """The best levels of a book, as a client sees them who was sent a snapshot and changes."""

    def __init__(self, pair: Pair, depth: int) -> None:
        self._sides, self._depth = (pair.bids, pair.asks), depth
        self._seen = [dict(side.top(depth)) for side in self._sides]

    def changes(self) -> tuple[Levels, Levels]:
        """Return what has changed since the last call: levels that left have size 0."""
        made: list[Levels] = []
        for place, side in enumerate(self._sides):
            now = dict(side.top(self._depth))
            before, self._seen[place] = self._seen[place], now
            gone = [(price, 0) for price in before if price not in now]
            made.append(gone + [(p, n) for p, n in now.items() if before.get(p) != n])
        return made[0], made[1]

    def levels(self) -> tuple[Levels, Levels]:
        """Return the bids and asks as of the last call of `changes`."""
        return list(self._seen[0].items()), list(self._seen[1].items())


def _fold(candle: Candle, prints: list[Print]) -> None:
    """Take executions into a kline."""
    prices = [row[2] for row in prints]
    candle.high, candle.low = max(candle.high, *prices), min(candle.low, *prices)
    candle.close = prices[-1]
    candle.volume += sum(row[3] for row in prints)
    candle.bought += sum(row[3] for row in prints if row[1])
    if candle.count == 0:
        candle.first = prints[0][0]
    candle.count += len(prints)
    candle.last = prints[-1][0]
