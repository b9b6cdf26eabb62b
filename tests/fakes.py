"""Stand-ins for the world at its boundaries: time, and what travels over it."""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from exporter.contracts import HOLE, Clock, ConnectionLostError, Take
from exporter.model import Lost

T = TypeVar("T")

# --- time ---------------------------------------------------------------------------------------


class _Instant(selectors.DefaultSelector):
    """A selector that never waits: it winds the loop's clock on instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everything waits for something that no timer will bring")
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose hours pass in milliseconds: every wait ends at once, in due order."""

    def __init__(self) -> None:
        self._instant = _Instant()
        super().__init__(self._instant)

    def time(self) -> float:
        return self._instant.now


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` like asyncio.run, in virtual time. Not for sockets or threads."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class FakeClock:
    """``contracts.Clock`` in virtual time: ``wall`` begins at ``epoch`` when the loop begins.

    Use it inside `run_virtual`; ``monotonic`` begins at zero.
    """

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self.epoch = epoch

    def wall(self) -> float:
        return self.epoch + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, duration: float) -> None:
        await asyncio.sleep(max(0.0, duration))


# --- streams ------------------------------------------------------------------------------------


Step = bytes | float | ConnectionLostError


class ScriptedSocket:
    """``contracts.Socket`` that plays a script: frames, pauses in seconds, and an end.

    An empty frame stands for some that were dropped.
    ``answer`` gives what the other side says to a frame of ours, at once, even in a pause of the
    script. Where the script ends there is silence, until we close.
    """

    def __init__(
        self,
        clock: Clock,
        script: Iterable[Step] = (),
        answer: Callable[[str], Iterable[bytes]] = lambda frame: (),
    ) -> None:
        self.sent: list[str] = []
        self.closed = False
        self._clock, self._answer = clock, answer
        self._steps = deque(script)
        self._answers: deque[bytes] = deque()
        self._paused: float | None = None  # when the pause that the script is in will be over
        self._more = asyncio.Event()

    def push(self, *steps: Step) -> None:
        """Let the other side go on."""
        self._steps.extend(steps)
        self._more.set()

    async def send(self, frame: str) -> None:
        if self.closed:
            raise ConnectionLostError(Lost.SHUTDOWN, "closed by us")
        self.sent.append(frame)
        self._answers.extend(self._answer(frame))
        self._more.set()

    async def receive(self, take: Take) -> None:
        while True:
            self._more.clear()
            frames = self._frames()
            if frames:
                now = self._clock.wall()
                if take([(now, frame) if frame else HOLE for frame in frames]):
                    return
            elif self._steps and isinstance(self._steps[0], ConnectionLostError):
                raise self._steps[0]
            else:
                await self._wait_more()

    def _frames(self) -> list[bytes]:
        frames = list(self._answers)
        self._answers.clear()
        while not frames and self._steps and isinstance(self._steps[0], float):
            if self._paused is None:
                self._paused = self._clock.monotonic() + self._steps[0]
            if self._clock.monotonic() < self._paused:
                return []
            self._steps.popleft()
            self._paused = None
        while self._steps and isinstance(self._steps[0], bytes):
            frames.append(self._steps[0])
            self._steps.popleft()
        return frames

    async def _wait_more(self) -> None:
        rest = None if self._paused is None else self._paused - self._clock.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(rest):
                await self._more.wait()

    async def close(self) -> None:
        self.closed = True
        self._steps.clear()
        self._paused = None
        self.push(ConnectionLostError(Lost.SHUTDOWN, "closed by us"))
