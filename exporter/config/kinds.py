"""The kinds of values: each parses a node, describes what it expects, and has a JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

from exporter import words
from exporter.config import units
from exporter.config.tree import Items, Node, Pairs, Scalar
from exporter.contracts import Venue
from exporter.flow.patterns import LONGEST, PatternError, compiled

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Place: TypeAlias = tuple[str | int, ...]
Schema: TypeAlias = dict[str, Any]


class RejectedError(Exception):
    """The node was no good, and the complaint has been made already."""


class UnfitVenueError(Exception):
    """A venue is not known or its definition is wrong, and a config is read for the others."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """What a section finds wrong with itself: where (below it), and in which words."""

    place: Place
    text: str


class EnoughError(Exception):
    """So many complaints that nobody would read more."""


MOST_COMPLAINTS: Final = 500
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_LONGEST_PEM: Final = 8 << 20  # bytes; the system's own bundles have a quarter of one


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One pass over one file: what the world around it offers, and what is wrong so far."""

    folder: Path  # relative secret files start here
    environ: Mapping[str, str]
    venues: Collection[str]
    venue: Callable[[str], Venue]
    # Compiles a definition's file: the venue, or all that is wrong with it.
    define: Callable[[Path], Venue | tuple[str, ...]] | None = None
    defined: dict[str, Venue] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)  # names of files whose venue is not known
    listed: set[str] = field(default_factory=set)  # names of venues that the config's files define
    lines: dict[Place, int] = field(default_factory=lambda: {(): 1})
    complaints: list[tuple[int, Place, str]] = field(default_factory=list)
    # Where a stand-in fills in for what was refused or misspelt: nothing more is said about it.
    doubtful: list[Place] = field(default_factory=list)
    # Set where a config is read for the exchanges whose venues are good: those in force, by name.
    before: Mapping[str, Any] | None = None
    excused: set[str] = field(default_factory=set)  # exchanges that are left out, or as before

    def venue_named(self, name: str) -> Venue:
        """Return a venue of the program or of the config's own definitions."""
        return self.defined[name] if name in self.defined else self.venue(name)

    def complain(self, line: int, place: Place, text: str) -> RejectedError:
        """Note a complaint; the caller may raise what this gives."""
        self.complaints.append((line, place, text))
        self.doubtful.append(place)
        if len(self.complaints) >= MOST_COMPLAINTS:
            raise EnoughError
        return RejectedError()

    def mistake(self, place: Place, text: str) -> None:
        """Complain about a place at its own line, or at that of what contains it."""
        if any(place[: len(bad)] == bad or bad[: len(place)] == place for bad in self.doubtful):
            return
        known = next(place[:n] for n in range(len(place), -1, -1) if place[:n] in self.lines)
        self.complain(self.lines[known], place, text)


class ValueKind(Protocol[T_co]):
    """What a key may hold."""

    def read(self, reading: Reading, place: Place, node: Node) -> T_co: ...

    def schema(self, definitions: dict[str, Schema]) -> Schema: ...


HIDDEN: Final = "a text (not shown)"  # it may be a secret


