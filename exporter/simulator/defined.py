"""A simulated venue made from its definition: enough to be watched, for venues without a file here.

It says what the definition reads, so it cannot contradict the reader as a venue's own file in
`venues` does; what the definition does not name, it does not refuse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from exporter import venues
from exporter.contracts import Venue
from exporter.model import Channel
from exporter.simulator.brief.common import UnknownMarketError, asked_always
from exporter.simulator.defined_frames import DEPTH, feed_of, levels_of, meet, put, root, there
from exporter.simulator.market import Pair
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import (
    Query,
    Refusals,
    Route,
    SimulatedReply,
    VenueSpec,
    dump,
)
from exporter.simulator.venue_server import VenueServer
from exporter.venues.definition import arguments, shape_of
from exporter.venues.definition.conditions import listed
from exporter.venues.definition.requests import PLACE
from exporter.venues.definition.rest_shape import StatusShape
from exporter.venues.definition.shape import AnswerShape, ChannelShape, VenueShape


def spec(name: str) -> VenueSpec:
    """Return the specification of a venue that is defined in YAML. Raises KeyError for others."""
    shape, venue = shape_of(name), venues.load(name)
    return VenueSpec(
        name=name,
        symbol=venue.symbol,
        lists=partial(venues.listed, venue),
        routes=dict(_routes(shape)),
        refusals=Refusals(
            unknown_path=lambda desk, path: SimulatedReply(status=404),
            limited=lambda desk, wait: SimulatedReply(status=429),
            banned=lambda desk, wait: SimulatedReply(status=429),
            unavailable=lambda desk: SimulatedReply(status=503),
        ),
        sockets=lambda path: True,
        received=partial(_received, shape, venue),
    )


# --- REST ---------------------------------------------------------------------------------------

Fill: TypeAlias = Callable[[VenueServer, Query, Any], None]


class _FilledPart(NamedTuple):
    """What one use of a path fills in, where it stands, and what is posted for it."""

    paths: list[str]
    fill: Fill
    body: Any


def _routes(shape: VenueShape) -> Iterator[tuple[str, Route]]:
    base, made = shape.rest, dict[str, list[_FilledPart]]()

    def add(path: str, paths: Iterable[str | None], fill: Fill, body: Any = None) -> None:
        bare = path.partition("?")[0].replace("{lower}", "{symbol}")
        made.setdefault(bare, []).append(_FilledPart([each for each in paths if each], fill, body))

    for one in base.endpoints:
        if one.clock is not None:
            add(one.path, [one.clock], partial(_clock, one.clock), one.json)
        else:
            add(one.path, [], lambda d, q, doc: None, one.json)
        if one.status is not None:
            add(one.path, [one.status.path], partial(_state, one.status))
    for glance, number in ((base.traded, lambda p: p.print[0]), (base.quoted, lambda p: p.number)):
        if glance is not None:
            asked = partial(_asked, _naming(glance.path, glance.json))
            fill = partial(_glance, glance.state, glance.time, number, asked)
            add(glance.path, glance.state, fill, glance.json)
    if base.markets is not None:
        add(base.markets.path, [base.markets.rows or "0"], partial(_markets, shape))
    book = shape.channels.given.get("book")
    if book is not None and book.snapshot is not None:
        add(book.snapshot.path, [book.snapshot.last], partial(_snapshot, book))
    for path, parts in made.items():
        posted = any(one.path == path and one.json is not None for one in base.endpoints)
        answer = partial(_answer, shape, parts)
        yield path, Route(answer=answer, method="POST" if posted else "GET")


def _answer(
    shape: VenueShape, parts: list[_FilledPart], desk: VenueServer, query: Query
) -> bytes | SimulatedReply:
    asked = [each for each in parts if _posted(each.body, query)]
    document = root(path for each in asked for path in each.paths)
    try:
        for each in asked:
            if each.paths and type(root(each.paths)) is type(document):
                each.fill(desk, query, document)
    except UnknownMarketError as error:  # how it is refused no definition says
        return SimulatedReply(status=400, body=dump({"message": f"unknown market {error}"}))
    for fault in shape.rest.faults:
        if fault.unless is not None and fault.unless.path and isinstance(document, dict):
            put(document, fault.unless.path, fault.unless.equals)
    return dump(document)


def _posted(body: Any, query: Query) -> bool:
    """Whether a request posts what an endpoint is asked by, if by anything."""
    return body is None or all(
        query.get(name) == str(value)
        for name, value in body.items()
        if not str(value).startswith("$")
    )


def _clock(path: str, desk: VenueServer, query: Query, document: Any) -> None:
    put(document, path, desk.millis())


def _state(shape: StatusShape, desk: VenueServer, query: Query, document: Any) -> None:
    put(document, shape.path, listed(shape.trading)[0])


def _asked(names: frozenset[str], desk: VenueServer, query: Query) -> Pair:
    """Return the market that a request names by its venue's spelling, the first where none is.

    ``names`` are the parameters that name one. Raises UnknownMarketError.
    """
    for pair in desk.pairs():
        if any(value.lower() == pair.listing.symbol.lower() for value in query.values()):
            return pair
    for name in names & query.keys():
        if not asked_always(desk, query[name]):
            raise UnknownMarketError(query[name])
    return desk.pairs()[0]


def _naming(path: str, body: Any = None) -> frozenset[str]:
    """Return the parameters by which a request names a market."""
    places = re.findall(r"(\w+)=\{(?:symbol|lower)\}", path)
    posted = [k for k, v in body.items() if v == "$symbol"] if isinstance(body, dict) else []
    return frozenset({"symbol", *places, *posted})


def _glance(
    state: Sequence[str],
    time: str | None,
    number: Callable[[Pair], int],
    asked: Callable[[VenueServer, Query], Pair],
    desk: VenueServer,
    query: Query,
    document: Any,
) -> None:
    pair = asked(desk, query)
    for path in state:
        put(document, path, str(number(pair)))
    if time is not None:
        put(document, time, pair.printed)


def _markets(shape: VenueShape, desk: VenueServer, query: Query, document: Any) -> None:
    markets, rows = shape.rest.markets, []
    assert markets is not None  # noqa: S101 - whose route this is
    for pair in desk.pairs():
        one = pair.listing
        row = root([markets.symbol])
        put(row, markets.symbol, one.symbol)
        for path, value in ((markets.base, one.base), (markets.quote, one.quote)):
            if path is not None:
                put(row, path, shape.symbols.rename.get(value, value))
        if markets.pair is not None:
            put(row, markets.pair, one.symbol)
        meet(row, markets.only)
        rows.append(row)
    if markets.rows is not None:
        put(document, markets.rows, rows)
    else:
        document += rows


def _snapshot(channel: ChannelShape, desk: VenueServer, query: Query, document: Any) -> None:
    shape = channel.snapshot
    assert shape is not None  # noqa: S101 - whose route this is
    pair = _asked(_naming(shape.path), desk, query)
    put(document, shape.last, pair.last)
    for path, side in ((shape.bids, pair.bids), (shape.asks, pair.asks)):
        put(document, path, levels_of(pair, shape.level, side.top(DEPTH)))


# --- requests -----------------------------------------------------------------------------------


def _matches(template: Any, value: Any, found: dict[str, Any]) -> bool:
    """Whether a request is of a template; what stands in its places comes to ``found``."""
    if isinstance(template, str) and template.startswith("$"):
        found[template[1:]] = value
        return True
    if isinstance(template, dict):
        return isinstance(value, dict) and all(
            name in value and _matches(each, value[name], found) for name, each in template.items()
        )
    if isinstance(template, list):
        return (
            isinstance(value, list)
            and len(value) == len(template)
            and all(_matches(one, other, found) for one, other in zip(template, value, strict=True))
        )
    return bool(template == value)


def _received(shape: VenueShape, venue: Venue, session: SimulatedSession, text: str) -> None:
    stream = shape.stream
    assert stream is not None  # noqa: S101 - else nobody opens one
    try:
        asked = json.loads(text)
    except ValueError:
        asked = text
    for template, join in ((stream.subscribe, True), (stream.unsubscribe, False)):
        found: dict[str, Any] = {}
        if template is not None and _matches(template, asked, found):
            _operate(shape, venue, session, found, join=join)
            return
    if stream.ping is not None and _matches(stream.ping.send, asked, {}):
        _pong(shape, session)


def _pong(shape: VenueShape, session: SimulatedSession) -> None:
    for control in () if shape.stream is None else shape.stream.controls:
        if control.text is not None:
            session.reply(control.text, keepalive=True)
            return
        if "pong" in str(control.when).lower():
            document: Any = {}
            meet(document, control.when)
            session.reply(dump(document).decode(), keepalive=True)
            return


def _operate(
    shape: VenueShape, venue: Venue, session: SimulatedSession, found: dict[str, Any], *, join: bool
) -> None:
    """Join or leave what a request names; what is unknown is refused, where that has a form."""
    done: list[str] = []
    for topic, name, pair in _wanted(shape, venue, session.desk, found):
        if not join:
            session.unsubscribe(topic)
        elif not session.subscribe(
            session.desk.feeds.get(topic) or feed_of(shape, name, topic, pair)
        ):
            continue
        done.append(topic)
    acks = () if shape.stream is None else shape.stream.acks
    number = found.get("id", found.get("id_text"))
    wanted = found.get("topics", found.get("symbols"))
    if join and len(done) < (len(wanted) if isinstance(wanted, list) else 1):
        _refuse(shape, session, number)
    if done and acks:
        ack = acks[0] if join or len(acks) == 1 else acks[1]
        for topics in [[each] for each in done] if ack.topic is not None else [done]:
            session.reply(_ack(ack, topics, number))
    for topic in done if join else ():
        session.open(session.desk.feeds[topic])


def _wanted(
    shape: VenueShape, venue: Venue, desk: VenueServer, found: dict[str, Any]
) -> Iterator[tuple[str, str, Pair]]:
    """Yield topic, channel and market of what a request names."""
    for pair in desk.pairs():
        for name in shape.channels.given:
            topic = venue.topic(Channel(name), pair.listing.symbol)
            called, symbol, argument = arguments(shape, topic)
            if "topics" in found or "topic" in found:
                fits = argument in found.get("topics", [found.get("topic")])
            else:
                fits = symbol in found.get("symbols", [found.get("symbol")])
            if fits and found.get("channel", called) == called:
                yield topic, name, pair


def _refuse(shape: VenueShape, session: SimulatedSession, number: Any) -> None:
    """Say that something is not known, as the definition reads it."""
    refusals = () if shape.stream is None else shape.stream.refusals
    for one in refusals[:1]:
        document: Any = {}
        if one.request is not None and number is not None:
            put(document, one.request, number)
        if one.reason is not None:
            put(document, one.reason, "invalid symbol or channel")
        meet(document, {path: w for path, w in one.when.items() if not there(document, path)})
        session.reply(dump(document).decode())


def _ack(shape: AnswerShape, topics: list[str], number: Any) -> str:
    document: Any = {}
    if shape.request is not None and number is not None:
        put(document, shape.request, number)
    if shape.topics is not None:
        alone = len(topics) == 1 and f"{shape.topics}.0" not in shape.when
        put(document, shape.topics, topics[0] if alone else topics)
    if shape.topic is not None:
        names = PLACE.findall(shape.topic)
        form = "(.*?)".join(map(re.escape, PLACE.split(shape.topic)[::2]))
        said = re.fullmatch(form, topics[0])
        for path, value in zip(names, said.groups() if said else (), strict=False):
            put(document, path.removesuffix(".*"), [value] if path.endswith(".*") else value)
    meet(document, {path: w for path, w in shape.when.items() if not there(document, path)})
    return dump(document).decode()
