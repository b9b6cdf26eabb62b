"""Updates whose time, or whose size that nobody needs, is unreadable: the rest of them counts.

For frames that were refused already: what a bad field costs is paid by the frame that has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from exporter.decoding import ParseError
from exporter.model import Data, Depth, Event, Message

_KEY = re.compile(r"at `\$[^`]*?\.(\w+)`")  # as the decoder names what it refused
_VALUE = rb'("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|null|true|false)'
_TIMES = (b"E", b"ts", b"time", b"timestamp", b"T")  # where the error names no field
_LONGEST = 1 << 18  # bytes of a frame that is looked through

# One moment in all forms that venues have of it; what carries it afterwards had no time.
_THEN = 1.5e9
_STAND_INS = (
    *(b"%d" % (15 * 10**power) for power in (11, 14, 17, 8)),
    *(b'"%d"' % (15 * 10**power) for power in (11, 14, 17, 8)),
    b'"2017-07-14T02:40:00Z"',
)
_FORMS = frozenset((_THEN, *(15 * 10**power for power in (8, 11, 14, 17))))
_FIELDS = 2  # bad ones of a frame that are tried


def salvage(
    parse: Callable[[bytes], tuple[Event, ...]], frame: bytes, error: Exception
) -> tuple[Event, ...] | None:
    """Return the events of a frame that ``parse`` refused with ``error``, as far as it can.

    A time that cannot be read is None afterwards; so is an optional figure of what is no book. None
    where anything else is wrong, numbers that order messages and acknowledgements among it.
    """
    if not isinstance(error, ParseError) or len(frame) > _LONGEST:
        return None
    return _salvage(parse, frame, error, _FIELDS)


def _salvage(
    parse: Callable[[bytes], tuple[Event, ...]], frame: bytes, error: ParseError, fields: int
) -> tuple[Event, ...] | None:
    for mended, timed in _mended(frame, error):
        found: tuple[Event, ...] | None
        try:
            found = parse(mended)
        except ParseError as other:
            found = None
            if fields > 1 and _key(other) not in (None, _key(error)):
                found = _salvage(parse, mended, other, fields - 1)
        if found is not None and (sound := _sound(found, timed)) is not None:
            return sound
    return None


def _key(error: ParseError) -> str | None:
    found = _KEY.search(str(error))
    return None if found is None else found[1]


def _mended(frame: bytes, error: ParseError) -> Iterator[tuple[bytes, bool]]:
    """Yield the frame with another value in the refused field, or without it; is that a time."""
    key = _key(error)
    for name in _TIMES if key is None else (key.encode(),):
        field = re.compile(rb'"%b"\s*:\s*%b' % (name, _VALUE))
        if field.search(frame) is None:
            continue
        for stand_in in _STAND_INS:
            yield field.sub(b'"%b":%b' % (name, stand_in), frame), True
        if key is not None:
            without = re.compile(rb",\s*%b|%b\s*," % (field.pattern, field.pattern))
            yield without.sub(b"", frame), False


def _sound(events: tuple[Event, ...], timed: bool) -> tuple[Event, ...] | None:
    """Return the events without the stand-in; None where it became anything but a time."""
    if not events or not all(isinstance(event, Data) for event in events):
        return None
    sound: list[Event] = []
    for event in events:
        assert isinstance(event, Data)  # noqa: S101 - all are
        if not event.symbol or event.symbol.lower() not in event.topic.lower():
            return None
        fields = {name: getattr(event, name) for name in event.__struct_fields__}
        time = fields.pop("time", None)
        if any(isinstance(each, int | float) and each in _FORMS for each in fields.values()):
            return None
        if not timed and isinstance(event, Depth | Message):
            # What orders or checks a book is among its optional fields; and a quote whose price
            # cannot be read is none with an empty side.
            return None
        sound.append(msgspec.structs.replace(event, time=None) if time == _THEN else event)
    changed = any(one is not other for one, other in zip(sound, events, strict=True))
    return tuple(sound) if changed or not timed else None
