"""The kinds of keys that name venues: by name, or by the file of a definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.config.kinds import (
    Place,
    Reading,
    RejectedError,
    Schema,
    UnfitVenueError,
    did_you_mean,
    found,
)
from exporter.config.tree import Node, Pairs, Scalar
from exporter.contracts import Venue


@dataclass(frozen=True, slots=True)
class VenueName:
    """The name of a venue that this program speaks to."""

    def read(self, reading: Reading, place: Place, node: Node) -> str:
        names = {*reading.venues, *reading.defined}
        if isinstance(node, Scalar) and node.value in names:
            return str(node.value)
        if reading.before is not None and isinstance(node, Scalar) and node.text:
            raise UnfitVenueError
        if isinstance(node, Scalar) and node.text in reading.broken:
            raise RejectedError  # its definition's mistakes are told
        near = did_you_mean(str(getattr(node, "value", "")), names)
        known = ", ".join(sorted(names))
        wrong = f"found {found(node)}, expected a venue ({known}){near}"
        raise reading.complain(node.line, place, wrong)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"$ref": "#/$defs/Venue"}


@dataclass(frozen=True, slots=True)
class DefinedVenue:
    """A venue that a file defines; two are equal when they say the same."""

    file: str
    name: str
    edition: str
    venue: Venue = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class VenueFile:
    """The path of a venue's definition, relative to the config."""

    def read(self, reading: Reading, place: Place, node: Node) -> DefinedVenue:
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or not reading.define:
            wrong = f"found {found(node)}, expected the path of a venue's definition"
            raise reading.complain(node.line, place, wrong)
        file = reading.folder / node.value
        made = reading.define(file)
        if reading.before is not None and (
            isinstance(made, tuple) or made.name in {*reading.venues, *reading.listed}
        ):
            raise UnfitVenueError
        if isinstance(made, tuple):
            reading.broken.add(file.stem)
            for each in made:
                reading.complain(node.line, place, each)
            raise RejectedError
        if made.name in reading.venues:
            wrong = f"found the name {made.name}, which the program has itself, expected another"
            raise reading.complain(node.line, place, wrong)
        reading.defined[made.name] = made
        reading.listed.add(made.name)
        return DefinedVenue(node.value, made.name, made.edition, made)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string"}


def as_before(reading: Reading, node: Node) -> Any:
    """Return the exchange in force that a refused one would replace, None where there is none."""
    texts: Mapping[str, str] = {}
    if isinstance(node, Pairs):
        rows = ((key, value) for key, value in node.pairs if isinstance(value, Scalar))
        texts = {key.text: value.text for key, value in rows if isinstance(key, Scalar)}
    name = texts.get("name") or texts.get("venue", "")
    reading.excused.add(name)
    return (reading.before or {}).get(name)
