"""What each failure reason means, and what to do: for the status page and the docs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.model import Lost, Reason, Resync, Skip

_NETWORK: Final = "check the network path: firewall, proxy (HTTPS_PROXY), route"
MEANINGS: Final[Mapping[Reason, tuple[str, str]]] = {
    Reason.DNS: (
        "the host name cannot be resolved",
        "check the name servers (/etc/resolv.conf), or set rest_url",
    ),
    Reason.CONNECT_REFUSED: ("the connection was refused", _NETWORK),
    Reason.CONNECT_TIMEOUT: ("no connection within the timeout", _NETWORK),
    Reason.UNREACHABLE: ("there is no route to the host", _NETWORK),
    Reason.TLS: (
        "the TLS handshake fails",
        "check for a proxy that intercepts TLS, and the system's certificate authorities",
    ),
    Reason.CERT_EXPIRED: (
        "its certificate has expired, or this machine's date is wrong",
        "check this machine's date, then wait for the exchange to renew it",
    ),
    Reason.READ_TIMEOUT: (
        "connected, but no complete answer within the timeout",
        "raise probes.timeout if it is only slow",
    ),
    Reason.RESET: ("the connection was reset", _NETWORK),
    Reason.CLOSED: (
        "the connection was closed without an answer",
        "read the exchange's status page",
    ),
    Reason.REDIRECT: ("it redirects to another address", "set rest_url to that address"),
    Reason.HTTP_4XX: (
        "it rejects the request (HTTP 4xx)",
        "compare the endpoint's path and headers with the exchange's documentation",
    ),
    Reason.RATE_LIMITED: (
        "it reports too many requests",
        "wait, and find other clients on this address",
    ),
    Reason.BANNED: (
        "it has banned this address",
        "stop all requests from this address until the ban ends",
    ),
    Reason.REGION_REFUSED: (
        "it does not serve this region",
        "set region, or rest_url and stream_url, to a site that serves yours",
    ),
    Reason.HTTP_5XX: (
        "it answers with a server error",
        "read the exchange's status page",
    ),
    Reason.BODY_INVALID: (
        "the answer is not as expected",
        "read the failures: a maintenance page, or expect is outdated",
    ),
    Reason.BARE_LINE_FEED: (
        "the answer is not valid HTTP (lines end in LF only)",
        "check for a proxy or load balancer that rewrites answers",
    ),
    Reason.LOCAL_RESOURCE: (
        "this machine has run out of file descriptors, ports or buffers",
        "raise the limit of open files (ulimit -n)",
    ),
    Reason.OTHER: ("another error", "read the failures and the log"),
}
SKIPS: Final[Mapping[Skip, tuple[str, str]]] = {
    Skip.BREAKER_OPEN: (
        "the circuit breaker is open: it failed too often",
        "nothing; single trials are sent until one succeeds",
    ),
    Skip.RATE_BUDGET: (
        "the share of the venue's limit is used up",
        "raise intervals, or limits.share and probes.budget_share",
    ),
    Skip.BANNED: ("the exchange has banned this address", "wait until the ban ends"),
    Skip.QUEUE_FULL: ("too many concurrent probes", "raise probes.concurrency"),
    Skip.LOCAL_NETWORK: ("the local network is down", "check this machine's network"),
    Skip.MAINTENANCE: ("maintenance, with pause: true", "nothing"),
}
LOSSES: Final[Mapping[Lost, tuple[str, str]]] = {
    Lost.SERVER_CLOSE: ("the exchange closed the connection", "read its code and text in the log"),
    Lost.PING_TIMEOUT: ("no answer to a ping", _NETWORK),
    Lost.IDLE: ("connected, but nothing arrived", "read the exchange's status page"),
    Lost.STALE_SUBSCRIPTION: (
        "a subscription stayed silent, so we connected again",
        "compare with the exchange's own site whether that market trades",
    ),
    Lost.SEQUENCE_GAP: (
        "messages were missing, so we connected again",
        "nothing, unless it repeats: then check queues and the network path",
    ),
    Lost.PROTOCOL_ERROR: (
        "what arrived breaks the protocol",
        "read the detail in the log; compare with the exchange's documentation",
    ),
    Lost.NETWORK: ("the connection broke, or none can be made", _NETWORK),
    Lost.LOCAL_RESOURCE: MEANINGS[Reason.LOCAL_RESOURCE],
    Lost.PLANNED: ("replaced by a new connection before its end", "nothing"),
    Lost.SHUTDOWN: ("closed by us", "nothing"),
}
RESYNCS: Final[Mapping[Resync, tuple[str, str]]] = {
    Resync.START: ("a new connection", "nothing"),
    Resync.GAP: ("an update was missing", "nothing, unless it repeats: check queues and network"),
    Resync.CHECKSUM: (
        "the exchange's checksum differs",
        "nothing, unless it repeats: then report it, with a capture",
    ),
    Resync.CROSSED: (
        "the best bid was not below the best ask",
        "nothing, unless it repeats: then compare with the exchange's own site",
    ),
    Resync.AUDIT: (
        "it differed from the book over REST",
        "nothing, unless it repeats: then report it, with a capture",
    ),
}
DOMAINS: Final[Mapping[str, str]] = {
    "exchange": "the exchange itself",
    "path": "the network path to it",
    "self": "this machine or its network",
}


_WORDS: Final[Mapping[str, str]] = {
    str(reason): means
    for table in (RESYNCS, LOSSES, MEANINGS)
    for reason, (means, _) in table.items()
}


def in_words(reason: str) -> str:
    """Return what a reason's label means; a label that is none is shown with spaces."""
    return _WORDS.get(reason) or reason.replace("_", " ")
