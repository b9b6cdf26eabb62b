"""Secrets: read from the environment or a file, never from the config's own text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Final

from exporter.config.kinds import HIDDEN, One, Place, Reading, Schema, found, quoted
from exporter.config.tree import Node, Pairs, Scalar


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that prints as ``***``. ``source`` says where it came from, and may be shown."""

    source: str
    _value: str = field(repr=False)
    path: Path | None = field(default=None, repr=False, compare=False)  # of the file it is in

    def reveal(self) -> str:
        """Return the secret itself, for the wire and for nothing else."""
        return self._value

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return f"Secret({self.source}: ***)"


def revealed(config: object) -> Iterator[str]:
    """Yield every secret in a config, wherever it stands, so that logs can hide them."""
    match config:
        case Secret():
            yield config.reveal()
        case Mapping():
            for each in config.values():
                yield from revealed(each)
        case list() | tuple():
            for each in config:
                yield from revealed(each)
        case _ if is_dataclass(config):
            for each in fields(config):
                yield from revealed(getattr(config, each.name))


_LONGEST_SECRET: Final = 64 * 1024
# What is named by mistake may be the secret itself. Repeated is only what looks like a name: words
# in capitals, joined by underscores; lower-case words, as folders and a file.
_VARIABLE: Final = re.compile(r"[A-Z]{1,16}[0-9]?(_[A-Z]{0,16}[0-9]{0,2}){0,8}")
_PATH: Final = re.compile(r"(\.{0,2}/)?([a-z_.-]{1,30}/){0,12}[a-z_.-]{1,30}/?")


def read_secret(path: Path) -> str:
    """Read the secret out of a file. Raises OSError and ValueError."""
    with path.open("rb") as file:
        secret = file.read(_LONGEST_SECRET + 1).decode().strip("\r\n")
    if not secret or len(secret) > _LONGEST_SECRET:
        raise ValueError("empty" if not secret else "too long")
    return secret


@dataclass(frozen=True, slots=True)
class SecretKind:
    """``{env: NAME}`` or ``{file: PATH}``; for `plain_too`, also a text that is no secret."""

    plain_too: One[str] | None = None

    def read(self, reading: Reading, place: Place, node: Node) -> Secret | str:
        if isinstance(node, Scalar) and self.plain_too:
            return self.plain_too.read(reading, place, node, secret=True)
        match node:
            case Pairs(pairs=[(Scalar(text="env"), Scalar(value=str(name)))]):
                if not reading.environ.get(name):
                    what = quoted(name) if _VARIABLE.fullmatch(name) else HIDDEN
                    wrong = f"found {what}, expected the name of "
                    raise reading.complain(
                        node.line, place, wrong + "an environment variable that is set"
                    )
                return Secret(f"env {name}", reading.environ[name])
            case Pairs(pairs=[(Scalar(text="file"), Scalar() as path)]):
                return self.open(reading, place, path)
        # What stands there may be the secret itself: it is not repeated.
        what = HIDDEN if isinstance(node, Scalar) else found(node)
        wrong = f"found {what}, expected {{env: NAME}} or {{file: PATH}}"
        raise reading.complain(node.line, place, wrong)

    @staticmethod
    def open(reading: Reading, place: Place, node: Node) -> Secret:
        """Read the secret out of the file that a node names."""
        value = getattr(node, "value", None)
        try:
            if not isinstance(value, str):
                raise ValueError("no path")
            path = reading.folder / value
            secret = read_secret(path)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not a short text"
            shown = not isinstance(value, str) or _PATH.fullmatch(value) is not None
            what = found(node) if shown else HIDDEN
            wrong = f"found {what} ({why}), expected a readable file with the secret"
            raise reading.complain(node.line, place, wrong) from error
        return Secret(f"file {value}", secret, path)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        definitions["Secret"] = {
            "description": "A secret, read from the environment or from a file.",
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {
                "env": {"type": "string", "description": "Name of an environment variable."},
                "file": {"type": "string", "description": "Path, relative to the config."},
            },
        }
        reference: Schema = {"$ref": "#/$defs/Secret"}
        if self.plain_too:
            return {"anyOf": [self.plain_too.schema(definitions), reference]}
        return reference
