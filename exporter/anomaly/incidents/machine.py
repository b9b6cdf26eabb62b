"""The stages of one incident, as a pure function of scores and time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from exporter.signals import Change, Severity


class IncidentStage(StrEnum):
    """Where a series stands between normal and incident."""

    QUIET = "quiet"
    PENDING = "pending"  # breached, not yet for long enough
    FIRING = "firing"
    CLEARING = "clearing"  # below the lower threshold, not yet for long enough


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRule:
    """When scores become incidents. Durations in seconds, scores with 1.0 as the threshold."""

    open: float = 1.0
    close: float = 0.7  # the lower threshold: between the two nothing changes
    critical: float = 1.4  # the score that makes an incident critical at once ...
    critical_after: float = 600.0  # ... and the duration that makes any incident critical
    hold: float = 2.0  # a breach must last this long before it opens an incident
    clear: float = 60.0  # calm must last this long before it closes one
    cooldown: float = 300.0  # a new breach so soon after belongs to the incident before: no verdict
    lost: float = 600.0  # an incident of a series not measured for this long is closed
    fade: float = 200.0  # half-life, in values, of the score that a new incident must exceed


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentState:
    """One series' stage. Times are monotonic seconds; None where there is none yet."""

    stage: IncidentStage = IncidentStage.QUIET
    since: float = 0.0  # when this stage began
    breached: float = 0.0  # when the incident, or what may become one, began
    severity: Severity = Severity.WARNING
    told: bool = False  # whether a verdict opened this incident
    closed: float | None = None  # when the last incident ended
    measured: float = 0.0  # when the series last had a value


QUIET = IncidentState()


def step(
    state: IncidentState, score: float | None, fresh: float, now: float, rule: IncidentRule
) -> tuple[IncidentState, Change | None]:
    """Advance one series by one tick. ``score`` is None for a gap; ``fresh`` is it when damped.

    ``fresh`` must reach the upper threshold to begin an incident; ``score`` must fall below the
    lower one to end it. A gap neither begins, continues nor ends anything until it is too long.
    """
    if score is None:
        if state.stage is IncidentStage.QUIET or now - state.measured < rule.lost:
            return state, None
        return _closed(state, now), Change.LOST if state.told else None
    state = replace(state, measured=now)
    match state.stage:
        case IncidentStage.QUIET:
            if fresh < rule.open:
                return state, None
            state = replace(
                state,
                stage=IncidentStage.PENDING,
                since=now,
                breached=now,
                severity=Severity.WARNING,
                told=False,
            )
            return _fired(state, score, now, rule)
        case IncidentStage.PENDING:
            if score < rule.close:
                return replace(state, stage=IncidentStage.QUIET, since=now), None
            return _fired(state, score, now, rule)
        case IncidentStage.FIRING:
            if score < rule.close:
                return replace(state, stage=IncidentStage.CLEARING, since=now), None
            return _worsened(state, score, now, rule)
        case IncidentStage.CLEARING:
            if score >= rule.open:
                return _worsened(
                    replace(state, stage=IncidentStage.FIRING, since=now), score, now, rule
                )
            if score >= rule.close:  # neither calm nor breach: the wait for calm starts again
                return replace(state, since=now), None
            if now - state.since >= rule.clear:
                return _closed(state, now), Change.CLOSED if state.told else None
            return state, None


def _fired(
    state: IncidentState, score: float, now: float, rule: IncidentRule
) -> tuple[IncidentState, Change | None]:
    if score < rule.open or now - state.since < rule.hold:
        return state, None
    severity = Severity.CRITICAL if score >= rule.critical else Severity.WARNING
    again = state.closed is not None and now - state.closed < rule.cooldown
    # Within the cooldown only a critical breach is worth another message.
    told = not again or severity is Severity.CRITICAL
    state = replace(state, stage=IncidentStage.FIRING, since=now, severity=severity, told=told)
    return state, Change.OPENED if told else None


def _worsened(
    state: IncidentState, score: float, now: float, rule: IncidentRule
) -> tuple[IncidentState, Change | None]:
    if state.severity is Severity.CRITICAL:
        return state, None
    if score < rule.critical and now - state.breached < rule.critical_after:
        return state, None
    change = Change.WORSENED if state.told else Change.OPENED
    return replace(state, severity=Severity.CRITICAL, told=True), change


def _closed(state: IncidentState, now: float) -> IncidentState:
    ended = now if state.stage in (IncidentStage.FIRING, IncidentStage.CLEARING) else state.closed
    return replace(state, stage=IncidentStage.QUIET, since=now, closed=ended, told=False)
