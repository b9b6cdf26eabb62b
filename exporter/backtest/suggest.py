"""What to set for each signal, from captures of days on which nothing was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, isfinite, log10

from exporter.backtest.backtest import BacktestOutcome
from exporter.signals import Signal, Verdict

_FAR = 4.0  # smallest effects: a departure beyond is not for a larger one to hide
_MARGIN = 1.1


def suggest(outcomes: Sequence[BacktestOutcome], signals: Sequence[Signal]) -> str:
    """Return a YAML block for the config: what would have kept each signal that alarmed calm.

    Small departures ask for a larger smallest effect, large ones for less sensitivity. Alarms
    within labelled incidents are right, and do not count.
    """
    lines = ["anomaly:", "  signals:"]
    days = sum(one.days for one in outcomes)
    for signal in signals:
        wrong = [
            verdict
            for outcome in outcomes
            for verdict in outcome.alarms
            if verdict.series.signal == signal.name
            and not any(alarm == verdict.time for _, alarm in outcome.found)
        ]
        if wrong:
            told = f"{len(wrong)} alarms in {days:.1f} series-days"
            lines.append(f"    {signal.name}: {{{_setting(signal, wrong)}}}  # {told}")
    if len(lines) == 2:
        return f"# no alarm in {days:.1f} series-days: nothing to change"
    return "\n".join(lines)


def _setting(signal: Signal, wrong: Sequence[Verdict]) -> str:
    apart = [abs(one.evidence.value - one.evidence.center) for one in wrong]
    largest = max((one for one in apart if isfinite(one)), default=0.0)
    if 0.0 < largest < _FAR * signal.effect:
        return f"minimum_effect: {_up(_MARGIN * largest):g}"
    score = max(one.evidence.score for one in wrong)
    return (
        f"sensitivity: {max(floor(100.0 * signal.sensitivity / (_MARGIN * score)) / 100.0, 0.2):g}"
    )


def _up(value: float) -> float:
    """Round up to two digits."""
    unit = 10.0 ** (floor(log10(value)) - 1)
    return round(ceil(value / unit) * unit, 12)
