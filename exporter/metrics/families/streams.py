"""Families of streams and of the queues that their frames wait in."""

from __future__ import annotations

from enum import StrEnum

from exporter.metrics.families.declare import counter, gauge, histogram


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


_ONE_WAY = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03,
    0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0,
)  # fmt: skip

STREAM_CONNECTED = gauge(
    "exchange_stream_connected",
    "Whether the stream's connection is open (1) or not (0); says nothing about its data.",
    "exchange",
    "stream",
)
STREAM_CONNECTS = counter(
    "exchange_stream_connects_total",
    "Attempts to open the stream's connection, by result.",
    "exchange",
    "stream",
    "result",
)
STREAM_DISCONNECTS = counter(
    "exchange_stream_disconnects_total",
    "Ended connections, by reason; planned and shutdown are not failures.",
    "exchange",
    "stream",
    "reason",
)
STREAM_CONNECTED_SECONDS = counter(
    "exchange_stream_connected_seconds_total",
    "Time during which the stream's connection was open, from the end of the handshake to"
    " the close; increases while it is open.",
    "exchange",
    "stream",
)
STREAM_CONNECTION_START = gauge(
    "exchange_stream_connection_start_timestamp_seconds",
    "Time at which the open connection completed its handshake, by the local clock; "
    "absent without a connection.",
    "exchange",
    "stream",
)
STREAM_SUBSCRIPTIONS = gauge(
    "exchange_stream_subscriptions",
    "Subscriptions by state; each is in exactly one.",
    "exchange",
    "stream",
    "state",
)
STREAM_MESSAGES = counter(
    "exchange_stream_messages_total",
    "Decoded messages: market data, or control (acknowledgements, heartbeats, status), "
    "which belongs to a connection and is counted under its first channel.",
    "exchange",
    "channel",
    "kind",
)
STREAM_RECEIVED_BYTES = counter(
    "exchange_stream_received_bytes_total",
    "Bytes of received messages, after the connection's decompression and before the venue's own.",
    "exchange",
    "stream",
)
STREAM_LAST_MESSAGE = gauge(
    "exchange_stream_last_message_timestamp_seconds",
    "Time at which the last market data of the subscription was read from the network, by"
    " the local clock; the time of subscribing before the first data.",
    "exchange",
    "channel",
    "symbol",
    fold="min",
)
STREAM_STALE_AFTER = gauge(
    "exchange_stream_stale_after_seconds",
    "Silence after which the subscription counts as stale.",
    "exchange",
    "channel",
    "symbol",
    fold="max",
)
STREAM_CROSS_CHECKS = counter(
    "exchange_stream_cross_checks_total",
    "REST checks of subscriptions that were silent for longer than usual, by verdict. "
    "moved: the market changed and the stream did not report it; quiet: it did not change; "
    "unknown: no answer, or an invalid one. Present only if cross_check is configured.",
    "exchange",
    "channel",
    "symbol",
    "verdict",
)
STREAM_VALUE_LAST_CHANGE = gauge(
    "exchange_stream_value_last_change_timestamp_seconds",
    "Time of the last price change, by the local clock.",
    "exchange",
    "symbol",
    fold="max",
)
STREAM_LATENCY = histogram(
    "exchange_stream_latency_seconds",
    "Time from the venue's timestamp in the message to reading it from the network, "
    "corrected by exchange_clock_offset_seconds once that is known; negative values are "
    "counted separately.",
    _ONE_WAY,
    "exchange",
    "channel",
)
STREAM_LATENCY_NEGATIVE = counter(
    "exchange_stream_latency_negative_total",
    "Messages with an arrival time before their send time, because the clocks disagree.",
    "exchange",
    "channel",
)
STREAM_PING_RTT = histogram(
    "exchange_stream_ping_rtt_seconds",
    "Time from sending a WebSocket ping to receiving its pong, by the local monotonic clock.",
    (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0),
    "exchange",
    "stream",
)
STREAM_PROCESSING = histogram(
    "exchange_stream_processing_seconds",
    "Internal processing time of a message: decode from bytes to events, apply from "
    "events to figures; batches are timed as a whole and counted with their mean.",
    (1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3),
    "exchange",
    "stage",
)
STREAM_PARSE_ERRORS = counter(
    "exchange_stream_parse_errors_total",
    "Messages dropped because they do not match the venue's documentation; counted under "
    "the connection's first channel if the channel is unknown.",
    "exchange",
    "channel",
)
STREAM_PROCESSING_ERRORS = counter(
    "exchange_stream_processing_errors_total",
    "Messages dropped because of an internal error, by stage: decode from bytes to "
    "events, apply from events to figures.",
    "exchange",
    "stage",
)
STREAM_GAPS = counter(
    "exchange_stream_sequence_gaps_total",
    "Gaps in the venue's sequence numbers of a channel.",
    "exchange",
    "channel",
)
STREAM_MISSED = counter(
    "exchange_stream_missed_messages_total",
    "Messages or updates lost in sequence gaps, as far as the venue's numbers show it.",
    "exchange",
    "channel",
)
SCHEMA_CHANGES = counter(
    "exchange_schema_changes_total",
    "Changes of the frames of a channel, each counted once: a field that is new, one that was in "
    "every frame and is gone, a new value of a field that has few. By a frame a second.",
    "exchange",
    "channel",
    "kind",
)
STREAM_CADENCE = gauge(
    "exchange_stream_cadence_seconds",
    "Mean time between two messages of one subscription, over half a minute; absent if none came.",
    "exchange",
    "channel",
)
STREAM_CADENCE_DOCUMENTED = gauge(
    "exchange_stream_cadence_documented_seconds",
    "Documented time between two messages of one subscription while its market moves; absent where "
    "the venue documents none.",
    "exchange",
    "channel",
)
STREAM_UNKNOWN = counter(
    "exchange_stream_unknown_topics_total",
    "Messages that belong to no subscription, or are of a kind that is not known.",
    "exchange",
    "stream",
)

# --- queues -----------------------------------------------------------------------------------

QUEUE_DEPTH = gauge(
    "exchange_queue_depth",
    "Items in the queue when it was last emptied.",
    "exchange",
    "queue",
)
QUEUE_CAPACITY = gauge(
    "exchange_queue_capacity", "Maximum number of items in the queue.", "exchange", "queue"
)
QUEUE_DROPPED = counter(
    "exchange_queue_dropped_total",
    "Items dropped because the queue was full, by policy.",
    "exchange",
    "queue",
    "policy",
)
QUEUE_WAIT = histogram(
    "exchange_queue_wait_seconds",
    "Time from reading the oldest item of a batch from the network to taking the batch "
    "from the queue.",
    (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0),
    "exchange",
)
