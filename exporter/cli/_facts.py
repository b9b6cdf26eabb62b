"""Facts that venue files state and the network may contradict: what they are, and how they read."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib.metadata import version

from exporter.model import Reason


class FactVerdict(StrEnum):
    """What came of one fact."""

    AS_DOCUMENTED = "as documented"
    DIFFERENT = "different"  # the exchange answered, and not as the venue file says
    NOT_SEEN = "not seen"  # nothing came that would tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a venue file says, and what was seen of it. ``at``: an address."""

    about: str
    at: str
    verdict: FactVerdict
    expected: str
    seen: str
    mend: str = ""


@dataclass(slots=True, kw_only=True)
class Judged:
    """All facts of one exchange, and what was received: names of headers, first frames."""

    exchange: str
    venue: str
    facts: list[Finding] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    frames: list[str] = field(default_factory=list)
    doubts: list[Finding] = field(default_factory=list)  # what the venue file is unsure of


NETWORK = "check the network path: firewall, proxy (HTTPS_PROXY), route"
MENDS: Mapping[Reason, str] = {
    Reason.DNS: "check the name servers (/etc/resolv.conf), or set rest_url",
    Reason.CONNECT_REFUSED: NETWORK,
    Reason.CONNECT_TIMEOUT: NETWORK,
    Reason.UNREACHABLE: NETWORK,
    Reason.TLS: "check for a proxy that intercepts TLS, and the system's certificate authorities",
    Reason.CERT_EXPIRED: "check this machine's date, then wait for the exchange to renew it",
    Reason.READ_TIMEOUT: "try again; raise probes.timeout if it is only slow",
    Reason.REDIRECT: "set rest_url to where the answer points",
    Reason.RATE_LIMITED: "wait, and find other clients on this address",
    Reason.BANNED: "stop all requests from this address until the ban ends",
    Reason.REGION_REFUSED: "set region, or rest_url and stream_url, to a site that serves yours",
    Reason.HTTP_5XX: "read the exchange's status page",
    Reason.LOCAL_RESOURCE: "raise the limit of open files (ulimit -n)",
}
REPORT = "report it with the block below: the venue file may be out of date"


def table(judged: Sequence[Judged]) -> list[tuple[str, ...]]:
    """Return rows of the facts, the first one names the columns."""
    rows: list[tuple[str, ...]] = [("exchange", "fact", "verdict", "seen", "at")]
    rows += [
        (each.exchange, fact.about, fact.verdict, fact.seen[:100], fact.at[:100])
        for each in judged
        for fact in (*each.facts, *each.doubts)
    ]
    return rows


def mends(judged: Sequence[Judged]) -> list[str]:
    """Return a line for everything to mend, those of the same kind together."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in judged:
        for fact in (*each.facts, *each.doubts):
            if fact.mend:
                found.setdefault((each.exchange, fact.mend), []).append(fact.about)
    return [f"{name}: {', '.join(about)}: {mend}" for (name, mend), about in found.items()]


def as_documented(judged: Sequence[Judged]) -> bool:
    """Return whether all that was looked for was seen, and was as the venue files say.

    A doubt that no look has settled counts for nothing.
    """
    facts = all(fact.verdict is FactVerdict.AS_DOCUMENTED for each in judged for fact in each.facts)
    return facts and not any(
        doubt.verdict is FactVerdict.DIFFERENT for each in judged for doubt in each.doubts
    )


def as_json(judged: Sequence[Judged], more: Mapping[str, object]) -> str:
    """Return everything as one JSON document."""
    document = {**more, **_made_by(), "exchanges": [asdict(each) for each in judged]}
    return json.dumps(document, indent=1)


def block(judged: Sequence[Judged], when: str) -> list[str]:
    """Return what to paste into a bug report: what was not as documented, and what was received."""
    made = " ".join(_made_by().values())
    lines = ["----- paste from here -----", f"{made}, {when}"]
    for each in judged:
        odd = [fact for fact in each.facts if fact.verdict is not FactVerdict.AS_DOCUMENTED]
        doubted = [doubt for doubt in each.doubts if doubt.verdict is FactVerdict.DIFFERENT]
        if not odd and not doubted:
            continue
        lines.append(f"{each.exchange} ({each.venue}): {len(odd)} of {len(each.facts)} facts")
        for fact in odd:
            lines.append(f"  {fact.verdict}: {fact.about} at {fact.at}")
            lines.append(f"    expected: {fact.expected}")
            lines.append(f"    seen: {fact.seen}")
        lines += [f"  header {name}: {value[:100]}" for name, value in each.headers.items()]
        lines += [f"  frame {frame}" for frame in each.frames]
        lines += [f"  {one.about}: {one.verdict}: {one.seen}" for one in each.doubts]
    return [*lines, "----- to here -----"]


def _made_by() -> dict[str, str]:
    return {
        "exporter": f"exchange-exporter {version('exchange-exporter')}",
        "python": f"Python {platform.python_version()}",
        "system": platform.platform(terse=True),
    }
