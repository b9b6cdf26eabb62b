"""A venue told in YAML: read, checked and compiled into the value that a venue's file makes."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from exporter import config as settings
from exporter.config.kinds import Reading, Schema
from exporter.contracts import BookRules, Endpoint, RestLimit, SequenceRule, Venue, VenueFact
from exporter.decoding import ParseError
from exporter.instrument import Product
from exporter.model import Channel, Continuity, SizeUnit
from exporter.venues.definition import frames, levels, requests, rest
from exporter.venues.definition.addressed import addressed
from exporter.venues.definition.perpetuals import perpetuals
from exporter.venues.definition.rest_shape import RestEndpoint
from exporter.venues.definition.scale import scaled_snapshot
from exporter.venues.definition.shape import ChannelShape, StreamShape, VenueShape

_LARGEST = 16 << 20  # bytes of a message that the venue compressed
_SMALLEST_FORM = "name, source, rest: {url: ...}"


def load(file: str | Path) -> Venue:
    """Read and compile a definition. Raises ConfigError with all that is wrong with it."""
    return compiled(settings.text_of(file), str(file))


@lru_cache(maxsize=64)  # a reload of what did not change gives the same value
def compiled(text: str, name: str) -> Venue:
    """Compile a definition's text; ``name`` is its file's, for complaints. Raises ConfigError."""
    reading, shape = _read(text, name)
    try:
        return _venue(shape, hashlib.sha256(text.encode()).hexdigest()[:16])
    except frames.ContradictionError as error:
        _, line = settings.Places(name, reading.lines).complaint(error.place, str(error))
        raise settings.ConfigError((line,)) from error


def shape_of(name: str) -> VenueShape:
    """Return what the definition of one of our own venues says. Raises KeyError for no such one."""
    file = Path(__file__).parents[1] / f"{name}.yml"
    if not file.exists():
        raise KeyError(name)
    return _read(settings.text_of(file), str(file))[1]


def _read(text: str, name: str) -> tuple[Reading, VenueShape]:
    reading = Reading(folder=Path(name).parent, environ={}, venues=(), venue=_no_venue)
    return reading, settings.read_as(VenueShape, text, name, reading, _SMALLEST_FORM)


def names() -> Iterator[str]:
    """Yield the names of our own venues that are defined."""
    yield from sorted(file.stem for file in Path(__file__).parents[1].glob("*.yml"))


def json_schema() -> Schema:
    """Describe a definition as JSON Schema, so that editors complete and check it."""
    return settings.schema_of(VenueShape, "exchange-exporter venue definition", {})


def _no_venue(name: str) -> Venue:
    raise KeyError(name)


def _venue(shape: VenueShape, edition: str) -> Venue:
    stream = shape.stream
    spoken: dict[str, Any] = _no_stream() if stream is None else _stream(shape, stream)
    base, listing = shape.rest, shape.rest.markets
    urls = () if stream is None else stream.urls
    return Venue(
        name=shape.name,
        title=shape.title or shape.name,
        edition=edition,
        rest_url=base.url.rstrip("/"),
        endpoints=tuple(_endpoint(shape.name, each) for each in base.endpoints),
        fault=rest.fault(base.faults),
        rest_limits=tuple(
            RestLimit(
                name=each.name,
                weight=each.weight,
                window=each.window,
                used_header=each.used_header and each.used_header.lower(),
                remaining_header=each.remaining_header and each.remaining_header.lower(),
            )
            for each in base.limits
        ),
        markets_path=None if listing is None else listing.path,
        read_markets=None if listing is None else rest.markets(shape.name, listing, shape.symbols),
        volumes=(
            None
            if base.volumes is None
            else rest.volumes(shape.name, base.volumes, shape.symbols.plain)
        ),
        perpetuals=perpetuals(shape.name, base.perpetuals),
        status_page=base.status_page,
        plain=shape.symbols.plain,
        symbol=rest.spelling(shape.symbols),
        hosts=tuple(
            dict.fromkeys(
                [
                    *(urlsplit(url).netloc for url in urls),
                    base.url.partition("://")[2].rstrip("/"),
                    *shape.hosts,
                ]
            )
        ),
        facts=tuple(VenueFact(each.what, each.source, each.read) for each in shape.facts),
        source=shape.source,
        checked=shape.checked,
        unsure=shape.unsure,
        **spoken,
    )


def _endpoint(venue: str, shape: RestEndpoint) -> Endpoint:
    return Endpoint(
        name=shape.name,
        path=shape.path,
        method=shape.method or ("GET" if shape.json is None else "POST"),
        json=shape.json,
        weight=shape.weight,
        interval=shape.interval,
        pace=shape.pace,
        clock=None if shape.clock is None else rest.clock(venue, shape.clock),
        status=None if shape.status is None else rest.status(venue, shape.status),
        default=shape.default,
    )


def _no_stream() -> dict[str, Any]:
    def parse(frame: bytes) -> Any:
        raise ParseError("this venue has no stream")

    nothing = requests.request(None, lambda topic: ("", "", None))
    return {
        "stream_urls": (),
        "topics": {},
        "subscribe": nothing,
        "unsubscribe": nothing,
        "parse": parse,
    }


def _stream(shape: VenueShape, stream: StreamShape) -> dict[str, Any]:
    channels = {Channel(name): each for name, each in shape.channels.given.items()}
    named = {*requests.places(stream.subscribe), *requests.places(stream.unsubscribe)}
    single = any(not requests.PLACES[each] for each in named)
    named_by = partial(arguments, shape)
    grouped = bool(named & {"channel", "symbols"})
    ping, spoken_first = stream.ping, [stream.opening, stream.ping and stream.ping.send]
    numbered = all(each.request for each in stream.acks)
    return {
        "stream_urls": stream.urls,
        "routes": {name: each.route for name, each in channels.items() if each.route is not None},
        "topics": {name: each.topic for name, each in channels.items()},
        "subscribe": requests.request(stream.subscribe, named_by),
        "unsubscribe": requests.request(stream.unsubscribe, named_by),
        "parse": (parse := frames.parser(shape)),
        "begin": None if stream.numbers is None else frames.numbered(parse, stream.numbers),
        "decode": _decompressor(stream.compression),
        "addressed": addressed(shape.channels.given),
        "sequences": tuple(_rules(channels)),
        "book": _book(shape.name, channels, shape.symbols.sizes),
        "cross_checks": {
            channel: check
            for channel, check in rest.cross_checks(shape.name, shape.rest).items()
            if channel in channels
        },
        "prelude": None if stream.prelude is None else rest.prelude(shape.name, stream.prelude),
        "opening": tuple(map(requests.frame_text, stream.opening or ())),
        "welcomed": stream.welcomed,
        "acks": bool(stream.acks),
        "answers_numbered": numbered or any(each.topic or each.topics for each in stream.acks),
        "ping": None if ping is None else _ping(ping.send),
        "timed": bool(requests.TIMES.keys() & {*named, *requests.places(spoken_first)}),
        "ping_every": 20.0 if ping is None else ping.every,
        "lifetime": stream.lifetime,
        "topics_per_request": 1 if single else stream.topics_per_request,
        "topics_per_connection": stream.topics_per_connection,
        "request_length": stream.request_length,
        "requests_per_second": stream.requests_per_second,
        "timestamps": {name: _clocks(each) for name, each in channels.items()},
        "cadences": {n: each.cadence for n, each in channels.items() if each.cadence is not None},
        **({"request_group": lambda topic: named_by(topic)[0]} if grouped else {}),
    }


def arguments(shape: VenueShape, topic: str) -> tuple[str, str, Any]:
    """Return channel, symbol and argument of a topic, as requests name them."""
    channels = shape.channels.given
    name, symbol = frames.channel_of(channels, topic)
    channel = channels[name]
    called = channel.name or name
    values = {"topic": topic, "symbol": symbol, "channel": called}
    template = "$topic" if channel.argument is None else channel.argument
    return called, symbol, requests.fill(template, values.__getitem__)


def _ping(template: Any) -> Callable[[int], str]:
    def ping(number: int) -> str:
        values = {"id": number, "id_text": str(number), **requests.TIMES}
        return requests.frame_text(requests.fill(template, values.__getitem__))

    return ping


def _clocks(channel: ChannelShape) -> str:
    times = [each.time for each in channel.frames if each.time is not None]
    return "; ".join(dict.fromkeys(f"{e.path} ({e.unit})" for e in times)) or "none is sent"


def _rules(channels: dict[Channel, ChannelShape]) -> Iterator[SequenceRule]:
    for name, channel in channels.items():
        if channel.continuity != "none":
            yield SequenceRule(
                name=channel.name or name,
                labels=tuple(dict.fromkeys(_labels(name, channel))),
                continuity=Continuity(channel.continuity),
                attribute="span" if name is Channel.BOOK else "sequence",
            )


def _labels(name: str, channel: ChannelShape) -> Iterator[str]:
    for each in channel.frames:
        yield each.label or name
        if each.snapshot_label is not None:
            yield each.snapshot_label


def _book(
    venue: str, channels: dict[Channel, ChannelShape], units: Mapping[Product, SizeUnit]
) -> BookRules | None:
    channel = channels.get(Channel.BOOK)
    if channel is None:
        return None
    summed = next((each.checksum for each in channel.frames if each.checksum is not None), None)
    first = channel.snapshot
    return BookRules(
        levels=levels.levels,
        checksum=None if summed is None else levels.checksum(summed),
        snapshot_path=None if first is None else first.path,
        read_snapshot=(
            None
            if first is None
            else scaled_snapshot(
                channel, levels.read_snapshot(venue, first, text=summed is not None)
            )
        ),
        weight=1 if first is None else first.weight,
        whole=all(each.snapshot for each in channel.own),
        units={Product.SPOT: SizeUnit.BASE, **units},
    )


def _decompressor(kind: str) -> Callable[[bytes], bytes] | None:
    """Return what undoes the venue's own compression, bounded; frames that have none pass."""
    if kind == "none":
        return None
    bits = 31 if kind == "gzip" else -zlib.MAX_WBITS

    def decode(frame: bytes) -> bytes:
        plain = bool(frame) and frame.isascii()  # a keepalive: ping
        if frame.startswith((b"{", b"[")):
            return frame
        # What is called deflate may have zlib's header, by whose sum it is told from none.
        headed = bits < 0 and frame[:1] == b"x" and int.from_bytes(frame[:2], "big") % 31 == 0
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS if headed else bits)
        try:
            text = inflater.decompress(frame, _LARGEST)
        except zlib.error as error:
            if plain:
                return frame
            raise ParseError(f"compressed: {error}") from error
        if not inflater.eof:
            if plain:
                return frame
            raise ParseError(f"compressed: cut off, or more than {_LARGEST >> 20} MiB")
        return text

    return decode
