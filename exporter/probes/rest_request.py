"""One REST request to a venue beside the probes: within its limits, with a breaker of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.flow.breaker import Breaker
from exporter.model import Probed, Skip, Target
from exporter.probes import probe
from exporter.probes.context import ExchangeContext
from exporter.probes.exchange_probes import ExchangeProbes

T = TypeVar("T")


async def ask(
    target: Target,
    read: Callable[[bytes], T],
    *,
    venue: Venue,
    around: ExchangeContext,
    probing: ExchangeProbes,
    breaker: Breaker,
    maintenance: Callable[[], bool] = lambda: False,
    patience: float = 0.0,
) -> T | Skip | Probed | ParseError:
    """Send one request and return what ``read`` makes of the answer's body.

    Otherwise return why there is nothing: Skip if it was not sent, Probed if it failed, ParseError
    if ``read`` raised it. ``patience`` (seconds) is how long it may wait for the rate limits.
    """
    outcomes: list[Probed | Skip] = []
    await probe.once(
        target,
        fetch=around.fetch,
        clock=around.clock,
        readers=probe.Readers(fault=venue.fault),
        slots=around.slots,
        gates=probe.Gates(
            breaker=breaker,
            budgets=probing.allowances,
            online=around.online,
            maintenance=maintenance,
        ),
        listeners=probe.Listeners(
            report=outcomes.append, skipped=lambda _, skip: outcomes.append(skip)
        ),
        patience=patience,
    )
    (outcome,) = outcomes
    if isinstance(outcome, Skip) or outcome.answer is None:
        return outcome
    probing.answered(outcome.answer, target.url)
    if not outcome.ok:
        return outcome
    try:
        return read(outcome.answer.body)
    except ParseError as error:
        return error
