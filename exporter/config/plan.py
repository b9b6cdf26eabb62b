"""The plan of a config with its venues' defaults: targets, subscriptions, connections."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import chain
from math import ceil, floor
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from exporter.config import calendar
from exporter.config.endpoint import EndpointConfig, ExpectConfig
from exporter.config.exchange import ExchangeConfig, StreamConfig
from exporter.config.secret import Secret
from exporter.config.shape import ProbesConfig
from exporter.config.weights import weight_of
from exporter.contracts import Endpoint as VenueEndpoint
from exporter.contracts import RestLimit, Venue, VenueSite
from exporter.flow import breaker
from exporter.flow.rate_limit import RateLimitRules
from exporter.instrument import Product, product_of
from exporter.maintenance import WatchedMarkets
from exporter.model import Channel, ClockSource, Expectation, MaintenanceRule, Subscription, Target
from exporter.selection import MarketSelection

APART = 1.1  # times an endpoint's pace: two requests may come closer to each other on their way
_USUAL = VenueEndpoint(name="usual", path="/").interval


def symbol(exchange: ExchangeConfig, venue: Venue, instrument: str) -> str:
    """Format an instrument the venue's way."""
    return exchange.symbol_overrides.get(instrument) or venue.symbol(instrument)


def site(exchange: ExchangeConfig, venue: Venue) -> VenueSite:
    """Return where an exchange is reached: by its config, else by the venue, in its region."""
    own = VenueSite(
        rest_urls=(venue.rest_url, *venue.other_rest_urls), stream_urls=venue.stream_urls
    )
    if exchange.region is not None:
        own = venue.regions[exchange.region]
    rest = own.rest_urls if exchange.rest_url is None else (exchange.rest_url,)
    return VenueSite(
        rest_urls=tuple(url.rstrip("/") for url in rest),
        stream_urls=exchange.stream_url or own.stream_urls,
    )


def targets(exchange: ExchangeConfig, venue: Venue, probes: ProbesConfig) -> tuple[Target, ...]:
    """Return what to probe of an exchange, complete. Secrets in headers are revealed here."""
    own = {endpoint.name: endpoint for endpoint in venue.endpoints}
    return tuple(
        _target(each, own.get(each.name), exchange, venue, probes)
        for each in wanted(exchange, venue)
    )


def cut_timeouts(exchange: ExchangeConfig, venue: Venue, probes: ProbesConfig) -> list[str]:
    """Return the endpoints whose probes are given up at their interval, before probes.timeout."""
    timeouts = {each.name: each.timeout for each in wanted(exchange, venue)}
    return [
        each.endpoint
        for each in targets(exchange, venue, probes)
        if timeouts[each.endpoint] is None and each.timeout < probes.timeout
    ]


def plain(exchange: ExchangeConfig, venue: Venue) -> Product:
    """Return what BASE-QUOTE stands for: the class of the stream that is configured, if any is."""
    names = {name: product for product, name in venue.categories.items()}
    last = (url.partition("?")[0].rstrip("/").rpartition("/")[2] for url in exchange.stream_url)
    return next((names[each] for each in last if each in names), venue.plain)


def _about(url: str, exchange: ExchangeConfig, venue: Venue) -> str:
    """Fill in a URL about the exchange's first symbol, or about none."""
    first = exchange.named[0] if exchange.named else ""
    name = symbol(exchange, venue, first) if first else ""
    category = venue.categories.get(product_of(first, plain(exchange, venue)), "")
    spelled = quote(name, safe="-_.:~")
    return url.replace("{symbol}", spelled).replace("{category}", category)


def wanted(exchange: ExchangeConfig, venue: Venue) -> tuple[EndpointConfig, ...]:
    """Return the endpoints of an exchange: those of its config, else the venue's usual ones."""
    if exchange.endpoints is not None:
        return exchange.endpoints
    return tuple(EndpointConfig(name=each.name) for each in venue.endpoints if each.default)


