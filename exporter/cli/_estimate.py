"""Estimate what a config costs: series, probes, request weight, connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exporter import config as settings
from exporter.cli._requests import books_of, requests_of, rules_of
from exporter.config import Config, ExchangeConfig
from exporter.contracts import Venue
from exporter.instrument import canonical, product_of
from exporter.maintenance import TradingMode
from exporter.metrics import families as known
from exporter.model import (
    BookSide,
    Circuit,
    Family,
    Lost,
    Phase,
    Reason,
    Resync,
    SilenceVerdict,
    Skip,
    SubscriptionState,
)
from exporter.probes.attribution import Domain

# Values of the labels that are closed lists or bounded by our own code.
_VALUES: Mapping[str, int] = {
    "mode": len(TradingMode),
    "outcome": len(known.ProbeOutcome),
    "result": len(known.ProbeOutcome),
    "connection": len(known.Connection),
    "phase": len(Phase),
    "code": 3,  # seen over weeks on a healthy endpoint: 200, 429 and a 5xx
    "to": len(Circuit),
    "state": len(Circuit),
    "kind": len(known.FrameKind),
    "stage": len(known.ProcessingStage),
    "policy": len(known.Dropped),
    "source": len(known.MaintenanceSource),
    "domain": len(Domain),
    "measurement": len(known.Measurement),
    "choice": len(known.MarketChoice),
    "rule": len(known.MarketRule),
    "detector": 4,  # three detectors and their ensemble
    "signal": 12,
    "alertmanager": 1,
    "task": 14,
    # Counted with what they belong to, or one for the whole program.
    **dict.fromkeys(("exchange", "endpoint", "stream", "queue", "channel", "symbol", "limit"), 1),
    "side": len(BookSide),
    **dict.fromkeys(("bps", "size", "asset", "against"), 1),
    **dict.fromkeys(("part", "what", "change", "replacement"), 1),
    **dict.fromkeys(
        ("family", "target", "base_quote", "quote", "bound", "gate", "market", "provider"), 1
    ),
    **dict.fromkeys(("version", "revision", "python_version", "hash", "shard", "shards"), 1),
}
# Where a label means another list than elsewhere.
_ODD: Mapping[tuple[str, str], int] = {
    (known.PROBE_FAILURES.name, "reason"): len(Reason),
    (known.PROBE_SKIPPED.name, "reason"): len(Skip),
    (known.STREAM_DISCONNECTS.name, "reason"): len(Lost),
    (known.BOOK_RESYNCS.name, "reason"): len(Resync),
    (known.INCIDENT_DECLARED.name, "source"): 1,  # counted with the pages
    (known.STREAM_CROSS_CHECKS.name, "verdict"): len(SilenceVerdict),
    (known.STREAM_SUBSCRIPTIONS.name, "state"): len(SubscriptionState),
    (known.MARKET_MODE.name, "mode"): 1,  # the current one alone
    (known.DEADLINES_REJECTED.name, "reason"): 4,
    (known.GATE_CLOSED.name, "reason"): 1,  # counted with the gates
    (known.ALERT_PUSHES.name, "outcome"): len(known.PushOutcome),
    (known.ALERT_ACTIVE.name, "alert"): 5,  # those that anomaly/alerts.py can raise
}
_OPT_IN = (
    known.ALERT_ACTIVE.name,  # absent while nothing is pushed, and then a few
    known.ANOMALY_BASELINE.name,
    known.BOOK_AUDIT_DIVERGENCE.name,
    known.SCHEMA_CHANGES.name,  # of exchanges with `schema_watch`, four a channel
    known.STREAM_CADENCE.name,
    known.STREAM_CADENCE_DOCUMENTED.name,
    known.EXCHANGE_PROVIDER.name,  # one for each that is configured
    known.ENDPOINT_PROVIDER.name,
    known.BOOK_DEPTH.name,  # of exchanges with `liquidity`: counted in `_liquidity`
    known.BOOK_DEPTH_MEDIAN.name,
    known.BOOK_SLIPPAGE.name,
    known.STREAM_CROSS_CHECKS.name,
    known.TRADING_MODE.name,  # of the few venues that say
    known.MAINTENANCE_START.name,  # absent while none is announced
    known.GATE_INFO.name,  # one for each exchange of a gate
    known.INCIDENT_LEAD.name,  # absent until there was an incident that both saw
    known.MARKETS.name,  # of exchanges with patterns
    known.MARKETS_READ_TIME.name,
    known.MARKET_OPENING.name,  # absent while none is announced, as is the end
    known.MARKET_DELISTING.name,
    known.API_DEADLINE.name,  # of what is known to end: a few
    known.DEADLINES_ISSUED.name,
    known.DEADLINES_REJECTED.name,
)
_OF_STATES = (known.MARKET_MODE.name, known.MARKET_TICK_SIZE.name, known.MARKET_LOT_SIZE.name)
_OF_PERPETUALS = tuple(
    each.name
    for each in (
        known.MARK_PRICE, known.INDEX_PRICE, known.MARK_DEVIATION, known.INDEX_DEVIATION,
        known.FUNDING_RATE, known.FUNDING_INTERVAL, known.FUNDING_NEXT, known.FUNDING_CAP,
    )
)  # fmt: skip
_OF_STATE_STREAMS = (known.MARKET_STREAM_CONNECTED.name, known.MARKET_STREAM_UNREADABLE.name)
_PROCESS = 30  # process_* and python_* of the client library


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeLoad:
    """How much of everything. Weights are per window of the limit."""

    endpoints: int
    streams: int
    connections: int
    subscriptions: int
    channels: int
    symbols: int
    renamed: int  # of these, those whose market has another name
    books: int
    measured: int  # books whose depth is measured
    checksums: int  # books whose venue sends a checksum
    limits: int
    states: bool  # whether the states of its markets are watched
    pushed: bool  # whether the venue pushes them on a connection of its own
    perpetuals: int  # those whose prices and funding are watched
    probes_per_second: float
    status_pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What probes ask of one limit of an exchange, and what they are allowed, per window.

    Allowed is our share as the running program keeps it: whole, and one request at least.
    """

    exchange: str
    limit: str
    window: float
    used: float
    allowed: float
    whole: int


