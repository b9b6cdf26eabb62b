"""What a config asks of others over REST: how often, at what weight, and what will be late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter import config as settings
from exporter.config import Config, ExchangeConfig
from exporter.config.units import format_duration
from exporter.contracts import Venue
from exporter.exchange import market_watch, markets, perpetuals
from exporter.flow.rate_limit import RateLimitRules
from exporter.model import Channel
from exporter.probes import schedule
from exporter.probes.exchange_probes import OUT_OF_TURN, limit_rules
from exporter.probes.schedule import Foreseen, Turns
from exporter.probes.status_page import PAGE_INTERVAL
from exporter.streams import cross_check
from exporter.streams.exchange_books import weight_of

_GAP, _LATE = 1.5, 0.75  # intervals between two probes, and behind its place: more is said
_NAMED = 5  # endpoints of one exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKind:
    """One kind of request: how many a second, and the weight of all of them.

    Of what is not asked by the clock, ``occasion`` says when, and the figures are those of once.
    """

    what: str
    rate: float  # a second
    weight: float  # a second
    limited: bool = True  # whether it counts against the limits of the exchange
    steady: bool = True  # False: only while something fails, or on an occasion
    occasion: str = ""


def requests_of(exchange: ExchangeConfig, venue: Venue, config: Config) -> Iterator[RequestKind]:
    """Yield all kinds of requests on behalf of one exchange; rates are the most there can be."""
    turns = _probes(exchange, venue, config)
    yield RequestKind(
        what="probes",
        rate=sum(1.0 / each.interval for each in turns),
        weight=sum(each.weight / each.interval for each in turns),
    )
    for each in _others(exchange, venue):
        yield RequestKind(
            what=each.name, rate=1.0 / each.interval, weight=each.weight / each.interval
        )
    if exchange.selections:
        yield _lists(exchange, venue)
    for target in settings.targets(exchange, venue, config.probes):
        if target.apart:
            yield RequestKind(
                what=f"probes of {target.endpoint}",
                rate=1.0 / target.interval,
                weight=0.0,
                limited=False,
            )
    if settings.status_page(exchange, venue) is not None:
        yield RequestKind(what="status page", rate=1.0 / PAGE_INTERVAL, weight=0.0, limited=False)
    yield RequestKind(
        what="probes out of turn, while it fails",
        rate=len(turns) / OUT_OF_TURN,
        weight=sum(each.weight for each in turns) / OUT_OF_TURN,
        steady=False,
    )
    if venue.book is not None and venue.book.read_snapshot is not None:
        books = len(books_of(exchange, venue))
        yield RequestKind(
            what="snapshots of order books",
            rate=books,
            weight=books * venue.book.weight,
            steady=False,
            occasion="at a start",
        )
    lists = settings.market_lists(exchange, venue, all_named=True)
    yield RequestKind(
        what="lists of markets, for check --online",
        rate=len(lists),
        weight=len(lists) * venue.markets_weight,
        steady=False,
        occasion="each time",
    )


def books_of(exchange: ExchangeConfig, venue: Venue) -> set[str]:
    """Return the instruments whose order books are built."""
    return {
        each.instrument
        for stream in exchange.streams
        for each in settings.subscriptions(exchange, stream, venue)
        if each.channel is Channel.BOOK and stream.book and venue.book
    }


def control_requests(config: Config) -> Iterator[RequestKind]:
    """Yield what is asked of others than exchanges, to know whether the network works."""
    for each in config.control_targets:
        yield RequestKind(
            what=f"control target {each.name}",
            rate=1.0 / each.interval,
            weight=0.0,
            limited=False,
        )


def late(exchange: ExchangeConfig, venue: Venue, config: Config) -> dict[str, Foreseen]:
    """Return the endpoints that the limits will keep waiting for most of an interval."""
    probes = _probes(exchange, venue, config)
    others = _others(exchange, venue)
    found = schedule.foresee([*probes, *others], rules_of(exchange, venue, config))
    names = {each.name for each in probes}
    return {
        name: each
        for name, each in found.items()
        if name in names
        and (each.skipped or each.gap > _GAP * each.interval or each.late > _LATE * each.interval)
    }


def warnings_of(exchange: ExchangeConfig, venue: Venue, config: Config) -> Iterator[str]:
    """Yield what the schedule makes of timeouts, and each endpoint that will be late."""
    if cut := settings.cut_timeouts(exchange, venue, config.probes):
        yield (
            f"{exchange.name}: probes of {', '.join(cut)} time out after their interval, which is "
            f"shorter than probes.timeout, {format_duration(config.probes.timeout)}"
        )
    found = late(exchange, venue, config)
    for name, each in list(found.items())[:_NAMED]:
        skipped = f", and {each.skipped} of {each.turns} turns skipped" if each.skipped else ""
        yield (
            f"{exchange.name}: {name} may go up to {format_duration(round(each.gap, 1))} without a "
            f"probe, and its interval is {format_duration(each.interval)}: after a start or a ban "
            f"all probes come at once, and the rate limits have no room{skipped} (raise intervals, "
            "or the share of the limits)"
        )
    if len(found) > _NAMED:
        yield f"{exchange.name}: so would {len(found) - _NAMED} more of its endpoints"


def rules_of(exchange: ExchangeConfig, venue: Venue, config: Config) -> list[RateLimitRules]:
    """Return what we may use of each limit, as the running program will have it."""
    share = settings.budget_share(exchange, config.probes)
    checked = any(stream.cross_check is not None for stream in exchange.streams)
    weights = [each.weight for each in settings.targets(exchange, venue, config.probes)]
    weights += [weight_of(venue, exchange.streams), cross_check.weight_of(venue, wanted=checked)]
    weights += [markets.weight_of(exchange, venue), market_watch.weight_of(exchange, venue)]
    weights.append(perpetuals.weight_of(exchange, venue))
    return [
        limit_rules(limit, share, max(weights)) for limit in settings.rest_limits(exchange, venue)
    ]


def _probes(exchange: ExchangeConfig, venue: Venue, config: Config) -> list[Turns]:
    targets = settings.targets(exchange, venue, config.probes)
    places = schedule.phases(targets)
    paces = {each.name: settings.APART * each.pace for each in venue.endpoints}
    return [
        Turns(
            name=each.endpoint,
            interval=each.interval,
            weight=each.weight,
            place=places[each.endpoint],
            pace=paces[each.endpoint] if each.listed else 0.0,
        )
        for each in targets
        if not each.apart  # it is charged to no limit
    ]


def _lists(exchange: ExchangeConfig, venue: Venue) -> RequestKind:
    """Return the lists of markets and volumes that patterns ask for."""
    lists = settings.market_lists(exchange, venue, all_named=False)
    volumes = settings.volume_lists(exchange, venue)
    weight = len(lists) * venue.markets_weight
    weight += 0 if venue.volumes is None else len(volumes) * venue.volumes.weight
    every = exchange.symbols_refresh
    return RequestKind(
        what="lists of markets", rate=(len(lists) + len(volumes)) / every, weight=weight / every
    )


def _others(exchange: ExchangeConfig, venue: Venue) -> list[Turns]:
    """Return what is asked again and again beside probes."""
    return [
        *_audits(exchange, venue),
        *_checks(exchange, venue),
        *_states(exchange, venue),
        *_perpetuals(exchange, venue),
    ]


def _states(exchange: ExchangeConfig, venue: Venue) -> Iterator[Turns]:
    lists = settings.state_lists(exchange, venue) if exchange.instruments.watch else ()
    if lists:
        every = exchange.instruments.interval / len(lists)
        weight = market_watch.weight_of(exchange, venue)
        yield Turns(name="states of markets", interval=every, weight=weight, place=0.0)


def _perpetuals(exchange: ExchangeConfig, venue: Venue) -> Iterator[Turns]:
    wanted = settings.perpetual_lists(exchange, venue) if exchange.perpetuals.watch else ()
    for each in wanted:
        every = exchange.perpetuals.interval
        name = f"perpetuals, {each.path.partition('?')[0].rpartition('/')[2]}"
        yield Turns(name=name, interval=every, weight=each.weight, place=0.0)


def _audits(exchange: ExchangeConfig, venue: Venue) -> Iterator[Turns]:
    for stream in exchange.streams:
        every, rules = stream.book_audit, venue.book
        if every is None or rules is None or not stream.book:
            continue
        wanted = settings.subscriptions(exchange, stream, venue)
        books = sum(each.channel is Channel.BOOK for each in wanted)
        if books:
            name = f"book audits of {stream.name}"
            yield Turns(name=name, interval=every / books, weight=rules.weight, place=0.0)


def _checks(exchange: ExchangeConfig, venue: Venue) -> Iterator[Turns]:
    """Yield cross-checks as if every subscription were silent; one is asked about at a time."""
    for stream in exchange.streams:
        if stream.cross_check is None:
            continue
        wanted = settings.subscriptions(exchange, stream, venue)
        asked = [venue.cross_checks[each.channel] for each in wanted
                 if each.channel in venue.cross_checks]  # fmt: skip
        if asked:
            least = cross_check.LEAST_APART
            yield Turns(
                name=f"cross-checks of {stream.name}",
                interval=max(least, stream.cross_check / len(asked)),
                weight=max(each.weight for each in asked),
                place=0.0,
            )
