"""Every public metric family, by topic: name, meaning, labels, buckets.

A name here is a contract with dashboards, rules and users. HELP says which instants a clock
spans. Label values come from the config or from the enums below and in `exporter.model`.
"""

from __future__ import annotations

from enum import StrEnum

from exporter.model import Family


class ProbeOutcome(StrEnum):
    """How a probe or an attempt to connect ended; the labels ``outcome`` and ``result``."""

    SUCCESS = "success"
    FAILURE = "failure"


class Connection(StrEnum):
    """Whether a request had to open its connection; the label ``connection``."""

    NEW = "new"
    REUSED = "reused"


class FrameKind(StrEnum):
    """What a message carries; the label ``kind``."""

    DATA = "data"
    CONTROL = "control"


class ProcessingStage(StrEnum):
    """Our own work on a frame; the label ``stage``."""

    DECODE = "decode"
    APPLY = "apply"


class Dropped(StrEnum):
    """What a full queue gave up; the label ``policy``."""

    OLDEST = "oldest"
    NEWEST = "newest"
    COALESCED = "coalesced"


class MaintenanceSource(StrEnum):
    """Who announced a maintenance; the label ``source``."""

    VENUE = "venue"
    CONFIG = "config"
    STATUS_PAGE = "status_page"


def _counter(name: str, text: str, *labels: str) -> Family:
    return Family(name=name, kind="counter", help=text, labels=labels)


def _gauge(name: str, text: str, *labels: str) -> Family:
    return Family(name=name, kind="gauge", help=text, labels=labels)


def _info(name: str, text: str, *labels: str) -> Family:
    return Family(name=name, kind="info", help=text, labels=labels)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Family:
    return Family(name=name, kind="histogram", help=text, labels=labels, buckets=buckets)


# --- probes -----------------------------------------------------------------------------------

_REQUEST = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
_REQUEST_PHASE = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0)

PROBE_SUCCESS = _gauge(
    "exchange_probe_success",
    "Whether the endpoint's last probe succeeded (1) or not (0); absent if it ended more than two "
    "intervals ago, except for a failure while the open circuit breaker prevents new probes.",
    "exchange",
    "endpoint",
)
PROBES = _counter(
    "exchange_probes_total",
    "Completed probes, by outcome; skipped probes are not included.",
    "exchange",
    "endpoint",
    "outcome",
)
PROBE_FAILURES = _counter(
    "exchange_probe_failures_total",
    "Failed probes, by the first error.",
    "exchange",
    "endpoint",
    "reason",
)
PROBE_SKIPPED = _counter(
    "exchange_probe_skipped_total",
    "Due probes that were not sent, by reason.",
    "exchange",
    "endpoint",
    "reason",
)
PROBE_DURATION = _histogram(
    "exchange_probe_duration_seconds",
    "Duration of answered probes, from the start of the request (before name resolution) "
    "to the last byte of the body; for new connections this includes connection setup.",
    _REQUEST,
    "exchange",
    "endpoint",
    "connection",
)
PROBE_PHASE_DURATION = _histogram(
    "exchange_probe_phase_duration_seconds",
    "Duration of each phase of answered probes: resolve, connect and tls (new connections"
    " only), processing from the last byte of the request to the first byte of the "
    "response, transfer from there to the last byte of the body.",
    _REQUEST_PHASE,
    "exchange",
    "endpoint",
    "phase",
)
PROBE_LAST_SUCCESS = _gauge(
    "exchange_probe_last_success_timestamp_seconds",
    "End time of the last successful probe, by the local clock; absent before the first success.",
    "exchange",
    "endpoint",
)
PROBE_RESPONSES = _counter(
    "exchange_probe_http_responses_total",
    "Responses by HTTP status code: the first 11 codes of an endpoint exactly, any "
    "further code as other.",
    "exchange",
    "endpoint",
    "code",
)
PROBE_CERTIFICATE_END = _gauge(
    "exchange_probe_tls_cert_not_after_timestamp_seconds",
    "Expiry time of the last certificate seen; kept after the expiry and after failed handshakes.",
    "exchange",
    "endpoint",
)
PROBE_CHAIN_END = _gauge(
    "exchange_probe_tls_chain_not_after_timestamp_seconds",
    "End of validity of the certificate in the server's chain that expires first.",
    "exchange",
    "endpoint",
)
PROBE_ADDRESSES = _gauge(
    "exchange_probe_resolved_addresses",
    "Number of addresses in the last resolution of the endpoint's host name.",
    "exchange",
    "endpoint",
)
PROBE_ADDRESS_CHANGES = _counter(
    "exchange_probe_address_changes_total",
    "Times the set of resolved addresses differed from the previous one.",
    "exchange",
    "endpoint",
)

