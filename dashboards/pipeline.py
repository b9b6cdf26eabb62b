"""The alert pipeline: does an alert reach anybody? Prometheus, Alertmanager, the relay."""

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
            """The least of what the relay, Alertmanager, Prometheus and exporters that push answer.
            If anything is down, alerts may reach nobody: restart it, and read Alertmanager's page
            meanwhile.""",
            "min(up{@process})",
            words={0: ("down", BAD), 1: ("all up", GOOD)},
            width=3,
        ),
        stat(
            "Undelivered",
            """Messages that the relay could not deliver within an hour. Above 0 somebody was not
            notified: read what fires in Alertmanager, then correct token, quota or address.""",
            """sum(increase(alert_relay_deliveries_total{@process,outcome="failed"}[1h]))""",
            steps=rising(critical=1),
            decimals=0,
            none="no relay",
            width=3,
        ),
        stat(
            "Since the last heartbeat",
            """Alertmanager's watchdog comes to the relay once a minute. At red the way is broken:
            see whether Alertmanager runs and reaches the relay.""",
            "time() - min(alert_relay_watchdog_last_received_timestamp_seconds{@process} > 0)",
            unit="s",
            steps=rising(critical=_BEAT),
            decimals=0,
            none="never came",
            width=3,
        ),
        stat(
            "Oldest waiting",
            """How long the oldest message waits for its delivery. At red a page is late: read what
            fires in Alertmanager, then see which channel retries.""",
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
            """Share of Alertmanager's notifications of five minutes that failed. When red read its
            log for the receiver's answer.""",
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
            """Alerts that Prometheus lost within an hour because no Alertmanager took them. Above 0
            see whether Alertmanager runs, and Prometheus' alerting config.""",
            "sum(increase(prometheus_notifications_dropped_total{@process}[1h]))",
            steps=rising(critical=1),
            decimals=0,
            none="Prometheus does not scrape itself",
            width=3,
        ),
        stat(
            "Rules failing",
            """Rules that could not be evaluated within five minutes: alerts that never fire. Above
            0 open /rules of Prometheus, it shows the error beside the rule.""",
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
            """Alerts received and posts refused per minute. Bad is any refusal: unauthorized is a
            wrong token, foreign a web page, full a spool without room; unreadable alerts were not
            delivered.""",
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
            """Tries to deliver a message, a minute. retry comes and goes with the provider; failed
            is final and pages; truncated ones were cut to fit.""",
            Query(
                """60 * sum by (channel, outcome) (
                rate(alert_relay_deliveries_total{@process}[$__rate_interval])) > 0""",
                "{{channel}} {{outcome}}",
            ),
            none="nothing to deliver",
        ),
        heat(
            "Time to the provider's confirmation",
            """From the post's arrival to the provider's yes. Bad is above a minute for pages: see
            which channel retries.""",
            """sum by (le) (
            increase(alert_relay_delivery_duration_seconds_bucket{@process}[$__rate_interval]))""",
            none="nothing delivered",
            width=8,
        ),
        table(
            "Channels",
            """One row a receiver. A channel that has long delivered nothing may have an expired
            token: send a test message. Few messages left: buy more or route warnings elsewhere.""",
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
            "Circuits of the receivers",
            """Open means that the provider failed so often that it is left alone for a while. Bad
            is open for minutes: its status page, then the token.""",
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
            "Waiting",
            """Messages that wait for delivery or are under way. It should return to 0 within
            seconds; a plateau is a channel that does not answer.""",
            Query("sum by (instance) (alert_relay_queue_depth{@process})", "{{instance}}"),
            none="no relay",
        ),
        series(
            "Held back",
            """Messages kept for a digest, a minute. cooldown and storm are meant to spare people;
            budget means that the month's quota is being saved: buy more.""",
            Query(
                """60 * sum by (channel, reason) (
                rate(alert_relay_held_total{@process}[$__rate_interval])) > 0""",
                "{{channel}} {{reason}}",
            ),
            none="none",
        ),
        series(
            "Told already",
            """Alerts dropped, a minute, because the same was taken shortly before. Bad is a lasting
            line: Alertmanager repeats because it got no answer in time.""",
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
            """How questions about urgent incidents ended, in an hour. timeout and error cost
            nothing but the comment: the alert goes out without waiting.""",
            Query(
                "sum by (outcome) (increase(alert_relay_triage_total{@process}[1h]))",
                "{{outcome}}",
            ),
            none="no relay",
        ),
        series(
            "Time to the answer",
            """95th percentile. Bad is near the limit of a few seconds: comments then come late or
            not at all; take a smaller model.""",
            Query(
                """histogram_quantile(0.95, sum by (le) (
                rate(alert_relay_triage_duration_seconds_bucket{@process}[1h])))""",
                "95 %",
            ),
            unit="s",
            none="nothing was asked",
        ),
        series(
            "Tokens",
            """Tokens sent and received in an hour, as the model counted them: what it costs. A jump
            is an alert storm: see the budget of triage.""",
            Query(
                "sum by (direction) (increase(alert_relay_triage_tokens_total{@process}[1h]))",
                "{{direction}}",
            ),
            none="nothing was asked",
        ),
    ],
)

_PUSHED = Row(
    title="Pushed by exporters themselves",
    panels=[
        series(
            "Pushes",
            """Requests that push alerts to each Alertmanager, within five minutes; without alerts
            it is one a minute. Bad is failed or refused above the line: see its address and login,
            pages come by the rules alone meanwhile.""",
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
            """Since an Alertmanager last took what was pushed to it. A line that climbs past a
            minute is a way that is closed, or a task that hangs: read the log.""",
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
            """What Alertmanager sends, a minute, by integration; failed ones apart. Bad is any
            failed line, or none at all while alerts fire.""",
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
            """What Alertmanager holds. Many suppressed beside few active ones is inhibition at
            work; many active ones at once have one cause: see the overview.""",
            Query("sum by (state) (alertmanager_alerts{@process})", "{{state}}"),
            stacked=True,
            none="Alertmanager is not scraped",
        ),
        series(
            "Evaluation of rules",
            """How much of its interval each group of rules takes. Bad is near the dashed line:
            rules come late, and so do alerts.""",
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
    about="""Whether an alert reaches anybody: Prometheus evaluates rules, Alertmanager groups and
    routes, the relay delivers. The variables here are its own: other jobs than the exporter's.""",
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