# What is written at the wrong place may be a secret: an address with a login, or letters and digits
# in no order, as no name, path or symbol has them.
_LOGIN = re.compile(r"://[^/\s]*@")
_RANDOM = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Z0-9]*[a-z])(?=[a-z0-9]*[A-Z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{16,}"
    r"|(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{24,}"
    r"|\b(?:(?:sk|pk|rk|ghp|gho|xox[a-z])[-_][\w-]{8,}|AKIA[0-9A-Z]{12,}|eyJ[\w-]{8,})"
)


def may_be_secret(text: str) -> bool:
    """Return whether a text must not be repeated, wherever it stands."""
    return bool(_LOGIN.search(text) or _RANDOM.search(text))


def quoted(text: str) -> str:
    """Quote a text for a complaint: one line, at most 60 characters of it, nothing hidden."""
    return words.quoted(text if len(text) <= 60 else text[:57] + "...")


def found(node: Node) -> str:
    """Say what stands in the file, short and harmless to print."""
    match node:
        case Items():
            return "a list"
        case Pairs():
            return "a mapping"
        case Scalar(value=None):
            return "nothing"
        case Scalar(text=text) if may_be_secret(text):
            return HIDDEN
        case Scalar(value=str(text)):
            return quoted(text)
        case Scalar(text=text):
            return text[:60]


def path(place: Place) -> str:
    """Format a place as people write it: ``exchanges[0].symbols[1]``."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        elif may_be_secret(part):
            text += f".{HIDDEN}"
        else:  # a key is the writer's own text: nothing of it may move a terminal's cursor
            text += f".{part}" if re.fullmatch(r"[\w.-]{1,60}", part) else f".{quoted(part)}"
    return text.removeprefix(".")


def nearest(word: str, known: Collection[str]) -> str | None:
    """Return the known word that was probably meant, if any is near."""
    folded = {name.casefold(): name for name in known}
    near = get_close_matches(word.casefold()[:80], folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Return ``; did you mean "x"?`` for the nearest known word, or nothing."""
    near = nearest(word, known)
    return f'; did you mean "{near}"?' if near else ""


# --- single values ----------------------------------------------------------------------------


class _No(ValueError):  # noqa: N818 - never leaves this file
    """A refused value; ``hint`` says what to do instead, ``secret`` forbids to repeat it."""

    def __init__(self, hint: str = "", *, secret: bool = False) -> None:
        super().__init__(hint)
        self.hint = hint
        self.secret = secret


@dataclass(frozen=True, slots=True)
class One(Generic[T]):
    """A scalar. ``convert`` gives the value, or raises ValueError."""

    expected: str
    convert: Callable[[str | int | float | bool], T]
    shape: Mapping[str, Any]

    def read(self, reading: Reading, place: Place, node: Node, *, secret: bool = False) -> T:
        """Convert a node; ``secret``: what is refused is not repeated. Raises RejectedError."""
        refused = _No()
        if isinstance(node, Scalar) and node.value is not None:
            try:
                return self.convert(node.value)
            except _No as error:
                refused = error
            except ValueError:
                pass
        secret = isinstance(node, Scalar) and (secret or may_be_secret(node.text))
        what = HIDDEN if secret or refused.secret else found(node)
        hint = "" if secret and not refused.secret else refused.hint  # which may repeat it
        wrong = f"found {what}, expected {self.expected}{hint}"
        raise reading.complain(node.line, place, wrong)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return dict(self.shape)


def _within(value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # NaN fails this too
        raise _No


def duration(low: str, high: str) -> One[float]:
    """A length of time, as seconds."""
    least, most = units.duration(low), units.duration(high)

    def convert(value: str | int | float | bool) -> float:
        if not isinstance(value, str):
            bare = not isinstance(value, bool) and least <= value <= most
            raise _No(f'; did you mean "{value}s"?' if bare else "")
        seconds = units.duration(value)
        _within(seconds, least, most)
        return seconds

    shape = {"type": "string", "pattern": units.DURATION}
    return One(f"a duration from {low} to {high}", convert, shape)


def size(low: str, high: str) -> One[int]:
    """A number of bytes."""
    least, most = units.size(low), units.size(high)

    def convert(value: str | int | float | bool) -> int:
        count = units.size(value) if isinstance(value, str) else value
        if not isinstance(count, int) or isinstance(count, bool):
            raise _No
        _within(count, least, most)
        return count

    text = {"type": "string", "pattern": units.SIZE}
    number = {"type": "integer", "minimum": least, "maximum": most}
    return One(f"a size from {low} to {high}", convert, {"anyOf": [text, number]})


def ratio(low: str, high: str) -> One[float]:
    """A share of a whole, as a fraction."""
    least, most = units.ratio(low), units.ratio(high)

    def convert(value: str | int | float | bool) -> float:
        if isinstance(value, bool):
            raise _No
        if isinstance(value, str):
            fraction = units.ratio(value)
        else:
            fraction = float(value)
            if 1 < fraction <= 100:
                raise _No(f'; did you mean "{value}%"?')
        _within(fraction, least, most)
        return fraction

    text = {"type": "string", "pattern": units.RATIO}
    number = {"type": "number", "minimum": least, "maximum": most}
    return One(f"a share from {low} to {high}", convert, {"anyOf": [text, number]})


def integer(low: int, high: int) -> One[int]:
    """A whole number."""

    def convert(value: str | int | float | bool) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _No("; write it without quotes" if str(value).isdecimal() else "")
        _within(value, low, high)
        return value

    shape = {"type": "integer", "minimum": low, "maximum": high}
    return One(f"a whole number from {low} to {high}", convert, shape)


def number(low: float, high: float) -> One[float]:
    """A number, whole or not."""

    def convert(value: str | int | float | bool) -> float:
        if isinstance(value, bool | str):
            raise _No("; write it without quotes" if isinstance(value, str) else "")
        _within(value, low, high)
        return float(value)

    shape = {"type": "number", "minimum": low, "maximum": high}
    return One(f"a number from {low:g} to {high:g}", convert, shape)


def boolean() -> One[bool]:
    """True or false, and no other word."""

    def convert(value: str | int | float | bool) -> bool:
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            raise _No("; write it without quotes")
        word = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(value).lower())
        raise _No(f'; did you mean "{word}"?' if word else "")

    return One("true or false", convert, {"type": "boolean"})


def choice(*words: str) -> One[str]:
    """One of a closed set of words."""

    def convert(value: str | int | float | bool) -> str:
        if value not in words:
            raise _No(did_you_mean(str(value), words))
        return str(value)

    return One(f"one of {', '.join(words)}", convert, {"enum": list(words)})


E = TypeVar("E", bound=StrEnum)


def member(enum: type[E], *left_out: E) -> One[E]:
    """One member of an enum, by its value."""
    words = choice(*(each.value for each in enum if each not in left_out))
    return One(words.expected, lambda value: enum(words.convert(value)), words.shape)


def text(
    expected: str,
    pattern: str,
    hint: Callable[[str], str] = lambda value: "",
    *,
    schema: str | None = None,
) -> One[str]:
    """A text of a form; ``hint`` gives what was probably meant instead.

    ``schema`` is a wider form, where not every reader of schemas has what ``pattern`` needs.
    """
    form = re.compile(pattern)

    def convert(value: str | int | float | bool) -> str:
        if not isinstance(value, str):
            raise _No("; quote it" if form.fullmatch(str(value)) else "")
        if not form.fullmatch(value):
            near = hint(value)
            raise _No(f'; did you mean "{near}"?' if near else "")
        return value

    return One(expected, convert, {"type": "string", "pattern": f"^{schema or pattern}$"})


def prose(most: int) -> One[str]:
    """A text of at least one character and at most ``most``, of any form.

    Go's regexp, which Helm reads schemas by, counts to 1000 at most: so there is no pattern.
    """

    def convert(value: str | int | float | bool) -> str:
        if not isinstance(value, str):
            raise _No("; quote it")
        if not 0 < len(value) <= most:
            raise _No("")
        return value

    schema = {"type": "string", "minLength": 1, "maxLength": most}
    return One(f"a text of 1 to {most} characters", convert, schema)


def placeholder(text: str, *known: str) -> str:
    """Return the first placeholder that is not ``known``, or lone brace, quoted; else nothing.

    No URL has braces of its own: RFC 3986, section 2.
    """
    for each in known:
        text = text.replace(each, "")
    found = re.search(r"\{[^{}]*\}?|\}", text)
    return quoted(found[0]) if found else ""


def url(*schemes: str, known: Sequence[str] = (), base: bool = False) -> One[str]:
    """An absolute URL without query or fragment trouble: scheme, host, perhaps port and path."""

    def convert(value: str | int | float | bool) -> str:
        if not isinstance(value, str) or len(value) > 500 or re.search(r"[\s\x00-\x20]", value):
            raise _No
        parts = urlsplit(value)
        if parts.scheme not in schemes or not parts.hostname or parts.fragment:
            bare = re.fullmatch(r"[a-z0-9.-]+(:[0-9]+)?(/\S*)?", value)
            raise _No(f'; did you mean "{schemes[-1]}://{value}"?' if bare else "")
        if parts.username is not None or parts.password is not None:
            raise _No(" without credentials; a header may be a secret", secret=True)
        if wrong := placeholder(value, *known):
            raise _No(f"; {wrong} stands for nothing here")
        if base and "?" in value:
            raise _No("; paths are appended to it, so it has no query")
        _ = parts.port  # raises ValueError beyond 65535
        return value

    either = " or ".join(f"{scheme}://" for scheme in schemes)
    shape = {"type": "string", "pattern": f"^({'|'.join(schemes)})://[^\\s#]+$"}
    return One(f"a URL with {either}", convert, shape)


def regex() -> One[str]:
    """A regular expression of RE2, whose searches take no more than linear time."""

    def convert(value: str | int | float | bool) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
            raise _No
        try:
            compiled(value)
        except PatternError as error:
            raise _No(f" ({error})") from error
        return value

    return One(
        "a regular expression", convert, {"type": "string", "minLength": 1, "maxLength": LONGEST}
    )


def plain() -> One[str | int | float | bool]:
    """Any single value."""
    shape = {"type": ["string", "number", "boolean"]}
    return One("a text, a number, true or false", lambda value: value, shape)


def statuses() -> One[int | str]:
    """An HTTP status code, or a class of them such as 2xx."""

    def convert(value: str | int | float | bool) -> int | str:
        if isinstance(value, str):
            if re.fullmatch("[1-5]xx", value):
                return value
            raise _No("; write it without quotes" if value.isdecimal() else "")
        if not isinstance(value, int) or isinstance(value, bool):
            raise _No
        _within(value, 100, 599)
        return value

    number = {"type": "integer", "minimum": 100, "maximum": 599}
    shape = {"anyOf": [number, {"type": "string", "pattern": "^[1-5]xx$"}]}
    return One("a status from 100 to 599 or a class such as 2xx", convert, shape)


@dataclass(frozen=True, slots=True)
class JsonKind:
    """Any YAML value, as the JSON that it spells."""

    def read(self, reading: Reading, place: Place, node: Node) -> Any:
        match node:
            case Scalar():
                return node.value
            case Items():
                return [self.read(reading, place, each) for each in node.items]
        value: dict[str, Any] = {}
        for name, each in node.pairs:
            if not isinstance(name, Scalar) or name.text in value:
                wrong = f"found the key {found(name)}, expected a text that stands there once"
                raise reading.complain(name.line, place, wrong)
            value[name.text] = self.read(reading, place, each)
        return value

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {}


@dataclass(frozen=True, slots=True)
class Authorities:
    """A PEM file of certificates, relative to the config; its value is the path to open."""

    def read(self, reading: Reading, place: Place, node: Node) -> str:
        value = getattr(node, "value", None)
        why = "no certificate in it"
        if isinstance(value, str):
            file = reading.folder / value
            try:
                with file.open("rb") as stream:
                    if _PEM.search(stream.read(_LONGEST_PEM)):
                        return str(file)
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
        wrong = f"found {found(node)} ({why}), expected a readable PEM file of certificates"
        raise reading.complain(node.line, place, wrong)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class BesideConfig:
    """A file's path, relative to the config; it need not be there yet."""

    def read(self, reading: Reading, place: Place, node: Node) -> str:
        value = getattr(node, "value", None)
        if isinstance(value, str) and 0 < len(value) <= 1000 and "\0" not in value:
            return str(reading.folder / value)
        wrong = f"found {found(node)}, expected the path of a file"
        raise reading.complain(node.line, place, wrong)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string"}
