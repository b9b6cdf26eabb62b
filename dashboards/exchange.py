"""One exchange: does it answer, how fast, why not, and what does it allow us?"""

from __future__ import annotations

from dashboards.page import Page, Row
from dashboards.panels import (
    BAD,
    GOOD,
    IDLE,
    WARN,
    Query,
    around,
    falling,
    heat,
    rising,
    series,
    stat,
    states,
)
from dashboards.thresholds import limit

_DAY = 86_400.0
_SKEW = limit("ExchangeClockSkew")

_ANYTHING = Row(
    panels=[
        stat(
            "State",
            """Whether any endpoint of the selected exchanges is up; the worst of them counts. Down:
            stop routing orders there and read the venue's status page.""",
            "max(exchange:venue_down:bool{@recorded})",
            words={0: ("up", GOOD), 1: ("down", BAD)},
            none="not probed",
            width=3,
        ),
        stat(
            "Tradable",
            """Share of five minutes in which one could trade there: the least of probes,
            connection, feed, books and maintenance. Bad below 99%: the row Tradable says which.""",
            "min(exchange:tradable:ratio_rate5m{@recorded})",
            unit="percentunit",
            steps=falling(warning=0.99, critical=0.9),
            decimals=1,
            width=3,
        ),
        stat(
            "Probe errors",
            """Share of the attempts of five minutes that failed; what an open breaker forbade
            counts. Coloured by the burn alerts: at red the month's budget is gone in two days.""",
            "max(exchange:probe_errors:ratio_rate5m{@recorded})",
            unit="percentunit",
            steps=rising(
                limit("ExchangeErrorBudgetBurn", window="6h", place=0),
                limit("ExchangeErrorBudgetBurn", window="1h", place=0),
            ),
            decimals=2,
            none="not probed",
            width=3,
        ),
        stat(
            "Rate limit used",
            """The fullest of the venue's limits. From the alert's threshold on, find who else uses
            this address and slow down before the venue bans it.""",
            "max(exchange_rate_limit_used_ratio{@exchange})",
            unit="percentunit",
            steps=rising(limit("ExchangeRateLimitHigh"), 1),
            decimals=0,
            none="no limit known",
            width=3,
        ),
        stat(
            "Banned for",
            """How long the venue still tells us to stay away. More than a minute is a ban: stop
            every client on this address, each request may prolong it.""",
            "max(exchange_rate_limit_banned_until_timestamp_seconds{@exchange} - time() > 0)",
            unit="dtdurations",
            steps=rising(1, limit("ExchangeBanned", place=-1)),
            none="not banned",
            width=3,
        ),
        stat(
            "Certificate left",
            """Time until the first certificate of an endpoint ends. Venues renew two weeks ahead:
            under a week it failed, under a day be ready to lose the endpoint.""",
            """min(exchange_probe_tls_cert_not_after_timestamp_seconds{@exchange}) - time()""",
            unit="dtdurations",
            steps=falling(
                limit("ExchangeCertificateExpiring", "warning"),
                limit("ExchangeCertificateExpiring", "critical"),
            ),
            none="no TLS",
            width=3,
        ),
        stat(
            "Clock offset",
            """The venue's clock minus ours, the furthest of those selected. Bad beyond a second:
            signed requests are refused. If all exchanges are off, mend our clock.""",
            """max(abs(exchange_clock_offset_seconds{@exchange}))""",
            unit="s",
            steps=rising(_SKEW),
            none="the venue tells no time",
            width=3,
        ),
        stat(
            "Maintenance",
            """Whether the venue or our calendar says that maintenance goes on. Alerts are muted
            meanwhile; if nobody announced it, tell those who trade.""",
            "max(exchange_maintenance_active{@exchange})",
            words={0: ("none", GOOD), 1: ("going on", IDLE)},
            width=3,
        ),
    ]
)

