"""The exporter itself: processes, load and published series."""

from __future__ import annotations

from dashboards.page import Page, Row
from dashboards.panels import (
    BAD,
    GOOD,
    WARN,
    Column,
    Query,
    falling,
    heat,
    right_axis,
    rising,
    series,
    stat,
    states,
    table,
)
from dashboards.thresholds import limit

_FULL = limit("ExchangeExporterSeriesNearLimit")
_LAGGING = limit("ExchangeExporterLoopLag", place=-1)

_ANYTHING = Row(
    panels=[
        stat(
            "Instances up",
            """Share of the exporters that Prometheus can scrape. Below 100% some exchanges are
            monitored by fewer exporters or by none: restart the missing ones.""",
            """avg(up{@process}
            and on (job) last_over_time(exchange_exporter_build_info{@process}[1h]))""",
            unit="percentunit",
            steps=falling(warning=1, critical=0.5),
            decimals=0,
            none="none answers",
            absent=BAD,
        ),
        stat(
            "Late wake-ups",
            """Share of the event loop's wake-ups that were more than 0.1 s late. This delay is part
            of every measured latency: if coloured, give the exporter more CPU or add a shard.""",
            """max(1 - sum by (job, instance) (
            rate(exchange_exporter_event_loop_lag_seconds_bucket{@process,le="0.1"}[5m]))
            / sum by (job, instance) (
            rate(exchange_exporter_event_loop_lag_seconds_count{@process}[5m])))""",
            unit="percentunit",
            steps=rising(_LAGGING),
            decimals=1,
        ),
        stat(
            "Messages dropped",
            """Messages dropped within five minutes because a queue was full. Above 0 the exporter
            itself causes gaps: give it more CPU, or add a shard.""",
            """sum(increase(exchange_queue_dropped_total{@exchange,policy!="coalesced"}[5m]))""",
            steps=rising(warning=1),
            decimals=0,
            none="no queues",
        ),
        stat(
            "Series used",
            """Published series as a share of the limit. If coloured, add a shard or raise
            metrics.series_limit: at 100% some metrics are not published.""",
            """max(sum by (job, instance) (exchange_exporter_series{@process})
            / max by (job, instance) (exchange_exporter_series_limit{@process}))""",
            unit="percentunit",
            steps=rising(_FULL, 1),
            decimals=0,
        ),
        stat(
            "Last reload",
            """Whether the last attempt to load the config and the web config succeeded. If one was
            rejected, the old one is still active: `check FILE` prints what is wrong and where.""",
            """min(exchange_exporter_config_last_reload_successful{@process})
            * (min(exchange_exporter_web_config_last_reload_successful{@process}) or vector(1))""",
            words={0: ("rejected", BAD), 1: ("successful", GOOD)},
        ),
        stat(
            "Tasks restarted",
            """Restarts within 15 minutes of the task that failed most. If coloured, it has a bug:
            report it with the traceback from the log.""",
            """max(sum by (job, instance, task) (
            increase(exchange_exporter_task_restarts_total{@process}[15m])))""",
            steps=rising(limit("ExchangeExporterTaskRestarts")),
            decimals=0,
        ),
    ]
)

_RUNNING = Row(
    title="Processes",
    panels=[
        table(
            "Versions and configs",
            """One row per process. Different hashes mean that a process was not reloaded, different
            versions that a rollout is incomplete.""",
            [
                Column(
                    title="",
                    query="""max by (instance, version, revision, python_version, hash) (
                    exchange_exporter_build_info{@process} * on (job, instance) group_left (hash)
                    exchange_exporter_config_info{@process})""",
                )
            ],
            keys={
                "instance": "Instance",
                "version": "Version",
                "revision": "Revision",
                "python_version": "Python",
                "hash": "Config",
            },
            width=12,
            height=6,
        ),
        states(
            "Up",
            """Whether Prometheus can scrape each process. A gap of one scrape is a restart; red is
            down: read its log.""",
            Query(
                """max by (instance) (up{@process}
                and on (job) last_over_time(exchange_exporter_build_info{@process}[1h]))""",
                "{{instance}}",
            ),
            words={0: ("down", BAD), 1: ("up", GOOD)},
            height=6,
        ),
        table(
            "Shards",
            """Number of each process' shard, and the count of shards. If a number is missing, the
            exchanges of that shard are not monitored: start it.""",
            [
                Column(
                    title="",
                    query="""max by (instance, shard, shards)
                    (exchange_exporter_shard_info{@process})""",
                )
            ],
            keys={"instance": "Instance", "shard": "Shard", "shards": "Of"},
            none="not sharded",
            width=8,
            height=7,
        ),
        series(
            "Tasks",
            """Running tasks by kind. A line that falls without a reload is a task that ended
            unexpectedly: restart the process and keep its log.""",
            Query("sum by (task) (exchange_exporter_tasks{@process})", "{{task}}"),
            height=7,
        ),
        states(
            "Control targets",
            """Servers that belong to no exchange. All red: the local network has failed, and
            figures about exchanges mean nothing. One red: only that target.""",
            Query(
                "max by (target) (exchange_exporter_local_network_up{@process})",
                "{{target}}",
            ),
            words={0: ("unreachable", BAD), 1: ("up", GOOD)},
            none="no control targets",
            width=8,
            height=7,
        ),
    ],
)

