"""Diagnostics on demand: a burst of probes, the audit of a book, a tap on a stream."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import random
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from exporter.books.synchronisation import Snapshots
from exporter.contracts import Clock, Fetch
from exporter.exchange.exchange import Exchange
from exporter.flow.fan_out import Failed, fan_out
from exporter.flow.jobs import Job, JobOptions, Jobs, JobsFullError, JobStatus, Work
from exporter.http.client import HttpClient, addresses, proxied
from exporter.metrics import families
from exporter.metrics.registry import Registry
from exporter.model import Probed
from exporter.probes.exchange_probes import EndpointState
from exporter.probes.probe import Readers, probe
from exporter.streams.exchange_books import LocalBook
from exporter.streams.stream_state import StreamState

if TYPE_CHECKING:
    from exporter.runtime.runtime import Runtime

_MOST_ADDRESSES = 16
_AUDITS_AT_ONCE = 4
_AUDIT_PATIENCE = 30.0  # seconds for one book of many
_TAPPED = 4096  # bytes of one frame
_BUDGET_PATIENCE = 20.0  # seconds that a burst waits for room in the limits

Count = Annotated[int, Meta(ge=1, le=100)]
Frames = Annotated[int, Meta(ge=1, le=200)]
Seconds = Annotated[float, Meta(ge=1.0, le=300.0)]
Priority = Annotated[int, Meta(ge=-10, le=10)]
Retries = Annotated[int, Meta(ge=0, le=5)]


class DiagnosticError(Exception):
    """It could not be done; the text says why."""


class _Job(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    exchange: str
    timeout: Seconds = 60.0
    priority: Priority = 0
    retries: Retries = 0


class Burst(_Job, tag="probe"):
    """``count`` probes of an endpoint, on new and on reused connections, at each address."""

    endpoint: str
    count: Count = 5


class Audit(_Job, tag="book_audit"):
    """One book, or all of the exchange, held against a snapshot over REST."""

    symbol: str | None = None


class Tap(_Job, tag="tap"):
    """The next ``count`` frames of a stream."""

    stream: str
    count: Frames = 10


Wanted: TypeAlias = Burst | Audit | Tap
_WANTED: msgspec.json.Decoder[Wanted] = msgspec.json.Decoder(Burst | Audit | Tap)


def read(body: bytes) -> Wanted:
    """Read what is asked for. Raises ValueError that says what is wrong."""
    return _WANTED.decode(body)


class Diagnostics:
    """The jobs of the running program."""

    def __init__(self, force: Runtime, registry: Registry, clock: Clock) -> None:
        self._force, self._clock = force, clock
        self._gauges = registry.gauges(families.JOBS, values=JobStatus)
        self._ended = registry.counters(families.JOBS_ENDED, values=JobStatus)
        self.jobs = Jobs(
            clock=clock,
            chance=random,
            expected=(DiagnosticError, ConnectionError),
            heard=self._heard,
        )

    def _heard(self, status: JobStatus) -> None:
        if status in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED):
            self._ended[status].inc()
        for each, gauge in self._gauges.items():
            gauge.set(sum(job.status is each for job in self.jobs.all()))

    async def submit(self, wanted: Wanted, wait: float) -> Job:
        """Put a diagnostic in line; if that is full, wait so many seconds for room.

        Raises LookupError for unknown names, JobsFullError, TimeoutError.
        """
        exchange = _named("exchange", wanted.exchange, {e.name: e for e in self._force.exchanges})
        kind = str(wanted.__struct_config__.tag)
        shown = msgspec.to_builtins(wanted)
        options = JobOptions(
            priority=wanted.priority, retries=wanted.retries, timeout=wanted.timeout
        )
        work = self._work(wanted, exchange)
        try:
            return self.jobs.submit(kind, shown, work, **options)
        except JobsFullError:
            if wait <= 0.0:
                raise
        async with asyncio.timeout(wait):
            return await self.jobs.submit_when_room(kind, shown, work, **options)

    def _work(self, wanted: Wanted, exchange: Exchange) -> Work:
        match wanted:
            case Burst():
                endpoints = exchange.probing.endpoints
                endpoint = _named("endpoint", wanted.endpoint, endpoints)
                return lambda: burst(exchange, endpoint, wanted.count, self._clock)
            case Audit():
                return lambda: audit(exchange, wanted.symbol)
            case Tap():
                streams = {stream.name: stream for stream in exchange.streams}
                stream = _named("stream", wanted.stream, streams)
                return lambda: tap(stream, wanted.count)


def _named(what: str, name: str, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise LookupError(f"no {what} {name[:64]!r}; there are {', '.join(known)[:500]}")
    return known[name]


# --- a burst of probes ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSeries:
    """What the probes of one address on one kind of connection came to. Durations in seconds."""

    address: str | None  # None: the proxy chose
    family: Literal["IPv4", "IPv6"] | None
    connection: families.Connection
    probes: int
    failures: Mapping[str, int]
    fastest: float | None
    median: float | None
    slowest: float | None
    each: list[Mapping[str, object]]


async def burst(
    exchange: Exchange, state: EndpointState, count: int, clock: Clock
) -> Mapping[str, object]:
    """Probe each address that the endpoint's name has, on new connections, then on one kept open.

    Behind a proxy, which resolves the name for itself, there is no address to choose. Every probe
    counts against the exchange's limits, and waits for its turn there.
    """
    found: tuple[str, ...] = ()
    if not proxied(state.target.url):
        try:
            found = await addresses(state.target.url)
        except OSError as error:
            raise DiagnosticError(f"the name cannot be resolved: {error}") from error
    series = []
    for address in found[:_MOST_ADDRESSES] or (None,):
        for kind in families.Connection:
            keep = kind is families.Connection.REUSED
            async with _client(address, keep) as fetch:
                if keep:  # the first one opens the connection, and is no part of the figures
                    await _probe(exchange, state, fetch, clock)
                probes = [await _probe(exchange, state, fetch, clock) for _ in range(count)]
            series.append(_summed(address, kind, probes))
    return {"addresses": found, "series": series}


@asynccontextmanager
async def _client(address: str | None, keep: bool) -> AsyncIterator[Fetch]:
    async with HttpClient(
        limit=1, limit_per_host=1, keepalive=75.0 if keep else None, address=address
    ) as client:
        yield client


async def _probe(exchange: Exchange, state: EndpointState, fetch: Fetch, clock: Clock) -> Probed:
    if not exchange.probing.ban.admit():
        raise DiagnosticError("the exchange has banned this address")
    for budget in exchange.probing.budgets.values():
        try:
            await budget.wait_acquired(state.target.weight, _BUDGET_PATIENCE)
        except (TimeoutError, ValueError) as error:
            raise DiagnosticError("the exchange's rate limit leaves no room") from error
    return await probe(state.target, fetch, clock, Readers(fault=exchange.venue.fault))


def _summed(address: str | None, kind: families.Connection, probes: list[Probed]) -> ProbeSeries:
    good = [done.duration for done in probes if done.ok]
    failures: dict[str, int] = {}
    for done in probes:
        if done.reason is not None:
            failures[done.reason] = failures.get(done.reason, 0) + 1
    return ProbeSeries(
        address=address,
        family=None if address is None else "IPv6" if ":" in address else "IPv4",
        connection=kind,
        probes=len(probes),
        failures=failures,
        fastest=min(good, default=None),
        median=median(good) if good else None,
        slowest=max(good, default=None),
        each=[_shown(done) for done in probes],
    )


def _shown(done: Probed) -> Mapping[str, object]:
    answer = done.answer
    return {
        "time": done.time,
        "duration": done.duration,
        "reason": done.reason,
        "status": answer.status if answer else None,
        "new_connection": answer.new_connection if answer else None,
        "phases": dict(answer.phases) if answer else {},
    }


# --- books and streams ----------------------------------------------------------------------------


async def audit(exchange: Exchange, symbol: str | None) -> Mapping[str, object]:
    """Hold one book against a snapshot over REST; without ``symbol`` all, some at a time."""
    snapshots = exchange.books.snapshots
    if snapshots is None:
        raise DiagnosticError("this venue has no books over REST")
    books = {book.feed.subscription.instrument: book for book in exchange.books.books}
    if symbol is not None:
        if symbol not in books:
            raise DiagnosticError(f"no book of {symbol[:64]!r} is built")
        return await _audit(books[symbol], snapshots)
    outcomes = await fan_out(
        books.values(),
        lambda book: _audit(book, snapshots),
        concurrency=_AUDITS_AT_ONCE,
        timeout=_AUDIT_PATIENCE,
        expected=(DiagnosticError,),
    )
    return {
        "audits": [
            {"symbol": each.item.feed.subscription.instrument, "error": str(each.error) or "late"}
            if isinstance(each, Failed)
            else each.result
            for each in outcomes
        ]
    }


async def _audit(book: LocalBook, snapshots: Snapshots) -> Mapping[str, object]:
    found = await book.audit(snapshots)
    if found is None:
        raise DiagnosticError("the book could not be synchronized with its snapshot")
    return {"symbol": book.feed.subscription.instrument, "divergence_ratio": found}


async def tap(state: StreamState, count: int) -> Mapping[str, object]:
    """Return the next frames of a stream as they come."""
    stream = state.stream
    if stream is None:
        raise DiagnosticError("the stream does not run")
    frames: list[Mapping[str, object]] = []
    full = asyncio.Event()

    def take(received: float, frame: bytes) -> None:
        if len(frames) < count:
            frames.append({"received": received, "size": len(frame), **_text(frame[:_TAPPED])})
            if len(frames) == count:
                full.set()

    with stream.tapped(take):
        await full.wait()
    return {"frames": frames}


def _text(frame: bytes) -> Mapping[str, str]:
    try:
        return {"text": frame.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(frame).decode()}
