"""Which of several processes watches what: rendezvous hashing with a bound on every share.

Each key prefers the shards in an order of its own; it goes to the first that has room left. So
all processes agree without talking, few keys move when a shard is added, and none stays idle.

Source: Thaler and Ravishankar (1998), "Using Name-Based Mappings to Increase Hit Rates", the
highest random weight; Mirrokni, Thorup and Zadimoghaddam (2018), "Consistent Hashing with Bounded
Loads", the bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil

MOST = 1000  # shards


@dataclass(frozen=True, slots=True)
class Shard:
    """One share: ``index`` counts from 0 to below ``count``."""

    index: int
    count: int


def shard(text: str) -> Shard:
    """Read ``0/4``, the first of four. Raises ValueError.

    A shard is one process of ``count``; its exchanges are those that `spread` gives its index.
    """
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text, re.ASCII)
    if match is None or not int(match[1]) < int(match[2]) <= MOST:
        raise ValueError(f"expected I/N with I from 0 to N-1, N at most {MOST}, got {text!r}")
    return Shard(int(match[1]), int(match[2]))


def spread(keys: Iterable[str], count: int) -> dict[str, int]:
    """Return the shard of each key. None gets more than its even share, rounded up.

    The order of ``keys`` has no part in it.
    """
    names = sorted(set(keys), key=lambda name: (_weight(name, None), name))
    room = [ceil(len(names) / count)] * count
    placed: dict[str, int] = {}
    for name in names:
        wanted = sorted(range(count), key=lambda index: _weight(name, index), reverse=True)
        first = next(index for index in wanted if room[index])
        room[first] -= 1
        placed[name] = first
    return placed


def _weight(name: str, index: int | None) -> bytes:
    """Return how much a key wants a shard; without one, how early the key chooses."""
    return blake2b(f"{name}\n{'' if index is None else index}".encode(), digest_size=8).digest()