_KEEPS_UP = Row(
    title="Load",
    panels=[
        heat(
            "Event loop lag",
            """Delay between the requested and the actual wake-up of a task. Bad: a band above
            0.05 s, because latencies that may contain that much delay are discarded.""",
            """sum by (le) (
            increase(exchange_exporter_event_loop_lag_seconds_bucket{@process}[$__rate_interval]))""",
        ),
        heat(
            "Probe schedule lag",
            """Time from the scheduled to the actual start of a probe. Bad: above one second; too
            many probes for this process, or a blocked event loop.""",
            """sum by (le) (
            increase(exchange_exporter_schedule_lag_seconds_bucket{@process}[$__rate_interval]))""",
        ),
        series(
            "CPU",
            """Used CPU cores; an event loop can use one at most. Bad: above 0.8; add a shard,
            because measured latencies then contain the exporter's own delay.""",
            Query(
                """sum by (instance) (rate(process_cpu_seconds_total{@process}[$__rate_interval])
                and on (job, instance) exchange_exporter_build_info{@process})""",
                "{{instance}}",
            ),
            limits=rising(warning=0.8),
            least=0,
        ),
        series(
            "Memory",
            """Resident memory, and the memory blocks that Python objects occupy (right axis).
            Resident memory stays at its highest point so far. Blocks that rise for hours with
            the same config are a leak: report it with the growth per hour.""",
            Query(
                """max by (instance) (process_resident_memory_bytes{@process}
                and on (job, instance) exchange_exporter_build_info{@process})""",
                "{{instance}}",
            ),
            Query(
                "max by (instance) (exchange_exporter_memory_blocks{@process})",
                "{{instance}} blocks",
            ),
            unit="bytes",
            least=0,
            styles=[right_axis(" blocks$", unit="short")],
        ),
        series(
            "Open files",
            """Share of the file descriptors in use, including sockets. Above the dashed line raise
            the service's limit of open files.""",
            Query(
                """max by (instance) (process_open_fds{@process} / process_max_fds{@process}
                and on (job, instance) exchange_exporter_build_info{@process})""",
                "{{instance}}",
            ),
            unit="percentunit",
            limits=rising(warning=0.8),
            least=0,
        ),
        series(
            "Queues",
            """How full each queue was when it was last emptied. Bad: near the dashed line; the next
            burst would be dropped, and the exporter itself would cause gaps.""",
            Query(
                """max by (exchange, queue) (
                exchange_queue_depth{@exchange} / exchange_queue_capacity{@exchange})""",
                "{{exchange}} {{queue}}",
            ),
            unit="percentunit",
            limits=rising(warning=0.5, critical=1),
            least=0,
            width=6,
        ),
        series(
            "Dropped by full queues",
            """Messages per second by policy. coalesced: replaced by a newer message of the same
            topic, no information is lost; oldest and newest are lost. Latencies of a measurement
            (probe, stream, ping): not published, for the exporter was over 0.05 s late.""",
            Query(
                """sum by (exchange, policy) (
                rate(exchange_queue_dropped_total{@exchange}[$__rate_interval])) > 0""",
                "{{exchange}} {{policy}}",
            ),
            Query(
                """sum by (instance, measurement) (
                rate(exchange_exporter_samples_discarded_total{@process}[$__rate_interval])) > 0""",
                "{{instance}} latencies: {{measurement}}",
            ),
            unit="mps",
            none="none",
            width=6,
        ),
        series(
            "Processing time per message",
            """Mean time to decode a message, and to apply it. Bad: a step after an update or with a
            new format of a venue; report it.""",
            Query(
                """sum by (exchange, stage) (
                rate(exchange_stream_processing_seconds_sum{@exchange}[$__rate_interval]))
                / (sum by (exchange, stage) (
                rate(exchange_stream_processing_seconds_count{@exchange}[$__rate_interval])) >
                0)""",
                "{{exchange}} {{stage}}",
            ),
            unit="s",
            width=6,
        ),
        series(
            "Dropped by internal errors",
            """Messages of the last hour that were dropped because of an internal error, while they
            were decoded or applied. Above 0: report the traceback from the log and the frame from
            the dead letters.""",
            Query(
                """sum by (exchange, stage) (
                increase(exchange_stream_processing_errors_total{@exchange}[1h]))""",
                "{{exchange}} {{stage}}",
            ),
            limits=[(None, GOOD), (limit("ExchangeExporterProcessingErrors"), WARN)],
            least=0,
            none="no streams",
            width=6,
        ),
    ],
)

