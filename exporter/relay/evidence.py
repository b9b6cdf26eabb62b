"""Summarizes the exporter's state of an exchange in a few lines. Pure.

Reads ``/api/v1/state`` and ``/api/v1/exchanges/{exchange}/failures``; whatever of them is missing
or of another shape is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from exporter.decoding import DOUBTFUL
from exporter.relay import escaping, rendering

LONGEST: Final = 1400  # characters
_ROWS: Final = 5  # endpoints, streams, verdicts that are named
_DOMAINS: Final[Mapping[str, str]] = {
    "exchange": "the exchange",
    "path": "the path to it",
    "self": "our own program or network",
}


def summary(state: bytes, failures: bytes, exchange: str) -> str:
    """Sum up what goes on at ``exchange``: what fails since when, why, and who else has it."""
    seen, failed = _table(state), _table(failures)
    others = list[str]()
    lines = list[str]()
    for one in _rows(seen, "exchanges"):
        if one.get("name") == exchange:
            lines += _exchange(one, failed, float(seen.get("now") or 0.0))
        else:
            others.append(f"{one.get('name')} {one.get('health')}")
    if others:
        lines.append("other exchanges: " + ", ".join(others[:10]))
    judged = _table_in(seen, "anomalies")
    sentences = [
        f"{rendering.clock(each.get('time'))} {each.get('change')}: {each.get('sentence')}"
        for each in _rows(judged, "verdicts")
        if each.get("exchange") == exchange
    ]
    lines += [f"verdict {escaping.line(text, 160)}" for text in sentences[:_ROWS]]
    return escaping.cut("; ".join(lines), LONGEST)


def _exchange(one: Mapping[str, Any], failed: Mapping[str, Any], now: float) -> Iterator[str]:
    yield f"{one.get('name')} is {one.get('health')}"
    if one.get("domain"):
        yield f"the fault lies with {_DOMAINS.get(str(one['domain']), one['domain'])}"
    if one.get("maintenance"):
        yield "the exchange is in maintenance"
    for each in _rows(one, "declared")[:_ROWS]:
        yield _declared(each)
    if until := one.get("banned_until"):
        yield f"we are banned until {rendering.clock(until)}"
    endpoints = _table_in(failed, "endpoints")
    for each in _worst(_rows(one, "endpoints")):
        yield _endpoint(each, _rows(endpoints, str(each.get("name"))), now)
    streams = _table_in(failed, "streams")
    for each in _worst(_rows(one, "streams")):
        states = Counter(row.get("state") for row in _rows(each, "subscriptions"))
        count = ", ".join(f"{number} {name}" for name, number in states.most_common())
        link = "connected" if each.get("connected") else f"down ({each.get('lost') or 'never up'})"
        yield (
            f"stream {each.get('name')} {link}{_reasons(_rows(streams, str(each.get('name'))))}"
            + (f", subscriptions: {count}" if count else "")
        )


def _declared(each: Mapping[str, Any]) -> str:
    title = escaping.line(str(each.get("title")), 160)
    at = each.get("declared")
    when = rendering.clock(at if isinstance(at, int | float) else None)
    text = f"it declared an incident at {when}: {title}"
    lead = each.get("lead")
    if not isinstance(lead, int | float):
        return text
    first = "after we knew" if lead >= 0 else "before we knew"
    return f"{text}, {rendering.span(abs(lead))} {first}"


def _endpoint(each: Mapping[str, Any], failures: list[Mapping[str, Any]], now: float) -> str:
    text = f"endpoint {each.get('name')} {each.get('health')}{_reasons(failures)}"
    good = each.get("last_success")
    if each.get("health") == "down":
        since = rendering.clock(good) if good else "the start"
        text += f", no success since {since}" + (f" ({rendering.span(now - good)})" if good else "")
    if each.get("circuit") not in (None, "closed"):
        text += f", breaker {each['circuit']}"
    for when, key in (("before", "before"), ("in the last minute", "lately")):
        if figures := _quantiles(_table_in(each, key)):
            text += f", {figures} {when}"
    if phases := failures[-1].get("phases") if failures else None:
        text += ", phases " + " ".join(
            f"{name} {took * 1000.0:.0f} ms" for name, took in phases.items()
        )
    return text


def _quantiles(found: Mapping[str, Any]) -> str:
    """Name median and 95th percentile in milliseconds, those that are known."""
    known = (("p50", found.get("median")), ("p95", found.get("p95")))
    return " ".join(
        f"{name} {value * 1000.0:.0f} ms" for name, value in known if isinstance(value, float)
    )


def _worst(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what fails; of what works only how many there are would be news, and is left out."""
    order = {"down": 0, "degraded": 1, "pending": 2}
    bad = [each for each in rows if each.get("health") in order]
    return sorted(bad, key=lambda each: order[each["health"]])[:_ROWS] or rows[:1]


def _reasons(failures: list[Mapping[str, Any]]) -> str:
    """Count why the last ones failed."""
    counted = Counter(
        " ".join(str(each[key]) for key in ("reason", "status") if each.get(key))
        for each in failures
    )
    found = ", ".join(f"{number} x {name}" for name, number in counted.most_common(4))
    return f", last failures: {found}" if found else ""


def _table(body: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except DOUBTFUL:
        return {}
    return found if isinstance(found, dict) else {}


def _table_in(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _rows(found: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = found.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
