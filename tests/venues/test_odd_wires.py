"""Wire formats that nobody here has seen: said by a definition, and read."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from exporter.cli.replay import play, summarise
from exporter.config import ConfigError
from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.instrument import Product
from exporter.model import Ack, Channel, Control, Depth, Event, Kline, Message, Quote, Side, Trade
from exporter.salvage import salvage
from exporter.venues import definition

SECOND = 1_600_000_000


def made(channels: str, stream: str = "", symbols: str = "") -> Venue:
    """Compile a definition of these channels."""
    text = f"""
name: odd
source: made up
rest: {{url: "https://odd.example"}}
{symbols}
stream:
  urls: wss://odd.example
  subscribe: {{op: sub, args: $topics}}
{stream}
channels:
{channels}
"""
    return definition.compiled(text, "odd.yml")


def read(venue: Venue, *frames: Any) -> list[Event]:
    """Return the events of frames, each any JSON value or bytes."""
    raw = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in frames]
    return [event for each in raw for event in venue.reader()(each)]


def book(venue: Venue, frame: Any) -> tuple[list[Any], list[Any]]:
    """Return the levels of the one book of a frame."""
    (event,) = read(venue, frame)
    assert isinstance(event, Depth)
    assert venue.book is not None
    bids, asks = venue.book.levels(event)
    return [*bids], [*asks]


def test_frames_that_are_arrays() -> None:
    """Numbered places, the symbol behind the rows, a kind between, seconds with a fraction."""
    venue = made(
        """
  trades:
    topic: trade/{symbol}
    frames:
      - {when: {"2": trade}, rows: "1", symbol: $.3, time: {path: "2", unit: s}, price: "0",
         size: "1", side: {path: "3", buy: b, sell: s}}
""",
        "  controls: [{when: {event: heartbeat}, label: heartbeat}]",
        'symbols: {form: "{base}/{quote}"}',
    )
    rows = [["5541.2", "0.15", "1600000000.1232", "s", "l", ""], ["5542", "1", SECOND, "b", "l"]]
    assert read(venue, [42, rows, "trade", "XBT/USD"], {"event": "heartbeat"}) == [
        Trade("trades", "trade/XBT/USD", "XBT/USD", 1600000000.1232, 5541.2, 0.15, Side.SELL),
        Trade("trades", "trade/XBT/USD", "XBT/USD", SECOND, 5542.0, 1.0, Side.BUY),
        Control("heartbeat"),
    ]
    assert venue.symbol("BTC-USDT") == "BTC/USDT"
    assert venue.place("/t?s={symbol}", "BTC/USDT", venue.plain) == "/t?s=BTC%2FUSDT"


def test_a_frame_that_is_a_list_of_rows() -> None:
    """All of the frame is rows; its first tells its kind."""
    venue = made(
        """
  trades:
    topic: t.{symbol}
    frames:
      - {when: {"0.ev": XT}, rows: $, symbol: pair, time: {path: t, unit: ns}, price: p, size: s,
         side: {path: maker, buy: false, sell: true}}
""",
        "  acks: [{when: {ok: true}, topics: args}]",
    )
    rows = [{"ev": "XT", "pair": "A-B", "t": SECOND * 10**9, "p": 1, "s": 2, "maker": each}
            for each in (True, False)]  # fmt: skip
    assert read(venue, rows, {"ok": True, "args": ["t.A-B"]}) == [
        Trade("trades", "t.A-B", "A-B", SECOND, 1.0, 2.0, Side.SELL),
        Trade("trades", "t.A-B", "A-B", SECOND, 1.0, 2.0, Side.BUY),
        Ack("ack", topics=("t.A-B",)),
    ]
    for wrong in (b"[]", b"[[]]", b'[{"ev":"new"}]', b'{"ok":false}'):
        with pytest.raises(ParseError):
            read(venue, wrong)


def test_one_number_for_a_frame_of_several_trades() -> None:
    """It counts once, so that no trade goes back."""
    venue = made("""
  trades:
    topic: t.{symbol}
    continuity: contiguous
    frames: [{when: {k: t}, rows: data, symbol: $.s, price: p, size: q, sequence: $.n}]
