"""What a venue told in YAML comes to: events, requests, readers of REST, and complaints."""

from __future__ import annotations

import gzip
import json
import zlib
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from exporter.cli import schema
from exporter.config import ConfigError
from exporter.config.tree import read as read_yaml
from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.instrument import UnlistedError
from exporter.maintenance import TradingMode
from exporter.model import (
    Ack,
    Answer,
    Channel,
    Continuity,
    Control,
    Depth,
    Event,
    Kline,
    Market,
    Message,
    Quote,
    Reason,
    Side,
    Trade,
)
from exporter.venues import definition
from tests.config.nodes import plain

HERE = Path(__file__).parent / "definitions"
ACME = definition.load(HERE / "acme.yml")
SECOND = 1_600_000_000


def made(stream: str, more: str = "") -> Venue:
    """Compile a small definition with these channels."""
    text = f"""
name: small
source: made up
rest: {{url: "https://small.example"}}
stream:
  urls: wss://small.example
  subscribe: {{topics: $topics}}
{more}
channels:
{stream}
"""
    return definition.compiled(text, "small.yml")


def parsed(venue: Venue, *frames: Any) -> list[Event]:
    """Return the events of frames, each any JSON value or bytes."""
    raw = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in frames]
    return [event for each in raw for event in venue.parse(each)]


def test_what_may_be_missing_is_no_error() -> None:
    """A time that says so, in a row and in the frame; a change of a book keeps its number."""
    venue = made(
        """
  trades:
    topic: t.{symbol}
    frames: [{when: {k: t}, symbol: s, time: {path: at, optional: true}, price: p, size: q}]
  klines:
    topic: k.{symbol}
    frames:
      - {when: {k: k}, rows: data, symbol: s, time: {path: $.at, optional: true},
         start: {path: b, unit: s}, close: c, closed: d}
  book:
    topic: b.{symbol}
    continuity: contiguous
    frames:
      - {when: {k: b}, row: data, symbol: s, bids: b, asks: a, first: U, last: u,
         snapshot_when: {full: true}}
""",
        "  controls: [{when: {k: x}, label: x, data: true, time: {path: at, optional: true}}]",
    )
    trade = {"k": "t", "s": "X", "p": 1, "q": 1}
    candle = {"k": "k", "data": [{"s": "X", "b": SECOND, "c": 1}]}
    at = {"at": SECOND * 1000}
    seen = [trade, trade | at, candle, candle | at, {"k": "x"}, {"k": "x"} | at]
    assert [each.time for each in parsed(venue, *seen)] == [None, SECOND] * 3  # type: ignore[union-attr]
    assert parsed(venue, candle) == [Kline("klines", "k.X", "X", None, SECOND, 1.0, None)]
    book = {"s": "X", "b": [["1", "2"]], "a": []}
    whole, change = parsed(
        venue,
        {"k": "b", "data": book | {"full": True}},
        {"k": "b", "data": book | {"U": 3, "u": 4}},
    )
    assert isinstance(whole, Depth)
    assert isinstance(change, Depth)
    assert (whole.snapshot, change.snapshot, change.last) == (True, False, 4)
    wrong: dict[str, Any]
    for wrong in (trade | {"at": "soon"}, candle | {"at": {}}, {"k": "b", "data": book}):
        with pytest.raises(ParseError):
            parsed(venue, wrong)


# --- frames -----------------------------------------------------------------------------------


