"""The limits of a web server, the exporter's or the relay's: durations in seconds, sizes in bytes.

Each of the two configs adds keys of its own, and the relay its own defaults. This is the one place
where a dataclass of ours inherits: it takes over declarations of keys, and no behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.config.kinds import boolean, duration, integer, size
from exporter.config.section import key, redeclared


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Limits of a web server. Its address and TLS are flags of the command line."""

    connections: int = key(
        integer(1, 10_000),
        128,
        "Maximum number of open connections, including unfinished TLS handshakes. When it is "
        "reached, the connection that was idle longest is closed; one eighth is reserved for "
        "clients that were answered before.",
    )
    connections_per_client: int = key(
        integer(1, 10_000),
        64,
        "Maximum number of open connections per client address; a further one closes the one that "
        "was idle longest.",
    )
    requests_per_second: int = key(
        integer(1, 100_000),
        100,
        "Maximum rate of requests, and of new connections, per client address; bursts of twice as "
        "many are allowed, further requests are answered 429. IPv6 addresses of one /64 network "
        "count as one client; a user who has logged in before counts separately.",
    )
    requests: int = key(
        integer(1, 10_000),
        32,
        "Maximum number of concurrent requests; further ones are answered 503. One eighth is "
        "reserved for clients that were answered before, except for clients that send or read "
        "slowly.",
    )
    header_limit: int = key(
        size("1KiB", "64KiB"), "8KiB", "Maximum size of the request line, and of each header."
    )
    header_timeout: float = key(
        duration("100ms", "5m"), "5s", "Timeout for receiving the request line and all headers."
    )
    request_timeout: float = key(
        duration("100ms", "10m"), "15s", "Timeout of a request and its response."
    )
    idle_timeout: float = key(
        duration("1s", "1h"),
        "2m",
        "Time after which an unused connection is closed; should be longer than the scrape "
        "interval.",
    )
    changes: bool = key(boolean(), False, "Allow requests that change state: /-/reload.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig(ServerLimits):
    """Limits of the exporter's web server. Its address and TLS are flags of the command line."""

    body_limit: int = key(size("1KiB", "16MiB"), "64KiB", "Maximum size of a request body.")
    api: bool = key(boolean(), True, "Serve the state as JSON under /api/v1, read-only.")
    changes: bool = redeclared(
        ServerLimits,
        "changes",
        doc="Allow requests that change state: /-/reload, /api/v1/jobs and breakers.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayServerConfig(ServerLimits):
    """Limits of the relay's web server. Its address and TLS are flags of the command line."""

    connections: int = redeclared(ServerLimits, "connections", 512)
    connections_per_client: int = redeclared(ServerLimits, "connections_per_client", 256)
    requests_per_second: int = redeclared(ServerLimits, "requests_per_second", 1000)
    requests: int = redeclared(ServerLimits, "requests", 256)
    # A post waits up to 5 s for the disk before it is answered.
    request_timeout: float = redeclared(ServerLimits, "request_timeout", kind=duration("6s", "10m"))
