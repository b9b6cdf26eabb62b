"""The alert pipeline: Prometheus, Alertmanager and the relay."""

from __future__ import annotations

from dashboards.page import Page, Row, Variable
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

_BEAT = limit("AlertRelayHeartbeatMissing", place=0)
_STUCK = limit("AlertRelayStuck", place=-1)

_ANYTHING = Row(
    panels=[
        stat(
            "Programs up",
            """Whether the relay, Alertmanager, Prometheus and the exporters that push alerts are
            all up. If one is down, alerts may reach nobody: restart it, and read the alerts on
            Alertmanager's page meanwhile.""",
            "min(up{@process})",
            words={0: ("down", BAD), 1: ("all up", GOOD)},
            width=3,
        ),
        stat(
            "Undelivered",
            """Messages that the relay could not deliver within an hour. Above 0 somebody was not
            notified: read the firing alerts in Alertmanager, then correct the receiver's token,
            quota or address.""",
            """sum(increase(alert_relay_deliveries_total{@process,outcome="failed"}[1h]))""",
            steps=rising(critical=1),
            decimals=0,
            none="no relay",
            width=3,
        ),
        stat(
            "Since the last heartbeat",
            """Time since the last watchdog alert, which Alertmanager sends to the relay once per
            minute. At red the path is broken: check whether Alertmanager runs and reaches the
            relay.""",
            "time() - min(alert_relay_watchdog_last_received_timestamp_seconds{@process} > 0)",
            unit="s",
            steps=rising(critical=_BEAT),
            decimals=0,
            none="none received",
            width=3,
        ),
        stat(
            "Oldest undelivered message",
            """Age of the oldest message that is not delivered yet. At red a page is late: read the
            firing alerts in Alertmanager, then see which channel retries.""",
            """time()
            - min(alert_relay_oldest_pending_timestamp_seconds{@process} > 0)""",
            unit="s",
            steps=rising(critical=_STUCK),
            decimals=0,
            none="nothing waits",
            width=3,
        ),
        stat(
            "Dead letters",
            """Messages that could not be delivered and are kept. Above 0 repair the channel, then
            retry them with `relay outbox retry all`.""",
            "sum(alert_relay_dead_letters{@process})",
            steps=rising(warning=1),
            none="no relay",
            width=3,
        ),
        stat(
            "Failed notifications",
            """Share of Alertmanager's notifications that failed in the last five minutes. If red,
            find the receiver's answer in its log.""",
            """max(sum by (job, integration) (
            rate(alertmanager_notifications_failed_total{@process}[5m]))
            / (sum by (job, integration) (
            rate(alertmanager_notifications_total{@process}[5m])) > 0))""",
            unit="percentunit",
            steps=rising(critical=limit("AlertmanagerNotificationsFailing", place=-1)),
            decimals=1,
            none="none was sent",
            width=3,
        ),
        stat(
            "Alerts dropped",
            """Alerts that Prometheus dropped within one hour because no Alertmanager accepted
            them. Above 0 check whether Alertmanager runs, and the alerting section of
            Prometheus' config.""",
            "sum(increase(prometheus_notifications_dropped_total{@process}[1h]))",
            steps=rising(critical=1),
            decimals=0,
            none="Prometheus does not scrape itself",
            width=3,
        ),
        stat(
            "Rules failing",
            """Rule evaluations that failed in the last five minutes: these alerts cannot fire.
            Above 0 open /rules of Prometheus, which shows the error of each rule.""",
            "sum(increase(prometheus_rule_evaluation_failures_total{@process}[5m]))",
            steps=rising(critical=1),
            decimals=0,
            none="Prometheus does not scrape itself",
            width=3,
        ),
    ]
)

