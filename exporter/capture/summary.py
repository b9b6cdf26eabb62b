"""What a recording of one venue holds: counts, latencies, continuity, checksums.

It uses the running program's own parsers, sequences and books, so that a figure checked here is a
figure to trust there. A *message* is one frame; its type is the label of its first event.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from math import ceil
from typing import Any

from exporter.books.book import verify
from exporter.books.levels import OrderBook
from exporter.continuity import ConnectionNumbers, Sequence, bind
from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.model import Ack, Control, Data, Depth, Event, Trade
from exporter.salvage import salvage


class Summary:
    """The frames of one venue, taken one by one, and what is to be said of them all."""

    def __init__(self, venue: Venue) -> None:
        self._venue, self._read = venue, venue.reader()
        self._data = Counter[str]()
        self._meta = Counter[str]()
        self._received = array("d")  # seconds
        self._times = array("d")  # milliseconds
        self._latencies: dict[str, array[float]] = {}  # milliseconds
        self._trades = Counter[str]()
        self._snapshot_trades = Counter[str]()
        self._last_price: dict[str, float] = {}
        self._sequences: dict[str, dict[str, tuple[Sequence, ...]]] = {}  # topic, label
        self._depths: dict[str, int] = {}  # topic → levels a side, as acknowledged
        self._books: dict[str, OrderBook] = {}
        self._checked = 0
        self._failed = 0
        self.undecodable = 0

    def connected(self, url: str) -> None:
        """Take it that what follows comes from there; numbers of connections begin again."""
        numbers = getattr(self._read, "numbers", None)
        if isinstance(numbers, ConnectionNumbers):
            numbers.last = None
        if self._venue.addressed is not None:
            self._read = self._venue.reader(url)

    def frame(self, received: float | None, frame: bytes) -> None:
        """Take one frame; ``received`` in epoch seconds, None where nobody kept it."""
        if received is not None:
            self._received.append(received)
        try:
            events = self._read(frame)
        except ParseError as error:
            salvaged = salvage(self._read, frame, error)
            if salvaged is None:
                self.undecodable += 1
                return
            events = salvaged
        if not events:
            return
        first = events[0]
        if isinstance(first, Control) and first.missed and len(events) > 1:
            first = events[1]  # what came, not what did not
        label = first.label
        if isinstance(first, Ack) or (isinstance(first, Control) and not first.data):
            self._meta[label] += 1
        else:
            self._data[label] += 1
        self._time(label, received, events)
        self._note_trades(events)
        for event in events:
            self._follow(event)

    def _time(self, label: str, received: float | None, events: tuple[Event, ...]) -> None:
        whole = self._venue.book is not None and self._venue.book.whole
        old = Trade if whole else Trade | Depth  # whose snapshots are no news
        times = [
            event.time
            for event in events
            if isinstance(event, Data | Control)
            and event.time is not None
            and not (isinstance(event, old) and event.snapshot)
        ]
        if not times:
            return
        # Back to what the wire said: a float of seconds is exact to a quarter of a microsecond.
        moment = round(max(times) * 1e3, 3)
        self._times.append(moment)
        if received is not None:
            self._latencies.setdefault(label, array("d")).append(received * 1e3 - moment)

    def _note_trades(self, events: tuple[Event, ...]) -> None:
        newest: dict[str, Trade] = {}  # of this frame
        for event in events:
            if not isinstance(event, Trade):
                continue
            if event.snapshot:
                self._snapshot_trades[event.symbol] += 1
                continue
            self._trades[event.symbol] += 1
            other = newest.get(event.symbol)
            if other is None or (event.time or 0.0) >= (other.time or 0.0):
                newest[event.symbol] = event
        for symbol, trade in newest.items():
            self._last_price[symbol] = trade.price

    def _follow(self, event: Event) -> None:
        if isinstance(event, Ack):
            if event.depth is not None:
                self._depths.update(dict.fromkeys(event.topics, event.depth))
            return
        if isinstance(event, Control):
            return
        sequences = self._sequences.get(event.topic)
        if sequences is None:
            sequences = self._sequences[event.topic] = bind(self._venue.sequences)
        for sequence in sequences.get(event.label, ()):
            sequence.feed(event)
        if isinstance(event, Depth):
            self._check(event)

    def _check(self, event: Depth) -> None:
        rules = self._venue.book
        if rules is None or rules.checksum is None:
            return
        book = self._books.get(event.topic)
        try:
            if event.snapshot:
                depth = self._depths.get(event.topic, rules.depth)
                book = self._books[event.topic] = OrderBook(depth=depth, text=True)
                book.load(*rules.levels(event))
            elif book is None:
                return  # its snapshot is not in the recording: nothing can be verified
            else:
                book.apply(*rules.levels(event))
        except ParseError:
            self.undecodable += 1
            return
        if event.checksum is not None:
            self._checked += 1
            self._failed += not verify(book, rules, event.checksum)

    def figures(self) -> dict[str, Any]:
        """Return all figures as plain values: times in ms or s as the keys say, null where none."""
        data = self._data
        latencies = [value for values in self._latencies.values() for value in values]
        return {
            "data_messages": _sorted(data),
            "data_total": data.total(),
            "meta_messages": _sorted(self._meta),
            "recv_time_s": _bounds(self._received),
            "event_time_ms": _bounds(self._times),
            "latency_ms": _percentiles(latencies),
            "latency_ms_by_type": {
                label: _percentiles(values) for label, values in sorted(self._latencies.items())
            },
            "trades": _sorted(self._trades),
            "trades_total": self._trades.total(),
            "snapshot_trades": _sorted(self._snapshot_trades),
            "last_trade_price": {
                symbol: f"{Decimal(repr(price)):f}"
                for symbol, price in sorted(self._last_price.items())
            },
            "sequence": self._continuity(),
            "checksum": (
                {"checked": self._checked, "failed": self._failed} if self._checked else None
            ),
        }

    def _continuity(self) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {}
        for topic, by_label in sorted(self._sequences.items()):
            for sequence in dict.fromkeys(one for some in by_label.values() for one in some):
                if sequence.last is None:
                    continue  # the topic's messages carry no such number
                row = found.setdefault(
                    sequence.rule.name, {"pairs": 0, "gaps": 0, "backward": 0, "gap_streams": {}}
                )
                row["pairs"] += sequence.pairs
                row["gaps"] += sequence.gaps
                row["backward"] += sequence.backward
                if sequence.gaps:
                    row["gap_streams"][topic] = sequence.gaps
        numbers = getattr(self._read, "numbers", None)  # of a connection, where a reader counts
        if isinstance(numbers, ConnectionNumbers) and numbers.last is not None:
            found["connection"] = {
                "pairs": numbers.pairs,
                "gaps": numbers.gaps,
                "backward": numbers.backward,
                "gap_streams": {"connection": numbers.gaps} if numbers.gaps else {},
            }
        return dict(sorted(found.items()))


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _bounds(values: array[float]) -> dict[str, float] | None:
    return {"min": min(values), "max": max(values)} if values else None


def _percentiles(values: array[float] | list[float]) -> dict[str, float | int] | None:
    """Return nearest-rank percentiles, to a microsecond."""
    if not values:
        return None
    ranked = sorted(values)
    count = len(ranked)
    return {
        "n": count,
        "min": round(ranked[0], 3),
        "p50": round(ranked[ceil(0.5 * count) - 1], 3),
        "p99": round(ranked[ceil(0.99 * count) - 1], 3),
        "max": round(ranked[-1], 3),
    }
