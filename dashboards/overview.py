"""Is anything wrong, and where? Every exchange at a glance."""

from __future__ import annotations

from dashboards.page import Page, Row
from dashboards.panels import (
    BAD,
    GOOD,
    IDLE,
    WARN,
    Column,
    Query,
    around,
    falling,
    link,
    rising,
    series,
    stat,
    states,
    table,
)
from dashboards.thresholds import limit

_OPEN = link("Open the exchange", "/d/exobs-exchange?var-exchange=${__field.labels.exchange}")
_OPEN_ROW = link("Open the exchange", "/d/exobs-exchange?var-exchange=${__data.fields.Exchange}")
_RUNBOOK = {
    "title": "Open the runbook",
    "url": "https://github.com/exchange-exporter/exchange-exporter/blob/main/alert_rules/runbooks/"
    "${__data.fields.Alert}.md",
    "targetBlank": True,
}
_UP_DOWN = {0: ("up", GOOD), 1: ("down", BAD), 2: ("maintenance", IDLE)}
_WARN_AT = limit("ExchangePriceDivergence", "warning")

_ANYTHING = Row(
    panels=[
        stat(
            "Critical alerts",
            """Alerts that a person must act on now. Anything above 0 is bad: read the table of
            firing alerts below, whose rows say what to do.""",
            """sum(ALERTS{@alerts,alertstate="firing",severity="critical"}) or vector(0)""",
            steps=rising(critical=1),
        ),
        stat(
            "Warnings",
            """Alerts to be handled within a day. A few may be normal; many at once usually have one
            common cause, often the local network.""",
            """sum(ALERTS{@alerts,alertstate="firing",severity="warning"}) or vector(0)""",
            steps=rising(warning=1),
        ),
        stat(
            "Exchanges down",
            """Exchanges of which no endpoint is up as seen from any site. Bad above 0: stop
            routing orders there. If nearly all are down, the cause is probably local: see the
            next numbers.""",
            "sum(max by (exchange) (exchange:venue_down:bool{@recorded}))",
            steps=rising(critical=1),
            none="not probed",
        ),
        stat(
            "Lowest tradable share",
            """Share of the last five minutes in which trading was possible, for the worst exchange:
            probes, connection, feed and books all working. Bad below 99%; open the exchange to see
            which part is missing.""",
            "min(exchange:tradable:ratio_rate5m{@recorded})",
            unit="percentunit",
            steps=falling(warning=0.99, critical=0.9),
            decimals=1,
        ),
        stat(
            "Local network",
            """Whether the control targets, which are not exchanges, can be reached. If not, the
            other figures on this page say nothing about exchanges: repair uplink, DNS or proxy
            first.""",
            "min(site:local_network_up:max{@job})",
            words={0: ("unreachable", BAD), 1: ("up", GOOD)},
            none="no control targets",
        ),
        stat(
            "Exporters up",
            """Share of the exporters that Prometheus can scrape. Below 100% some or all exchanges
            are not monitored: see the exporter page and restart the missing ones.""",
            """avg(up{@process}
            and on (job) last_over_time(exchange_exporter_build_info{@process}[1h]))""",
            unit="percentunit",
            steps=falling(warning=1, critical=0.5),
            absent=BAD,
            decimals=0,
        ),
    ]
)

