# ruff: noqa: RUF009 - `key` gives a dataclass field, it is not evaluated later
"""The config keys of one REST endpoint: the request, and what its response must satisfy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.config.kinds import (
    HIDDEN,
    JsonKind,
    Mistake,
    Reading,
    boolean,
    choice,
    duration,
    integer,
    number,
    placeholder,
    plain,
    regex,
    statuses,
    text,
    url,
)
from exporter.config.secret import Secret, SecretKind
from exporter.config.section import REQUIRED, ListKind, Section, TableKind, key
from exporter.config.units import format_duration

NAME = text(
    "a name of letters, digits, dots, dashes and underscores, at most 64",
    r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
)
# Headers that decide where a message ends and whether the connection stays open.
_HOST = re.compile(r"(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_FRAMING = frozenset(
    ("connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade")
)
HEADER_NAME = text("the name of an HTTP header", r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
HEADER = text("printable text of at most 1000 characters", r"[ -~]{0,1000}")
PATH = text("a dotted path such as result.list.0.symbol", r"[^\s.]+(\.[^\s.]+)*")
_TESTS = ("equals", "exists", "less_than", "within", "contains", "matches")


PROVIDER = text("a name such as aws/apne1-az4", r"[a-z0-9][a-z0-9._/-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectConfig:
    """One test of a response: of its body, of a value in the JSON body, or of a header."""

    path: str | None = key(
        PATH,
        None,
        "Dotted path of the value in the JSON body; positions in lists are numbers. "
        "Default: the whole body.",
    )
    header: str | None = key(HEADER_NAME, None, "Name of the header to test, instead of the body.")
    equals: str | int | float | bool | None = key(plain(), None, "Value that is expected.")
    exists: bool | None = key(
        boolean(), None, "Whether there must be a value other than null (true) or none (false)."
    )
    less_than: float | None = key(
        number(-1e18, 1e18), None, "Number that the value must be less than."
    )
    within: float | None = key(
        duration("1ms", "365d"),
        None,
        "Largest difference between the value, which is a time, and now: epoch in s, ms, us or "
        "ns, ISO 8601, or an HTTP date.",
    )
    contains: str | None = key(
        text("a text of 1 to 500 characters", r"(?s:.{1,500})"),
        None,
        "Text that the value must contain.",
    )
    matches: str | None = key(
        regex(),
        None,
        "Regular expression (RE2) that must match somewhere in the value; of a frame, in its "
        "first 4 KiB.",
    )

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Report anything but one complete test."""
        tests = [name for name in _TESTS if getattr(self, name) is not None]
        if len(tests) != 1:
            what = " and ".join(tests) or "nothing"
            yield Mistake((), f"found {what}, expected one of {', '.join(_TESTS)}")
        elif self.path is not None and self.header is not None:
            yield Mistake(("header",), "found beside path, expected one of the two")
        elif self.path is self.header is None and tests[0] not in ("contains", "matches"):
            wrong = f"found {tests[0]} alone, expected a path or header beside it"
            yield Mistake((tests[0],), wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockConfig:
    """Where a response contains the server's time."""

    path: str | None = key(
        PATH,
        None,
        "Dotted path of the time in the JSON body: epoch in s, ms, us or ns, or ISO 8601.",
    )
    header: str | None = key(
        choice("Date", "date"), None, "The header Date, whose resolution is one second."
    )

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Report anything but one source."""
        if (self.path is None) == (self.header is None):
            what = "nothing" if self.path is None else "path and header"
            yield Mistake((), f"found {what}, expected either a path or header: Date")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceRuleConfig:
    """How to recognize a response during maintenance, whatever its HTTP status."""

    when: ExpectConfig = key(
        Section(ExpectConfig), REQUIRED, "A test that responses satisfy only during maintenance."
    )
    title: str | None = key(PATH, None, "Dotted path of the maintenance's title.")
    end: str | None = key(PATH, None, "Dotted path of the maintenance's end.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """A REST endpoint to probe: one of the venue's own by name, or any by path or URL."""

    name: str = key(
        NAME,
        REQUIRED,
        "A name for the label endpoint, or the name of one of the venue's endpoints.",
    )
    path: str | None = key(
        text("a path that begins with /, without spaces", r"/[^\s#]{0,500}"),
        None,
        "Path below the exchange's REST URL; {symbol} is replaced by the exchange's first symbol.",
    )
    url: str | None = key(
        url("http", "https", known=("{symbol}",)),
        None,
        "Whole URL, instead of a path. Only statuses and expect decide about its success, and it "
        "counts against no rate limit of the venue.",
    )
    method: str | None = key(
        choice("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
        None,
        "HTTP method. Default: the venue's; otherwise POST with a body, GET without.",
    )
    headers: Mapping[str, str | Secret] = key(
        TableKind(HEADER_NAME, SecretKind(HEADER), most=30),
        {},
        "Request headers; values may be secrets.",
    )
    json: Any = key(JsonKind(), None, "Body to send as JSON.")
    form: Mapping[str, str | Secret] | None = key(
        TableKind(HEADER, SecretKind(HEADER), most=50),
        None,
        "Body to send as a form; values may be secrets.",
    )
    interval: float | None = key(
        duration("100ms", "1d"),
        None,
        "Time between two probes. Default: probes.interval, or a multiple of it for endpoints "
        "that the venue file probes less often.",
    )
    timeout: float | None = key(
        duration("10ms", "5m"), None, "Timeout of a whole probe. Default: probes.timeout."
    )
    statuses: tuple[int | str, ...] = key(
        ListKind(statuses(), most=50, least=1, or_one=True),
        [200],
        "HTTP status codes of a success, or classes of codes such as 2xx.",
    )
    expect: tuple[ExpectConfig, ...] = key(
        ListKind(Section(ExpectConfig), most=20, unique=None),
        [],
        "Tests that the response must all satisfy.",
    )
    clock: ClockConfig | None = key(
        Section(ClockConfig),
        None,
        "Where the response contains the server's time. Default: as the venue file says.",
    )
    maintenance: MaintenanceRuleConfig | None = key(
        Section(MaintenanceRuleConfig), None, "How to recognize a response during maintenance."
    )
    weight: int | None = key(
        integer(0, 10_000),
        None,
        "Weight of a request against the venue's rate limit. Default: the venue's, otherwise 1.",
    )
    provider: str | None = key(
        PROVIDER,
        None,
        "What this endpoint is hosted by, as far as you know: those of one provider that fail "
        "together are told as one.",
    )
    slow_after: float | None = key(
        duration("1ms", "5m"),
        None,
        "Duration above which a probe is slow. Default: the breaker's slow_after.",
    )

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Report a probe that would overlap itself, two addresses, and two bodies."""
        for name, value in self.headers.items():
            if name.lower() in _FRAMING:
                yield Mistake(("headers", name), f"found {name}, which the program writes itself")
            if name.lower() == "host" and isinstance(value, str) and not _HOST.fullmatch(value):
                wrong = f"found {HIDDEN}, expected a name or an address, and a port if need be"
                yield Mistake(("headers", name), wrong)
        if self.path is not None and self.url is not None:
            yield Mistake(("url",), "found beside path, expected one of the two")
        if self.json is not None and self.form is not None:
            yield Mistake(("form",), "found beside json, expected one of the two")
        if self.interval is not None and self.timeout is not None and self.timeout > self.interval:
            found, most = format_duration(self.timeout), format_duration(self.interval)
            yield Mistake(("timeout",), f"found {found}, expected at most the interval, {most}")
        if wrong := placeholder(self.path or "", "{symbol}"):
            yield Mistake(("path",), f"found {wrong}, expected no placeholder but {{symbol}}")
        if self.method == "HEAD":
            for index, each in enumerate(self.expect):
                if each is not None and each.header is None:
                    wrong = "found a test of the body, expected none: HEAD is answered without one"
                    yield Mistake(("expect", index), wrong)
