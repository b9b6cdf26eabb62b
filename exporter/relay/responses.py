"""Functions by which notifiers parse the responses of their services."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

import msgspec

from exporter.decoding import DOUBTFUL
from exporter.model import Answer
from exporter.notification import Refused, Retry

_Reply = TypeVar("_Reply", bound=msgspec.Struct)


def read_json(answer: Answer, kind: type[_Reply]) -> _Reply:
    """Return the JSON of an answer; ``kind`` with its defaults for a body that is none."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except DOUBTFUL:  # nested too deeply, too: an error of ours would cost the page
        return kind()


def failure(
    status: int, reason: str, *, after: float | None = None, gone: Collection[int] = (401, 403, 404)
) -> Retry | Refused:
    """Return what a status other than success means, where the service defines nothing special.

    A 429 was never processed; after a 5xx nobody knows. The account or address is not accepted at a
    status of ``gone``. ``after``: seconds until the next try, if the service named any.
    """
    if status == 429:
        return Retry(reason, after=after)
    if status >= 500:
        return Retry(reason, unsure=True)
    return Refused(reason, gone=status in gone)
