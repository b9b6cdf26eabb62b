"""Current problems as text, the most severe first: what, since when, why, which runbook."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from exporter.web.reasons import DOMAINS, in_words
from exporter.web.state import EndpointView, ExchangeView, Health, Snapshot, StreamView

_RUNBOOKS = "https://github.com/exchange-exporter/exchange-exporter/blob/main/alert_rules/runbooks"
_GRAVITY = (Health.DOWN, Health.DEGRADED, Health.PENDING, Health.UP)
_NAMED = 4  # names that a line lists


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemLine:
    """One line about an exchange, and the alert whose runbook belongs to it."""

    text: str
    alert: str
    since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The problems of one exchange, or of the exporter itself, whose name is empty.

    ``fault``: the cause in words, empty where it is unknown. ``links``: texts and targets.
    """

    name: str
    title: str
    health: Health
    lines: tuple[str, ...]
    since: float | None = None
    fault: str = ""
    evidence: str = ""
    links: tuple[tuple[str, str], ...] = ()


def problems(snapshot: Snapshot) -> tuple[Problem, ...]:
    """Return current problems: the exporter's own, then exchanges', the most severe first."""
    own = [
        Problem(
            name="",
            title="This exporter",
            health=Health.DEGRADED,
            lines=(trouble.text,),
            since=trouble.since,
            fault=DOMAINS["self"],
            links=(_runbook(trouble.alert),),
        )
        for trouble in snapshot.troubles
    ]
    ill = (each for each in by_gravity(snapshot) if _wrong(each))
    return (*own, *(_of(each, snapshot.alertmanager) for each in ill))


def by_gravity(snapshot: Snapshot) -> list[ExchangeView]:
    """Return the exchanges, those that are down first; else in the config's order."""
    return sorted(snapshot.exchanges, key=lambda each: _GRAVITY.index(each.health))


def _wrong(exchange: ExchangeView) -> bool:
    return exchange.health in (Health.DOWN, Health.DEGRADED)


def _of(exchange: ExchangeView, alertmanager: str) -> Problem:
    symptoms = list(_symptoms(exchange))
    if exchange.health is Health.DOWN:
        text = "No endpoint answers, and no stream delivers data."
        symptoms.insert(0, ProblemLine(text=text, alert="ExchangeDown"))
    failing = [each for each in exchange.endpoints if each.evidence and each.ok is False]
    times = [each.since for each in symptoms if each.since is not None]
    alerts = dict.fromkeys(each.alert for each in symptoms)
    return Problem(
        name=exchange.name,
        title=exchange.title,
        health=exchange.health,
        lines=tuple(each.text for each in symptoms),
        since=min(times, default=None),
        fault=DOMAINS.get(exchange.domain or "", ""),
        evidence=f"{failing[0].name}: {failing[0].evidence}" if failing else "",
        links=(
            ("last failures", f"/api/v1/exchanges/{exchange.name}/failures"),
            *_alerts(exchange.name, alertmanager),
            *(_runbook(alert) for alert in list(alerts)[:3]),
        ),
    )


def _alerts(exchange: str, alertmanager: str) -> Iterator[tuple[str, str]]:
    """Link to the exchange's alerts, as Alertmanager's own page filters them."""
    if alertmanager:
        wanted = quote(f'{{exchange="{exchange}"}}')
        yield "its alerts", f"{alertmanager}/#/alerts?filter={wanted}"


def _runbook(alert: str) -> tuple[str, str]:
    return f"runbook of {alert}", f"{_RUNBOOKS}/{alert}.md"


def _symptoms(exchange: ExchangeView) -> Iterator[ProblemLine]:
    yield from _announced(exchange)
    yield from _endpoints(exchange.endpoints)
    for stream in exchange.streams:
        yield from _stream(stream)


