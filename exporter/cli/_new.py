"""Writes a venue's definition to begin with, from a few answers and a sample frame."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

# What venues call things, the likeliest first.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "price": ("price", "px", "p", "last", "rate"),
    "size": ("size", "qty", "quantity", "sz", "q", "volume", "vol", "amount", "v"),
    "time": (
        "time", "timestamp", "ts", "t", "T", "E", "TS", "create_time_ms", "createTime",
        "created_at", "date",
    ),
    "side": ("side", "direction", "taker_side", "takerSide", "taker", "aggressor", "S", "s", "m"),
    "sequence": ("sequence", "seq", "trade_id", "tradeId", "n", "i"),
    "symbol": ("symbol", "pair", "instrument", "instId", "market", "product_id", "coin", "s"),
    "bids": ("bids", "bid", "buy", "b"),
    "asks": ("asks", "ask", "sell", "a"),
    "last": ("last", "u", "id", "seq", "sequence", "version", "lastUpdateId", "change_id"),
    "previous": ("previous", "prevId", "lastId", "prevSeqId", "prev_change_id", "pu"),
}  # fmt: skip
_BOOK = "# CHECK: is this all of a book (snapshot: true), or what changed?"
_SYMBOL = re.compile(r"[A-Za-z0-9]{2,10}[-_/:]?(USDT?|USDC|EUR|BTC|KRW|usdt?|usdc|eur|btc|krw)")
_UNITS = ((1e18, "ns"), (1e15, "us"), (1e12, "ms"), (1e9, "s"))


def definition(name: str, answers: Mapping[str, str], sample: str | None) -> str:
    """Return the text of a definition; what no answer or sample tells is marked in a comment.

    Raises ValueError where the sample is no JSON object.
    """
    frame = json.loads(sample) if sample else {}
    if not isinstance(frame, dict):
        raise ValueError("expected a frame that is a JSON object")
    title = answers.get("title") or name.capitalize()
    subscribe = answers.get("subscribe") or "{op: subscribe, id: $id, topics: $topics}"
    rest, stream = answers.get("rest"), answers.get("stream")
    ping = answers.get("ping") or "/"
    return f"""\
# yaml-language-server: $schema=venue.schema.json
# `exchange-exporter schema venue > venue.schema.json` describes every key to an editor.
# Then: `exchange-exporter venue check`, and `venue try`.
name: {name}
title: {_text(title)}
source: {_text(answers.get("source") or "where the facts come from, and when they were read")}
checked: unsure
rest:
  url: {rest or "https://api.example.com"}{_mark(rest)}
  endpoints:
    - {{name: ping, path: {_text(ping)}}}{_mark(answers.get("ping"))}
    # - {{name: time, path: /time, clock: serverTime}}   # path of the venue's own clock
    # - name: status
    #   path: /status
    #   status: {{path: state, maintenance: [closed], trading: open}}
  # faults:   # errors that HTTP 200 may hide; the first that fits counts
    # - {{reason: body_invalid, unless: {{path: code, equals: 0}}}}
symbols: {{form: "{_form(frame)}"}}   # how BTC-USDT is spelled; lower: true for lower case
stream:
  urls: {stream or "wss://stream.example.com"}{_mark(stream)}
  subscribe: {subscribe}{_mark(answers.get("subscribe"))}
  # unsubscribe: {{op: unsubscribe, id: $id, topics: $topics}}
  # acks:       # without any, data alone says that a request took
    # - {{when: {{op: subscribed}}, request: id}}
  # refusals:
    # - {{when: {{op: error}}, request: id, reason: message}}
  # controls:   # all other frames: heartbeats, welcomes, notices
    # - {{when: {{op: ping}}, reply: {{op: pong}}}}
  # ping: {{send: {{op: ping}}, every: 20s}}
channels:
{_channel(frame)}
"""


def _channel(frame: dict[str, Any]) -> str:
    place, many, row = _row(frame)
    book = _sides(row) is not None
    name, number = ("book", "last") if book else ("trades", "sequence")
    lines = [
        f"  {name}:",
        f"    topic: {_text(_topic(frame, name))}",
        f"    # continuity: contiguous   # if `{number}` counts up by one",
        "    frames:",
        *_frame(frame, place, many, row),
    ]
    return "\n".join(lines)


def _sides(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return where the lists of bids and of asks stand; None in what is no book."""
    found = [
        next((n for n in _NAMES[side] if isinstance(row.get(n), list | dict)), None)
        for side in ("bids", "asks")
    ]
    return (found[0], found[1]) if found[0] and found[1] else None


def _text(value: str) -> str:
    return value if re.fullmatch(r"[A-Za-z0-9/._-][A-Za-z0-9/._ -]*", value) else json.dumps(value)


def _mark(answer: str | None) -> str:
    return "" if answer else "   # CHANGE: not told"


