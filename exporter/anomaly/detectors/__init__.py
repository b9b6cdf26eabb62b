"""One statistical test a file; found by name, loaded when first asked for.

A file of this folder that ends in a ``DETECTOR`` is a detector of the file's name. One that says
``BY_DEFAULT = False`` runs only where it is asked for.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from exporter import plugins
from exporter.contracts import Detector


@cache
def every() -> tuple[str, ...]:
    """Return the names of all detectors, sorted: ours, and those of other packages."""
    return tuple(sorted((*_ours(), *installed().good)))


@cache
def installed() -> plugins.Plugins:
    """Return the detectors of other packages; who installs one wants it to run."""
    return plugins.found(plugins.DETECTORS, _ours(), _unfit)


@cache
def _ours() -> tuple[str, ...]:
    found = sorted(module.name for module in iter_modules(__path__))
    return tuple(name for name in found if hasattr(_module(name), "DETECTOR"))


def _unfit(name: str, value: object) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name):
        return "expected a name of lower-case letters, digits and underscores: it becomes a label"
    missing = [
        each for each in ("begin", "score", "learn") if not callable(getattr(value, each, 0))
    ]
    if not isinstance(getattr(value, "minimum", None), int):
        missing.append("minimum")
    return f"found no {', '.join(missing)}, expected a Detector" if missing else ""


@cache
def names() -> tuple[str, ...]:
    """Return the names of the detectors that run unless told otherwise, sorted."""
    ours = (name for name in _ours() if getattr(_module(name), "BY_DEFAULT", True))
    return tuple(sorted((*ours, *installed().good)))


def load(name: str) -> Detector:
    """Return the detector of that name, with its default parameters. Raises KeyError."""
    if name not in every():
        raise KeyError(name)
    if name in installed().good:
        other: Detector = installed().good[name]
        return other
    detector: Detector = _module(name).DETECTOR
    return detector


def _module(name: str) -> ModuleType:
    return import_module(f"{__name__}.{name}")
