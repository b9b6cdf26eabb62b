"""What the config expects of an answer, and what it is told to read in it: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from exporter.decoding import ParseError, any_time, json_path, json_value
from exporter.flow.backoff import http_date
from exporter.flow.patterns import occurs
from exporter.maintenance import Maintenance
from exporter.model import ClockSource, Expectation, MaintenanceRule
from exporter.redact import Redactor

_MISSING: Final = object()


class Document:
    """An answer's body and headers, or a frame: parsed once and when first asked for.

    Patterns are looked for in the first ``searched`` characters; None: in all.
    """

    def __init__(
        self,
        body: bytes,
        headers: Mapping[str, str] = MappingProxyType({}),
        searched: int | None = None,
    ) -> None:
        self._body, self.headers, self.searched = body, headers, searched
        self._json: Any = _MISSING

    def at(self, path: str) -> Any:
        """Return what stands at a path. Raises ParseError where it breaks off, or for no JSON."""
        if self._json is _MISSING:
            self._json = json_value(self._body)
        return json_path(self._json, path)

    def subject(self, expected: Expectation) -> Any:
        """Return what an expectation looks at. Raises ParseError where it is not there."""
        if expected.path is not None:
            return self.at(expected.path)
        if expected.header is None:
            return self._body.decode("utf-8", "replace")
        value = self.headers.get(expected.header)
        if value is None:
            raise ParseError(f"no header {expected.header}")
        return value


def unmet(
    expectations: Iterable[Expectation],
    document: Document,
    wall: float,
    hidden: Iterable[str] = (),
) -> str:
    """Name the first expectation that an answer does not meet; empty when it meets all.

    ``wall`` is our clock in epoch seconds; ``hidden`` texts are not repeated.
    Raises ParseError where what is looked at is not there.
    """
    for expected in expectations:
        where = expected.path or expected.header or "body"
        if expected.exists is not None:
            if _exists(expected, document) is not expected.exists:
                return f"{where}: expected {'something' if expected.exists else 'nothing'} there"
            continue
        value = document.subject(expected)
        if wrong := _wrong(expected, value, wall, document.searched):
            return Redactor(hidden).over(f"{where}: {wrong}")[:300]
    return ""


def _exists(expected: Expectation, document: Document) -> bool:
    try:
        return document.subject(expected) is not None
    except ParseError:
        return False


def _wrong(expected: Expectation, value: Any, wall: float, searched: int | None) -> str:
    """Say what is wrong with what stands there; empty for nothing."""
    if expected.equals is not None:
        found = same(value, expected.equals)
        return "" if found else f"expected {expected.equals!r}, got {value!r}"
    if expected.less_than is not None:
        number = _number(value)
        found = number is not None and number < expected.less_than
        return "" if found else f"expected less than {expected.less_than:g}, got {value!r}"
    if expected.within is not None:
        time = _time(value)
        if abs(wall - time) <= expected.within:
            return ""
        ago = f"{abs(wall - time):.3g} s {'old' if time < wall else 'ahead'}"
        return f"expected a time within {expected.within:g} s of now, got {ago}"
    text = value if isinstance(value, str) else repr(value)
    if expected.contains is not None:
        return "" if expected.contains in text else f"does not contain {expected.contains!r}"
    if expected.matches is not None and not occurs(expected.matches, text[:searched]):
        return f"nothing matches {expected.matches!r}"
    return ""


def same(value: object, expected: object) -> bool:
    """Whether two JSON values are equal: true is no 1."""
    return value == expected and isinstance(value, bool) == isinstance(expected, bool)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _time(value: object) -> float:
    date = http_date(value) if isinstance(value, str) else None
    return any_time(value) if date is None else date


def clock(source: ClockSource, document: Document) -> float:
    """Read the time that an answer tells, in epoch seconds. Raises ParseError."""
    if source.path is not None:
        return any_time(document.at(source.path))
    date = http_date(document.headers.get("date", ""))
    if date is None:
        raise ParseError("no Date header that could be read")
    return date


def maintenance(rule: MaintenanceRule, document: Document, wall: float) -> Maintenance:
    """Say whether an answer tells of maintenance; what cannot be read tells of none."""
    try:
        active = not unmet((rule.when,), document, wall)
    except ParseError:
        active = False
    if not active:
        return Maintenance(active=False)
    title = _optional(rule.title, document)
    try:
        end = None if rule.end is None else _time(document.at(rule.end))
    except ParseError:
        end = None
    return Maintenance(active=True, end=end, title="" if title is None else str(title)[:200])


def _optional(path: str | None, document: Document) -> object:
    try:
        return None if path is None else document.at(path)
    except ParseError:
        return None
