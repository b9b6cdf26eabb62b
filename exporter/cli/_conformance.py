"""What every venue must keep, whoever wrote it: tables, requests, frames and wounded frames."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from math import inf
from typing import Any, TypeAlias

from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.instrument import UnlistedError
from exporter.model import Ack, Control, Depth, Event, Kline, Message, Quote, Trade

Parse: TypeAlias = Callable[[bytes], tuple[Event, ...]]

_INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "ETH-BTC", "SOL-USD", "DOGE-EUR", "BTC-USDC")
_JUNK = (b"", b"null", b"[]", b"{}", b"0", b'"x"', b"[[[[]]]]", b"\xff\xfe", b'{"a":', b"NaN")
_WOUNDS: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    10**40,
    "",
    "x",
    "NaN",
    "1e400",
    "9" * 400,
    [],
    {},
    [[]],
)
_MOST = 10  # complaints of one kind
_WOUNDED = 40  # frames that are wounded in all their spots


def complaints(venue: Venue, frames: Sequence[bytes] = ()) -> Iterator[str]:
    """Say what is wrong with a venue; ``frames`` are what it was seen to send."""
    yield from _tables(venue)
    yield from _addresses(venue)
    yield from _requests(venue)
    if venue.topics:
        parse = venue.reader()
        yield from _cut(_junk(venue))
        yield from _cut(_understood(venue, parse, frames))
        known = venue.parse if venue.begin is None else parse
        yield from _cut(_wounded(venue, known, frames[:_WOUNDED]))


def _cut(found: Iterator[str]) -> Iterator[str]:
    for number, each in enumerate(found):
        if number == _MOST:
            yield "... and more of the kind"
            return
        yield each


def _tables(venue: Venue) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", venue.name):
        yield f"name: found {venue.name!r}, expected lower-case letters, digits and underscores"
    if not (venue.title and venue.source):
        yield "title, source: found nothing, expected where its facts come from"
    if venue.checked not in ("recording", "documentation", "unsure"):
        yield f"checked: found {venue.checked!r}"
    names = [each.name for each in venue.endpoints]
    if len(set(names)) < len(names):
        yield "endpoints: found one name twice, expected each once"
    probed = [each for each in venue.endpoints if each.default]
    if not probed:
        yield "endpoints: found none that is probed by default, expected one"
    for each in venue.endpoints:
        if not each.path.startswith("/") or each.weight < 1:
            yield f"endpoints: {each.name}: expected a path that begins with / and a weight of 1"
    rate = sum(each.weight / each.interval for each in probed)
    for limit in venue.rest_limits:
        if rate > 0.25 * limit.weight / limit.window:
            yield f"rest_limits: {limit.name}: default probes use more than a quarter of it"
    rules = [rule.name for rule in venue.sequences]
    if len(set(rules)) < len(rules):
        yield "sequences: found one name twice, expected each once"


def _addresses(venue: Venue) -> Iterator[str]:
    if not venue.rest_url.startswith("https://") or venue.rest_url.endswith("/"):
        yield f"rest_url: found {venue.rest_url}, expected https:// and no / at the end"
    for url in venue.stream_urls:
        if not url.startswith("wss://"):
            yield f"stream_urls: found {url}, expected wss://"
        if venue.routes and url.endswith("/"):
            yield f"stream_urls: found {url}, expected no / before the routes"
        if not any(url.partition("://")[2].startswith(host) for host in venue.hosts):
            yield f"hosts: expected one that {url} belongs to, so that recordings find their venue"
    if venue.topics and not (venue.stream_urls or venue.prelude):
        yield "stream_urls: found none, expected one"


def _requests(venue: Venue) -> Iterator[str]:
    topics: dict[str, str] = {}
    spelled: dict[str, str] = {}  # some for several
    for instrument in reversed(_INSTRUMENTS):
        with suppress(UnlistedError):
            spelled[venue.symbol(instrument)] = instrument
    if not spelled:
        yield f"symbol: refused {', '.join(_INSTRUMENTS)}, expected one of them to be listed"
    for channel in venue.topics:
        for symbol, instrument in spelled.items():
            topic = venue.topic(channel, symbol)
            if topic in topics:
                yield f"topics: {topic!r} stands for {topics[topic]} and {channel} of {instrument}"
            topics[topic] = f"{channel} of {instrument}"
    if not 0 < venue.requests_per_second <= 100 or venue.topics_per_request < 1:
        yield "requests_per_second, topics_per_request: expected 1 to 100, and at least 1"
    groups: dict[str, list[str]] = {}
    for topic in topics:
        groups.setdefault(venue.request_group(topic), []).append(topic)
    for group in groups.values():
        some = group[: venue.topics_per_request]
        for what, spell in (("subscribe", venue.subscribe), ("unsubscribe", venue.unsubscribe)):
            try:
                frame = spell(some, 1)
            except Exception as error:  # noqa: BLE001 - told of, whatever it is
                yield f"{what}: {some[0]}: {type(error).__name__}: {error}"
                continue
            if venue.request_length is not None and len(frame) > venue.request_length:
                yield f"{what}: found {len(frame)} characters, expected {venue.request_length}"
    if venue.ping is not None and not venue.ping(1):
        yield "ping: found nothing to send"


# --- frames -----------------------------------------------------------------------------------


def _junk(venue: Venue) -> Iterator[str]:
    for frame in _JUNK:
        try:
            for event in venue.reader()(frame):
                yield f"frames: {frame!r} gave {type(event).__name__}, expected ParseError"
        except ParseError:
            pass
        except Exception as error:  # noqa: BLE001 - told of, whatever it is
            yield f"frames: {frame!r} raised {type(error).__name__}, expected ParseError"


def _understood(venue: Venue, parse: Parse, frames: Iterable[bytes]) -> Iterator[str]:
    for frame in frames:
        try:
            events = parse(frame)
        except Exception as error:  # noqa: BLE001 - told of, whatever it is
            yield f"frames: {error}: {frame[:160]!r}"
            continue
        for event in events:
            if wrong := unsound(venue, event):
                yield f"frames: {wrong}: {frame[:160]!r}"


def _wounded(venue: Venue, parse: Parse, frames: Iterable[bytes]) -> Iterator[str]:
    for frame in frames:
        plain = frame
        try:
            plain = venue.decode(frame) if venue.decode else frame
            document = json.loads(plain)
        except (ValueError, ParseError):
            continue
        for spot in list(_spots(document))[:60]:
            for wound in _WOUNDS:
                raw = json.dumps(_replaced(document, spot, wound)).encode()
                try:
                    wrong = [unsound(venue, event) for event in parse(raw)]
                except ParseError:
                    continue
                except Exception as error:  # noqa: BLE001 - told of, whatever it is
                    yield f"frames: {type(error).__name__} instead of ParseError: {raw[:160]!r}"
                    continue
                if any(wrong):
                    yield f"frames: {next(filter(None, wrong))}: {raw[:160]!r}"


def _spots(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    rows = enumerate(value) if isinstance(value, list) else ()
    for key, each in value.items() if isinstance(value, dict) else rows:
        yield from _spots(each, (*path, key))


def _replaced(value: Any, path: tuple[Any, ...], wound: Any) -> Any:
    if not path:
        return wound
    copy = value.copy()
    copy[path[0]] = _replaced(value[path[0]], path[1:], wound)
    return copy


def unsound(venue: Venue, event: Event) -> str:
    """Say what of an event no consumer could bear; empty for nothing."""
    numbers: tuple[float | None, ...] = ()
    sizes: tuple[float | None, ...] = ()
    match event:
        case Ack():
            return "" if len(event.reason) <= 200 else "a reason of more than 200 characters"
        case Control() | Message():
            return ""
        case Trade():
            numbers, sizes = (event.price,), (event.size,)
        case Quote():
            numbers, sizes = (event.bid, event.ask), (event.bid_size, event.ask_size)
        case Depth():
            try:
                bids, asks = venue.book.levels(event) if venue.book else ((), ())
            except ParseError:
                return ""
            pairs = [*bids, *asks]
            numbers = tuple(float(str(price)) for price, *_ in pairs)
            sizes = tuple(float(str(size)) for _, size, *_ in pairs)
        case Kline():
            numbers = (event.close,)
    if not all(number is not None and 0.0 < number < inf for number in numbers):
        return f"a price that is none in {type(event).__name__}"
    if not all(size is None or 0.0 <= size < inf for size in sizes):
        return f"a size that is none in {type(event).__name__}"
    if event.time is not None and not 1e9 < event.time < 1e10:
        return f"the time {event.time}"
    return "" if event.topic and event.symbol else "an event without topic or symbol"
