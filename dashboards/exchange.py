"""One exchange: availability, latency, failures and limits."""

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
            """Share of the last five minutes in which trading was possible: the minimum over
            probes, connection, feed, books and maintenance. Bad below 99%: the row Tradable shows
            which part.""",
            "min(exchange:tradable:ratio_rate5m{@recorded})",
            unit="percentunit",
            steps=falling(warning=0.99, critical=0.9),
            decimals=1,
            width=3,
        ),
        stat(
            "Probe errors",
            """Share of failed attempts in the last five minutes; probes prevented by an open
            breaker count as failed. Colours are the thresholds of the burn alerts: at red the error
            budget of 30 days is used up in two days.""",
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
            """The most used of the venue's rate limits. Above the alert's threshold, find other
            clients on this address and reduce requests, before the venue bans it.""",
            "max(exchange_rate_limit_used_ratio{@exchange})",
            unit="percentunit",
            steps=rising(limit("ExchangeRateLimitHigh"), 1),
            decimals=0,
            none="no limit known",
            width=3,
        ),
        stat(
            "Ban remaining",
            """Time until the ban by the venue ends. Above one minute, stop every client on this
            address: each request may extend the ban.""",
            "max(exchange_rate_limit_banned_until_timestamp_seconds{@exchange} - time() > 0)",
            unit="dtdurations",
            steps=rising(1, limit("ExchangeBanned", place=-1)),
            none="not banned",
            width=3,
        ),
        stat(
            "Certificate validity",
            """Time until the first of the endpoints' certificates expires. Venues renew about two
            weeks before: below one week the renewal has failed, below one day expect to lose the
            endpoint.""",
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
            """Venue clock minus local clock, the largest of the selected exchanges. Bad above
            one second: signed requests are refused. If all exchanges deviate, correct the local
            clock.""",
            """max(abs(exchange_clock_offset_seconds{@exchange}))""",
            unit="s",
            steps=rising(_SKEW),
            none="the venue sends no time",
            width=3,
        ),
        stat(
            "Maintenance",
            """Whether a maintenance is in progress, by the venue or the config. Alerts are muted
            meanwhile; if it was not announced, inform the traders.""",
            "max(exchange_maintenance_active{@exchange})",
            words={0: ("none", GOOD), 1: ("in progress", IDLE)},
            width=3,
        ),
    ]
)

_ANSWERS = Row(
    title="Availability",
    panels=[
        states(
            "Endpoints",
            """Whether each endpoint's last probe succeeded. One red line among green ones: that
            endpoint only; use another one. All red: the exchange, or the network path to it.""",
            Query(
                "max by (exchange, endpoint) (exchange_probe_success{@exchange})",
                "{{exchange}} {{endpoint}}",
            ),
            words={0: ("failing", BAD), 1: ("working", GOOD)},
        ),
        states(
            "Circuit breakers",
            """While a breaker is open, probes of a failing endpoint are mostly not sent; half open
            is a trial. Bad: open for minutes, or alternating colours; see why probes fail.""",
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
            "Fault domain",
            """Cause of the current failures: the exchange, the network path (control targets or
            most other exchanges do not answer either), or this exporter (overloaded, or too
            many requests). Only red is a fault of the exchange; for the others see the exporter
            page.""",
            Query(
                """clamp_max(
                max by (exchange) (exchange_fault_domain{@exchange,domain="exchange"})
                + 2 * max by (exchange) (exchange_fault_domain{@exchange,domain="path"})
                + 3 * max by (exchange) (exchange_fault_domain{@exchange,domain="self"}), 3)""",
                "{{exchange}}",
            ),
            words={
                0: ("nothing fails", GOOD),
                1: ("exchange", BAD),
                2: ("network path", WARN),
                3: ("this exporter", "purple"),
            },
            width=24,
            height=6,
        ),
        series(
            "Failures by reason",
            """Failed probes per second. dns, connect_* and tls: the network path; http_5xx and
            body_invalid: the venue; rate_limited and banned: too many requests from here. Any
            lasting line is bad.""",
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
            """Due probes per second that were not sent. breaker_open follows failures; rate_budget:
            too many probes for the venue's limit, probe less often.""",
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
            """HTTP responses per second. 200 is good; 429 and 418: too many requests; 403: a
            blocked address; 5xx: errors of the venue.""",
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
    title="Latency",
    panels=[
        heat(
            "Probe latency",
            """Distribution of the durations of answered probes. Bad: a second band above the first
            (some requests take another route), or a band that rises.""",
            """sum by (le) (
            increase(exchange_probe_duration_seconds_bucket{@exchange}[$__rate_interval]))""",
        ),
        series(
            "Probe latency, percentiles",
            """Median, 95th and 99th percentile. The median rises if the venue or the path is slow;
            only the upper ones rise if a few requests wait in a queue. With fewer than a hundred
            probes the 99th is noise.""",
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
            "Duration by phase",
            """Mean duration of each phase of a probe. resolve, connect and tls depend on the path
            and occur on new connections only; processing depends on the venue, transfer on the size
            of the response.""",
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
            """Share of the responses of the last five minutes that took longer than one second.
            Above the dashed line the alert fires: see which phase increased.""",
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
            """Mean duration of probes on new and on reused connections. If only new ones are slow,
            the cause is name resolution, the handshake or the network path, not the venue's
            servers.""",
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
            "Tradable share by part",
            """Share of the last five minutes in which each part worked; the minimum is the
            exchange's figure. Bad: any part below 100%; for books and feed see the streams
            page.""",
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
            """Maintenance by the venue or the config, and restricted modes (of all markets or of
            one) and incidents that the venue reports. Bad: maintenance that was not announced or
            that exceeds its announced end, and any restricted mode or incident; these do not mute
            alerts.""",
            Query(
                "max by (exchange, source) (exchange_maintenance_active{@exchange})",
                "{{exchange}} {{source}}",
            ),
            Query(
                """3 * (min by (exchange)
                (exchange_maintenance_start_timestamp_seconds{@exchange}) - time() < bool 86400)""",
                "{{exchange}} announced",
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
    title="Limits, clock and network",
    folded=True,
    panels=[
        series(
            "Rate limits",
            """Used share of each limit. Above the dashed line the alert fires: the clients on this
            address send too many requests.""",
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
            """Venue clock minus local clock; the measurement can be wrong by the error shown.
            Beyond the dashed lines signed requests are refused. If all exchanges deviate equally,
            the local clock is wrong.""",
            Query("avg by (exchange) (exchange_clock_offset_seconds{@exchange})", "{{exchange}}"),
            Query(
                "min by (exchange) (exchange_clock_offset_error_seconds{@exchange})",
                "{{exchange}} error",
            ),
            unit="s",
            limits=around(_SKEW),
        ),
        series(
            "Negative latency",
            """Messages per second whose timestamp is later than their arrival. Any lasting line
            means that the clocks disagree: see the clock offset.""",
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
            """Days until each certificate expires. It should be renewed about two weeks before;
            below the dashed line the renewal has failed: inform the exchange.""",
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
                "{{exchange}}: chain",
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
            """Number of addresses that the name resolves to, and changes of them within one hour. A
            change can explain a step in latency: another server. Some venues rotate addresses all
            the time; bad: changes that start suddenly, together with failures. Zero: an endpoint
            configured by address.""",
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
    about="""Availability, latency, failures and limits of an exchange. Select one above; if several
    are selected, the first row shows the worst of them.""",
    rows=[_ANYTHING, _ANSWERS, _FAST, _TRADABLE, _ALLOWED],
)
