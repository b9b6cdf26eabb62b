"""One exchange's public protocol a file; found by name, loaded when first asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from exporter.contracts import Venue
from exporter.venues.families.services import SERVICES


@cache
def names() -> tuple[str, ...]:
    """Return the names of all venues, sorted: one for each file of this folder."""
    found = iter_modules(__path__)
    return tuple(sorted(module.name for module in found if not module.ispkg))  # not `families`


def choices() -> tuple[str, ...]:
    """Return all that a config may name: the venues, and services of which nothing is known."""
    return (*names(), *SERVICES)


def by_url(url: str) -> Venue | None:
    """Return the venue whose `hosts` a URL belongs to; of several the one that says more."""
    address = url.partition("://")[2]
    fits = [
        (len(host), name)
        for name in names()
        for host in load(name).hosts
        if address == host or (address.startswith(host) and address[len(host)] in "/:?")
    ]
    return load(max(fits)[1]) if fits else None


@cache
def load(name: str) -> Venue:
    """Return the venue of that name. Raises KeyError for an unknown one."""
    if name in SERVICES:
        return SERVICES[name]
    if name not in names():
        raise KeyError(name)
    venue = import_module(f"{__name__}.{name}").VENUE
    assert isinstance(venue, Venue)  # noqa: S101 - a venue file that ends in anything else is our bug
    return venue
