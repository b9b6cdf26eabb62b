"""The objective: how much of the error budget is left, and how fast it is used."""

from __future__ import annotations

from dashboards.page import Page, Row
from dashboards.panels import Column, Panel, Query, falling, link, rising, series, stat, table
from dashboards.thresholds import budget, limit

_BUDGET = budget()
_OBJECTIVE = f"{1 - _BUDGET:.1%}"


def _factor(window: str) -> float:
    """Return the burn rate at which the alert of this window fires; 1 uses the budget evenly."""
    return round(limit("ExchangeErrorBudgetBurn", window=window, place=0) / _BUDGET, 6)


def _burn(window: str, short: str, *, urgent: bool) -> Panel:
    what = "A page is sent" if urgent else "A warning is sent"
    at = rising(critical=_factor(window)) if urgent else rising(_factor(window))
    return series(
        f"Burn over {window} and {short}",
        f"""Burn rate: how many times faster than evenly the budget is used. {what} when both
        windows of an exchange are above the dashed line; after the end the short one falls first.
        See on the exchange page what fails.""",
        *(
            Query(
                f"max by (exchange) (exchange:probe_errors:ratio_rate{each}{{@recorded}})"
                f" / {_BUDGET:g}",
                f"{{{{exchange}}}} {each}",
            )
            for each in (window, short)
        ),
        limits=at,
        least=0,
        none="no attempts in these windows",
        width=12,
    )


_ANYTHING = Row(
    panels=[
        stat(
            "Lowest budget left",
            f"""Remaining share of the error budget of 30 days for the worst exchange; the objective
            is that {_OBJECTIVE} of the probe attempts succeed. Below 0 the objective is missed:
            move traffic elsewhere.""",
            "min(exchange:error_budget_remaining:ratio30d{@recorded})",
            unit="percentunit",
            steps=falling(warning=0.5, critical=0),
            decimals=1,
            width=6,
        ),
        stat(
            "Fastest burn over 1h",
            """Burn rate of the worst exchange. At 1 the budget lasts exactly 30 days; at red a page
            is sent: see on the exchange page what fails.""",
            f"max(exchange:probe_errors:ratio_rate1h{{@recorded}}) / {_BUDGET:g}",
            steps=rising(_factor("6h"), _factor("1h")),
            decimals=1,
            width=6,
        ),
        stat(
            "Fastest burn over 1d",
            """The same over one day. If coloured, a warning is sent: plan a remedy this week, such
            as another endpoint, fewer probes or another venue.""",
            f"max(exchange:probe_errors:ratio_rate1d{{@recorded}}) / {_BUDGET:g}",
            steps=rising(_factor("1d")),
            decimals=1,
            width=6,
        ),
        stat(
            "Lowest tradable share",
            """Share of the selected time range in which trading was possible, for the worst
            exchange. Bad: below the objective that you gave your own users; the table shows which
            exchange it is.""",
            "min(avg_over_time(exchange:tradable:ratio_rate5m{@recorded}[$__range]))",
            unit="percentunit",
            steps=falling(warning=1 - _BUDGET, critical=0.99),
            decimals=2,
            width=6,
        ),
    ]
)

_EACH = Row(
    title="Each exchange",
    panels=[
        table(
            "Budget and burn rates",
            f"""One row per exchange. The objective is {_OBJECTIVE} of the attempts over 30 days; a
            burn rate of 1 uses the budget evenly. Colours are the alerts' thresholds; the columns
            show for how long the problem has lasted.""",
            [
                Column(
                    title="Budget left",
                    query="min by (exchange) (exchange:error_budget_remaining:ratio30d{@recorded})",
                    unit="percentunit",
                    steps=falling(warning=0.5, critical=0),
                    decimals=1,
                ),
                Column(
                    title="Errors over 30d",
                    query="max by (exchange) (exchange:probe_errors:ratio_rate30d{@recorded})",
                    unit="percentunit",
                    steps=rising(critical=_BUDGET),
                    decimals=3,
                ),
                *(
                    Column(
                        title=f"Burn {window}",
                        query="max by (exchange) "
                        f"(exchange:probe_errors:ratio_rate{window}{{@recorded}}) / {_BUDGET:g}",
                        steps=rising(_factor(window))
                        if window in ("1d", "3d")
                        else rising(critical=_factor(window)),
                        decimals=1,
                    )
                    for window in ("1h", "6h", "1d", "3d")
                ),
                Column(
                    title="Tradable",
                    query="""min by (exchange) (
                    avg_over_time(exchange:tradable:ratio_rate5m{@recorded}[$__range]))""",
                    unit="percentunit",
                    steps=falling(warning=1 - _BUDGET, critical=0.99),
                    decimals=2,
                ),
            ],
            keys={"exchange": "Exchange"},
            links={
                "Exchange": link(
                    "Open the exchange", "/d/exobs-exchange?var-exchange=${__data.fields.Exchange}"
                )
            },
            height=10,
        ),
        series(
            "Budget left over time",
            """Remaining error budget of 30 days. A steep fall is an outage, a slope a lasting share
            of failures; it recovers as old failures leave the window. Below the line the objective
            is missed.""",
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
            "Tradable over time",
            """Share of five minutes in which trading was possible. Below 100% time was lost: the
            exchange page shows which part failed.""",
            Query(
                "min by (exchange) (exchange:tradable:ratio_rate5m{@recorded})",
                "{{exchange}}",
            ),
            unit="percentunit",
            least=0,
            most=1,
            width=12,
        ),
    ],
)

_BURN = Row(
    title="Burn windows",
    panels=[
        _burn("1h", "5m", urgent=True),
        _burn("6h", "30m", urgent=True),
        _burn("1d", "2h", urgent=False),
        _burn("3d", "6h", urgent=False),
    ],
)

_MADE_OF = Row(
    title="Attempts and failures",
    folded=True,
    panels=[
        series(
            "Attempts",
            """Probe attempts per second, including those prevented by an open breaker. If a line
            falls, the figures above are less certain: see the panel Probes not sent on the exchange
            page.""",
            Query("sum by (exchange) (exchange:probe_attempts:rate5m{@recorded})", "{{exchange}}"),
            unit="reqps",
            width=12,
        ),
        series(
            "Failed attempts",
            """Failed attempts per second. Any lasting line uses the budget: open the exchange to
            see the reasons.""",
            Query("sum by (exchange) (exchange:probe_errors:rate5m{@recorded})", "{{exchange}}"),
            unit="reqps",
            width=12,
        ),
    ],
)

PAGE = Page(
    uid="exobs-slo",
    title="SLO",
    about=f"""The objective is that {_OBJECTIVE} of the attempts to probe an exchange succeed over
    30 days. How much of the error budget is left, and how fast it is used.""",
    rows=[_ANYTHING, _EACH, _BURN, _MADE_OF],
)