# --- breakers, limits, maintenance, clock ------------------------------------------------------

BREAKER_STATE = _gauge(
    "exchange_circuit_breaker_state",
    "State of the endpoint's circuit breaker: 1 for the current state, 0 for the others.",
    "exchange",
    "endpoint",
    "state",
)
BREAKER_TRANSITIONS = _counter(
    "exchange_circuit_breaker_transitions_total",
    "Transitions of the endpoint's circuit breaker, by the state entered.",
    "exchange",
    "endpoint",
    "to",
)
RATE_LIMIT_USED = _gauge(
    "exchange_rate_limit_used_ratio",
    "Used share of the venue's request weight in the current window: from the venue's "
    "headers if it sends them, otherwise from the local count.",
    "exchange",
    "limit",
)
RATE_LIMIT_BANNED_UNTIL = _gauge(
    "exchange_rate_limit_banned_until_timestamp_seconds",
    "End of the ban imposed by the venue (Retry-After of a 418 or 429 response), by the "
    "local clock.",
    "exchange",
)
MAINTENANCE_ACTIVE = _gauge(
    "exchange_maintenance_active",
    "Whether a maintenance is in progress (1) or not (0), by source of the announcement.",
    "exchange",
    "source",
)
TRADING_MODE = _gauge(
    "exchange_trading_mode",
    "Trading mode published by the venue: 1 for the current mode, 0 for the others; "
    "absent if the venue publishes none. Of modes per market the most restricted one among the "
    "configured symbols. A restricted mode is not a maintenance.",
    "exchange",
    "mode",
)
MAINTENANCE_END = _gauge(
    "exchange_maintenance_end_timestamp_seconds",
    "Announced end of the current maintenance; absent if no end was announced.",
    "exchange",
)
MAINTENANCE_START = _gauge(
    "exchange_maintenance_start_timestamp_seconds",
    "Start of the next maintenance that the venue has announced; absent if none is announced.",
    "exchange",
)
INCIDENT_ACTIVE = _gauge(
    "exchange_incident_active",
    "Whether the venue itself reports an unplanned incident (1) or none (0); absent until it was "
    "asked. An incident is not a maintenance.",
    "exchange",
)
CLOCK_OFFSET = _gauge(
    "exchange_clock_offset_seconds",
    "Venue clock minus local clock, measured by the probe with the shortest round trip in"
    " the window.",
    "exchange",
)
CLOCK_OFFSET_ERROR = _gauge(
    "exchange_clock_offset_error_seconds",
    "Largest possible error of the clock offset: half of the round trip it was measured with.",
    "exchange",
)

# --- gates ------------------------------------------------------------------------------------

GATE_WAITING = "open_after"  # the label `reason` while all is well, and must stay so for a while
GATE_OPEN = _gauge(
    "exchange_gate_open",
    "Whether a gate is open (1) or closed (0), as last decided: whether one may trade on its "
    "exchanges and symbols now.",
    "gate",
)
GATE_CLOSED = _counter(
    "exchange_gate_closed_seconds_total",
    "Time for which a gate was closed, by what closed it: a need, or open_after while all was well "
    "again. Several at a time count each.",
    "gate",
    "reason",
)
GATE_CHANGES = _counter(
    "exchange_gate_changes_total",
    "How often a gate opened or closed.",
    "gate",
)

# --- streams ----------------------------------------------------------------------------------

