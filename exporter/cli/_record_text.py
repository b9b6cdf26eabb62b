"""The record of an incident as Markdown: it reads well as it is, and prints well rendered. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from exporter.relay.record import IncidentRecord

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")
_NOTHING = "not known"


def as_markdown(record: IncidentRecord) -> str:
    """Return the whole record."""
    return "\n".join(_lines(record)) + "\n"


def _lines(record: IncidentRecord) -> Iterator[str]:
    where = ", ".join(record.exchanges) or "no exchange"
    yield f"# Incident {_text(record.id)}: {_text(where)}"
    yield ""
    yield from _table(("Fact", "Value"), _facts(record))
    yield ""
    yield "## Course"
    yield ""
    yield from _table(
        ("Time (UTC)", "After", "Step", "What"),
        [
            (_moment(each.time), _after(each.time - record.course[0].time), each.step, each.text)
            for each in record.course
        ],
    )
    yield ""
    yield "## Alerts"
    yield ""
    yield from _table(
        ("Alert", "Exchange", "Level", "Began", "Ended", "Summary"),
        [
            (each.name, each.exchange, each.level, _moment(each.start),
             "still fires" if each.end is None else _moment(each.end), each.summary)
            for each in record.alerts
        ],
    )  # fmt: skip
    yield ""
    yield "## Messages"
    yield ""
    yield from _table(
        ("Receiver", "Occasion", "State", "Attempts", "Seconds", "Id", "Detail"),
        [
            (each.receiver, each.occasion, each.state, str(each.attempts),
             "" if each.seconds is None else f"{each.seconds:.1f}", each.message_id, each.detail)
            for each in record.deliveries
        ],
    )  # fmt: skip
    if record.failures:
        yield ""
        yield "## What failed, and how often"
        yield ""
        yield from _table(
            ("Exchange", "What", "Reason", "Times"),
            [(each.exchange, each.what, each.reason, str(each.count)) for each in record.failures],
        )
    if record.evidence:
        yield ""
        yield "## Last failures"
        yield ""
        yield from _table(
            ("Time (UTC)", "What"), [(_moment(each.time), each.text) for each in record.evidence]
        )
    if record.unknown:
        yield ""
        yield "## Not asked, or not answered"
        yield ""
        for each in record.unknown:
            yield f"- {_text(each)}"


def _facts(record: IncidentRecord) -> Iterator[tuple[str, str]]:
    first = record.first_sample
    yield "Level", record.level
    yield "State", record.state
    yield "First bad sample", _NOTHING if first is None else _moment(first.time)
    if first is not None and first.last_good is not None:
        yield "Last good sample", _moment(first.last_good)
    yield "Detected", _moment(record.detected)
    yield "Relay heard", _moment(record.heard)
    yield (
        "First page confirmed",
        _NOTHING if record.delivered is None else _moment(record.delivered),
    )
    yield "Ended", "ongoing" if record.ended is None else _moment(record.ended)
    began = record.detected if first is None else first.time
    if first is not None:
        yield "From first bad sample to detection", _after(record.detected - began)
    if record.delivered is not None:
        yield "From detection to confirmed page", _after(record.delivered - record.detected)
    if record.ended is not None:
        yield "Length", _after(record.ended - began)


def _table(
    head: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]
) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(_text(cell) for cell in row)} |"


def _text(text: str) -> str:
    """Escape what Markdown would take for its own; a record has text of strangers."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _after(seconds: float) -> str:
    sign, size = ("-", -seconds) if seconds < 0 else ("", seconds)
    if size < 120.0:
        return f"{sign}{size:.1f} s"
    minutes, rest = divmod(round(size), 60)
    if minutes < 120:
        return f"{sign}{minutes} min {rest:02d} s"
    return f"{sign}{minutes // 60} h {minutes % 60:02d} min"