def _target(
    endpoint: EndpointConfig,
    own: VenueEndpoint | None,
    exchange: ExchangeConfig,
    venue: Venue,
    probes: ProbesConfig,
) -> Target:
    if endpoint.path is not None or endpoint.url is not None:
        own = None  # the same name at another address is another endpoint
    path = endpoint.path or (own.path if own else "")
    url = endpoint.url or site(exchange, venue).rest_urls[0] + path
    if "{symbol}" in url or "{category}" in url:
        url = _about(url, exchange, venue)
    # A venue's slower endpoints keep their proportion to the usual pace, and what it may be asked.
    pace = own.interval / _USUAL if own else 1.0
    interval = endpoint.interval or max(probes.interval * pace, APART * own.pace if own else 0.0)
    headers, form = _revealed(endpoint.headers), _revealed(endpoint.form or {})
    body, kind = _body(endpoint, own, form)
    if kind and "content-type" not in map(str.lower, headers):
        headers["Content-Type"] = kind
    clock, rule = endpoint.clock, endpoint.maintenance
    return Target(
        exchange=exchange.name,
        endpoint=endpoint.name,
        url=url,
        method=endpoint.method or (own.method if own else ("GET" if body is None else "POST")),
        headers=headers,
        body=body,
        sent=tuple(form.values()),
        interval=interval,
        timeout=endpoint.timeout or min(probes.timeout, interval),
        statuses=frozenset(chain.from_iterable(map(status_codes, endpoint.statuses))),
        expect=tuple(map(expectation, endpoint.expect)),
        body_limit=probes.body_limit,
        weight=weight_of(endpoint, venue),
        listed=own is not None,
        apart=endpoint.url is not None,
        clock=None if clock is None else ClockSource(path=clock.path),
        maintenance=None
        if rule is None
        else MaintenanceRule(when=expectation(rule.when), title=rule.title, end=rule.end),
    )


def status_codes(wanted: int | str) -> Iterable[int]:
    """Return the HTTP status codes that a code, or a class of them, stands for."""
    if isinstance(wanted, int):
        return (wanted,)
    first = int(wanted[0]) * 100
    return range(first, first + 100)


def expectation(wanted: ExpectConfig) -> Expectation:
    """Return what an answer must satisfy, as probes judge by it."""
    return Expectation(
        path=wanted.path,
        header=None if wanted.header is None else wanted.header.lower(),
        equals=wanted.equals,
        exists=wanted.exists,
        less_than=wanted.less_than,
        within=wanted.within,
        contains=wanted.contains,
        matches=wanted.matches,
    )


def _revealed(table: Mapping[str, str | Secret]) -> dict[str, str]:
    return {n: v.reveal() if isinstance(v, Secret) else v for n, v in table.items()}


def _body(
    endpoint: EndpointConfig, own: VenueEndpoint | None, form: Mapping[str, str]
) -> tuple[bytes | None, str]:
    """Return what to send, and its type."""
    if endpoint.form is not None:
        return urlencode(form).encode(), "application/x-www-form-urlencoded"
    content = endpoint.json if own is None or endpoint.json is not None else own.json
    if content is not None:
        return json.dumps(content, ensure_ascii=False).encode(), "application/json"
    return None, ""


def breaker_rules(exchange: ExchangeConfig, endpoint: str) -> breaker.BreakerRules:
    """Return the rules of one endpoint's breaker: exactly one of its three is on."""
    wanted = exchange.breaker
    named = (each.slow_after for each in exchange.endpoints or () if each.name == endpoint)
    return breaker.BreakerRules(
        failures=wanted.failures if wanted.mode == "consecutive" else None,
        ratio=wanted.ratio if wanted.mode == "ratio" else None,
        slow_ratio=wanted.ratio if wanted.mode == "slow" else None,
        slow=next(named, None) or wanted.slow_after,
        window=wanted.window,
        minimum=wanted.minimum,
        recovery=wanted.recovery,
        recovery_cap=wanted.recovery_cap,
        trials=wanted.trials,
    )


