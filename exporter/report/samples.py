"""What is asked of Prometheus for a report, and its answers as arrays of steps. Pure.

A step is the unit of a report, usually a minute. A query is evaluated at the end of each and looks
at the samples within it alone: where there is none, nothing is known of that step.
Source: Prometheus' "HTTP API", range queries, and "Querying basics", range vectors (left-open from
3.0 on, closed before), read 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from exporter.signals import Floats

MOST_POINTS = 10_000  # of one query; a server refuses more than 11,000
# {in}: a range that is a step long; {match}: what the user adds to every selector. Several
# instances that watch one exchange agree by their mean, but for what one of them alone may know.
QUERIES: Mapping[str, str] = {
    "probe": "avg by (exchange) (avg_over_time(exchange_probe_success{match}[{in}]))",
    "feed": (
        "sum by (exchange) (avg_over_time("
        'exchange_stream_subscriptions{match,state="live"}[{in}]))'
        " / (sum by (exchange) (avg_over_time("
        'exchange_stream_subscriptions{match,state!="rejected"}[{in}])) > 0)'
    ),
    "book": "avg by (exchange) (avg_over_time(exchange_book_synced{match}[{in}]))",
    "maintenance": "max by (exchange) (avg_over_time(exchange_maintenance_active{match}[{in}]))",
    "domain": "avg by (exchange, domain) (avg_over_time(exchange_fault_domain{match}[{in}]))",
    "declared": "max by (exchange) (max_over_time(exchange_incident_declared{match}[{in}]))",
    "lead": "max by (exchange) (last_over_time(exchange_incident_lead_seconds{match}[{in}]))",
    "gate": "avg by (gate) (avg_over_time(exchange_gate_open{match}[{in}]))",
    "gate_of": "max by (gate, exchange) (last_over_time(exchange_gate_info{match}[{in}]))",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps of a report: ``count`` of ``length`` seconds from ``start``, epoch seconds."""

    start: float
    length: float
    count: int

    def chunks(self) -> Iterator[tuple[float, float]]:
        """Yield the first and the last time of evaluation of each query that is needed."""
        for first in range(0, self.count, MOST_POINTS):
            last = min(first + MOST_POINTS, self.count)
            yield self.start + (first + 1) * self.length, self.start + last * self.length

    def at(self, step: int) -> float:
        """Return when a step begins, epoch seconds."""
        return self.start + step * self.length


def query(name: str, steps: Steps, match: str = "") -> str:
    """Return the PromQL of one of `QUERIES`; ``match``: further matchers, such as ``job="x"``."""
    # A millisecond less than a step: before 3.0 both ends count, and a sample would do so twice.
    length = f"{round(steps.length * 1000) - 1}ms"
    text = QUERIES[name].replace("{in}", length)
    return text.replace("{match,", f"{{{match}," if match else "{").replace(
        "{match}", f"{{{match}}}" if match else ""
    )


class AnswerError(Exception):
    """Prometheus answers with something else than series; the text is one line for the user."""


def collect(
    series: dict[tuple[str, ...], Floats], answer: Any, labels: tuple[str, ...], steps: Steps
) -> None:
    """Put the samples of one answer to a range query into ``series``, by these labels.

    Unknown steps are NaN. Raises AnswerError.
    """
    try:
        if answer["status"] != "success" or answer["data"]["resultType"] != "matrix":
            raise AnswerError(f"no series: {str(answer)[:200]}")
        for each in answer["data"]["result"]:
            key = tuple(str(each["metric"].get(label, "")) for label in labels)
            values = series.setdefault(key, np.full(steps.count, np.nan))
            found = np.array(each["values"], dtype=np.float64).reshape(-1, 2)
            places = np.rint((found[:, 0] - steps.start) / steps.length).astype(int) - 1
            known = (places >= 0) & (places < steps.count)
            values[places[known]] = found[known, 1]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnswerError(f"cannot be read: {error!r:.200}") from error
