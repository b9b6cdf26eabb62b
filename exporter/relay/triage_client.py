"""Requests triages from the language model, within a deadline and budgets. Pages do not wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from exporter.contracts import Clock, Fetch, FetchFailedError
from exporter.decoding import DOUBTFUL
from exporter.flow import breaker
from exporter.model import Reason
from exporter.notification import HttpRequest
from exporter.relay import triage
from exporter.relay.evidence import summary
from exporter.relay.incident import Incident

log = logging.getLogger(__name__)

_ANSWER: Final = 128 * 1024  # bytes
_EVIDENCE: Final = 2 * 1024 * 1024


class TriageOutcome(StrEnum):
    """How a triage ended; the label ``outcome``."""

    OK = "ok"
    TIMEOUT = "timeout"
    ERROR = "error"
    BUDGET = "budget"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageRules:
    """Bounds of asking. Durations in seconds."""

    deadline: float = 20.0  # of all: evidence and answer
    parallel: int = 2
    evidence_url: str | None = None  # base URL of an exporter, asked for what it knows
    evidence_timeout: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What asking came to. ``seconds`` from the question to the answer; ``reason`` it failed."""

    outcome: TriageOutcome
    reason: str = ""
    seconds: float = 0.0
    found: triage.Triage | None = None


class TriageClient:
    """One model. ``fence`` gives a word that nobody can guess, anew for each question."""

    def __init__(
        self,
        model: triage.Model,
        rules: TriageRules,
        *,
        send: Fetch,
        clock: Clock,
        fence: Callable[[], str],
    ) -> None:
        self._model, self._rules = model, rules
        self._send, self._clock, self._fence = send, clock, fence
        self._breaker = breaker.Breaker(breaker.BreakerRules(failures=3, recovery=30.0))
        self._places = asyncio.Semaphore(rules.parallel)

    async def ask(
        self, incident: Incident, asked: Callable[[HttpRequest], None] = lambda request: None
    ) -> Advice:
        """Ask once about an incident; whatever goes wrong is an outcome, no exception.

        ``asked`` is told of the request before it is sent.
        """
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._rules.deadline), self._places:
                permit = self._breaker.acquire(self._clock.monotonic())
                if permit is None:
                    return Advice(outcome=TriageOutcome.ERROR)
                ok: bool | None = False  # a deadline that passes is the model's fault
                try:
                    found = await self._answer(incident, started, asked)
                    ok = True
                finally:
                    now = self._clock.monotonic()
                    self._breaker.release(permit, ok, now - started, now)
        except TimeoutError:
            return self._failed(TriageOutcome.TIMEOUT, "deadline", started)
        except FetchFailedError as error:
            late = error.reason in (Reason.READ_TIMEOUT, Reason.CONNECT_TIMEOUT)
            outcome = TriageOutcome.TIMEOUT if late else TriageOutcome.ERROR
            return self._failed(outcome, error.reason, started)
        except triage.TriageAnswerError as error:
            return self._failed(TriageOutcome.ERROR, str(error), started)
        seconds = self._clock.monotonic() - started
        return Advice(outcome=TriageOutcome.OK, seconds=seconds, found=found)

    def _failed(self, outcome: TriageOutcome, reason: str, started: float) -> Advice:
        log.warning("triage_failed outcome=%s reason=%s", outcome, reason)
        seconds = self._clock.monotonic() - started
        return Advice(outcome=outcome, reason=reason, seconds=seconds)

    async def _answer(
        self, incident: Incident, started: float, asked: Callable[[HttpRequest], None]
    ) -> triage.Triage:
        evidence = await self._evidence(incident)
        request = triage.request(self._model, incident, evidence, self._fence())
        asked(request)
        left = self._rules.deadline - (self._clock.monotonic() - started)
        answer = await self._send(
            request.method,
            request.url,
            headers=request.headers,
            timeout=max(0.1, left),
            body_limit=_ANSWER,
            body=request.body,
        )
        if answer.status != 200:
            raise triage.TriageAnswerError(f"status {answer.status}")
        return triage.read(answer.body, self._model)

    async def _evidence(self, incident: Incident) -> str:
        """Fetch what the exporter knows of the incident's exchange; nothing when it is silent."""
        alerts = incident.firing or incident.ended
        exchange = next((alert.exchange for alert in alerts if alert.exchange), "")
        if self._rules.evidence_url is None or not exchange:
            return ""
        named = f"/api/v1/exchanges/{quote(exchange, safe='')}/failures"
        state, failures = await asyncio.gather(self._seen("/api/v1/state"), self._seen(named))
        try:
            return summary(state, failures, exchange)
        except DOUBTFUL as error:  # another version's, or no exporter at all
            log.info("triage_without_evidence reason=%r", str(error)[:200])
            return ""

    async def _seen(self, path: str) -> bytes:
        try:
            answer = await self._send(
                "GET",
                f"{self._rules.evidence_url}{path}",
                headers={},
                timeout=self._rules.evidence_timeout,
                body_limit=_EVIDENCE,
            )
        except FetchFailedError as error:
            log.info("triage_without_evidence path=%s reason=%s", path, error.reason)
            return b""
        return answer.body if answer.status == 200 else b""