_PUBLISHES = Row(
    title="Published series, scrapes and storage",
    folded=True,
    panels=[
        series(
            "Series by family",
            """The ten largest families. A family that grows without a change of the config is a
            bug: report it.""",
            Query("topk(10, sum by (family) (exchange_exporter_series{@process}))", "{{family}}"),
            stacked=True,
            width=12,
        ),
        series(
            "Series dropped",
            """Series not published because of the limit, in ten minutes. These metrics are missing:
            raise metrics.series_limit, or add a shard.""",
            Query(
                """sum by (family) (
                increase(exchange_exporter_series_dropped_total{@process}[10m])) > 0""",
                "{{family}}",
            ),
            limits=[(None, GOOD), (limit("ExchangeExporterSeriesDropped"), WARN)],
            bars=True,
            none="none was dropped",
            width=12,
        ),
        series(
            "Scrape duration",
            """Time that Prometheus needs for one scrape. Bad: near the scrape timeout; reduce
            series, or use a longer interval.""",
            Query(
                """max by (instance) (scrape_duration_seconds{@process}
                and on (job, instance) exchange_exporter_build_info{@process})""",
                "{{instance}}",
            ),
            unit="s",
        ),
        series(
            "Refused connections",
            """Connections to the exporter's web server in ten minutes that were refused because too
            many were open, or closed because they were too slow. If it lasts, find the client.""",
            Query(
                """sum by (instance) (
                increase(exchange_exporter_http_connections_refused_total{@process}[10m]))""",
                "{{instance}} refused",
            ),
            Query(
                """sum by (instance) (
                increase(exchange_exporter_http_connections_expired_total{@process}[10m]))""",
                "{{instance}} too slow",
            ),
        ),
        series(
            "Failed writes",
            """In one hour: failed saves of the state, and unreadable frames that were not stored.
            If it lasts, free space at storage.path, or correct its permissions.""",
            Query(
                """sum by (instance) (
                increase(exchange_exporter_state_save_failures_total{@process}[1h]))""",
                "{{instance}} state",
            ),
            Query(
                """sum by (instance) (
                increase(exchange_exporter_dead_letters_lost_total{@process}[1h]))""",
                "{{instance}} dead letters",
            ),
            least=0,
            none="no storage.path",
        ),
        series(
            "Garbage collections",
            """Garbage collections per second by generation. Those of the oldest generation should
            be rare: their pauses appear as event loop lag.""",
            Query(
                """sum by (generation) (
                rate(python_gc_collections_total{@process}[$__rate_interval])
                and on (job, instance) exchange_exporter_build_info{@process})""",
                "{{generation}}",
            ),
            unit="ops",
        ),
    ],
)

PAGE = Page(
    uid="exobs-exporter",
    title="Exporter",
    about="""Processes, load and published series of the exporter. If the exporter is slow, the
    latencies that it measures are too high.""",
    rows=[_ANYTHING, _RUNNING, _KEEPS_UP, _PUBLISHES],
)
