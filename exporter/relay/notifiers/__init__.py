"""One receiver a file: a note in, an HTTP request out; an answer in, an outcome out.

A file of this folder that ends in a ``NOTIFIER`` is a notifier of the file's name.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from exporter.contracts import Notifier


@cache
def names() -> tuple[str, ...]:
    """Return the names of all notifiers, sorted."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def load(name: str) -> Notifier:
    """Return the notifier of that name. Raises KeyError."""
    if name not in names():
        raise KeyError(name)
    notifier: Notifier = import_module(f"{__name__}.{name}").NOTIFIER
    return notifier
