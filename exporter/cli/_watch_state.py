"""The state of a running exporter, as `watch` reads it over the API, in the page's own types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from exporter.web.state import AnomalyView, ExchangeView, Snapshot, Trouble, VerdictView


def snapshot_of(state: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot that ``/api/v1/state`` was made from. Raises ValidationError."""
    found = state["anomalies"]
    return Snapshot(
        now=state["now"],
        started=state["started"],
        version=state["version"],
        window=state["window_seconds"],
        series=state["series"],
        series_limit=state["series_limit"],
        troubles=msgspec.convert(state.get("troubles", ()), tuple[Trouble, ...]),
        exchanges=tuple(_exchange(each) for each in state["exchanges"]),
        anomalies=msgspec.convert([_pairs(each, "scores") for each in found["signals"]],
                                  tuple[AnomalyView, ...]),
        incidents=tuple(_verdict(each) for each in found["incidents"]),
        verdicts=tuple(_verdict(each) for each in found["verdicts"]),
    )  # fmt: skip


def _exchange(plain: Mapping[str, Any]) -> ExchangeView:
    return msgspec.convert(_pairs(plain, "limits"), ExchangeView)


def _verdict(plain: Mapping[str, Any]) -> VerdictView:
    evidence = _pairs(plain["evidence"], "detectors")
    return msgspec.convert({**plain, **evidence}, VerdictView)


def _pairs(plain: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a mapping with that table as pairs, as the types have it."""
    return {**plain, key: list(plain[key].items())}
