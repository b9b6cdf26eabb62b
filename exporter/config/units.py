"""Durations, sizes and ratios as people write them, to seconds, bytes and fractions, and back."""

from __future__ import annotations

import re
from decimal import Decimal

# From long to short, as a duration must name them: 1h30m, never 30m1h.
_UNITS: dict[str, int | Decimal] = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": Decimal("0.001")}
_NUMBER = r"[0-9]{1,9}(\.[0-9]{1,9})?"
DURATION = "^(?=.)" + "".join(f"({_NUMBER}{unit})?" for unit in _UNITS) + "$"
_PART = re.compile(rf"({_NUMBER})(ms|[dhms])", re.ASCII)
_DURATION = re.compile(DURATION, re.ASCII)

_SIZES = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
SIZE = rf"^{_NUMBER} ?(B|kB|KB|MB|GB|KiB|MiB|GiB)?$"
_SIZE = re.compile(SIZE, re.ASCII)

RATIO = rf"^{_NUMBER} ?%$"
_RATIO = re.compile(RATIO, re.ASCII)


def duration(text: str) -> float:
    """Read ``250ms``, ``5s``, ``1h30m`` as seconds. Raises ValueError."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"no duration: {text[:40]!r}")
    parts = (match.group(1, 3) for match in _PART.finditer(text))
    return float(sum(Decimal(number) * _UNITS[unit] for number, unit in parts))


def format_duration(seconds: float) -> str:
    """Write seconds (at least zero) the short way, to the microsecond: ``90.0`` → ``1m30s``."""
    rest = Decimal(seconds).quantize(Decimal("0.000001"))
    text = ""
    for unit, length in list(_UNITS.items())[:3]:
        count, rest = divmod(rest, length)
        text += f"{count}{unit}" if count else ""
    if not text and 0 < rest < 1:
        return f"{_plain(rest * 1000)}ms"
    return text + f"{_plain(rest)}s" if rest or not text else text


def size(text: str) -> int:
    """Read ``64KiB``, ``1MB``, ``500`` as whole bytes. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"no size: {text[:40]!r}")
    unit = match.group(2) or ""
    digits = text.removesuffix(unit).strip()
    return int(Decimal(digits) * _SIZES[unit])


def format_size(count: int) -> str:
    """Write bytes in the largest binary unit that divides them: ``65536`` → ``64KiB``."""
    for unit in ("GiB", "MiB", "KiB"):
        if count and count % _SIZES[unit] == 0:
            return f"{count // _SIZES[unit]}{unit}"
    return f"{count}B"


def ratio(text: str) -> float:
    """Read ``10%`` as 0.1. Raises ValueError."""
    if not _RATIO.fullmatch(text):
        raise ValueError(f"no ratio: {text[:40]!r}")
    return float(Decimal(text.removesuffix("%").strip()) / 100)


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
