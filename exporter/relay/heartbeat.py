"""The heartbeat timer: the watchdog alert resets it; when it expires, the relay raises an alert."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from exporter.notification import Alert, Level
from exporter.relay.receiver import ANY_ROUTE
from exporter.relay.webhook import Post

NAME: Final = "AlertingPathSilent"
GROUP: Final = "heartbeat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The timer. ``fed`` is monotonic seconds; ``lost`` epoch seconds since when it is silent."""

    fed: float
    lost: float | None = None


def feed(beat: Beat, now: float) -> tuple[Beat, bool]:
    """Take one sign of life; return whether it ends a silence."""
    return replace(beat, fed=now, lost=None), beat.lost is not None


def update(beat: Beat, now: float, wall: float, timeout: float) -> tuple[Beat, bool]:
    """See whether the silence has become too long; tell it once."""
    if beat.lost is not None or now - beat.fed < timeout:
        return beat, False
    return replace(beat, lost=wall), True


def post(*, lost: float, firing: bool, wall: float, timeout: float) -> Post:
    """Return the alert that says it, as if it had been posted. Times in epoch seconds."""
    return Post(
        group=GROUP,
        receiver=ANY_ROUTE,
        alerts=(
            Alert(
                fingerprint=GROUP,
                firing=firing,
                start=lost,
                end=None if firing else wall,
                name=NAME,
                level=Level.CRITICAL,
                labels={"alertname": NAME},
                annotations={
                    "summary": f"no heartbeat from Prometheus and Alertmanager for {timeout:.0f} s:"
                    " other alerts may not arrive",
                    "action": "check that Prometheus and Alertmanager run and reach the relay",
                },
            ),
        ),
    )