def _frame(frame: dict[str, Any], place: str, many: bool, row: dict[str, Any]) -> Iterator[str]:
    lines = [f"- when: {{{', '.join(_conditions(frame, place)) or 'type: trade'}}}"]
    if place:
        lines.append(f"  {'rows' if many else 'row'}: {place}")
    lines.append(f"  symbol: {_symbol(frame, row)}")
    sides = _sides(row)
    wanted: tuple[str, ...] = ("time", "price", "size", "side", "sequence")
    if sides is not None:
        wanted = ("time", "last", "previous")
        lines.append(f"  bids: {sides[0]}")
        lines.append(f"  asks: {sides[1]}   {_BOOK}")
    for name in wanted:
        found = _find(name, row)
        if found is None and name in ("price", "size"):
            lines.append(f"  {name}: {name}   # CHANGE: not found in the sample")
        elif found is not None:
            lines.append(f"  {_field(name, found, row[found])}")
    return (" " * 6 + line for line in lines)


def _row(frame: dict[str, Any]) -> tuple[str, bool, dict[str, Any]]:
    """Return where the rows stand, whether they are many, and the first."""
    for path, value in _walk(frame):
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return path, True, value[0]
    if _find("price", frame) is None and _sides(frame) is None:
        for path, value in _walk(frame):
            if isinstance(value, dict) and (_find("price", value) or _sides(value)):
                return path, False, value
    return "", False, frame


def _walk(value: dict[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    for name, each in value.items():
        path = f"{start}.{name}" if start else name
        yield path, each
        if isinstance(each, list) and any(isinstance(one, dict | list) for one in each):
            each = {str(at): one for at, one in enumerate(each)}
        if isinstance(each, dict):
            yield from _walk(each, path)


def _conditions(frame: dict[str, Any], place: str) -> Iterator[str]:
    read = set() if place else {_find(name, frame) for name in _NAMES}
    for path, value in _walk(frame):
        if path in read or (place and (path == place or path.startswith(f"{place}."))):
            continue
        if isinstance(value, str) and not re.match(r"[\d.+-]+(T|$)", value):
            found = _SYMBOL.search(value)
            if found is None:
                yield f"{path}: {_text(value)}"
            elif found[0] != value:
                yield f"{path}: {_text(value.replace(found[0], '*'))}"


def _symbol(frame: dict[str, Any], row: dict[str, Any]) -> str:
    named = _find("symbol", row)
    if named is not None and isinstance(row[named], str) and _SYMBOL.fullmatch(row[named]):
        return named
    for path, value in _walk(frame):
        found = _SYMBOL.search(value) if isinstance(value, str) else None
        if found is not None and found[0] == value:
            return f"$.{path}"
        if found is not None:
            within = value.replace(found[0], "{symbol}")
            return f"{{path: $.{path}, within: {json.dumps(within)}}}"
    return "symbol   # CHANGE: not found in the sample"


def _find(name: str, row: dict[str, Any]) -> str | None:
    known = [each for each in _NAMES[name] if each in row]
    known = [each for each in known if not isinstance(row[each], dict | list)]
    if name == "side":
        sides = [each for each in known if str(row[each]).lower() in _SIDES]
        return sides[0] if sides else None
    if name in ("last", "previous", "sequence"):
        known = [each for each in known if re.fullmatch(r"-?\d+", str(row[each]))]
    if name == "time":
        known = [each for each in known if _unit(row[each])]
    return known[0] if known else None


_SIDES = ("buy", "sell", "b", "s", "a", "bid", "ask", "true", "false")


def _field(name: str, path: str, value: Any) -> str:
    if name == "time":
        return f"time: {{path: {path}, unit: {_unit(value)}}}"
    if name != "side":
        return f"{name}: {path}"
    if isinstance(value, bool):
        return f"side: {{path: {path}, buy: false, sell: true}}   # CHECK: true is a buying maker"
    pairs = {"buy": "sell", "b": "s", "bid": "ask"}
    buy = next((b for b, s in pairs.items() if str(value).lower() in (b, s)), "b")
    sell = "a" if str(value).lower() == "a" else pairs[buy]
    text = str(value)
    spell = str.upper if text.isupper() else str.capitalize if text.istitle() else str.lower
    return f"side: {{path: {path}, buy: {spell(buy)}, sell: {spell(sell)}}}"


def _unit(value: Any) -> str | None:
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value):
        return "iso"
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return next((unit for least, unit in _UNITS if least < number < least * 10), None)


def _topic(frame: dict[str, Any], channel: str) -> str:
    for _, value in _walk(frame):
        found = _SYMBOL.search(value) if isinstance(value, str) else None
        if found is not None and found[0] != value:
            return str(value).replace(found[0], "{symbol}")
    return f"{channel}.{{symbol}}"


def _form(frame: dict[str, Any]) -> str:
    text = json.dumps(frame)
    found = re.search(r"[A-Za-z0-9]{2,10}([-_/:]?)(USDT?|USDC|EUR|KRW|usdt?|usdc)\b", text)
    return "{base}" + (found[1] if found else "") + "{quote}"