def test_each_kind_of_frame_becomes_its_events() -> None:
    """Rows and envelopes, texts and numbers, units and zones: all come out as ours."""
    rows = [
        {"p": "1.5", "q": 2, "s": "b", "t": SECOND * 1000 + 250, "n": 7},
        {"p": 2, "q": "0", "s": "a", "t": str(SECOND * 1000), "n": "8"},
    ]
    quote = {"pair": "X", "at": "2026-01-01T00:00:00.5Z", "bid": ["1", "2"], "ask": [3, 4], "n": 4}
    book = {"pair": "X", "bids": [["1", "2"]], "asks": [], "n": 4}
    micros = SECOND * 1_000_000 + 5
    change = {"topic": "book.X", "kind": "change", "us": micros, "data": {**book, "from": 3}}
    candle = [SECOND, 1, 2, 3, "4.5", True]
    assert parsed(
        ACME,
        {"topic": "trades.XBT_USDT", "data": rows},
        {"topic": "quotes.X", "data": quote},
        {"topic": "candles.X.1m", "us": micros, "data": [candle]},
    ) == [
        Trade("trades", "trades.XBT_USDT", "XBT_USDT", SECOND + 0.25, 1.5, 2.0, Side.BUY, 7),
        Trade("trades", "trades.XBT_USDT", "XBT_USDT", SECOND, 2.0, 0.0, Side.SELL, 8),
        Quote("quotes", "quotes.X", "X", 1767225600.5, 1.0, 3.0, 2.0, 4.0, 4),
        Kline("klines", "candles.X.1m", "X", SECOND + 5e-6, SECOND, 4.5, True),
    ]
    whole, delta = parsed(ACME, {**change, "kind": "all", "data": book}, change)
    assert isinstance(whole, Depth)
    assert isinstance(delta, Depth)
    assert (whole.snapshot, whole.first, whole.last, whole.time) == (True, None, 4, SECOND + 5e-6)
    assert (delta.snapshot, delta.first, delta.last, delta.topic) == (False, 3, 4, "book.X")
    assert ACME.book is not None
    assert ACME.book.levels(delta) == ([(1.0, 2.0)], ())


def test_answers_and_control_frames() -> None:
    """What is no market data is an answer, a control frame or an error, never silently lost."""
    assert parsed(
        ACME,
        {"op": "subscribed", "id": 3, "topics": ["trades.A", "book.A"]},
        {"op": "refused", "id": "4", "topic": "trades.B", "why": "no such pair"},
        {"op": "ping", "n": 12},
        {"op": "leaving"},
        b"pong",
    ) == [
        Ack("ack", request=3, topics=("trades.A", "book.A")),
        Ack("refusal", ok=False, request=4, topics=("trades.B",), reason="no such pair"),
        Control("ping", reply='{"op":"pong","n":12}'),
        Control("control", reconnect=True),
        Control("pong"),
    ]
    for frame in (b"", b"nonsense", b"[1]", b"null", b'{"topic":"other.X"}', b'{"op":"new"}'):
        with pytest.raises(ParseError):
            ACME.parse(frame)


def test_requests_are_written_as_the_definition_says() -> None:
    """Topics, arguments, groups, single topics and texts."""
    assert ACME.subscribe(["trades.A", "book.B"], 3) == (
        '{"op":"subscribe","id":3,"topics":["trades.A","book.B"]}'
    )
    assert ACME.opening == ('{"op":"hello","version":1}',)
    assert ACME.ping is not None
    assert ACME.ping(5) == '{"op":"ping","n":5}'
    channel = """
  trades:
    topic: trade:{lower}
    name: Trades
    argument: {kind: $channel, of: [$symbol]}
    frames: [{when: {k: t}, symbol: s, price: p, size: q}]
"""
    venue = made(channel)
    assert venue.topic(Channel.TRADES, "BTC") == "trade:btc"
    assert venue.subscribe(["trade:btc", "trade:eth"], 1) == (
        '{"topics":[{"kind":"Trades","of":["btc"]},{"kind":"Trades","of":["eth"]}]}'
    )
    assert venue.unsubscribe(["trade:btc"], 1) == ""
    assert not venue.acks
    assert not venue.timed
    assert made(channel, "  ping: {send: {at: $time_ms}}").timed
    one = definition.compiled(
        "name: one\nsource: x\nrest: {url: 'https://one.example'}\nchannels:"
        + channel
        + """
stream:
  urls: [wss://a.example, wss://b.example]
  subscribe: {sub: $topic, id: $id_text, name: $channel, all: $symbols, text: $$id}
  acks: [{when: {ok: true}, topic: "trade:{of.s}"}]
""",
        "one.yml",
    )
    assert one.topics_per_request == 1
    assert one.subscribe(["trade:btc"], 7) == (
        '{"sub":{"kind":"Trades","of":["btc"]},"id":"7","name":"Trades","all":["btc"],"text":"$id"}'
    )
    assert one.request_group("trade:btc") == "Trades"
    assert parsed(one, {"ok": True, "of": {"s": "btc"}}) == [Ack("ack", topics=("trade:btc",))]


