"""Requests venues' lists of markets: concurrently within bounds, with failures as results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from exporter.contracts import Clock, Fetch
from exporter.decoding import ParseError
from exporter.flow.fan_out import Failed, fan_out
from exporter.model import Answer, Reason, Target
from exporter.probes.probe import Readers, probe

TIMEOUT = 30.0  # seconds; the longest list has some 15 MB
LONGEST_LIST = 128 << 20  # bytes
_AT_ONCE = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """Where one site has a list, and how that is read."""

    url: str
    read: Callable[[bytes], T]
    fault: Callable[[Answer], Reason | None]


@dataclass(frozen=True, slots=True)
class Unasked:
    """Why there is no list."""

    reason: Reason
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail[:200]})" if self.detail else self.reason


async def discover(
    questions: Iterable[Question[T]], fetch: Fetch, clock: Clock
) -> Mapping[str, T | Unasked]:
    """Ask each site once; return its list, or why there is none, by URL."""
    outcomes = await fan_out(
        {each.url: each for each in questions}.values(),
        lambda question: ask(question, fetch, clock),
        concurrency=_AT_ONCE,
        timeout=2 * TIMEOUT,  # a request has its own; this one is for all that it takes
    )
    late = Unasked(Reason.READ_TIMEOUT, "it took too long")
    return {each.item.url: late if isinstance(each, Failed) else each.result for each in outcomes}


async def ask(question: Question[T], fetch: Fetch, clock: Clock) -> T | Unasked:
    """Ask for one list; return it, or why there is none."""
    target = Target(
        exchange="",
        endpoint="markets",
        url=question.url,
        timeout=TIMEOUT,
        body_limit=LONGEST_LIST,
    )
    done = await probe(target, fetch, clock, Readers(fault=question.fault))
    if done.answer is None or done.reason is not None:
        return Unasked(done.reason or Reason.OTHER, done.detail)
    try:
        return question.read(done.answer.body)
    except ParseError as error:
        return Unasked(Reason.BODY_INVALID, str(error))