def windows(exchange: ExchangeConfig) -> tuple[tuple[calendar.CalendarWindow, bool], ...]:
    """Return the maintenance that is known beforehand, and whether probes pause for it."""
    return tuple(
        (
            calendar.Recurring(calendar.cron(each.cron), each.duration, zone)
            if each.cron is not None and each.duration is not None
            else calendar.Once(
                calendar.moment(str(each.start), zone), calendar.moment(str(each.end), zone)
            ),
            each.pause,
        )
        for each in exchange.maintenance
        for zone in (ZoneInfo(each.zone),)
    )


def watched(exchange: ExchangeConfig, venue: Venue) -> WatchedMarkets:
    """Return what an exchange watches, for notices to be matched with."""
    return WatchedMarkets(
        instruments=exchange.named,
        symbols=tuple(symbol(exchange, venue, each) for each in exchange.named),
        stream_url=next(iter((*exchange.stream_url, *venue.stream_urls)), ""),
        products=frozenset(product_of(each, plain(exchange, venue)) for each in exchange.named),
    )


def status_page(exchange: ExchangeConfig, venue: Venue) -> str | None:
    """Return the base URL of the status page to follow.

    Where another REST URL is named the venue's own page may be that of another site.
    """
    if not exchange.status_page:
        return None
    own = venue.status_page if exchange.rest_url in (None, venue.rest_url) else None
    return (exchange.status_page_url or own or "").rstrip("/") or None


def budget_share(exchange: ExchangeConfig, probes: ProbesConfig) -> float:
    """Return the share of those limits that probes may use."""
    return probes.budget_share if exchange.limits.share is None else exchange.limits.share


_ATTEMPTS = 0.5  # of a limit of connections: whoever else has our address connects, too


def connection_rules(venue: Venue) -> RateLimitRules | None:
    """Return what streams may use of the venue's limit of attempts to connect, if it has one."""
    limit = venue.connection_limit
    if limit is None:
        return None
    return RateLimitRules(weight=limit.weight, window=limit.window, share=_ATTEMPTS)


_BOOKS = 0.8  # of the probes' share: probes never wait for a limit, books do


def book_weight(limit: RestLimit, share: float, heaviest: int) -> int:
    """Return the weight of a limit that book snapshots may use; one of ``heaviest`` always fits.

    ``share`` is that of probes and books together.
    """
    return max(min(heaviest, limit.weight), floor(floor(limit.weight * share) * _BOOKS))


def subscriptions(
    exchange: ExchangeConfig,
    stream: StreamConfig,
    venue: Venue,
    symbols: Mapping[str, str] | None = None,
) -> tuple[Subscription, ...]:
    """Return a stream's subscriptions, channel by channel; none of what patterns stand for.

    ``symbols`` (instrument to the venue's spelling) is what discovery found; overrides win.
    """
    spelled = {**(symbols or {}), **exchange.symbol_overrides}
    instruments = exchange.symbols if stream.symbols is None else stream.symbols
    if not venue.asks:  # of no symbol: the stream stands for itself
        name = stream.name
        return (
            Subscription(
                exchange=exchange.name,
                channel=Channel.MESSAGES,
                instrument=name,
                symbol=name,
                topic=venue.topic(Channel.MESSAGES, name),
            ),
        )
    return tuple(
        Subscription(
            exchange=exchange.name,
            channel=channel,
            instrument=instrument,
            symbol=name,
            topic=venue.topic(channel, name, product),
            product=product,
        )
        for channel in stream.channels
        if channel in venue.topics
        for instrument in instruments
        if not isinstance(instrument, MarketSelection)
        for product in (product_of(instrument, plain(exchange, venue)),)
        if channel in venue.topics_of(product)
        for name in (spelled.get(instrument) or venue.symbol(instrument),)
    )


def connections(wanted: Iterable[Subscription], venue: Venue) -> int:
    """Return how many connections the venue's limits ask for: routes and topics on each."""
    topics: dict[tuple[str, str], set[str]] = {}
    for each in wanted:
        topics.setdefault(venue.route(each.channel, each.product, each.symbol), set()).add(
            each.topic
        )
    return sum(ceil(len(each) / venue.topics_per_connection) for each in topics.values())
