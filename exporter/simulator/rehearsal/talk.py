"""HTTP with JSON to the programs of a rehearsal; it blocks, as nothing else is to do meanwhile."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from exporter.words import why

_LIMIT = 10.0  # seconds
_MOST = 64 << 20  # bytes


class RehearsalError(Exception):
    """The rehearsal cannot go on; the text says why."""


def ask(url: str, method: str = "GET", body: object = None) -> object:
    """Send a request; return the JSON of the answer, None for none. Raises RehearsalError."""
    if not url.startswith(("http://", "https://")):
        raise RehearsalError(f"{url}: expected an http or https URL")
    request = urllib.request.Request(  # noqa: S310 - the scheme has just been looked at
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=_LIMIT) as reply:  # noqa: S310 - as above
            text = reply.read(_MOST)
        return json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(1000).decode(errors="replace")
        raise RehearsalError(f"{method} {url}: {error.code} {said}") from error
    except (OSError, ValueError) as error:
        raise RehearsalError(f"{method} {url}: {why(error)}") from error


def has_result(prometheus: str, query: str) -> bool:
    """Return whether a query gives any series now. Raises RehearsalError."""
    answer = ask(f"{prometheus}/api/v1/query?{urlencode({'query': query})}")
    try:
        return bool(answer["data"]["result"])  # type: ignore[index]
    except (LookupError, TypeError) as error:
        raise RehearsalError(f"{prometheus}: expected a result, was {answer!r:.80}") from error


def inject(simulator: str, faults: Sequence[object]) -> list[int]:
    """Bring faults about; return the number of each. Raises RehearsalError."""
    answer = ask(f"{simulator}/control/faults", "POST", faults)
    if not isinstance(answer, dict):
        raise RehearsalError(f"{simulator}: expected the numbers of the faults, was {answer!r:.80}")
    return list(answer["ids"])


def withdraw(simulator: str, numbers: Iterable[int]) -> None:
    """End these faults; those that are over by themselves too. Raises RehearsalError."""
    for number in numbers:
        try:
            ask(f"{simulator}/control/faults/{number}", "DELETE")
        except RehearsalError as error:
            if " 404 " not in str(error):
                raise


def text(url: str) -> str:
    """Return a page as text. Raises RehearsalError."""
    try:
        with urllib.request.urlopen(url, timeout=_LIMIT) as reply:  # noqa: S310 - our own loopback URLs
            return str(reply.read(_MOST), "utf-8")
    except (OSError, ValueError) as error:
        raise RehearsalError(f"GET {url}: {why(error)}") from error


def answers(url: str) -> bool:
    """Return whether a page answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=_LIMIT):  # noqa: S310 - our own loopback URLs
            return True
    except OSError:
        return False