""")
    events = read(
        venue, {"k": "t", "s": 17, "n": "8", "data": [{"p": 1, "q": 1}, {"p": 2, "q": 1}]}
    )
    assert [(each.symbol, each.topic, each.sequence) for each in events] == [  # type: ignore[union-attr]
        ("17", "t.17", 8), ("17", "t.17", None),
    ]  # fmt: skip


LEVELS = """
  book:
    topic: b.{symbol}
    frames: [{when: {k: b}, row: data, symbol: $.s, %s}]
"""


@pytest.mark.parametrize(
    ("shape", "row"),
    [
        ("bids: bids, asks: asks", {"bids": {"3": "1", "2.5": 2}, "asks": {"4": "0"}}),
        ("bids: bids, asks: asks", {"bids": [["3", "1", 9], ["2.5", 2]], "asks": [[4, 0]]}),
        ("bids: b, asks: a, level: {price: p, size: q}",
         {"b": {"p": ["3", 2.5], "q": [1, "2"]}, "a": {"p": [4], "q": [0]}}),
        ("bids: b, asks: a, level: {price: p, size: q}",
         {"b": [{"p": 3, "q": 1}, {"q": 2, "p": "2.5"}], "a": [{"p": 4, "q": 0}]}),
        ("bids: b, asks: a, level: {price: px, size: q, gone: {path: op, values: [del, gone]}}",
         {"b": [{"px": 3, "q": 1, "op": "new"}, {"px": 2.5, "q": 2, "op": "new"}],
          "a": [{"px": 4, "op": "del"}]}),
        ("changes: c, level: {price: p, size: q, side: {path: s, buy: 1, sell: -1}}",
         {"c": [{"s": 1, "p": 3, "q": 1}, {"s": -1, "p": 4, "q": 0}, {"s": 1, "p": 2.5, "q": 2}]}),
        ('changes: c, level: {price: "1", size: "2", side: {path: "0", buy: B, sell: A}, '
         'gone: {path: "3", values: true}}',
         {"c": [["B", 3, 1, False], ["A", 4, 7, True], ["B", 2.5, "2", False]]}),
        ("pairs: u, level: {bid: b, bid_size: bs, ask: a, ask_size: as}",
         {"u": [{"b": 3, "bs": 1, "a": 4, "as": 0}, {"b": 2.5, "bs": 2, "a": 0, "as": 0}]}),
    ],
)  # fmt: skip
def test_levels_of_every_form(shape: str, row: Any) -> None:
    """Lists, objects, objects of lists, one list of both sides, pairs; a word that removes."""
    venue = made(LEVELS % shape)
    found = book(venue, {"k": "b", "s": "X", "data": row})
    assert found == ([(3.0, 1.0), (2.5, 2.0)], [(4.0, 0.0)])


@pytest.mark.parametrize(
    ("shape", "row"),
    [
        ("bids: b, asks: a", {"b": {"3.10": "1.0"}, "a": {}}),
        ("bids: b, asks: a, level: {price: p, size: q}",
         {"b": {"p": ["3.10"], "q": ["1.0"]}, "a": []}),
        ("bids: b, asks: a, level: {price: p, size: q, gone: {path: o, values: x}}",
         {"b": [{"p": "3.10", "q": "1.0"}], "a": None}),
    ],
)  # fmt: skip
def test_digits_are_kept_for_a_checksum(shape: str, row: Any) -> None:
    """In objects as in lists."""
    venue = made(LEVELS % f"{shape}, checksum: {{path: sum}}")
    found = book(venue, {"k": "b", "s": "X", "data": row | {"sum": 1}})
    assert found == ([("3.10", "1.0")], [])


@pytest.mark.parametrize(
    "row", [{"b": {"3": "x"}, "a": {}}, {"b": 7, "a": []}, {"b": [[1]], "a": []}]
)
def test_levels_that_are_none(row: Any) -> None:
    """A text for a size, a number for a list, half a level: told as such."""
    venue = made(LEVELS % "bids: b, asks: a")
    with pytest.raises(ParseError):
        book(venue, {"k": "b", "s": "X", "data": row})


def test_compressed_frames_and_other_pings() -> None:
    """Gzip, deflate with and without a header, plain frames beside them; a ping that is a text."""
    channel = """
  klines:
    topic: k.{symbol}
    frames:
      - {when: {ch: k.*}, symbol: {path: ch, within: "k.{symbol}"}, close: c,
         start: {path: t, unit: iso, zone: "+09:00"}}
