"""Raw text recordings."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.capture.text_recording import (
    Answered,
    Blank,
    Connected,
    Garbled,
    Item,
    Received,
    Sent,
    read,
    read_line,
)

URL = "wss://ws.example.com:9443/stream?streams=a@b/c@d&token=T"


@pytest.mark.parametrize(
    ("line", "item"),
    [
        (f"{URL} <-> 1618678132.37\n", Connected(URL, 1618678132.37)),
        (f'{URL} <- 1618678132.4: {{"a":": "}}\r\n', Sent(URL, 1618678132.4, '{"a":": "}')),
        (
            "https://api.example.com/v3/depth?symbol=X -> 1618678132.5: [1, 2]",
            Answered("https://api.example.com/v3/depth?symbol=X", 1618678132.5, b"[1, 2]"),
        ),
        ('1618678132.6: {"b": 1}', Received(1618678132.6, b'{"b": 1}')),
        ("1618678132.6: pong", Received(1618678132.6, b"pong")),
        ("1618678132.7: b'\\x1f\\x8b\\'\"'", Received(1618678132.7, b"\x1f\x8b'\"")),
        ('{"c":1}', Received(None, b'{"c":1}')),
        ("[1]", Received(None, b"[1]")),
        (" \n", Blank()),
    ],
)
def test_every_kind_of_line(line: str, item: Item) -> None:
    """Each line of the format is read for what it is; a frame stays as it was, byte for byte."""
    assert read_line(line.encode()) == item


@pytest.mark.parametrize(
    "line",
    [
        "no time at all",
        "nan: {}",
        "-1.0: {}",
        "1618678132.7: b'\\x1f",
        "1618678132.7: b'a' + b'b'",
        "1618678132.7: b'a' if exit() else b''",
        f"{URL} <=> 1618678132.37",
        f"{URL} <-> soon",
        "https://api.example.com",
    ],
)
def test_bad_lines_are_named_not_run(line: str) -> None:
    """Whatever the format does not explain is garbled, and code in it stays text."""
    assert isinstance(read_line(line.encode()), Garbled)


def test_what_is_not_utf8_is_garbled_only_where_text_is_needed() -> None:
    """A frame may hold any bytes; a control line is text."""
    assert read_line(b"1618678132.7: \xff\xfe") == Received(1618678132.7, b"\xff\xfe")
    assert isinstance(read_line(b"wss://a.example <- 1618678132.7: \xff"), Garbled)


@given(st.binary(max_size=200))
def test_any_bytes_give_one_item(line: bytes) -> None:
    """Nothing in a line stops the reading of the next."""
    assert len(list(read([line, b'{"a":1}']))) == 2


@given(st.floats(1e9, 2e9), st.binary(max_size=50))
def test_binary_frames_survive(time: float, frame: bytes) -> None:
    """A literal gives back the bytes that were received."""
    assert read_line(f"{time!r}: {frame!r}".encode()) == Received(time, frame)


@given(st.floats(1e9, 2e9), st.dictionaries(st.text(max_size=5), st.text(max_size=9)))
def test_text_frames_survive(time: float, value: dict[str, str]) -> None:
    """A frame of JSON in UTF-8 comes back as it was."""
    frame = json.dumps(value).encode()
    assert read_line(b"%r: %b" % (time, frame)) == Received(time, frame)