def load_of(exchange: ExchangeConfig, venue: Venue, config: Config) -> ExchangeLoad:
    """Count what one exchange comes to."""
    targets = settings.targets(exchange, venue, config.probes)
    groups = [settings.subscriptions(exchange, each, venue) for each in exchange.streams]
    wanted = [each for group in groups for each in group]
    books = books_of(exchange, venue)
    return ExchangeLoad(
        endpoints=len(targets),
        streams=len(exchange.streams),
        connections=sum(settings.connections(group, venue) for group in groups)
        + settings.pushes_states(exchange, venue),
        subscriptions=len(
            {(venue.route(each.channel, each.product, each.symbol), each.topic) for each in wanted}
        ),
        channels=len({each.channel for each in wanted}),
        symbols=len({each.instrument for each in wanted}),
        renamed=len(
            {
                each.instrument
                for each in wanted
                if canonical(each.instrument, each.product) != each.instrument
            }
        ),
        books=len(books),
        measured=sum(
            exchange.liquidity.covers(each)
            and venue.book is not None
            and product_of(each, settings.plain(exchange, venue)) in venue.book.units
            for each in books
        ),
        checksums=len(books) if venue.book and venue.book.checksum else 0,
        limits=len(settings.rest_limits(exchange, venue)) + (venue.connection_limit is not None),
        states=exchange.instruments.watch,
        pushed=settings.pushes_states(exchange, venue),
        perpetuals=_perpetuals(exchange, venue),
        probes_per_second=sum(1.0 / target.interval for target in targets),
        status_pages=int(settings.status_page(exchange, venue) is not None),
    )


def _perpetuals(exchange: ExchangeConfig, venue: Venue) -> int:
    """Count the contracts whose prices and funding are watched, streamed or not."""
    if not exchange.perpetuals.watch:
        return 0
    own = settings.plain(exchange, venue)
    streamed = (settings.subscriptions(exchange, each, venue) for each in exchange.streams)
    products = {each.instrument: each.product for group in streamed for each in group}
    for name in settings.watched(exchange, venue).instruments:
        products[name] = product_of(name, own)
    return sum(product in venue.perpetuals for product in products.values())


def weights(exchange: ExchangeConfig, venue: Venue, config: Config) -> list[Weight]:
    """Hold the requests to one exchange, but those out of turn, against each of its limits."""
    asked = [each for each in requests_of(exchange, venue, config) if each.limited and each.steady]
    limits, rules = settings.rest_limits(exchange, venue), rules_of(exchange, venue, config)
    return [
        Weight(
            exchange=exchange.name,
            limit=limit.name,
            window=limit.window,
            used=sum(each.weight for each in asked) * limit.window,
            allowed=kept.ours.weight,
            whole=limit.weight,
        )
        for limit, kept in zip(limits, rules, strict=True)
    ]


def book_minutes(exchange: ExchangeConfig, venue: Venue, config: Config, books: int) -> float:
    """Return the minutes until every book has had its first snapshot over REST, 0 without any."""
    if venue.book is None or venue.book.read_snapshot is None:
        return 0.0
    share, weight = settings.budget_share(exchange, config.probes), venue.book.weight
    return max(
        (
            (books * min(weight, limit.weight) / settings.book_weight(limit, share, weight) - 1.0)
            * limit.window
            / 60.0
            for limit in settings.rest_limits(exchange, venue)
        ),
        default=0.0,
    )


