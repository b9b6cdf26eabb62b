"""Values of flags that several commands read: the ``type`` of an argument."""

from __future__ import annotations

import argparse
from math import nan, ulp


def number(text: str, *, least: float = ulp(0.0), most: float, wanted: str) -> float:
    """Return a number from ``least`` (default: above 0) to ``most``; ``wanted`` names it."""
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"found {text[:40]!r}, expected {wanted}")
    return value


def names(text: str) -> list[str]:
    """Return the names in a list that is separated by commas."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError("expected names separated by commas")
    return found


def file_name(text: str) -> str:
    """Refuse the empty name, which a script gives whose variable is empty."""
    if not text:
        raise argparse.ArgumentTypeError("found nothing, expected a path")
    return text
