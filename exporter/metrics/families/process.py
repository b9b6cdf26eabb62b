"""Families of the exporter itself."""

from __future__ import annotations

from enum import StrEnum

from exporter.metrics.families.declare import counter, gauge, histogram, info


class Measurement(StrEnum):
    """Which latency is measured; the label ``measurement``."""

    PROBE = "probe"
    STREAM = "stream"
    PING = "ping"


BUILD = info(
    "exchange_exporter_build_info",
    "Version of the running program; always 1.",
    "version",
    "revision",
    "python_version",
)
RELOAD_SUCCESSFUL = gauge(
    "exchange_exporter_config_last_reload_successful",
    "Whether the last attempt to load the config succeeded (1) or not (0).",
)
RELOAD_SUCCESS_TIME = gauge(
    "exchange_exporter_config_last_reload_success_timestamp_seconds",
    "Time of the last successful config load, by the local clock.",
)
CONFIG = info("exchange_exporter_config_info", "SHA-256 of the active config; always 1.", "hash")
LOOP_LAG = histogram(
    "exchange_exporter_event_loop_lag_seconds",
    "Delay between the requested and the actual wake-up of a sleeping task; latencies that may be "
    "late by more than 0.05 s are discarded (exchange_exporter_samples_discarded_total).",
    (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0),
)
SAMPLES_DISCARDED = counter(
    "exchange_exporter_samples_discarded_total",
    "Measured latencies that are not published because this process was late itself, by more than "
    "0.05 s, by measurement: probe, stream or ping.",
    "measurement",
)
SCHEDULE_LAG = histogram(
    "exchange_exporter_schedule_lag_seconds",
    "Delay between the scheduled and the actual start of a probe.",
    (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0),
)
LOCAL_NETWORK_UP = gauge(
    "exchange_exporter_local_network_up",
    "Whether the control target, which is not an exchange, could be reached (1) or not (0).",
    "target",
)
DEAD_LETTERS = counter(
    "exchange_exporter_dead_letters_total",
    "Unreadable messages that were stored below the storage path.",
)
DEAD_LETTERS_LOST = counter(
    "exchange_exporter_dead_letters_lost_total",
    "Unreadable messages that could not be stored, because the queue was full or the write failed.",
)
JOBS = gauge(
    "exchange_exporter_jobs",
    "Diagnostic jobs, by state; ended jobs are kept for a while.",
    "state",
)
JOBS_ENDED = counter(
    "exchange_exporter_jobs_ended_total", "Diagnostic jobs that ended, by outcome.", "outcome"
)
STATE_SAVED = gauge(
    "exchange_exporter_state_last_save_timestamp_seconds",
    "Time at which bans or detector state were last written to the storage path.",
)
STATE_SAVE_FAILURES = counter(
    "exchange_exporter_state_save_failures_total",
    "Failed writes to the storage path.",
)
FAULT_DOMAIN = gauge(
    "exchange_fault_domain",
    "Where the cause of the exchange's failures is: 1 for that domain, 0 for the others; all 0 "
    "while nothing fails. exchange: the exchange itself; path: the network path, because control "
    "targets or most other exchanges do not answer either; self: this process is overloaded or "
    "sent too many requests.",
    "exchange",
    "domain",
)
TASK_RESTARTS = counter(
    "exchange_exporter_task_restarts_total",
    "Tasks restarted after an internal error.",
    "task",
)
TASKS = gauge("exchange_exporter_tasks", "Running tasks, by kind.", "task")
MEMORY_BLOCKS = gauge(
    "exchange_exporter_memory_blocks", "Blocks of memory that Python objects occupy."
)
SERIES = gauge("exchange_exporter_series", "Published series, by family.", "family")
SERIES_LIMIT = gauge(
    "exchange_exporter_series_limit", "Maximum number of published series over all families."
)
SERIES_DROPPED = counter(
    "exchange_exporter_series_dropped_total",
    "Series not published because of the series limit, by family.",
    "family",
)
SHARD = info(
    "exchange_exporter_shard_info",
    "Number of this shard and count of all shards; always 1.",
    "shard",
    "shards",
)
CONNECTIONS_REFUSED = counter(
    "exchange_exporter_http_connections_refused_total",
    "Connections to the exporter's web server that were refused because too many were open.",
)
CONNECTIONS_EXPIRED = counter(
    "exchange_exporter_http_connections_expired_total",
    "Connections to the exporter's web server that were closed because the request "
    "arrived too slowly or the response was read too slowly.",
)
REQUESTS_UNAUTHORIZED = counter(
    "exchange_exporter_http_unauthorized_total",
    "Requests to the exporter's web server that were refused because of wrong credentials"
    " or a client certificate with no allowed name.",
)
WEB_CONFIG_SUCCESSFUL = gauge(
    "exchange_exporter_web_config_last_reload_successful",
    "Whether the last change of the web config file could be applied (1) or not (0).",
)
