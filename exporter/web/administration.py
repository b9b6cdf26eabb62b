"""Requests that change something, for the web servers of the exporter and the relay."""

from __future__ import annotations

from typing import Final

from exporter.config.server import ServerLimits
from exporter.flow.mailbox import Mailbox, MailboxFullError, UnansweredError
from exporter.web.routes import RefusedError, Request, refuse_foreign

_CLOSED: Final = "closed: only with server.changes: true in the config"


def allow_change(server: ServerLimits, request: Request, *, login: bool) -> None:
    """Let through what changes something, where the config does. Raises RefusedError.

    ``login``: whoever asks has shown who they are.
    """
    if not server.changes:
        raise RefusedError(403, _CLOSED)
    refuse_foreign(request, login=login)


async def reload(reloads: Mailbox[bool, object], server: ServerLimits) -> object:
    """Read the config anew; return what came of it. Raises RefusedError."""
    try:
        return await reloads.ask(False, server.request_timeout)
    except ValueError as error:  # a ConfigError: its lines say what is wrong
        raise RefusedError(500, f"failed to reload config, the old one stays: {error}") from error
    except (MailboxFullError, UnansweredError) as error:
        raise RefusedError(503, "another reload is running, or the program is stopping") from error
