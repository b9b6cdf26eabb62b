"""Families of probes, and of what they show of a venue: limits, maintenance, clock."""

from __future__ import annotations

from enum import StrEnum

from exporter.metrics.families.declare import counter, gauge, histogram, info


class ProbeOutcome(StrEnum):
    """How a probe or an attempt to connect ended; the labels ``outcome`` and ``result``."""

    SUCCESS = "success"
    FAILURE = "failure"


class Connection(StrEnum):
    """Whether a request had to open its connection; the label ``connection``."""

    NEW = "new"
    REUSED = "reused"


class MaintenanceSource(StrEnum):
    """Who announced a maintenance; the label ``source``."""

    VENUE = "venue"
    CONFIG = "config"
    STATUS_PAGE = "status_page"


_REQUEST = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
_REQUEST_PHASE = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0)

PROBE_SUCCESS = gauge(
    "exchange_probe_success",
    "Whether the endpoint's last probe succeeded (1) or not (0); absent if it ended more than two "
    "intervals ago, except for a failure while the open circuit breaker prevents new probes.",
    "exchange",
    "endpoint",
)
EXCHANGE_PROVIDER = info(
    "exchange_provider_info",
    "What the exchange is hosted by, as the config says; always 1.",
    "exchange",
    "provider",
)
ENDPOINT_PROVIDER = info(
    "exchange_endpoint_provider_info",
    "What the endpoint is hosted by, as the config says; always 1.",
    "exchange",
    "endpoint",
    "provider",
)
PROBES = counter(
    "exchange_probes_total",
    "Completed probes, by outcome; skipped probes are not included.",
    "exchange",
    "endpoint",
    "outcome",
)
PROBE_FAILURES = counter(
    "exchange_probe_failures_total",
    "Failed probes, by the first error.",
    "exchange",
    "endpoint",
    "reason",
)
PROBE_SKIPPED = counter(
    "exchange_probe_skipped_total",
    "Due probes that were not sent, by reason.",
    "exchange",
    "endpoint",
    "reason",
)
PROBE_DURATION = histogram(
    "exchange_probe_duration_seconds",
    "Duration of answered probes, from the start of the request (before name resolution) "
    "to the last byte of the body; for new connections this includes connection setup.",
    _REQUEST,
    "exchange",
    "endpoint",
    "connection",
)
PROBE_PHASE_DURATION = histogram(
    "exchange_probe_phase_duration_seconds",
    "Duration of each phase of answered probes: resolve, connect and tls (new connections"
    " only), processing from the last byte of the request to the first byte of the "
    "response, transfer from there to the last byte of the body.",
    _REQUEST_PHASE,
    "exchange",
    "endpoint",
    "phase",
)
PROBE_LAST_SUCCESS = gauge(
    "exchange_probe_last_success_timestamp_seconds",
    "End time of the last successful probe, by the local clock; absent before the first success.",
    "exchange",
    "endpoint",
)
PROBE_RESPONSES = counter(
    "exchange_probe_http_responses_total",
    "Responses by HTTP status code: the first 11 codes of an endpoint exactly, any "
    "further code as other.",
    "exchange",
    "endpoint",
    "code",
)
PROBE_CERTIFICATE_END = gauge(
    "exchange_probe_tls_cert_not_after_timestamp_seconds",
    "Expiry time of the last certificate seen; kept after the expiry and after failed handshakes.",
    "exchange",
    "endpoint",
)
PROBE_CHAIN_END = gauge(
    "exchange_probe_tls_chain_not_after_timestamp_seconds",
    "End of validity of the certificate in the server's chain that expires first.",
    "exchange",
    "endpoint",
)
PROBE_ADDRESSES = gauge(
    "exchange_probe_resolved_addresses",
    "Number of addresses in the last resolution of the endpoint's host name.",
    "exchange",
    "endpoint",
)
PROBE_ADDRESS_CHANGES = counter(
    "exchange_probe_address_changes_total",
    "Times the set of resolved addresses differed from the previous one.",
    "exchange",
    "endpoint",
)

# --- breakers, limits, maintenance, clock ------------------------------------------------------

BREAKER_STATE = gauge(
    "exchange_circuit_breaker_state",
    "State of the endpoint's circuit breaker: 1 for the current state, 0 for the others.",
    "exchange",
    "endpoint",
    "state",
)
BREAKER_TRANSITIONS = counter(
    "exchange_circuit_breaker_transitions_total",
    "Transitions of the endpoint's circuit breaker, by the state entered.",
    "exchange",
    "endpoint",
    "to",
)
RATE_LIMIT_USED = gauge(
    "exchange_rate_limit_used_ratio",
    "Used share of the venue's request weight in the current window: from the venue's "
    "headers if it sends them, otherwise from the local count.",
    "exchange",
    "limit",
)
RATE_LIMIT_BANNED_UNTIL = gauge(
    "exchange_rate_limit_banned_until_timestamp_seconds",
    "End of the ban imposed by the venue (Retry-After of a 418 or 429 response), by the "
    "local clock.",
    "exchange",
)
MAINTENANCE_ACTIVE = gauge(
    "exchange_maintenance_active",
    "Whether a maintenance is in progress (1) or not (0), by source of the announcement.",
    "exchange",
    "source",
)
TRADING_MODE = gauge(
    "exchange_trading_mode",
    "Trading mode published by the venue: 1 for the current mode, 0 for the others; "
    "absent if the venue publishes none. If modes are per market: the most restricted mode of the "
    "configured symbols. A restricted mode is not a maintenance.",
    "exchange",
    "mode",
)
MAINTENANCE_END = gauge(
    "exchange_maintenance_end_timestamp_seconds",
    "Announced end of the current maintenance; absent if no end was announced.",
    "exchange",
)
MAINTENANCE_START = gauge(
    "exchange_maintenance_start_timestamp_seconds",
    "Start of the next maintenance, as announced by the venue or its status page or planned in "
    "the config; absent if none is known.",
    "exchange",
)
INCIDENT_DECLARED = gauge(
    "exchange_incident_declared",
    "Whether the venue itself reports an unplanned incident that affects what is watched (1) or "
    "none (0), by source of the report; absent until the source was read once. An incident is not "
    "a maintenance.",
    "exchange",
    "source",
)
INCIDENT_LEAD = gauge(
    "exchange_incident_lead_seconds",
    "Time from this exporter's first detection of the failure to the venue's declaration of its "
    "newest incident; negative if the venue was first; absent unless both have happened.",
    "exchange",
)
CLOCK_OFFSET = gauge(
    "exchange_clock_offset_seconds",
    "Venue clock minus local clock, measured by the probe with the shortest round trip in"
    " the window.",
    "exchange",
)
CLOCK_OFFSET_ERROR = gauge(
    "exchange_clock_offset_error_seconds",
    "Largest possible error of the clock offset: half of the round trip it was measured with.",
    "exchange",
)
