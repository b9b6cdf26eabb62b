"""Logs: one line an event on stderr, as logfmt or JSON, with nothing secret in it.

Messages in this program are a stable event name, then key=value pairs. The pairs are taken from
the format string, so that a value with spaces, quotes or newlines stays one value on one line, and
numbers, booleans and nulls stay such in JSON.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, TextIO

from exporter.redact import Redactor, quoted

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
    """Spell one value. Text stands as it is, whatever the format: the writers quote it."""
    if value is None:
        return _Literal("null")
    if isinstance(value, bool):
        return _Literal(str(value).lower())
    if isinstance(value, str):
        return str(value)
    text = spelling % (value,)
    return _Literal(text) if isinstance(value, int | float) and _NUMBER.fullmatch(text) else text


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


def setup(
    kind: Literal["logfmt", "json"] = "logfmt",
    level: str = "info",
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Send all logs of this process to stderr; called again, it replaces what it set up before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Formatter(kind, secrets))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)