"""
    frame = json.dumps({"ch": "k.X", "t": "2020-09-13 21:26:40", "c": "5"}).encode()
    raw = zlib.compressobj(wbits=-15)
    bare = raw.compress(frame) + raw.flush()
    ping = "  controls: [{text: ping, reply: pong}]\n  compression: "
    for kind, packed in (
        ("gzip", [gzip.compress(frame)]),
        ("deflate", [zlib.compress(frame), bare]),
    ):
        venue = made(channel, ping + kind)
        assert read(venue, *packed, frame) == [
            Kline("klines", "k.X", "X", None, SECOND, 5.0)
        ] * (len(packed) + 1)  # fmt: skip
        with pytest.raises(ParseError):
            read(venue, packed[0][:-9])
    assert read(made(channel, "  controls: [{text: ping, reply: pong}]"), b"ping") == [
        Control("ping", reply="pong")
    ]


def test_mistakes_of_all_kinds_at_once() -> None:
    """Each with its line, its key and what would do."""
    with pytest.raises(ConfigError) as error:
        made(
            LEVELS
            % "bids: b, level: {price: p, size: q, gone: {path: o}}, time: {path: t, unit: m}",
            "  ping: {send: {at: $now}, every: 0s}\n  opening: [{n: $id}]",
            "symbols: {form: '{quote}'}",
        )
    assert error.value.complaints == (
        'odd.yml:5: symbols.form: found "{quote}", expected a text with {base} and perhaps {quote} '
        "in it",
        'odd.yml:9: stream.ping.every: found "0s", expected a duration from 1s to 1h',
        'odd.yml:9: stream.ping.send: found "$now", expected one of $id, $id_text, $time, $time_ms',
        'odd.yml:10: stream.opening: found "$id", expected one of $time, $time_ms',
        'odd.yml:15: channels.book.frames[0].time.unit: found "m", expected one of s, ms, us, ns, '
        'iso; did you mean "ms"?',
        "odd.yml:15: channels.book.frames[0].level.gone.values: found no such key, expected its "
        "values, one or a list, that take a level away",
        "odd.yml:15: channels.book.frames[0].asks: found no such key, expected bids and asks, or "
        "neither",
    )


def test_a_word_that_is_no_word_is_told() -> None:
    """What tells sides apart is a text or a number: an object ended the program."""
    with pytest.raises(ConfigError, match="found a mapping, expected a text or number, or a list"):
        made(
            LEVELS % "changes: c, level: {price: p, size: q, side: {path: s, buy: {a: 1}, sell: 2}}"
        )


TOLERANT = """
  trades:
    topic: t.{symbol}
    continuity: contiguous
    frames:
      - {when: {k: t}, rows: d, symbol: s, time: at, price: p, size: q, sequence: n,
         side: {path: w, buy: b, sell: s}, apart: {type: [block, otc]}}
  quotes:
    topic: q.{symbol}
    frames: [{when: {k: q}, symbol: s, time: at, bid: b, ask: a}]
  book:
    topic: b.{symbol}
    frames: [{when: {k: b}, symbol: s, time: {path: at, unit: iso}, bids: b, asks: a}]
  klines:
    topic: k.{symbol}
    frames: [{when: {k: k}, symbol: s, time: at, start: {path: b, unit: s}, close: c}]
"""
ANSWERS = """
  acks: [{when: {op: sub}, topic: "{ch}.{ids.*}", label: sub}]
  controls: [{when: {k: {exists: true}}, kind: k, data: true}]
