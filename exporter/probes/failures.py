"""The last failures of endpoints and streams, bounded and without secrets, as evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.contracts import ConnectionLostError
from exporter.model import ConnectAttempt, Lost, Phase, Probed, Reason, Target
from exporter.redact import Redactor

KEPT = 20  # of each endpoint and stream
_EXCERPT = 500  # characters
_DETAIL = 300
_HEADERS = (
    "content-type", "date", "server", "location", "retry-after", "via",
    "cf-ray", "x-amz-cf-pop", "x-served-by", "x-cache",  # the edge that served the answer
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFailure:
    """One probe that failed. Durations in seconds, ``time`` is when it began, epoch seconds."""

    time: float
    duration: float
    late: float
    reason: Reason
    detail: str
    status: int | None = None
    phases: Mapping[Phase, float] = field(default_factory=dict)
    new_connection: bool | None = None
    addresses: tuple[str, ...] = ()
    attempts: tuple[ConnectAttempt, ...] = ()  # to connect, address by address
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""  # its beginning
    body_size: int = 0  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFailure:
    """One connection that ended or could not be made; ``lived`` in seconds, None: never."""

    time: float
    reason: Lost
    code: int | None
    detail: str
    lived: float | None


def of_probe(done: Probed, target: Target) -> ProbeFailure:
    """Return the record of a failed probe. What the request sent is redacted."""
    reason, answer = done.reason or Reason.OTHER, done.answer
    veil = Redactor(target.hidden)
    detail = veil.over(done.detail)[:_DETAIL]
    if answer is None:
        return ProbeFailure(
            time=done.time,
            duration=done.duration,
            late=done.late,
            reason=reason,
            detail=detail,
            attempts=done.attempts,
        )
    # Cut only after blacking out: half a secret would not be recognised.
    body = answer.body[: 4 * _EXCERPT + 1000].decode("utf-8", "replace")
    return ProbeFailure(
        time=done.time,
        duration=done.duration,
        late=done.late,
        reason=reason,
        detail=detail,
        status=answer.status,
        phases=dict(answer.phases),
        new_connection=answer.new_connection,
        addresses=answer.addresses,
        attempts=done.attempts,
        headers={
            name: veil.over(answer.headers[name])[:200]
            for name in _HEADERS
            if name in answer.headers
        },
        body=veil.over(body)[:_EXCERPT],
        body_size=len(answer.body),
    )


def of_stream(error: ConnectionLostError, ended: float, lived: float | None) -> StreamFailure:
    """Return the record of a connection that ended at ``ended`` (epoch seconds)."""
    return StreamFailure(
        time=ended,
        reason=error.reason,
        code=error.code,
        detail=error.detail[:_DETAIL],
        lived=lived,
    )
