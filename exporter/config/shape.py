# ruff: noqa: RUF009, SIM905 - `key` gives a dataclass field; a row of words reads better
"""The whole config and the settings that all exchanges share.

Durations are seconds, sizes bytes, shares fractions, whatever the file spells. A new key is one
line; reading, complaints, the JSON Schema and the docs follow from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exporter.config.deadlines import DeadlinesConfig
from exporter.config.endpoint import NAME
from exporter.config.exchange import ExchangeConfig
from exporter.config.gates import GateConfig, gate_mistakes
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
from exporter.config.pegs import PegConfig
from exporter.config.secret import Secret, SecretKind
from exporter.config.section import REQUIRED, ListKind, Section, TableKind, key
from exporter.config.server import ServerConfig
from exporter.config.signals import SIGNAL_TABLE, SignalConfig
from exporter.config.units import format_duration
from exporter.config.venue_names import DefinedVenue, VenueFile, as_before
from exporter.model import QueuePolicy

BUCKETS = ListKind(duration("0.1ms", "5m"), most=40, least=1, unique=None, rising=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbesConfig:
    """Probes of REST endpoints."""

    interval: float = key(duration("100ms", "1d"), "10s", "Time between two probes of an endpoint.")
    timeout: float = key(
        duration("10ms", "5m"), "5s", "Timeout of a whole probe; at most its interval."
    )
    concurrency: int = key(
        integer(1, 10_000), 50, "Maximum number of concurrent probes, over all exchanges."
    )
    connections: int = key(
        integer(1, 10_000), 100, "Maximum number of open connections, over all hosts."
    )
    connections_per_host: int = key(
        integer(1, 1000), 10, "Maximum number of open connections to one host."
    )
    dns_cache: float = key(
        duration("0s", "1h"), "60s", "Time for which a resolved host name is cached."
    )
    connection_age: float = key(
        duration("1s", "1d"),
        "5m",
        "Age at which a connection is replaced, plus or minus a fifth, so that a changed address "
        "or certificate is noticed.",
    )
    body_limit: int = key(
        size("1KiB", "64MiB"), "1MiB", "Maximum size of a response body; the rest is not read."
    )
    budget_share: float = key(
        ratio("0.1%", "100%"), "10%", "Share of each exchange's rate limits that probes may use."
    )
    ca_file: str | None = key(
        Authorities(),
        None,
        "PEM file of the certificate authorities to trust, instead of the system's.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamsConfig:
    """WebSocket streams."""

    connect_timeout: float = key(
        duration("100ms", "5m"), "10s", "Timeout of connecting, including TLS."
    )
    ack_timeout: float = key(
        duration("100ms", "5m"), "10s", "Timeout of the answer to a subscribe request."
    )
    idle_timeout: float = key(
        duration("1s", "1h"), "30s", "Time without any frame after which the connection is closed."
    )
    ping_interval: float = key(duration("1s", "1h"), "20s", "Time between two WebSocket pings.")
    ping_timeout: float = key(
        duration("100ms", "5m"), "10s", "Time without a pong after which the connection is closed."
    )
    compression: bool = key(
        boolean(), True, "Offer compression (permessage-deflate): less traffic, more CPU."
    )
    stale_floor: float = key(
        duration("100ms", "1h"),
        "5s",
        "Shortest silence after which a subscription can count as stale.",
    )
    stale_ceiling: float = key(
        duration("1s", "1d"), "5m", "Silence after which a subscription always counts as stale."
    )
    backoff_base: float = key(
        duration("10ms", "5m"), "500ms", "Upper bound of the first reconnect delay."
    )
    backoff_cap: float = key(duration("100ms", "1h"), "30s", "Upper bound of any reconnect delay.")
    queue: int = key(integer(16, 10_000_000), 10_000, "Maximum number of queued frames per stream.")
    queue_bytes: int = key(
        size("64KiB", "4GiB"), "64MiB", "Maximum number of queued bytes per stream."
    )
    queue_policy: QueuePolicy = key(
        member(QueuePolicy),
        "block",
        "What a full queue does; coalesce keeps the newest quote and book snapshot of each topic, "
        "spill requires run's --storage.path.",
    )
    spill_bytes: int = key(
        size("8MiB", "64GiB"), "256MiB", "Maximum size on disk of a spilling queue."
    )
    max_message: int = key(
        size("1KiB", "256MiB"),
        "4MiB",
        "Maximum size of a message; a longer one ends the connection.",
    )
    ca_file: str | None = key(
        Authorities(),
        None,
        "PEM file of the certificate authorities to trust, instead of the system's.",
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
    """Anomaly detection."""

    enabled: bool = key(boolean(), True, "Run the anomaly detection.")
    tick: float = key(duration("100ms", "1m"), "1s", "Time between two samples of all signals.")
    hold: float = key(
        duration("0s", "1h"), "2s", "Time for which a score must stay above 1 to open an incident."
    )
    clear: float = key(
        duration("0s", "1h"),
        "1m",
        "Time for which a score must stay below 0.7 to close the incident.",
    )
    cooldown: float = key(
        duration("0s", "1d"),
        "5m",
        "Time after the end of an incident in which a new warning belongs to the same incident.",
    )
    baseline: bool = key(
        boolean(),
        False,
        "Also publish the expected value and the normal range of each signal: three more series "
        "per signal.",
    )
    signals: Mapping[str, SignalConfig] = key(
        SIGNAL_TABLE,
        {},
        "Settings of single signals; `backtest --suggest` proposes them from a capture.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesConfig:
    """How exchanges' prices of one instrument are compared."""

    freshness: float = key(
        duration("100ms", "1h"),
        "10s",
        "Time without new data after which an exchange is left out of the comparison.",
    )
    peers: int = key(
        integer(1, 100),
        2,
        "Number of other exchanges with fresh data needed to decide which one deviates.",
    )
    still: float = key(
        duration("1s", "1d"),
        "60s",
        "Time after which an unchanged price counts as frozen while other exchanges' prices move.",
    )
    reference: str = key(
        text("a currency such as USD", r"[A-Z0-9.]{1,20}"),
        "USD",
        "Quote currency to compare the others with (to see a depeg of USDT, for example).",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """Published metrics and their limits."""

    series_limit: int = key(
        integer(100, 1_000_000),
        15_000,
        "Maximum number of series; further ones are not published, but counted.",
    )
    symbols: str = key(
        text("all, none, or top: and a number, such as top:20", r"all|none|top:[1-9][0-9]{0,4}"),
        "all",
        "Symbols of each exchange that have series of their own, in the order of the config or of "
        "the pattern. The others share one series with the symbol other: counters are added up, "
        "and it shows the subscription that was silent for longest, the book that is not "
        "synchronized, each mode that any of their markets is in, and the index that is farthest "
        "from spot; prices and funding are left out.",
    )
    phases: str = key(
        choice("all", "new"),
        "all",
        "Publish the phases of all probes, or of those on new connections only.",
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

    @property
    def own_symbols(self) -> int | None:
        """Return how many symbols of an exchange have series of their own, None: all."""
        if self.symbols == "all":
            return None
        return int(self.symbols.removeprefix("top:")) if self.symbols != "none" else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerConfig:
    """An Alertmanager to push the detectors' alerts to."""

    url: str = key(
        url("http", "https", base=True),
        REQUIRED,
        "The base URL of the Alertmanager; /api/v2/alerts is appended.",
    )
    timeout: float = key(duration("100ms", "1m"), "5s", "Timeout of one push.")
    bearer_token: Secret | None = key(
        SecretKind(), None, "Token for the header Authorization: Bearer."
    )
    username: str | None = key(
        text("printable text without a colon", r"[!-9;-~]{1,200}"),
        None,
        "User name for basic authentication.",
    )
    password: Secret | None = key(SecretKind(), None, "Password for basic authentication.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Report an incomplete login, and two logins."""
        if (self.username is None) != (self.password is None):
            wrong = "found one of username and password, expected both or none"
            yield Mistake((), wrong)
        elif self.password and self.bearer_token:
            wrong = "found beside username and password, expected one of the two"
            yield Mistake(("bearer_token",), wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertingConfig:
    """Labels and links of the alerts that the exporter pushes; they must equal those of Prometheus.

    Alertmanager treats alerts with the same labels as one alert, from any sender.
    """

    job: str = key(
        text("printable text of at most 200 characters", r"[ -~]{1,200}"),
        "exchange-exporter",
        "Value of the label job: the name of the scrape job of this exporter in Prometheus.",
    )
    external_labels: Mapping[str, str] = key(
        TableKind(
            text("a label name such as cluster", r"[a-zA-Z_][a-zA-Z0-9_]{0,63}"),
            text("printable text of at most 200 characters", r"[ -~]{1,200}"),
            most=20,
        ),
        {},
        "Labels added to every alert, as Prometheus does: copy its global.external_labels.",
    )
    site: str | None = key(
        text("printable text of at most 200 characters", r"[ -~]{1,200}"),
        None,
        "Value of the label site of alerts about one place, if the scrape config sets it.",
    )
    generator_url: str | None = key(
        url("http", "https"),
        None,
        "URL under which people reach the status page; the source link of alerts.",
    )
    repeat: float = key(
        duration("100ms", "10m"),
        "1m",
        "Interval at which a firing alert is sent again; without it, Alertmanager resolves the "
        "alert after four intervals.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlTargetConfig:
    """A server that belongs to no exchange; if it fails too, the local network is at fault."""

    name: str = key(NAME, REQUIRED, "The value of the label target.")
    url: str = key(url("http", "https"), REQUIRED, "A URL that answers with status 200 or 204.")
    interval: float = key(duration("100ms", "1h"), "5s", "Time between two requests.")
    timeout: float = key(duration("10ms", "1m"), "2s", "Timeout of a whole request.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What is logged to standard error."""

    level: str = key(
        choice("debug", "info", "warning", "error"), "info", "Lowest level that is logged."
    )
    format: str = key(
        choice("logfmt", "json"), "logfmt", "Format of log lines; one line per event."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Configuration of exchange-exporter's `run` command."""

    venue_files: tuple[DefinedVenue, ...] = key(
        ListKind(VenueFile(), most=200, unique="name", or_one=True),
        [],
        "Files that define venues in YAML, relative to the config; see docs/any-exchange.md.",
    )
    exchanges: tuple[ExchangeConfig, ...] = key(
        ListKind(Section(ExchangeConfig), most=500, least=1, unique="name", instead=as_before),
        REQUIRED,
        "The exchanges to watch; [{venue: binance, symbols: [BTC-USDT]}] is enough.",
    )
    probes: ProbesConfig = key(Section(ProbesConfig), {}, "Probes of REST endpoints.")
    streams: StreamsConfig = key(Section(StreamsConfig), {}, "WebSocket streams.")
    anomaly: AnomalyConfig = key(Section(AnomalyConfig), {}, "Anomaly detection.")
    prices: PricesConfig = key(Section(PricesConfig), {}, "Comparison of prices between exchanges.")
    pegs: tuple[PegConfig, ...] = key(
        ListKind(Section(PegConfig), most=100),
        [],
        "What assets should be worth in others, by the prices of all exchanges.",
    )
    metrics: MetricsConfig = key(Section(MetricsConfig), {}, "Published metrics and their limits.")
    server: ServerConfig = key(Section(ServerConfig), {}, "Limits of the web server.")
    alertmanagers: tuple[AlertmanagerConfig, ...] = key(
        ListKind(Section(AlertmanagerConfig), most=20, unique="url"),
        [],
        "Alertmanagers to push the detectors' alerts to.",
    )
    alerting: AlertingConfig = key(
        Section(AlertingConfig), {}, "Labels and links of pushed alerts."
    )
    control_targets: tuple[ControlTargetConfig, ...] = key(
        ListKind(Section(ControlTargetConfig), most=20, unique="name"),
        [],
        "URLs independent of all exchanges; they show whether the local network works.",
    )
    gates: tuple[GateConfig, ...] = key(
        ListKind(Section(GateConfig), most=100, unique="name"),
        [],
        "Gates: whether trading is safe now; /api/v1/gates/NAME answers 200 or 503.",
    )
    deadlines: DeadlinesConfig = key(
        Section(DeadlinesConfig), {}, "Where to look for newer facts about announced ends of APIs."
    )
    log: LogConfig = key(Section(LogConfig), {}, "Logging.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Report gates that require what is not watched."""
        yield from gate_mistakes(self.gates, self.exchanges, reading)