"""


@pytest.mark.parametrize("time", [0, "", "soon", "0001-01-01T00:00:00Z", -1, True])
def test_no_update_is_thrown_away_for_a_time_that_cannot_be(time: Any) -> None:
    """A book that loses a change is wrong; a trade and a quote count all the same."""
    venue = made(TOLERANT)
    frames = (
        {"k": "b", "s": "X", "at": time, "b": [["1", "2"]], "a": []},
        {"k": "t", "d": [{"s": "X", "at": time, "p": 1, "q": "0.10", "n": 7, "w": "b"}]},
        {"k": "q", "s": "X", "at": time, "b": 1, "a": 2},
    )
    found: list[Any] = []
    for frame in frames:
        raw = json.dumps(frame).encode()
        with pytest.raises(ParseError) as refused:
            venue.parse(raw)
        found += salvage(venue.parse, raw, refused.value) or ()
    depth, trade, quote = found
    assert isinstance(depth, Depth)
    assert (depth.time, quote.time) == (None, None)
    assert trade == Trade("trades", "t.X", "X", None, 1.0, 0.1, Side.BUY, 7)


def test_what_is_optional_may_be_anything() -> None:
    """An empty side is no quote, an unknown word no side, a minute without a price no candle."""
    venue, at = made(TOLERANT), SECOND * 1000
    nothing: Any
    quiet = Message("quotes", "q.X", "X", SECOND)
    for nothing in ("", 0, None):
        assert read(venue, {"k": "q", "s": "X", "at": at, "b": nothing, "a": 2}) == [quiet]
    (trade,) = read(venue, {"k": "t", "d": [
        {"s": "X", "at": at, "p": 1, "q": 1, "n": 7, "w": "auction"}]})  # fmt: skip
    assert trade == Trade("trades", "t.X", "X", SECOND, 1.0, 1.0, None, 7)
    for close in (0, None, "0"):
        (candle,) = read(venue, {"k": "k", "s": "X", "at": at, "b": SECOND, "c": close})
        assert candle == Message("klines", "k.X", "X", SECOND)
    with pytest.raises(ParseError):
        read(venue, {"k": "t", "d": [{"s": "X", "at": at, "p": "", "q": 1, "n": 7}]})


def test_trades_made_elsewhere_keep_their_number() -> None:
    """They are no trades of the market, and leave no hole."""
    row = {"s": "X", "at": SECOND * 1000, "p": 1, "q": 1, "w": "b"}
    rows = [row | {"n": 7, "type": "fill"}, row | {"n": 8, "type": "otc"}, row | {"n": 9}]
    first, other, last = read(made(TOLERANT), {"k": "t", "d": rows})
    assert other == Message("trades", "t.X", "X", SECOND, 8)
    assert [type(each) for each in (first, last)] == [Trade, Trade]


def test_kinds_that_nobody_knows_are_counted_by_the_name_they_have() -> None:
    """What is of a known kind, and cannot be read, is never taken for one of them."""
    venue = made(TOLERANT, ANSWERS)
    assert read(venue, {"k": "new"}) == [Control("new", data=True, unknown=True)]
    assert read(venue, {"k": 7}) == [Control("7", data=True, unknown=True)]
    for frame in ({"k": "b"}, {"k": "q", "b": 1}, {"k": "t", "d": 7}, {"z": 1}):
        with pytest.raises(ParseError):
            read(venue, frame)


def test_an_answer_may_name_several_topics_or_none_of_ours() -> None:
    """One topic for each item of a list; what names nothing was not asked for here."""
    venue = made(TOLERANT, ANSWERS)
    (ack,) = read(venue, {"op": "sub", "ch": "t", "ids": ["X", "Y"]})
    assert ack == Ack("sub", topics=("t.X", "t.Y"))
    assert read(venue, {"op": "sub", "ch": "heartbeat"}) == [Control("sub")]


INTEGERS = """
  trades:
    topic: t.{symbol}
    price_decimals: 4
    size_decimals: 8
    frames: [{when: {k: t}, rows: d, symbol: s, time: at, price: p, size: q}]
  quotes:
    topic: q.{symbol}
    price_decimals: 4
    frames: [{when: {k: q}, symbol: s, bid: b, ask: a, bid_size: n}]
  book:
    topic: b.{symbol}
    price_decimals: 4
    size_decimals: 8
    snapshot: {path: "/book?s={symbol}", last: n, bids: b, asks: a}
    frames: [{when: {k: b}, symbol: s, bids: b, asks: a, last: n}]
    continuity: contiguous
  klines:
    topic: k.{symbol}
    price_decimals: 4
    frames: [{when: {k: k}, symbol: s, start: {path: b, unit: s}, close: c}]
