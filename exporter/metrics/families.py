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
    "Whether the endpoint's last probe did what was expected of it (1) or not (0).",
    "exchange",
    "endpoint",
)
PROBES = _counter(
    "exchange_probes_total",
    "Probes that ended, by outcome; probes skipped are not among them.",
    "exchange",
    "endpoint",
    "outcome",
)
PROBE_FAILURES = _counter(
    "exchange_probe_failures_total",
    "Probes that failed, by the first thing that went wrong.",
    "exchange",
    "endpoint",
    "reason",
)
PROBE_SKIPPED = _counter(
    "exchange_probe_skipped_total",
    "Probes that were due and not sent, by what forbade it.",
    "exchange",
    "endpoint",
    "reason",
)
PROBE_DURATION = _histogram(
    "exchange_probe_duration_seconds",
    "Time of answered probes, from the start of the request (before name resolution) to the last "
    "byte of the body; a new connection counts with its set-up.",
    _REQUEST,
    "exchange",
    "endpoint",
    "connection",
)
PROBE_PHASE_DURATION = _histogram(
    "exchange_probe_phase_duration_seconds",
    "Time of each part of answered probes: resolve, connect and tls (new connections only), "
    "processing from the request's last byte sent to the first byte of the answer, transfer from "
    "there to the last byte of the body.",
    _REQUEST_PHASE,
    "exchange",
    "endpoint",
    "phase",
)
PROBE_LAST_SUCCESS = _gauge(
    "exchange_probe_last_success_timestamp_seconds",
    "When the last successful probe ended, by our clock; absent until there is one.",
    "exchange",
    "endpoint",
)
PROBE_RESPONSES = _counter(
    "exchange_probe_http_responses_total",
    "Answers by HTTP status code: an endpoint's first 11 codes exactly, any further one as other.",
    "exchange",
    "endpoint",
    "code",
)
PROBE_CERTIFICATE_END = _gauge(
    "exchange_probe_tls_cert_not_after_timestamp_seconds",
    "When the certificate seen last expires; stays after its expiry and over failed handshakes.",
    "exchange",
    "endpoint",
)
PROBE_ADDRESSES = _gauge(
    "exchange_probe_resolved_addresses",
    "How many addresses the endpoint's name resolved to last.",
    "exchange",
    "endpoint",
)
PROBE_ADDRESS_CHANGES = _counter(
    "exchange_probe_address_changes_total",
    "How often the set of resolved addresses differed from the one before.",
    "exchange",
    "endpoint",
)

# --- breakers, limits, maintenance, clock ------------------------------------------------------

BREAKER_STATE = _gauge(
    "exchange_circuit_breaker_state",
    "1 for the state that the endpoint's circuit breaker is in, 0 for the others.",
    "exchange",
    "endpoint",
    "state",
)
BREAKER_TRANSITIONS = _counter(
    "exchange_circuit_breaker_transitions_total",
    "Changes of the endpoint's circuit breaker, by the state entered.",
    "exchange",
    "endpoint",
    "to",
)
RATE_LIMIT_USED = _gauge(
    "exchange_rate_limit_used_ratio",
    "Share of the venue's request weight used in its current window: by its own headers where "
    "it sends them, else by our count.",
    "exchange",
    "limit",
)
RATE_LIMIT_BANNED_UNTIL = _gauge(
    "exchange_rate_limit_banned_until_timestamp_seconds",
    "Until when the venue told us to stay away (Retry-After of 418 or 429), by our clock.",
    "exchange",
)
MAINTENANCE_ACTIVE = _gauge(
    "exchange_maintenance_active",
    "Whether maintenance goes on (1) or not (0), by who says so.",
    "exchange",
    "source",
)
TRADING_MODE = _gauge(
    "exchange_trading_mode",
    "1 for the mode in which the venue says that it trades, 0 for the others; absent where it does "
    "not say. A restricted mode is no maintenance.",
    "exchange",
    "mode",
)
MAINTENANCE_END = _gauge(
    "exchange_maintenance_end_timestamp_seconds",
    "When the maintenance that goes on is announced to end; absent when nobody says.",
    "exchange",
)
CLOCK_OFFSET = _gauge(
    "exchange_clock_offset_seconds",
    "The venue's clock minus ours, from the probe with the shortest round trip of the window.",
    "exchange",
)
CLOCK_OFFSET_ERROR = _gauge(
    "exchange_clock_offset_error_seconds",
    "Half of that shortest round trip: the offset may be wrong by as much.",
    "exchange",
)

# --- streams ----------------------------------------------------------------------------------

_ONE_WAY = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03,
    0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0,
)  # fmt: skip

