"""The loop: wound, run, and keep what should never have been raised."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from time import monotonic

from tests.fuzz.mutate import wounded
from tests.fuzz.targets import Target

SEEDS = Path(__file__).parent / "seeds"
LONGEST = 30.0  # seconds that one input may take: a hang, and not a busy machine


class Finding(AssertionError):  # noqa: N818 - what it is
    """An input that a reader does not survive; its text says where it is kept."""


def kept(target: str) -> Sequence[bytes]:
    """Return the inputs that once were findings."""
    return [file.read_bytes() for file in sorted((SEEDS / target).glob("*.bin"))]


def fuzz(target: Target, executions: int, seed: int, seconds: float, findings: Path) -> int:
    """Run a target on kept and wounded inputs; return how many. Raises Finding.

    The same ``seed`` gives the same inputs, as far as ``seconds`` let them come.
    """
    chance = Random(seed ^ zlib.crc32(target.name.encode()))
    old = kept(target.name)
    pool = [*target.seeds, *old]
    begun = monotonic()
    for number in range(executions):
        data = old[number] if number < len(old) else wounded(chance, pool)
        asked = monotonic()
        try:
            target.run(data)
        except Exception as error:
            raise _finding(target, data, repr(error)[:300], findings) from error
        now = monotonic()
        if now - asked > LONGEST:
            raise _finding(target, data, f"took {now - asked:.1f} s", findings)
        if now - begun > seconds:
            return number + 1
    return executions


def _finding(target: Target, data: bytes, what: str, folder: Path) -> Finding:
    folder = folder / target.name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
    file.write_bytes(data)
    return Finding(f"{target.name}: {what}; the input is in {file}")