"""


def test_whole_numbers_of_so_many_decimals() -> None:
    """Some venues write no fraction at all; what comes out is exact."""
    venue, at = made(INTEGERS), SECOND * 1000
    trade, quote, candle = read(
        venue,
        {"k": "t", "d": [{"s": "X", "at": at, "p": 605012345, "q": 12000000}]},
        {"k": "q", "s": "X", "b": 15000, "a": "15001", "n": 3},
        {"k": "k", "s": "X", "b": SECOND, "c": 17},
    )
    assert trade == Trade("trades", "t.X", "X", SECOND, 60501.2345, 0.12)
    assert quote == Quote("quotes", "q.X", "X", None, 1.5, 1.5001, 3.0)
    assert isinstance(candle, Kline)
    assert candle.close == 0.0017
    levels = {"b": [[15000, 100000000]], "a": [[15001, 0]]}
    assert book(venue, {"k": "b", "s": "X", "n": 7, **levels}) == ([(1.5, 1.0)], [(1.5001, 0.0)])
    assert venue.book is not None
    assert venue.book.read_snapshot is not None
    whole = venue.book.read_snapshot(json.dumps({"n": 6, **levels}).encode(), "b.X", "X")
    assert (whole.last, whole.levels) == (6, ([(1.5, 1.0)], [(1.5001, 0.0)]))


def test_numbers_over_a_whole_connection() -> None:
    """What is missing is told once, with the next frame that can be read; each connection anew."""
    venue = made(TOLERANT, "  numbers: head.no\n" + ANSWERS.strip("\n"))
    quote = {"k": "q", "s": "X", "at": SECOND * 1000, "b": 1, "a": 2}

    def heard(*numbers: int | None) -> list[int]:
        parse, missed = venue.reader(), []
        for number in numbers:
            frame = {**quote, "head": {"no": number}} if number is not None else quote
            found = parse(json.dumps(frame).encode())
            missed += [each.missed for each in found if isinstance(each, Control)]
            assert isinstance(found[-1], Quote)
        return missed

    assert heard(1, 2, None, 3) == []
    assert heard(7, 8, 11, 12, 14) == [2, 1]
    parse = venue.reader()
    parse(json.dumps({**quote, "head": {"no": 1}}).encode())
    with pytest.raises(ParseError):
        parse(b'{"k":"q","head":{"no":4}}')
    gap, _ = parse(json.dumps({**quote, "head": {"no": 5}}).encode())
    assert gap == Control("gap", missed=2)


def test_decimals_and_a_sum_of_digits_exclude_each_other() -> None:
    """A sum is of the digits as they stand."""
    with pytest.raises(ConfigError, match="found beside decimals"):
        made(INTEGERS.replace("bids: b, asks: a, last: n}]", "bids: b, asks: a, last: n, "
             "checksum: {path: c}}]"))  # fmt: skip


def test_one_place_is_a_row_for_one_kind_and_has_parts_for_another() -> None:
    """The books' row holds all; of the same object the trades take the market beside their list."""
    venue = made(
        """
  trades:
    topic: deals:{symbol}
    frames:
      - {when: {m: deals}, rows: data.list, symbol: $.data.market, time: at, price: p, size: q}
  book:
    topic: depth:{symbol}
    continuity: linked
    frames:
      - {when: {m: depth}, row: data, symbol: market, time: depth.at, bids: depth.b,
         asks: depth.a, snapshot_when: {full: true}, last: n, previous: $.before}
"""
    )
    at = SECOND * 1000
    trade = {"m": "deals", "data": {"market": "X", "list": [{"at": at, "p": "1", "q": "2"}]}}
    depth = {"market": "X", "full": False, "n": 8, "depth": {"at": at, "b": [["1", "2"]], "a": []}}
    whole = {"m": "depth", "data": {**depth, "full": True}}
    change = {"m": "depth", "data": depth, "before": 7}
    sold, first, second = read(venue, trade, whole, change)
    assert isinstance(sold, Trade)
    assert (sold.topic, sold.price) == ("deals:X", 1.0)
    assert isinstance(first, Depth)
    assert isinstance(second, Depth)
    assert (first.snapshot, first.last, second.snapshot) == (True, 8, False)
    assert (second.last, second.previous, second.time) == (8, 7, SECOND)
    assert book(venue, change) == ([(1.0, 2.0)], [])