_EXCHANGES = Row(
    title="Exchanges",
    panels=[
        table(
            "All exchanges",
            """One row per exchange, current values; colours are the alerts' thresholds. Find the
            bad part in the row, then click the exchange for details.""",
            [
                Column(
                    title="State",
                    query="""clamp_max(max by (exchange) (exchange:venue_down:bool{@recorded})
                    + 2 * max by (exchange) (exchange_maintenance_active{@exchange}), 2)""",
                    words=_UP_DOWN,
                ),
                Column(
                    title="Fault domain",
                    query="""clamp_max(
                    max by (exchange) (exchange_fault_domain{@exchange,domain="exchange"})
                    + 2 * max by (exchange) (exchange_fault_domain{@exchange,domain="path"})
                    + 3 * max by (exchange) (exchange_fault_domain{@exchange,domain="self"}), 3)""",
                    words={
                        0: ("-", IDLE),
                        1: ("exchange", BAD),
                        2: ("path", WARN),
                        3: ("self", WARN),
                    },
                ),
                Column(
                    title="Tradable",
                    query="min by (exchange) (exchange:tradable:ratio_rate5m{@recorded})",
                    unit="percentunit",
                    steps=falling(warning=0.99, critical=0.9),
                    decimals=1,
                ),
                Column(
                    title="Probe errors",
                    query="max by (exchange) (exchange:probe_errors:ratio_rate5m{@recorded})",
                    unit="percentunit",
                    steps=rising(
                        limit("ExchangeErrorBudgetBurn", window="6h", place=0),
                        limit("ExchangeErrorBudgetBurn", window="1h", place=0),
                    ),
                    decimals=2,
                ),
                Column(
                    title="Slow answers",
                    query="""max by (exchange)
                    (exchange_endpoint:probe_slow:ratio_rate5m{@recorded})""",
                    unit="percentunit",
                    steps=rising(limit("ExchangeLatencyHigh", place=-1)),
                    decimals=1,
                ),
                Column(
                    title="Silent subscriptions",
                    query="max by (exchange) (exchange:stream_silent:ratio{@recorded})",
                    unit="percentunit",
                    steps=rising(0.001, limit("ExchangeFeedSilent", place=0)),
                    decimals=0,
                ),
                Column(
                    title="Late messages",
                    query="""max by (exchange)
                    (exchange_channel:stream_late:ratio_rate5m{@recorded})""",
                    unit="percentunit",
                    steps=rising(limit("ExchangeStreamLatencyHigh", place=-1)),
                    decimals=1,
                ),
                Column(
                    title="Price deviation",
                    query="max by (exchange) (abs(exchange_price_deviation_ratio{@exchange}))",
                    unit="percentunit",
                    steps=rising(_WARN_AT, limit("ExchangePriceDivergence", "critical")),
                    decimals=2,
                ),
                Column(
                    title="Books synchronized",
                    query="avg by (exchange) (exchange_book_synced{@exchange})",
                    unit="percentunit",
                    steps=falling(warning=1, critical=0.5),
                    decimals=0,
                ),
                Column(
                    title="Rate limit",
                    query="max by (exchange) (exchange_rate_limit_used_ratio{@exchange})",
                    unit="percentunit",
                    steps=rising(limit("ExchangeRateLimitHigh"), 1),
                    decimals=0,
                ),
                Column(
                    title="Budget left",
                    query="min by (exchange) (exchange:error_budget_remaining:ratio30d{@recorded})",
                    unit="percentunit",
                    steps=falling(warning=0.5, critical=0),
                    decimals=0,
                ),
            ],
            keys={"exchange": "Exchange"},
            links={"Exchange": _OPEN_ROW},
            sort="Probe errors",
            height=10,
        ),
        states(
            "Gates",
            """State of each gate, as answered at /api/v1/gates. Red is closed; the next panel shows
            the reasons. A grey gate is evaluated by no exporter.""",
            Query("min by (gate) (exchange_gate_open{@process})", "{{gate}}"),
            words={0: ("closed", BAD), 1: ("open", GOOD)},
            none="no gates configured",
            height=5,
        ),
        series(
            "Reasons for closed gates",
            """Time closed within the last hour, by unmet need; simultaneous reasons are all
            counted. `open_after`: all needs are met and the gate waits before it opens.""",
            Query(
                """sum by (gate, reason) (
                increase(exchange_gate_closed_seconds_total{@process}[1h])) > 0""",
                "{{gate}} {{reason}}",
            ),
            Query(
                "sum by (gate) (increase(exchange_gate_changes_total{@process}[1h])) > 0",
                "{{gate}} changes",
            ),
            unit="s",
            bars=True,
            none="nothing",
            height=5,
        ),
        states(
            "Up, down or maintenance",
            """Whether any endpoint of the exchange is up. Red is down, grey is announced
            maintenance. Red on all lines at once is a local fault. Click a bar to open the
            exchange.""",
            Query(
                """clamp_max(max by (exchange) (exchange:venue_down:bool{@recorded})
                + 2 * max by (exchange) (exchange_maintenance_active{@exchange}), 2)""",
                "{{exchange}}",
            ),
            words=_UP_DOWN,
            link=_OPEN,
            height=9,
        ),
        table(
            "Firing alerts",
            """Firing alerts with their duration, including muted ones, critical ones first. Empty
            is good. Click an alert to open its runbook.""",
            [
                Column(
                    title="Severity",
                    query="""min by (alertname, exchange, category) (
                    0 * ALERTS{@alerts,alertstate="firing",severity="critical"}
                    or 1 + 0 * ALERTS{@alerts,alertstate="firing",severity="warning"}
                    or 2 + 0 * ALERTS{@alerts,alertstate="firing",severity="info"})""",
                    words={0: ("critical", BAD), 1: ("warning", WARN), 2: ("info", IDLE)},
                ),
                Column(
                    title="For",
                    query="""time() - min by (alertname, exchange, category) (
                    ALERTS_FOR_STATE{@alerts,severity!="none"} and ignoring (alertstate)
                    ALERTS{@alerts,alertstate="firing",severity!="none"})""",
                    unit="s",
                    decimals=0,
                ),
            ],
            keys={"alertname": "Alert", "exchange": "Exchange", "category": "Category"},
            links={"Exchange": _OPEN_ROW, "Alert": _RUNBOOK},
            sort="Severity",
            lowest=True,
            none="no alert is firing",
            width=12,
        ),
    ],
)

