"""Probes are judged by what they promise, and repeated on time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from exporter.contracts import FetchFailedError
from exporter.decoding import ParseError
from exporter.maintenance import Maintenance
from exporter.model import Answer, Expectation, Phase, Probed, Reason, Target
from exporter.probes.failures import of_probe
from exporter.probes.probe import Readers, probe
from tests.fakes import FakeClock, run_virtual

TARGET = Target(exchange="acme", endpoint="time", url="http://acme.example/time")


def answer(status: int = 200, body: bytes = b'{"t": 1}', **headers: str) -> Answer:
    """Return an answer; underscores in header names stand for dashes."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        status=status,
        headers=names,
        body=body,
        new_connection=True,
        phases={Phase.PROCESSING: 0.1},
        certificate_end=1.9e9,
    )


@dataclass
class ScriptedFetch:
    """A Fetch that takes ``takes`` seconds and then gives what ``script`` says."""

    script: Callable[[int], Answer | FetchFailedError]
    takes: Callable[[int], float] = lambda number: 0.1
    begun: list[float] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        number = len(self.begun)
        self.begun.append(asyncio.get_running_loop().time())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.takes(number))
        finally:
            self.running -= 1
        said = self.script(number)
        if isinstance(said, FetchFailedError):
            raise said
        return said


def judged(
    said: Answer | FetchFailedError, target: Target = TARGET, readers: Readers | None = None
) -> Probed:
    """Return the outcome of one probe that was answered so."""
    fetch = ScriptedFetch(lambda number: said)
    return run_virtual(probe(target, fetch, FakeClock(), readers or Readers()))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, None),
        (301, Reason.REDIRECT),
        (304, Reason.OTHER),
        (308, Reason.REDIRECT),
        (404, Reason.HTTP_4XX),
        (418, Reason.HTTP_4XX),
        (429, Reason.RATE_LIMITED),
        (500, Reason.HTTP_5XX),
        (599, Reason.HTTP_5XX),
        (999, Reason.OTHER),
    ],
)
def test_status_gives_reason(status: int, reason: Reason | None) -> None:
    """Every status outside those expected fails the probe, with a reason of the closed set."""
    assert judged(answer(status)).reason is reason


def test_a_redirect_says_where_it_leads() -> None:
    """Whoever reads the failure sees the new place, without what we had sent along."""
    target = replace(TARGET, headers={"X-Key": "hunter2hunter2"})
    done = judged(answer(301, b"", location="https://new.example/?k=hunter2hunter2"), target)
    assert done.detail.startswith("status 301 to https://new.example/?k=")
    assert "hunter2" not in done.detail
    kept = of_probe(done, target)
    assert kept.headers["location"].startswith("https://new.example/")
    assert "hunter2" not in str(kept)


def test_expected_status_may_be_any() -> None:
    """An endpoint may be configured to refuse."""
    target = replace(TARGET, statuses=frozenset({401}))
    assert judged(answer(401), target).ok
    assert judged(answer(200), target).reason is Reason.OTHER


def test_fault_hidden_in_200() -> None:
    """A venue's own error codes count, and come before the status."""
    readers = Readers(fault=lambda reply: Reason.BANNED if b"-1003" in reply.body else None)
    assert judged(answer(200, b'{"code": -1003}'), readers=readers).reason is Reason.BANNED


def test_failed_fetch_becomes_value() -> None:
    """No answer is an outcome too, with the certificate of a failed handshake."""
    done = judged(FetchFailedError(Reason.CERT_EXPIRED, "expired", 1.6e9))
    assert (done.reason, done.detail, done.certificate_end) == (
        Reason.CERT_EXPIRED,
        "expired",
        1.6e9,
    )
    assert done.answer is None
    assert done.duration == pytest.approx(0.1)
    assert done.time == 1.7e9


@pytest.mark.parametrize(
    ("expected", "body", "met"),
    [
        (Expectation(path="t", equals=1), b'{"t": 1}', True),
        (Expectation(path="t", equals=1), b'{"t": true}', False),
        (Expectation(path="t", equals=2), b'{"t": 1}', False),
        (Expectation(path="a.1.b", equals="x"), b'{"a": [0, {"b": "x"}]}', True),
        (Expectation(path="a.2.b", equals="x"), b'{"a": [0, {"b": "x"}]}', False),
        (Expectation(path="t"), b'{"t": null}', True),
        (Expectation(path="t"), b'{"u": 1}', False),
        (Expectation(path="t"), b"<html>", False),
        (Expectation(path="t"), b"[" * 100_000, False),
        (Expectation(path="t", matches="^ok"), b'{"t": "ok!"}', True),
        (Expectation(path="t", matches="^ok"), b'{"t": "not ok"}', False),
        (Expectation(matches="serv.r"), b"\xff server", True),
        (Expectation(matches="serv.r"), b"", False),
    ],
)
def test_expectations(expected: Expectation, body: bytes, met: bool) -> None:
    """A body that is not as expected fails the probe as body_invalid, whatever bytes it is."""
    done = judged(answer(200, body), replace(TARGET, expect=(expected,)))
    assert done.reason is (None if met else Reason.BODY_INVALID)


def test_readers_see_only_success() -> None:
    """An error page is never read as a clock."""
    asked: list[bytes] = []

    def read(body: bytes) -> float:
        asked.append(body)
        return 1.7e9

    readers = Readers(clock=read, status=lambda body: Maintenance(active=True))
    failed = judged(answer(503, b"oops"), readers=readers)
    assert (asked, failed.clock, failed.maintenance) == ([], None, None)
    done = judged(answer(200, b"now"), readers=readers)
    assert (asked, done.clock, done.maintenance) == ([b"now"], 1.7e9, Maintenance(active=True))


@pytest.mark.parametrize(
    "error", [ParseError("x"), KeyError("x"), RecursionError(), OverflowError(), TypeError()]
)
def test_unreadable_body(error: Exception) -> None:
    """Whatever a reader trips over is the body's fault, not the program's."""

    def read(body: bytes) -> float:
        raise error

    assert judged(answer(), readers=Readers(clock=read)).reason is Reason.BODY_INVALID


def test_retry_after_in_both_forms() -> None:
    """Seconds and dates mean the same; a date is read against the server's own clock."""
    assert judged(answer(429, retry_after="17")).retry_after == 17.0
    dates = {
        "retry_after": "Tue, 14 Nov 2023 22:14:20 GMT",
        "date": "Tue, 14 Nov 2023 22:13:50 GMT",
    }
    assert judged(answer(503, b"", **dates)).retry_after == 30.0
    del dates["date"]
    assert (
        judged(answer(503, b"", **dates)).retry_after == 60.0
    )  # the fake clock's epoch is 22:13:20
    assert judged(answer(503, retry_after="soon")).retry_after is None
    assert judged(answer(200, retry_after="17")).retry_after is None
