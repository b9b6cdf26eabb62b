"""The promise: how much of the error budget is left, and how fast it goes."""

from __future__ import annotations

from dashboards.page import Page, Row
from dashboards.panels import Column, Panel, Query, falling, link, rising, series, stat, table
from dashboards.thresholds import budget, limit

_BUDGET = budget()
_PROMISE = f"{1 - _BUDGET:.1%}"


def _factor(window: str) -> float:
    """Give how many times faster than even the alert of this window lets the budget go."""
    return round(limit("ExchangeErrorBudgetBurn", window=window, place=0) / _BUDGET, 6)


def _burn(window: str, short: str, *, urgent: bool) -> Panel:
    what = "A person is paged" if urgent else "A warning goes out"
    at = rising(critical=_factor(window)) if urgent else rising(_factor(window))
    return series(
        f"Burn over {window} and {short}",
        f"""How many times faster than evenly the budget goes. {what} when both windows of an
        exchange are above the dashed line; the short one falls first when it is over. Find what
        fails on the exchange page.""",
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
            "Least budget left",
            f"""Share of the error budget of 30 days ({_PROMISE} of the attempts to probe succeed)
            that the worst exchange has left. Below 0 the promise is broken: move what needs it.""",
            "min(exchange:error_budget_remaining:ratio30d{@recorded})",
            unit="percentunit",
            steps=falling(warning=0.5, critical=0),
            decimals=1,
            width=6,
        ),
        stat(
            "Fastest burn over 1h",
            """How many times faster than evenly the worst exchange's budget goes. 1 lasts exactly
            30 days; at red somebody is paged: find what fails on the exchange page.""",
            f"max(exchange:probe_errors:ratio_rate1h{{@recorded}}) / {_BUDGET:g}",
            steps=rising(_factor("6h"), _factor("1h")),
            decimals=1,
            width=6,
        ),
        stat(
            "Fastest burn over 1d",
            """The same over a day. When coloured a warning goes out: plan a remedy this week,
            another endpoint, fewer probes or another venue.""",
            f"max(exchange:probe_errors:ratio_rate1d{{@recorded}}) / {_BUDGET:g}",
            steps=rising(_factor("1d")),
            decimals=1,
            width=6,
        ),
        stat(
            "Time to trade there",
            """Mean share of the time shown above in which one could trade, of the worst exchange.
            Bad below the promise that you made to your own users; the table says who it is.""",
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
            "Promise, budget and burn",
            f"""One row an exchange. The promise is {_PROMISE} of the attempts over 30 days; a burn
            of 1 uses the budget evenly. Colours are the alerts' thresholds: read along the row how
            long it has been going on.""",
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
            """How the budget of 30 days went. A cliff is an outage, a slope a lasting share of
            failures; it comes back as old failures leave the window. Below the line the promise is
            broken.""",
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
            """Share of five minutes in which one could trade there. Dips below 100% are time lost:
            the exchange page names the part that was missing.""",
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
    title="What it is made of",
    folded=True,
    panels=[
        series(
            "Attempts",
            """Attempts to probe a second, with those that an open breaker forbade. A line that
            falls makes the figures above mean less: see the probes not sent on the exchange
            page.""",
            Query("sum by (exchange) (exchange:probe_attempts:rate5m{@recorded})", "{{exchange}}"),
            unit="reqps",
            width=12,
        ),
        series(
            "Failed attempts",
            """The part of them that failed. Any lasting line spends the budget: open the exchange
            to see the reasons.""",
            Query("sum by (exchange) (exchange:probe_errors:rate5m{@recorded})", "{{exchange}}"),
            unit="reqps",
            width=12,
        ),
    ],
)

PAGE = Page(
    uid="exobs-slo",
    title="SLO",
    about=f"""The promise is that {_PROMISE} of the attempts to probe an exchange succeed over 30
    days. How much of the budget for failures is left, and how fast it goes.""",
    rows=[_ANYTHING, _EACH, _BURN, _MADE_OF],
)
