"""The weights of an exchange's requests, and the rate limits that they count against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.config.kinds import Mistake, Place
from exporter.contracts import RestLimit, Venue

if TYPE_CHECKING:  # their module asks this one for mistakes
    from exporter.config.endpoint import EndpointConfig
    from exporter.config.exchange import ExchangeConfig


def rest_limits(exchange: ExchangeConfig, venue: Venue) -> tuple[RestLimit, ...]:
    """Return the limits that count: the venue's, the first scaled where the config says so."""
    wanted = exchange.limits
    weight = wanted.weight
    if weight is None:
        return venue.rest_limits
    if wanted.window is not None or not venue.rest_limits:
        return (
            RestLimit(
                name="config",
                weight=weight,
                window=wanted.window or 60.0,
                used_header=_lower(wanted.used_header),
                remaining_header=_lower(wanted.remaining_header),
            ),
        )
    first, *rest = venue.rest_limits
    return replace(first, weight=max(1, int(weight * first.window / 60.0))), *rest


def _lower(header: str | None) -> str | None:
    return None if header is None else header.lower()


def weight_of(endpoint: EndpointConfig, venue: Venue) -> int:
    """Return what a probe of an endpoint costs: the config's word, else the venue's, else 1."""
    if endpoint.weight is not None:
        return endpoint.weight
    if endpoint.path is not None or endpoint.url is not None:
        return 1  # the same name at another address is another endpoint
    return next((each.weight for each in venue.endpoints if each.name == endpoint.name), 1)


def mistakes(exchange: ExchangeConfig, venue: Venue) -> Iterator[Mistake]:
    """Complain of requests that alone are heavier than a limit: they could never be sent."""
    limits = rest_limits(exchange, venue)
    if not limits or any(each is None for each in (*(exchange.endpoints or ()), *exchange.streams)):
        return
    least = min(limits, key=lambda limit: limit.weight)
    for place, what, weight in _requests(exchange, venue):
        if weight > least.weight:
            wrong = f"found the weight {weight} of {what}, expected at most the {least.weight} that"
            yield Mistake(place, f"{wrong} the limit {least.name} allows")


def _requests(exchange: ExchangeConfig, venue: Venue) -> Iterator[tuple[Place, str, int]]:
    own: Place = ("limits", "weight") if exchange.limits.weight is not None else ()
    if exchange.endpoints is None:
        yield from ((own, each.name, each.weight) for each in venue.endpoints if each.default)
    for index, endpoint in enumerate(exchange.endpoints or ()):
        if endpoint.url is not None:
            continue  # charged to no limit
        place = own if endpoint.weight is None else ("endpoints", index, "weight")
        if endpoint.url is None:  # an address of its own is charged to no limit
            yield place, endpoint.name, weight_of(endpoint, venue)
    for stream in exchange.streams:
        if stream.cross_check is not None:
            checks = (venue.cross_checks.get(channel) for channel in stream.channels)
            yield own, "a cross-check", max((each.weight for each in checks if each), default=1)
