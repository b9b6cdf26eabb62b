"""How long before the venue's announcement a problem was detected: a pure state machine.

Times are epoch seconds. What both saw counts once for each incident, from the moment at which both
had; an incident that was declared before we began to look says nothing of who was first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from exporter.maintenance import Notice, NoticeKind

MEMORY = 1800.0  # seconds after its end in which a trouble still belongs to what is declared


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredIncident:
    """An incident of the venue. ``noticed``: when we had noticed the trouble, None if we have not.

    ``late``: it was declared before we began to look.
    """

    notice: Notice
    declared: float
    noticed: float | None = None
    late: bool = False

    @property
    def lead(self) -> float | None:
        """Seconds by which we were first, negative if the venue was; None without both."""
        return None if self.noticed is None or self.late else self.declared - self.noticed


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentLead:
    """What is known of one exchange.

    ``troubled`` since when until when we saw it in trouble, ``standing`` what it declares now,
    ``newest`` the last lead there was.
    """

    began: float | None = None  # when we began to look
    troubled: tuple[float, float] | None = None
    standing: Mapping[str, DeclaredIncident] = field(default_factory=dict)
    newest: float | None = None


def step(state: IncidentLead, troubled: bool, said: Iterable[Notice], now: float) -> IncidentLead:
    """Advance by one tick: whether a problem is detected, and what the venue announces."""
    said = tuple(said)
    if not (troubled or said or state.standing or state.began is None):
        return state
    began = now if state.began is None else state.began
    spell = state.troubled
    if troubled:
        goes_on = spell is not None and now - spell[1] <= MEMORY
        spell = (spell[0] if spell is not None and goes_on else now, now)
    standing, newest = dict[str, DeclaredIncident](), state.newest
    for notice in said:
        if notice.kind is not NoticeKind.INCIDENT:
            continue
        found = state.standing.get(notice.key) or _declared(notice, began, now)
        if found.noticed is None and spell is not None and spell[1] >= found.declared - MEMORY:
            found = replace(found, noticed=spell[0])
            newest = newest if found.lead is None else found.lead
        standing[notice.key] = replace(found, notice=notice)
    return IncidentLead(began=began, troubled=spell, standing=standing, newest=newest)


def _declared(notice: Notice, began: float, now: float) -> DeclaredIncident:
    declared = now if notice.declared is None else notice.declared
    return DeclaredIncident(notice=notice, declared=declared, late=declared <= began)
