"""The figures of a replay as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from exporter.cli._columns import aligned


def text(found: dict[str, Any]) -> str:
    """Format the figures for people to read."""
    if found["first"] is None:
        return "nothing was recorded\n"
    span = found["last"] - found["first"]
    marks = "".join(f", {count} {name}" for name, count in found["marks"].items())
    lines = [
        f"{_moment(found['first'])} to {_moment(found['last'])}, {span:.1f} s:"
        f" {found['events']} events, {found['controls']} control messages{marks}",
        "",
    ]
    heads = ("exchange", "channel", "instrument", "events", "gaps", "missed", "price", "latency")
    rows: list[tuple[str, ...]] = [(*heads, "longest silence", "stale")]
    for one in found["subscriptions"]:
        rows.append(
            (
                *(one[name] for name in ("exchange", "channel", "instrument")),
                *(str(one[name]) for name in ("events", "gaps", "missed")),
                "-" if one["price"] is None else f"{one['price']:.10g}",
                "-" if one["latency"] is None else f"{one['latency'] * 1e3:.1f} ms",
                f"{one['longest_silence']:.1f} s",
                f"{one['stale_ticks']} ticks",
            )
        )
    lines += aligned(rows, numbers=7)
    rows = [("exchange", "signal", "highest score", "by", "at")]
    for one in found["signals"]:
        if one["highest_score"] > 0.0:
            score = f"{one['highest_score']:.2f}"
            at = _moment(one["at"])
            rows.append((one["exchange"], one["signal"], score, one["detector"], at))
    ticks = f"{found['ticks']} ticks"
    if len(rows) == 1:
        lines += ["", f"{ticks}, too few for any detector to score"]
    else:
        lines += ["", f"{ticks}; a score of 1 is the threshold", *aligned(rows, numbers=3)]
    return "\n".join(lines) + "\n"


def _moment(time: float) -> str:
    if not 0.0 <= time < 1e11:  # a clock that was wildly wrong is shown as it was
        return f"{time:g}"
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
