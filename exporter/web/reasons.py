"""What each reason of a failure means in words, and what to do: for the page and for the docs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.model import Reason, Skip

_NETWORK: Final = "look at the network between: firewall, proxy (HTTPS_PROXY), route"
MEANINGS: Final[Mapping[Reason, tuple[str, str]]] = {
    Reason.DNS: (
        "its name cannot be resolved",
        "look at the name servers (/etc/resolv.conf), or set rest_url",
    ),
    Reason.CONNECT_REFUSED: ("it refuses the connection", _NETWORK),
    Reason.CONNECT_TIMEOUT: ("no connection within the timeout", _NETWORK),
    Reason.UNREACHABLE: ("there is no route to its network", _NETWORK),
    Reason.TLS: (
        "the TLS handshake fails",
        "look for a proxy that breaks TLS open, and at the system's authorities",
    ),
    Reason.CERT_EXPIRED: (
        "its certificate has expired, or this machine's date is wrong",
        "compare this machine's date, then wait for the exchange to renew",
    ),
    Reason.READ_TIMEOUT: (
        "connected, but no complete answer within the timeout",
        "raise probes.timeout if it is only slow",
    ),
    Reason.RESET: ("the connection was broken off", _NETWORK),
    Reason.CLOSED: (
        "it closed the connection without an answer",
        "look at the exchange's status page",
    ),
    Reason.REDIRECT: ("it answers from another address", "set rest_url to where it points"),
    Reason.HTTP_4XX: (
        "it refuses the request",
        "compare the endpoint's path and headers with the exchange's documentation",
    ),
    Reason.RATE_LIMITED: (
        "it says that we ask too often",
        "wait, and see who else asks from this address",
    ),
    Reason.BANNED: (
        "it has banned this address",
        "stop asking from this address until the ban is over",
    ),
    Reason.REGION_REFUSED: (
        "it does not serve this region",
        "set region, or rest_url and stream_url, to a site that serves yours",
    ),
    Reason.HTTP_5XX: ("it answers with a server error", "look at the exchange's status page"),
    Reason.BODY_INVALID: (
        "it answers, but not with what is expected",
        "read the failures: a maintenance page, or expect no longer fits",
    ),
    Reason.BARE_LINE_FEED: (
        "its answer breaks the rules of HTTP (lines that end in LF alone)",
        "look for a proxy or load balancer between that rewrites answers",
    ),
    Reason.LOCAL_RESOURCE: (
        "this machine ran out of descriptors, ports or buffers",
        "raise the limit of open files (ulimit -n)",
    ),
    Reason.OTHER: ("an error that has no name of its own", "read the failures and the log"),
}
SKIPS: Final[Mapping[Skip, tuple[str, str]]] = {
    Skip.BREAKER_OPEN: (
        "the circuit breaker is open: it failed too often",
        "nothing; one trial at a time is sent until one succeeds",
    ),
    Skip.RATE_BUDGET: (
        "the share of the venue's limit is used up",
        "raise intervals, or limits.share and probes.budget_share",
    ),
    Skip.BANNED: ("the exchange told us to stay away", "wait until the ban ends"),
    Skip.QUEUE_FULL: ("too many probes at a time", "raise probes.concurrency"),
    Skip.LOCAL_NETWORK: ("our own network is down", "look at this machine's network"),
    Skip.MAINTENANCE: ("maintenance, with pause: true", "nothing"),
}
DOMAINS: Final[Mapping[str, str]] = {
    "exchange": "the exchange itself",
    "path": "the way to it",
    "self": "this machine or its network",
}


def in_words(reason: str) -> str:
    """Return what a reason's label means; a label that is none is shown with spaces."""
    found = MEANINGS.get(Reason(reason)) if reason in set(Reason) else None
    return found[0] if found else reason.replace("_", " ")
