"""What is left behind in cycles is freed while the program runs."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from exporter.runtime import app
from tests.runtime.running import running, wait_until


class Knot:
    """Something that only the garbage collection can free."""

    def __init__(self) -> None:
        self.self = self


def test_cycles_are_freed_without_waiting_for_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python comes round to old objects by their number: we do by the clock."""
    monkeypatch.setattr(app, "_GARBAGE_EVERY", 0.05)

    async def test() -> None:
        async with running(("binance",)):
            knot = weakref.ref(Knot())
            assert knot() is not None
            await wait_until(lambda: knot() is None)

    gc.disable()
    try:
        asyncio.run(test())
    finally:
        gc.enable()