_ANSWERS = Row(
    title="Does it answer?",
    panels=[
        states(
            "Endpoints",
            """Whether each endpoint's last probe did what was expected. One red line among green
            ones is that endpoint: use another. All red is the exchange, or our path to it.""",
            Query(
                "max by (exchange, endpoint) (exchange_probe_success{@exchange})",
                "{{exchange}} {{endpoint}}",
            ),
            words={0: ("failing", BAD), 1: ("working", GOOD)},
        ),
        states(
            "Circuit breakers",
            """An open breaker probes less, to leave a sick endpoint alone; half open is a trial.
            Bad is open for minutes, or colours that alternate: see why probes fail.""",
            Query(
                """clamp_max(
                max by (exchange, endpoint) (2 *
                exchange_circuit_breaker_state{@exchange,state="open"}) + max by (exchange,
                endpoint) (exchange_circuit_breaker_state{@exchange,state="half_open"}), 2)""",
                "{{exchange}} {{endpoint}}",
            ),
            words={0: ("closed", GOOD), 1: ("half open", WARN), 2: ("open", BAD)},
        ),
        states(
            "Whose fault?",
            """Where the fault lies of what fails: the exchange, the path to it (control targets or
            most other exchanges are silent too), or ourselves (we are late or ask too much). Only
            red says anything of the exchange; for the others see the exporter page.""",
            Query(
                """clamp_max(
                max by (exchange) (exchange_fault_domain{@exchange,domain="exchange"})
                + 2 * max by (exchange) (exchange_fault_domain{@exchange,domain="path"})
                + 3 * max by (exchange) (exchange_fault_domain{@exchange,domain="self"}), 3)""",
                "{{exchange}}",
            ),
            words={
                0: ("nothing fails", GOOD),
                1: ("the exchange", BAD),
                2: ("the path", WARN),
                3: ("ourselves", "purple"),
            },
            width=24,
            height=6,
        ),
        series(
            "Failures by reason",
            """Failed probes a second. dns, connect and tls are the path; http_5xx and body_invalid
            the venue; rate_limited and banned ourselves. Any lasting line is bad.""",
            Query(
                """sum by (reason) (
                rate(exchange_probe_failures_total{@exchange}[$__rate_interval])) > 0""",
                "{{reason}}",
            ),
            unit="reqps",
            bars=True,
            stacked=True,
            none="no failure",
        ),
        series(
            "Probes not sent",
            """Probes a second that were due and not sent. breaker_open follows failures;
            rate_budget means that probes are too many for the venue's limit: probe less often.""",
            Query(
                """sum by (reason) (
                rate(exchange_probe_skipped_total{@exchange}[$__rate_interval])) > 0""",
                "{{reason}}",
            ),
            unit="reqps",
            bars=True,
            stacked=True,
            none="all were sent",
        ),
        series(
            "Answers by status code",
            """HTTP answers a second. 200 is good; 429 and 418 mean that we ask too much, 403 a
            blocked address, 5xx trouble at the venue.""",
            Query(
                """sum by (code) (
                rate(exchange_probe_http_responses_total{@exchange}[$__rate_interval]))""",
                "{{code}}",
            ),
            unit="reqps",
            stacked=True,
        ),
    ],
)

_FAST = Row(
    title="How fast?",
    panels=[
        heat(
            "Probe latency",
            """All answered probes by how long they took. Bad is a second cloud above the first
            (some requests take another way) or a cloud that climbs.""",
            """sum by (le) (
            increase(exchange_probe_duration_seconds_bucket{@exchange}[$__rate_interval]))""",
        ),
        series(
            "Probe latency, percentiles",
            """Median, 95th and 99th percentile. The median climbs when the venue or the path is
            slow; only the upper ones climb when a few requests queue. Below a hundred probes the
            99th is noise.""",
            *(
                Query(
                    f"""histogram_quantile({share}, sum by (le) (
                    rate(exchange_probe_duration_seconds_bucket{{@exchange}}[$__rate_interval])))""",
                    name,
                )
                for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
            ),
            unit="s",
            width=12,
        ),
        series(
            "Where the time goes",
            """Mean time of each part of a probe. resolve, connect and tls are the path and occur on
            new connections only; processing is the venue; transfer the size of the answer.""",
            Query(
                """sum by (phase) (
                rate(exchange_probe_phase_duration_seconds_sum{@exchange}[$__rate_interval]))
                / (sum by (phase) (
                rate(exchange_probe_phase_duration_seconds_count{@exchange}[$__rate_interval])) >
                0)""",
                "{{phase}}",
            ),
            unit="s",
        ),
        series(
            "Slow answers",
            """Share of five minutes' answers that took longer than a second. Above the dashed line
            the alert fires: see which phase grew.""",
            Query(
                """max by (exchange, endpoint)
                (exchange_endpoint:probe_slow:ratio_rate5m{@recorded})""",
                "{{exchange}} {{endpoint}}",
            ),
            unit="percentunit",
            limits=rising(limit("ExchangeLatencyHigh", place=-1)),
            least=0,
        ),
        series(
            "New against reused connections",
            """Mean time of probes with and without set-up. If only new ones are slow, it is name
            resolution, the handshake or the network path, and not the venue's engine.""",
            Query(
                """sum by (connection) (
                rate(exchange_probe_duration_seconds_sum{@exchange}[$__rate_interval]))
                / (sum by (connection) (
                rate(exchange_probe_duration_seconds_count{@exchange}[$__rate_interval]))
                > 0)""",
                "{{connection}}",
            ),
            unit="s",
        ),
    ],
)

