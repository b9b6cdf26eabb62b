"""Facts of a REST address: its name, connection, TLS, answers, clock and headers of limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from exporter.cli._facts import MENDS, REPORT, FactVerdict, Finding
from exporter.contracts import Clock, Fetch, RestLimit, Venue
from exporter.model import Phase, Probed, Reason, Target
from exporter.probes.probe import Readers, probe

_FROM_OURS = 2.0  # seconds that a clock may be off ours: some venues tell whole seconds only
# How far a request came before it failed for this reason.
_STAGES: Mapping[Reason, Phase] = {
    Reason.DNS: Phase.RESOLVE,
    Reason.CONNECT_REFUSED: Phase.CONNECT,
    Reason.CONNECT_TIMEOUT: Phase.CONNECT,
    Reason.UNREACHABLE: Phase.CONNECT,
    Reason.TLS: Phase.TLS,
    Reason.CERT_EXPIRED: Phase.TLS,
}


async def ask(target: Target, venue: Venue, fetch: Fetch, clock: Clock) -> tuple[Target, Probed]:
    """Send one request, and read of its answer what the venue file can read."""
    endpoint = next((one for one in venue.endpoints if one.name == target.endpoint), None)
    readers = Readers()
    if not target.apart:
        readers = Readers(fault=venue.fault, clock=endpoint.clock if endpoint else None)
    return target, await probe(target, fetch, clock, readers)


def facts(
    base: str, probes: Sequence[tuple[Target, Probed]], limits: Sequence[RestLimit]
) -> Iterator[Finding]:
    """Yield the facts of one address, by what came of its requests."""
    if not probes:
        return
    yield from _way(base, [done for target, done in probes if not target.apart])
    for target, done in probes:
        yield _answer(target, done)
    for target, done in probes:
        if done.clock is not None:
            yield _clock(target, done)
            break
    answers = [done.answer for target, done in probes if done.answer and not target.apart]
    for limit in limits:
        for header in (limit.used_header, limit.remaining_header):
            if header is None:
                continue
            found = next((a.headers[header] for a in answers if header in a.headers), None)
            verdict = FactVerdict.AS_DOCUMENTED if found is not None else FactVerdict.DIFFERENT
            seen = f"{header}: {found}" if found is not None else "no such header"
            if not answers:
                verdict, seen = FactVerdict.NOT_SEEN, "no answer"
            yield Finding(about=f"limit {limit.name}", at=base, verdict=verdict, seen=seen,
                       expected=f"header {header}",
                       mend=REPORT if verdict is FactVerdict.DIFFERENT else "")  # fmt: skip


def _way(base: str, probes: Sequence[Probed]) -> Iterator[Finding]:
    """Yield what is known of the name, the connection and TLS, up to where it failed."""
    for done in probes:
        stage = _STAGES.get(done.reason) if done.reason else None
        if stage is None and (done.answer is None or not done.answer.new_connection):
            continue
        phases = [Phase.RESOLVE, Phase.CONNECT, *([Phase.TLS] if "https:" in base else [])]
        for phase in phases:
            expected = {Phase.RESOLVE: "the name resolves", Phase.CONNECT: "a connection",
                        Phase.TLS: "a certificate that is trusted"}[phase]  # fmt: skip
            if phase is stage:
                assert done.reason is not None  # noqa: S101 - a stage is a failure's
                yield Finding(about=phase, at=base, verdict=FactVerdict.NOT_SEEN, expected=expected,
                           seen=f"{done.reason}: {done.detail[:200]}",
                           mend=MENDS.get(done.reason, REPORT))  # fmt: skip
                return
            yield Finding(about=phase, at=base, verdict=FactVerdict.AS_DOCUMENTED,
                       expected=expected, seen=_passed(phase, done))  # fmt: skip
        return


def _passed(phase: Phase, done: Probed) -> str:
    answer = done.answer
    took = None if answer is None else answer.phases.get(phase)
    seen = "passed" if took is None else f"{took * 1000:.0f} ms"
    if phase is Phase.RESOLVE and answer is not None and answer.addresses:
        seen = f"{', '.join(answer.addresses[:4])} in {seen}"
    if phase is Phase.TLS and answer is not None and answer.certificate_end is not None:
        seen += f", valid for {(answer.certificate_end - done.time) / 86_400:.0f} more days"
    return seen


def _answer(target: Target, done: Probed) -> Finding:
    answer, reason = done.answer, done.reason
    seen = f"HTTP {answer.status}, {len(answer.body)} bytes" if answer else "no answer"
    make = partial(Finding, about=f"REST {target.endpoint}", at=target.url,
                   expected="HTTP 200 and a body as documented")  # fmt: skip
    if reason is None:
        return make(
            verdict=FactVerdict.AS_DOCUMENTED, seen=f"{seen} in {done.duration * 1000:.0f} ms"
        )
    verdict = FactVerdict.NOT_SEEN if answer is None else FactVerdict.DIFFERENT
    return make(verdict=verdict, seen=f"{seen}: {reason}: {done.detail[:200]}",
                mend=MENDS.get(reason, REPORT))  # fmt: skip


def _clock(target: Target, done: Probed) -> Finding:
    assert done.clock is not None  # noqa: S101 - asked for by the caller
    offset = done.clock - (done.time + done.duration / 2)
    far = abs(offset) > _FROM_OURS + done.duration / 2
    return Finding(
        about="clock", at=target.url, expected=f"within {_FROM_OURS:g} s of ours",
        verdict=FactVerdict.DIFFERENT if far else FactVerdict.AS_DOCUMENTED,
        seen=f"{offset:+.3f} s from ours",
        mend="set this machine's clock (NTP); if it is right, the exchange's is off" if far else "",
    )  # fmt: skip
