# ruff: noqa: RUF009 - `key` gives a dataclass field
"""The config of the relay: who is told, in which words, and within which bounds.

Durations are seconds, sizes bytes, whatever the file spells. What a kind of receiver needs is
said by its notifier, which is handed in: this room knows none of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.config import ConfigError, read_as, schema_of, text_of
from exporter.config.kinds import (
    Authorities,
    Mistake,
    Place,
    Reading,
    Schema,
    boolean,
    choice,
    did_you_mean,
    duration,
    found,
    integer,
    member,
    size,
    text,
    url,
)
from exporter.config.secret import Secret, SecretKind
from exporter.config.section import REQUIRED, ListKind, Section, TableKind, key
from exporter.config.shape import LogConfig
from exporter.config.tree import Node, Scalar
from exporter.contracts import Notifier, Venue
from exporter.model import Level

__all__ = ["ConfigError", "ReceiverConfig", "RelayConfig", "json_schema", "load", "read"]

_NAME = text("a name of a-z, 0-9, _ and -", r"[a-z][a-z0-9_-]{0,39}")
_WORD = text("a text of one line", r"[^\x00-\x1f\x7f]{1,200}")
_ALERT = text("the name of an alert", r"[^\x00-\x1f\x7f]{1,200}")
_KEYS: Final = ("url", "token", "user", "sender", "to", "body")
_LONGEST_TEMPLATE: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayReading(Reading):
    """One pass over a relay's config: which kinds of receivers there are, and which languages."""

    notifiers: Mapping[str, Notifier]
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Type:
    """The kind of a receiver: the name of a notifier."""

    def read(self, reading: Reading, place: Place, node: Node) -> str:
        known = reading.notifiers if isinstance(reading, RelayReading) else {}
        if isinstance(node, Scalar) and node.value in known:
            return str(node.value)
        near = did_you_mean(str(getattr(node, "value", "")), known)
        wrong = f"found {found(node)}, expected one of {', '.join(known)}{near}"
        raise reading.complain(node.line, place, wrong)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"$ref": "#/$defs/Notifier"}


