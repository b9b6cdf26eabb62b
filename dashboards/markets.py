"""The markets themselves: what may be done in each, by which rules, until when, at what value."""

from __future__ import annotations

from dashboards.page import Page, Row
from dashboards.panels import BAD, GOOD, Query, around, falling, rising, series, stat, states
from dashboards.thresholds import limit

_DAY = 86_400.0
_ENDS = limit("ExchangeMarketDelisting", place=-1) / _DAY

_ANYTHING = Row(
    panels=[
        stat(
            "Markets that are restricted",
            """How many of the watched markets are in another mode than trading. Any: stop quoting
            them there; the panel below says which, and what is left.""",
            """count(max by (exchange, symbol) (exchange_market_mode{@exchange, mode!="trading"}))
            or 0 * count(max by (exchange, symbol) (exchange_market_mode{@exchange}))""",
            steps=rising(None, 1),
            none="not watched: instruments.watch",
            width=8,
        ),
        stat(
            "Next announced end",
            """Days until the first of the watched markets ends. Below the alert's threshold: close
            what is open in it, and take it out of the config.""",
            "(min(exchange_market_delisting_timestamp_seconds{@exchange}) - time()) / 86400",
            unit="d",
            steps=falling(_ENDS),
            decimals=1,
            none="none announced",
            width=8,
        ),
        stat(
            "Rules changed today",
            """How many ticks and lot sizes of watched markets became others within a day. Any means
            that orders by the old step are refused: the log names the market.""",
            """sum(max by (exchange, rule) (
            increase(exchange_market_rule_changes_total{@exchange}[1d])))""",
            steps=rising(1),
            none="not watched: instruments.watch",
            width=8,
        ),
        states(
            "Restricted markets over time",
            """Markets in which not simply everything may be done, with what is left. Bad is any: no
            maintenance mutes it. A market that is not listed any more is absent.""",
            Query(
                """max by (exchange, symbol, mode)
                (exchange_market_mode{@exchange, mode!="trading"})""",
                "{{exchange}} {{symbol}} {{mode}}",
            ),
            words={0: ("trading", GOOD), 1: ("restricted", BAD)},
        ),
    ],
)

_RULES = Row(
    title="Rules and announced times",
    panels=[
        series(
            "Days until a market begins or ends",
            """What venues have announced of markets that are watched. A falling line is a delisting
            or an opening: below the dashed line the alert fires.""",
            Query(
                """(max by (exchange, symbol) (
                exchange_market_delisting_timestamp_seconds{@exchange}) - time()) / 86400""",
                "{{exchange}} {{symbol}} ends",
            ),
            Query(
                """(max by (exchange, symbol) (
                exchange_market_opening_timestamp_seconds{@exchange}) - time()) / 86400""",
                "{{exchange}} {{symbol}} begins",
            ),
            unit="d",
            limits=falling(_ENDS),
            none="nothing is announced",
        ),
        series(
            "Changes of rules",
            """Watched markets whose tick or lot size became another within an hour. Any means that
            orders by the old step are refused: the log names the market.""",
            Query(
                """max by (exchange, rule) (
                increase(exchange_market_rule_changes_total{@exchange}[1h]))""",
                "{{exchange}} {{rule}}",
            ),
            none="not watched: instruments.watch",
        ),
        series(
            "Tick and lot size",
            """The smallest steps of price and size, as listed. Bad is a step in a line that the
            order side does not know of.""",
            Query(
                "max by (exchange, symbol) (exchange_market_tick_size{@exchange})",
                "{{exchange}} {{symbol}} tick",
            ),
            Query(
                "max by (exchange, symbol) (exchange_market_lot_size{@exchange})",
                "{{exchange}} {{symbol}} lot",
            ),
            none="not watched: instruments.watch",
        ),
        series(
            "Streams that say states first",
            """Connections on which venues push states of markets or maintenance, open (1) or not,
            and their frames a minute that cannot be read. Without one a change is known by the
            next list only, up to instruments.interval later.""",
            Query(
                "min by (exchange) (exchange_market_stream_connected{@exchange})",
                "{{exchange}} connected",
            ),
            Query(
                """60 * max by (exchange) (
                rate(exchange_market_stream_unreadable_total{@exchange}[5m]))""",
                "{{exchange}} unreadable",
            ),
            none="no such stream, or not watched: instruments.watch",
        ),
    ],
)

_WORTH = Row(
    title="Pegs",
    panels=[
        series(
            "Worth of pegged assets",
            """What each asset is worth in the other, by the prices of all exchanges, and its
            bounds. Beyond them the alert fires: stop taking one for the other.""",
            Query(
                "avg by (asset, against) (exchange_peg_ratio{@process})",
                "{{asset}} in {{against}}",
            ),
            Query(
                "max by (asset, against, bound) (exchange_peg_bound_ratio{@process})",
                "{{asset}} in {{against}} {{bound}}",
            ),
            none="no pegs configured",
            width=24,
        ),
    ],
)

