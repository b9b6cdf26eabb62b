"""The library Apprise as a `contracts.Fetch`: it sends its own requests, in a thread.

Loaded only when a receiver asks for it: it costs 30 MB and a second.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from functools import partial
from typing import Final

import apprise

from exporter.contracts import FetchFailedError
from exporter.flow.workers import Workers, WorkersBusyError
from exporter.model import Answer, Reason

_CALLS: Final = Workers("apprise", limit=16, waiting=200)
logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs addresses with their secrets


async def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    timeout: float,
    body_limit: int,
    body: bytes | None = None,
) -> Answer:
    """Hand one notification to the library. 200: it was taken, 400: no such address, 503: not.

    Raises FetchFailedError when it takes longer than ``timeout`` seconds; its thread goes on.
    """
    try:
        async with asyncio.timeout(timeout):
            return _answer(await _CALLS.run(partial(_notify, url, body or b"{}")))
    except WorkersBusyError as error:
        raise FetchFailedError(Reason.LOCAL_RESOURCE, str(error)) from error
    except TimeoutError as error:
        raise FetchFailedError(Reason.READ_TIMEOUT, "the service took too long") from error


def _notify(url: str, body: bytes) -> int:
    message = json.loads(body)
    service = apprise.Apprise()
    if not service.add(url):
        return 400
    taken = service.notify(
        body=message.get("body") or message.get("title") or "-",
        title=message.get("title", ""),
        notify_type=message.get("type", "info"),
    )
    return 200 if taken else 503


def _answer(status: int) -> Answer:
    return Answer(status=status, headers={}, body=b"", new_connection=True, phases={})
