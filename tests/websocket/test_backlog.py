"""How long what is read has waited for us: bounds, and what connections make of them."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.uri import parse_uri
from websockets.utils import accept_key

from exporter.contracts import LateTime
from exporter.flow.stalls import LoopStalls
from exporter.model import TAINTED
from exporter.websocket.backlog import ReadBacklog
from exporter.websocket.connection import HEADERS, WebSocket
from exporter.websocket.keepalive import Keepalive
from exporter.websocket.receive_queue import SILENT, ReceiveQueueBounds
from tests.fakes import VirtualLoop, run_virtual


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 50), st.floats(0.001, 0.5), st.integers(1, 60)), max_size=60
    )
)
def test_nothing_has_waited_for_longer_than_is_said(
    steps: list[tuple[int, float, int]],
) -> None:
    """Whatever comes and however little is read at a time, the bound holds."""
    queue, now = deque[float](), 100.0
    backlog = ReadBacklog(lambda: len(queue), LoopStalls())
    for come, wait, most in steps:
        # The loop goes round at once unless something was left behind: that is what reads it.
        now += wait
        queue.extend([now] * come)
        if queue:
            oldest, size = queue[0], min(most, len(queue))
            for _ in range(size):
                queue.popleft()
            assert backlog.read(size, now) >= now - oldest
            assert backlog.behind is bool(queue)


def test_who_keeps_up_in_a_flood_is_not_late() -> None:
    """Something is left behind at every read, and yet each byte waits for one turn alone."""
    backlog = ReadBacklog(lambda: 5, LoopStalls())
    waits = [backlog.read(100, 100.0 + 0.001 * turn) for turn in range(1000)]
    assert max(waits) < 0.003


def test_where_a_sender_is_held_back_nothing_is_known_until_there_was_calm() -> None:
    """TCP makes it wait while we read too slowly: what comes then was sent long before."""
    unread = 1 << 20
    backlog = ReadBacklog(lambda: unread, LoopStalls())
    assert backlog.read(1 << 16, 100.0) == 0.0
    assert backlog.read(1 << 20, 101.0) == 1.0
    assert backlog.read(1 << 20, 102.0) == 2.0  # not since 101.0: more waited elsewhere
    unread = 0
    assert backlog.read(1 << 20, 103.0) == 3.0
    unread = 1 << 16
    assert backlog.read(10, 103.125) > 3.0
    unread = 0
    assert backlog.read(10, 103.25) > 3.0
    assert backlog.read(10, 103.5) > 3.0
    assert backlog.read(10, 103.75) == 0.0
    assert not backlog.behind


def test_a_pause_is_ours() -> None:
    """What came while nothing was read has waited since the pause began."""
    unread = 0
    backlog = ReadBacklog(lambda: unread, LoopStalls())
    backlog.pause(100.0)
    unread = 10
    assert backlog.read(50, 103.0) == 3.0
    unread = 0
    assert backlog.read(10, 103.5) == 3.5  # came at any time of the pause, too
    assert not backlog.behind


# --- a connection ---------------------------------------------------------------------------------


class _Time:
    """A clock that stands until it is set."""

    now = 1000.0

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, duration: float) -> None:
        raise AssertionError("nothing sleeps here")


class _Wire(asyncio.Transport):
    """A transport over one end of a socket pair, of which the test reads itself."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__({"socket": end})

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody looks."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


def _take(into: list[float]) -> Callable[[Any], bool]:
    def take(batch: Any) -> bool:
        into.extend(received for received, _ in batch)
        return True

    return take


def test_messages_read_after_a_stall_say_so_until_the_backlog_is_gone() -> None:
    """First those that waited out the stall, then the rest of them, then it is as ever."""

    async def main() -> list[bool]:
        clock, stalls, seen = _Time(), LoopStalls(), list[float]()
        await stalls.beat(clock.now)
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            protocol = ClientProtocol(parse_uri("ws://127.0.0.1/"))
            connection = WebSocket(
                protocol,
                clock=clock,
                headers=HEADERS,
                max_message=1 << 20,
                bounds=ReceiveQueueBounds(),
                meter=SILENT,
                ping_every=None,
                ping_timeout=1.0,
                close_timeout=0.0,
                on_ping_rtt=lambda rtt: None,
                stalls=stalls,
            )
            connection.connection_made(_Wire(near))

            def read(most: int) -> None:
                connection.buffer_updated(near.recv_into(connection.get_buffer(-1)[:most]))

            far.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept_key(protocol.key).encode() + b"\r\n\r\n"
            )
            read(4096)
            far.sendall(b"\x81\x02a1")
            read(4096)
            await connection.receive(_take(seen))
            far.sendall(b"\x81\x02b1\x81\x02b2\x81\x02b3")
            clock.now += 2.0  # nothing goes round
            read(4)
            await connection.receive(_take(seen))
            await stalls.beat(clock.now)  # and now it does
            clock.now += 0.001
            read(4)
            await connection.receive(_take(seen))
            read(4096)
            await connection.receive(_take(seen))
            far.sendall(b"\x81\x02c1")
            clock.now += 0.001
            await stalls.beat(clock.now)
            read(4096)
            await connection.receive(_take(seen))
        return [type(received) is LateTime for received in seen]

    assert run_virtual(main()) == [False, True, True, True, False]


# --- pings ----------------------------------------------------------------------------------------


def _beating(lost: list[float], excused: Callable[[], bool]) -> Keepalive:
    loop = asyncio.get_running_loop()
    return Keepalive(
        every=20.0,
        timeout=10.0,
        send=lambda payload: None,
        on_rtt=lambda rtt: None,
        on_timeout=lambda: lost.append(loop.time()),
        excused=excused,
    )


def test_a_stall_of_ours_does_not_end_a_connection() -> None:
    """Woken late, we may not have read the pong that is there: it is waited for once more."""

    async def main() -> list[float]:
        loop, lost = asyncio.get_running_loop(), list[float]()
        assert isinstance(loop, VirtualLoop)
        keepalive = _beating(lost, lambda: False)
        await asyncio.sleep(29.0)
        loop._instant.now += 1.0 + 2 * TAINTED  # the process stands still
        await asyncio.sleep(11.0)
        keepalive.stop()
        return lost

    assert run_virtual(main()) == [40.0 + 2 * TAINTED]


def test_a_pong_that_waits_behind_unread_data_is_not_missed() -> None:
    """While bytes are unread, the pong may be among them; once none are, it must have come."""

    async def main() -> list[float]:
        lost, unread = list[float](), [True, True, False]
        keepalive = _beating(lost, lambda: unread.pop(0))
        await asyncio.sleep(51.0)
        keepalive.stop()
        return lost

    assert run_virtual(main()) == [50.0]


def test_the_round_trip_of_a_pong_that_was_read_late_is_not_known() -> None:
    """It is told of as such, so that it is counted apart."""

    async def main() -> list[float | None]:
        trips = list[float | None]()
        keepalive = Keepalive(
            every=20.0,
            timeout=10.0,
            send=lambda payload: None,
            on_rtt=trips.append,
            on_timeout=lambda: None,
            excused=lambda: False,
        )
        await asyncio.sleep(20.5)
        keepalive.pong(b"1", late=True)
        await asyncio.sleep(20.0)
        keepalive.pong(b"2")
        keepalive.stop()
        return trips

    assert run_virtual(main()) == [None, 0.5]
