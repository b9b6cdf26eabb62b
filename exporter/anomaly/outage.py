"""Whether an exchange is out: a pure function of what its endpoints and streams say."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is known of one exchange at one moment.

    ``answers``: whether any endpoint is up, None before any was asked. ``twice``: whether every
    endpoint failed at least twice in a row, or its breaker is open. ``streams``: whether any
    stream is connected, None without streams.
    """

    answers: bool | None
    twice: bool
    streams: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageRule:
    """How sure one must be, in seconds."""

    agreed: float = 1.0  # endpoints and streams, or endpoints twice, say the same
    alone: float = 20.0  # endpoints say so, while streams flow: as long as the rule ExchangeDown
    clear: float = 60.0  # an endpoint answers again


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Where an exchange stands; times are monotonic seconds."""

    out: bool = False
    since: float | None = None  # when what contradicts ``out`` was first seen
    began: float = 0.0  # when the outage did


def shared(out: Collection[str], providers: Mapping[str, str]) -> dict[str, str]:
    """Return the provider of each exchange that is out together with others of it.

    That is two at least, and more than half of the provider's exchanges that are watched.
    """
    found: dict[str, str] = {}
    for provider in set(providers.values()):
        hosted = [name for name, each in providers.items() if each == provider]
        gone = [name for name in hosted if name in out]
        if len(gone) > 1 and 2 * len(gone) > len(hosted):
            found.update(dict.fromkeys(gone, provider))
    return found


def awaited(name: str, suspects: Collection[str], providers: Mapping[str, str]) -> bool:
    """Return whether another exchange at its provider may be out and is not known to be.

    What they share is told as one only if neither was told by itself before.
    """
    provider = providers.get(name)
    return provider is not None and any(
        each != name and providers.get(each) == provider for each in suspects
    )


def step(state: Outage, look: Look, now: float, rule: OutageRule) -> Outage:
    """Advance one exchange by one look. Nothing is decided on what is not known."""
    contradicted = look.answers is state.out  # not where it is unknown whether it answers
    if not contradicted:
        return state if state.since is None else replace(state, since=None)
    since = now if state.since is None else state.since
    if state.out:
        hold = rule.clear
    elif look.streams is False or (look.streams is None and look.twice):
        hold = rule.agreed
    elif look.twice:
        hold = rule.alone
    else:
        return replace(state, since=since)
    if now - since < hold:
        return replace(state, since=since)
    return Outage(out=not state.out, began=state.began if state.out else since)
