"""Attribution of failures to a fault domain: the exchange, the network path or this process."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from exporter.model import Lost, Reason


class Domain(StrEnum):
    """The fault domain; the label ``domain``."""

    EXCHANGE = "exchange"
    PATH = "path"
    SELF = "self"


class Symptom(StrEnum):
    """What something that fails tells of the other side."""

    ANSWERED = "answered"  # it was reached, and what came was wrong
    UNREACHED = "unreached"  # nothing came
    UNASKED = "unasked"  # we had not the means to ask
    REFUSED = "refused"  # it was reached, and we ask too much


_REFUSED = (Reason.RATE_LIMITED, Reason.BANNED, Reason.REGION_REFUSED)
_ANSWERED = (
    Reason.HTTP_4XX, Reason.HTTP_5XX, Reason.REDIRECT, Reason.BODY_INVALID, Reason.BARE_LINE_FEED,
    Reason.CERT_EXPIRED,
)  # fmt: skip
_SILENT = (Lost.NETWORK, Lost.IDLE, Lost.PING_TIMEOUT)


def of_probe(reason: Reason) -> Symptom:
    """Say what a failed probe tells."""
    if reason in _REFUSED:
        return Symptom.REFUSED
    if reason is Reason.LOCAL_RESOURCE:
        return Symptom.UNASKED
    return Symptom.ANSWERED if reason in _ANSWERED else Symptom.UNREACHED


def of_stream(lost: Lost | None) -> Symptom:
    """Say what a stream tells that is not connected; ``lost``: why its last connection ended."""
    if lost is Lost.LOCAL_RESOURCE:
        return Symptom.UNASKED
    return Symptom.UNREACHED if lost is None or lost in _SILENT else Symptom.ANSWERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What is known of our own side: the worst of late in seconds, and the control targets."""

    loop_lag: float = 0.0
    schedule_lag: float = 0.0
    queue_wait: float = 0.0
    controls: int = 0
    controls_down: int = 0

    @property
    def strained(self) -> bool:
        """Return whether this process is late by more than any exchange could be blamed for."""
        return self.loop_lag >= 0.25 or self.schedule_lag >= 1.0 or self.queue_wait >= 1.0

    @property
    def cut_off(self) -> bool:
        """Return whether at least half of the control targets fail too."""
        return self.controls_down > 0 and 2 * self.controls_down >= self.controls


def attribute(
    symptoms: Collection[Symptom], site: Site, *, peers: int, peers_unreached: int
) -> Domain | None:
    """Say where the fault of one exchange lies; None: nothing of it fails.

    ``peers``: how many other exchanges there are, and how many of them cannot be reached either.
    An answer that is wrong was sent by the exchange, whatever ails us. A refusal for too many
    requests is our own doing. Silence is ours when we are late ourselves or lack the means to ask,
    the path's when the control targets or most of at least two peers are silent too, else the
    exchange's.
    """
    if Symptom.ANSWERED in symptoms:
        return Domain.EXCHANGE
    if Symptom.UNREACHED in symptoms:
        if site.strained or Symptom.UNASKED in symptoms:
            return Domain.SELF
        together = peers >= 2 and 2 * peers_unreached > peers
        return Domain.PATH if site.cut_off or together else Domain.EXCHANGE
    return Domain.SELF if symptoms else None
