"""`relay triage`: what a model is asked about a stored incident, and what it answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec

from exporter.clock import SystemClock
from exporter.decoding import ParseError
from exporter.notification import HttpRequest
from exporter.relay import incident_store, store, webhook
from exporter.relay.config import RelayConfig
from exporter.relay.incident import Incident, IncidentRules, advance
from exporter.relay.settings import adviser_of, sending, veil_of
from exporter.relay.triage_client import Advice
from exporter.words import why

_SPOOL = b"SQLite format 3\0"
_LONGEST = 64 * 1024 * 1024  # bytes of a post


class NoIncidentError(Exception):
    """The file holds no such incident; the text says why."""


def read(path: Path, wanted: str | None, now: float) -> Incident:
    """Read an incident: of a relay's spool the newest or the one ``wanted``, else of a post.

    ``now`` in epoch seconds. Raises NoIncidentError.
    """
    try:
        with path.open("rb") as file:
            body = file.read(len(_SPOOL))
            if body == _SPOOL:
                return _kept(path, wanted)
            body += file.read(_LONGEST)
        if len(body) > _LONGEST:
            raise NoIncidentError(f"{path}: larger than {_LONGEST >> 20} MiB, and no spool")
        return _posted(body, now)
    except (OSError, sqlite3.Error, ParseError, msgspec.MsgspecError) as error:
        raise NoIncidentError(f"{why(error, path)}") from error


def _kept(path: Path, wanted: str | None) -> Incident:
    db = store.connect(path)
    try:
        rows = [incident_store.one(db, wanted)] if wanted else incident_store.recent(db, 1)
    finally:
        db.close()
    found = next((each for each in rows if each is not None), None)
    if found is None:
        raise NoIncidentError(f"{path}: no incident {wanted or 'at all'}")
    return found


def _posted(body: bytes, now: float) -> Incident:
    try:
        post = webhook.read(body, now)
    except ParseError:
        if b"title" not in body.replace(b"\0", b""):  # of UTF-16
            raise
        post = webhook.read_plain(body, now)
    incident, _ = advance(
        None,
        post.alerts,
        group=post.group,
        serial=1,
        now=now,
        rules=IncidentRules(),
        more=post.more,
        sender=post.sender,
        whole=post.whole,
    )
    if incident is None:
        raise NoIncidentError("no alert in it is firing")
    return incident


async def ask(config: RelayConfig, incident: Incident, say: Callable[[str], None]) -> Advice | None:
    """Ask the config's model as the relay would, and say prompt and answer; None: triage is off."""
    async with sending(config) as carrier:
        adviser = adviser_of(config, carrier, SystemClock())
        if adviser is None:
            return None

        def asked(request: HttpRequest) -> None:
            for message in msgspec.json.decode(request.body or b"{}")["messages"]:
                say(f"--- {message['role']}")
                for line in message["content"].splitlines():
                    say(line)

        advice = await adviser.ask(incident, asked)
    say(f"--- answer: {advice.outcome.value} after {advice.seconds:.1f} s")
    if advice.found is None:
        say(advice.reason)
        return advice
    veil = veil_of(config)
    for name, text in advice.found.parts.items():
        say(f"{name}: {veil.over(text)}")
    say(f"tokens: {advice.found.prompt_tokens} asked, {advice.found.completion_tokens} answered")
    return advice