STREAM_CONNECTED = _gauge(
    "exchange_stream_connected",
    "Whether the stream's connection is open (1) or not (0); says nothing of its data.",
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
    "Connections that ended, by what ended them; planned and shutdown are no faults.",
    "exchange",
    "stream",
    "reason",
)
STREAM_CONNECTED_SECONDS = _counter(
    "exchange_stream_connected_seconds_total",
    "Time during which the stream's connection was open, from the end of the handshake to the "
    "close; grows while it is open.",
    "exchange",
    "stream",
)
STREAM_CONNECTION_START = _gauge(
    "exchange_stream_connection_start_timestamp_seconds",
    "When the open connection finished its handshake, by our clock; absent while there is none.",
    "exchange",
    "stream",
)
STREAM_SUBSCRIPTIONS = _gauge(
    "exchange_stream_subscriptions",
    "Subscriptions by how far they have come, each in exactly one state.",
    "exchange",
    "stream",
    "state",
)
STREAM_MESSAGES = _counter(
    "exchange_stream_messages_total",
    "Messages decoded: market data, or control (acknowledgements, heartbeats, status), which "
    "belongs to a connection and counts under the first of its channels.",
    "exchange",
    "channel",
    "kind",
)
STREAM_RECEIVED_BYTES = _counter(
    "exchange_stream_received_bytes_total",
    "Bytes of messages received, after the connection's own decompression and before the venue's.",
    "exchange",
    "stream",
)
STREAM_LAST_MESSAGE = _gauge(
    "exchange_stream_last_message_timestamp_seconds",
    "When the last market data of the subscription was read from the network, by our clock; the "
    "moment of subscribing until there is any.",
    "exchange",
    "channel",
    "symbol",
)
STREAM_STALE_AFTER = _gauge(
    "exchange_stream_stale_after_seconds",
    "How long the subscription may stay silent before it counts as stale.",
    "exchange",
    "channel",
    "symbol",
)
STREAM_CROSS_CHECKS = _counter(
    "exchange_stream_cross_checks_total",
    "What the venue's REST API said of a subscription that was silent for longer than it was known "
    "to be: moved, the market had news that the stream did not bring; quiet, it had none; unknown, "
    "no answer came, or none that could be read. Only where cross_check is configured.",
    "exchange",
    "channel",
    "symbol",
    "verdict",
)
STREAM_VALUE_LAST_CHANGE = _gauge(
    "exchange_stream_value_last_change_timestamp_seconds",
    "When the price last differed from the one before, by our clock.",
    "exchange",
    "symbol",
)
STREAM_LATENCY = _histogram(
    "exchange_stream_latency_seconds",
    "From the venue's time in the message to our reading it from the network, corrected by "
    "exchange_clock_offset_seconds once that is known; values below zero are counted apart.",
    _ONE_WAY,
    "exchange",
    "channel",
)
STREAM_LATENCY_NEGATIVE = _counter(
    "exchange_stream_latency_negative_total",
    "Messages that arrived before they were sent, by the clocks: the clocks disagree.",
    "exchange",
    "channel",
)
STREAM_PING_RTT = _histogram(
    "exchange_stream_ping_rtt_seconds",
    "From sending a WebSocket ping to its pong, on our monotonic clock.",
    (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0),
    "exchange",
    "stream",
)
STREAM_PROCESSING = _histogram(
    "exchange_stream_processing_seconds",
    "Our own time for a message: decode from bytes to events, apply from events to figures; "
    "batches are timed as a whole and counted as their mean.",
    (1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3),
    "exchange",
    "stage",
)
STREAM_PARSE_ERRORS = _counter(
    "exchange_stream_parse_errors_total",
    "Messages dropped because the venue's documentation does not explain them; under the first of "
    "the connection's channels where the channel cannot be told.",
    "exchange",
    "channel",
)
STREAM_PROCESSING_ERRORS = _counter(
    "exchange_stream_processing_errors_total",
    "Messages that came to nothing by a fault of ours, by what was being done with them: decode "
    "from bytes to events, apply from events to figures.",
    "exchange",
    "stage",
)
STREAM_GAPS = _counter(
    "exchange_stream_sequence_gaps_total",
    "Holes in the venue's numbering of a channel's messages.",
    "exchange",
    "channel",
)
STREAM_MISSED = _counter(
    "exchange_stream_missed_messages_total",
    "Messages or updates that fell into such holes, as far as the venue's numbers tell.",
    "exchange",
    "channel",
)
STREAM_UNKNOWN = _counter(
    "exchange_stream_unknown_topics_total",
    "Messages dropped because they belong to no subscription of ours.",
    "exchange",
    "stream",
)

