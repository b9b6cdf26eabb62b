"""What both web servers, the exporter's and the relay's, share: bounds, and changes by hand."""

from __future__ import annotations

from typing import Final, Protocol

from exporter.flow.mailbox import Mailbox, MailboxFullError, UnansweredError
from exporter.web.routes import RefusedError, Request, refuse_foreign
from exporter.web.server import ServerLimits

_CLOSED: Final = "closed: only with server.changes: true in the config"


class ServerConfig(Protocol):
    """The section ``server`` of either config. Sizes in bytes, times in seconds."""

    @property
    def connections(self) -> int: ...
    @property
    def connections_per_client(self) -> int: ...
    @property
    def requests_per_second(self) -> int: ...
    @property
    def requests(self) -> int: ...
    @property
    def header_limit(self) -> int: ...
    @property
    def header_timeout(self) -> float: ...
    @property
    def request_timeout(self) -> float: ...
    @property
    def idle_timeout(self) -> float: ...
    @property
    def changes(self) -> bool: ...


def limits(server: ServerConfig, body: int) -> ServerLimits:
    """Return the server's bounds as configured; ``body``: of a request, in bytes."""
    return ServerLimits(
        connections=server.connections,
        connections_per_client=server.connections_per_client,
        requests_per_second=server.requests_per_second,
        requests=server.requests,
        header=server.header_limit,
        body=body,
        head_timeout=server.header_timeout,
        request_timeout=server.request_timeout,
        idle_timeout=server.idle_timeout,
    )


def allow_change(server: ServerConfig, request: Request, *, login: bool) -> None:
    """Let through what changes something, where the config does. Raises RefusedError.

    ``login``: whoever asks has shown who they are.
    """
    if not server.changes:
        raise RefusedError(403, _CLOSED)
    refuse_foreign(request, login=login)


async def reload(reloads: Mailbox[None, object], server: ServerConfig) -> object:
    """Read the config anew; return what came of it. Raises RefusedError."""
    try:
        return await reloads.ask(None, server.request_timeout)
    except ValueError as error:  # a ConfigError: its lines say what is wrong
        raise RefusedError(500, f"failed to reload config, the old one stays: {error}") from error
    except (MailboxFullError, UnansweredError) as error:
        raise RefusedError(503, "another reload is under way, or we are stopping") from error
