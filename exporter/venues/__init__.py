"""One exchange's public protocol a file, Python or YAML; found by name, loaded when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from exporter import plugins
from exporter.config import Config, ConfigError, DefinedVenue
from exporter.contracts import Venue
from exporter.instrument import UnlistedError
from exporter.venues.families.services import SERVICES

_YAML = (".yml", ".yaml")


@cache
def names() -> tuple[str, ...]:
    """Return the names of the program's own venues, sorted: one for each file of this folder."""
    modules = [module.name for module in iter_modules(__path__) if not module.ispkg]
    definitions = [file.stem for file in _folder().glob("*.yml")]
    return tuple(sorted([*modules, *definitions]))


def choices() -> tuple[str, ...]:
    """Return all that a config may name: our venues, other packages', and unknown services."""
    return (*names(), *SERVICES, *installed().good)


@cache
def installed() -> plugins.Plugins:
    """Return the venues of other packages."""
    return plugins.found(plugins.VENUES, (*names(), *SERVICES), _unfit)


def _unfit(name: str, value: object) -> str:
    if not isinstance(value, Venue):
        return f"found {type(value).__name__}, expected an exporter.contracts.Venue"
    if value.name != name:
        return f"found a venue of the name {value.name!r}, expected that of the entry point"
    return ""


def by_url(url: str, others: Iterable[Venue] = ()) -> Venue | None:
    """Return the venue whose `hosts` a URL belongs to; of several the one that says more.

    ``others`` are venues beside the program's own.
    """
    address = url.partition("://")[2]
    known = {**{name: load(name) for name in names()}, **{each.name: each for each in others}}
    fits = [
        (len(host), name)
        for name, venue in known.items()
        for host in venue.hosts
        if address == host or (address.startswith(host) and address[len(host)] in "/:?")
    ]
    return known[max(fits)[1]] if fits else None


@cache
def load(name: str) -> Venue:
    """Return the venue of that name. Raises KeyError for an unknown one."""
    if name in SERVICES:
        return SERVICES[name]
    if name not in names():
        found: Venue = installed().good[name]
        return found
    file = _folder() / f"{name}.yml"
    if file.exists():
        from exporter.venues import definition

        return definition.load(file)
    venue = import_module(f"{__name__}.{name}").VENUE
    assert isinstance(venue, Venue)  # noqa: S101 - a venue file that ends in anything else is our bug
    return venue


def find(name: str) -> Venue | None:
    """Return the venue of that name, None where there is none any more."""
    return load(name) if name in choices() else None


def listed(venue: Venue, instruments: Iterable[str]) -> tuple[str, ...]:
    """Return instruments as a venue lists them: in another dollar where it has none in theirs."""
    found = []
    for instrument in instruments:
        base, quote, *rest = instrument.split("-")
        for each in (quote, "USDT", "USD", "USDC"):
            name = "-".join([base, each, *rest])
            with suppress(UnlistedError):
                venue.symbol(name)
                found.append(name)
                break
    return tuple(dict.fromkeys(found))


def named(text: str) -> Venue:
    """Return the venue of that name, or the one that a file of that path defines.

    Raises KeyError for neither, ConfigError for a definition that is wrong.
    """
    if Path(text).suffix in _YAML:
        from exporter.venues import definition

        return definition.load(text)
    return load(text)


def _folder() -> Path:
    return Path(__file__).parent


# --- venues that the config brings --------------------------------------------------------------


def within(config: Config) -> Callable[[str], Venue]:
    """Return what loads a venue by its name in a config: one of its own definitions, or ours."""
    defined = {each.name: each.venue for each in config.venue_files}
    return lambda name: defined[name] if name in defined else load(name)


def define(file: Path) -> Venue | tuple[str, ...]:
    """Compile a definition: the venue, or all that is wrong with it."""
    from exporter.venues import definition

    try:
        return definition.load(file)
    except ConfigError as error:
        return error.complaints


def folder(directory: Path) -> Iterator[DefinedVenue | tuple[str, ...]]:
    """Compile each definition of a folder, in the order of names: a venue, or what is wrong.

    Of two files that define one name the second is wrong. Raises OSError.
    """
    found = dict[str, Path]()
    for file in sorted(each for each in directory.iterdir() if each.suffix in _YAML):
        made = define(file)
        if isinstance(made, tuple):
            yield made
        elif made.name in choices() or made.name in found:
            holder = found.get(made.name, "a venue of the program")
            yield (f"{file}:1: name: found {made.name}, which {holder} has, expected another",)
        else:
            found[made.name] = file
            yield DefinedVenue(str(file), made.name, made.edition, made)