_ONE_WAY = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03,
    0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0,
)  # fmt: skip

STREAM_CONNECTED = _gauge(
    "exchange_stream_connected",
    "Whether the stream's connection is open (1) or not (0); says nothing about its data.",
    "exchange",
    "stream",
)
STREAM_CONNECTS = _counter(
    "exchange_stream_connects_total",
    "Attempts to open the stream's connection, by result.",
    "exchange",
    "stream",
    "result",
)
STREAM_DISCONNECTS = _counter(
    "exchange_stream_disconnects_total",
    "Ended connections, by reason; planned and shutdown are not failures.",
    "exchange",
    "stream",
    "reason",
)
STREAM_CONNECTED_SECONDS = _counter(
    "exchange_stream_connected_seconds_total",
    "Time during which the stream's connection was open, from the end of the handshake to"
    " the close; increases while it is open.",
    "exchange",
    "stream",
)
STREAM_CONNECTION_START = _gauge(
    "exchange_stream_connection_start_timestamp_seconds",
    "Time at which the open connection completed its handshake, by the local clock; "
    "absent without a connection.",
    "exchange",
    "stream",
)
STREAM_SUBSCRIPTIONS = _gauge(
    "exchange_stream_subscriptions",
    "Subscriptions by state; each is in exactly one.",
    "exchange",
    "stream",
    "state",
)
STREAM_MESSAGES = _counter(
    "exchange_stream_messages_total",
    "Decoded messages: market data, or control (acknowledgements, heartbeats, status), "
    "which belongs to a connection and is counted under its first channel.",
    "exchange",
    "channel",
    "kind",
)
STREAM_RECEIVED_BYTES = _counter(
    "exchange_stream_received_bytes_total",
    "Bytes of received messages, after the connection's decompression and before the venue's own.",
    "exchange",
    "stream",
)
STREAM_LAST_MESSAGE = _gauge(
    "exchange_stream_last_message_timestamp_seconds",
    "Time at which the last market data of the subscription was read from the network, by"
    " the local clock; the time of subscribing before the first data.",
    "exchange",
    "channel",
    "symbol",
)
STREAM_STALE_AFTER = _gauge(
    "exchange_stream_stale_after_seconds",
    "Silence after which the subscription counts as stale.",
    "exchange",
    "channel",
    "symbol",
)
STREAM_CROSS_CHECKS = _counter(
    "exchange_stream_cross_checks_total",
    "REST checks of subscriptions that were silent for longer than usual, by verdict. "
    "moved: the market had news that the stream did not deliver; quiet: it had none; "
    "unknown: no answer, or an unreadable one. Only if cross_check is configured.",
    "exchange",
    "channel",
    "symbol",
    "verdict",
)
STREAM_VALUE_LAST_CHANGE = _gauge(
    "exchange_stream_value_last_change_timestamp_seconds",
    "Time of the last price change, by the local clock.",
    "exchange",
    "symbol",
)
STREAM_LATENCY = _histogram(
    "exchange_stream_latency_seconds",
    "Time from the venue's timestamp in the message to reading it from the network, "
    "corrected by exchange_clock_offset_seconds once that is known; negative values are "
    "counted separately.",
    _ONE_WAY,
    "exchange",
    "channel",
)
STREAM_LATENCY_NEGATIVE = _counter(
    "exchange_stream_latency_negative_total",
    "Messages with an arrival time before their send time, because the clocks disagree.",
    "exchange",
    "channel",
)
STREAM_PING_RTT = _histogram(
    "exchange_stream_ping_rtt_seconds",
    "Time from sending a WebSocket ping to receiving its pong, by the local monotonic clock.",
    (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0),
    "exchange",
    "stream",
)
STREAM_PROCESSING = _histogram(
    "exchange_stream_processing_seconds",
    "Internal processing time of a message: decode from bytes to events, apply from "
    "events to figures; batches are timed as a whole and counted with their mean.",
    (1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3),
    "exchange",
    "stage",
)
STREAM_PARSE_ERRORS = _counter(
    "exchange_stream_parse_errors_total",
    "Messages dropped because they do not match the venue's documentation; counted under "
    "the connection's first channel if the channel is unknown.",
    "exchange",
    "channel",
)
STREAM_PROCESSING_ERRORS = _counter(
    "exchange_stream_processing_errors_total",
    "Messages dropped because of an internal error, by stage: decode from bytes to "
    "events, apply from events to figures.",
    "exchange",
    "stage",
)
STREAM_GAPS = _counter(
    "exchange_stream_sequence_gaps_total",
    "Gaps in the venue's sequence numbers of a channel.",
    "exchange",
    "channel",
)
STREAM_MISSED = _counter(
    "exchange_stream_missed_messages_total",
    "Messages or updates lost in sequence gaps, as far as the venue's numbers show it.",
    "exchange",
    "channel",
)
STREAM_UNKNOWN = _counter(
    "exchange_stream_unknown_topics_total",
    "Messages dropped because they belong to no subscription.",
    "exchange",
    "stream",
)

