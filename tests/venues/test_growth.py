"""Wires grow: fields come and go, words are added, sides run empty; nothing is lost for it.

Every reader is tried with every frame that was recorded or documented, changed in one spot.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import pytest

from exporter import venues
from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.model import Channel, Control, Depth, Event, Message, Quote, Trade
from exporter.venues import load, names
from tests.venues.checks import read
from tests.venues.recorded import frames

FILES = FilePath(venues.__file__).parent
every_venue = pytest.mark.parametrize("name", names())
Path = tuple[str | int, ...]

# What no reading can do without: which message, of what, and its figures. Whatever else a frame
# has may be absent or null, and the frame counts all the same.
_NEEDED = {
    "binance": "stream data e E s U u b a p q t k c x m id code asks bids lastUpdateId",
    "bitfinex": "event channel symbol key chanId platform",
    "bitmex": "table action data symbol price side size timestamp close success subscribe"
    " unsubscribe error info request args",
    "bitstamp": "event data microtimestamp amount_str price_str",
    "bybit": "topic data s u ts p v start close op success type",
    "coinbase_advanced": "channel type events trades tickers updates product_id price size side"
    " price_level new_quantity best_bid best_ask message subscriptions",
    "mexc": "code msg",
    "coinbase": "type product_id price size trade_id asks bids changes channels name",
    "kraken": "channel data type symbol price qty close interval_begin system method result error"
    " Error",
    "kraken_v1": "event status name a b c as bs",
    "kucoin": "type subject data symbol price size sequenceStart sequenceEnd changes candles time",
    "okx": "arg channel instId data event px sz ts",
}
# Null where the venue never sends it and absent is enough.
_NEVER_NULL = {
    "binance": "i",
    "bitfinex": "prec code msg version status",
    "bitmex": "status",
    "bitstamp": "asks bids",
    "bybit": "a b S",
    "coinbase": "side",
    "coinbase_advanced": "",
    "kraken": "asks bids side",
    "kraken_v1": "errorMessage pair",
    "mexc": "",
    "kucoin": "side",
    "okx": "asks bids side",
}


def keys(table: dict[str, str], name: str) -> set[str]:
    """Return the keys that a table gives for a venue; Binance's sites share one wire.

    What a definition names it needs.
    """
    if (FILES / f"{name}.yml").exists():
        return set(re.findall(r"[\w-]+", (FILES / f"{name}.yml").read_text()))
    return set(table["binance" if name.startswith("binance") else name].split())


def objects(value: Any, at: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every JSON object within a document, with the way to it; of long lists the first."""
    if isinstance(value, dict):
        yield at, value
        for key, each in value.items():
            yield from objects(each, (*at, key))
    elif isinstance(value, list):
        for place, each in enumerate(value[:3]):
            yield from objects(each, (*at, place))


def shapes(name: str) -> Iterator[Any]:
    """Yield one document for each shape of the frames of a venue."""
    seen = set()
    for frame in frames(name):
        try:
            document = json.loads(frame)
        except ValueError:
            continue
        shape = str([(at, sorted(each)) for at, each in objects(document)])
        if shape not in seen:
            seen.add(shape)
            yield document


def changed(document: Any, at: Path) -> tuple[Any, dict[str, Any]]:
    """Return a copy and the object of it that is to be changed."""
    new = found = copy.deepcopy(document)
    for key in at:
        found = found[key]
    return new, found


