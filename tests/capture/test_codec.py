"""Rows to blocks and back: bit for bit, small, fast, and never wrong on what is no block."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from itertools import pairwise
from math import inf, nan
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter import venues
from exporter.capture.codec import VERSION, CodecError, Decoder, Encoder, Mark, Row, sides
from exporter.capture.text_recording import Received, read
from exporter.cli.replay import recognise
from exporter.model import Ack, Control, Depth, Kline, Quote, Side, Trade
from tests.capture.rows import ROWS, bits
from tests.conftest import shared

NOW = 1_700_000_000.123456

TRADE = Trade("t", "btc@t", "BTC", NOW - 0.05, 64123.45, 0.00012, Side.BUY, 4711, None, False)
QUOTE = Quote("q", "btc@q", "BTC", None, 64123.4, 64123.5, 1.5, 0.25, 99)
DEPTH = Depth(
    "d", "btc@d", "BTC", NOW, ([(64000.1, 2.0)], [(64000.2, 0.0), (64001.0, 0.5)]), False, 5, 7, 4
)
KLINE = Kline("k", "btc@k", "BTC", NOW, 1_700_000_000.0, 64000.0, True)


def there_and_back(*batches: list[Row]) -> list[Row]:
    """Encode batch by batch, decode, and return all rows."""
    encoder, decoder = Encoder(), Decoder()
    return [row for batch in batches for row in decoder.decode(encoder.encode(batch)).rows()]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(ROWS, max_size=8), max_size=3))
def test_any_event_comes_back(batches: list[list[Row]]) -> None:
    """Whatever the numbers and texts, to the bit, in order, over several blocks."""
    found = there_and_back(*batches)
    assert [bits(row) for row in found] == [bits(row) for batch in batches for row in batch]


def test_numbers_that_are_none() -> None:
    """NaN and infinities are no market data, but survive."""
    rows = [Row(nan, "x", msgspec.structs.replace(TRADE, price=v, time=v)) for v in (nan, inf)]
    assert [bits(row) for row in there_and_back(rows)] == [bits(row) for row in rows]


def test_a_record_takes_the_bytes_that_it_needs() -> None:
    """A trade 28, a quote without a time 32, a book update 32 and 8 a level, a candle 24."""
    for event, size, levels in ((TRADE, 28, 0), (QUOTE, 32, 0), (DEPTH, 32, 3), (KLINE, 24, 0)):
        (section,) = Decoder().decode(Encoder().encode([Row(NOW, "x", event)])).sections
        assert (section.records.itemsize, len(section.prices)) == (size, levels)
        assert (
            section.prices.itemsize == section.sizes.itemsize == (4 if levels else 8) or not levels
        )


def test_columns_are_what_the_events_say() -> None:
    """Arrays over all records: prices and times as floats, levels flat with bids first."""
    rows = [Row(NOW + n, "x", msgspec.structs.replace(DEPTH, last=7 + n)) for n in range(3)]
    (section,) = Decoder().decode(Encoder().encode(rows)).sections
    columns = section.columns()
    assert columns["last"].tolist() == [7, 8, 9]
    assert columns["first"].tolist() == [5, 5, 5]
    assert columns["received"].tolist() == [row.received for row in rows]
    assert columns["time"].tolist() == [NOW] * 3
    assert columns["bids"].tolist() == [1] * 3
    level = [[64000.1, 2.0], [64000.2, 0.0], [64001.0, 0.5]]
    assert columns["levels"].tolist() == level * 3


def test_more_layouts_than_a_block_can_have() -> None:
    """What does not fit into 255 sections is written as JSON, and nothing is lost."""
    rows = []
    for mask in range(64):
        names = ("time", "first", "last", "previous", "order", "checksum")
        given_ = {n: (1.5 if n == "time" else 3) for b, n in enumerate(names) if mask >> b & 1}
        for wide in range(8):
            level = (1e300 if wide & 1 else 1.0, 1e300 if wide & 2 else 1.0)
            at = NOW if wide & 4 else -1.0
            fields: dict[str, Any] = {"time": None, "levels": ([level], []), **given_}
            rows.append(Row(at, "x", Depth("d", "t", "s", **fields)))
    block = Decoder().decode(Encoder().encode(rows))
    assert len(block.sections) == 255
    assert block.rare
    assert list(block.rows()) == rows


def test_more_names_than_the_register_can_hold() -> None:
    """The 65,537th topic is written as JSON."""
    rows = [Row(NOW, "x", msgspec.structs.replace(TRADE, topic=str(n))) for n in range(65_538)]
    block = Decoder().decode(Encoder().encode(rows))
    assert len(block.rare) == 2
    assert list(block.rows())[-3:] == rows[-3:]


def test_blocks_follow_each_other() -> None:
    """A block that is left out or comes twice is refused, and the right one still goes on."""
    encoder, decoder = Encoder(), Decoder()
    blocks = [
        encoder.encode([Row(NOW, "x", msgspec.structs.replace(TRADE, topic=topic))])
        for topic in "abc"
    ]
    decoder.decode(blocks[0])
    for wrong in (blocks[0], blocks[2]):
        with pytest.raises(CodecError, match="does not follow"):
            decoder.decode(wrong)
    assert [row.event.topic for row in decoder.decode(blocks[1]).rows()] == ["b"]  # type: ignore[union-attr]  # a Trade


def test_a_missing_block_takes_with_it_only_what_it_introduced() -> None:
    """After a hole, rows of subscriptions that are known are read, the others counted."""
    encoder, decoder = Encoder(), Decoder(holed=True)

    def rows(*topics: str) -> list[Row]:
        return [
            Row(NOW, "x", msgspec.structs.replace(event, topic=topic))
            for topic in topics
            for event in (TRADE, DEPTH)
        ]

    first, lost, third, fourth = (
        encoder.encode(rows(*topics)) for topics in (("a",), ("b",), ("b", "a", "c"), ("c", "b"))
    )
    assert lost
    assert list(decoder.decode(first).rows()) == rows("a")
    assert list(decoder.decode(third).rows()) == rows("a", "c")
    assert list(decoder.decode(fourth).rows()) == rows("c")
    assert decoder.unknown == 4


def test_another_version_is_refused() -> None:
    """By name, before anything else is looked at."""
    block = Encoder().encode([Row(NOW, "x", TRADE)])
    other = struct.pack("<H", VERSION + 1) + block[2:]
    with pytest.raises(CodecError, match=f"version {VERSION + 1}, expected {VERSION}"):
        Decoder().decode(other)


BLOCK = Encoder().encode(
    [
        Row(NOW, "x", event)
        for event in (
            TRADE,
            QUOTE,
            DEPTH,
            KLINE,
            Ack("a"),
            Control("c"),
            Mark("m", "t", {"k": "v"}),
        )
    ]
)


@settings(max_examples=500, deadline=None)
@given(
    st.integers(0, len(BLOCK)),
    st.lists(st.tuples(st.integers(0, len(BLOCK) - 1), st.integers(0, 255)), max_size=4),
)
@example(0, [])
def test_damaged_bytes_are_no_surprise(length: int, changes: list[tuple[int, int]]) -> None:
    """Without a container's checksum a changed block may say something else, or CodecError."""
    block = bytearray(BLOCK)
    for place, value in changes:
        block[place] = value
    with suppress(CodecError):
        assert len(list(Decoder().decode(bytes(block[:length])).rows())) == 7


