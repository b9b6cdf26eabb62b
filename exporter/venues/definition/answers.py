"""Answers and control frames of a defined venue: all that is no market data, and rare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from exporter.decoding import ParseError, json_path, json_value, optional_path
from exporter.model import Ack, Control, Event
from exporter.venues.definition.conditions import conditions, hold
from exporter.venues.definition.field_shape import TimeField
from exporter.venues.definition.readers import moment
from exporter.venues.definition.requests import PLACE, fill, frame_text
from exporter.venues.definition.shape import AnswerShape, ControlShape, StreamShape

_LONGEST_TEXT = 200  # characters of a frame that is no JSON
_LONGEST_KIND = 60  # characters of the wire's word for a kind that is not known

Read: TypeAlias = Callable[[bytes], tuple[Event, ...]]


def answer_parser(venue: str, stream: StreamShape, is_data: Callable[[Any], bool]) -> Read:
    """Return what reads answers and controls.

    ``is_data`` tells market data, which is never taken for a kind that is not known: what cannot
    be read of it must be told.
    """
    texts = {
        each.text.encode(): (_event(each, None),)
        for each in stream.controls
        if each.text is not None
    }
    answers = [
        *((conditions(each.when), each, True) for each in stream.acks),
        *((conditions(each.when), each, False) for each in stream.refusals),
    ]
    others = [(conditions(each.when), each) for each in stream.controls if each.text is None]

    def read(frame: bytes) -> tuple[Event, ...]:
        if len(frame) <= _LONGEST_TEXT and frame in texts:
            return texts[frame]
        document = json_value(frame)
        for wanted, answer, ok in answers:
            if hold(wanted, document):
                return (_ack(answer, ok, document),)
        for wanted, control in others:
            kept = control.data or control.kind is not None  # from what is to be read, or told
            if hold(wanted, document) and not (kept and is_data(document)):
                return (_event(control, document),)
        raise ParseError(f"{venue}: a frame of no kind that is defined")

    return read


def _event(shape: ControlShape, document: Any) -> Control:
    reply = None if shape.reply is None else frame_text(fill(shape.reply, _from(document)))
    kind = None if shape.kind is None else str(optional_path(document, shape.kind) or "?")
    return Control(
        shape.label or shape.text or (kind or "control")[:_LONGEST_KIND],
        unknown=kind is not None,
        reply=reply,
        ready=shape.ready,
        reconnect=shape.reconnect,
        data=shape.data,
        time=None if shape.time is None else _time(shape.time, document),
    )


def _time(shape: TimeField, document: Any) -> float | None:
    type_, epoch_of = moment(shape)
    follow = optional_path if shape.optional else json_path
    return epoch_of(msgspec.convert(follow(document, shape.path), type_, strict=False))


def _from(document: Any) -> Callable[[str], Any]:
    return lambda path: json_path(document, path)


def _ack(shape: AnswerShape, ok: bool, document: Any) -> Ack | Control:
    topics: tuple[str, ...] = ()
    try:
        topics = tuple(_topics(shape, document))
    except ParseError:
        if ok:  # a refusal may well name nothing; what nobody here asks for is spelled otherwise
            return Control(shape.label or "ack")
    request = optional_path(document, shape.request)
    if ok and shape.topics is not None and not topics:
        return Ack(shape.label or "ack", False, _number(request), (), "it agreed to none of them")
    reason = str(optional_path(document, shape.reason) or "")
    return Ack(
        shape.label or ("ack" if ok else "refusal"),
        ok=ok,
        request=_number(request),
        topics=topics,
        reason=reason[:200],
    )


def _topics(shape: AnswerShape, document: Any) -> Iterator[str]:
    """Yield the topics that an answer names: one, or one for each item of a list in it."""
    if shape.topic is not None:
        lists = [path for path in PLACE.findall(shape.topic) if path.endswith(".*")]
        for item in json_path(document, lists[0][:-2]) if lists else (None,):
            values = dict.fromkeys(lists, item)
            yield PLACE.sub(
                lambda m: str(values[m[1]] if m[1] in values else json_path(document, m[1])),  # noqa: B023 - called at once
                shape.topic,
            )
    elif shape.topics is not None:
        found = json_path(document, shape.topics)
        yield from map(str, found if isinstance(found, list) else [found])


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
