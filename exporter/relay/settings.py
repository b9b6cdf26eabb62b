"""Builds the relay's parts from its config: receivers, policies, store, language model."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from exporter.clock import SystemClock
from exporter.config.secret import Secret, revealed
from exporter.contracts import Account, Clock, Fetch, FetchFailedError, Notifier
from exporter.flow import backoff, breaker
from exporter.http.client import HttpClient
from exporter.http.proxy import environment
from exporter.model import Answer
from exporter.notification import Outcome, Retry
from exporter.redact import Redactor
from exporter.relay import config as settings
from exporter.relay import heartbeat, incident_store, notifiers, rendering, triage
from exporter.relay.config import RelayConfig
from exporter.relay.delivery import DeliveryPolicy
from exporter.relay.incident import IncidentRules
from exporter.relay.receiver import Pace, Receiver
from exporter.relay.triage_client import TriageClient, TriageRules


def all_notifiers() -> dict[str, Notifier]:
    """Return every notifier by its name."""
    return {name: notifiers.load(name) for name in notifiers.choices()}


def load(file: str | Path, environ: Mapping[str, str] | None = None) -> RelayConfig:
    """Read a relay's config file and try its templates. Raises ConfigError."""
    known = all_notifiers()
    languages = rendering.languages()
    if environ is None:
        config = settings.load(file, known, languages)
    else:
        config = settings.load(file, known, languages, environ)
    complaints = []
    for at, each in enumerate(config.receivers):
        for key, source in (("template", each.template), ("body", each.body)):
            if source is not None:
                try:
                    rendering.check(source, f"{file}: receivers[{at}].{key}")
                except rendering.TemplateError as error:
                    complaints.append(str(error))
    if complaints:
        raise settings.ConfigError(tuple(complaints))
    return config


def plain(value: Secret | str | None) -> str:
    return value.reveal() if isinstance(value, Secret) else value or ""


def receiver_of(config: settings.ReceiverConfig) -> Receiver:
    """Return one receiver as the relay's parts know it."""
    notifier = notifiers.load(config.type)
    base = Account(
        url=(plain(config.url) or notifier.url).rstrip("/"),
        token=plain(config.token),
        user=plain(config.user),
        sender=config.sender or "",
        options=config.options,
    )
    batches = notifier.batches(config.to) if config.to else ((),)
    storm, budget = config.storm, config.budget
    return Receiver(
        name=config.name,
        notifier=notifier,
        accounts=tuple(replace(base, to=batch) for batch in batches),
        limit=config.segments if notifier.short else notifier.limit,
        language=config.language,
        levels=frozenset(config.levels),
        routes=frozenset(config.routes),
        resolved=config.resolved,
        triage=config.triage,
        resend=config.when_unsure == "resend",
        cooldown=config.cooldown,
        storm=Pace(messages=storm.messages, window=storm.window),
        budget=Pace(messages=budget.messages, window=budget.window) if budget else None,
        digest_every=storm.digest_every,
        listed=config.listed,
        template=config.template,
        body=config.body,
    )


def policy_of(config: settings.ReceiverConfig) -> DeliveryPolicy:
    """Return how one receiver is tried."""
    retry = config.retry
    return DeliveryPolicy(
        timeout=config.timeout,
        parallel=config.parallel,
        backoff=backoff.BackoffRules(base=retry.base, cap=retry.cap),
        breaker=breaker.BreakerRules(
            failures=retry.failures,
            recovery=retry.recovery,
            recovery_cap=max(retry.recovery, retry.cap),
        ),
        give_up=retry.give_up,
    )


def ledger_settings(config: RelayConfig) -> incident_store.IncidentStoreSettings:
    incidents, ask = config.incidents, config.triage
    return incident_store.IncidentStoreSettings(
        flapping=IncidentRules(
            window=incidents.flap_window,
            changes=incidents.flap_changes,
            quiet=incidents.dedup_window,
        ),
        blind=frozenset({*incidents.no_data_alerts, heartbeat.NAME}),
        triage=frozenset(ask.levels),
        asks=ask.enabled,
        triage_per_hour=ask.per_hour,
        triage_per_day=ask.per_day,
        grace=ask.grace,
    )


