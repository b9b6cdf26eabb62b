"""Sequence continuity: do the numbers of one topic's messages follow each other?

By the venue's own rules, one `Sequence` for each rule and topic. On the path of every message:
the good case makes no object and takes 0.2 µs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from exporter.contracts import SequenceRule
from exporter.model import Continuity, Depth, Trade

# previous last, first, last, the last that the message says it follows → 0: it follows; n > 0: a
# gap of n numbers (of one where the rule cannot tell how many); below 0: it went back or repeats.
Step: TypeAlias = Callable[[int, int, int, int | None], int]


def contiguous(previous: int, first: int, last: int, link: int | None) -> int:
    """Every number comes, once."""
    missing = first - previous - 1
    return missing if missing >= 0 else -1


def linked(previous: int, first: int, last: int, link: int | None) -> int:
    """Every message names the number of the one before; the numbers may skip, or start anew."""
    if link == previous:
        return 0
    return 1 if last > previous else -1


def overlapping(previous: int, first: int, last: int, link: int | None) -> int:
    """Every number comes, maybe again beside newer ones."""
    if last <= previous:
        return -1
    return first - previous - 1 if first > previous + 1 else 0


def rising(previous: int, first: int, last: int, link: int | None) -> int:
    """The numbers may skip and repeat, never go down."""
    return 0 if last >= previous else -1


def unruled(previous: int, first: int, last: int, link: int | None) -> int:
    """The numbers mean nothing."""
    return 0


STEPS: dict[Continuity, Step] = {
    Continuity.CONTIGUOUS: contiguous,
    Continuity.LINKED: linked,
    Continuity.OVERLAPPING: overlapping,
    Continuity.RISING: rising,
    Continuity.NONE: unruled,
}


class Sequence:
    """The numbers of one topic under one rule, and what was wrong with them so far."""

    __slots__ = ("_attribute", "_step", "backward", "gaps", "last", "missed", "pairs", "rule")

    def __init__(self, rule: SequenceRule) -> None:
        self.rule = rule
        self._step = STEPS[rule.continuity]
        self._attribute = rule.attribute
        self.last: int | None = None
        self.pairs = 0  # messages that had one before them to be compared with
        self.gaps = 0  # holes
        self.missed = 0  # numbers in the holes, at least
        self.backward = 0

    def feed(self, event: Any) -> int:
        """Take one data event of the rule's labels and say what `Step` found.

        A message without the number is passed over; a snapshot begins anew.
        """
        attribute = self._attribute
        last: int | None
        link: int | None = None
        if attribute == "sequence":
            first = last = event.sequence
        elif attribute == "order":
            first = last = event.order
        else:
            first, last, link = event.first, event.last, event.previous
            if first is None:
                first = last
        previous = self.last
        kind = type(event)
        if (kind is Trade or kind is Depth) and event.snapshot:
            self.last = last
            return 0
        if last is None:
            return 0
        self.last = last
        if previous is None:
            return 0
        self.pairs += 1
        if link is None and first == previous + 1:
            return 0  # good by every rule: no call
        found = self._step(previous, first, last, link)
        if found > 0:
            self.gaps += 1
            self.missed += found
        elif found < 0:
            self.backward += 1
        return found

    def reset(self) -> None:
        """Forget the last number: the connection is new, and what was missed is not known."""
        self.last = None


class ConnectionNumbers:
    """Numbers that run over all frames of one connection, and what was wrong with them so far."""

    __slots__ = ("backward", "gaps", "last", "pairs")

    def __init__(self) -> None:
        self.last: int | None = None
        self.pairs = self.gaps = self.backward = 0

    def follow(self, number: int) -> int:
        """Take the next frame's number; return how many are missing before it.

        One that was taken already says nothing: a frame may be read twice.
        """
        previous, self.last = self.last, number
        if previous is None or number == previous:
            return 0
        self.pairs += 1
        if number < previous:
            self.backward += 1
            return 0
        missing = number - previous - 1
        self.gaps += missing > 0
        return missing


def bind(rules: Iterable[SequenceRule]) -> dict[str, tuple[Sequence, ...]]:
    """Return one topic's own sequences, by the label of the messages that they follow."""
    found: dict[str, tuple[Sequence, ...]] = {}
    for rule in rules:
        sequence = Sequence(rule)
        for label in rule.labels:
            found[label] = (*found.get(label, ()), sequence)
    return found
