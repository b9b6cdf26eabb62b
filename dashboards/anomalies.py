"""Signals that the detectors find unusual, with their scores and expected ranges."""

from __future__ import annotations

from dashboards.page import Page, Row, Variable
from dashboards.panels import (
    BAD,
    GOOD,
    IDLE,
    WARN,
    Column,
    Panel,
    Query,
    band,
    falling,
    link,
    rising,
    series,
    stat,
    states,
    table,
)
from dashboards.thresholds import limit

_AT = limit("ExchangeAnomaly")
_MANY = limit("ExchangeAnomalyCorroborated", place=-1)
_TOP = 15  # signals that can be told apart at the panel's height
_SEEN = 0.01  # the least score that is drawn on a logarithmic axis, which has no zero
_WIDTHS = limit("ExchangeOutsideBand", place=0)


def _band(title: str, signal: str, unit: str, about: str) -> Panel:
    return series(
        title,
        f"""{about} The band is the median of the last day plus and minus {_WIDTHS:g} widths,
        computed by Prometheus (the optional rules of adaptive.yml). Bad: outside the band for ten
        minutes; see what else changed at that time.""",
        Query(f'exchange_signal:band_input:mean5m{{@recorded,signal="{signal}"}}', "{{exchange}}"),
        Query(
            f'clamp_min(exchange_signal:band_center:median1d{{@recorded,signal="{signal}"}}'
            f' - {_WIDTHS:g} * exchange_signal:band_width:iqr1d{{@recorded,signal="{signal}"}}, 0)',
            "{{exchange}} lower",
        ),
        Query(
            f'exchange_signal:band_center:median1d{{@recorded,signal="{signal}"}}'
            f' + {_WIDTHS:g} * exchange_signal:band_width:iqr1d{{@recorded,signal="{signal}"}}',
            "{{exchange}} upper",
        ),
        unit=unit,
        none="adaptive.yml is not loaded, or has no history yet",
        styles=band(" lower$", " upper$"),
    )


_ANYTHING = Row(
    panels=[
        stat(
            "Unusual signals",
            """Signals whose mean ensemble score of the last minute is above the threshold. A single
            one rarely matters; see below which it is, and whether others follow.""",
            f"""sum(exchange_signal:anomaly_score:avg1m{{@recorded,signal=~"$signal"}}
            > bool {_AT:g})""",
            steps=rising(warning=1),
            none="still learning",
            width=6,
        ),
        stat(
            "Most signals of one exchange",
            f"""Largest number of unusual signals of one exchange at the same time; a percentile and
            its mean count as two. Above {_MANY:g} the exchange probably has a problem: trade with
            care.""",
            f"""max(sum by (exchange) (exchange_signal:anomaly_score:avg1m{{@recorded}}
            > bool {_AT:g}))""",
            steps=rising(1, _MANY + 1),
            none="still learning",
            width=6,
        ),
        stat(
            "Signals ready",
            """Share of the signals for which the detectors have enough samples. Low after a start
            is normal; bad: low after one hour, because then the exchange is not measured.""",
            """avg(exchange_anomaly_ready{@exchange,signal=~"$signal"})""",
            unit="percentunit",
            steps=falling(warning=0.5),
            decimals=0,
            width=6,
        ),
        stat(
            "Anomalies in 24 hours",
            """Incidents opened in 24 hours. About a dozen per day over all exchanges is usual;
            hundreds mean that the sensitivity is too high or the market is very volatile.""",
            """sum(increase(exchange_anomaly_events_total{@exchange,signal=~"$signal"}[1d]))""",
            decimals=0,
            none="not counted",
            width=6,
        ),
    ]
)

