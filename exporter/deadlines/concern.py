"""Which known deadlines are about what a config uses of an exchange."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from exporter.config import ExchangeConfig, plan
from exporter.contracts import Venue
from exporter.deadlines.document import ApiDeadline
from exporter.instrument import product_of
from exporter.metrics.families import ApiPart

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def concerning(
    deadlines: Iterable[ApiDeadline], exchange: ExchangeConfig, venue: Venue
) -> Iterator[ApiDeadline]:
    """Yield those that are about an address, a path or a channel that is used, soonest first."""
    paths = [*_paths(exchange, venue)]
    urls = [*_urls(exchange, venue, paths)]
    topics = [*_topics(exchange, venue)]
    for each in sorted(deadlines, key=lambda one: (one.at, one.what)):
        if each.venue == venue.name and (
            (each.part is ApiPart.ADDRESS and any(_below(url, each.what) for url in urls))
            or (each.part is ApiPart.PATH and any(_inside(path, each.what) for path in paths))
            or (each.part is ApiPart.CHANNEL and any(_names(each.what, one) for one in topics))
        ):
            yield each


def _paths(exchange: ExchangeConfig, venue: Venue) -> Iterator[str]:
    """Yield the REST paths that are asked, with their places."""
    own = {each.name: each.path for each in venue.endpoints}
    for endpoint in plan.wanted(exchange, venue):
        if endpoint.url is None:
            yield endpoint.path or own.get(endpoint.name, "")
    if venue.markets_path and (exchange.selections or exchange.instruments.watch):
        yield venue.markets_path
    if venue.prelude is not None and exchange.streams:
        yield venue.prelude.path
    for stream in exchange.streams:
        if stream.book and venue.book is not None and venue.book.snapshot_path:
            yield venue.book.snapshot_path
        if stream.cross_check is not None:
            yield from (each.path for each in venue.cross_checks.values())


def _urls(exchange: ExchangeConfig, venue: Venue, paths: Iterable[str]) -> Iterator[str]:
    """Yield the URLs that are asked and connected to, failover's among them."""
    site = plan.site(exchange, venue)
    yield from (base + path for base in site.rest_urls for path in paths)
    yield from (each.url for each in plan.wanted(exchange, venue) if each.url is not None)
    products = {product_of(name, plan.plain(exchange, venue)) for name in exchange.named}
    for base in site.stream_urls:
        for stream in exchange.streams:
            for channel in stream.channels:
                for product in products or {plan.plain(exchange, venue)}:
                    yield venue.stream_url(base, venue.route(channel, product, ""))


def _topics(exchange: ExchangeConfig, venue: Venue) -> Iterator[str]:
    """Yield the templates of the topics that are subscribed to."""
    tables = (venue.topics, *venue.product_topics.values())
    for stream in exchange.streams:
        for channel in stream.channels:
            yield from (table[channel] for table in tables if channel in table)


def _below(url: str, address: str) -> bool:
    """Return whether a URL is an address, or one below it."""
    used, known = urlsplit(url), urlsplit(address)
    return (
        used.scheme == known.scheme
        and used.hostname == known.hostname
        and (used.port or _PORTS.get(used.scheme)) == (known.port or _PORTS.get(known.scheme))
        and _inside(used.path, known.path)
    )


def _inside(path: str, end: str) -> bool:
    """Return whether a path is another, or below it; queries do not matter."""
    bare, least = path.partition("?")[0].rstrip("/") + "/", end.rstrip("/") + "/"
    return bare.startswith(least)


def _names(channel: str, topic: str) -> bool:
    """Return whether a topic is of a channel: its name stands alone between separators."""
    place = topic.find(channel)
    while place >= 0:
        around = topic[place - 1 : place] + topic[place + len(channel) :][:1]
        if not any(each.isalnum() or each in "-_" for each in around):
            return True
        place = topic.find(channel, place + 1)
    return False