def test_levels_must_be_decoded() -> None:
    """A venue's raw levels are refused on both sides."""
    raw = msgspec.structs.replace(DEPTH, levels=msgspec.Raw(b"[]"))
    with pytest.raises(TypeError):
        Encoder().encode([Row(NOW, "x", raw)])
    with pytest.raises(TypeError, match="Raw"):
        sides(raw)
    (row,) = there_and_back([Row(NOW, "x", DEPTH)])
    assert isinstance(row.event, Depth)
    assert sides(row.event) == DEPTH.levels


RECORDED = (
    "binance/ws_us.txt",
    "binance_coinm/ws.txt",
    "binance_futures/ws.txt",
    "bitstamp/ws.txt",
    "coinbase/ws.txt",
    "kraken/ws_book.txt",
    "kucoin/ws.txt",
    "okx/ws.txt",
)


@pytest.mark.shared
@pytest.mark.parametrize("name", RECORDED)
def test_recorded_traffic(name: str) -> None:
    """Every event comes back; the block takes at most 30 % of what the frames did."""
    with shared(f"recordings/{name}").open("rb") as lines:
        items = [item for item in read(lines) if isinstance(item, Received)]
    with shared(f"recordings/{name}").open("rb") as lines:
        venue = recognise(read(lines))
    assert venue is not None
    assert venue in map(venues.load, venues.names())
    rules = venue.book
    rows = []
    for item in items:
        for event in venue.parse(item.frame):
            if isinstance(event, Depth):
                assert rules is not None
                pair = tuple(
                    [(float(price), float(size)) for price, size in side]  # type: ignore[arg-type]  # str or float
                    for side in rules.levels(event)
                )
                event = msgspec.structs.replace(event, levels=pair)
            rows.append(Row(item.time or 0.0, venue.name, event))
    block = Encoder().encode(rows)
    assert list(Decoder().decode(block).rows()) == rows
    assert len(block) <= 0.30 * sum(len(item.frame) for item in items)


def test_a_view_and_no_copy() -> None:
    """Records are read where they lie."""
    block = Encoder().encode([Row(NOW, "x", TRADE)] * 3)
    (section,) = Decoder().decode(block).sections
    assert not section.records.flags.owndata
    assert not section.records.flags.writeable
    assert np.array_equal(section.columns()["price"], [64123.45] * 3)
    assert all(a == b for a, b in pairwise(Decoder().decode(block).rows()))


def test_names_are_written_once() -> None:
    """The second block of the same topics holds no text."""
    encoder = Encoder()
    first, second = (encoder.encode([Row(NOW, "x", TRADE)]) for _ in range(2))
    assert json.dumps(["x", "btc@t", "BTC", "t"], separators=(",", ":")).encode() in first
    assert b"btc" not in second
