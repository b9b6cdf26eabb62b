"""Asks venues which markets they list: all at once within bounds, failures beside the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from exporter.contracts import Clock, Fetch
from exporter.model import Answer, Market, Reason, Target
from exporter.sources.probe import Readers, probe
from exporter.wire import ParseError

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
    """Ask each site once; give its markets, or why there are none, by URL."""
    slots = asyncio.Semaphore(_AT_ONCE)
    found: dict[str, Found] = {}

    async def ask(question: Question) -> None:
        async with slots:
            found[question.url] = await _ask(question, fetch, clock)

    async with asyncio.TaskGroup() as tasks:
        for url, question in {each.url: each for each in questions}.items():
            tasks.create_task(ask(question), name=f"discover {url}")
    return found


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
