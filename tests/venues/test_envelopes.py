"""Answers, notices and empty parts of frames, in the shapes that venues' users have reported.

Source: the documentation pages that the venue files name, and public issues of other clients as of
2026-11: types of ids (text, number, none), null in place of an empty list, errors without words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from exporter import venues
from exporter.decoding import ParseError
from exporter.model import Ack, Control, Depth
from tests.venues.recorded import frames

GOOD, BAD = True, False
# Frame, then of each event: an Ack's (ok, request, topics, words), or a Control's label.
REPLIES: dict[str, list[tuple[object, tuple[object, ...]]]] = {
    "binance": [
        ({"result": None, "id": None}, ((GOOD, None, (), ""),)),
        ({"result": None, "id": "abc"}, ((GOOD, None, (), ""),)),
        ({"id": 3, "status": 200, "result": None}, ((GOOD, 3, (), ""),)),
        ({"code": 2, "msg": "Invalid request"}, ((BAD, None, (), "Invalid request"),)),
        ({"error": {"code": 3, "msg": ""}, "id": "7"}, ((BAD, 7, (), "3"),)),
        ({"e": "serverShutdown", "E": 1796018787123}, ("serverShutdown",)),
    ],
    "bybit": [
        ({"success": True, "type": "COMMAND_RESP", "conn_id": "c",
          "data": {"failTopics": ["t.GONE"], "successTopics": ["t.A"]}},
         ((GOOD, None, ("t.A",), ""), (BAD, None, ("t.GONE",), "failTopics"))),
        ({"success": True, "type": "COMMAND_RESP", "data": {"failTopics": [],
          "successTopics": ["t.A"]}}, ((GOOD, None, ("t.A",), ""),)),
        ({"retCode": 10006, "retMsg": "Too many visits!", "op": "subscribe"},
         ((BAD, None, (), "Too many visits!"),)),
        ({"success": False, "op": "subscribe", "req_id": 5}, ((BAD, 5, (), "code"),)),
        ({"success": True, "ret_msg": None, "req_id": None, "op": "subscribe"},
         ((GOOD, None, (), ""),)),
        ({"args": ["1672916271846"], "op": "pong"}, ("pong",)),
        ({"success": True, "op": "something-new"}, ("something-new",)),
        ({"topic": "publicTrade.A", "type": "snapshot", "ts": 1796018787123, "data": []}, ()),
    ],
    "okx": [
        ({"event": "channel-conn-count-error", "channel": "orders", "connCount": "20"},
         ((BAD, None, (), "channel-conn-count-error"),)),
        ({"event": "error", "code": 60012, "msg": "x", "id": "1"}, ((BAD, 1, (), "60012 x"),)),
        ({"event": "something-new", "connId": "a"}, ("something-new",)),
        ({"event": "notice", "code": "64008", "msg": "service upgrade"}, ("notice",)),
        ({"arg": {"channel": "trades", "instId": "A-B"}, "data": []}, ()),
    ],
    "coinbase": [
        ({"type": "error", "message": "error", "reason": None}, ((BAD, None, (), "error"),)),
        ({"type": "subscriptions", "channels": [
            {"name": "matches", "product_ids": ["A-B"], "account_ids": None}]},
         ((GOOD, None, ("matches:A-B",), ""),)),
    ],
    "kraken": [
        ({"error": "rate limit exceeded", "success": False, "method": "subscribe", "req_id": "5"},
         ((BAD, 1, (), "rate limit exceeded"),)),
        ({"method": "something_new", "success": True}, ("something_new",)),
        ({"error": "Malformed request", "method": "", "success": False},
         ((BAD, None, (), "Malformed request"),)),
    ],
    "kraken_v1": [
        ({"errorMessage": "Exceeded msg rate", "event": "error"},
         ((BAD, None, (), "Exceeded msg rate"),)),
        ({"event": "pong"}, ("pong",)),
    ],
    "kucoin": [
        ({"id": "1", "type": "error", "code": "401", "data": "token is expired"},
         ((BAD, 1, (), "token is expired"),)),
        ({"type": "error", "code": 509, "data": None}, ((BAD, None, (), "509"),)),
        ({"type": "ack"}, ((GOOD, None, (), ""),)),
        ({"id": 1, "type": "something-new"}, ("something-new",)),
    ],
    "bitstamp": [
        ({"event": "bts:error", "channel": "", "data": {"code": None, "message": "Bad string."}},
         ((BAD, None, (), "Bad string."),)),
        ({"event": "bts:error", "channel": None, "data": "no such channel"},
         ((BAD, None, (), "no such channel"),)),
        ({"event": "bts:unsubscription_succeeded", "channel": "live_trades_btcusd", "data": {}},
         ((GOOD, None, ("live_trades_btcusd",), ""),)),
        ({"event": "bts:something_new", "channel": "", "data": ""}, ("bts:something_new",)),
        ({"event": "bts:request_reconnect", "channel": "", "data": ""},
         ("bts:request_reconnect",)),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "frame", "wanted"),
    [(name, *row) for name, rows in REPLIES.items() for row in rows],
    ids=[f"{name}-{number}" for name, rows in REPLIES.items() for number, _ in enumerate(rows)],
)
def test_an_answer_is_read_in_whatever_shape_it_comes(
    name: str, frame: object, wanted: tuple[object, ...]
) -> None:
    """What is refused is never taken for agreed, and the venue's own words are kept."""
    events = venues.load(name).parse(json.dumps(frame, separators=(",", ":")).encode())
    assert len(events) == len(wanted)
    for event, row in zip(events, wanted, strict=True):
        if isinstance(row, str):
            assert isinstance(event, Control)
            assert event.label == row
        else:
            assert isinstance(event, Ack)
            assert isinstance(row, tuple)
            ok, request, topics, words = row
            assert (event.ok, event.request, event.topics) == (ok, request, topics)
            assert words in event.reason


@pytest.mark.parametrize("name", REPLIES)
def test_an_answer_to_nothing_is_no_answer(name: str) -> None:
    """An empty object is not documented by anybody."""
    with pytest.raises(ParseError):
        venues.load(name).parse(b"{}")


_SIDES = re.compile(r'("(?:b|a|bids|asks|bs|as)":)\[(?:\]|[\[{].*?[\]}]\])')


def without_a_side(frame: str) -> Iterator[str]:
    """Yield a book frame with null in place of each of its sides."""
    for found in _SIDES.finditer(frame):
        text = f"{frame[: found.start()]}{found[1]}null{frame[found.end() :]}"
        try:
            json.loads(text)
        except ValueError:
            continue  # the expression has cut a list in two
        yield text


@pytest.mark.parametrize("name", REPLIES)
def test_null_for_a_side_of_a_book_is_a_side_without_levels(name: str) -> None:
    """It is said so by servers written in Go; to refuse it would cost the whole book."""
    venue, tried = venues.load(name), 0

    def sides(frame: bytes) -> list[list[object]]:
        assert venue.book is not None
        books = [event for event in venue.parse(frame) if isinstance(event, Depth)]
        return [list(side) for event in books for side in venue.book.levels(event)]

    for frame in frames(name):
        for text in without_a_side(frame.decode()):
            for now, before in zip(sides(text.encode()), sides(frame), strict=True):
                assert now in ([], before)
                tried += now == []
    assert tried >= 2