def test_rows_by_their_number() -> None:
    """An object of rows is read as a list of them; an empty one is data all the same."""
    venue = made(
        """
  trades:
    topic: deals:{symbol}
    frames:
      - {when: {m: deals}, rows: by, symbol: $.s, time: {path: t, unit: s}, price: p, size: q}
"""
    )
    rows = {"12": {"t": SECOND, "p": 1, "q": 2}, "13": {"t": SECOND, "p": 3, "q": 4}}
    found = read(venue, {"m": "deals", "s": "X", "by": rows}, {"m": "deals", "s": "X", "by": {}})
    assert [each.price for each in found if isinstance(each, Trade)] == [1.0, 3.0]
    assert found[2:] == [Control("trades", data=True)]


@pytest.mark.parametrize("kind", ["gzip", "deflate"])
def test_keepalives_in_plain_text_beside_compressed_messages(kind: str) -> None:
    """Only what is no text was compressed."""
    venue = made(
        TOLERANT, f"  compression: {kind}\n  controls: [{{text: Ping, reply: Pong, label: ping}}]"
    )
    assert venue.reader()(b"Ping") == (Control("ping", reply="Pong"),)
    with pytest.raises(ParseError):
        venue.reader()(b"\xff\xfe")


ADDRESSED = """
  trades:
    topic: deals/{symbol}
    route: /spot/{lower}@trade
    frames:
      - {when: {e: t}, time: {path: t, unit: s}, price: p, size: q}
  book:
    topic: depth/{symbol}
    route: "/spot/{symbol}/depth?of={lower}"
    continuity: rising
    frames:
      - {when: {e: d}, snapshot: true, last: n, bids: b, asks: a}
"""


def test_the_address_alone_names_the_market(tmp_path: Path) -> None:
    """Events have the symbol of their connection's URL; so have a recording's."""
    venue = made(ADDRESSED)
    base = "wss://odd.example"
    sold, changed = b'{"e":"t","t":%d,"p":1,"q":2}' % SECOND, b'{"e":"d","n":7,"b":[[1,2]],"a":[]}'
    (trade,) = venue.reader(f"{base}/spot/btc-usdt@trade")(sold)
    assert isinstance(trade, Trade)
    assert (trade.symbol, trade.topic) == ("BTC-USDT", "deals/BTC-USDT")
    (depth,) = venue.reader(f"{base}/spot/1000%C3%9F/depth?of=1000%C3%9F")(changed)
    assert isinstance(depth, Depth)
    assert (depth.symbol, depth.topic) == ("1000ß", "depth/1000ß")
    assert (
        venue.route(Channel.BOOK, Product.SPOT, "1000ß")[1]
        in "/spot/1000%C3%9F/depth?of=1000%C3%9F"
    )
    file = tmp_path / "ws.txt"
    lines = [
        f"{base}/spot/btc-usdt@trade <-> {SECOND}.0", f"{SECOND}.1: {sold.decode()}",
        f"{base}/spot/eth-usdt@trade <-> {SECOND}.2", f"{SECOND}.3: {sold.decode()}",
    ]  # fmt: skip
    file.write_text("\n".join(lines))
    assert summarise(file, venue)["trades"] == {"BTC-USDT": 1, "ETH-USDT": 1}
    figures = play(file, venue).figures()
    assert {row["topic"] for row in figures["subscriptions"]} == {
        "deals/BTC-USDT",
        "deals/ETH-USDT",
    }


def test_a_market_must_be_named_somewhere() -> None:
    """Without a symbol in frames and without one in the route nobody knows the market."""
    with pytest.raises(ConfigError, match=r"trades\.frames\[0\]\.symbol: found no such key"):
        made(ADDRESSED.replace("/spot/{lower}@trade", "/spot/trades"))
