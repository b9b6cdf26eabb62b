"""What a rehearsal makes of the notifications that people got."""

from __future__ import annotations

import pytest

from exporter.simulator.rehearsal.stage import ReceivedNotification, ToldAlert
from exporter.simulator.rehearsal.told import changes, complaints

Post = tuple[float, str]  # when, and the alert as "+name" firing or "-name" resolved


def received(
    *posts: Post, receiver: str = "page", severity: str = "critical"
) -> list[ReceivedNotification]:
    """Return these as notifications of one alert each, its name its fingerprint."""
    return [
        ReceivedNotification(
            at, receiver, (ToldAlert(told[1:], told[1:], severity, told[0] == "+"),)
        )
        for at, told in posts
    ]


def judged(*posts: Post, quiet: float | None = 100.0, severity: str = "critical") -> list[str]:
    """Return the complaints about these notifications in a rehearsal of ``Down``."""
    news = changes(received(*posts, severity=severity))
    return list(complaints("Down", news, quiet, {"Companion"}))


def test_an_outage_told_once_and_ended_once_is_right() -> None:
    """Reminders of what is known are no news, and neither is the end of what was never told."""
    assert judged((1, "+Down"), (50, "+Down"), (99, "-Down"), (110, "-Down"), (120, "-Other")) == []


@pytest.mark.parametrize(
    ("posts", "complaint"),
    [
        (((1, "+Down"), (90, "-Down"), (95, "+Down"), (99, "-Down")), "Down was told 2 times"),
        (((1, "+Down"),), "the end of Down was told 0 times"),
        (((1, "+Down"), (90, "-Down"), (130, "+Other")), "told after the end: Other"),
        (
            ((1, "+Down"), (2, "+Other"), (3, "-Other"), (4, "+Other"), (90, "-Down")),
            "Other was told 2 times",
        ),
    ],
)
def test_what_is_told_wrongly_is_named(posts: tuple[Post, ...], complaint: str) -> None:
    """A second page, an end that nobody was told, and news after the end fail a rehearsal."""
    assert judged(*posts) == [complaint]


def test_companions_and_notes_may_come_later() -> None:
    """What the scenario lets through, and what is only noted, is no fault."""
    assert judged((1, "+Down"), (90, "-Down"), (130, "+Companion")) == []
    assert judged((1, "+Down"), (90, "-Down"), (130, "+Other"), severity="info") == []


def test_an_alert_that_never_ended_has_no_end_to_be_told() -> None:
    """That it did not is said elsewhere."""
    assert judged((1, "+Down"), quiet=None) == []


def test_each_receiver_is_told_for_itself() -> None:
    """One person's news is not another's; an end is that of who was told."""
    posts = [*received((1, "+Down")), *received((2, "+Down"), (9, "-Down"), receiver="chat")]
    assert [(at, alert.firing) for at, alert in changes(posts)] == [
        (1, True),
        (2, True),
        (9, False),
    ]