_RELAY = Row(
    title="Relay",
    panels=[
        series(
            "Received",
            """Alerts received and posts refused per minute. Bad: any refusal. unauthorized: a wrong
            token; foreign: a web page or not JSON; full: no space in the spool. Unreadable alerts
            were not delivered.""",
            Query(
                """60 * sum by (status) (
                rate(alert_relay_received_total{@process}[$__rate_interval]))""",
                "{{status}}",
            ),
            Query(
                """60 * sum by (reason) (
                rate(alert_relay_refused_total{@process}[$__rate_interval])) > 0""",
                "refused: {{reason}}",
            ),
            Query(
                """60 * sum(
                rate(alert_relay_unreadable_total{@process}[$__rate_interval])) > 0""",
                "unreadable",
            ),
            none="no relay",
        ),
        series(
            "Deliveries",
            """Delivery attempts per minute. retry: a temporary error of the service; failed: final,
            sends a page; truncated: shortened to the service's limit.""",
            Query(
                """60 * sum by (channel, outcome) (
                rate(alert_relay_deliveries_total{@process}[$__rate_interval])) > 0""",
                "{{channel}} {{outcome}}",
            ),
            none="nothing to deliver",
        ),
        heat(
            "Time to confirmation",
            """Time from the arrival of the post to the confirmation by the service. Bad: above one
            minute for pages; see which channel retries.""",
            """sum by (le) (
            increase(alert_relay_delivery_duration_seconds_bucket{@process}[$__rate_interval]))""",
            none="nothing delivered",
            width=8,
        ),
        table(
            "Channels",
            """One row per receiver. If a channel has not delivered anything for long, its token may
            have expired: send a test message. If few messages are left, buy more or send warnings
            elsewhere.""",
            [
                Column(
                    title="Since last delivery",
                    query="""time() - max by (channel) (
                    alert_relay_last_success_timestamp_seconds{@process} > 0)""",
                    unit="s",
                    decimals=0,
                ),
                Column(
                    title="Undelivered in 1d",
                    query="""sum by (channel) (
                    increase(alert_relay_deliveries_total{@process,outcome="failed"}[1d]))""",
                    steps=rising(critical=1),
                    decimals=0,
                ),
                Column(
                    title="Left this month",
                    query="""min by (channel) (alert_relay_quota_limit{@process}
                    - alert_relay_quota_used{@process})""",
                    steps=falling(warning=limit("AlertRelayQuotaLow")),
                    decimals=0,
                ),
            ],
            keys={"channel": "Channel"},
            none="no relay",
            width=12,
            height=7,
        ),
        states(
            "Circuit breakers of receivers",
            """Open: the service failed repeatedly, so deliveries pause. Bad: open for minutes;
            check the service's status page, then the token.""",
            Query(
                """clamp_max(
                max by (channel) (2 * alert_relay_circuit_breaker_state{@process,state="open"})
                + max by (channel) (alert_relay_circuit_breaker_state{@process,state="half_open"}),
                2)""",
                "{{channel}}",
            ),
            words={0: ("closed", GOOD), 1: ("half open", WARN), 2: ("open", BAD)},
            none="no relay",
            height=7,
        ),
        series(
            "Queue depth",
            """Messages waiting for delivery or being delivered. It should return to 0 within
            seconds; a plateau means that a channel does not answer.""",
            Query("sum by (instance) (alert_relay_queue_depth{@process})", "{{instance}}"),
            none="no relay",
        ),
        series(
            "Held back",
            """Messages per minute held back for later or for a digest. cooldown and storm avoid
            repeated notifications; budget: the configured maximum is reached.""",
            Query(
                """60 * sum by (channel, reason) (
                rate(alert_relay_held_total{@process}[$__rate_interval])) > 0""",
                "{{channel}} {{reason}}",
            ),
            none="none",
        ),
        series(
            "Deduplicated alerts",
            """Alerts per minute dropped because the same alert was received shortly before. Bad: a
            lasting line; Alertmanager repeats because it got no answer in time.""",
            Query(
                """60 * sum by (instance) (
                rate(alert_relay_deduplicated_total{@process}[$__rate_interval]))""",
                "{{instance}}",
            ),
            none="no relay",
        ),
    ],
)

