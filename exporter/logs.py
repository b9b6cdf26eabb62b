"""Logs: one line an event on stderr, as logfmt or JSON, with nothing secret in it.

Messages in this program are a stable event name, then key=value pairs. The pairs are taken from
the format string, so that a value with spaces, quotes or newlines stays one value on one line, and
numbers, booleans and nulls stay such in JSON.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic
from typing import Final, Literal, TextIO

from exporter.redact import Redactor
from exporter.words import quoted, why

_PAIR = re.compile(r"(\w+)=(%[-+ #0]*\d*(?:\.\d+)?[a-zA-Z]|[^\s%]*)")
_EVENT = re.compile(rf"(\w+)((?: {_PAIR.pattern})*)")
# What is secret by its name, wherever a library may have put it. A name is looked for once, from
# its beginning: from each of its words on, a long line would take quadratic time.
_NAMED = re.compile(
    r"(?i)(?<![\w-])(x-[\w-]*key|[\w-]*(?:authorization|cookie|token|secret|password|passwd"
    r"|api[_-]?key))(\"?\s*[=:]\s*\"?)((?:bearer |basic )?[^\s&\"',;)}]+)"
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+:[^/@\s]+(?=@)")
_PLAIN = re.compile(r"[^\s\"=\\\x00-\x1f\x7f]+")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?(e[-+]?\d+)?")
_MOST = 5000  # secrets remembered, with those of configs before a reload
_EVENTS = 1000  # whose lines are counted
# For ``extra``: what others may cause as often as they like. Without it an event has 1,000 lines.
SPARING: Final[Mapping[str, bool]] = {"sparing": True}
_OTHERS = (5, 60.0)  # lines at once, and seconds until there may be another
_OURS = (1000, 1.0)


@lru_cache(maxsize=1024)
def _template(text: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """Take a format string apart: event name and (key, spelling of its value), or None."""
    whole = _EVENT.fullmatch(text)
    if whole is None:
        return None
    return whole[1], tuple((pair[1], pair[2]) for pair in _PAIR.finditer(whole[2]))


class _Literal(str):
    """A number, boolean or null, as JSON writes it."""

    __slots__ = ()


def _value(spelling: str, value: object) -> str:
    """Spell one value, never as Python would.

    Text stands as it is, whatever the format: the writers quote it. Members of a list follow one
    another behind commas.
    """
    if value is None:
        return _Literal("null")
    if isinstance(value, bool):
        return _Literal(str(value).lower())
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int | float):
        text = spelling % (value,)
        return _Literal(text) if _NUMBER.fullmatch(text) else text
    if isinstance(value, tuple | list | set | frozenset):
        return ",".join(_value("%s", each) for each in value)
    return why(value) if isinstance(value, BaseException) else str(value)


def _pairs(record: logging.LogRecord) -> dict[str, str]:
    """Return what a record says as key and value; a foreign message whole, as ``msg``."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    template = _template(record.msg) if isinstance(record.msg, str) else None
    if template is not None:
        event, fields = template
        if sum(spelling.startswith("%") for _, spelling in fields) == len(arguments):
            values = iter(arguments)
            return {"event": event} | {
                key: _value(spelling, next(values)) if spelling.startswith("%") else spelling
                for key, spelling in fields
            }
    return {"msg": record.getMessage()}


class Sparing(logging.Filter):
    """Lets each event have so many lines; the next line of it says how many were left out.

    ``now`` gives monotonic seconds. Lines that are no events of ours have one share a logger.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._now = now
        # By logger and event: lines that may come, as of when, and how many did not.
        self._shares: dict[tuple[str, str], tuple[float, float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is written; one that is has the attribute ``left_out``."""
        template = _template(record.msg) if isinstance(record.msg, str) else None
        key = (record.name, "" if template is None else template[0])
        most, every = _OTHERS if getattr(record, "sparing", False) else _OURS
        now = self._now()
        share, since, left_out = self._shares.pop(key, (float(most), now, 0))
        share = min(most, share + (now - since) / every)
        if len(self._shares) >= _EVENTS:
            del self._shares[next(iter(self._shares))]  # of which the last line is the oldest
        if share < 1.0:
            self._shares[key] = share, now, left_out + 1
            return False
        self._shares[key] = share - 1.0, now, 0
        record.left_out = left_out
        return True


class Formatter(logging.Formatter):
    """Writes a record as one line. ``secrets`` are hidden wherever they appear."""

    def __init__(self, kind: Literal["logfmt", "json"], secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._write = _logfmt if kind == "logfmt" else _json
        self._veil = Redactor(secrets)

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide these too."""
        found, old = frozenset(secrets), self._veil.secrets
        if not found <= old:
            # Old ones stay for the lines that may still come, but not without a bound.
            self._veil = Redactor(found | old if len(old) < _MOST else found)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for one record."""
        moment = datetime.fromtimestamp(record.created, UTC)
        fields = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **_pairs(record),
        }
        if left_out := getattr(record, "left_out", 0):
            fields["left_out"] = _Literal(str(left_out))
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return self._write({key: self._masked(value) for key, value in fields.items()})

    def _masked(self, value: str) -> str:
        masked = self._veil.over(value)
        masked = _USERINFO.sub("***", _NAMED.sub(r"\1\2***", masked))
        return value if masked == value else masked


def _logfmt(fields: Mapping[str, str]) -> str:
    return " ".join(
        f"{key}={value if _PLAIN.fullmatch(value) and value.isprintable() else quoted(value)}"
        for key, value in fields.items()
    )


def _json(fields: Mapping[str, str]) -> str:
    pairs = (
        f"{quoted(key)}: {value if isinstance(value, _Literal) else quoted(value)}"
        for key, value in fields.items()
    )
    return f"{{{', '.join(pairs)}}}"


def hide(secrets: Iterable[str]) -> None:
    """Hide these secrets too in all that is logged from now on."""
    known = list(secrets)
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, Formatter):
            handler.formatter.hide(known)


def _of_ours(record: logging.LogRecord) -> bool:
    """Leave out what uvloop's TLS layer logs, with a traceback, of a peer that was refused.

    Who opened the connection is told, and says so in words of ours.
    """
    text = str(record.msg)
    late = text.startswith("Future exception was never retrieved") and "SSLCertVerif" in text
    return not (late or text.startswith("Fatal error on SSL protocol"))


def setup(
    kind: Literal["logfmt", "json"] = "logfmt",
    level: str = "info",
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Send all logs of this process to stderr; called again, it replaces what it set up before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Formatter(kind, secrets))
    handler.addFilter(Sparing())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)
    logging.getLogger("asyncio").addFilter(_of_ours)