def test_levels_are_read_in_every_form() -> None:
    """Pairs, objects, longer rows, one list for both sides, a bid and an ask together, one each."""
    forms: list[tuple[str, dict[str, Any]]] = [
        ("bids: b, asks: a", {"b": [["1", 2]], "a": [["3", 4]]}),
        (
            "bids: b, asks: a, level: {price: p, size: s}",
            {"b": [{"p": "1", "s": 2, "n": 9}], "a": [{"p": "3", "s": 4}]},
        ),
        (
            'bids: b, asks: a, level: {price: "1", size: "2"}',
            {"b": [["new", 1, 2]], "a": [["change", 3, 4, "more"]]},
        ),
        (
            'changes: c, level: {side: {path: "0", buy: buy, sell: sell}, price: "1", size: "2"}',
            {"c": [["sell", "3", "4"], ["buy", "1", "2"]]},
        ),
        (
            "pairs: u, level: {bid: bp, bid_size: bs, ask: ap, ask_size: az}",
            {"u": [{"bp": 1, "bs": 2, "ap": 3, "az": 4}, {"bp": 0, "bs": 0, "ap": 0, "az": 0}]},
        ),
    ]
    for form, row in forms:
        venue = made(
            f"  book: {{topic: 'b.{{symbol}}', frames: [{{when: {{k: b}}, symbol: s, {form}}}]}}"
        )
        (event,) = parsed(venue, {"k": "b", "s": "X", **row})
        assert isinstance(event, Depth)
        assert venue.book is not None
        bids, asks = venue.book.levels(event)
        assert (list(bids), list(asks)) == ([(1.0, 2.0)], [(3.0, 4.0)]), form
    single = made("""
  book:
    topic: b.{symbol}
    continuity: contiguous
    frames:
      - {when: {k: b}, row: d, symbol: $.s, last: $.n,
         level: {side: {path: z, buy: 1, sell: 2}, price: p, size: q}}
""")
    (event,) = parsed(single, {"k": "b", "s": "X", "n": "7", "d": {"z": 2, "p": "3", "q": "4"}})
    assert isinstance(event, Depth)
    assert event.last == 7
    assert single.book is not None
    assert single.book.levels(event) == ([], [(3.0, 4.0)])
    (rule,) = single.sequences
    assert (rule.continuity, rule.attribute) == (Continuity.CONTIGUOUS, "span")


def test_a_checksum_keeps_the_digits_of_the_wire() -> None:
    """Levels stay texts, and the sum is that of bid and ask in turn."""
    venue = made(
        "  book: {topic: 'b.{symbol}', frames: [{when: {k: b}, symbol: s, bids: b, asks: a, "
        "checksum: {path: c}}]}"
    )
    frame = {"k": "b", "s": "X", "b": [["1.50", "2"]], "a": [["3", "4.0"]], "c": 5}
    (event,) = parsed(venue, frame)
    assert isinstance(event, Depth)
    assert event.checksum == 5
    assert venue.book is not None
    assert venue.book.checksum is not None
    bids, asks = ([(str(p), str(s)) for p, s in side] for side in venue.book.levels(event))
    assert bids == [("1.50", "2")]
    assert venue.book.checksum(bids, asks) == 2044977185


