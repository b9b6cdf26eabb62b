"""Typed decoders from paths: which parts of a JSON value are wanted becomes a msgspec type.

A decoder validates while it parses, skips what nobody asked for without making objects of it, and
one `attrgetter` takes all fields out in C: that is what makes a definition as quick as a venue's
hand-written structs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw

_ABSENT = "absent"  # an attribute of the class, None: what nobody sends


class Missing(Enum):
    """What stands for an object or array that is not there."""

    REFUSED = "refused"
    NONE = "none"
    EMPTY = "empty"


@dataclass(slots=True)
class Leaf:
    """One value: its type, and what stands for it when it is not there (else it must be)."""

    type: Any
    default: Any = msgspec.NODEFAULT


@dataclass(slots=True)
class Tree:
    """The wanted parts of one object, or of one array where its keys are positions.

    ``missing`` says what stands for a part that holds others and is not there: nothing may, None,
    or an empty one.
    """

    children: dict[str, Tree | Leaf] = field(default_factory=dict)
    missing: Missing = Missing.REFUSED

    def add(self, path: str, leaf: Leaf) -> str:
        """Want what stands at a dotted path; return how to name it for an attrgetter.

        What is wanted twice keeps its first type, but must be there if anyone needs it.
        Raises ValueError where a path leads through what is wanted as a whole.
        """
        tree, *rest = self, *path.split(".")
        for part in rest[:-1]:
            child = tree.children.setdefault(part, Tree(missing=self.missing))
            if isinstance(child, Leaf):
                raise ValueError(f"{path} leads through {part}, which is read as one value")
            tree = child
        known = tree.children.setdefault(rest[-1], leaf)
        if isinstance(known, Tree):
            raise ValueError(f"{path} is read as one value, and parts of it by themselves")
        if leaf.default is msgspec.NODEFAULT:
            known.default = leaf.default
        return path

    def names(self) -> dict[str, str]:
        """Return the attribute of each part."""
        return {part: f"f{part}" if part.isdecimal() else f"n{i}" for i, part in self._numbered()}

    def _numbered(self) -> list[tuple[int, str]]:
        return list(enumerate(self.children))

    def attribute(self, path: str) -> str:
        """Return the dotted attribute at which a wanted path comes to stand."""
        tree: Tree | Leaf = self
        found = []
        for part in path.split("."):
            assert isinstance(tree, Tree)  # noqa: S101 - `add` has led there
            found.append(tree.names()[part])
            tree = tree.children[part]
        return ".".join(found)

    def struct(self, name: str, tag: tuple[str, str] | None = None) -> type[msgspec.Struct]:
        """Make the type; ``tag`` is a key and its value that tell it from others.

        Raises ValueError where names and positions are mixed.
        """
        numbered = [part.isdecimal() for part in self.children]
        if not any(numbered):
            return self._object(name, tag)
        if not all(numbered):
            mixed = ", ".join(self.children)
            raise ValueError(f"{mixed}: names and positions of the same value")
        return self._array(name)

    def _object(self, name: str, tag: tuple[str, str] | None) -> type[msgspec.Struct]:
        names = self.names()
        fields: list[Any] = [
            (names[part], *self._typed(child, f"{name}_{names[part]}"))
            for part, child in self.children.items()
        ]
        rename = {names[part]: part for part in self.children}
        key, value = tag or (None, None)
        return msgspec.defstruct(
            name,
            fields,
            rename=rename,
            kw_only=True,
            gc=False,
            namespace={_ABSENT: None},
            tag_field=key,
            tag=value,
        )

    def _array(self, name: str) -> type[msgspec.Struct]:
        wanted = {int(part): child for part, child in self.children.items()}
        typed = {at: self._typed(child, f"{name}_{at}") for at, child in wanted.items()}
        needed = max((at for at, each in typed.items() if len(each) == 1), default=-1)
        fields: list[Any] = []
        for at in range(max(wanted) + 1):
            each = typed.get(at, (Raw,))
            if at > needed and len(each) == 1:
                each = (Raw, msgspec.field(default_factory=Raw))
            elif at < needed and len(each) == 2:
                each = each[:1]  # what stands before something that is there, is there
            fields.append((f"f{at}", *each))
        return msgspec.defstruct(name, fields, array_like=True, gc=False, namespace={_ABSENT: None})

    def _typed(self, child: Tree | Leaf, name: str) -> tuple[Any, ...]:
        if isinstance(child, Leaf):
            if child.default is msgspec.NODEFAULT:
                return (child.type,)
            return child.type, child.default
        made = child.struct(name)
        match self.missing:
            case Missing.REFUSED:
                return (made,)
            case Missing.NONE:
                return made | None, None
            case Missing.EMPTY:
                return made | None, msgspec.field(default_factory=made)


_numbers = count()


class Fields:
    """The fields of one kind of row: `decoder` reads a row or rows, `get` takes them all out."""

    def __init__(self, missing: Missing = Missing.REFUSED) -> None:
        self.tree = Tree(missing=missing)
        self._wanted: list[str | None] = []

    def want(self, path: str | None, type_: Any, default: Any = msgspec.NODEFAULT) -> None:
        """Want one field more, in the order in which `get` returns them; None: always None."""
        self._wanted.append(None if path is None else self.tree.add(path, Leaf(type_, default)))

    def struct(self, tag: tuple[str, str] | None = None) -> type[msgspec.Struct]:
        """Make the type of one row."""
        return self.tree.struct(f"Row{next(_numbers)}", tag)

    def decoder(self, *, many: bool) -> msgspec.json.Decoder[Any]:
        """Return a decoder of one row, or of several. Numbers in texts become numbers."""
        made: Any = self.struct()
        return msgspec.json.Decoder(list[made] | dict[str, made] if many else made, strict=False)

    def getter(self, first: int | None = None) -> Callable[[Any], tuple[Any, ...]]:
        """Return what takes the wanted fields out of a row, or the ``first`` (two at least)."""
        wanted = self._wanted[:first]
        paths = [_ABSENT if p is None else self.tree.attribute(p) for p in wanted]
        return take_all(paths)


def take_all(attributes: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what takes some attributes out as a tuple, which a lone `attrgetter` would not."""
    return attrgetter(*attributes, *[_ABSENT] * (2 - len(attributes)))