def events(venue: Venue, document: Any) -> list[Event]:
    """Read a document, the levels of its books too. Raises ParseError."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    found = list(read(venue, text.encode()))
    for event in found:
        if isinstance(event, Depth) and venue.book is not None:
            venue.book.levels(event)
    return found


def plain(found: list[Event]) -> list[object]:
    """Return events as they compare: levels stay undecoded bytes, whose spaces may differ."""
    return [
        (each.label, each.first, each.last, each.checksum) if isinstance(each, Depth) else each
        for each in found
    ]


@every_venue
def test_a_field_that_came_later_changes_nothing(name: str) -> None:
    """An unknown field in any object of any frame is passed over."""
    venue = load(name)
    for document in shapes(name):
        before = plain(events(venue, document))
        for at, _ in objects(document):
            new, found = changed(document, at)
            found["zz_2027"] = {"nested": [1, None, "x"]}
            assert plain(events(venue, new)) == before, new


@every_venue
def test_what_is_absent_or_null_costs_no_frame(name: str) -> None:
    """Without what is not needed every frame is still read, into as many events."""
    venue, lost = load(name), set[str]()
    for document in shapes(name):
        count = len(events(venue, document))
        for at, here in objects(document):
            for key in here.keys() - keys(_NEEDED, name):
                for null in (False, True):
                    if null and key in keys(_NEVER_NULL, name):
                        continue
                    new, found = changed(document, at)
                    del found[key]
                    if null:
                        found[key] = None
                    try:
                        assert len(events(venue, new)) == count
                    except ParseError:
                        lost.add(f"{key} {'null' if null else 'absent'}")
    assert not lost


def trade(name: str, document: Any, key: str) -> list[Trade]:
    """Read trades whose side is one that nobody knows yet."""
    for _, found in objects(document):
        if key in found:
            found[key] = "auction_2027"
    return [each for each in events(load(name), document) if isinstance(each, Trade)]


@pytest.mark.parametrize(
    ("name", "key"),
    [("bybit", "S"), ("coinbase", "side"), ("kraken", "side"), ("kucoin", "side"),
     ("okx", "side")],
)  # fmt: skip
def test_a_side_that_is_not_known_yet_costs_no_trade(name: str, key: str) -> None:
    """The trade counts, and of its side nothing is said."""
    read_ones = [
        one
        for document in shapes(name)
        if any(isinstance(each, Trade) for each in events(load(name), document))
        for one in trade(name, document, key)
    ]
    assert read_ones
    assert {each.side for each in read_ones} == {None}


@pytest.mark.parametrize(
    ("name", "frame", "label"),
    [
        ("binance", '{"stream":"btcusdt@funding2027","data":{"e":"funding2027"}}', "funding2027"),
        ("bybit", '{"topic":"funding2027.BTCUSDT","data":[]}', "funding2027"),
        ("okx", '{"arg":{"channel":"funding-2027"},"data":[{}]}', "funding-2027"),
        ("coinbase", '{"type":"funding_2027","product_id":"BTC-USD"}', "funding_2027"),
        ("kraken", '{"type":"update","channel":"funding_2027","data":[]}', "funding_2027"),
        ("kraken_v1", '[1,[],"funding2027","XBT/USD"]', "funding2027"),
        ("bitstamp", '{"event":"funding","channel":"funding_2027_btcusd","data":1}', "funding"),
        ("kucoin",
         '{"type":"message","topic":"/contract/2027:X","subject":"funding.2027","data":{}}',
         "funding.2027"),
    ],
)  # fmt: skip
def test_a_kind_that_nothing_asks_for_is_counted_under_its_name(
    name: str, frame: str, label: str
) -> None:
    """A new channel is no error; what takes the place of one that is asked for is."""
    assert load(name).parse(frame.encode()) == (Control(label, data=True, unknown=True),)


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("binance", '{"stream":"btcusdt@trade","data":{"e":"trade2027","s":"BTCUSDT"}}'),
        ("bitstamp", '{"event":"trade2027","channel":"live_trades_btcusd","data":{}}'),
        ("kucoin", '{"type":"message","topic":"/market/match:X","subject":"t2027","data":{}}'),
    ],
)
def test_what_is_asked_for_is_never_counted_as_something_else(name: str, frame: str) -> None:
    """Data of a channel that is asked for is read or missed aloud."""
    with pytest.raises(ParseError):
        load(name).parse(frame.encode())


ONE_SIDED = {
    "binance": [
        '{"stream":"x@bookTicker","data":{"u":1,"s":"X","b":%s,"B":%s,"a":"2","A":"5"}}',
        '{"u":1,"s":"X","b":%s,"B":%s,"a":"2","A":"5"}',
        '{"stream":"x@bookTicker","data":{"e":"bookTicker","E":1633998523963,"T":1633998523963,'
        '"u":1,"s":"X","b":%s,"B":%s,"a":"2","A":"5"}}',
    ],
    "coinbase": [
        '{"type":"ticker","sequence":1,"product_id":"X","best_bid":%s,"best_bid_size":%s,'
        '"best_ask":"2","best_ask_size":"5","time":"2021-04-17T16:43:30.244075Z"}',
    ],
    "kucoin": [
        '{"type":"message","topic":"/market/ticker:X","subject":"trade.ticker","data":{"sequence":'
        '"1","bestBid":%s,"bestBidSize":%s,"bestAsk":"2","bestAskSize":"5","time":1619378326323}}',
    ],
    "kraken": [
        '{"channel":"ticker","type":"update","data":[{"symbol":"X","bid":%s,"bid_qty":%s,"ask":2,'
        '"ask_qty":5}]}',
    ],
    "okx": [
        '{"arg":{"channel":"tickers","instId":"X"},"data":[{"bidPx":%s,"bidSz":%s,"askPx":"2",'
        '"askSz":"5","ts":"1786613174873"}]}',
    ],
}


@pytest.mark.parametrize(("name", "frame"), [(n, f) for n, all_ in ONE_SIDED.items() for f in all_])
@pytest.mark.parametrize("nothing", ['"0"', '"0.00000000"', '""', "null", "0"])
def test_an_empty_side_is_alive_and_no_quote(name: str, frame: str, nothing: str) -> None:
    """Whichever way a venue says that nobody bids, no price of zero is quoted."""
    if name == "kraken" and nothing.startswith('"'):
        pytest.skip("its numbers are no text")
    (event,) = load(name).parse((frame % (nothing, nothing)).encode())
    assert isinstance(event, Message)
    assert event.symbol == "X"
    assert event.topic == load(name).topic(Channel.QUOTES, "X") or name == "okx"
    if name != "kraken":
        (event,) = load(name).parse((frame % ('"1"', '"0"')).encode())
        assert isinstance(event, Message)
        (event,) = load(name).parse((frame % ('"1"', '"3"')).encode())
        assert isinstance(event, Quote)


def test_levels_of_size_zero_are_never_the_best() -> None:
    """The first level with a size is quoted, and none where a side has no such level."""
    okx = '{"arg":{"channel":"bbo-tbt","instId":"X"},"data":[{"ts":"1786613174873",'
    (quote,) = load("okx").parse(
        (
            okx + '"bids":[["9","0","0","0"],["8","1","0","1"]],"asks":[["10","2","0","1"]]}]}'
        ).encode()
    )
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_size) == (8.0, 1.0)
    (none,) = load("okx").parse((okx + '"bids":[["9","0","0","0"]],"asks":[]}]}').encode())
    assert none == Message("bbo-tbt", "bbo-tbt:X", "X", 1786613174.873)
    ticker = b'[1,{"a":["2",1,"%s"],"b":["1",1,"3"]},"ticker","XBT/USD"]'
    (none,) = load("kraken_v1").parse(ticker % b"0.000")
    assert none == Message("ticker", "ticker:XBT/USD", "XBT/USD")
    assert isinstance(load("kraken_v1").parse(ticker % b"1.5")[0], Quote)


UPDATES = {
    "binance": '{"stream":"x@depth","data":{"e":"depthUpdate","E":%s,"s":"X","U":1,"u":2,"b":[],'
    '"a":[["2","1"]]}}',
    "bybit": '{"topic":"orderbook.50.X","ts":%s,"type":"delta","data":{"s":"X","b":[],'
    '"a":[["2","1"]],"u":7}}',
    "kucoin": '{"type":"message","topic":"/market/level2:X","subject":"trade.l2update","data":{'
    '"symbol":"X","sequenceStart":1,"sequenceEnd":1,"changes":{"asks":[["2","1","1"]],"bids":[]},'
    '"time":%s}}',
    "okx": '{"arg":{"channel":"books","instId":"X"},"action":"update","data":[{"asks":[["2","1",'
    '"0","1"]],"bids":[],"ts":"%s","prevSeqId":1,"seqId":2}]}',
}


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("time", ["0", "-62135596800000", "1790000000", "99999999999999999"])
def test_a_book_keeps_an_update_whose_time_is_none(name: str, time: str) -> None:
    """A time of the year 1, of 1970 or in another unit is left out, the levels are not."""
    venue = load(name)
    (update,) = venue.parse((UPDATES[name] % time).encode())
    assert isinstance(update, Depth)
    assert update.time is None
    assert venue.book is not None
    assert [len(side) for side in venue.book.levels(update)] == [0, 1]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
def test_a_time_that_is_none_costs_neither_trade_nor_update(time: str) -> None:
    """As on the books of numbers, so on those of text."""
    book = '{"channel":"book","type":"update","data":[{"symbol":"X","bids":[],"asks":[{"price":2,'
    update = load("kraken").parse(
        (book + f'"qty":1}}],"checksum":1,"timestamp":"{time}"}}]}}').encode()
    )
    assert [each.time for each in update if isinstance(each, Depth)] == [None]
    match = '{"type":"match","trade_id":1,"side":"buy","size":"1","price":"2","product_id":"X",'
    found = load("coinbase").parse((match + f'"sequence":1,"time":"{time}"}}').encode())
    assert [each.time for each in found if isinstance(each, Trade)] == [None]


def test_levels_may_have_more_columns() -> None:
    """What follows price and size in a level is passed over."""
    for name, frame in UPDATES.items():
        if name == "kucoin":
            continue  # a level has a number of its own
        venue = load(name)
        wide = frame.replace('[["2","1"', '[["2","1",[],7')
        (update,) = venue.parse((wide % "1790000000000").encode())
        assert isinstance(update, Depth)
        assert venue.book is not None
        ((price, size),) = venue.book.levels(update)[1]
        assert (float(str(price)), float(str(size))) == (2.0, 1.0)