def _liquidity(load: ExchangeLoad, exchange: ExchangeConfig) -> int:
    """Estimate the series of measured books: a depth, its median, or a slippage for each side."""
    wanted = exchange.liquidity
    return load.measured * len(BookSide) * (2 * len(wanted.bps) + len(wanted.sizes))


def series_of(load: ExchangeLoad, exchange: ExchangeConfig, config: Config) -> int:
    """Estimate the series of one exchange."""
    counts: dict[tuple[str, ...], int] = {
        ("endpoint",): load.endpoints,
        ("stream",): load.streams,
        ("queue",): load.streams,
        ("channel", "symbol"): load.subscriptions,
        ("channel",): load.channels,
        ("symbol",): load.symbols,
        ("limit",): load.limits,
        (): 1,
    }

    limit = config.metrics.own_symbols

    def objects(family: Family) -> int:
        count = wanted(family)
        if limit is None or "symbol" not in family.labels or limit >= load.symbols:
            return count
        others = family.kind == "counter" or family.fold is not None
        return count * limit // load.symbols + others * (
            load.channels if "channel" in family.labels else 1
        )

    def wanted(family: Family) -> int:
        if family.name == known.SYMBOL_INFO.name:
            return load.renamed
        if family.name == known.INCIDENT_DECLARED.name:
            return 1 + load.status_pages  # the venue's own endpoints, and its page
        if family.name == known.MARKET_RULE_CHANGES.name:
            return int(load.states)
        if family.name in _OF_STATE_STREAMS:
            return int(load.pushed)
        if family.name in _OF_STATES:
            return load.symbols if load.states else 0
        if family.name in _OF_PERPETUALS:
            return load.perpetuals
        if family.name == known.BOOK_CHECKSUM_FAILURES.name:
            return load.checksums
        if family.name.startswith("exchange_book_"):
            return load.books
        if family.name.startswith("exchange_anomaly_") and not config.anomaly.enabled:
            return 0
        return counts[tuple(label for label in family.labels if (label,) in counts)]

    return _sum(config, objects, own=True) + _liquidity(load, exchange)


def series_shared(instruments: int, config: Config) -> int:
    """Estimate the series that belong to no single exchange."""
    limit = config.metrics.own_symbols
    symbols = instruments if limit is None else min(instruments, limit * len(config.exchanges))
    unused = {*_OPT_IN}
    if not any(each.instruments.watch for each in config.exchanges):
        unused |= {*_OF_STATES, *_OF_STATE_STREAMS, known.MARKET_RULE_CHANGES.name}
    if not any(each.perpetuals.watch for each in config.exchanges):
        unused |= {*_OF_PERPETUALS}
    if not config.pegs:
        unused |= {known.PEG.name, known.PEG_BOUND.name}
    used = sum(each.name not in unused for each in known.all_families())
    fixed = {
        known.LOCAL_NETWORK_UP.name: len(config.control_targets),
        known.QUOTE_BASIS.name: 2,
        known.PEG.name: len(config.pegs),
        known.PEG_BOUND.name: 2 * len(config.pegs),
        known.ALERT_PUSHES.name: len(config.alertmanagers),
        known.ALERT_PUSH_SUCCESS_TIME.name: len(config.alertmanagers),
        known.GATE_OPEN.name: len(config.gates),
        known.GATE_CHANGES.name: len(config.gates),
        known.GATE_CLOSED.name: sum(len(gate.needs) + 1 for gate in config.gates),
        known.SERIES.name: used,
        known.SERIES_DROPPED.name: used,
    }

    def objects(family: Family) -> int:
        return fixed.get(family.name, symbols if family.labels == ("symbol",) else 1)

    return _sum(config, objects, own=False) + _PROCESS


def values(family: Family, label: str) -> int:
    """Return how many values a label has, beside those that the config brings. Raises KeyError."""
    return _ODD.get((family.name, label)) or _VALUES[label]


def _sum(config: Config, objects: Callable[[Family], int], *, own: bool) -> int:
    chosen = {
        known.PROBE_DURATION.name: config.metrics.probe_buckets,
        known.STREAM_LATENCY.name: config.metrics.latency_buckets,
    }
    total = 0
    for family in known.all_families():
        if ("exchange" in family.labels) is not own or family.name in _OPT_IN:
            continue
        children = objects(family)
        for label in family.labels:
            children *= values(family, label)
        buckets = len(chosen.get(family.name, family.buckets))
        total += children * (buckets + 3 if family.kind == "histogram" else 1)
    return total
