# ruff: noqa: RUF009, SIM905 - `key` gives a dataclass field; a row of words reads better
"""The whole config and the settings that all exchanges share.

Durations are seconds, sizes bytes, shares fractions, whatever the file spells. A new key is one
line; reading, complaints, the JSON Schema and the docs follow from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exporter.config.endpoint import NAME
from exporter.config.exchange import ExchangeConfig
from exporter.config.kinds import (
    Authorities,
    Mistake,
    Reading,
    boolean,
    choice,
    duration,
    integer,
    member,
    ratio,
    size,
    text,
    url,
)
from exporter.config.secret import Secret, SecretKind
from exporter.config.section import REQUIRED, ListKind, Section, TableKind, key
from exporter.config.signals import SIGNAL_TABLE, SignalConfig
from exporter.config.units import format_duration
from exporter.model import QueuePolicy

BUCKETS = ListKind(duration("0.1ms", "5m"), most=40, least=1, unique=None, rising=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbesConfig:
    """How REST endpoints are probed."""

    interval: float = key(duration("100ms", "1d"), "10s", "Time between two probes of an endpoint.")
    timeout: float = key(
        duration("10ms", "5m"), "5s", "Limit of a whole probe; never beyond its interval."
    )
    concurrency: int = key(integer(1, 10_000), 50, "Probes in flight at once, over all exchanges.")
    connections: int = key(integer(1, 10_000), 100, "Open connections, over all hosts.")
    connections_per_host: int = key(integer(1, 1000), 10, "Open connections to one host.")
    dns_cache: float = key(duration("0s", "1h"), "60s", "How long a resolved name is believed.")
    body_limit: int = key(size("1KiB", "64MiB"), "1MiB", "An answer's body is cut here.")
    budget_share: float = key(
        ratio("0.1%", "100%"), "10%", "Share of each exchange's rate limits that probes may use."
    )
    ca_file: str | None = key(
        Authorities(), None, "Authorities to trust instead of the system's, PEM."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamsConfig:
    """How WebSocket streams are consumed."""

    connect_timeout: float = key(
        duration("100ms", "5m"), "10s", "Limit of connecting, TLS included."
    )
    ack_timeout: float = key(
        duration("100ms", "5m"), "10s", "Limit of a subscribe request's answer."
    )
    idle_timeout: float = key(
        duration("1s", "1h"), "30s", "Without any frame for so long, the connection is given up."
    )
    ping_interval: float = key(duration("1s", "1h"), "20s", "Time between our WebSocket pings.")
    ping_timeout: float = key(
        duration("100ms", "5m"), "10s", "Without a pong for so long, the connection is given up."
    )
    compression: bool = key(boolean(), True, "Offer permessage-deflate: less traffic, more CPU.")
    stale_floor: float = key(
        duration("100ms", "1h"), "5s", "Never call a subscription stale after less silence."
    )
    stale_ceiling: float = key(
        duration("1s", "1d"), "5m", "Always call a subscription stale after more silence."
    )
    backoff_base: float = key(
        duration("10ms", "5m"), "500ms", "First bound of the reconnect delay."
    )
    backoff_cap: float = key(duration("100ms", "1h"), "30s", "Last bound of the reconnect delay.")
    queue: int = key(integer(16, 10_000_000), 10_000, "Frames that may wait to be read, a stream.")
    queue_bytes: int = key(
        size("64KiB", "4GiB"), "64MiB", "Bytes that may wait to be read, a stream."
    )
    queue_policy: QueuePolicy = key(
        member(QueuePolicy, QueuePolicy.COALESCE),
        "block",
        "What a full queue does with one frame more; spill needs run's --storage.path.",
    )
    spill_bytes: int = key(
        size("8MiB", "64GiB"), "256MiB", "Bytes on disk that a spilling queue may hold."
    )
    max_message: int = key(size("1KiB", "256MiB"), "4MiB", "A longer message ends the connection.")
    ca_file: str | None = key(
        Authorities(), None, "Authorities to trust instead of the system's, PEM."
    )

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of bounds in the wrong order."""
        for low, high in (("stale_floor", "stale_ceiling"), ("backoff_base", "backoff_cap")):
            found, most = getattr(self, low), getattr(self, high)
            if found > most:
                wrong = f"found {format_duration(found)}, expected at most {high}"
                yield Mistake((low,), f"{wrong}, {format_duration(most)}")
        if self.max_message > self.queue_bytes:
            wrong = "found more than queue_bytes, expected at most that"
            yield Mistake(("max_message",), wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyConfig:
    """How unusual behaviour is told from usual."""

    enabled: bool = key(boolean(), True, "Score signals at all.")
    tick: float = key(duration("100ms", "1m"), "1s", "Time between two samples of all signals.")
    hold: float = key(
        duration("0s", "1h"), "2s", "A score must stay above 1 for so long to open an incident."
    )
    clear: float = key(
        duration("0s", "1h"), "1m", "A score must stay below 0.7 for so long to close it."
    )
    cooldown: float = key(
        duration("0s", "1d"), "5m", "So soon after its end a warning belongs to the same incident."
    )
    baseline: bool = key(
        boolean(), False, "Publish what is expected, too: three series for each signal."
    )
    signals: Mapping[str, SignalConfig] = key(
        SIGNAL_TABLE,
        {},
        "What differs for a signal; `backtest --suggest` proposes it from a capture.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesConfig:
    """How exchanges' prices of one instrument are compared."""

    freshness: float = key(
        duration("100ms", "1h"), "10s", "An exchange without news for so long takes no part."
    )
    peers: int = key(
        integer(1, 100), 2, "Other fresh exchanges that it takes to say which one deviates."
    )
    still: float = key(
        duration("1s", "1d"), "60s", "A price unchanged for so long while its peers move is frozen."
    )
    reference: str = key(
        text("a currency such as USD", r"[A-Z0-9.]{1,20}"),
        "USD",
        "The quote currency that others are held against (a depeg of USDT, say).",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """What is published, and how much of it."""

    series_limit: int = key(
        integer(100, 1_000_000), 15_000, "Series beyond this are refused and counted."
    )
    phases: str = key(
        choice("all", "new"), "all", "Publish phases of all probes, or of new connections only."
    )
    probe_buckets: tuple[float, ...] = key(
        BUCKETS,
        "5ms 10ms 25ms 50ms 75ms 100ms 150ms 250ms 500ms 750ms 1s 2.5s 5s 10s".split(),
        "Upper bounds of the probe duration histogram.",
    )
    latency_buckets: tuple[float, ...] = key(
        BUCKETS,
        "1ms 2ms 3ms 5ms 7.5ms 10ms 15ms 25ms 50ms 75ms 100ms 250ms 500ms 1s 2.5s 10s".split(),
        "Upper bounds of the stream latency histogram.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSection:
    """What the web server allows. Its address and TLS are flags of the command line."""

    connections: int = key(integer(1, 10_000), 128, "Open connections; more are refused.")
    connections_per_client: int = key(
        integer(1, 10_000), 64, "Of one client address; its longest idle one makes room."
    )
    requests_per_second: int = key(
        integer(1, 100_000), 100, "Of one client address; more are answered 429."
    )
    requests: int = key(integer(1, 10_000), 32, "Requests at once; more are answered 503.")
    header_limit: int = key(size("1KiB", "64KiB"), "8KiB", "Longest request line or header.")
    body_limit: int = key(size("1KiB", "16MiB"), "64KiB", "Longest request body.")
    header_timeout: float = key(duration("100ms", "5m"), "5s", "Limit of sending a request's head.")
    request_timeout: float = key(duration("100ms", "10m"), "15s", "Limit of request and answer.")
    idle_timeout: float = key(duration("1s", "1h"), "2m", "An unused connection is closed then.")
    api: bool = key(boolean(), True, "Serve what is known under /api/v1, read only.")
    changes: bool = key(
        boolean(), False, "Allow requests that change something: /-/reload and /api/v1/jobs."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerConfig:
    """An Alertmanager that verdicts are pushed to."""

    url: str = key(url("http", "https"), REQUIRED, "Its base URL; /api/v2/alerts is appended.")
    timeout: float = key(duration("100ms", "1m"), "5s", "Limit of one push.")
    bearer_token: Secret | None = key(SecretKind(), None, "Sent as Authorization: Bearer.")
    username: str | None = key(
        text("printable text without a colon", r"[!-9;-~]{1,200}"),
        None,
        "For basic authentication.",
    )
    password: Secret | None = key(SecretKind(), None, "For basic authentication.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of half a login, and of two."""
        if (self.username is None) != (self.password is None):
            wrong = "found one of username and password, expected both or none"
            yield Mistake((), wrong)
        elif self.password and self.bearer_token:
            wrong = "found beside username and password, expected one of the two"
            yield Mistake(("bearer_token",), wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertingConfig:
    """What the alerts that we push say of themselves, so that they equal those of Prometheus.

    Alertmanager takes alerts with the same labels for one, whoever sent them.
    """

    job: str = key(
        text("printable text of at most 200 characters", r"[ -~]{1,200}"),
        "exchange-exporter",
        "The label job: the name of the scrape job that Prometheus reads us by.",
    )
    external_labels: Mapping[str, str] = key(
        TableKind(
            text("a label name such as cluster", r"[a-zA-Z_][a-zA-Z0-9_]{0,63}"),
            text("printable text of at most 200 characters", r"[ -~]{1,200}"),
            most=20,
        ),
        {},
        "What Prometheus adds to every alert: its global.external_labels.",
    )
    site: str | None = key(
        text("printable text of at most 200 characters", r"[ -~]{1,200}"),
        None,
        "The label site of alerts about one place, where the scrape config sets one.",
    )
    generator_url: str | None = key(
        url("http", "https"), None, "Where people reach our status page: an alert's source link."
    )
    repeat: float = key(
        duration("100ms", "10m"),
        "1m",
        "A firing alert is sent again so often, as a lease of four times that.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlTargetConfig:
    """A place outside all exchanges; when it fails too, the fault is on our side."""

    name: str = key(NAME, REQUIRED, "The label target.")
    url: str = key(url("http", "https"), REQUIRED, "A URL that answers with status 200 or 204.")
    interval: float = key(duration("100ms", "1h"), "5s", "Time between two requests to it.")
    timeout: float = key(duration("10ms", "1m"), "2s", "Limit of a whole request.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What is logged to standard error."""

    level: str = key(choice("debug", "info", "warning", "error"), "info", "The least that is told.")
    format: str = key(choice("logfmt", "json"), "logfmt", "One line an event, in this form.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Configuration of exchange-exporter's `run` command."""

    exchanges: tuple[ExchangeConfig, ...] = key(
        ListKind(Section(ExchangeConfig), most=500, least=1, unique="name"),
        REQUIRED,
        "The exchanges to watch; [{venue: binance, symbols: [BTC-USDT]}] is enough.",
    )
    probes: ProbesConfig = key(Section(ProbesConfig), {}, "How REST endpoints are probed.")
    streams: StreamsConfig = key(Section(StreamsConfig), {}, "How WebSocket streams are consumed.")
    anomaly: AnomalyConfig = key(
        Section(AnomalyConfig), {}, "How unusual behaviour is told from usual."
    )
    prices: PricesConfig = key(Section(PricesConfig), {}, "How exchanges' prices are compared.")
    metrics: MetricsConfig = key(
        Section(MetricsConfig), {}, "What is published, and how much of it."
    )
    server: ServerSection = key(Section(ServerSection), {}, "What the web server allows.")
    alertmanagers: tuple[AlertmanagerConfig, ...] = key(
        ListKind(Section(AlertmanagerConfig), most=20, unique="url"),
        [],
        "Where verdicts are pushed to.",
    )
    alerting: AlertingConfig = key(
        Section(AlertingConfig), {}, "What the alerts that we push look like."
    )
    control_targets: tuple[ControlTargetConfig, ...] = key(
        ListKind(Section(ControlTargetConfig), most=20, unique="name"),
        [],
        "Places outside all exchanges that tell a fault on our side from theirs.",
    )
    log: LogConfig = key(Section(LogConfig), {}, "What is logged.")