def _announced(exchange: ExchangeView) -> Iterator[ProblemLine]:
    if exchange.maintenance:
        yield ProblemLine(text="It is in maintenance.", alert="ExchangeMaintenance")
    if exchange.banned_until is not None:
        yield ProblemLine(text="It has banned this address.", alert="ExchangeBanned")
    if exchange.restricted:
        mode = exchange.mode.replace("_", " ")
        yield ProblemLine(text=f"Trading is restricted: {mode}.", alert="ExchangeMarketRestricted")
    if exchange.incident:
        since = min((each.declared for each in exchange.declared), default=None)
        text = f"It reports: {exchange.incident}"
        yield ProblemLine(text=text, alert="ExchangeMaintenance", since=since)


def _endpoints(endpoints: Sequence[EndpointView]) -> Iterator[ProblemLine]:
    failing: dict[str, list[EndpointView]] = defaultdict(list)
    for each in endpoints:
        if each.ok is False:
            failing[each.reason].append(each)
        elif each.slow:
            now, before = milliseconds(each.newest), each.usual
            usual = (
                ""
                if before is None or each.newest is None or each.newest < 2 * before
                else (f", usually {milliseconds(before)}")
            )
            text = f"Endpoint {each.name} is slow: {now} now{usual}."
            yield ProblemLine(text=text, alert="ExchangeLatencyHigh", since=each.slow_since)
        elif each.health is Health.DEGRADED:
            share = f"{each.error_ratio or 0.0:.0%}"
            text = f"Endpoint {each.name} failed in {share} of the last probes."
            alert = "ExchangeEndpointDown"
            yield ProblemLine(text=text, alert=alert, since=each.unsteady_since)
    for reason, some in failing.items():
        noun = "Endpoint" if len(some) == 1 else "Endpoints"
        names = _list([each.name for each in some])
        times = [each.failing_since for each in some if each.failing_since is not None]
        yield ProblemLine(
            text=f"{noun} {names}: {in_words(reason)}.",
            alert="ExchangeEndpointDown",
            since=min(times, default=None),
        )


def _stream(stream: StreamView) -> Iterator[ProblemLine]:
    if not stream.connected:
        if stream.attempted:
            lost = f": {in_words(stream.lost)}" if stream.lost else ""
            text = f"Stream {stream.name} is not connected{lost}."
            yield ProblemLine(text=text, alert="ExchangeStreamDown", since=stream.down_since)
        return
    silent = [row for row in stream.subscriptions if row.health is Health.DOWN]
    if silent:
        names = _list([f"{row.channel} {row.symbol}" for row in silent])
        times = [row.last_message for row in silent if row.last_message is not None]
        text = f"{len(silent)} of {len(stream.subscriptions)} subscriptions silent: {names}."
        yield ProblemLine(text=text, alert="ExchangeStreamSilent", since=min(times, default=None))
    late = [row for row in stream.subscriptions if row.late]
    if late:
        worst = max(row.latency or 0.0 for row in late)
        names = _list([f"{row.channel} {row.symbol}" for row in late])
        text = f"Market data arrives up to {milliseconds(worst)} late: {names}."
        times = [row.late_since for row in late if row.late_since is not None]
        since = min(times, default=None)
        yield ProblemLine(text=text, alert="ExchangeStreamLatencyHigh", since=since)
    books = {row.symbol: row.book for row in stream.subscriptions if row.book and row.book.crossed}
    if books:
        text = f"The book of {_list([*books])} is crossed: its best bid is not below its best ask."
        times = [each.crossed_since for each in books.values() if each.crossed_since is not None]
        since = min(times, default=None)
        yield ProblemLine(text=text, alert="ExchangeBookInvalid", since=since)


def milliseconds(seconds: float | None) -> str:
    """Format a duration: ``3 ms``, ``1.5 s``."""
    if seconds is None:
        return "nothing"
    return f"{seconds:.1f} s" if seconds >= 0.9995 else f"{max(seconds * 1e3, 0.1):.3g} ms"


def _list(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