def test_a_quote_with_an_empty_side_is_data_and_no_quote() -> None:
    """Null, missing and zero are all no price."""
    venue = made(
        "  quotes: {topic: 'q.{symbol}', frames: [{when: {k: q}, row: d, symbol: s, "
        "bid: b.0.px, ask: b.1.px}]}"
    )
    good = {"px": "1"}
    for sides in ([None, good], [good, None], [good], [good, {"px": 0}]):
        (event,) = parsed(venue, {"k": "q", "d": {"s": "X", "b": sides}})
        assert event == Message("quotes", "q.X", "X")
    (quote,) = parsed(venue, {"k": "q", "d": {"s": "X", "b": [good, {"px": 2}]}})
    assert quote == Quote("quotes", "q.X", "X", None, 1.0, 2.0)


def test_times_signs_orders_and_compression() -> None:
    """A zone of its own, a sign for the side, rows from new to old, gzip within its bound."""
    venue = made(
        """
  trades:
    topic: t.{symbol}
    frames:
      - when: {ch: "m.*.t"}
        rows: d
        newest_first: true
        symbol: {path: $.ch, within: "m.{symbol}.t"}
        time: {path: at, unit: iso, zone: "+09:00"}
        price: p
        size: n
        side: {path: n, sign: true}
""",
        "  compression: gzip",
    )
    rows = [{"at": "2021-06-02 08:43:34.5", "p": 1, "n": -3}, {"at": "2021-06-01T00:00:00Z",
            "p": 2, "n": 4}]  # fmt: skip
    new, old = (
        Trade("trades", "t.X", "X", 1622591014.5, 1.0, 3.0, Side.SELL),
        Trade("trades", "t.X", "X", 1622505600.0, 2.0, 4.0, Side.BUY),
    )
    frame = json.dumps({"ch": "m.X.t", "d": rows}).encode()
    assert list(venue.parse(frame)) == [old, new]
    assert venue.decode is not None
    assert venue.decode(gzip.compress(frame)) == frame
    assert venue.decode(frame) == frame
    for bad in (b"\x1f\x8b", gzip.compress(frame)[:-9], gzip.compress(bytes(17 << 20)), b""):
        with pytest.raises(ParseError):
            venue.decode(bad)


def test_frames_may_be_told_apart_by_what_is_there() -> None:
    """`exists` decides as well as a value does; null is nothing."""
    venue = made("""
  book:
    topic: b.{symbol}
    frames:
      - {when: {k: b, full: {exists: true}}, symbol: s, bids: b, asks: a, snapshot: true}
      - {when: {k: b, full: {exists: false}}, symbol: s, bids: b, asks: a}
""")
    frame = {"k": "b", "s": "X", "b": [], "a": []}
    found = parsed(venue, {**frame, "full": {}}, {**frame, "full": None}, frame)
    assert [event.snapshot for event in found if isinstance(event, Depth)] == [True, False, False]


FRAMES = (
    b'{"topic":"trades.X","data":[{"p":"1.5","q":2,"s":"b","t":1600000000123,"n":7}]}',
    b'{"topic":"quotes.X","data":{"pair":"X","at":"2026-01-01T00:00:00Z","bid":[1,2],'
    b'"ask":[3,4],"n":4}}',
    b'{"topic":"book.X","kind":"change","us":1600000000123456,"data":{"pair":"X","bids":'
    b'[["1","2"]],"asks":[],"from":5,"n":6}}',
    b'{"op":"refused","id":3,"topic":"trades.A","why":"no"}',
)


@given(frame=st.sampled_from(FRAMES), at=st.integers(0, 150), junk=st.binary(max_size=4))
def test_a_wounded_frame_is_an_event_or_a_parse_error(frame: bytes, at: int, junk: bytes) -> None:
    """Nothing but ParseError leaves the reader or the levels, whatever is sent."""
    wounded = frame[:at] + junk + frame[at + len(junk) :]
    try:
        for event in ACME.parse(wounded):
            if isinstance(event, Depth) and ACME.book is not None:
                ACME.book.levels(event)
    except ParseError:
        pass


