"""What was taken in comes out, in order, once; after a kill at least once, and never garbled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from exporter.flow import spill
from exporter.flow.segments import BusyError
from exporter.flow.spill import Spill

# What happens: an item of so many bytes is put, so many are taken, the process begins anew.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 3000)),
        st.tuples(st.just("put"), st.integers(1500, 3000)),
        st.tuples(st.just("take"), st.integers(1, 6)),
        st.tuples(st.just("again"), st.just(0)),
    ),
    max_size=40,
)
MOST = 8192


class BrokenPromiseError(AssertionError):
    """A promise was not kept."""


def promise(kept: bool, what: str) -> None:
    if not kept:
        raise BrokenPromiseError(what)


def _play(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, model, number = Path(name), deque[bytes](), 0
        held = Spill(folder, max_bytes=MOST, segment_size=4096)
        taken: list[bytes] = []  # since the process began
        for kind, size in steps:
            if kind == "put":
                number += 1
                item = number.to_bytes(4, "big") + b"x" * size
                if held.put(item):
                    model.append(item)
                else:
                    promise(bool(held.refused), "what is refused is counted")
            elif kind == "take":
                found = held.take(size)
                wanted = [model.popleft() for _ in range(min(size, len(model)))]
                promise(found == wanted, "the oldest come out, in order, once")
                taken += found
            else:
                held.close()
                held = Spill(folder, max_bytes=MOST, segment_size=4096)
                # What was taken of a segment that was not read to its end comes again.
                back = held.pending - len(model)
                promise(0 <= back <= len(taken), "nothing is lost, nothing is made up")
                repeated = taken[len(taken) - back :]
                # All but the last item of a segment fit its size.
                promise(sum(map(len, repeated[:-1])) <= 4096, "no more than a segment comes again")
                model.extendleft(reversed(repeated))
                taken = []
            promise(held.pending == len(model), "what is left is known")
            on_disk = sum(path.stat().st_size for path in folder.iterdir())
            promise(on_disk <= MOST + 200, "no more on disk than is allowed")
        promise(held.take(1000) == list(model), "all of it comes out in the end")
        promise(held.take(1) == [], "and then there is no more")
        _drained(held, folder)


def _drained(held: Spill, folder: Path) -> None:
    held.close()
    again = Spill(folder, max_bytes=MOST, segment_size=4096)
    promise(sum(map(len, again.take(1000)[:-1])) <= 4096, "what was read is removed")
    again.close()


@settings(max_examples=80, deadline=None)
@given(steps=STEPS)
def test_promises_hold_over_restarts(steps: list[tuple[str, int]]) -> None:
    """Any order of puts, takes and restarts."""
    _play(steps)


def _keeps_read(self: Spill) -> bool:
    self._path = None  # the segment that was read is not removed
    return _next(self)


def _forgets_rest(self: Spill) -> bool:
    self._full = deque(list(self._full)[-1:])  # of several segments only the last is read
    return _next(self)


def _never_rolls(self: Spill) -> bool:
    return bool(self._full) and _next(self)  # what is in the newest segment stays there


def _no_bound(self: Spill, item: bytes) -> bool:
    self._max = 1 << 30
    return _put(self, item)


def _double(self: Spill, item: bytes) -> bool:
    taken = _put(self, item)
    return taken and _put(self, item)


_next, _put = Spill._next, Spill.put
MUTANTS: list[tuple[str, Callable[..., bool]]] = [
    ("_next", _keeps_read),
    ("_next", _forgets_rest),
    ("_next", _never_rolls),
    ("put", _no_bound),
    ("put", _double),
]


@pytest.mark.parametrize(("name", "mutant"), MUTANTS, ids=[m.__name__ for _, m in MUTANTS])
def test_broken_variants_are_caught(
    name: str, mutant: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promises above would notice each mistake that one could make here."""
    monkeypatch.setattr(spill.Spill, name, mutant)

    @settings(max_examples=200, deadline=None, database=None, phases=[Phase.generate])
    @given(steps=STEPS)
    def check(steps: list[tuple[str, int]]) -> None:
        _play(steps)

    with pytest.raises(BrokenPromiseError):
        check()


_WRITER = """
import sys
from pathlib import Path
from exporter.flow.spill import Spill
held = Spill(Path(sys.argv[1]), max_bytes=1 << 28, segment_size=4096)
for number in range(10_000_000):
    held.put(number.to_bytes(4, "big") + b"z" * (number % 500))
    print(number, flush=True)
"""


@pytest.mark.parametrize("wait", [0.0, 0.004, 0.03])
def test_a_kill_loses_nothing_that_was_taken_in(tmp_path: Path, wait: float) -> None:
    """Every item whose `put` had returned comes out, in order; a torn tail is cut and counted."""
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(100):
        writer.stdout.readline()
    with pytest.raises(BusyError):
        Spill(tmp_path, max_bytes=1 << 28)
    time.sleep(wait)
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged = 100 + len(writer.stdout.readlines())
    writer.stdout.close()
    writer.wait()
    held = Spill(tmp_path, max_bytes=1 << 28, segment_size=4096)
    numbers = [int.from_bytes(item[:4], "big") for item in held.take(10_000_000)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= acknowledged
    assert held.damaged == 0
    held.close()