@dataclass(frozen=True, slots=True)
class TextFile:
    """The path of a text file, relative to the config; its value is the file's content."""

    def read(self, reading: Reading, place: Place, node: Node) -> str:
        value = getattr(node, "value", None)
        try:
            if not isinstance(value, str):
                raise ValueError("no path")
            with (reading.folder / value).open("rb") as file:
                content = file.read(_LONGEST_TEMPLATE + 1).decode()
            if not content.strip() or len(content) > _LONGEST_TEMPLATE:
                raise ValueError("empty" if not content.strip() else "too long")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not a short text"
            wrong = f"found {found(node)} ({why}), expected a readable file with a template"
            raise reading.complain(node.line, place, wrong) from error
        return content

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StormConfig:
    """When single messages become too many."""

    messages: int = key(integer(1, 10_000), 20, "Messages within the window; then a digest.")
    window: float = key(duration("1s", "1d"), "1m", "The window.")
    digest_every: float = key(duration("1s", "1h"), "1m", "Time between two digests.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig:
    """How many messages there may be at most; what is beyond waits for the next digest."""

    messages: int = key(integer(1, 1_000_000), REQUIRED, "Messages within the window.")
    window: float = key(duration("1m", "31d"), "1d", "The window.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """How a delivery that failed is tried again."""

    base: float = key(duration("10ms", "10m"), "1s", "First bound of the wait.")
    cap: float = key(duration("100ms", "1h"), "30s", "Last bound of the wait.")
    give_up: float = key(duration("1s", "30d"), "1d", "Then it goes to the dead letters.")
    failures: int = key(integer(1, 1000), 5, "In a row; then the receiver is left alone a while.")
    recovery: float = key(duration("100ms", "1h"), "5s", "How long it is left alone at first.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of bounds in the wrong order."""
        if self.base > self.cap:
            yield Mistake(("base",), "found more than cap, expected at most that")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverConfig:
    """Someone to be told."""

    name: str = key(_NAME, REQUIRED, "Its name; the label channel.")
    type: str = key(Type(), REQUIRED, "The service: line, discord, twilio and so on.")
    url: Secret | str | None = key(
        SecretKind(url("http", "https")),
        None,
        "The webhook's address (often a secret), or another base URL of the service.",
    )
    token: Secret | None = key(
        SecretKind(), None, "Access token, bot token, routing key, or key to sign webhooks with."
    )
    user: Secret | str | None = key(SecretKind(_WORD), None, "Account or key SID (Twilio).")
    sender: str | None = key(_WORD, None, "Number or service that messages come from (Twilio).")
    to: tuple[str, ...] = key(
        ListKind(_WORD, most=500, or_one=True), [], "Recipients: user or group ids, chats, numbers."
    )
    options: Mapping[str, str] = key(
        TableKind(text("the name of an option", r"[a-z_]{1,40}"), _WORD, most=20),
        {},
        "Further settings of the service.",
    )
    language: str = key(text("a language code", r"[a-z]{2}"), "en", "Language of its messages.")
    levels: tuple[Level, ...] = key(
        ListKind(member(Level), most=3, least=1),
        ["critical", "warning", "info"],
        "The levels it is told of.",
    )
    routes: tuple[str, ...] = key(
        ListKind(_WORD, most=100), [], "Alertmanager's receivers it serves; none: all of them."
    )
    resolved: bool = key(boolean(), True, "Tell of ends too.")
    triage: bool = key(boolean(), True, "Pass the model's triage on.")
    when_unsure: str = key(
        choice("resend", "give_up"),
        "resend",
        "After a try that may have succeeded, where the service knows no retry key.",
    )
    segments: int = key(integer(1, 10), 1, "SMS segments that a message may take; it is cut.")
    cooldown: float = key(
        duration("0s", "1d"), "1m", "Between two messages of one incident that goes on."
    )
    storm: StormConfig = key(Section(StormConfig), {}, "When single messages become a digest.")
    budget: BudgetConfig | None = key(
        Section(BudgetConfig), None, "How many messages there may be at most."
    )
    listed: int = key(
        integer(1, 500), 30, "Alerts told one by one; of more than that, numbers by name."
    )
    template: str | None = key(TextFile(), None, "Jinja2 file: title in the first line, then text.")
    body: str | None = key(TextFile(), None, "Jinja2 file of the whole request body (webhook).")
    timeout: float = key(duration("100ms", "5m"), "10s", "Limit of one try.")
    parallel: int = key(integer(1, 64), 4, "Incidents told at once.")
    retry: RetryConfig = key(Section(RetryConfig), {}, "How a delivery that failed is tried again.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of what the notifier needs and does not get, or gets and cannot use."""
        if not isinstance(reading, RelayReading):
            return
        notifier = reading.notifiers[self.type]
        taken = notifier.needs | notifier.takes | {"url"}
        for name in _KEYS:
            given = bool(getattr(self, name))
            if name in notifier.needs and not given:
                yield Mistake((name,), f"found no such key, expected one for {self.type}")
            if given and name not in taken:
                yield Mistake((name,), f"found a key that {self.type} has no use for")
        for at, recipient in enumerate(self.to):
            if not re.fullmatch(notifier.recipient, recipient):
                wrong = f"found no recipient of {self.type}, expected {notifier.recipient}"
                yield Mistake(("to", at), wrong)
        for name, value in self.options.items():
            known = notifier.options.get(name)
            if known is None:
                names = ", ".join(notifier.options) or "none"
                yield Mistake(("options", name), f"found an unknown option, expected: {names}")
            elif not re.fullmatch(known, value):
                yield Mistake(("options", name), f"found another form, expected {known}")
        if self.language not in reading.languages:
            wrong = f"found no texts in it, expected one of {', '.join(reading.languages)}"
            yield Mistake(("language",), wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookConfig:
    """Who may post, and how much."""

    bearer_token: Secret | None = key(SecretKind(), None, "Expected as Authorization: Bearer.")
    username: str | None = key(
        text("printable text without a colon", r"[!-9;-~]{1,200}"),
        None,
        "For basic authentication.",
    )
    password: Secret | None = key(SecretKind(), None, "For basic authentication.")
    body_limit: int = key(size("1KiB", "64MiB"), "8MiB", "Longest post.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of half a login, and of two."""
        if (self.username is None) != (self.password is None):
            yield Mistake((), "found one of username and password, expected both or none")
        elif self.password and self.bearer_token:
            wrong = "found beside username and password, expected one of the two"
            yield Mistake(("bearer_token",), wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolConfig:
    """Where messages wait until they are delivered, and are remembered."""

    path: str = key(_WORD, "relay.db", "SQLite file, relative to the config; made if absent.")
    size: int = key(size("64KiB", "64GiB"), "512MiB", "Its bound; 503 when there is no room.")
    keep: float = key(duration("1h", "3650d"), "30d", "How long what ended is remembered.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentsConfig:
    """How alerts become incidents."""

    dedup_window: float = key(
        duration("1s", "1d"), "5m", "The same alert again within it is dropped and counted."
    )
    flap_window: float = key(
        duration("1s", "1d"), "10m", "A start so soon after the end continues the incident."
    )
    flap_changes: int = key(
        integer(2, 100), 4, "Starts and ends within the window that make it flapping."
    )
    no_data_alerts: tuple[str, ...] = key(
        ListKind(_ALERT, most=100),
        ["ExchangeExporterDown", "DatasourceNoData"],
        "While one of them fires, what ends is lost rather than resolved.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatConfig:
    """Signs of life: of the path to the relay, and of the relay."""

    enabled: bool = key(boolean(), True, "Page by itself when the watchdog alert is silent.")
    alertname: str = key(_ALERT, "Watchdog", "The alert that fires always.")
    timeout: float = key(duration("1s", "1d"), "5m", "Its longest silence.")
    ping_url: Secret | str | None = key(
        SecretKind(url("http", "https")), None, "Asked with GET while the relay works."
    )
    ping_every: float = key(duration("1s", "1d"), "1m", "Time between two such requests.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageConfig:
    """What a model thinks of urgent incidents; no page waits for it."""

    enabled: bool = key(boolean(), False, "Ask at all.")
    base_url: str | None = key(
        url("http", "https"), None, "OpenAI-compatible API; alerts leave the house for it."
    )
    model: str | None = key(_WORD, None, "The model's name.")
    api_key: Secret | None = key(SecretKind(), None, "Its API key.")
    levels: tuple[Level, ...] = key(
        ListKind(member(Level), most=3, least=1), ["critical"], "The levels it is asked about."
    )
    temperature_percent: int = key(integer(0, 200), 30, "Hundred times the temperature.")
    tokens: int = key(integer(16, 8192), 200, "The most tokens of an answer.")
    tokens_key: str = key(
        choice("max_tokens", "max_completion_tokens"), "max_tokens", "What the API calls that."
    )
    language: str = key(choice("en", "th", "zh", "ja"), "en", "Language of the answer.")
    words: int = key(
        integer(10, 1000), 100, "The most words; where there are no spaces, as many characters as"
        " they take."
    )  # fmt: skip
    deadline: float = key(duration("100ms", "5m"), "20s", "Limit of all of it.")
    grace: float = key(
        duration("0s", "30s"), "1.5s", "A billed message waits so long for it, no other does."
    )
    per_hour: int = key(integer(0, 10_000), 20, "Questions an hour.")
    per_day: int = key(integer(0, 100_000), 100, "Questions a day.")
    evidence_url: str | None = key(
        url("http", "https"), None, "An exporter that is asked what it knows of the exchange."
    )

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of a model that nobody named: no third party gets alerts by default."""
        for name in ("base_url", "model") if self.enabled else ():
            if getattr(self, name) is None:
                yield Mistake((name,), "found no such key, expected one where enabled is true")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """How services are reached."""

    ca_file: str | None = key(
        Authorities(), None, "Authorities to trust instead of the system's, PEM."
    )
    connections: int = key(integer(1, 10_000), 100, "Open connections, over all services.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayServerSection:
    """What the web server allows. Its address and TLS are flags of the command line."""

    connections: int = key(integer(1, 10_000), 512, "Open connections; more are refused.")
    connections_per_client: int = key(
        integer(1, 10_000), 256, "Of one client address; its longest idle one makes room."
    )
    requests_per_second: int = key(
        integer(1, 100_000), 1000, "Of one client address; more are answered 429."
    )
    requests: int = key(integer(1, 10_000), 256, "Requests at once; more are answered 503.")
    header_limit: int = key(size("1KiB", "64KiB"), "8KiB", "Longest request line or header.")
    header_timeout: float = key(duration("100ms", "5m"), "5s", "Limit of sending a request's head.")
    request_timeout: float = key(duration("6s", "10m"), "15s", "Limit of request and answer.")
    idle_timeout: float = key(duration("1s", "1h"), "2m", "An unused connection is closed then.")
    changes: bool = key(boolean(), False, "Allow /-/reload.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig:
    """Configuration of exchange-exporter's `relay` command."""

    receivers: tuple[ReceiverConfig, ...] = key(
        ListKind(Section(ReceiverConfig), most=100, least=1, unique="name"),
        REQUIRED,
        "Who is told.",
    )
    intake: WebhookConfig = key(Section(WebhookConfig), {}, "Who may post, and how much.")
    spool: SpoolConfig = key(Section(SpoolConfig), {}, "Where messages wait.")
    incidents: IncidentsConfig = key(Section(IncidentsConfig), {}, "How alerts become incidents.")
    heartbeat: HeartbeatConfig = key(Section(HeartbeatConfig), {}, "Signs of life.")
    triage: TriageConfig = key(
        Section(TriageConfig), {}, "What a model thinks of urgent incidents."
    )
    http: HttpConfig = key(Section(HttpConfig), {}, "How services are reached.")
    server: RelayServerSection = key(Section(RelayServerSection), {}, "Bounds of the web server.")
    log: LogConfig = key(Section(LogConfig), {}, "What is logged.")


def _no_venue(name: str) -> Venue:
    raise KeyError(name)


def load(
    file: str | Path,
    notifiers: Mapping[str, Notifier],
    languages: tuple[str, ...],
    environ: Mapping[str, str] = os.environ,
) -> RelayConfig:
    """Read a relay's config file. Raises ConfigError."""
    return read(text_of(file), str(file), notifiers, languages, environ)


def read(
    text: str,
    name: str,
    notifiers: Mapping[str, Notifier],
    languages: tuple[str, ...],
    environ: Mapping[str, str] = os.environ,
) -> RelayConfig:
    """Read a relay's config text; ``name`` is its file's, for complaints. Raises ConfigError."""
    reading = RelayReading(
        folder=Path(name).parent,
        environ=environ,
        venues=(),
        venue=_no_venue,
        notifiers=notifiers,
        languages=languages,
    )
    return read_as(RelayConfig, text, name, reading, "receivers: [{name: ..., type: ...}]")


def json_schema(notifiers: tuple[str, ...]) -> Schema:
    """Describe the config as JSON Schema, so that editors complete and check it."""
    definitions: dict[str, Schema] = {"Notifier": {"enum": sorted(notifiers)}}
    return schema_of(RelayConfig, "exchange-exporter relay config", definitions)
