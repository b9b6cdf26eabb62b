"""One simulated venue a file; found by name, loaded when asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from exporter.simulator import brief, defined, more
from exporter.simulator.spec import VenueSpec
from exporter.venues import definition


@cache
def names() -> tuple[str, ...]:
    """Return the names of all simulated venues, sorted: one for each file of this folder."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


@cache
def every() -> tuple[str, ...]:
    """Return the names of all that can be simulated: by a file here, in short, or as defined."""
    return tuple(sorted({*names(), *more.WIRES, *brief.SPECS, *definition.names()}))


@cache
def load(name: str) -> VenueSpec:
    """Return the specification of the venue of that name. Raises KeyError for an unknown one."""
    if name in more.WIRES:
        return more.WIRES[name]
    if name not in names():
        return brief.SPECS[name]() if name in brief.SPECS else defined.spec(name)
    wire = import_module(f"{__name__}.{name}").WIRE
    assert isinstance(wire, VenueSpec)  # noqa: S101 - a file that ends in anything else is our bug
    return wire
