"""What probes leave in the metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.maintenance import TradingMode
from exporter.metrics.families import MaintenanceSource
from exporter.metrics.registry import Registry
from exporter.model import TAINTED, Answer, Circuit, Phase, Probed, Reason, Skip
from exporter.probes.meter import ExchangeMeter, ProbeMeter
from tests.metrics.test_registry import page, samples

NAMES = 'exchange="acme",endpoint="ping"'
ANSWER = Answer(
    status=200,
    headers={},
    body=b"{}",
    new_connection=True,
    phases={Phase.RESOLVE: 0.004, Phase.CONNECT: 0.02, Phase.PROCESSING: 0.03},
    addresses=("192.0.2.1", "192.0.2.2"),
)
GOOD = Probed(exchange="acme", endpoint="ping", time=1700000000.0, duration=0.25, answer=ANSWER)


def value(registry: Registry, series: str) -> float:
    """Return the value of one series, which must be there once."""
    found = [line for line in page(registry) if line.startswith(f"{series} ")]
    assert len(found) == 1, series
    return float(found[0].split()[-1])


def test_success_moves_everything_that_a_good_answer_tells() -> None:
    """One good probe over a new connection: outcome, total, phases, time, code, addresses."""
    registry = Registry()
    ProbeMeter(registry, "acme", "ping").probed(
        replace(GOOD, certificate_end=1.9e9, chain_end=1.8e9)
    )
    assert value(registry, f"exchange_probe_success{{{NAMES}}}") == 1
    assert value(registry, f'exchange_probes_total{{{NAMES},outcome="success"}}') == 1
    assert value(registry, f'exchange_probes_total{{{NAMES},outcome="failure"}}') == 0
    last = f"exchange_probe_last_success_timestamp_seconds{{{NAMES}}}"
    assert value(registry, last) == 1700000000.25
    total = "exchange_probe_duration_seconds"
    assert value(registry, f'{total}_sum{{{NAMES},connection="new"}}') == 0.25
    assert value(registry, f'{total}_count{{{NAMES},connection="reused"}}') == 0
    phase = "exchange_probe_phase_duration_seconds"
    assert value(registry, f'{phase}_sum{{{NAMES},phase="connect"}}') == 0.02
    assert value(registry, f'{phase}_count{{{NAMES},phase="tls"}}') == 0
    assert value(registry, f'exchange_probe_http_responses_total{{{NAMES},code="200"}}') == 1
    assert value(registry, f"exchange_probe_resolved_addresses{{{NAMES}}}") == 2
    end = f"exchange_probe_tls_cert_not_after_timestamp_seconds{{{NAMES}}}"
    assert value(registry, end) == 1.9e9
    first = f"exchange_probe_tls_chain_not_after_timestamp_seconds{{{NAMES}}}"
    assert value(registry, first) == 1.8e9


def test_a_probe_that_we_were_late_with_has_no_latency() -> None:
    """It answered, and that counts; how long it took is ours, and is counted apart."""
    registry = Registry()
    meter = ProbeMeter(registry, "acme", "ping")
    meter.probed(replace(GOOD, answer=replace(ANSWER, late=TAINTED)))
    meter.probed(replace(GOOD, answer=replace(ANSWER, late=2 * TAINTED)))
    assert value(registry, f'exchange_probes_total{{{NAMES},outcome="success"}}') == 2
    assert value(registry, f'exchange_probe_http_responses_total{{{NAMES},code="200"}}') == 2
    total = f'exchange_probe_duration_seconds_count{{{NAMES},connection="new"}}'
    assert value(registry, total) == 1
    phase = f'exchange_probe_phase_duration_seconds_count{{{NAMES},phase="connect"}}'
    assert value(registry, phase) == 1
    discarded = 'exchange_exporter_samples_discarded_total{measurement="probe"}'
    assert value(registry, discarded) == 1


def test_failure_names_its_reason_and_keeps_what_was_known() -> None:
    """A failed probe counts under its reason; last success and certificate stay published."""
    registry = Registry()
    meter = ProbeMeter(registry, "acme", "ping")
    meter.probed(replace(GOOD, certificate_end=1.9e9))
    meter.probed(replace(GOOD, time=1700000010.0, reason=Reason.CONNECT_TIMEOUT, answer=None))
    assert value(registry, f"exchange_probe_success{{{NAMES}}}") == 0
    failures = "exchange_probe_failures_total"
    assert value(registry, f'{failures}{{{NAMES},reason="connect_timeout"}}') == 1
    assert len(samples(registry, failures)) == len(Reason)
    last = f"exchange_probe_last_success_timestamp_seconds{{{NAMES}}}"
    assert value(registry, last) == 1700000000.25
    end = f"exchange_probe_tls_cert_not_after_timestamp_seconds{{{NAMES}}}"
    assert value(registry, end) == 1.9e9
    total = f'exchange_probe_duration_seconds_count{{{NAMES},connection="new"}}'
    assert value(registry, total) == 1


def test_before_the_first_probe_counters_are_at_zero_and_gauges_absent() -> None:
    """`rate()` sees the first failure, and nobody is up or down before being asked."""
    registry = Registry()
    ProbeMeter(registry, "acme", "ping")
    assert samples(registry, "exchange_probe_success") == []
    assert samples(registry, "exchange_probe_last_success_timestamp_seconds") == []
    skipped = samples(registry, "exchange_probe_skipped_total")
    assert [line.split()[-1] for line in skipped] == ["0"] * len(Skip)
    assert len(samples(registry, "exchange_circuit_breaker_transitions_total")) == 3


def test_status_codes_are_capped_at_twelve_series() -> None:
    """A server that answers every number there is does not fill the page."""
    registry = Registry()
    meter = ProbeMeter(registry, "acme", "ping")
    for status in range(200, 300):
        meter.probed(replace(GOOD, answer=replace(ANSWER, status=status)))
    meter.probed(replace(GOOD, answer=replace(ANSWER, status=205)))
    found = samples(registry, "exchange_probe_http_responses_total")
    assert len(found) == 12
    name = "exchange_probe_http_responses_total"
    assert value(registry, f'{name}{{{NAMES},code="205"}}') == 2
    assert value(registry, f'{name}{{{NAMES},code="other"}}') == 89


def test_address_change_is_counted_but_order_and_silence_are_none() -> None:
    """The set counts, not its order; a reused connection resolves nothing and changes nothing."""
    registry = Registry()
    meter = ProbeMeter(registry, "acme", "ping")
    for addresses in [("a", "b"), ("b", "a"), (), ("b", "c"), ("b", "c")]:
        meter.probed(replace(GOOD, answer=replace(ANSWER, addresses=addresses)))
    assert value(registry, f"exchange_probe_address_changes_total{{{NAMES}}}") == 1


@pytest.mark.parametrize(("asked", "count"), [(True, 1), (False, 0)])
def test_phases_of_reused_connections_can_be_left_out(asked: bool, count: int) -> None:
    """The switch silences the phases of reused connections; the total is timed either way."""
    registry = Registry()
    meter = ProbeMeter(registry, "acme", "ping", phases_of_reused=asked)
    reused = replace(ANSWER, new_connection=False, phases={Phase.PROCESSING: 0.03})
    meter.probed(replace(GOOD, answer=reused))
    phase = f'exchange_probe_phase_duration_seconds_count{{{NAMES},phase="processing"}}'
    assert value(registry, phase) == count
    total = f'exchange_probe_duration_seconds_count{{{NAMES},connection="reused"}}'
    assert value(registry, total) == 1


def test_breaker_shows_one_state_at_a_time() -> None:
    """The state entered is 1, the others 0, and the transition is counted."""
    registry = Registry()
    meter = ProbeMeter(registry, "acme", "ping")
    state = "exchange_circuit_breaker_state"
    assert value(registry, f'{state}{{{NAMES},state="closed"}}') == 1
    meter.circuit(Circuit.OPEN)
    meter.skipped(Skip.BREAKER_OPEN)
    shown = [value(registry, f'{state}{{{NAMES},state="{one}"}}') for one in Circuit]
    assert dict(zip(Circuit, shown, strict=True)) == {
        Circuit.CLOSED: 0, Circuit.HALF_OPEN: 0, Circuit.OPEN: 1,
    }  # fmt: skip
    to = f'exchange_circuit_breaker_transitions_total{{{NAMES},to="open"}}'
    assert value(registry, to) == 1
    assert value(registry, f'exchange_probe_skipped_total{{{NAMES},reason="breaker_open"}}') == 1


def test_exchange_s_own_figures() -> None:
    """Limits, bans, clock and maintenance come, and go when they are not known any more."""
    registry = Registry()
    meter = ExchangeMeter(registry, "acme", limits=["weight"])
    meter.used("weight", 0.5)
    meter.banned(1.7e9)
    meter.clock(-0.25, 0.01)
    meter.maintenance(MaintenanceSource.VENUE, active=True, end=1.8e9)
    meter.maintenance(MaintenanceSource.CONFIG, active=False, end=None)
    assert value(registry, 'exchange_rate_limit_used_ratio{exchange="acme",limit="weight"}') == 0.5
    assert value(registry, 'exchange_clock_offset_seconds{exchange="acme"}') == -0.25
    end = "exchange_maintenance_end_timestamp_seconds"
    assert value(registry, f'{end}{{exchange="acme"}}') == 1.8e9
    active = "exchange_maintenance_active"
    assert value(registry, f'{active}{{exchange="acme",source="venue"}}') == 1
    assert value(registry, f'{active}{{exchange="acme",source="config"}}') == 0
    meter.maintenance(MaintenanceSource.VENUE, active=False, end=None)
    meter.banned(None)
    assert samples(registry, end) == []
    assert samples(registry, "exchange_rate_limit_banned_until_timestamp_seconds") == []


def test_a_mode_that_is_named_no_more_is_shown_no_more() -> None:
    """One mode is 1 while the venue names it, and all are absent once it names none."""
    registry = Registry()
    meter = ExchangeMeter(registry, "acme")
    family = "exchange_trading_mode"
    assert samples(registry, family) == []
    meter.mode(TradingMode.CANCEL_ONLY)
    meter.next_maintenance(1.8e9)
    meter.declared(MaintenanceSource.VENUE, incident=True)
    assert value(registry, f'{family}{{exchange="acme",mode="cancel_only"}}') == 1
    assert value(registry, f'{family}{{exchange="acme",mode="trading"}}') == 0
    start, incident = "exchange_maintenance_start_timestamp_seconds", "exchange_incident_declared"
    assert value(registry, f'{start}{{exchange="acme"}}') == 1.8e9
    assert value(registry, f'{incident}{{exchange="acme",source="venue"}}') == 1
    meter.mode(None)
    meter.next_maintenance(None)
    meter.declared(MaintenanceSource.VENUE, incident=False)
    assert samples(registry, family) == []
    assert samples(registry, start) == []
    assert value(registry, f'{incident}{{exchange="acme",source="venue"}}') == 0
    assert len(samples(registry, incident)) == 1  # no page was read


def test_what_we_lack_ourselves_says_nothing_of_the_exchange() -> None:
    """Such a probe is counted by its reason alone: no failure for the rules, and no success."""
    registry = Registry()
    meter = ProbeMeter(registry, "acme", "ping")
    meter.probed(GOOD)
    meter.probed(replace(GOOD, answer=None, reason=Reason.LOCAL_RESOURCE))
    assert value(registry, f"exchange_probe_success{{{NAMES}}}") == 1
    assert value(registry, f'exchange_probes_total{{{NAMES},outcome="failure"}}') == 0
    failures = "exchange_probe_failures_total"
    assert value(registry, f'{failures}{{{NAMES},reason="local_resource"}}') == 1