# --- books ------------------------------------------------------------------------------------

BOOK_GAPS = _counter(
    "exchange_book_sequence_gaps_total",
    "Holes in the sequence of the book's updates.",
    "exchange",
    "symbol",
)
BOOK_MISSED = _counter(
    "exchange_book_missed_updates_total",
    "Updates that fell into such holes, as far as the venue's numbers tell.",
    "exchange",
    "symbol",
)
BOOK_CHECKSUM_FAILURES = _counter(
    "exchange_book_checksum_failures_total",
    "Books whose checksum differed from the venue's.",
    "exchange",
    "symbol",
)
BOOK_RESYNCS = _counter(
    "exchange_book_resyncs_total",
    "Times the book was rebuilt from a snapshot, by why.",
    "exchange",
    "symbol",
    "reason",
)
BOOK_SYNCED = _gauge(
    "exchange_book_synced",
    "Whether the local book follows the venue's without a hole (1) or not (0).",
    "exchange",
    "symbol",
)
BOOK_CROSSED_SECONDS = _counter(
    "exchange_book_crossed_seconds_total",
    "Time during which the best bid was not below the best ask, by our monotonic clock.",
    "exchange",
    "symbol",
)
BOOK_AUDIT_DIVERGENCE = _gauge(
    "exchange_book_audit_divergence_ratio",
    "Share of the top levels in which the local book differed from a snapshot asked over REST.",
    "exchange",
    "symbol",
)

# --- queues -----------------------------------------------------------------------------------

QUEUE_DEPTH = _gauge(
    "exchange_queue_depth",
    "Items that waited when the queue was last emptied.",
    "exchange",
    "queue",
)
QUEUE_CAPACITY = _gauge(
    "exchange_queue_capacity", "Items that the queue holds at most.", "exchange", "queue"
)
QUEUE_DROPPED = _counter(
    "exchange_queue_dropped_total",
    "Items given up because the queue was full, by which.",
    "exchange",
    "queue",
    "policy",
)
QUEUE_WAIT = _histogram(
    "exchange_queue_wait_seconds",
    "From reading the oldest item of a batch from the network to taking the batch from its queue.",
    (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0),
    "exchange",
)

# --- prices -----------------------------------------------------------------------------------

MID_PRICE = _gauge(
    "exchange_mid_price",
    "Middle of best bid and best ask in units of the quote currency; absent when stale.",
    "exchange",
    "symbol",
)
CONSENSUS_PRICE = _gauge(
    "exchange_consensus_price",
    "Median of the fresh exchanges' middle prices, in units of the quote currency.",
    "symbol",
)
CONSENSUS_VENUES = _gauge(
    "exchange_consensus_venues", "How many fresh exchanges made the consensus price.", "symbol"
)
PRICE_DEVIATION = _gauge(
    "exchange_price_deviation_ratio",
    "Middle price over the median of the other fresh exchanges, minus 1.",
    "exchange",
    "symbol",
)
SPREAD = _gauge(
    "exchange_spread_ratio", "Best ask minus best bid, over their middle.", "exchange", "symbol"
)
PRICE_FROZEN = _gauge(
    "exchange_price_frozen",
    "Whether the price stands still although messages arrive and enough peers have moved (1) or "
    "not (0); absent when stale.",
    "exchange",
    "symbol",
)
QUOTE_BASIS = _gauge(
    "exchange_quote_basis_ratio",
    "What one base quote currency costs in the other, minus 1.",
    "base_quote",
    "quote",
)

# --- anomalies --------------------------------------------------------------------------------


class Bound(StrEnum):
    """Where the ensemble's threshold lies around what it expects; the label ``bound``."""

    LOWER = "lower"
    CENTER = "center"
    UPPER = "upper"


ANOMALY_SCORE = _gauge(
    "exchange_anomaly_score",
    "How unusual the signal is by one detector; 1 is the threshold.",
    "exchange",
    "signal",
    "detector",
)
ANOMALY_READY = _gauge(
    "exchange_anomaly_ready",
    "Whether the detectors have seen enough of the signal to judge it (1) or not (0).",
    "exchange",
    "signal",
)
ANOMALY_EVENTS = _counter(
    "exchange_anomaly_events_total",
    "How many incidents of the signal were opened.",
    "exchange",
    "signal",
)
ANOMALY_BASELINE = _gauge(
    "exchange_anomaly_baseline",
    "What is expected of the signal, and between what it is usual, in the signal's own unit.",
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
    "Requests that pushed alerts to an Alertmanager.",
    "alertmanager",
    "outcome",
)
ALERT_PUSH_SUCCESS_TIME = _gauge(
    "exchange_exporter_alert_push_last_success_timestamp_seconds",
    "When an Alertmanager last took all alerts pushed to it; absent before the first time.",
    "alertmanager",
)

