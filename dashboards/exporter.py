"""The exporter itself: does it run, does it keep up, can its figures be believed?"""

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
            """Share of the exporters that answer Prometheus. Below 100% some exchanges are watched
            by fewer or by none: restart what is missing.""",
            """avg(up{@process}
            and on (job) last_over_time(exchange_exporter_build_info{@process}[1h]))""",
            unit="percentunit",
            steps=falling(warning=1, critical=0.5),
            decimals=0,
            none="none answers",
        ),
        stat(
            "Late wake-ups",
            """Share of the event loop's wake-ups that came more than 0.1 s late. Our delay enters
            every latency measured: when coloured, give it more CPU or a shard more.""",
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
            itself causes gaps: give it more CPU or another shard.""",
            """sum(increase(exchange_queue_dropped_total{@exchange,policy!="coalesced"}[5m]))""",
            steps=rising(warning=1),
            decimals=0,
            none="no queues",
        ),
        stat(
            "Series used",
            """Share of the limit of published series. When coloured add a shard or raise
            metrics.series_limit: at 100% something is not watched.""",
            """max(sum by (job, instance) (exchange_exporter_series{@process})
            / max by (job, instance) (exchange_exporter_series_limit{@process}))""",
            unit="percentunit",
            steps=rising(_FULL, 1),
            decimals=0,
        ),
        stat(
            "Last reload",
            """Whether the last attempt to load config and web config succeeded. If one was refused,
            the old one is still in force: run check on the file, it says what is wrong and
            where.""",
            """min(exchange_exporter_config_last_reload_successful{@process})
            * (min(exchange_exporter_web_config_last_reload_successful{@process}) or vector(1))""",
            words={0: ("refused", BAD), 1: ("fine", GOOD)},
        ),
        stat(
            "Tasks restarted",
            """Tasks that failed and were started anew within 15 minutes, the worst of them. When
            coloured it has a bug: take the traceback from the log and report it.""",
            """max(sum by (job, instance, task) (
            increase(exchange_exporter_task_restarts_total{@process}[15m])))""",
            steps=rising(limit("ExchangeExporterTaskRestarts")),
            decimals=0,
        ),
    ]
)

_RUNNING = Row(
    title="What runs?",
    panels=[
        table(
            "Versions and configs",
            """One row a process. Two hashes in one fleet mean that somebody forgot to reload, two
            versions that a rollout stopped half-way.""",
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
            """Whether each process answers its scrapes. A gap of one scrape is a restart; red is
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
            """Which shard of how many each process is. A number that is missing is a shard whose
            exchanges are not watched: start it.""",
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
            """Running tasks by what they do. A line that falls without a reload is a task that
            died: restart the process and keep its log.""",
            Query("sum by (task) (exchange_exporter_tasks{@process})", "{{task}}"),
            height=7,
        ),
        states(
            "Control targets",
            """Places outside all exchanges. All red is our own network: nothing that is said of
            exchanges then means anything. One red is that target.""",
            Query(
                "max by (target) (exchange_exporter_local_network_up{@process})",
                "{{target}}",
            ),
            words={0: ("out of reach", BAD), 1: ("reached", GOOD)},
            none="no control targets",
            width=8,
            height=7,
        ),
    ],
)

_KEEPS_UP = Row(
    title="Does it keep up?",
    panels=[
        heat(
            "Lag of the event loop",
            """Delay between the requested and the actual wake-up of a task. Bad is a cloud above
            0.1 s: every measured latency may contain that much delay of the exporter.""",
            """sum by (le) (
            increase(exchange_exporter_event_loop_lag_seconds_bucket{@process}[$__rate_interval]))""",
        ),
        heat(
            "Lag of probes",
            """From the moment when a probe was due to its start. Bad is above a second: too many
            probes for this process, or a loop that is blocked.""",
            """sum by (le) (
            increase(exchange_exporter_schedule_lag_seconds_bucket{@process}[$__rate_interval]))""",
        ),
        series(
            "CPU",
            """Cores used; one is all that an event loop can use. Bad is above 0.8: add a shard
            before latencies tell of us rather than of exchanges.""",
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
            """Resident memory. A line that climbs for hours with the same config is a leak: report
            it with the growth by the hour.""",
            Query(
                """max by (instance) (process_resident_memory_bytes{@process}
                and on (job, instance) exchange_exporter_build_info{@process})""",
                "{{instance}}",
            ),
            unit="bytes",
            least=0,
        ),
        series(
            "Open files",
            """Share of the file descriptors in use, sockets among them. Above the dashed line raise
            the limit of the service.""",
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
            """How full each queue was when it was last emptied. Bad is near the dashed line: the
            next burst is dropped, and the exporter itself causes gaps.""",
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
            topic, no information is lost; oldest and newest are lost.""",
            Query(
                """sum by (exchange, policy) (
                rate(exchange_queue_dropped_total{@exchange}[$__rate_interval])) > 0""",
                "{{exchange}} {{policy}}",
            ),
            unit="mps",
            none="none",
            width=6,
        ),
        series(
            "Work on a message",
            """Mean time that we spend on a message, to decode it and to apply it. Bad is a step
            after an update, or with a venue's new format: report it.""",
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
            were decoded or applied. Anything above 0: take the traceback from the log and the frame
            from the dead letters, and report both.""",
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
    title="What does it publish?",
    folded=True,
    panels=[
        series(
            "Series by family",
            """The ten largest families. A family that grows without a change of the config is a
            label out of control: report it.""",
            Query("topk(10, sum by (family) (exchange_exporter_series{@process}))", "{{family}}"),
            stacked=True,
            width=12,
        ),
        series(
            "Series refused",
            """Children that the limit kept from being published, within ten minutes. Anything here
            is something that is not watched: raise metrics.series_limit or add a shard.""",
            Query(
                """sum by (family) (
                increase(exchange_exporter_series_dropped_total{@process}[10m])) > 0""",
                "{{family}}",
            ),
            limits=[(None, GOOD), (limit("ExchangeExporterSeriesDropped"), WARN)],
            bars=True,
            none="none was refused",
            width=12,
        ),
        series(
            "Duration of scrapes",
            """How long Prometheus takes to read a page. Bad is near the scrape timeout: fewer
            series, or a longer interval.""",
            Query(
                """max by (instance) (scrape_duration_seconds{@process}
                and on (job, instance) exchange_exporter_build_info{@process})""",
                "{{instance}}",
            ),
            unit="s",
        ),
        series(
            "Connections turned away",
            """Connections to our own web server within ten minutes that were refused because too
            many were open, or closed because too slow. Anything lasting: find who asks.""",
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
            "Not written to the disk",
            """Within an hour: times that state could not be saved, and unreadable frames that were
            not kept. Anything lasting: make room where storage.path points, or mend its rights.""",
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
            """Collections a second by generation. The oldest should be rare: a pause of its kind
            shows as lag of the event loop.""",
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
    about="""Whether the exporter runs, keeps up and can be believed. If it is slow itself, so are
    the latencies that it measures.""",
    rows=[_ANYTHING, _RUNNING, _KEEPS_UP, _PUBLISHES],
)
