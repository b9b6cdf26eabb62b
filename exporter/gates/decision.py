"""The decision of a gate: a pure function of facts, time and what was decided before.

A gate is closed by one bad fact, by one that is not known or is too old, and by silence: what was
decided holds until `Decision.valid_until` and no longer. It opens after all its facts have been
good, without a break, for `GateRule.open_after`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from exporter.model import Need


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFact:
    """One thing that is known of what a gate needs, at ``where``.

    ``good`` is None where it is not known; ``why`` says in words what is wrong. ``until``,
    monotonic seconds, is when it is too old to stand for anything; ``since``, likewise, from when
    on it has been good without a break, where that is known: what broke and was mended between two
    looks is seen by it. ``bars_cancel``: without it, orders cannot be cancelled either.
    """

    need: Need
    where: str
    good: bool | None
    until: float
    why: str = ""
    bars_cancel: bool = False
    since: float = -math.inf

    def at(self, now: float) -> GateFact:
        """Return this fact as it stands at ``now``: a good one that is too old is not known."""
        if self.good and now >= self.until:
            return replace(self, good=None, why="not confirmed for too long")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRule:
    """How a gate is decided; durations in seconds."""

    open_after: float = 30.0
    valid_for: float = 3.0  # how long a decision holds that nothing renews
    unknown_closes: bool = True  # whether what is not known counts as bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What holds from ``decided`` until ``valid_until``, monotonic seconds, and since when.

    ``reasons`` are the facts that close it; none while it waits for ``open_after`` to pass.
    ``cancel``: whether orders can be cancelled, as far as anybody can tell.
    """

    open: bool
    cancel: bool
    since: float
    decided: float
    valid_until: float
    reasons: tuple[GateFact, ...] = ()
    healthy_since: float | None = None  # from when on all facts were good

    def holds(self, now: float) -> bool:
        """Return whether the gate is open at ``now``: not on a decision that is too old."""
        return self.open and now < self.valid_until


def begin(now: float) -> Decision:
    """Return what holds before anything is known: closed."""
    return Decision(open=False, cancel=False, since=now, decided=now, valid_until=now)


def decide(before: Decision, facts: Sequence[GateFact], now: float, rule: GateRule) -> Decision:
    """Decide anew at ``now``, which never goes back.

    Nobody knows what happened after ``before`` had run out: health begins anew then, as it does
    after a bad fact, and with a fact that is good for a shorter time than all was well.
    """
    bad = tuple(fact for fact in (each.at(now) for each in facts) if _closes(fact, rule))
    broken = bool(bad) or not facts
    healthy_since = before.healthy_since
    if broken:
        healthy_since = None
    elif healthy_since is None or now >= before.valid_until:
        healthy_since = now
    else:
        healthy_since = max(healthy_since, *(min(each.since, now) for each in facts))
    opened = healthy_since is not None and now - healthy_since >= rule.open_after
    valid_until = now + rule.valid_for
    if not broken:
        valid_until = min([valid_until, *(fact.until for fact in facts if fact.good)])
    return Decision(
        open=opened,
        cancel=bool(facts) and not any(fact.bars_cancel for fact in bad),
        since=before.since if opened == before.open else now,
        decided=now,
        valid_until=valid_until,
        reasons=bad,
        healthy_since=healthy_since,
    )


def _closes(fact: GateFact, rule: GateRule) -> bool:
    return fact.good is False or (fact.good is None and rule.unknown_closes)
