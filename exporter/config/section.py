"""Lists, tables and sections: the kinds that hold others.

A section is a frozen dataclass whose fields carry a kind, a default in human form and a sentence
of documentation (`key`); reading, complaints, schema and docs all come from that one line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from exporter.config.kinds import (
    HIDDEN,
    Mistake,
    One,
    Place,
    Reading,
    RejectedError,
    Schema,
    UnfitVenueError,
    ValueKind,
    found,
    nearest,
    path,
)
from exporter.config.secret import SecretKind
from exporter.config.tree import Items, Node, Pairs, Scalar

T = TypeVar("T")
REQUIRED: Final = "required"


@dataclass(frozen=True, slots=True)
class ListKind(Generic[T]):
    """A list, as a tuple. ``unique`` names the attribute that may not repeat ("" for the item).

    When some sections of a list are refused, None stands for each, so that the others keep their
    places while they are looked at together; such a config is never handed out. What names an
    unknown venue is left out where the config is read for the others, or ``instead`` stands for it.
    """

    kind: ValueKind[T]
    most: int
    least: int = 0
    unique: str | None = ""
    rising: bool = False
    or_one: bool = False  # a single item may stand without the list around it
    instead: Callable[[Reading, Node], T | None] = lambda reading, node: None

    def read(self, reading: Reading, place: Place, node: Node) -> tuple[T, ...]:
        if not isinstance(node, Items):
            if self.or_one and isinstance(node, Scalar) and node.value is not None:
                with suppress(UnfitVenueError):
                    return (self.kind.read(reading, place, node),)
                return ()
            one = isinstance(node, Scalar) and isinstance(node.value, str) and len(node.text) < 60
            shown = found(node)
            hint = f'; did you mean "[{shown[1:-1]}]"?' if one and shown != HIDDEN else ""
            raise reading.complain(node.line, place, f"found {shown}, expected a list{hint}")
        if not self.least <= len(node.items) <= self.most:
            wrong = f"found {len(node.items)} items, expected {self.least} to {self.most}"
            raise reading.complain(node.line, place, wrong)
        values: list[Any] = []
        seen: dict[object, int] = {}
        left_out = 0
        for index, item in enumerate(node.items):
            told = len(reading.complaints)
            here = (*place, index)
            reading.lines[here] = item.line
            try:
                value = self.kind.read(reading, here, item)
            except UnfitVenueError:
                del reading.complaints[told:]
                known = self.instead(reading, item)
                if known is None:
                    left_out += 1
                    continue
                value = known
            except RejectedError:
                if isinstance(self.kind, Section):
                    values.append(None)
                continue
            self._compare(reading, here, value, seen, values)
            values.append(value)
        if len(values) + left_out < max(len(node.items), self.least + left_out):
            raise RejectedError
        return tuple(values)

    def _compare(
        self, reading: Reading, here: Place, value: T, seen: dict[object, int], before: list[Any]
    ) -> None:
        if self.unique is not None:
            name: Any = getattr(value, self.unique) if self.unique else value
            first = seen.setdefault(name, int(here[-1]))
            if first != here[-1]:
                where = (*here, self.unique) if self.unique else here
                other = path((*here[:-1], first))
                shown = found(Scalar(0, name, str(name)))
                reading.mistake(where, f"found {shown} again, expected another than {other} has")
        if self.rising and before and not value > before[-1]:
            reading.mistake(here, "found a value not above the one before, expected a rising list")

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        items = self.kind.schema(definitions)
        array: Schema = {"type": "array", "items": items, "maxItems": self.most}
        if self.least:
            array["minItems"] = self.least
        if self.unique == "":
            array["uniqueItems"] = True
        return {"anyOf": [items, array]} if self.or_one else array


@dataclass(frozen=True, slots=True)
class TableKind(Generic[T]):
    """A mapping with free keys of one form."""

    name: One[str]
    kind: ValueKind[T]
    most: int

    def read(self, reading: Reading, place: Place, node: Node) -> Mapping[str, T]:
        if not isinstance(node, Pairs):
            # Tables hold logins and headers, too.
            what = HIDDEN if isinstance(node, Scalar) and node.value is not None else found(node)
            raise reading.complain(node.line, place, f"found {what}, expected a mapping")
        if len(node.pairs) > self.most:
            wrong = f"found {len(node.pairs)} keys, expected at most {self.most}"
            raise reading.complain(node.line, place, wrong)
        values: dict[str, T] = {}
        before = len(reading.complaints)
        for name, here, item in named(reading, place, node):
            key = Scalar(reading.lines[here], name, name)
            try:
                self.name.read(reading, here, key)
                values[name] = self.kind.read(reading, here, item)
            except RejectedError:
                continue
        if len(reading.complaints) > before:
            raise RejectedError
        return values

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {
            "type": "object",
            "propertyNames": self.name.schema(definitions),
            "additionalProperties": self.kind.schema(definitions),
            "maxProperties": self.most,
        }


def named(reading: Reading, place: Place, node: Pairs) -> Iterator[tuple[str, Place, Node]]:
    """Yield name, place and value of a mapping's keys, complaining of those that stand twice."""
    seen: dict[str, int] = {}
    for key, value in node.pairs:
        if not isinstance(key, Scalar):
            reading.complain(key.line, place, f"found {found(key)} as a key, expected a name")
            continue
        here = (*place, key.text)
        if key.text in seen:
            again = f"found again, expected once (line {seen[key.text]} has it)"
            reading.complain(key.line, here, again)
            continue
        seen[key.text] = reading.lines[here] = key.line
        yield key.text, here, value


