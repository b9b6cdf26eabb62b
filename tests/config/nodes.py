"""What a YAML file says, as plain values: what a JSON Schema is held against."""

from __future__ import annotations

from typing import Any

from exporter.config.tree import Items, Node, Pairs, Scalar


def plain(node: Node | None) -> Any:
    """Return a node's value, with lists and mappings of values below it."""
    match node:
        case Scalar(value=value):
            return value
        case Items(items=items):
            return [plain(item) for item in items]
        case Pairs(pairs=pairs):
            return {getattr(key, "text", "?"): plain(value) for key, value in pairs}
    return None