_TRADABLE = Row(
    title="Tradable",
    panels=[
        series(
            "What one needs to trade",
            """Each part as its share of five minutes; the least is the exchange's figure. Bad is
            any part below 100%: books and feed lead to the streams page.""",
            Query(
                "min by (exchange, part) (exchange_part:tradable:ratio_rate5m{@recorded})",
                "{{exchange}} {{part}}",
            ),
            unit="percentunit",
            least=0,
            most=1,
            width=12,
        ),
        states(
            "Maintenance, restrictions and incidents over time",
            """Maintenance as the venue or our calendar says, and what else the venue says of
            itself. Bad is maintenance that nobody announced or that lasts beyond its announced end,
            and any restricted mode, of all or of one market, or incident: those mute nothing.""",
            Query(
                "max by (exchange, source) (exchange_maintenance_active{@exchange})",
                "{{exchange}} {{source}}",
            ),
            Query(
                """3 * (min by (exchange)
                (exchange_maintenance_start_timestamp_seconds{@exchange}) - time() < bool 86400)""",
                "{{exchange}} next",
            ),
            Query(
                """2 * max by (exchange, mode)
                (exchange_trading_mode{@exchange, mode!="trading"})""",
                "{{exchange}} {{mode}}",
            ),
            Query(
                """2 * max by (exchange, symbol, mode)
                (exchange_market_mode{@exchange, mode!="trading"})""",
                "{{exchange}} {{symbol}} {{mode}}",
            ),
            Query(
                "2 * max by (exchange) (exchange_incident_declared{@exchange})",
                "{{exchange}} incident",
            ),
            words={
                0: ("none", GOOD),
                1: ("maintenance", IDLE),
                2: ("restricted or failing", BAD),
                3: ("announced within a day", IDLE),
            },
        ),
    ],
)

_ALLOWED = Row(
    title="Limits, clock and path",
    folded=True,
    panels=[
        series(
            "Rate limits",
            """Share of each limit that is used. Above the dashed line the alert fires: whoever uses
            this address asks too much.""",
            Query(
                "max by (exchange, limit) (exchange_rate_limit_used_ratio{@exchange})",
                "{{exchange}} {{limit}}",
            ),
            unit="percentunit",
            limits=rising(limit("ExchangeRateLimitHigh")),
            least=0,
        ),
        series(
            "Clock offset over time",
            """The venue's clock minus ours; the measurement may be wrong by the error shown. Beyond
            the dashed lines signed requests are refused. All off alike is our clock.""",
            Query("avg by (exchange) (exchange_clock_offset_seconds{@exchange})", "{{exchange}}"),
            Query(
                "min by (exchange) (exchange_clock_offset_error_seconds{@exchange})",
                "{{exchange}} error",
            ),
            unit="s",
            limits=around(_SKEW),
        ),
        series(
            "From the future",
            """Messages a second that arrived before they were sent, by the clocks. Any lasting line
            means that the clocks disagree: see the clock offset beside this.""",
            Query(
                """sum by (exchange, channel) (
                rate(exchange_stream_latency_negative_total{@exchange}[$__rate_interval])) > 0""",
                "{{exchange}} {{channel}}",
            ),
            unit="mps",
            none="none",
        ),
        series(
            "Certificates",
            """Days until each certificate ends. It should jump up two weeks before the end; below
            the dashed line the renewal failed: tell the exchange.""",
            Query(
                """(min by (exchange, endpoint) (
                exchange_probe_tls_cert_not_after_timestamp_seconds{@exchange}) - time()) /
                86400""",
                "{{exchange}} {{endpoint}}",
            ),
            Query(
                """(min by (exchange) (
                exchange_probe_tls_chain_not_after_timestamp_seconds{@exchange}) - time()) /
                86400""",
                "{{exchange}}: first of the chain",
            ),
            unit="d",
            limits=falling(
                limit("ExchangeCertificateExpiring", "warning") / _DAY,
                limit("ExchangeCertificateExpiring", "critical") / _DAY,
            ),
            none="no TLS",
            width=12,
        ),
        series(
            "Addresses",
            """How many addresses the name resolves to, and how often they changed within an hour. A
            change explains a step in latency: another edge. Some venues rotate all the time; bad
            is a sudden start, with failures. Zero lines are endpoints without a name.""",
            Query(
                "max by (exchange, endpoint) (exchange_probe_resolved_addresses{@exchange})",
                "{{exchange}} {{endpoint}}",
            ),
            Query(
                """sum by (exchange, endpoint) (
                increase(exchange_probe_address_changes_total{@exchange}[1h]))""",
                "{{exchange}} {{endpoint}} changes",
            ),
            none="addresses are given, not resolved",
            width=12,
        ),
    ],
)

PAGE = Page(
    uid="exobs-exchange",
    title="Exchange",
    about="""Whether an exchange answers, how fast, why not, and what it allows us. Choose one
    above; with several chosen the numbers of the first row are those of the worst.""",
    rows=[_ANYTHING, _ANSWERS, _FAST, _TRADABLE, _ALLOWED],
)
