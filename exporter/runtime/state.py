"""The snapshot of the program's state that the pages and the API show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.anomaly.engine import DECIDES
from exporter.exchange.exchange import Exchange
from exporter.probes.exchange_probes import EndpointState
from exporter.signals import Verdict
from exporter.streams.exchange_books import LocalBook
from exporter.streams.stream_state import StreamState, WatchedSubscription
from exporter.web import state as shown
from exporter.web.calendar import CalendarEntry
from exporter.web.page import FailureLine
from exporter.words import quoted

if TYPE_CHECKING:
    from exporter.runtime.app import App

_FAILURES = 30  # of an exchange's own page
_START = 20  # characters by which an answer is known again
_EXCERPT = 120  # characters of an answer that the page shows
# Between which ages, in seconds: what was usual before an incident that is told, and now.
_BEFORE, _LATELY = (300.0, 3600.0), (0.0, 60.0)


def snapshot(app: App) -> shown.Snapshot:
    """Return what is known now."""
    now, monotonic = app.clock.wall(), app.clock.monotonic()
    return shown.Snapshot(
        now=now,
        started=app.started,
        version=__version__,
        exchanges=tuple(
            _exchange(each, now, monotonic, app.timelines.spans(each.name, now))
            for each in app.exchanges
        ),
        anomalies=_anomalies(app),
        incidents=tuple(_verdict(each) for each in app.judging.incidents),
        verdicts=tuple(_verdict(each) for each in reversed(app.judging.recent)),
        troubles=tuple(app.troubles()),
        alertmanager=next((each.url.rstrip("/") for each in app.config.alertmanagers), ""),
        series=app.registry.series,
        series_limit=app.config.metrics.series_limit,
    )


def _exchange(
    exchange: Exchange,
    now: float,
    monotonic: float,
    timeline: tuple[shown.TimelineSpan, ...],
) -> shown.ExchangeView:
    banned = exchange.probing.ban.until
    try:
        offset = exchange.probing.offset.read(monotonic)
    except LookupError:
        offset = None
    return shown.ExchangeView(
        name=exchange.name,
        title=exchange.venue.title,
        endpoints=tuple(
            _endpoint(each, now, monotonic) for each in exchange.probing.endpoints.values()
        ),
        streams=tuple(_stream(each) for each in exchange.streams),
        clock_offset=offset.value if offset else None,
        clock_error=offset.error if offset else None,
        limits=tuple(
            (limit.name, each.used_ratio()) for limit, each in exchange.probing.budgets.items()
        ),
        banned_until=banned if banned > now else None,
        maintenance=exchange.probing.maintenance.active,
        maintenance_end=exchange.probing.maintenance.end,
        maintenance_start=exchange.probing.notices.next_start(now),
        mode=exchange.probing.said.mode or "",
        incident=exchange.probing.notices.incident,
        declared=tuple(
            shown.DeclaredView(
                title=each.notice.title,
                declared=each.declared,
                noticed=each.noticed,
                lead=each.lead,
                url=each.notice.url,
            )
            for each in exchange.lead.standing.values()
        ),
        domain=exchange.domain,
        timeline=timeline,
    )


def failure_lines(exchange: Exchange) -> list[FailureLine]:
    """Return the last failures of an exchange, the newest first."""
    found = [
        FailureLine(
            time=each.time,
            where=name,
            text=" ".join(f"{each.reason} {each.status or ''} {each.detail}".split())[:_EXCERPT],
        )
        for name, state in exchange.probing.endpoints.items()
        for each in state.failures
    ]
    found += [
        FailureLine(
            time=each.time, where=state.name, text=f"{each.reason} {each.detail}"[:_EXCERPT]
        )
        for state in exchange.streams
        for each in state.failures
    ]
    return sorted(found, key=lambda each: -each.time)[:_FAILURES]


def calendar_entries(exchanges: Iterable[Exchange], now: float) -> list[CalendarEntry]:
    """Return what goes on and is to come at all exchanges, in order of time."""
    found = []
    for exchange in exchanges:
        for each in exchange.probing.notices.calendar(now):
            notice = each.notice
            declared = exchange.lead.standing.get(notice.key)
            found.append(
                CalendarEntry(
                    exchange=exchange.name,
                    kind=notice.kind,
                    source=each.source,
                    title=notice.title,
                    start=now if notice.start is None else notice.start,
                    end=notice.end,
                    declared=notice.declared,
                    lead=None if declared is None else declared.lead,
                    url=notice.url,
                    id=notice.id,
                )
            )
    return sorted(found, key=lambda each: (each.start, each.exchange, each.title))


def _endpoint(state: EndpointState, now: float, monotonic: float) -> shown.EndpointView:
    figures = state.history.statistics(monotonic)
    last = state.last
    view = shown.EndpointView(
        name=state.target.endpoint,
        apart=state.target.apart,
        ok=last.ok if last else None,
        reason=last.reason or "" if last else "",
        circuit=state.breaker.state.circuit,
        probes=figures.probes,
        mean=_known(figures.mean),
        median=_known(figures.median),
        p95=_known(figures.p95),
        p99=_known(figures.p99),
        error_ratio=_known(figures.error_ratio),
        before=_quantiles(state.history.quantiles(monotonic, *_BEFORE)),
        lately=_quantiles(state.history.quantiles(monotonic, *_LATELY)),
        last_success=state.last_success,
        failing_since=_failing_since(state),
        evidence=_evidence(state),
        recent=state.history.recent(),
    )
    ago = monotonic - now
    slow = state.history.slow_since(view.slow_from) if view.slow else None
    unsteady = state.history.failing_since(monotonic)
    return replace(
        view,
        slow_since=None if slow is None else slow - ago,
        unsteady_since=None if unsteady is None else unsteady - ago,
    )


def _failing_since(state: EndpointState) -> float | None:
    if state.last is None or state.last.ok:
        return None
    after = state.last_success or 0.0
    return next((each.time for each in state.failures if each.time > after), None)


def _evidence(state: EndpointState) -> str:
    """Return what the last failure says, on one line."""
    if state.last is None or state.last.ok or not state.failures:
        return ""
    last = state.failures[-1]
    status = "" if last.status is None else f"status {last.status}"
    parts = [last.detail] if last.detail.startswith(status) else [status, last.detail]
    if quoted(last.body[:_START])[1:-1] not in last.detail:  # else it is quoted there
        parts.append(last.body[:_EXCERPT])
    return " ".join("; ".join(part for part in parts if part).split())[: 2 * _EXCERPT]


def _quantiles(found: tuple[float, float]) -> shown.LatencyQuantiles:
    median, p95 = found
    return shown.LatencyQuantiles(median=_known(median), p95=_known(p95))


def _stream(state: StreamState) -> shown.StreamView:
    return shown.StreamView(
        name=state.name,
        address=state.address.partition("?")[0],  # without a token
        connected=state.connected,
        attempted=state.attempts > 0,
        queue=_queue(state),
        since=state.since,
        disconnects=state.losses,
        lost=state.lost or "",
        down_since=None if state.connected else _down_since(state),
        unknown=dict(state.unknown),
        subscriptions=tuple(_row(state, watch) for watch in state.watches.values()),
    )


def _queue(state: StreamState) -> shown.QueueView:
    if state.meter is None:
        return shown.QueueView()
    waiting, capacity, dropped = state.meter.queue
    return shown.QueueView(waiting=waiting, capacity=capacity, dropped=dropped)


def _down_since(state: StreamState) -> float | None:
    """Return when the last connection ended that had lived, else when the first try failed."""
    ends = [each.time for each in state.failures if each.lived is not None]
    return ends[-1] if ends else next((each.time for each in state.failures), None)


def _row(state: StreamState, watch: WatchedSubscription) -> shown.SubscriptionRow:
    feed = watch.feed
    return shown.SubscriptionRow(
        channel=feed.subscription.channel,
        symbol=feed.subscription.instrument,
        state=state.subscription(feed.subscription.topic),
        reason=state.refusal(feed.subscription.topic),
        last_message=feed.last if feed.count else None,
        stale_after=_known(watch.stale_after),
        rate=_known(watch.rate),
        latency=_known(feed.latency),
        late_since=watch.late_since,
        price=_known(feed.mid),
        gaps=feed.gaps,
        silence=None if watch.checked is None else watch.checked.verdict,
        book=None if watch.book is None else _book(watch.book),
    )


def _book(local: LocalBook) -> shown.BookView:
    sync = local.sync
    return shown.BookView(
        synced=sync.synced,
        crossed=sync.synced and sync.book.touching,
        crossed_since=local.crossed_since,
        levels=len(sync.book),
        resyncs=sum(sync.resyncs.values()) - 1,  # the first was no rebuilding
        reason=sync.reason,
    )


def _anomalies(app: App) -> tuple[shown.AnomalyView, ...]:
    scores, names = app.judging.scores, app.judging.detectors
    if scores is None:
        return ()
    rows = []
    for column, series in enumerate(app.judging.series):
        ready = bool(scores.ready[:, column].all())
        each = {name: float(scores.score[row, column]) for row, name in enumerate(names)}
        rows.append(
            shown.AnomalyView(
                exchange=series.exchange,
                signal=series.signal,
                score=each[DECIDES] if ready and scores.measured[column] else None,
                ready=ready,
                scores=tuple(each.items()),
            )
        )
    return tuple(rows)


def _verdict(verdict: Verdict) -> shown.VerdictView:
    evidence = verdict.evidence
    return shown.VerdictView(
        exchange=verdict.series.exchange,
        signal=verdict.series.signal,
        change=verdict.change,
        severity=verdict.severity,
        time=verdict.time,
        since=verdict.since,
        sentence=verdict.sentence,
        score=evidence.score,
        value=_known(evidence.value),
        center=_known(evidence.center),
        lower=_known(evidence.lower),
        upper=_known(evidence.upper),
        detectors=tuple(evidence.detectors.items()),
    )


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
