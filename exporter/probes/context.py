"""The parts of the running program that every exchange uses, and the tasks that it returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeAlias

from exporter.config import Config
from exporter.contracts import Clock, Connect, Fetch
from exporter.flow.dead_letters import DeadLetterSink, nowhere
from exporter.flow.overflow import Overflow, SpillOrigin
from exporter.metrics.registry import Registry
from exporter.model import Probed
from exporter.probes.bans import Bans
from exporter.websocket.receive_queue import ReceiveQueueBounds, ReceiveQueueMeter

Task: TypeAlias = tuple[str, str, Callable[[], Awaitable[None]]]
"""A kind (the label ``task``), a name for the log, and what to run until cancelled."""

Dial: TypeAlias = Callable[
    [ReceiveQueueBounds, ReceiveQueueMeter, Callable[[float | None], None]], Connect
]
"""Gives a way to open sockets whose frames wait within bounds and are reported to a meter."""


async def settled() -> None:
    """Do nothing: there is nothing to start or stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeContext:
    """What all exchanges share. ``probed`` is told of every probe that ended."""

    config: Config
    registry: Registry
    fetch: Fetch
    dial: Dial
    clock: Clock
    slots: AbstractAsyncContextManager[None]  # one exchange's room for probes
    probed: Callable[[Probed], None]
    online: Callable[[], bool]
    bans: Bans
    post: DeadLetterSink = nowhere  # takes frames that could not be read
    spill: Callable[[SpillOrigin], Overflow] | None = None  # where there is a storage path
    settle: Callable[[], Awaitable[None]] = settled  # runs what an exchange has to run since