_WHICH = Row(
    title="Signals",
    panels=[
        states(
            "Signals above their threshold",
            f"""The {_TOP} signals with the highest scores of the time shown, red while the mean
            score of one minute is above 1; the table has all. Act if several lines of one exchange
            turn red together; the one that turned red first is nearest to the cause.""",
            Query(
                f"""max by (exchange, signal) (
                exchange_signal:anomaly_score:avg1m{{@recorded,signal=~"$signal"}} > bool
                {_AT:g}) and on (exchange, signal) topk({_TOP}, max by (exchange, signal) (
                max_over_time(
                exchange_signal:anomaly_score:avg1m{{@recorded,signal=~"$signal"}}[$__range] @ end()
                )))""",
                "{{exchange}} {{signal}}",
            ),
            words={0: ("usual", GOOD), 1: ("unusual", BAD)},
            none="the detectors are still learning",
            link=link(
                "Open the exchange", "/d/exobs-exchange?var-exchange=${__field.labels.exchange}"
            ),
            height=12,
        ),
        table(
            "Scores now",
            """Ensemble score of every signal, highest first; 1 is the threshold. Click the exchange
            to see the values.""",
            [
                Column(
                    title="Score",
                    query="""max by (exchange, signal) (
                    exchange_signal:anomaly_score:avg1m{@recorded,signal=~"$signal"})""",
                    steps=rising(_AT),
                    decimals=2,
                ),
            ],
            keys={"exchange": "Exchange", "signal": "Signal"},
            links={
                "Exchange": link(
                    "Open the exchange", "/d/exobs-exchange?var-exchange=${__data.fields.Exchange}"
                )
            },
            sort="Score",
            none="the detectors are still learning",
            width=12,
            height=12,
        ),
        series(
            "Score of the ensemble",
            """The scores on which the alerts are based, not smoothed, on a logarithmic axis. Above
            the dashed line a value is rarer than the threshold allows; short peaks are noise, a
            plateau is not.""",
            Query(
                f"""clamp_min(max by (exchange, signal) (
                exchange_anomaly_score{{@exchange,signal=~"$signal",detector="ensemble"}}),
                {_SEEN:g})""",
                "{{exchange}} {{signal}}",
            ),
            limits=rising(_AT),
            log=True,
            none="the detectors are still learning",
            width=12,
        ),
        series(
            "Score of each detector",
            """Highest score of each detector over the selected signals, on a logarithmic axis. If
            only one detector is high, rely on the ensemble; if all are, the change is large.""",
            Query(
                f"""clamp_min(max by (detector) (
                exchange_anomaly_score{{@exchange,signal=~"$signal"}}), {_SEEN:g})""",
                "{{detector}}",
            ),
            limits=rising(_AT),
            log=True,
            none="the detectors are still learning",
            width=12,
        ),
    ],
)

_BANDS = Row(
    title="Expected values",
    panels=[
        series(
            "Baseline of the detectors",
            """Lower bound, centre and upper bound of the selected signals, each in its own unit;
            select one signal above. A very wide band results from noisy samples and misses small
            changes.""",
            *(
                Query(
                    f"""max by (exchange, signal) (
                    exchange_anomaly_baseline{{@exchange,signal=~"$signal",bound="{bound}"}})""",
                    f"{{{{exchange}}}} {{{{signal}}}} {bound}",
                )
                for bound in ("center", "lower", "upper")
            ),
            none="not published: set anomaly.baseline",
            styles=band(" lower$", " upper$"),
            width=12,
        ),
        states(
            "Ready signals over time",
            """Grey while the detectors learn a signal. This is normal after a start; grey at
            another time means that the signal is not measured any more: see its exchange.""",
            Query(
                """max by (exchange, signal) (
                exchange_anomaly_ready{@exchange,signal=~"$signal"})""",
                "{{exchange}} {{signal}}",
            ),
            words={0: ("learning", IDLE), 1: ("ready", GOOD)},
        ),
        _band("Probe latency and its band", "probe_latency", "s", "The mean of five minutes."),
        _band(
            "Message rate and its band", "message_rate", "mps", "Market data messages per second."
        ),
        _band("Spread and its band", "spread", "percentunit", "The mean over all symbols."),
        series(
            "Deviation from the band's centre",
            """In widths of the band. Beyond the dashed lines the alert fires after ten minutes; if
            the detectors above find nothing, it may be a daily pattern.""",
            Query("exchange_signal:band_score:iqr1d{@recorded}", "{{exchange}} {{signal}}"),
            limits=[(None, WARN), (-_WIDTHS, GOOD), (_WIDTHS, WARN)],
            none="adaptive.yml is not loaded, or has no history yet",
            width=12,
        ),
        series(
            "Anomalies per hour",
            """Incidents opened for each signal in one hour. If one signal leads for days, its
            alarms are probably false: lower its sensitivity, or disable it.""",
            Query(
                """sum by (exchange, signal) (
                increase(exchange_anomaly_events_total{@exchange,signal=~"$signal"}[1h])) > 0""",
                "{{exchange}} {{signal}}",
            ),
            bars=True,
            stacked=True,
            none="none",
            width=12,
        ),
    ],
)

PAGE = Page(
    uid="exobs-anomalies",
    title="Anomalies",
    about="""Unusual signals, their scores and their expected ranges. An unusual value is not
    necessarily a fault: act if several signals of one exchange are unusual at the same time.""",
    rows=[_ANYTHING, _WHICH, _BANDS],
    own=[
        Variable(
            name="signal",
            label="Signal",
            query='label_values(exchange_anomaly_ready{job=~"$job",exchange=~"$exchange"}, signal)',
        )
    ],
)