# --- REST -------------------------------------------------------------------------------------


def answer(body: Any, status: int = 200) -> Answer:
    """Return an answer with this JSON body."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, headers={}, body=raw, new_connection=True, phases={})


def test_rest_answers_are_read() -> None:
    """Clock, state, hidden errors and markets; what cannot be read is a ParseError."""
    ends = {each.name: each for each in ACME.endpoints}
    clock, status = ends["time"].clock, ends["status"].status
    assert clock is not None
    assert status is not None
    assert clock(b'{"data":{"now":1600000000250}}') == SECOND + 0.25
    closed = status(b'{"data":{"state":"closed","why":"upgrade","until":"2026-01-01T00:00:00Z"}}')
    assert (closed.active, closed.title, closed.end) == (True, "upgrade", 1767225600.0)
    assert status(b'{"data":{"state":"post"}}').mode is TradingMode.POST_ONLY
    assert status(b'{"data":{"state":"open"}}').mode is TradingMode.TRADING
    for bad in (b"", b"{}", b'{"data":{"state":"on fire"}}', b'{"data":{"now":12}}'):
        with pytest.raises(ParseError):
            clock(bad)
        with pytest.raises(ParseError):
            status(bad)
    faults = [
        ACME.fault(answer(body, code))
        for body, code in (({"code": 0}, 200), ({"code": 1013}, 200), (b"<html>", 200), (b"", 503))
    ]
    assert faults == [None, Reason.RATE_LIMITED, Reason.BODY_INVALID, None]
    assert ACME.read_markets is not None
    rows = [{"id": "XBT_USDT", "base": "XBT", "quote": "USDT", "state": "open"},
            {"id": "OLD_USDT", "base": "OLD", "quote": "USDT", "state": "closed"}]  # fmt: skip
    assert ACME.read_markets(json.dumps({"data": rows}).encode()) == (
        Market("XBT_USDT", "BTC-USDT"),
    )
    assert ACME.symbol("BTC-USDT") == "XBT_USDT"
    assert (ends["ask"].method, ends["ask"].json) == ("POST", {"type": "mids"})


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted((HERE / "bad").glob("*.yml")), ids=lambda file: file.stem)
def test_bad_definitions_earn_exactly_their_complaints(file: Path) -> None:
    """A bad file's opening comments are all that is said of it: file, line, key, mend."""
    text = file.read_text()
    opening = takewhile(lambda line: line.startswith("# "), text.splitlines())
    with pytest.raises(ConfigError) as refused:
        definition.compiled(text, file.name)
    assert list(refused.value.complaints) == [line.removeprefix("# ") for line in opening]


def test_editors_check_definitions_by_the_schema() -> None:
    """The committed schema is what the code says, takes a good definition, and no bad one."""
    text = schema.text("venue")
    committed = Path(definition.__file__).parents[2] / "venue.schema.json"
    assert committed.read_text() == text, "stale: run `make generate`"
    Draft202012Validator.check_schema(json.loads(text))
    validator = Draft202012Validator(json.loads(text))
    good = plain(read_yaml((HERE / "acme.yml").read_text()))
    assert [error.message for error in validator.iter_errors(good)] == []
    bad = plain(read_yaml((HERE / "bad" / "everything.yml").read_text()))
    assert len(list(validator.iter_errors(bad))) > 5


# --- books over REST, tokens, sums, and what else a frame holds -----------------------------------

