"""What people were told: each beginning once, each end once, and nothing more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from exporter.simulator.rehearsal.stage import ReceivedNotification, ToldAlert

News = tuple[float, ToldAlert]


def changes(posts: Sequence[ReceivedNotification]) -> list[News]:
    """Return what each notification told that its receiver did not know, with its time."""
    known = set[tuple[str, str]]()
    found = list[News]()
    for post in posts:
        for alert in post.alerts:
            key = (post.receiver, alert.fingerprint)
            if alert.firing is (key in known):
                continue  # a reminder, or the end of what was never told
            (known.add if alert.firing else known.discard)(key)
            found.append((post.time, alert))
    return found


def complaints(
    name: str, news: Sequence[News], quiet: float | None, allowed: Collection[str]
) -> Iterator[str]:
    """Yield what was told wrongly of a rehearsal.

    ``news`` are its changes, ``name`` the alert, ``quiet`` since when nothing of it should be told
    any more, None if it never ended. Alerts that may be told later are ``allowed``; notes are.
    """
    starts = Counter(alert.fingerprint for _, alert in news if alert.firing)
    names = {alert.fingerprint: alert.name for _, alert in news}
    for fingerprint, count in starts.items():
        if count > 1:
            yield f"{names[fingerprint]} was told {count} times"
    if quiet is None:
        return
    own = [fingerprint for fingerprint in starts if names[fingerprint] == name]
    ends = Counter(alert.fingerprint for _, alert in news if not alert.firing)
    for fingerprint in own:
        if ends[fingerprint] != starts[fingerprint]:
            yield f"the end of {name} was told {ends[fingerprint]} times"
    late = {alert.name for time, alert in news if alert.firing and time > quiet}
    late -= {alert.name for _, alert in news if alert.severity == "info"} | set(allowed)
    if late:
        yield f"told after the end: {', '.join(sorted(late))}"
