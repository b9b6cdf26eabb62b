"""Streams and market data: flow, delay, completeness and plausibility."""

from __future__ import annotations

from dashboards.page import Page, Row, Variable
from dashboards.panels import (
    BAD,
    GOOD,
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

_LATE = rising(limit("ExchangeStreamLatencyHigh", place=-1))
_DIVERGENCE = ("ExchangePriceDivergence", "warning"), ("ExchangePriceDivergence", "critical")

_ANYTHING = Row(
    panels=[
        stat(
            "Connections open",
            """Share of the streams with an open connection. Below 100% some data is missing: see
            below which connections were lost, and why.""",
            "avg(exchange_stream_connected{@exchange})",
            unit="percentunit",
            steps=falling(warning=1, critical=0.5),
            decimals=0,
            none="no streams",
        ),
        stat(
            "Silent subscriptions",
            """Share of subscriptions that have been silent for longer than usual, for the worst
            exchange. At red no data arrives although the connection is open: treat prices as
            unknown.""",
            "max(exchange:stream_silent:ratio{@recorded})",
            unit="percentunit",
            steps=rising(0.001, limit("ExchangeFeedSilent", place=0)),
            decimals=0,
            none="no streams",
        ),
        stat(
            "Late messages",
            """Share of messages that arrived more than one second after the venue sent them, for
            the worst channel. If coloured, widen quotes or stop trading.""",
            "max(exchange_channel:stream_late:ratio_rate5m{@recorded})",
            unit="percentunit",
            steps=_LATE,
            decimals=1,
        ),
        stat(
            "Books synchronized",
            """Share of the order books that are synchronized with the venue's. Do not use prices
            from the others: the row Completeness shows which and why.""",
            "avg(exchange_book_synced{@exchange})",
            unit="percentunit",
            steps=falling(warning=1, critical=0.5),
            decimals=0,
            none="no books",
        ),
        stat(
            "Frozen prices",
            """Prices that do not change although messages arrive and other exchanges' prices
            move. Above 0, exclude them from all calculations: the venue's matching engine may
            be halted.""",
            "sum(max by (exchange, symbol) (exchange_price_frozen{@exchange}))",
            steps=rising(critical=1),
            none="no prices",
        ),
        stat(
            "Rejected subscriptions",
            """Subscriptions that a venue refused. Above 0 check the symbols against the venue's
            list: delisted or renamed ones are rejected.""",
            """sum(max by (exchange, stream)
            (exchange_stream_subscriptions{@exchange,state="rejected"}))""",
            steps=rising(warning=1),
            none="no streams",
        ),
    ]
)

_FLOW = Row(
    title="Flow",
    panels=[
        states(
            "Connections",
            """Whether each stream is connected. Red for seconds is a reconnect; red for a minute is
            an outage. An open connection does not mean that data arrives: see the next panels.""",
            Query(
                "max by (exchange, stream) (exchange_stream_connected{@exchange})",
                "{{exchange}} {{stream}}",
            ),
            words={0: ("not connected", BAD), 1: ("connected", GOOD)},
        ),
        series(
            "Subscriptions by state",
            """All should be live. acked for long: the venue confirmed the subscription, but sends
            nothing; stale: it stopped sending; rejected: it refused the subscription.""",
            Query(
                "sum by (state) (exchange_stream_subscriptions{@exchange})",
                "{{state}}",
            ),
            stacked=True,
            width=12,
        ),
        series(
            "Messages",
            """Market data messages per second. Bad: one channel falls and the others do not; if all
            fall, the market is quiet.""",
            Query(
                """sum by (exchange, channel) (
                rate(exchange_stream_messages_total{@exchange,kind="data"}[$__rate_interval]))""",
                "{{exchange}} {{channel}}",
            ),
            unit="mps",
            log=True,
            width=6,
        ),
        series(
            "Silence relative to its limit",
            """Age of the last message divided by the longest normal silence, for the worst
            subscription. Above the dashed line it is stale; the exporter then subscribes again by
            itself.""",
            Query(
                """max by (exchange, channel) (
                exchange_channel_symbol:message_age:seconds{@recorded,symbol=~"$symbol"}
                / max by (job, site, exchange, channel, symbol) (
                exchange_stream_stale_after_seconds{@exchange,symbol=~"$symbol"}))""",
                "{{exchange}} {{channel}}",
            ),
            limits=rising(1),
            least=0,
            width=6,
        ),
        series(
            "Silence checked over REST",
            """REST checks in five minutes that found a change of the market while its subscription
            was silent: data was lost. After a single peak the exporter has subscribed again and
            nothing is left to do; for repeated peaks, give the symbol a separate stream. unknown:
            REST did not answer, so the silence may be normal.""",
            Query(
                """max by (exchange, channel) (
                increase(exchange_stream_cross_checks_total{@exchange,symbol=~"$symbol",
                verdict="moved"}[5m]))""",
                "{{exchange}} {{channel}} moved",
            ),
            Query(
                """max by (exchange, channel) (
                increase(exchange_stream_cross_checks_total{@exchange,symbol=~"$symbol",
                verdict="unknown"}[5m]))""",
                "{{exchange}} {{channel}} unknown",
            ),
            limits=[(None, GOOD), (limit("ExchangeStreamMissesMarket"), WARN)],
            least=0,
            none="no stream has cross_check",
            width=6,
        ),
        series(
            "Connections lost",
            """Lost connections in ten minutes by reason, including planned ones. Above the dashed
            line the stream is unstable; try fewer topics per connection. ping_timeout and network:
            the network path; server_close: the venue.""",
            Query(
                """sum by (exchange, reason) (
                increase(exchange_stream_disconnects_total{@exchange}[10m])) > 0""",
                "{{exchange}} {{reason}}",
            ),
            limits=rising(limit("ExchangeStreamReconnectStorm")),
            bars=True,
            none="no connection lost",
            width=6,
        ),
    ],
)

_DELAY = Row(
    title="Delay",
    panels=[
        heat(
            "Message latency",
            """Time from the venue's timestamp in the message to its arrival here. Bad: a band
            that rises or splits in two. If all exchanges are alike: this exporter or the local
            network.""",
            """sum by (le) (
            increase(exchange_stream_latency_seconds_bucket{@exchange}[$__rate_interval]))""",
        ),
        series(
            "Late messages by channel",
            """Share of the messages of the last five minutes that arrived more than one second
            late. Above the dashed line the alert fires. If pings are slow too: the network path; if
            messages wait in the queue: this exporter; otherwise: the venue.""",
            Query(
                """max by (exchange, channel)
                (exchange_channel:stream_late:ratio_rate5m{@recorded})""",
                "{{exchange}} {{channel}}",
            ),
            unit="percentunit",
            limits=_LATE,
            least=0,
            width=12,
        ),
        series(
            "Ping, 95th percentile",
            """Time from a WebSocket ping to its pong: the network path only, independent of clocks.
            Bad: a step compared with its own past.""",
            Query(
                """histogram_quantile(0.95, sum by (exchange, le) (
                rate(exchange_stream_ping_rtt_seconds_bucket{@exchange}[$__rate_interval])))""",
                "{{exchange}}",
            ),
            unit="s",
            none="no pong yet",
            width=12,
        ),
        series(
            "Wait in the queue, 99th percentile",
            """Time that messages waited in the exporter's queue. Bad: more than some milliseconds,
            because then the exporter itself causes the delay. Give it more CPU, or add a shard.""",
            Query(
                """histogram_quantile(0.99, sum by (exchange, le) (
                rate(exchange_queue_wait_seconds_bucket{@exchange}[$__rate_interval])))""",
                "{{exchange}}",
            ),
            unit="s",
            width=12,
        ),
    ],
)

_WHOLE = Row(
    title="Completeness",
    panels=[
        series(
            "Sequence gaps",
            """Gaps in sequence numbers in ten minutes, of books and of channels. Above the dashed
            line messages are lost: check first whether the exporter's queue drops them (exporter
            page).""",
            Query(
                """sum by (exchange, symbol) (
                increase(exchange_book_sequence_gaps_total{@exchange,symbol=~"$symbol"}[10m])) >
                0""",
                "{{exchange}} book {{symbol}}",
            ),
            Query(
                """sum by (exchange, channel) (
                increase(exchange_stream_sequence_gaps_total{@exchange}[10m])) > 0""",
                "{{exchange}} {{channel}}",
            ),
            limits=rising(limit("ExchangeStreamGaps")),
            bars=True,
            none="no gap",
        ),
        series(
            "Unreadable messages",
            """Share of the messages that do not match the venue's documentation. Single ones
            are normal; above the dashed line the venue has changed its protocol: update the
            exporter.""",
            Query(
                """sum by (exchange, channel) (
                rate(exchange_stream_parse_errors_total{@exchange}[5m]))
                / (sum by (exchange, channel) (
                rate(exchange_stream_messages_total{@exchange,kind="data"}[5m])) > 0)""",
                "{{exchange}} {{channel}}",
            ),
            unit="percentunit",
            limits=rising(limit("ExchangeStreamParseErrors", place=-1)),
            least=0,
        ),
        states(
            "Order books",
            """Whether each book is synchronized with the venue's. Red for seconds is a resync;
            red for a minute: do not use its prices. All books of one exchange red: see its
            connection.""",
            Query(
                """max by (exchange, symbol) (
                exchange_book_synced{@exchange,symbol=~"$symbol"})""",
                "{{exchange}} {{symbol}}",
            ),
            words={0: ("not synchronized", BAD), 1: ("synchronized", GOOD)},
            none="no books",
            width=8,
        ),
        series(
            "Resyncs by reason",
            """Books rebuilt from a snapshot in ten minutes. start is normal; gap and checksum:
            lost or wrong updates; crossed: an invalid book. Many resyncs use up the venue's
            rate limit.""",
            Query(
                """sum by (exchange, reason) (
                increase(exchange_book_resyncs_total{@exchange,symbol=~"$symbol"}[10m])) > 0""",
                "{{exchange}} {{reason}}",
            ),
            bars=True,
            none="no resync",
        ),
        series(
            "Crossed books",
            """Share of the time in which the best bid was not below the best ask. Above the dashed
            line the book is invalid: see whether updates are lost.""",
            Query(
                """max by (exchange, symbol) (
                rate(exchange_book_crossed_seconds_total{@exchange,symbol=~"$symbol"}[2m]))""",
                "{{exchange}} {{symbol}}",
            ),
            unit="percentunit",
            limits=rising(limit("ExchangeBookInvalid", place=-1, cause="crossed")),
            none="no books",
        ),
    ],
)

_SENSE = Row(
    title="Plausibility",
    panels=[
        series(
            "Price deviation by symbol",
            """Each price divided by the median of all exchanges, minus 1. Beyond the dashed lines
            do not rely on it; a slow drift is often caused by halted deposits or withdrawals of the
            coin.""",
            Query(
                """exchange_symbol:price_deviation:ratio{@recorded,symbol=~"$symbol"}""",
                "{{exchange}} {{symbol}}",
            ),
            unit="percentunit",
            limits=around(*(limit(*each) for each in _DIVERGENCE)),
            none="fewer than three exchanges quote a symbol",
        ),
        series(
            "Age of the price",
            """Time since the last change of the price. Above the dashed line it is frozen, if
            prices at other exchanges move. A quiet symbol rises on all exchanges.""",
            Query(
                """max by (exchange, symbol) (
                exchange_symbol:value_age:seconds{@recorded,symbol=~"$symbol"})""",
                "{{exchange}} {{symbol}}",
            ),
            unit="s",
            limits=rising(critical=limit("ExchangePriceFrozen", place=0)),
            log=True,
        ),
        series(
            "Spread by symbol",
            """Best ask minus best bid, divided by the mid price. Above the dashed line there is too
            little liquidity: send no market orders.""",
            Query(
                """max by (exchange, symbol) (
                exchange_spread_ratio{@exchange,symbol=~"$symbol"})""",
                "{{exchange}} {{symbol}}",
            ),
            unit="percentunit",
            limits=[(None, GOOD), (limit("ExchangeSpreadWide"), WARN)],
            log=True,
        ),
        series(
            "Mid prices",
            """In units of the quote currency; select one symbol above to compare exchanges. A line
            that ends is a stale price; a flat line among moving ones is a frozen price.""",
            Query(
                """max by (exchange, symbol) (exchange_mid_price{@exchange,symbol=~"$symbol"})""",
                "{{exchange}} {{symbol}}",
            ),
            log=True,
            width=12,
        ),
        series(
            "Exchanges in the consensus",
            """Number of exchanges with fresh data in the consensus price. Below three it is unknown
            which of two prices is wrong, and no alert is raised for deviations: see which prices
            are stale.""",
            Query(
                """min by (symbol) (exchange_consensus_venues{@process,symbol=~"$symbol"})""",
                "{{symbol}}",
            ),
            limits=falling(warning=3),
            least=0,
            width=12,
        ),
    ],
)

PAGE = Page(
    uid="exobs-streams",
    title="Streams and market data",
    about="""Flow, delay, completeness and plausibility of market data. Panels by symbol show the
    symbols selected above.""",
    rows=[_ANYTHING, _FLOW, _DELAY, _WHOLE, _SENSE],
    own=[
        Variable(
            name="symbol",
            label="Symbol",
            query='label_values(exchange_mid_price{job=~"$job",exchange=~"$exchange"}, symbol)',
        )
    ],
)
