"""The buffer that all connections of a thread share for reading.

Whoever reads copies what came before the loop goes on. A piece for each read would splinter the
heap, a piece for each connection take 64 MB of a thousand.
"""

from __future__ import annotations

import threading
from typing import Final

SIZE: Final = 64 << 10  # bytes; asyncio's own 256 KiB per read cost page faults


class SharedReadBuffer(threading.local):
    def __init__(self) -> None:
        self.view = memoryview(bytearray(SIZE))


_piece = SharedReadBuffer()


def piece() -> memoryview:
    """Return this thread's."""
    return _piece.view
