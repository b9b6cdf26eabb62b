"""Evidence says what happened, in bounds, and gives no secret away."""

from __future__ import annotations

from exporter.contracts import ConnectionLostError
from exporter.model import Answer, Lost, Phase, Probed, Reason, Target
from exporter.probes.failures import of_probe, of_stream

TARGET = Target(
    exchange="acme", endpoint="time", url="http://x", headers={"X-Key": "s3cret-token", "A": "b"}
)


def _failed(answer: Answer | None, detail: str = "") -> Probed:
    return Probed(
        exchange="acme", endpoint="time", time=5.0, duration=0.25, late=0.5,
        reason=Reason.HTTP_5XX, answer=answer, detail=detail,
    )  # fmt: skip


def test_an_answer_leaves_its_traces() -> None:
    """Status, phases, addresses, telling headers and the beginning of the body."""
    answer = Answer(
        status=503,
        headers={"retry-after": "7", "set-cookie": "session=1", "server": "edge"},
        body=b"busy " * 1000,
        new_connection=True,
        phases={Phase.CONNECT: 0.1},
        addresses=("192.0.2.1",),
    )
    kept = of_probe(_failed(answer), TARGET)
    assert (kept.status, kept.phases, kept.addresses) == (503, {Phase.CONNECT: 0.1}, ("192.0.2.1",))
    assert kept.headers == {"retry-after": "7", "server": "edge"}
    assert kept.body == ("busy " * 100)
    assert (kept.body_size, kept.late, kept.new_connection) == (5000, 0.5, True)


def test_secrets_that_come_back_are_blacked_out() -> None:
    """A server that repeats our headers does not make us publish them, not even cut in half."""
    body = b"x" * 495 + b"s3cret-token and more"
    headers = {"server": "for s3cret-token"}
    answer = Answer(status=400, headers=headers, body=body, new_connection=False, phases={})
    kept = of_probe(_failed(answer, "you sent s3cret-token"), TARGET)
    assert kept.body == "x" * 495 + "*** a"[:5]
    assert kept.headers == {"server": "for ***"}
    assert kept.detail == "you sent ***"


def test_no_answer_at_all() -> None:
    """What there is, is kept; the rest is empty."""
    kept = of_probe(_failed(None, "Connection refused " * 100), TARGET)
    assert (kept.status, kept.body, kept.reason) == (None, "", Reason.HTTP_5XX)
    assert len(kept.detail) == 300


def test_a_stream_s_end() -> None:
    """The close code, what was said, and how long it lived."""
    kept = of_stream(ConnectionLostError(Lost.SERVER_CLOSE, "go away", 1001), 9.0, 3.5)
    assert (kept.time, kept.reason, kept.code, kept.detail, kept.lived) == (
        9.0, Lost.SERVER_CLOSE, 1001, "go away", 3.5,
    )  # fmt: skip
