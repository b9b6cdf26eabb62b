"""Streams and market data: does data flow, in time, whole, and does it make sense?"""

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
            """Share of the streams that have a connection. Below 100% some data is missing: see the
            connections below and why they were lost.""",
            "avg(exchange_stream_connected{@exchange})",
            unit="percentunit",
            steps=falling(warning=1, critical=0.5),
            decimals=0,
            none="no streams",
        ),
        stat(
            "Silent subscriptions",
            """The worst exchange's share of subscriptions that are silent for longer than is normal
            for them. At red nothing comes at all although we are connected: treat prices as
            unknown.""",
            "max(exchange:stream_silent:ratio{@recorded})",
            unit="percentunit",
            steps=rising(0.001, limit("ExchangeFeedSilent", place=0)),
            decimals=0,
            none="no streams",
        ),
        stat(
            "Late messages",
            """The worst channel's share of messages that came more than a second after the venue
            sent them. When coloured, widen quotes or stop.""",
            "max(exchange_channel:stream_late:ratio_rate5m{@recorded})",
            unit="percentunit",
            steps=_LATE,
            decimals=1,
        ),
        stat(
            "Books in step",
            """Share of the order books that follow the venue's without a hole. Below 100% do not
            price from those that do not: the row Books says which and why.""",
            "avg(exchange_book_synced{@exchange})",
            unit="percentunit",
            steps=falling(warning=1, critical=0.5),
            decimals=0,
            none="no books",
        ),
        stat(
            "Frozen prices",
            """Prices that stand still although messages come and peers move. Above 0 take them out
            of every calculation: the venue's engine may be halted.""",
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
    title="Does it flow?",
    panels=[
        states(
            "Connections",
            """Whether each stream is connected. A gap of seconds is a reconnect; red for a minute
            is an outage. Connected says nothing of data: read on to the right.""",
            Query(
                "max by (exchange, stream) (exchange_stream_connected{@exchange})",
                "{{exchange}} {{stream}}",
            ),
            words={0: ("not connected", BAD), 1: ("connected", GOOD)},
        ),
        series(
            "Subscriptions by state",
            """All should be live. acked that stays is a venue that agreed and sends nothing; stale
            one that fell silent; rejected one that it refused.""",
            Query(
                "sum by (state) (exchange_stream_subscriptions{@exchange})",
                "{{state}}",
            ),
            stacked=True,
            width=12,
        ),
        series(
            "Messages",
            """Market data a second. Bad is a channel that falls while its peers do not; if all fall
            alike, it is the market that is quiet.""",
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
            "Silence against its limit",
            """Age of the oldest newest message over the time that the subscription may be silent.
            Beyond the dashed line it is stale; the exporter subscribes anew by itself.""",
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
            "Silence against REST",
            """Looks at REST in five minutes by which a market moved while its subscription was
            silent: data was lost. One hill is mended by subscribing anew; hill after hill: give the
            symbol a stream of its own. unknown: REST does not answer, silence proves nothing.""",
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
            """Losses in ten minutes by reason, planned ones included. Above the dashed line the
            stream comes and goes; see whether fewer topics a connection help. ping_timeout and
            network are the path, server_close the venue.""",
            Query(
                """sum by (exchange, reason) (
                increase(exchange_stream_disconnects_total{@exchange}[10m])) > 0""",
                "{{exchange}} {{reason}}",
            ),
            limits=rising(limit("ExchangeStreamReconnectStorm")),
            bars=True,
            none="none was lost",
            width=6,
        ),
    ],
)

_DELAY = Row(
    title="In time?",
    panels=[
        heat(
            "Message latency",
            """From the venue's time in the message to our reading it. Bad is a cloud that climbs or
            splits in two. All exchanges alike: our process or path.""",
            """sum by (le) (
            increase(exchange_stream_latency_seconds_bucket{@exchange}[$__rate_interval]))""",
        ),
        series(
            "Late messages by channel",
            """Share of five minutes' messages that came later than a second. Above the dashed line
            the alert fires. Pings slow too: the path. Our queue waits: us. Neither: the venue.""",
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
            """From our WebSocket ping to its pong: the path alone, whatever the clocks say. Bad is
            a step against its own past.""",
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
            """Time that messages waited in the exporter's queue. Bad is above some milliseconds:
            then the exporter causes the delay. Give it more CPU or another shard.""",
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
    title="Whole?",
    panels=[
        series(
            "Holes in the numbering",
            """Holes in ten minutes, of books and of channels. Above the dashed line messages are
            lost on the way: see first whether our queue drops (exporter page).""",
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
            none="no hole",
        ),
        series(
            "Messages that cannot be read",
            """Share of the messages that the venue's documentation does not explain. Single ones
            happen; above the dashed line it has changed its protocol: update the exporter.""",
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
            """Whether each book follows the venue's. Red for seconds is a resync; red for a minute:
            do not price from it. All books of one exchange red: see its connection.""",
            Query(
                """max by (exchange, symbol) (
                exchange_book_synced{@exchange,symbol=~"$symbol"})""",
                "{{exchange}} {{symbol}}",
            ),
            words={0: ("out of step", BAD), 1: ("in step", GOOD)},
            none="no books",
            width=8,
        ),
        series(
            "Resyncs by reason",
            """Books rebuilt from a snapshot in ten minutes. start is harmless; gap and checksum
            mean lost or wrong updates, crossed a broken book. Many eat the venue's rate limit.""",
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
            line the book is broken: see whether updates are lost.""",
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
    title="Does it make sense?",
    panels=[
        series(
            "Price against its peers",
            """Each price over the median of all exchanges, minus 1. Beyond the dashed lines do not
            trust it alone; a slow drift is often a halted deposit or withdrawal of the coin.""",
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
            """Time since the price last changed. Beyond the dashed line, with peers that move, it
            is frozen. A quiet symbol rises on all exchanges alike.""",
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
            """Best ask minus best bid over their middle. Above the dashed line liquidity is gone:
            send no market orders there.""",
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
            "Middle prices",
            """In units of the quote currency; choose one symbol above to compare exchanges. A line
            that ends is a price that went stale; a flat one among moving ones is frozen.""",
            Query(
                """max by (exchange, symbol) (exchange_mid_price{@exchange,symbol=~"$symbol"})""",
                "{{exchange}} {{symbol}}",
            ),
            log=True,
            width=12,
        ),
        series(
            "Exchanges behind the consensus",
            """How many fresh exchanges made the consensus price. Below three nobody can say which
            of two is wrong, and divergence is not alerted: see which prices went stale.""",
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
    about="""Whether market data flows, comes in time and whole, and whether it makes sense beside
    that of other exchanges. Panels with a symbol follow the choice of symbols above.""",
    rows=[_ANYTHING, _FLOW, _DELAY, _WHOLE, _SENSE],
    own=[
        Variable(
            name="symbol",
            label="Symbol",
            query='label_values(exchange_mid_price{job=~"$job",exchange=~"$exchange"}, symbol)',
        )
    ],
)
