"""Restart a task that a fault of ours has ended."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from exporter.contracts import Clock
from exporter.flow import backoff

log = logging.getLogger(__name__)


async def supervise(
    name: str,
    make: Callable[[], Awaitable[None]],
    *,
    clock: Clock,
    chance: Callable[[], float],
    on_restart: Callable[[], None],
    rules: backoff.BackoffRules | None = None,
) -> None:
    """Run what ``make`` gives until it returns; when it raises, log why, wait and make it anew.

    ``chance`` draws from [0, 1) for the jitter of the wait. Cancellation passes, and so does what
    is no Exception. Raises the last error when the ``total`` wait of ``rules`` is used up.
    """
    rules = rules or backoff.BackoffRules()
    state = backoff.BackoffState()
    while True:
        started = clock.monotonic()
        try:
            await make()
        except Exception:
            lived = clock.monotonic() - started
            state, wait = backoff.step(state, lived, rules, chance())
            if wait is None:
                raise
            log.exception("task_failed task=%s lived_s=%.1f retry_in_s=%.2f", name, lived, wait)
        else:
            return
        on_restart()
        await clock.sleep(wait)