_SPEED = Row(
    title="Latency and rates",
    panels=[
        series(
            "Probe latency, 95th percentile",
            """95 % of an exchange's probes take at most this long. Bad: a step or a rise compared
            with its own past; if all rise together, suspect the local network or the exporter.""",
            Query(
                """histogram_quantile(0.95, sum by (exchange, le) (
                rate(exchange_probe_duration_seconds_bucket{@exchange}[$__rate_interval])))""",
                "{{exchange}}",
            ),
            unit="s",
            link=_OPEN,
        ),
        series(
            "Message latency, 95th percentile",
            """Time from the venue's timestamp in a message to its arrival here. Bad: a lasting
            rise, because prices are outdated by that much; widen quotes or stop trading, and find
            the cause on the streams page.""",
            Query(
                """histogram_quantile(0.95, sum by (exchange, le) (
                rate(exchange_stream_latency_seconds_bucket{@exchange}[$__rate_interval])))""",
                "{{exchange}}",
            ),
            unit="s",
            link=_OPEN,
        ),
        series(
            "Market data",
            """Messages per second by exchange. Bad: one line falls and the others do not; if all
            fall, the market is quiet. Open the streams page of the exchange that fell.""",
            Query(
                """sum by (exchange) (
                rate(exchange_stream_messages_total{@exchange,kind="data"}[$__rate_interval]))""",
                "{{exchange}}",
            ),
            unit="mps",
            log=True,
            link=_OPEN,
        ),
    ],
)

_PRICES = Row(
    title="Prices",
    panels=[
        series(
            "Deviation from the median price",
            """Each exchange's price relative to the median of all exchanges, for its worst symbol.
            Beyond the dashed lines do not rely on the price; check whether the exchange has halted
            deposits or withdrawals.""",
            Query(
                """max by (exchange) (
                abs(exchange_symbol:price_deviation:ratio{@recorded}))""",
                "{{exchange}}",
            ),
            unit="percentunit",
            limits=rising(_WARN_AT, limit("ExchangePriceDivergence", "critical")),
            none="fewer than three exchanges quote a symbol",
            link=_OPEN,
        ),
        series(
            "Quote currencies against their peg",
            """Price of one quote currency in the other, minus 1, over all exchanges. Beyond the
            dashed lines it has lost its peg: all prices in it deviate by that much.""",
            Query(
                "quote:quote_basis:median{@job}",
                "{{quote}} in {{base_quote}}",
            ),
            unit="percentunit",
            limits=around(
                limit("ExchangeQuoteDepeg", "warning"), limit("ExchangeQuoteDepeg", "critical")
            ),
            none="all symbols have one quote currency",
        ),
        series(
            "Spread",
            """Best ask minus best bid, divided by the mid price, for the widest symbol of each
            exchange. Above the dashed line there is too little liquidity: send no market
            orders.""",
            Query("max by (exchange) (exchange_spread_ratio{@exchange})", "{{exchange}}"),
            unit="percentunit",
            limits=[(None, GOOD), (limit("ExchangeSpreadWide"), WARN)],
            log=True,
            link=_OPEN,
        ),
    ],
)

_UNUSUAL = Row(
    title="Unusual behaviour and error budget",
    folded=True,
    panels=[
        series(
            "Anomaly score",
            """The highest ensemble score of each exchange's signals; 1 is the threshold. A single
            short peak rarely matters; several signals at once do: open the anomalies page.""",
            Query(
                "max by (exchange) (exchange_signal:anomaly_score:avg1m{@recorded})",
                "{{exchange}}",
            ),
            limits=rising(limit("ExchangeAnomaly")),
            none="detectors are still learning",
            width=12,
        ),
        series(
            "Error budget left",
            """Share of the 30 days' error budget that is left. Below 0 the objective is missed:
            move traffic elsewhere, and see on the SLO page when it was used.""",
            Query(
                "min by (exchange) (exchange:error_budget_remaining:ratio30d{@recorded})",
                "{{exchange}}",
            ),
            unit="percentunit",
            limits=falling(critical=0),
            most=1,
            width=12,
        ),
        series(
            "Markets of patterns",
            """Markets that match the patterns in symbols, and the age of the venue's list of
            markets. Bad: markets left out because of symbols_limit, or a list older than
            symbols_refresh. Empty without patterns.""",
            Query(
                "max by (exchange, choice) (exchange_markets{@exchange})",
                "{{exchange}} {{choice}}",
            ),
            Query(
                "time() - max by (exchange) (exchange_markets_read_timestamp_seconds{@exchange})",
                "{{exchange}} list read (s ago)",
            ),
            none="no patterns in symbols",
            width=24,
        ),
    ],
)

PAGE = Page(
    uid="exobs-overview",
    title="Overview",
    about="""Overall state: the first row shows whether anything is wrong, the table which exchange
    and which part of it.""",
    rows=[_ANYTHING, _EXCHANGES, _SPEED, _PRICES, _UNUSUAL],
)
