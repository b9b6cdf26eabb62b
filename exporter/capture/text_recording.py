"""Raw text recordings: one item a line, as a recorder wrote it.

Source: README of the recordings' folder, section "Format":
- ``URL <-> TS`` a connection was opened at local time TS;
- ``URL <- TS: TEXT`` the client sent TEXT;
- ``URL -> TS: BODY`` a REST answer's body, headers were not kept;
- ``TS: FRAME`` a frame was received; a binary one is written as a bytes literal ``b'...'``;
- a line that is JSON by itself is a frame whose time nobody kept.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias

LINE_LIMIT = 64 << 20  # bytes; a full book of the largest venue is 5 MB


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection was opened. ``time`` in epoch seconds, here and below."""

    url: str
    time: float


@dataclass(frozen=True, slots=True)
class Sent:
    """The client sent a frame."""

    url: str
    time: float
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A REST request was answered."""

    url: str
    time: float
    body: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """A frame arrived. ``time`` is None where the recording has no times."""

    time: float | None
    frame: bytes


@dataclass(frozen=True, slots=True)
class Blank:
    """An empty line."""


@dataclass(frozen=True, slots=True)
class Garbled:
    """A line that the format does not explain."""

    why: str


Item: TypeAlias = Connected | Sent | Answered | Received | Blank | Garbled

# A URL may hold anything but blanks, so it ends at the first one.
_CONTROL = re.compile(rb"(wss?://\S+|https?://\S+) (<->|<-|->) ([0-9.eE+]+)(?:: ?(.*))?", re.DOTALL)


def read(lines: Iterable[bytes]) -> Iterator[Item]:
    """Return one item for each line, whatever is in it."""
    return map(read_line, lines)


def read_line(line: bytes) -> Item:
    """Return the item of one line, with or without its line end."""
    line = line.rstrip(b"\r\n")
    if not line.strip():
        return Blank()
    if len(line) > LINE_LIMIT:
        return Garbled(f"longer than {LINE_LIMIT} bytes")
    if line[:1] in b"{[":
        return Received(None, line)
    if line.startswith((b"ws", b"http")):
        return _control(line)
    stamp, colon, frame = line.partition(b":")
    time = _time(stamp)
    if not colon or time is None:
        return Garbled("no time before the frame")
    frame = frame[1:] if frame.startswith(b" ") else frame
    if frame.startswith((b"b'", b'b"')):
        return _literal(time, frame)
    return Received(time, frame)


def _control(line: bytes) -> Item:
    found = _CONTROL.fullmatch(line)
    if found is None:
        return Garbled("a control line of unknown shape")
    address, arrow, stamp, rest = found.groups()
    time = _time(stamp)
    try:
        url = address.decode()
        text = b"" if rest is None else rest
        match arrow:
            case b"<->" if time is not None:
                return Connected(url, time)
            case b"<-" if time is not None:
                return Sent(url, time, text.decode())
            case b"->" if time is not None:
                return Answered(url, time, text)
    except UnicodeDecodeError:
        return Garbled("a control line that is not UTF-8")
    return Garbled("a control line without a time")


def _literal(time: float, frame: bytes) -> Item:
    try:
        value = literal_eval(frame.decode())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return Garbled("a broken bytes literal")
    return Received(time, value) if isinstance(value, bytes) else Garbled("not a bytes literal")


def _time(stamp: bytes) -> float | None:
    try:
        time = float(stamp)
    except ValueError:
        return None
    return time if isfinite(time) and time > 0 else None