# --- books ------------------------------------------------------------------------------------

BOOK_GAPS = _counter(
    "exchange_book_sequence_gaps_total",
    "Gaps in the sequence of the book's updates.",
    "exchange",
    "symbol",
)
BOOK_MISSED = _counter(
    "exchange_book_missed_updates_total",
    "Book updates lost in sequence gaps, as far as the venue's numbers show it.",
    "exchange",
    "symbol",
)
BOOK_CHECKSUM_FAILURES = _counter(
    "exchange_book_checksum_failures_total",
    "Books whose checksum differed from the checksum sent by the venue.",
    "exchange",
    "symbol",
)
BOOK_RESYNCS = _counter(
    "exchange_book_resyncs_total",
    "Times the book was rebuilt from a snapshot, by reason.",
    "exchange",
    "symbol",
    "reason",
)
BOOK_SYNCED = _gauge(
    "exchange_book_synced",
    "Whether the local book is synchronized with the venue's (1) or not (0).",
    "exchange",
    "symbol",
)
BOOK_CROSSED_SECONDS = _counter(
    "exchange_book_crossed_seconds_total",
    "Time during which the best bid was not below the best ask, by the local monotonic clock.",
    "exchange",
    "symbol",
)
BOOK_AUDIT_DIVERGENCE = _gauge(
    "exchange_book_audit_divergence_ratio",
    "Share of the top levels that differed between the local book and a REST snapshot.",
    "exchange",
    "symbol",
)

# --- queues -----------------------------------------------------------------------------------

QUEUE_DEPTH = _gauge(
    "exchange_queue_depth",
    "Items in the queue when it was last emptied.",
    "exchange",
    "queue",
)
QUEUE_CAPACITY = _gauge(
    "exchange_queue_capacity", "Maximum number of items in the queue.", "exchange", "queue"
)
QUEUE_DROPPED = _counter(
    "exchange_queue_dropped_total",
    "Items dropped because the queue was full, by policy.",
    "exchange",
    "queue",
    "policy",
)
QUEUE_WAIT = _histogram(
    "exchange_queue_wait_seconds",
    "Time from reading the oldest item of a batch from the network to taking the batch "
    "from the queue.",
    (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0),
    "exchange",
)

# --- prices -----------------------------------------------------------------------------------

MID_PRICE = _gauge(
    "exchange_mid_price",
    "Mean of best bid and best ask, in units of the quote currency; absent if stale.",
    "exchange",
    "symbol",
)
SYMBOL_INFO = _gauge(
    "exchange_symbol_info",
    "Always 1; the market that a configured symbol means, where that market has another name, "
    "such as BTC-USDT-PERP for BTC-USDT at a futures exchange.",
    "exchange",
    "symbol",
    "market",
)
CONSENSUS_PRICE = _gauge(
    "exchange_consensus_price",
    "Median of the mid prices of all exchanges with fresh data, in units of the quote currency.",
    "symbol",
)
CONSENSUS_VENUES = _gauge(
    "exchange_consensus_venues",
    "Number of exchanges with fresh data that contribute to the consensus price.",
    "symbol",
)
PRICE_DEVIATION = _gauge(
    "exchange_price_deviation_ratio",
    "Mid price divided by the median of the other exchanges with fresh data, minus 1.",
    "exchange",
    "symbol",
)
SPREAD = _gauge(
    "exchange_spread_ratio",
    "Best ask minus best bid, divided by the mid price.",
    "exchange",
    "symbol",
)
PRICE_FROZEN = _gauge(
    "exchange_price_frozen",
    "Whether the price has not changed although messages arrive and enough other "
    "exchanges have moved (1) or not (0); absent if stale.",
    "exchange",
    "symbol",
)
QUOTE_BASIS = _gauge(
    "exchange_quote_basis_ratio",
    "Price of one base quote currency in the other, minus 1.",
    "base_quote",
    "quote",
)

