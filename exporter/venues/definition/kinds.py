"""Kinds of values that only definitions have: a field in short, and what tells frames apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from exporter.config.kinds import JsonKind, Place, Reading, Schema, choice, found, text
from exporter.config.section import Section
from exporter.config.tree import Node, Pairs, Scalar

T = TypeVar("T")

NAME = text("a name of lower-case letters, digits and underscores", r"[a-z][a-z0-9_]{0,30}")
LINE = text("a line of 1 to 300 characters", r"[^\n]{1,300}")
REST_PATH = text("a path that begins with /, without spaces", r"/[^\s#]{0,500}")
ROUTE = text(
    "a path that begins with /, in which {symbol} or {lower} may stand",
    r"/([^\s#{}]|\{(symbol|lower)\}){0,500}",
)
FIELD = text(
    "a dotted path such as result.0.symbol, or $.result.symbol from the frame's beginning",
    r"(\$\.)?[^\s.${}]+(\.[^\s.${}]+)*",
)
ROWS = text(
    "a dotted path such as result.data, or $ for the whole frame", r"\$|[^\s.${}]+(\.[^\s.${}]+)*"
)
TOPIC = text("a text with {symbol} or {lower} in it, once", r"[!-z|~]*\{(symbol|lower)\}[!-z|~]*")
UNITS = ("s", "ms", "us", "ns", "iso")
UNIT = choice(*UNITS)
ZONE = text("a zone such as +09:00", r"[+-]\d\d:\d\d")
LABEL = text("a name without spaces", r"[!-~]{1,60}")
CURRENCY = text("a currency such as BTC", r"[A-Z0-9.]{1,20}")
FORM = text(
    "a text with {base} and perhaps {quote} in it",
    r"[!-~]*\{base\}[!-~]*|[!-~]*\{quote\}[!-~]*\{base\}[!-~]*",
)


@dataclass(frozen=True, slots=True)
class ShortKind(Generic[T]):
    """A section, or in its place the value of its main key alone."""

    of: type[T]
    main: str

    def read(self, reading: Reading, place: Place, node: Node) -> T:
        if isinstance(node, Scalar) and node.value is not None:
            node = Pairs(node.line, [(Scalar(node.line, self.main, self.main), node)])
        return Section(self.of).read(reading, place, node)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"anyOf": [{"type": "string"}, Section(self.of).schema(definitions)]}


@dataclass(frozen=True, slots=True)
class WhenKind:
    """What tells a frame from others: path to value, list of values, text with one * in it.

    Or ``{exists: true}`` (anything but null) and ``{exists: false}``.
    """

    def read(self, reading: Reading, place: Place, node: Node) -> Mapping[str, Any]:
        if not isinstance(node, Pairs):
            raise reading.complain(node.line, place, f"found {found(node)}, expected a mapping")
        value = JsonKind().read(reading, place, node)
        for (name, each), path in zip(node.pairs, value, strict=True):
            if not _fits(value[path]):
                wrong = f"found {found(each)}, expected a value, a list of them, or exists: true"
                raise reading.complain(name.line, (*place, path), wrong)
        return {path.removeprefix("$."): each for path, each in value.items()}

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        plain = {"type": ["string", "number", "boolean"]}
        exists = {
            "type": "object",
            "properties": {"exists": {"type": "boolean"}},
            "required": ["exists"],
            "additionalProperties": False,
        }
        choices: list[Schema] = [plain, {"type": "array", "items": plain, "minItems": 1}, exists]
        return {"type": "object", "additionalProperties": {"anyOf": choices}}


@dataclass(frozen=True, slots=True)
class ValuesKind:
    """A text, a number, true or false, or a list of them."""

    def read(self, reading: Reading, place: Place, node: Node) -> Any:
        value = JsonKind().read(reading, place, node)
        each = value if isinstance(value, list) else [value]
        if not each or not all(isinstance(one, str | int | float) for one in each):
            wrong = f"found {found(node)}, expected a text or number, or a list of them"
            raise reading.complain(node.line, place, wrong)
        return value

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        plain = {"type": ["string", "number", "boolean"]}
        return {"anyOf": [plain, {"type": "array", "items": plain, "minItems": 1}]}


def _fits(value: Any) -> bool:
    if isinstance(value, dict):
        return list(value) == ["exists"] and isinstance(value["exists"], bool)
    values = value if isinstance(value, list) else [value]
    texts = [each for each in values if isinstance(each, str)]
    plain = all(isinstance(each, str | int | float) for each in values)
    return plain and bool(values) and all(each.count("*") < 2 for each in texts)