_APIS = Row(
    title="APIs",
    panels=[
        series(
            "Announced ends of what is used",
            """Days until an address, a path or a channel that the config uses is retired or works
            otherwise. Below the lines alerts fire; below zero it has happened and is still used.
            The runbook says what to put in its place.""",
            Query(
                """(min by (exchange, part, what) (
                exchange_api_deadline_timestamp_seconds{@exchange}) - time()) / 86400""",
                "{{exchange}} {{part}} {{what}}",
            ),
            unit="d",
            limits=falling(
                limit("ExchangeApiDeadline", "warning") / _DAY,
                limit("ExchangeApiDeadline", "critical", place=1) / _DAY,
            ),
            none="nothing that is used is known to end",
            width=12,
        ),
        series(
            "Age of the known deadlines",
            """Days since the file of known deadlines in force was signed, and files that were not
            followed within a day. Bad: an age that never falls, or any rejection; the log names
            the reason.""",
            Query(
                """(time() - max(exchange_exporter_deadlines_issued_timestamp_seconds{@process}))
                / 86400""",
                "age",
            ),
            Query(
                """sum by (reason) (
                increase(exchange_exporter_deadlines_rejected_total{@process}[1d]))""",
                "rejected: {{reason}}",
            ),
            unit="d",
            none="as shipped: neither deadlines.file nor deadlines.url",
            width=12,
        ),
    ],
)

_PERPETUALS = Row(
    title="Perpetuals",
    panels=[
        series(
            "Index and mark price against spot elsewhere",
            """How far the index and the mark price of each perpetual are from the median spot price
            of the other exchanges. A few hundredths of a percent are usual. Bad is an index that
            leaves zero by itself: positions are valued, and liquidated, by it.""",
            Query(
                "max by (exchange, symbol) (exchange_index_deviation_ratio{@exchange})",
                "{{exchange}} {{symbol}} index",
            ),
            Query(
                "max by (exchange, symbol) (exchange_mark_deviation_ratio{@exchange})",
                "{{exchange}} {{symbol}} mark",
            ),
            unit="percentunit",
            limits=around(critical=limit("ExchangeIndexWrong")),
            none="not watched: perpetuals.watch",
            width=12,
        ),
        series(
            "Index and mark price",
            """What each venue takes the underlying to be worth, and what it values positions by.
            Bad is a line that parts from the others of its asset.""",
            Query(
                "max by (exchange, symbol) (exchange_index_price{@exchange})",
                "{{exchange}} {{symbol}} index",
            ),
            Query(
                "max by (exchange, symbol) (exchange_mark_price{@exchange})",
                "{{exchange}} {{symbol}} mark",
            ),
            none="not watched: perpetuals.watch",
            width=12,
        ),
        series(
            "Funding rate",
            """What longs pay to shorts at the next funding, for one interval and for eight hours,
            and the cap where the venue tells it. Bad is a line at its cap, or one that jumps.""",
            Query(
                "max by (exchange, symbol) (exchange_funding_rate_ratio{@exchange})",
                "{{exchange}} {{symbol}}",
            ),
            Query(
                "max by (exchange, symbol) (exchange_funding_cap_ratio{@exchange})",
                "{{exchange}} {{symbol}} cap",
            ),
            Query(
                "exchange_symbol:funding_rate:ratio8h{@recorded}",
                "{{exchange}} {{symbol}} 8h",
            ),
            unit="percentunit",
            none="not watched: perpetuals.watch",
            width=12,
        ),
        series(
            "Funding interval and time until the next funding",
            """How often funding is paid, and how long it is until then. Bad is a step in an
            interval that strategies do not know of: the same rate is then paid more often.""",
            Query(
                "max by (exchange, symbol) (exchange_funding_interval_seconds{@exchange})",
                "{{exchange}} {{symbol}} interval",
            ),
            Query(
                """max by (exchange, symbol) (
                exchange_funding_next_timestamp_seconds{@exchange}) - time()""",
                "{{exchange}} {{symbol}} until the next",
            ),
            unit="s",
            none="not watched: perpetuals.watch",
            width=12,
        ),
    ],
)

PAGE = Page(
    uid="exobs-markets",
    title="Markets",
    about="""What may be done in each market, by which rules, and until when, as the venues list it
    (of exchanges with instruments.watch), what perpetuals are valued by and cost (with
    perpetuals.watch), and what the venues have announced of their APIs.""",
    rows=[_ANYTHING, _RULES, _APIS, _PERPETUALS, _WORTH],
)
