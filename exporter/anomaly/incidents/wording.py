"""What a person is told of a verdict: one sentence, with units."""

from __future__ import annotations

from math import isfinite

from exporter.signals import Change, Evidence, Series, Signal

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_YEAR = 365.0 * 86400.0
_COUNTS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"))
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def sentence(
    series: Series, signal: Signal | None, change: Change, evidence: Evidence, lasted: float
) -> str:
    """Say what happened to which signal of which exchange; ``lasted`` in seconds."""
    title = signal.title if signal else series.signal.replace("_", " ")
    unit = signal.unit if signal else ""
    match change:
        case Change.LOST:
            return (
                f"{series.exchange}: {title} is no longer measured, {span(lasted)} after it began"
            )
        case Change.CLOSED:
            ended = f"back at {quantity(evidence.value, unit)} after {span(lasted)}"
            return f"{series.exchange}: {title} is {ended}"
        case Change.OPENED | Change.WORSENED:
            still = "still " if change is Change.WORSENED else ""
            since = f", for {span(lasted)}" if lasted >= 0.5 else ""
            return (
                f"{series.exchange}: {title} is {still}{quantity(evidence.value, unit)}"
                f"{_usual(evidence, unit)}{_apart(evidence, unit)}{_rare(evidence)}{since}"
            )


def quantity(value: float, unit: str) -> str:
    """Return a number with its unit as a person would write it: 0.0421 s is "42.1 ms"."""
    if unit == "s":
        for size, name in _TIMES:
            if abs(value) >= size:
                return f"{_digits(value / size)} {name}"
        return f"{_digits(value / _TIMES[-1][0])} µs" if value else "0 s"
    if unit == "ratio":
        return f"{_digits(100.0 * value)} %"
    if unit == "1/s":  # less than one in a quarter of an hour is none
        return f"{_digits(value if abs(value) >= 1e-3 else 0.0)}/s"
    return f"{_digits(value)} {unit}".rstrip()


def span(seconds: float) -> str:
    """Return a duration in its two largest units: 3725 s is "1 h 2 min"."""
    parts, left = list[str](), max(round(seconds), 0)
    for size, name in _SPANS:
        count, left = divmod(left, int(size))
        if count or (parts and len(parts) < 2):
            parts.append(f"{count} {name}")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if not part.startswith("0 ")) or "0 s"


def _digits(value: float) -> str:
    if abs(value) >= 1e6 or 0.0 < abs(value) < 1e-3:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _usual(evidence: Evidence, unit: str) -> str:
    if not isfinite(evidence.center):
        return ""
    usual = f", usually {quantity(evidence.center, unit)}"
    if evidence.value > evidence.upper:
        return f"{usual} and at most {quantity(evidence.upper, unit)}"
    if evidence.value < evidence.lower:
        return f"{usual} and at least {quantity(evidence.lower, unit)}"
    return usual


def _apart(evidence: Evidence, unit: str) -> str:
    """Name the aspect, and by how much it is off."""
    if not evidence.apart or not isfinite(evidence.apart):
        return ""
    size = quantity(abs(evidence.apart), unit)
    side = "above" if evidence.apart > 0.0 else "below"
    match evidence.aspect:
        case "jump":
            return f"; a jump {'up' if evidence.apart > 0.0 else 'down'} by {size}"
        case "shift":
            return f"; the mean of the last values is {size} {side} usual"
        case "season":
            return f"; {size} {side} what is usual at this hour"
        case _:
            return f"; {size} {side} usual"


def _rare(evidence: Evidence) -> str:
    """Say how often such a value is expected, in one unit."""
    if evidence.once is None:
        return ""
    if evidence.once >= _YEAR:
        return ", expected less than once in a year"
    for size, name in _COUNTS:
        if evidence.once >= size:
            count = round(evidence.once / size)
            return f", expected once in about {count} {name}{'' if count == 1 else 's'}"
    return ""
