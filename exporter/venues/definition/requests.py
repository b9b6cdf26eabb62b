"""Outgoing frames: what a definition says in YAML, filled in and spelled as JSON or text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

PLACE = re.compile(r"\{([^{}]+)\}")  # where a path of the answer stands in a text
# What a request may name beside these is a mistake; each with whether it stands for many topics.
PLACES = {
    "id": True, "id_text": True, "topics": True, "symbols": True, "channel": True,
    "topic": False, "symbol": False, "time": True, "time_ms": True,
}  # fmt: skip
TIMES = {each: f"${each}" for each in ("time", "time_ms")}  # filled in when a frame is sent


def places(template: Any) -> Iterator[str]:
    """Return the names of all places to be filled in."""
    if isinstance(template, str):
        if template.startswith("$") and not template.startswith("$$"):
            yield template[1:]
    elif isinstance(template, dict):
        for each in template.values():
            yield from places(each)
    elif isinstance(template, list):
        for each in template:
            yield from places(each)


def fill(template: Any, value: Callable[[str], Any]) -> Any:
    """Fill the places of a template in; a list within a list takes the place of its item."""
    if isinstance(template, str):
        if template.startswith("$$"):
            return template[1:]
        return value(template[1:]) if template.startswith("$") else template
    if isinstance(template, dict):
        return {name: fill(each, value) for name, each in template.items()}
    if isinstance(template, list):
        return [one for each in template for one in _spliced(each, fill(each, value))]
    return template


def _spliced(template: Any, filled: Any) -> Iterable[Any]:
    return filled if isinstance(template, str) and isinstance(filled, list) else (filled,)


def frame_text(content: Any) -> str:
    """Spell a frame: a text is sent as it is, all else as JSON."""
    return content if isinstance(content, str) else msgspec.json.encode(content).decode()


def request(
    template: Any, arguments: Callable[[str], tuple[str, str, Any]]
) -> Callable[[Sequence[str], int], str]:
    """Return what writes a request; ``arguments`` gives channel, symbol and argument of a topic."""
    if template is None:
        return lambda topics, number: ""

    def write(topics: Sequence[str], number: int) -> str:
        rows = [arguments(topic) for topic in topics]
        values: dict[str, Any] = {
            "id": number,
            "id_text": str(number),
            "topics": [argument for _, _, argument in rows],
            "symbols": [symbol for _, symbol, _ in rows],
            "channel": rows[0][0],
            "topic": rows[0][2],
            "symbol": rows[0][1],
            **TIMES,
        }
        return frame_text(fill(template, values.__getitem__))

    return write
