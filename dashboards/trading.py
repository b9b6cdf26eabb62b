"""What a trader asks: may I send orders, how large, and does the venue still keep its contract?"""

from __future__ import annotations

from dashboards.page import Page, Row, Variable
from dashboards.panels import GOOD, WARN, Query, falling, rising, series, stat
from dashboards.thresholds import limit

_THIN = limit("ExchangeLiquidityGone", place=1)
_DEPTH = """exchange_book_depth{@exchange,symbol=~"$symbol"}
    / (exchange_book_depth_median{@exchange,symbol=~"$symbol"} > 0)"""

_ANYTHING = Row(
    panels=[
        stat(
            "Gates closed",
            """How many gates of the config are closed now. Whoever asks one of them does not trade:
            the overview says which, and what keeps it closed.""",
            "count(min by (gate) (exchange_gate_open{@process}) == 0) or vector(0)",
            steps=rising(1),
            none="no gates configured",
            width=8,
        ),
        stat(
            "Thinnest book",
            """Depth near the middle over its own median, of the book that is furthest below it.
            Coloured where liquidity is gone: send no market orders there.""",
            f"min({_DEPTH})",
            unit="percentunit",
            steps=falling(warning=_THIN),
            none="not measured: set liquidity",
            width=8,
        ),
        stat(
            "Dearest market order",
            """The worst slippage of the configured sizes over all measured books, against the
            middle. Coloured at the spread that is called wide: such orders are too large.""",
            """max(exchange_book_slippage_ratio{@exchange,symbol=~"$symbol"})""",
            unit="percentunit",
            steps=rising(limit("ExchangeSpreadWide")),
            decimals=3,
            none="not measured: set liquidity",
            width=8,
        ),
    ],
)

_LIQUIDITY = Row(
    title="How much can be traded?",
    panels=[
        series(
            "Depth against its median",
            """What each side of a book holds near the middle, over its own median; the least
            counts. Below the dashed line liquidity is gone: send no market orders there.""",
            Query(f"min by (exchange, symbol) ({_DEPTH})", "{{exchange}} {{symbol}}"),
            unit="percentunit",
            limits=[(None, WARN), (_THIN, GOOD)],
            log=True,
            none="not measured: set liquidity",
            width=12,
        ),
        series(
            "Slippage of market orders",
            """How much worse than the middle orders of the configured sizes would be filled, buying
            (ask) or selling (bid). A line that ends: the book holds less than that.""",
            Query(
                """max by (exchange, symbol, side, size) (
                exchange_book_slippage_ratio{@exchange,symbol=~"$symbol"})""",
                "{{exchange}} {{symbol}} {{side}} {{size}}",
            ),
            unit="percentunit",
            log=True,
            none="not measured: set liquidity",
            width=12,
        ),
    ],
)

_PROVIDERS = Row(
    title="What do they share?",
    panels=[
        series(
            "Exchanges down by provider",
            """Share of a provider's exchanges that are down. Above half, and with two of them, what
            they share fails: route to exchanges elsewhere, and read the provider's status page.""",
            Query(
                """avg by (provider) (exchange_provider:venue_down:bool{@recorded})""",
                "{{provider}}",
            ),
            unit="percentunit",
            limits=rising(limit("ExchangeProviderDown", place=-1)),
            least=0,
            none="no provider configured",
            width=12,
        ),
        series(
            "Endpoints down by provider",
            """Share of a provider's endpoints without a good answer within a minute. Above half,
            and at two exchanges: use endpoints elsewhere, and read the provider's status page.""",
            Query(
                """avg by (provider) (exchange_provider:endpoint_down:bool{@recorded})""",
                "{{provider}}",
            ),
            unit="percentunit",
            limits=rising(limit("ExchangeProviderEndpointsDown", place=-1)),
            least=0,
            none="no endpoint has a provider",
            width=12,
        ),
    ],
)

_CONTRACT = Row(
    title="Does it send what it used to?",
    panels=[
        series(
            "Changes of the frames",
            """Fields that are new or gone, and new values, in an hour; the log names each of them.
            A field that is gone may be one that you read: look at the venue's change log.""",
            Query(
                """sum by (exchange, channel, kind) (
                increase(exchange_schema_changes_total{@exchange}[1h]))""",
                "{{exchange}} {{channel}} {{kind}}",
            ),
            bars=True,
            none="no change",
            width=12,
        ),
        series(
            "Time between messages",
            """Mean time between two messages of one subscription, and what the venue documents for
            a market that moves. A step up that stays, while peers keep their pace, is a venue that
            sends less often than it did.""",
            Query(
                "max by (exchange, channel) (exchange_stream_cadence_seconds{@exchange})",
                "{{exchange}} {{channel}}",
            ),
            Query(
                """max by (exchange, channel) (
                exchange_stream_cadence_documented_seconds{@exchange})""",
                "{{exchange}} {{channel}} documented",
            ),
            unit="s",
            log=True,
            none="not measured: set schema_watch",
            width=12,
        ),
    ],
)

PAGE = Page(
    uid="exobs-trading",
    title="Trading",
    about="""May I send orders, and how large: gates, depth and slippage of the order books. What is
    configured shows here; nothing of it is on by itself.""",
    rows=[_ANYTHING, _LIQUIDITY, _CONTRACT, _PROVIDERS],
    own=[
        Variable(
            name="symbol",
            label="Symbol",
            query='label_values(exchange_book_synced{job=~"$job",instance=~"$instance",'
            'exchange=~"$exchange"}, symbol)',
        )
    ],
)