@dataclass(frozen=True, slots=True)
class Key:
    """What a section's field knows of itself: kind, default in human form, one sentence."""

    kind: ValueKind[Any]
    default: object
    doc: str


def key(kind: ValueKind[Any], default: object, doc: str) -> Any:
    """Declare a section's field. ``default`` as one writes it in YAML, None for left out."""
    metadata = {"key": Key(kind, default, doc)}
    if default is REQUIRED:
        return field(metadata=metadata)
    value = None if default is None else _default(kind, default)
    if isinstance(value, dict):
        return field(default_factory=value.copy, metadata=metadata)
    return field(default=value, metadata=metadata)


def redeclared(
    section: type[Any],
    name: str,
    default: object = None,
    *,
    kind: ValueKind[Any] | None = None,
    doc: str = "",
) -> Any:
    """Declare a field of ``section`` once more, with what differs."""
    known = keys(section)[name]
    return key(kind or known.kind, known.default if default is None else default, doc or known.doc)


def _default(kind: ValueKind[Any], default: Any) -> Any:
    match kind:
        case ListKind():
            return tuple(_default(kind.kind, each) for each in default)
        case Section():
            return kind.of(**default)
        case One():
            return kind.convert(default)
    return default


def keys(section: type[Any]) -> dict[str, Key]:
    """Return the keys of a section, in the order in which they are declared."""
    return {field.name: field.metadata["key"] for field in dataclasses.fields(section)}


@dataclass(frozen=True, slots=True)
class Section(Generic[T]):
    """A mapping with fixed keys, read into the dataclass that declares them."""

    of: type[T]

    def read(self, reading: Reading, place: Place, node: Node) -> T:
        if isinstance(node, Scalar) and node.value is None:
            node = Pairs(node.line)  # every key below it may be commented out
        if not isinstance(node, Pairs):
            # A file that is no config may be one with a secret.
            what = found(node) if place or not isinstance(node, Scalar) else HIDDEN
            raise reading.complain(node.line, place, f"found {what}, expected a mapping")
        known = keys(self.of)
        values, doubtful = self._values(reading, place, node, known)
        missing = {name for name in self.required() if name not in values}
        for name in sorted(missing - doubtful):
            doc = known[name].doc.rstrip(".")
            wrong = f"found no such key, expected {doc[0].lower()}{doc[1:]}"
            reading.complain(node.line, (*place, name), wrong)
        if missing:
            raise RejectedError
        section = self.of(**values)
        check: Callable[[Reading], Iterator[Mistake]] | None = getattr(section, "mistakes", None)
        for mistake in check(reading) if check else ():
            reading.mistake((*place, *mistake.place), mistake.text)
        return section

    @staticmethod
    def _values(
        reading: Reading, place: Place, node: Pairs, known: Mapping[str, Key]
    ) -> tuple[dict[str, Any], set[str]]:
        """Return what was read, and the names of keys of which nothing more should be said."""
        values: dict[str, Any] = {}
        doubtful: set[str] = set()
        order = {name: at for at, name in enumerate(known)}  # what is declared later looks back

        def declared(row: tuple[str, Place, Node]) -> int:
            return order.get(row[0], order.get(row[0].removesuffix("_file"), len(order)))

        for name, here, value in sorted(named(reading, place, node), key=declared):
            bare = name.removesuffix("_file")
            from_file = bare in known and isinstance(known[bare].kind, SecretKind)
            try:
                if name in known or from_file:
                    plain = name if name in known else bare
                    if plain in values:
                        again = "found beside another key for the same, expected one of the two"
                        raise reading.complain(value.line, here, again)
                    read = known[name].kind.read if name in known else SecretKind.open
                    values[plain] = read(reading, here, value)
                else:
                    if not place and name.startswith("x-"):
                        continue  # a place for anchors, as Compose has it
                    near = nearest(name, known)
                    known_keys = f", expected one of {', '.join(known)}"
                    tail = f'; did you mean "{near}"?' if near else known_keys
                    reading.complain(reading.lines[here], here, f"found an unknown key{tail}")
                    if near:
                        reading.doubtful.append((*place, near))
                        doubtful.add(near)
            except RejectedError:
                doubtful.add(bare if bare in known else name)
        return values, doubtful

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        name = self.of.__name__
        if name not in definitions:
            definitions[name] = {}  # holds the place while its keys are described
            definitions[name] = self._schema(definitions)
        return {"$ref": f"#/$defs/{name}"}

    def _schema(self, definitions: dict[str, Schema]) -> Schema:
        properties: dict[str, Schema] = {}
        for name, each in keys(self.of).items():
            shape: Schema = {"description": each.doc, **each.kind.schema(definitions)}
            if each.default is not REQUIRED and each.default is not None:
                shape["default"] = each.default
            properties[name] = shape
            if isinstance(each.kind, SecretKind):
                doc = f"File to read `{name}` from, relative to the config."
                properties[f"{name}_file"] = {"description": doc, "type": "string"}
        schema: Schema = {
            "description": (self.of.__doc__ or "").split("\n")[0],
            "type": "object" if self.required() else ["object", "null"],
            "additionalProperties": False,
            "properties": properties,
        }
        return {**schema, "required": self.required()} if self.required() else schema

    def required(self) -> list[str]:
        """Return the keys that have no default."""
        return [name for name, each in keys(self.of).items() if each.default is REQUIRED]