ODD = """
name: odd
source: x
rest:
  url: https://odd.example
  traded: {path: "/t?s={symbol}", state: [price], json: {of: $symbol}}
symbols: {perpetual: "{base}-{quote}-P", inverse: "{base}-P", quotes: [USDT, USD]}
stream:
  urls: wss://odd.example
  prelude: {path: /token, url: "{data.server}?token={data.token}"}
  subscribe: {topics: $topics}
channels:
  trades:
    topic: t.{symbol}
    frames:
      - {when: {k: all}, also: true, rows: trades, newest_first: true, snapshot: true, symbol: $.s,
         time: {path: t, unit: s}, price: p, size: q}
  book:
    topic: b.{symbol}
    continuity: contiguous
    snapshot: {path: "/book?s={symbol}", last: data.n, bids: data.b, asks: data.a,
               level: {price: p, size: q}}
    frames:
      - {when: {k: all}, symbol: s, snapshot: true, bids: b, asks: a, last: n,
         checksum: {path: c, levels: 2, order: asks_bids, bare: true, separator: "", signed: false}}
"""


def test_a_book_may_begin_over_rest_and_a_stream_with_a_token() -> None:
    """The snapshot has levels by name and its number; the answer gives the address."""
    venue = definition.compiled(ODD, "odd.yml")
    assert venue.book is not None
    assert venue.book.read_snapshot is not None
    assert venue.book.snapshot_path == "/book?s={symbol}"
    body = b'{"data":{"n":"7","b":[{"p":"1.50","q":2}],"a":[{"p":1.6,"q":"3"}]}}'
    depth = venue.book.read_snapshot(body, "b.X", "X")
    assert (depth.last, depth.snapshot, depth.topic) == (7, True, "b.X")
    assert venue.book.levels(depth) == ([("1.50", "2")], [("1.6", "3")])
    for bad in (
        b"{}",
        b'{"data":{"n":7,"b":[{"p":1}],"a":[]}}',
        b'{"data":{"n":-1,"b":[],"a":[]}}',
    ):
        with pytest.raises(ParseError):
            venue.book.read_snapshot(bad, "b.X", "X")
    assert venue.prelude is not None
    answer = b'{"data":{"server":"wss://a.example/x","token":"abc"}}'
    assert venue.prelude.read(answer) == "wss://a.example/x?token=abc"
    with pytest.raises(ParseError):
        venue.prelude.read(b'{"data":{"server":"http://a.example","token":"abc"}}')


def test_a_checksum_goes_by_side_and_digits_where_the_venue_does() -> None:
    """As Kraken's: asks, then bids, without points and leading zeros."""
    venue = definition.compiled(ODD, "odd.yml")
    assert venue.book is not None
    assert venue.book.checksum is not None
    bids, asks = [("0.5", "1.0"), ("0.4", "2"), ("0.3", "9")], [("0.6", "0.05")]
    assert venue.book.checksum(bids, asks) == zlib.crc32(b"65" + b"510" + b"42")


def test_a_frame_may_hold_trades_beside_a_book() -> None:
    """One kind reads the old trades, from old to new, the next one the book."""
    venue = definition.compiled(ODD, "odd.yml")
    frame = {"k": "all", "s": "X", "b": [["1", "2"]], "a": [], "n": 3, "trades": [
        {"t": SECOND + 1, "p": 2, "q": 1}, {"t": SECOND, "p": 1, "q": 1}]}  # fmt: skip
    first, second, depth = parsed(venue, frame)
    assert isinstance(first, Trade)
    assert isinstance(second, Trade)
    assert isinstance(depth, Depth)
    assert (first.price, second.price, first.snapshot, depth.last) == (1.0, 2.0, True, 3)


def test_perpetuals_and_silences_are_asked_about_as_the_definition_says() -> None:
    """Forms by the class of a contract, only in the quotes there are; a question may be posted."""
    venue = definition.compiled(ODD, "odd.yml")
    assert venue.symbol("BTC-USDT-PERP") == "BTC-USDT-P"
    assert venue.symbol("BTC-USD-PERP") == "BTC-P"
    for wrong in ("BTC-USDT", "BTC-EUR-PERP"):
        with pytest.raises(UnlistedError):
            venue.symbol(wrong)
    check = venue.cross_checks[Channel.TRADES]
    assert check.body is not None
    assert check.body("BTC-P") == {"of": "BTC-P"}
    assert check.read(b'{"price":"5"}').state == ("5",)
