"""One statistical test a file; found by name, loaded when first asked for.

A file of this folder that ends in a ``DETECTOR`` is a detector of the file's name. One that says
``BY_DEFAULT = False`` runs only where it is asked for.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from exporter.contracts import Detector


@cache
def every() -> tuple[str, ...]:
    """Return the names of all detectors, sorted: one for each file that ends in a ``DETECTOR``."""
    found = sorted(module.name for module in iter_modules(__path__))
    return tuple(name for name in found if hasattr(_module(name), "DETECTOR"))


@cache
def names() -> tuple[str, ...]:
    """Return the names of the detectors that run unless told otherwise, sorted."""
    return tuple(name for name in every() if getattr(_module(name), "BY_DEFAULT", True))


def load(name: str) -> Detector:
    """Return the detector of that name, with its default parameters. Raises KeyError."""
    if name not in every():
        raise KeyError(name)
    detector: Detector = _module(name).DETECTOR
    return detector


def _module(name: str) -> ModuleType:
    return import_module(f"{__name__}.{name}")