# --- anomalies --------------------------------------------------------------------------------


class MarketChoice(StrEnum):
    """What became of a market that a pattern of the config stands for."""

    FOLLOWED = "followed"
    LEFT_OUT = "left_out"  # symbols_limit had no room for it


MARKETS = _gauge(
    "exchange_markets",
    "Markets that the patterns in symbols stand for: followed, or left out because of "
    "symbols_limit; absent where there are no patterns.",
    "exchange",
    "choice",
)
MARKETS_READ_TIME = _gauge(
    "exchange_markets_read_timestamp_seconds",
    "Time at which the exchange's list of markets was last read, for patterns in symbols.",
    "exchange",
)


class Bound(StrEnum):
    """Where the ensemble's threshold lies around what it expects; the label ``bound``."""

    LOWER = "lower"
    CENTER = "center"
    UPPER = "upper"


ANOMALY_SCORE = _gauge(
    "exchange_anomaly_score",
    "Anomaly score of the signal by detector; 1 is the threshold.",
    "exchange",
    "signal",
    "detector",
)
ANOMALY_READY = _gauge(
    "exchange_anomaly_ready",
    "Whether the detectors have enough samples of the signal to judge it (1) or not (0).",
    "exchange",
    "signal",
)
ANOMALY_EVENTS = _counter(
    "exchange_anomaly_events_total",
    "Incidents opened for the signal.",
    "exchange",
    "signal",
)
ANOMALY_BASELINE = _gauge(
    "exchange_anomaly_baseline",
    "Expected value of the signal and the limits of its normal range, in the unit of the signal.",
    "exchange",
    "signal",
    "bound",
)


class PushOutcome(StrEnum):
    """How a push of alerts to one Alertmanager ended."""

    SUCCESS = "success"
    REFUSED = "refused"  # answered, and not taken: at least one alert, or our login
    FAILED = "failed"  # not answered, or with an error of its own


ALERT_PUSHES = _counter(
    "exchange_exporter_alert_pushes_total",
    "Requests that push alerts to an Alertmanager, by outcome; while no alert fires, one empty "
    "request per minute checks the connection.",
    "alertmanager",
    "outcome",
)
ALERT_PUSH_SUCCESS_TIME = _gauge(
    "exchange_exporter_alert_push_last_success_timestamp_seconds",
    "Time at which an Alertmanager last accepted a request; absent before the first success.",
    "alertmanager",
)

ALERT_ACTIVE = _gauge(
    "exchange_exporter_alert_active",
    "1 for each alert that this exporter currently pushes to Alertmanager; absent otherwise.",
    "alert",
    "exchange",
    "signal",
)

# --- the exporter itself ----------------------------------------------------------------------