def model_of(config: settings.TriageConfig) -> triage.Model:
    return triage.Model(
        url=(config.base_url or "").rstrip("/"),
        name=config.model or "",
        key=plain(config.api_key),
        temperature=config.temperature_percent / 100,
        tokens=config.tokens,
        tokens_key=config.tokens_key,
        language=config.language,
        words=config.words,
    )


class Carrier(Protocol):
    """Gives what carries a notifier's requests. No page waits for a connection that is optional."""

    def __call__(self, notifier: Notifier, *, optional: bool = False) -> Fetch: ...


def adviser_of(config: RelayConfig, carrier: Carrier, clock: Clock) -> TriageClient | None:
    """Return who is asked about incidents, None where triage is off."""
    ask = config.triage
    if not ask.enabled:
        return None
    return TriageClient(
        model_of(ask),
        TriageRules(deadline=ask.deadline, evidence_url=ask.evidence_url),
        send=carrier(notifiers.load("webhook"), optional=True),
        clock=clock,
        fence=lambda: f"=== {secrets.token_hex(8)} ===",
    )


@asynccontextmanager
async def sending(config: RelayConfig) -> AsyncIterator[Carrier]:
    """Open what carries requests: two pools for HTTP, the library for whom it speaks."""
    ca_file, most, veil = config.http.ca_file, config.http.connections, veil_of(config)
    async with (
        HttpClient(limit=most, ca_file=ca_file) as pages,
        HttpClient(limit=most, ca_file=ca_file) as others,
    ):

        def carrier(notifier: Notifier, *, optional: bool = False) -> Fetch:
            if notifier.name != "apprise":
                return veiled(others if optional else pages, veil)
            send: Fetch = import_module("exporter.relay.apprise_client").send
            return veiled(send, veil)

        yield carrier


def veil_of(config: RelayConfig) -> Redactor:
    """Return what hides every secret of a config, and those of the environment's proxies."""
    return Redactor([*revealed(config), *environment().secrets])


def veiled(send: Fetch, veil: Redactor) -> Fetch:
    """Hide what we sent from all that reads the answer: services repeat it in errors and ids."""

    async def asked(
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        try:
            answer = await send(
                method, url, headers=headers, timeout=timeout, body_limit=body_limit, body=body
            )
        except FetchFailedError as error:
            detail = veil.over(error.detail)
            raise FetchFailedError(error.reason, detail, error.certificate_end) from None
        text = answer.body.decode("utf-8", "surrogateescape")
        return replace(
            answer,
            headers={name: veil.over(value) for name, value in answer.headers.items()},
            body=veil.over(text).encode("utf-8", "surrogateescape"),
        )

    return asked


# --- one message by hand ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """What came back of a test message: the verdict, and what the provider said word for word."""

    target: str
    outcome: Outcome
    status: int | None
    answer: str


async def try_receiver(config: RelayConfig, name: str) -> list[Tested]:
    """Send one marked test message over a receiver, past the spool. Raises KeyError."""
    found = next((each for each in config.receivers if each.name == name), None)
    if found is None:
        raise KeyError(name)
    receiver, policy, clock = receiver_of(found), policy_of(found), SystemClock()
    results = []
    async with sending(config) as carrier:
        send = carrier(receiver.notifier)
        for account in receiver.accounts:
            note = rendering.compose_test(receiver, clock.wall())[0]
            request = receiver.notifier.request(note, account, str(uuid4()), None)
            target = ",".join(account.to)
            try:
                answer = await send(
                    request.method,
                    request.url,
                    headers=request.headers,
                    timeout=policy.timeout,
                    body_limit=65_536,
                    body=request.body,
                )
            except FetchFailedError as error:
                failed = Retry(error.reason.value)
                results.append(
                    Tested(target=target, outcome=failed, status=None, answer=error.detail)
                )
                continue
            results.append(
                Tested(
                    target=target,
                    outcome=receiver.notifier.parse_response(answer),
                    status=answer.status,
                    answer=answer.body[:2000].decode(errors="replace"),
                )
            )
    return results
