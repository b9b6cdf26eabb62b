"""Asks venues which markets they list: all at once within bounds, failures beside the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from exporter.contracts import Clock, Fetch
from exporter.decoding import ParseError
from exporter.flow.fan_out import Failed, fan_out
from exporter.model import Answer, Market, Reason, Target
from exporter.probes.probe import Readers, probe

_AT_ONCE = 8
_TIMEOUT = 30.0  # seconds; the longest list has some 15 MB
_BODY = 128 << 20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Where one site lists its markets, and how that is read."""

    url: str
    read: Callable[[bytes], tuple[Market, ...]]
    fault: Callable[[Answer], Reason | None]


@dataclass(frozen=True, slots=True)
class Unasked:
    """Why there is no list."""

    reason: Reason
    detail: str


Found: TypeAlias = tuple[Market, ...] | Unasked


async def discover(
    questions: Iterable[Question], fetch: Fetch, clock: Clock
) -> Mapping[str, Found]:
    """Ask each site once; return its markets, or why there are none, by URL."""
    outcomes = await fan_out(
        {each.url: each for each in questions}.values(),
        lambda question: _ask(question, fetch, clock),
        concurrency=_AT_ONCE,
        timeout=2 * _TIMEOUT,  # a request has its own; this one is for all that it takes
    )
    late = Unasked(Reason.READ_TIMEOUT, "it took too long")
    return {each.item.url: late if isinstance(each, Failed) else each.result for each in outcomes}


async def _ask(question: Question, fetch: Fetch, clock: Clock) -> Found:
    target = Target(
        exchange="",
        endpoint="markets",
        url=question.url,
        timeout=_TIMEOUT,
        body_limit=_BODY,
    )
    done = await probe(target, fetch, clock, Readers(fault=question.fault))
    if done.answer is None or done.reason is not None:
        return Unasked(done.reason or Reason.OTHER, done.detail)
    try:
        return question.read(done.answer.body)
    except ParseError as error:
        return Unasked(Reason.BODY_INVALID, str(error))