ALERT_ACTIVE = _gauge(
    "exchange_exporter_alert_active",
    "1 for each alert that this exporter itself pushes to Alertmanager now; absent otherwise.",
    "alert",
    "exchange",
    "signal",
)

# --- the exporter itself ----------------------------------------------------------------------

BUILD = _info(
    "exchange_exporter_build_info",
    "The running version, always 1.",
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
    "When a config was last loaded, by our clock.",
)
CONFIG = _info("exchange_exporter_config_info", "SHA-256 of the config in force, always 1.", "hash")
LOOP_LAG = _histogram(
    "exchange_exporter_event_loop_lag_seconds",
    "How much later than asked a sleeping task of ours was woken: waiting that any part of this "
    "process may add to a figure.",
    (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0),
)
SCHEDULE_LAG = _histogram(
    "exchange_exporter_schedule_lag_seconds",
    "From the moment a probe was due to its start.",
    (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0),
)
LOCAL_NETWORK_UP = _gauge(
    "exchange_exporter_local_network_up",
    "Whether the control target, which is no exchange, was reached (1) or not (0).",
    "target",
)
DEAD_LETTERS = _counter(
    "exchange_exporter_dead_letters_total",
    "Frames that could not be read and were written to the storage path.",
)
DEAD_LETTERS_LOST = _counter(
    "exchange_exporter_dead_letters_lost_total",
    "Frames that could not be read and were not written either: too many waited, or the disk "
    "refused.",
)
JOBS = _gauge(
    "exchange_exporter_jobs",
    "Jobs that are known, by how far they have come; those that ended are kept for a while.",
    "state",
)
JOBS_ENDED = _counter("exchange_exporter_jobs_ended_total", "Jobs that ended, by how.", "outcome")
STATE_SAVED = _gauge(
    "exchange_exporter_state_last_save_timestamp_seconds",
    "When bans or what the detectors have learnt were last written to the storage path.",
)
STATE_SAVE_FAILURES = _counter(
    "exchange_exporter_state_save_failures_total",
    "Times that the storage path could not be written.",
)
FAULT_DOMAIN = _gauge(
    "exchange_fault_domain",
    "1 for where the fault lies of what fails of the exchange, 0 for the rest and while all is "
    "well: the exchange, the path (it is silent, and so are control targets or most other "
    "exchanges), or self (we are late ourselves, or asked too much).",
    "exchange",
    "domain",
)
TASK_RESTARTS = _counter(
    "exchange_exporter_task_restarts_total",
    "Times a task was started anew after an error of ours.",
    "task",
)
TASKS = _gauge("exchange_exporter_tasks", "Running tasks, by what they do.", "task")
SERIES = _gauge("exchange_exporter_series", "Series published, by family.", "family")
SERIES_LIMIT = _gauge(
    "exchange_exporter_series_limit", "How many series are published at most over all families."
)
SERIES_DROPPED = _counter(
    "exchange_exporter_series_dropped_total",
    "Children that the limit kept from being published, by family.",
    "family",
)
SHARD = _info(
    "exchange_exporter_shard_info", "Which shard of how many this is, always 1.", "shard", "shards"
)
CONNECTIONS_REFUSED = _counter(
    "exchange_exporter_http_connections_refused_total",
    "Connections to our own web server turned away because too many were open.",
)
CONNECTIONS_EXPIRED = _counter(
    "exchange_exporter_http_connections_expired_total",
    "Connections to our own web server closed because a request took too long to arrive or its "
    "answer too long to be read.",
)
REQUESTS_UNAUTHORIZED = _counter(
    "exchange_exporter_http_unauthorized_total",
    "Requests to our own web server refused for want of a right name and password, or of an "
    "allowed name in the client's certificate.",
)
WEB_CONFIG_SUCCESSFUL = _gauge(
    "exchange_exporter_web_config_last_reload_successful",
    "Whether the web config file, when it last changed, could be followed (1) or not (0).",
)


def all_families() -> tuple[Family, ...]:
    """Return every family of this file, in the order in which it is written."""
    return tuple(value for value in globals().values() if isinstance(value, Family))


def markdown_rows() -> list[str]:
    """Return the metric table of the README, one row a family, without its heading."""
    return [
        f"| `{family.name}` | {family.kind}"
        f"{f', {len(family.buckets)} buckets' if family.buckets else ''} | "
        f"{', '.join(f'`{label}`' for label in family.labels) or '-'} | {family.help} |"
        for family in all_families()
    ]