BUILD = _info(
    "exchange_exporter_build_info",
    "Version of the running program; always 1.",
    "version",
    "revision",
    "python_version",
)
RELOAD_SUCCESSFUL = _gauge(
    "exchange_exporter_config_last_reload_successful",
    "Whether the last attempt to load the config succeeded (1) or not (0).",
)
RELOAD_SUCCESS_TIME = _gauge(
    "exchange_exporter_config_last_reload_success_timestamp_seconds",
    "Time of the last successful config load, by the local clock.",
)
CONFIG = _info("exchange_exporter_config_info", "SHA-256 of the active config; always 1.", "hash")
LOOP_LAG = _histogram(
    "exchange_exporter_event_loop_lag_seconds",
    "Delay between the requested and the actual wake-up of a sleeping task: the delay "
    "that this process can add to any measurement.",
    (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0),
)
SCHEDULE_LAG = _histogram(
    "exchange_exporter_schedule_lag_seconds",
    "Delay between the scheduled and the actual start of a probe.",
    (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0),
)
LOCAL_NETWORK_UP = _gauge(
    "exchange_exporter_local_network_up",
    "Whether the control target, which is not an exchange, could be reached (1) or not (0).",
    "target",
)
DEAD_LETTERS = _counter(
    "exchange_exporter_dead_letters_total",
    "Unreadable messages that were stored below the storage path.",
)
DEAD_LETTERS_LOST = _counter(
    "exchange_exporter_dead_letters_lost_total",
    "Unreadable messages that were not stored either, because the queue was full or the "
    "write failed.",
)
JOBS = _gauge(
    "exchange_exporter_jobs",
    "Diagnostic jobs, by state; ended jobs are kept for a while.",
    "state",
)
JOBS_ENDED = _counter(
    "exchange_exporter_jobs_ended_total", "Diagnostic jobs that ended, by outcome.", "outcome"
)
STATE_SAVED = _gauge(
    "exchange_exporter_state_last_save_timestamp_seconds",
    "Time at which bans or detector state were last written to the storage path.",
)
STATE_SAVE_FAILURES = _counter(
    "exchange_exporter_state_save_failures_total",
    "Failed writes to the storage path.",
)
FAULT_DOMAIN = _gauge(
    "exchange_fault_domain",
    "Where the cause of the exchange's failures lies: 1 for that domain, 0 for the others"
    " and while nothing fails. exchange: the exchange itself; path: it is silent, and so "
    "are control targets or most other exchanges; self: this process is late or sent too "
    "many requests.",
    "exchange",
    "domain",
)
TASK_RESTARTS = _counter(
    "exchange_exporter_task_restarts_total",
    "Tasks restarted after an internal error.",
    "task",
)
TASKS = _gauge("exchange_exporter_tasks", "Running tasks, by kind.", "task")
SERIES = _gauge("exchange_exporter_series", "Published series, by family.", "family")
SERIES_LIMIT = _gauge(
    "exchange_exporter_series_limit", "Maximum number of published series over all families."
)
SERIES_DROPPED = _counter(
    "exchange_exporter_series_dropped_total",
    "Series not published because of the series limit, by family.",
    "family",
)
SHARD = _info(
    "exchange_exporter_shard_info",
    "Number of this shard and count of all shards; always 1.",
    "shard",
    "shards",
)
CONNECTIONS_REFUSED = _counter(
    "exchange_exporter_http_connections_refused_total",
    "Connections to the exporter's web server that were refused because too many were open.",
)
CONNECTIONS_EXPIRED = _counter(
    "exchange_exporter_http_connections_expired_total",
    "Connections to the exporter's web server that were closed because the request "
    "arrived too slowly or the response was read too slowly.",
)
REQUESTS_UNAUTHORIZED = _counter(
    "exchange_exporter_http_unauthorized_total",
    "Requests to the exporter's web server that were refused because of wrong credentials"
    " or a client certificate with no allowed name.",
)
WEB_CONFIG_SUCCESSFUL = _gauge(
    "exchange_exporter_web_config_last_reload_successful",
    "Whether the last change of the web config file could be applied (1) or not (0).",
)


def all_families() -> tuple[Family, ...]:
    """Return every family of this file, in the order in which it is written."""
    return tuple(value for value in globals().values() if isinstance(value, Family))


def markdown_rows() -> list[str]:
    """Return the metric table of the docs, one row a family, without its heading."""
    return [
        f"| `{family.name}` | {family.kind}"
        f"{f', {len(family.buckets)} buckets' if family.buckets else ''} | "
        f"{', '.join(f'`{label}`' for label in family.labels) or '-'} | {family.help} |"
        for family in all_families()
    ]
