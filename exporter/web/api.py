"""The API's payloads: the snapshot as plain mappings, with what it adds up to beside it."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite

from exporter.web.state import ExchangeView, Snapshot, VerdictView


def overview(snapshot: Snapshot) -> dict[str, object]:
    """Return ``/api/v1/state``: everything."""
    return {
        "health": snapshot.health,
        "now": snapshot.now,
        "started": snapshot.started,
        "version": snapshot.version,
        "window_seconds": snapshot.window,
        "series": snapshot.series,
        "series_limit": snapshot.series_limit,
        "troubles": [asdict(one) for one in snapshot.troubles],
        "exchanges": [exchange(one) for one in snapshot.exchanges],
        "anomalies": anomalies(snapshot),
    }


def exchange(state: ExchangeView) -> dict[str, object]:
    """Return one exchange, as in ``/api/v1/exchanges/{exchange}``."""
    plain = asdict(state)
    plain["health"] = state.health
    plain["limits"] = dict(state.limits)
    for mapping, endpoint in zip(plain["endpoints"], state.endpoints, strict=True):
        mapping["health"] = endpoint.health
    for mapping, stream in zip(plain["streams"], state.streams, strict=True):
        mapping["health"] = stream.health
    return plain


def exchange_named(snapshot: Snapshot, name: str) -> dict[str, object] | None:
    """Return one exchange by its name in the config, None if it has none of that name."""
    found = next((one for one in snapshot.exchanges if one.name == name), None)
    return None if found is None else exchange(found)


def anomalies(snapshot: Snapshot) -> dict[str, object]:
    """Return ``/api/v1/anomalies``: what goes on, what was decided of late, and every signal.

    Incidents are the longest first, verdicts the newest, signals the most unusual.
    """
    return {
        "incidents": [
            verdict(one) for one in sorted(snapshot.incidents, key=lambda one: one.since)
        ],
        "verdicts": [verdict(one) for one in snapshot.verdicts],
        "signals": _signals(snapshot),
    }


def verdict(state: VerdictView) -> dict[str, object]:
    """Return one verdict, its evidence apart."""
    plain = asdict(state)
    names = ("score", "value", "center", "lower", "upper")
    evidence = {name: plain.pop(name) for name in names}
    plain.pop("detectors")
    return plain | {"evidence": evidence | {"detectors": dict(state.detectors)}}


def _signals(snapshot: Snapshot) -> list[dict[str, object]]:

    def rank(score: float | None) -> float:
        return score if score is not None and isfinite(score) else -1.0

    return [
        asdict(one) | {"scores": dict(one.scores), "alarming": one.alarming}
        for one in sorted(snapshot.anomalies, key=lambda one: rank(one.score), reverse=True)
    ]
