# ruff: noqa: RUF009 - `key` gives a dataclass field
"""The config of the relay: receivers, texts and limits.

Durations are seconds, sizes bytes, whatever the file spells. What a type of receiver needs is
declared by its notifier; notifiers are passed in as an argument, and this module names none of
them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from exporter.config import ConfigError, read_as, schema_of, text_of
from exporter.config.kinds import (
    HIDDEN,
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
from exporter.config.server import RelayServerConfig
from exporter.config.shape import LogConfig
from exporter.config.tree import Node, Scalar
from exporter.contracts import Notifier, Venue
from exporter.notification import Level

__all__ = ["ConfigError", "ReceiverConfig", "RelayConfig", "json_schema", "load", "read"]

_NAME = text("a name of a-z, 0-9, _ and -", r"[a-z][a-z0-9_-]{0,39}")
_WORD = text("a text of one line", r"[^\x00-\x1f\x7f]{1,200}")
_ALERT = text("the name of an alert", r"[^\x00-\x1f\x7f]{1,200}")
_KEYS: Final = ("url", "token", "user", "sender", "to", "body")
# Query parameters that contain a secret.
_SECRET_QUERY: Final = re.compile(r"(?i)(^|&)([\w-]*(key|token|secret|signature|password)|sig)=.")
_LONGEST_TEMPLATE: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayReading(Reading):
    """One pass over a relay's config, with the known notifiers and languages."""

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
    """When to combine messages into digests."""

    messages: int = key(
        integer(1, 10_000),
        20,
        "Number of messages in the window; further ones are combined into a digest.",
    )
    window: float = key(duration("1s", "1d"), "1m", "Length of the window.")
    digest_every: float = key(duration("1s", "1h"), "1m", "Time between two digests.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig:
    """Maximum number of messages; further ones wait for the next digest."""

    messages: int = key(
        integer(1, 1_000_000), REQUIRED, "Maximum number of messages in the window."
    )
    window: float = key(duration("1m", "31d"), "1d", "Length of the window.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """Retries of failed deliveries."""

    base: float = key(duration("10ms", "10m"), "1s", "Upper bound of the first delay.")
    cap: float = key(duration("100ms", "1h"), "30s", "Upper bound of any delay.")
    give_up: float = key(
        duration("1s", "30d"), "1d", "Time after which the message becomes a dead letter."
    )
    failures: int = key(
        integer(1, 1000),
        5,
        "Consecutive failures after which deliveries to the receiver pause.",
    )
    recovery: float = key(
        duration("100ms", "1h"),
        "5s",
        "Length of the first pause; doubles after each further failure.",
    )

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Report bounds in the wrong order."""
        if self.base > self.cap:
            yield Mistake(("base",), "found more than cap, expected at most that")


def _is_secret(url: str, paths: str) -> bool:
    """Return whether anyone who knows the URL can post; URLs of this machine are no secret."""
    parts = urlsplit(url)
    if parts.hostname in ("localhost", "::1") or str(parts.hostname).startswith("127."):
        return False
    path = bool(paths) and re.fullmatch(paths, parts.path) is not None
    return path or _SECRET_QUERY.search(parts.query) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverConfig:
    """A receiver of messages."""

    name: str = key(_NAME, REQUIRED, "The name of the receiver; value of the label channel.")
    type: str = key(Type(), REQUIRED, "The service: line, discord, twilio and so on.")
    url: Secret | str | None = key(
        SecretKind(url("http", "https")),
        None,
        "URL of the webhook (often a secret), or another base URL of the service.",
    )
    token: Secret | None = key(
        SecretKind(), None, "Access token, bot token, routing key, or key to sign webhooks with."
    )
    user: Secret | str | None = key(
        SecretKind(_WORD), None, "SID of the account or of the API key (Twilio)."
    )
    sender: str | None = key(
        _WORD, None, "Phone number or messaging service to send from (Twilio)."
    )
    to: tuple[str, ...] = key(
        ListKind(_WORD, most=500, or_one=True),
        [],
        "Recipients: ids of users, groups or chats, or phone numbers.",
    )
    options: Mapping[str, str] = key(
        TableKind(text("the name of an option", r"[a-z_]{1,40}"), _WORD, most=20),
        {},
        "Further settings of the service.",
    )
    language: str = key(text("a language code", r"[a-z]{2}"), "en", "Language of the messages.")
    levels: tuple[Level, ...] = key(
        ListKind(member(Level), most=3, least=1),
        ["critical", "warning", "info"],
        "Severities to send.",
    )
    routes: tuple[str, ...] = key(
        ListKind(_WORD, most=100), [], "Names of the Alertmanager receivers to serve. Default: all."
    )
    resolved: bool = key(boolean(), True, "Also send a message when an incident ends.")
    triage: bool = key(boolean(), True, "Add the model's triage to messages.")
    when_unsure: str = key(
        choice("resend", "give_up"),
        "resend",
        "What to do after an attempt that may have succeeded, if the service has no idempotency "
        "key.",
    )
    segments: int = key(
        integer(1, 10), 1, "Maximum number of SMS segments of a message; a longer one is cut."
    )
    cooldown: float = key(
        duration("0s", "1d"), "1m", "Minimum time between two messages about the same incident."
    )
    storm: StormConfig = key(
        Section(StormConfig),
        {},
        "Number of messages after which further ones are combined into a digest.",
    )
    budget: BudgetConfig | None = key(Section(BudgetConfig), None, "Maximum number of messages.")
    listed: int = key(
        integer(1, 500),
        30,
        "Maximum number of alerts listed one by one; above that, counts by name.",
    )
    template: str | None = key(
        TextFile(), None, "Jinja2 template file: title in the first line, then text."
    )
    body: str | None = key(
        TextFile(), None, "Jinja2 template file of the whole request body (webhook)."
    )
    timeout: float = key(duration("100ms", "5m"), "10s", "Timeout of one attempt.")
    parallel: int = key(integer(1, 64), 4, "Maximum number of concurrent deliveries.")
    retry: RetryConfig = key(Section(RetryConfig), {}, "Retries of failed deliveries.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Report keys that the notifier needs and does not get, or gets and cannot use."""
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
        if isinstance(self.url, str) and _is_secret(self.url, notifier.capability_paths):
            wrong = f"found {HIDDEN}, expected {{env: NAME}} or {{file: PATH}}: who has it can post"
            yield Mistake(("url",), wrong)
        for at, recipient in enumerate(self.to):
            if not re.fullmatch(notifier.recipient, recipient):
                wrong = f"found no recipient of {self.type}, expected {notifier.recipients}"
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
    """Incoming posts: authentication and size."""

    bearer_token: Secret | None = key(
        SecretKind(), None, "Token expected as Authorization: Bearer."
    )
    username: str | None = key(
        text("printable text without a colon", r"[!-9;-~]{1,200}"),
        None,
        "User name for basic authentication.",
    )
    password: Secret | None = key(SecretKind(), None, "Password for basic authentication.")
    body_limit: int = key(size("1KiB", "64MiB"), "8MiB", "Maximum size of a post.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Report an incomplete login, and two logins."""
        if (self.username is None) != (self.password is None):
            yield Mistake((), "found one of username and password, expected both or none")
        elif self.password and self.bearer_token:
            wrong = "found beside username and password, expected one of the two"
            yield Mistake(("bearer_token",), wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolConfig:
    """Storage of incidents and messages."""

    path: str = key(_WORD, "relay.db", "SQLite file, relative to the config; created if missing.")
    size: int = key(
        size("64KiB", "64GiB"),
        "512MiB",
        "Maximum size of the file; posts are answered 503 when it is full.",
    )
    keep: float = key(
        duration("1h", "3650d"),
        "30d",
        "Time for which delivered messages and ended incidents are kept.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentsConfig:
    """Grouping of alerts into incidents."""

    dedup_window: float = key(
        duration("1s", "1d"), "5m", "Time within which a repeated alert is dropped and counted."
    )
    flap_window: float = key(
        duration("1s", "1d"),
        "10m",
        "Time after the end of an incident in which a new start continues it.",
    )
    flap_changes: int = key(
        integer(2, 100),
        4,
        "Number of starts and ends within the window from which an incident is flapping.",
    )
    no_data_alerts: tuple[str, ...] = key(
        ListKind(_ALERT, most=100),
        ["ExchangeExporterDown", "DatasourceNoData", "DatasourceError"],
        "Alerts that mean loss of data: while one of them fires, an alert that ends is reported "
        "as lost, not as resolved.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatConfig:
    """Heartbeats: from Alertmanager to the relay, and from the relay to a monitoring service."""

    enabled: bool = key(boolean(), True, "Send a page when the watchdog alert is missing.")
    alertname: str = key(_ALERT, "Watchdog", "Name of the alert that always fires.")
    timeout: float = key(duration("1s", "1d"), "5m", "Maximum time without the watchdog alert.")
    ping_url: Secret | str | None = key(
        SecretKind(url("http", "https")),
        None,
        "URL to request with GET while the relay works (a dead man's switch).",
    )
    ping_every: float = key(duration("1s", "1d"), "1m", "Time between two of these requests.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageConfig:
    """Triage of urgent incidents by a language model; deliveries do not wait for it."""

    enabled: bool = key(boolean(), False, "Request triages.")
    base_url: str | None = key(
        url("http", "https"),
        None,
        "Base URL of an OpenAI-compatible API; alert texts are sent there.",
    )
    model: str | None = key(_WORD, None, "Name of the model.")
    api_key: Secret | None = key(SecretKind(), None, "API key.")
    levels: tuple[Level, ...] = key(
        ListKind(member(Level), most=3, least=1),
        ["critical"],
        "Severities for which a triage is requested.",
    )
    temperature_percent: int = key(integer(0, 200), 30, "Temperature of the model, times 100.")
    tokens: int = key(integer(16, 8192), 200, "Maximum number of tokens of an answer.")
    tokens_key: str = key(
        choice("max_tokens", "max_completion_tokens"),
        "max_tokens",
        "Name of the API's parameter for that number.",
    )
    language: str = key(choice("en", "th", "zh", "ja"), "en", "Language of the answer.")
    words: int = key(
        integer(10, 1000), 100, "Maximum number of words; for languages without spaces, the "
                                "equivalent number of characters."
    )  # fmt: skip
    deadline: float = key(duration("100ms", "5m"), "20s", "Timeout of a triage.")
    grace: float = key(
        duration("0s", "30s"),
        "1.5s",
        "Time for which a message that costs money waits for the triage; other messages are sent "
        "at once and edited later.",
    )
    per_hour: int = key(integer(0, 10_000), 20, "Maximum number of requests per hour.")
    per_day: int = key(integer(0, 100_000), 100, "Maximum number of requests per day.")
    evidence_url: str | None = key(
        url("http", "https"),
        None,
        "Base URL of an exporter; its state of the exchange is given to the model.",
    )

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Report a missing model: no third party gets alerts by default."""
        for name in ("base_url", "model") if self.enabled else ():
            if getattr(self, name) is None:
                yield Mistake((name,), "found no such key, expected one where enabled is true")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """HTTP connections to services."""

    ca_file: str | None = key(
        Authorities(),
        None,
        "PEM file of the certificate authorities to trust, instead of the system's.",
    )
    connections: int = key(
        integer(1, 10_000), 100, "Maximum number of open connections, over all services."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig:
    """Configuration of exchange-exporter's `relay` command."""

    receivers: tuple[ReceiverConfig, ...] = key(
        ListKind(Section(ReceiverConfig), most=100, least=1, unique="name"),
        REQUIRED,
        "The receivers of messages.",
    )
    intake: WebhookConfig = key(
        Section(WebhookConfig), {}, "Incoming posts: authentication and size."
    )
    spool: SpoolConfig = key(Section(SpoolConfig), {}, "Storage of incidents and messages.")
    incidents: IncidentsConfig = key(
        Section(IncidentsConfig), {}, "Grouping of alerts into incidents."
    )
    heartbeat: HeartbeatConfig = key(
        Section(HeartbeatConfig), {}, "Heartbeats: the watchdog alert, and the outbound heartbeat."
    )
    triage: TriageConfig = key(
        Section(TriageConfig), {}, "Triage of urgent incidents by a language model."
    )
    http: HttpConfig = key(Section(HttpConfig), {}, "HTTP connections to services.")
    server: RelayServerConfig = key(Section(RelayServerConfig), {}, "Limits of the web server.")
    log: LogConfig = key(Section(LogConfig), {}, "Logging.")


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