_TRIAGE = Row(
    title="Triage",
    folded=True,
    panels=[
        series(
            "Triages by outcome",
            """Triages of urgent incidents within one hour, by outcome. After timeout and error only
            the comment is missing: alerts do not wait for it.""",
            Query(
                "sum by (outcome) (increase(alert_relay_triage_total{@process}[1h]))",
                "{{outcome}}",
            ),
            none="no relay",
        ),
        series(
            "Time to the answer",
            """95th percentile of the model's response time. Bad: near triage.deadline, because
            comments then come late or not at all; use a smaller model.""",
            Query(
                """histogram_quantile(0.95, sum by (le) (
                rate(alert_relay_triage_duration_seconds_bucket{@process}[1h])))""",
                "95 %",
            ),
            unit="s",
            none="no requests",
        ),
        series(
            "Tokens",
            """Tokens sent and received in one hour, as counted by the model: they determine the
            cost. A jump is an alert storm; triage.per_hour and triage.per_day limit it.""",
            Query(
                "sum by (direction) (increase(alert_relay_triage_tokens_total{@process}[1h]))",
                "{{direction}}",
            ),
            none="no requests",
        ),
    ],
)

_PUSHED = Row(
    title="Alerts pushed by exporters",
    panels=[
        series(
            "Pushes",
            """Requests that push alerts to each Alertmanager, in five minutes; without alerts one
            per minute. Bad: failed or refused above the line; check the URL and login. Until then
            only Prometheus' rules send alerts.""",
            Query(
                """sum by (alertmanager, outcome) (
                increase(exchange_exporter_alert_pushes_total{@process}[5m])) > 0""",
                "{{alertmanager}} {{outcome}}",
            ),
            limits=rising(warning=limit("ExchangeExporterPushFailing")),
            none="nothing is pushed",
        ),
        series(
            "Since the last push",
            """Time since an Alertmanager last accepted a push. Above one minute the path is broken,
            or a task hangs: read the log.""",
            Query(
                """time() - max by (instance, alertmanager) (
                exchange_exporter_alert_push_last_success_timestamp_seconds{@process})""",
                "{{instance}} {{alertmanager}}",
            ),
            unit="s",
            limits=rising(warning=limit("ExchangeExporterPushStale", place=0)),
            least=0,
            none="nothing is pushed",
        ),
    ],
)

_BEFORE = Row(
    title="Prometheus and Alertmanager",
    panels=[
        series(
            "Notifications",
            """Notifications of Alertmanager per minute, by integration; failed ones are separate
            lines. Bad: any failed line, or no notifications while alerts fire.""",
            Query(
                """60 * sum by (integration) (
                rate(alertmanager_notifications_total{@process}[$__rate_interval])) > 0""",
                "{{integration}}",
            ),
            Query(
                """60 * sum by (integration) (
                rate(alertmanager_notifications_failed_total{@process}[$__rate_interval])) > 0""",
                "{{integration}} failed",
            ),
            none="none was sent",
        ),
        series(
            "Alerts by state",
            """Alerts in Alertmanager. Many suppressed and few active ones are the normal effect of
            inhibition; many active ones usually have one cause: see the overview.""",
            Query("sum by (state) (alertmanager_alerts{@process})", "{{state}}"),
            stacked=True,
            none="Alertmanager is not scraped",
        ),
        series(
            "Rule evaluation time",
            """Evaluation time of each rule group, as a share of its interval. Bad: near the dashed
            line; rules are evaluated late, and alerts fire late.""",
            Query(
                """max by (rule_group) (
                prometheus_rule_group_last_duration_seconds{@process}
                / prometheus_rule_group_interval_seconds{@process})""",
                "{{rule_group}}",
            ),
            unit="percentunit",
            limits=rising(warning=0.5, critical=1),
            none="Prometheus does not scrape itself",
        ),
    ],
)

PAGE = Page(
    uid="exobs-pipeline",
    title="Alert pipeline",
    about="""Delivery of alerts: Prometheus evaluates rules, Alertmanager groups and routes, the
    relay delivers. The variables select the jobs of these programs, not of the exporter.""",
    rows=[_ANYTHING, _RELAY, _PUSHED, _BEFORE, _TRIAGE],
    exchanges=False,
    variables=[
        Variable(
            name="job",
            label="Job",
            query='label_values({__name__=~"alert_relay_queue_depth|alertmanager_alerts|'
            'prometheus_notifications_dropped_total|exchange_exporter_alert_pushes_total"}, job)',
        ),
        Variable(
            name="instance", label="Instance", query='label_values(up{job=~"$job"}, instance)'
        ),
    ],
)
