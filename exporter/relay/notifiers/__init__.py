"""One notifier per file: builds the HTTP request of a notification, parses the outcome.

A file of this folder that ends in a ``NOTIFIER`` is a notifier of the file's name.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from exporter import plugins
from exporter.contracts import Notifier
from exporter.words import quoted


@cache
def names() -> tuple[str, ...]:
    """Return the names of the program's own notifiers, sorted."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def choices() -> tuple[str, ...]:
    """Return all that a config may name: our notifiers, and those of other packages."""
    return (*names(), *installed().good)


@cache
def installed() -> plugins.Plugins:
    """Return the notifiers of other packages."""
    return plugins.found(plugins.NOTIFIERS, names(), _unfit)


def _unfit(name: str, value: object) -> str:
    if not isinstance(value, Notifier):
        return f"found {type(value).__name__}, expected an exporter.contracts.Notifier"
    if value.name != name:
        return (
            f"found a notifier of the name {quoted(value.name)}, expected that of the entry point"
        )
    return ""


def load(name: str) -> Notifier:
    """Return the notifier of that name. Raises KeyError."""
    if name not in names():
        found: Notifier = installed().good[name]
        return found
    notifier: Notifier = import_module(f"{__name__}.{name}").NOTIFIER
    return notifier
