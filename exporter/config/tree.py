"""YAML text to a tree of nodes that know their lines, within bounds.

Built from the parser's events, because the library's own composers recurse (deep nesting ends the
process), unfold aliases without a bound, take the last of two equal keys, and read ``no`` as
false and ``1:30`` as ninety. Scalars follow YAML 1.2's core schema, as editors do.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import yaml

DEEPEST: Final = 24  # levels; the deepest key of a real config is at 7
LARGEST: Final = 200_000  # nodes, aliases unfolded

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser where there is one
_QUOTED = re.compile(r"'[^' ]{4,}'|\"[^\" ]{4,}\"")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,30}|[0-9]{1,30}(\.[0-9]{0,30})?)([eE][-+]?[0-9]{1,3})?")
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class YamlError(ValueError):
    """The text is no YAML document that a config could be. ``line`` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value: what it means, and its text as written."""

    line: int
    value: str | int | float | bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pairs:
    """A mapping in file order, with keys that stand twice kept for the complaint."""

    line: int
    pairs: list[tuple[Node, Node]] = field(default_factory=list)


Node: TypeAlias = Scalar | Items | Pairs


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    node: Items | Pairs
    anchor: str | None
    size: int = 1
    key: Node | None = None

    def add(self, child: Node, size: int) -> None:
        self.size += size
        if isinstance(self.node, Items):
            self.node.items.append(child)
        elif self.key is None:
            self.key = child
        else:
            self.node.pairs.append((self.key, child))
            self.key = None


def read(text: str) -> Node | None:
    """Return the one document of a YAML text; None when it is empty. Raises YamlError."""
    try:
        return _compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        odd = _odd_space(text.splitlines()[line - 1 : line])
        raise YamlError(line, _explained(error) + odd) from error
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise YamlError(line, "found half a surrogate pair, expected text") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if error.position <= len(text) else 1
        raise YamlError(line, "found a character that YAML forbids, expected text") from error


def _odd_space(lines: list[str]) -> str:
    """Say where a line has a space that YAML takes for a letter, as copied text may have."""
    for line in lines:
        for column, char in enumerate(line, 1):
            if char != " " and unicodedata.category(char) == "Zs":
                name = unicodedata.name(char).lower()
                code = f"U+{ord(char):04X}"
                return f"; column {column} has a {name} ({code}) instead of a plain space"
    return ""


def _explained(error: yaml.MarkedYAMLError) -> str:
    # Of what it quotes only single characters are passed on: the rest may be a secret.
    problem = _QUOTED.sub("***", error.problem or "not readable")
    if "cannot start any token" in problem:
        return "found a tab or another character that begins no value, expected spaces and text"
    start = error.context_mark
    where = f" {error.context} that begins in line {start.line + 1}" if start else ""
    return f"found text that is not YAML{where}: {problem}"


def _compose(text: str) -> Node | None:
    root: Node | None = None
    stack: list[_Open] = []
    anchors: dict[str, tuple[Node, int]] = {}
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if getattr(event, "tag", None):
            # What follows the sign may be a secret that begins with it: it is not repeated.
            raise YamlError(
                line, "found a tag, expected plain values; quote a text with ! in front"
            )
        match event:
            case yaml.ScalarEvent():
                node: Node = Scalar(line, _meaning(event), event.value)
                size, anchor = 1, event.anchor
            case yaml.AliasEvent():
                if event.anchor not in anchors:
                    wrong = "found the name of no anchor above; quote a text with * in front"
                    raise YamlError(line, wrong)
                (node, size), anchor = anchors[event.anchor], None
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                kind = Items if isinstance(event, yaml.SequenceStartEvent) else Pairs
                stack.append(_Open(kind(line), event.anchor))
                anchors.pop(event.anchor or "", None)  # an anchor counts from its node's end
                if len(stack) > DEEPEST:
                    raise YamlError(line, f"found more than {DEEPEST} levels, expected fewer")
                continue
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                closed = stack.pop()
                node, size, anchor = closed.node, closed.size, closed.anchor
                if isinstance(node, Pairs):
                    _merge(node)
            case yaml.DocumentStartEvent() if root is not None:
                raise YamlError(line, "found a second document, expected one")
            case _:
                continue
        if anchor is not None:
            anchors[anchor] = node, size
        if not stack:
            root = node
            continue
        stack[-1].add(node, size)
        if stack[-1].size > LARGEST:
            raise YamlError(
                line, f"found more than {LARGEST} values (aliases unfolded), expected fewer"
            )
    return None if isinstance(root, Scalar) and root.text == "" else root


def _meaning(event: yaml.ScalarEvent) -> str | int | float | bool | None:
    text = str(event.value)
    if not event.implicit[0]:  # quoted or a block: text, whatever it looks like
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _merge(node: Pairs) -> None:
    """Unfold ``<<: *anchor``: the mapping's own keys win over the merged ones."""
    merged = [value for key, value in node.pairs if isinstance(key, Scalar) and key.text == "<<"]
    if not merged:
        return
    own = [(key, value) for key, value in node.pairs if getattr(key, "text", None) != "<<"]
    sources = [part for value in merged for part in getattr(value, "items", [value])]
    names = {getattr(key, "text", None) for key, _ in own}
    for source in sources:
        if not isinstance(source, Pairs):
            raise YamlError(
                source.line, "found << with something else, expected a mapping to merge"
            )
        for key, value in source.pairs:
            if getattr(key, "text", None) not in names:
                names.add(getattr(key, "text", None))
                own.append((key, value))
    node.pairs[:] = own
