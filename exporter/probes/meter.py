"""The metrics of probes, breakers, limits and maintenance."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.maintenance import TradingMode
from exporter.metrics import families as f
from exporter.metrics.registry import Registry
from exporter.model import Answer, Circuit, Phase, Probed, Reason, Skip

_CODES = 12  # series of exchange_probe_http_responses_total per endpoint, "other" among them


class ProbeMeter:
    """One endpoint's children: moved by every probe, skip and circuit.

    ``phases_of_reused`` says whether requests over a reused connection are timed by phase too.
    """

    def __init__(
        self,
        registry: Registry,
        exchange: str,
        endpoint: str,
        *,
        phases_of_reused: bool = True,
    ) -> None:
        names = (exchange, endpoint)
        self._registry, self._names = registry, names
        self._phases_of_reused = phases_of_reused
        self._success = registry.gauge(f.PROBE_SUCCESS, *names)
        self._outcomes = registry.counters(f.PROBES, *names, values=f.ProbeOutcome)
        self._failures = registry.counters(f.PROBE_FAILURES, *names, values=Reason)
        self._skips = registry.counters(f.PROBE_SKIPPED, *names, values=Skip)
        self._durations = registry.histograms(f.PROBE_DURATION, *names, values=f.Connection)
        self._phases = registry.histograms(f.PROBE_PHASE_DURATION, *names, values=Phase)
        self._last_success = registry.gauge(f.PROBE_LAST_SUCCESS, *names)
        self._codes = {200: registry.counter(f.PROBE_RESPONSES, *names, "200")}
        self._certificate_end = registry.gauge(f.PROBE_CERTIFICATE_END, *names)
        self._chain_end = registry.gauge(f.PROBE_CHAIN_END, *names)
        self._addresses = registry.gauge(f.PROBE_ADDRESSES, *names)
        self._address_changes = registry.counter(f.PROBE_ADDRESS_CHANGES, *names)
        self._known_addresses: frozenset[str] = frozenset()
        self._states = registry.gauges(f.BREAKER_STATE, *names, values=Circuit)
        self._transitions = registry.counters(f.BREAKER_TRANSITIONS, *names, values=Circuit)
        self._states[Circuit.CLOSED].set(1)
        self._late = registry.histogram(f.SCHEDULE_LAG)
        self._discarded = registry.counter(f.SAMPLES_DISCARDED, f.Measurement.PROBE)

    def probed(self, result: Probed) -> None:
        """Count a probe that was sent."""
        self._late.observe(result.late)
        if result.reason is Reason.LOCAL_RESOURCE:  # which says nothing of the exchange
            self._failures[result.reason].inc()
            return
        self._success.set(1 if result.ok else 0)
        if result.reason is None:
            self._outcomes[f.ProbeOutcome.SUCCESS].inc()
            self._last_success.set(result.time + result.duration)
        else:
            self._outcomes[f.ProbeOutcome.FAILURE].inc()
            self._failures[result.reason].inc()
        if result.certificate_end is not None:
            self._certificate_end.set(result.certificate_end)
        if result.chain_end is not None:
            self._chain_end.set(result.chain_end)
        if result.answer is not None:
            self._answered(result.answer, result)

    def outdated(self) -> None:
        """Show no longer whether the last probe succeeded: that was too long ago."""
        self._success.set(None)

    def unread(self) -> None:
        """Show no longer what the last good answer told: that was too long ago."""
        self._addresses.set(None)

    def skipped(self, reason: Skip) -> None:
        """Count a probe that was due and not sent."""
        self._skips[reason].inc()

    def circuit(self, entered: Circuit) -> None:
        """Show that the breaker has changed to ``entered``."""
        for state, child in self._states.items():
            child.set(1 if state is entered else 0)
        self._transitions[entered].inc()

    def _answered(self, answer: Answer, result: Probed) -> None:
        if result.tainted:
            self._discarded.inc()
        else:
            self._timed(answer, result.duration)
        self._code(answer.status)
        if answer.addresses:
            addresses = frozenset(answer.addresses)
            if self._known_addresses and addresses != self._known_addresses:
                self._address_changes.inc()
            self._known_addresses = addresses
        if self._known_addresses:
            self._addresses.set(len(self._known_addresses))

    def _timed(self, answer: Answer, duration: float) -> None:
        kind = f.Connection.NEW if answer.new_connection else f.Connection.REUSED
        self._durations[kind].observe(duration)
        if answer.new_connection or self._phases_of_reused:
            for phase, spent in answer.phases.items():
                self._phases[phase].observe(spent)

    def _code(self, status: int) -> None:
        child = self._codes.get(status)
        if child is None:
            # A server may answer any number: what it sends must not decide how many series we have.
            code = str(status) if len(self._codes) < _CODES - 1 else "other"
            child = self._registry.counter(f.PROBE_RESPONSES, *self._names, code)
            if code != "other":
                self._codes[status] = child
        child.inc()


class ExchangeMeter:
    """One exchange's own children: limits, bans, maintenance, clock. Times in epoch seconds."""

    def __init__(self, registry: Registry, exchange: str, limits: Iterable[str] = ()) -> None:
        self._used = {limit: registry.gauge(f.RATE_LIMIT_USED, exchange, limit) for limit in limits}
        self._banned = registry.gauge(f.RATE_LIMIT_BANNED_UNTIL, exchange)
        self._active = registry.gauges(
            f.MAINTENANCE_ACTIVE, exchange, values=f.MaintenanceSource, start=0
        )
        self._end = registry.gauge(f.MAINTENANCE_END, exchange)
        self._start = registry.gauge(f.MAINTENANCE_START, exchange)
        self._declared = {
            source: registry.gauge(f.INCIDENT_DECLARED, exchange, source)
            for source in (f.MaintenanceSource.VENUE, f.MaintenanceSource.STATUS_PAGE)
        }
        self._modes = registry.gauges(f.TRADING_MODE, exchange, values=TradingMode, start=None)
        self._offset = registry.gauge(f.CLOCK_OFFSET, exchange)
        self._offset_error = registry.gauge(f.CLOCK_OFFSET_ERROR, exchange)

    def used(self, limit: str, ratio: float | None) -> None:
        """Show how much of a limit is used, 0 to 1 and above; None: not known any more."""
        self._used[limit].set(ratio)

    def banned(self, until: float | None) -> None:
        """Show until when the venue told us to stay away; None: it did not, or that is over."""
        self._banned.set(until)

    def maintenance(self, source: f.MaintenanceSource, active: bool, end: float | None) -> None:
        """Show what one source says of maintenance, and when it is to end if anyone says."""
        self._active[source].set(1 if active else 0)
        going_on = any(child.value for child in self._active.values())
        if end is not None and active:
            self._end.set(end)
        elif not going_on:
            self._end.set(None)

    def mode(self, mode: TradingMode | None) -> None:
        """Show how the venue trades what is watched; absent where it does not say."""
        for each, child in self._modes.items():
            child.set(None if mode is None else float(each is mode))

    def declared(self, source: f.MaintenanceSource, incident: bool) -> None:
        """Show whether one source admits a fault; absent until it was heard."""
        self._declared[source].set(1.0 if incident else 0.0)

    def next_maintenance(self, start: float | None) -> None:
        """Show when the next maintenance begins; None: none is known."""
        self._start.set(start)

    def clock(self, offset: float | None, error: float | None) -> None:
        """Show the venue's clock minus ours and how wrong that may be; seconds, None: unknown."""
        self._offset.set(offset)
        self._offset_error.set(error)
