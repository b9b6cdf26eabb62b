"""Every frame that the venues' documentation, captures and bug reports show, and what it means.

``documented/<wire>.yml`` has one group a channel, with where its frames are shown: what each
becomes is said by `said`. Within a group no frame may leave a hole in the venue's numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.continuity import Sequence, bind
from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.model import Ack, Control, Depth, Event, Kline, Message, Quote, Trade
from exporter.salvage import salvage
from exporter.venues import load
from tests.venues.checks import check

FILES = sorted((Path(__file__).parent / "documented").glob("*.yml"))
WIRES: list[dict[str, Any]] = [yaml.safe_load(path.read_text("utf-8")) for path in FILES]
GROUPS = [(name, group) for wire in WIRES for name in wire["venues"] for group in wire["channels"]]
AT = re.compile(r" at ([\d.]+)$")  # epoch seconds


def said(event: Event, venue: Venue) -> str:
    """Say on one line what a consumer gets of an event."""
    match event:
        case Trade():
            side = f" {event.side.name.lower()}" if event.side else ""
            again = ", repeated" if event.snapshot else ""
            return f"trade {event.symbol} {event.price:.15g} x {event.size:.15g}{side}{again}"
        case Quote():
            assert event.bid_size != 0
            assert event.ask_size != 0
            return f"quote {event.symbol} {event.bid:.15g} / {event.ask:.15g}"
        case Depth():
            assert venue.book is not None
            bids, asks = venue.book.levels(event)
            kind = "snapshot" if event.snapshot else "update"
            return f"{kind} {event.symbol} {len(bids)}+{len(asks)}"
        case Kline():
            state = {None: "", True: " closed", False: " open"}[event.closed]
            return f"candle {event.symbol} {event.close:.15g}{state}"
        case Message():
            return f"alive {event.symbol} {event.label}"
        case Ack():
            number = "" if event.request is None else f" #{event.request}"
            names = "".join(f" {topic}" for topic in event.topics)
            if event.ok:
                depth = "" if event.depth is None else f", depth {event.depth}"
                return f"agreed{number}{names}{depth}"
            return f"refused{number}{names}: {event.reason}"
        case Control():
            flags = [word for word in ("ready", "reconnect", "data") if getattr(event, word)]
            said = event.maintenance
            if said is not None and (said.active or said.mode):
                flags.append("maintenance" if said.active else str(said.mode))
            flags += ["unknown"] * event.unknown
            return ", ".join([f"control {event.label}", *flags])


def read(parse: Callable[[bytes], tuple[Event, ...]], frame: bytes) -> tuple[Event, ...]:
    """Read a frame as a stream does: without a time that cannot be."""
    try:
        return parse(frame)
    except ParseError as error:
        found = salvage(parse, frame, error)
        if found is None:
            raise
        return found


@pytest.mark.parametrize(
    ("name", "group"),
    GROUPS,
    ids=lambda value: value if isinstance(value, str) else value["channel"],
)
def test_a_documented_frame_means_what_it_is_documented_to(
    name: str, group: dict[str, Any]
) -> None:
    """Never a parse error, a level of size zero in a quote, a trade too many, or a hole."""
    venue = load(name)
    assert group["source"]
    sequences: dict[str, dict[str, tuple[Sequence, ...]]] = {}
    parse = venue.parse if venue.begin is None else venue.begin()
    for row in group["frames"]:
        found = read(parse, row["frame"].encode())
        for event in found:
            check(event)
            if isinstance(event, Ack | Control):
                continue
            rules = sequences.setdefault(event.topic, bind(venue.sequences))
            for sequence in rules.get(event.label, ()):
                assert sequence.feed(event) <= 0, row["frame"]
        assert [said(event, venue) for event in found] == [
            AT.sub("", text) for text in row["events"]
        ]
        for event, text in zip(found, row["events"], strict=True):
            if at := AT.search(text):
                assert not isinstance(event, Ack | Control)
                assert f"{event.time:.3f}" == at[1]


DATA = ("trade ", "quote ", "snapshot ", "update ", "candle ", "alive ")


def backwards(value: Any) -> Any:
    """Return the same with the keys of each object the other way round."""
    if isinstance(value, dict):
        return {key: backwards(each) for key, each in reversed(value.items())}
    return [backwards(each) for each in value] if isinstance(value, list) else value


def in_texts(value: Any) -> Any:
    """Return the same with each number of an object's fields as a text; a list's stay."""
    if isinstance(value, dict):
        return {key: in_texts(each) for key, each in value.items()}
    if isinstance(value, list):
        return [in_texts(each) if isinstance(each, dict | list) else each for each in value]
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{Decimal(repr(value)):f}" if plain else value


@pytest.mark.parametrize("spelled", [backwards, in_texts])
@pytest.mark.parametrize(
    ("name", "group"),
    GROUPS,
    ids=lambda value: value if isinstance(value, str) else value["channel"],
)
def test_neither_the_order_of_keys_nor_how_numbers_are_written_matters(
    name: str, group: dict[str, Any], spelled: Callable[[Any], Any]
) -> None:
    """JSON promises no order, and venues change numbers into texts without saying so."""
    venue = load(name)
    parse = venue.parse if venue.begin is None else venue.begin()
    for row in group["frames"]:
        if not (row["events"] and row["events"][0].startswith(DATA)):
            read(parse, row["frame"].encode())
            continue
        frame = json.dumps(spelled(json.loads(row["frame"])), separators=(",", ":"))
        assert [said(event, venue) for event in read(parse, frame.encode())] == [
            AT.sub("", text) for text in row["events"]
        ]


def test_every_kind_of_frame_is_named_once() -> None:
    """A frame stands once in a file; each says when sources were read, and which were opened."""
    for wire in WIRES:
        frames = [row["frame"] for group in wire["channels"] for row in group["frames"]]
        assert len(set(frames)) == len(frames)
        assert wire["read"]
        assert wire["opened"]
