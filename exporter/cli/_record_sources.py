"""What Prometheus and a running exporter add to the record of an incident."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from exporter.cli._api import ApiError, ApiSource
from exporter.relay.record import (
    CountedFailure,
    FirstSample,
    IncidentRecord,
    RecordEvent,
    in_order,
)

_BEFORE = 1800.0  # seconds before the alert in which its first bad sample is looked for
_AFTER = 60.0  # seconds after it: an alert that is pushed may precede the next scrape
_GOES_ON = 300.0  # seconds before the alert in which a run of bad samples may have ended
# What is 1 while all is well, of one exchange.
_GOOD = ("exchange_probe_success", "exchange_stream_connected", "exchange_book_synced")
_COUNTED = (
    ("exchange_probe_failures_total", "endpoint"),
    ("exchange_stream_disconnects_total", "stream"),
)


def from_prometheus(record: IncidentRecord, prometheus: ApiSource, now: float) -> IncidentRecord:
    """Add the first bad sample, what failed how often, and what the exchanges declared.

    Raises ApiError.
    """
    end = record.ended or now
    firsts, failures, events = list[FirstSample](), list[CountedFailure](), list[RecordEvent]()
    for exchange in record.exchanges:
        firsts += _firsts(record, exchange, prometheus)
        failures += _failures(exchange, record.detected - _BEFORE / 6.0, end, prometheus)
        events += _declared(exchange, record.detected - _BEFORE, end, prometheus)
    first = min(firsts, key=lambda each: each.time, default=None)
    if first is not None:
        events.append(
            RecordEvent(time=first.time, step="sample", text=f"first bad sample: {first.series}")
        )
    failures.sort(key=lambda each: -each.count)
    found = replace(record, first_sample=first, failures=tuple(failures[:50]))
    return in_order(found, events)


def _quoted(exchange: str) -> str:
    return exchange.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _ask(prometheus: ApiSource, query: str, time: float) -> list[Any]:
    answer = prometheus.read("/api/v1/query", {"query": query, "time": f"{time:.3f}"})
    try:
        if answer["status"] != "success":
            raise ApiError(f"{prometheus.url}: {str(answer)[:200]}")
        return list(answer["data"]["result"])
    except (KeyError, TypeError) as error:
        raise ApiError(f"{prometheus.url}: no answer of Prometheus: {str(answer)[:200]}") from error


def _firsts(record: IncidentRecord, exchange: str, prometheus: ApiSource) -> Iterator[FirstSample]:
    """Yield where each series became bad, of those that still were when the alert began."""
    for family in _GOOD:
        window = f"{_BEFORE + _AFTER:.0f}s"
        query = f'{family}{{exchange="{_quoted(exchange)}"}}[{window}]'
        for each in _ask(prometheus, query, record.detected + _AFTER):
            good: float | None = None
            bad: float | None = None
            last = 0.0
            for time, value in each["values"]:
                if float(value) >= 1.0:
                    good, bad = float(time), None
                else:
                    bad, last = (float(time) if bad is None else bad), float(time)
            if bad is not None and last >= record.detected - _GOES_ON:
                labels = ("endpoint", "stream", "symbol")
                about = next(
                    (each["metric"][name] for name in labels if name in each["metric"]), ""
                )
                yield FirstSample(time=bad, series=f"{family} {exchange} {about}", last_good=good)


def _failures(
    exchange: str, start: float, end: float, prometheus: ApiSource
) -> Iterator[CountedFailure]:
    length = max(60.0, end - start)
    for family, what in _COUNTED:
        query = (
            f'sum by ({what}, reason) (increase({family}{{exchange="{_quoted(exchange)}"}}'
            f"[{length:.0f}s])) > 0.5"
        )
        for each in _ask(prometheus, query, end):
            metric = each["metric"]
            yield CountedFailure(
                exchange=exchange,
                what=metric.get(what, ""),
                reason=metric.get("reason", ""),
                count=round(float(each["value"][1])),
            )


def _declared(
    exchange: str, start: float, end: float, prometheus: ApiSource
) -> Iterator[RecordEvent]:
    """Yield when the exchange began to declare an incident, as it was scraped."""
    window = f"[{max(60.0, end - start):.0f}s]"
    labels = f'{{exchange="{_quoted(exchange)}"}}'
    for each in _ask(prometheus, f"exchange_incident_declared{labels}{window}", end):
        before = 0.0
        for time, value in each["values"]:
            if float(value) > before:
                source = each["metric"].get("source", "").replace("_", " ")
                text = f"{exchange} declares an incident ({source})"
                yield RecordEvent(time=float(time), step="declared", text=text)
            before = float(value)


def from_exporter(record: IncidentRecord, exporter: ApiSource, now: float) -> IncidentRecord:
    """Add the failures that the exporter still keeps of that time, one by one. Raises ApiError."""
    start, end = record.detected - _BEFORE, record.ended or now
    events = list[RecordEvent]()
    for exchange in record.exchanges:
        try:
            found = exporter.read(f"/api/v1/exchanges/{exchange}/failures")
        except ApiError as error:
            if error.status == 404:  # it does not watch that one any more
                continue
            raise
        for kind in ("endpoints", "streams"):
            for name, failures in found.get(kind, {}).items():
                for each in failures:
                    if start <= each["time"] <= end:
                        events.append(_failed(exchange, name, each))
    events.sort(key=lambda each: each.time)
    return replace(record, evidence=tuple(events[:100]))


def _failed(exchange: str, name: str, failure: Any) -> RecordEvent:
    status = f" {failure['status']}" if failure.get("status") else ""
    detail = str(failure.get("detail") or "")[:200]
    text = f"{exchange} {name}: {failure.get('reason', '')}{status} {detail}".strip()
    return RecordEvent(time=float(failure["time"]), step="failure", text=text)
