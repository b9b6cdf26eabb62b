"""What the detectors find unusual, by how much, and against what they expected."""

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
_WIDTHS = limit("ExchangeOutsideBand", place=0)


def _band(title: str, signal: str, unit: str, about: str) -> Panel:
    return series(
        title,
        f"""{about} The band is {_WIDTHS:g} widths around the median of the last day, by Prometheus'
        own memory (the optional rules of adaptive.yml). Bad is to stay outside for ten minutes:
        look what else moved at that time.""",
        Query(f'exchange_signal:band_input:mean5m{{@recorded,signal="{signal}"}}', "{{exchange}}"),
        Query(
            f'exchange_signal:band_center:median1d{{@recorded,signal="{signal}"}}'
            f' - {_WIDTHS:g} * exchange_signal:band_width:iqr1d{{@recorded,signal="{signal}"}}',
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
            """Signals whose ensemble score has been above its threshold for a minute. One alone is
            worth a note; read below which, and whether others follow.""",
            f"""sum(exchange_signal:anomaly_score:avg1m{{@recorded,signal=~"$signal"}}
            > bool {_AT:g})""",
            steps=rising(warning=1),
            none="still learning",
            width=6,
        ),
        stat(
            "Most signals of one exchange",
            f"""How many signals of one exchange are unusual at once, a percentile and its mean
            counted apart. Above {_MANY:g} something is going on there: trade with care.""",
            f"""max(sum by (exchange) (exchange_signal:anomaly_score:avg1m{{@recorded}}
            > bool {_AT:g}))""",
            steps=rising(1, _MANY + 1),
            none="still learning",
            width=6,
        ),
        stat(
            "Signals judged",
            """Share of the signals of which the detectors have seen enough. Low after a start, and
            right so; bad is a low figure after an hour: the exchange is not measured.""",
            """avg(exchange_anomaly_ready{@exchange,signal=~"$signal"})""",
            unit="percentunit",
            steps=falling(warning=0.5),
            decimals=0,
            width=6,
        ),
        stat(
            "Anomalies in a day",
            """How often scores rose above their threshold in 24 hours. A dozen a day over all
            exchanges is usual; hundreds mean a threshold too low or a market in turmoil.""",
            """sum(increase(exchange_anomaly_events_total{@exchange,signal=~"$signal"}[1d]))""",
            decimals=0,
            none="not counted",
            width=6,
        ),
    ]
)

_WHICH = Row(
    title="Which signals?",
    panels=[
        states(
            "Signals above their threshold",
            """One line a signal: red while its mean score of a minute is above 1. Several lines of
            one exchange turning red together is what to act on; the leftmost moved first.""",
            Query(
                f"""max by (exchange, signal) (
                exchange_signal:anomaly_score:avg1m{{@recorded,signal=~"$signal"}} > bool
                {_AT:g})""",
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
            """Every signal's score by the ensemble, highest first; 1 is the threshold. Click the
            exchange to see the quantity itself.""",
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
            """What the alerts judge, unsmoothed. Above the dashed line a value is rarer than the
            threshold allows; short peaks are noise, a plateau is not.""",
            Query(
                """max by (exchange, signal) (
                exchange_anomaly_score{@exchange,signal=~"$signal",detector="ensemble"})""",
                "{{exchange}} {{signal}}",
            ),
            limits=rising(_AT),
            least=0,
            none="the detectors are still learning",
            width=12,
        ),
        series(
            "Score of each detector",
            """The highest score of each detector over the signals chosen. If one detector alone is
            high, trust the ensemble; if all are, the change is gross.""",
            Query(
                """max by (detector) (exchange_anomaly_score{@exchange,signal=~"$signal"})""",
                "{{detector}}",
            ),
            limits=rising(_AT),
            least=0,
            none="the detectors are still learning",
            width=12,
        ),
    ],
)

_BANDS = Row(
    title="Against what was expected",
    panels=[
        series(
            "What the detectors expect",
            """Lower bound, centre and upper bound of the signals chosen, each in its own unit;
            choose one signal above. A band that is very wide has seen much noise and will miss
            much.""",
            *(
                Query(
                    f"""max by (exchange, signal) (
                    exchange_anomaly_baseline{{@exchange,signal=~"$signal",bound="{bound}"}})""",
                    f"{{{{exchange}}}} {{{{signal}}}} {bound}",
                )
                for bound in ("center", "lower", "upper")
            ),
            none="not published: it is opt-in",
            styles=band(" lower$", " upper$"),
            width=12,
        ),
        states(
            "Ready to judge",
            """Grey while the detectors learn a signal. After a start this is right; grey in the
            middle of the day is a signal that stopped being measured: see its exchange.""",
            Query(
                """max by (exchange, signal) (
                exchange_anomaly_ready{@exchange,signal=~"$signal"})""",
                "{{exchange}} {{signal}}",
            ),
            words={0: ("learning", IDLE), 1: ("judged", GOOD)},
        ),
        _band("Probe latency and its band", "probe_latency", "s", "The mean of five minutes."),
        _band("Message rate and its band", "message_rate", "mps", "Market data a second."),
        _band("Spread and its band", "spread", "percentunit", "The mean over all symbols."),
        series(
            "Distance from the band's centre",
            """In widths of the band. Beyond the dashed lines the alert fires after ten minutes; if
            the detectors above say nothing, it may be the hour of the day.""",
            Query("exchange_signal:band_score:iqr1d{@recorded}", "{{exchange}} {{signal}}"),
            limits=[(None, WARN), (-_WIDTHS, GOOD), (_WIDTHS, WARN)],
            none="adaptive.yml is not loaded, or has no history yet",
            width=12,
        ),
        series(
            "Anomalies by the hour",
            """How often each signal rose above its threshold within an hour. One signal that leads
            for days cries wolf: see whether its quantity is of use to you.""",
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
    about="""What is unusual, by how much, and against what was expected. Unusual is not yet wrong:
    several signals of one exchange at once are worth acting on.""",
    rows=[_ANYTHING, _WHICH, _BANDS],
    own=[
        Variable(
            name="signal",
            label="Signal",
            query='label_values(exchange_anomaly_ready{job=~"$job",exchange=~"$exchange"}, signal)',
        )
    ],
)
