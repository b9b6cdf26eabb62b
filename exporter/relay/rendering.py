"""The texts of messages: sandboxed templates, rendered and split to fit.

A language is a set of files in ``templates``: ``en.j2`` (first line the title), ``en.short.j2``
(one line for SMS), ``en.fields.j2`` (``name=value`` lines) and ``en.triage.j2``.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec
from jinja2.sandbox import ImmutableSandboxedEnvironment

from exporter.logs import SPARING
from exporter.notification import Alert, Level, Notification, Occasion
from exporter.relay import body_escaping, escaping
from exporter.relay.incident import Incident, worst
from exporter.relay.receiver import Receiver

log = logging.getLogger(__name__)

TEMPLATES: Final = Path(__file__).parent / "templates"
_UNITS: Final = {"th": ("วัน", "ชม.", "นาที", "วินาที")}
_ENGLISH: Final = ("d", "h", "min", "s")
_TITLE: Final = 250  # characters
_NAME: Final = 60  # characters of an alert's name in it
_EXCHANGE: Final = 24  # and of an exchange's
_EXCHANGES: Final = 5  # named in a title; then "+3"
_GROUPS: Final = 200  # rows of a digest; the last row counts the rest


class TemplateError(ValueError):
    """A template of the user's cannot be used; the text is one line for the user."""


class Safe(str):
    """Text of our own making: not to be made escape."""

    __slots__ = ()


def languages() -> tuple[str, ...]:
    """Return the languages there are texts in."""
    return tuple(sorted(f.name[:-3] for f in TEMPLATES.glob("*.j2") if f.name.count(".") == 1))


def span(seconds: float, language: str = "en") -> Safe:
    """Format how long something lasted: ``42 s``, ``3 min``, ``2 h 5 min``, ``4 d 3 h``."""
    day, hour, minute, second = _UNITS.get(language, _ENGLISH)
    whole = max(0, int(seconds))
    if whole < 60:
        return Safe(f"{whole} {second}")
    if whole < 3600:
        return Safe(f"{whole // 60} {minute}")
    if whole < 86400:
        hours, rest = divmod(whole // 60, 60)
        return Safe(f"{hours} {hour} {rest} {minute}" if rest else f"{hours} {hour}")
    days, rest = divmod(whole // 3600, 24)
    return Safe(f"{days} {day} {rest} {hour}" if rest else f"{days} {day}")


def clock(time: float | None) -> Safe:
    """Format a moment in UTC: the time of day, and the date when it is not the last day's."""
    if time is None:
        return Safe("?")
    return Safe(datetime.fromtimestamp(time, UTC).strftime("%d %b %H:%MZ"))


def _final(escape: Callable[[str], str], value: object) -> object:
    return escape(value) if isinstance(value, str) and not isinstance(value, Safe) else value


@lru_cache(maxsize=64)
def _environment(escape: Callable[[str], str], language: str) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        finalize=partial(_final, escape),
        autoescape=False,  # each service has its own escape, which finalize applies
        keep_trailing_newline=True,
    )
    environment.filters["span"] = partial(span, language=language)
    environment.filters["clock"] = clock
    return environment


@lru_cache(maxsize=16)
def _environment_of(finalize: Callable[[object], object], language: str) -> jinja2.Environment:
    environment = _environment(str, language).overlay(finalize=finalize)
    if finalize is body_escaping.in_json:
        environment.filters = {
            **environment.filters, "tojson": body_escaping.to_json, "safe": body_escaping.as_it_is,
        }  # fmt: skip
    return environment


def _body_environment(receiver: Receiver) -> jinja2.Environment:
    """Return the environment of a whole body: foreign text must not become structure of it.

    A label ``","admin":true,"z":"`` would be a key of its own, signed by us.
    """
    kind = receiver.accounts[0].options.get("content_type", "json") if receiver.accounts else "json"
    return _environment_of(body_escaping.of_type(kind), receiver.language)


def check(source: str, name: str) -> None:
    """See whether a template of the user's compiles and renders. Raises TemplateError."""
    try:
        template = _environment(str, "en").from_string(source)
        template.render(_context(_example(), Occasion.FIRING, 0.0, 10) | {"triage": ""})
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"{name}:{error.lineno}: {error.message}") from error
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise TemplateError(f"{name}: {error}") from error


def warm(receiver: Receiver) -> None:
    """Compile what a receiver's texts need, so that the first page does not wait for it."""
    for occasion in (Occasion.FIRING, Occasion.RESOLVED):
        compose(receiver, _example(), occasion, 0.0)
    triage_text(receiver, receiver.language, {"cause": "", "action": "", "prevention": ""})


def _example() -> Incident:
    alert = Alert(
        fingerprint="0",
        firing=True,
        start=0.0,
        name="ExchangeDown",
        exchange="okx",
        labels={"alertname": "ExchangeDown", "exchange": "okx"},
        annotations={"summary": "okx does not answer"},
    )
    return Incident(id="example", group="example", opened=0.0, alerts={"0": alert})


# --- from an incident to notes ------------------------------------------------------------------


def compose(
    receiver: Receiver, incident: Incident, occasion: Occasion, now: float, triage: str = ""
) -> tuple[Notification, ...]:
    """Return the notes that tell ``receiver`` of an incident: several when one would not fit."""
    context = _context(incident, occasion, now, receiver.listed) | {"triage": triage}
    firing, ended = incident.firing, incident.ended
    return _notes(
        receiver,
        context,
        Notification(
            occasion=occasion,
            level=incident.level,
            incident=incident.id,
            title="",
            texts=(),
            time=now,
            resolved=not firing,
            link=str(context["link"]),
            triage=triage if receiver.triage and receiver.notifier.triage else "",
            alerts=(*firing, *ended)[: max(receiver.listed, 100)],
        ),
    )


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """Alerts of one name, level and state, as a digest counts them."""

    name: str
    level: Level
    firing: bool
    count: int
    exchanges: tuple[str, ...]


def compose_digest(
    receiver: Receiver,
    groups: Sequence[AlertGroup],
    incidents: tuple[int, int],
    *,
    key: str,
    since: float,
    now: float,
) -> tuple[Notification, ...]:
    """Return the notes that add up what was held back. ``key`` names the digest.

    ``incidents``: how many of them fire, and how many have ended.
    """
    level = worst(group.level for group in groups)
    firing, ended = incidents
    context: dict[str, Any] = {
        "occasion": Occasion.DIGEST.value,
        "level": level.value,
        "name": "digest",
        "exchanges": _named({name for group in groups for name in group.exchanges}),
        "opened": since,
        "age": now - since,
        "firing_count": firing,
        "ended_count": ended,
        "total": sum(group.count for group in groups),
        "groups": _rows(groups),
        "listed": (),
        "more": 0,
        "changes": 0,
        "action": "",
        "summary": "",
        "link": Safe(""),
        "labels": {},
        "triage": "",
    }
    alerts = tuple(
        Alert(
            fingerprint=f"{key}-{number}",
            firing=group.firing,
            start=since,
            name=group.name,
            exchange=", ".join(group.exchanges),
            level=group.level,
            labels={"count": str(group.count)},
        )
        for number, group in enumerate(groups[:_GROUPS])
    )
    note = Notification(
        occasion=Occasion.DIGEST,
        level=level,
        incident=key,
        title="",
        texts=(),
        time=now,
        resolved=not firing,
        alerts=alerts,
    )
    return _notes(receiver, context, note)


def compose_test(receiver: Receiver, now: float) -> tuple[Notification, ...]:
    """Return one marked test message."""
    alert = Alert(fingerprint="test", firing=True, start=now, name="Test", level=Level.INFO)
    incident = Incident(id="test", group="test", opened=now, alerts={"test": alert})
    return compose(receiver, incident, Occasion.TEST, now)


def triage_text(receiver: Receiver, language: str, parts: Mapping[str, str]) -> str:
    """Return the triage as this receiver may show it, marked as a machine's."""
    environment = _environment(receiver.notifier.escape, language)
    known = language if language in languages() else "en"
    return environment.get_template(f"{known}.triage.j2").render(parts).strip()


def _context(incident: Incident, occasion: Occasion, now: float, most: int) -> dict[str, Any]:
    firing, ended = incident.firing, incident.ended
    alerts = (*firing, *ended)
    shown = alerts if len(alerts) <= most else ()
    first = alerts[0]
    names = Counter(alert.name for alert in firing or ended)
    name = escaping.cut(names.most_common(1)[0][0], _NAME)
    rest = len(names) - 1
    ends = [alert.end for alert in ended if alert.end]
    end = now if incident.closed is None else max(ends, default=incident.closed)
    opened = min((alert.start for alert in alerts if alert.start), default=incident.opened)
    links = (a.annotations.get("runbook_url", "") for a in alerts)
    return {
        "occasion": occasion.value,
        "level": incident.level.value,
        "name": f"{name} +{rest}" if rest else name,
        "exchanges": _exchanges(firing or ended),
        "opened": opened,
        "age": end - opened,
        "firing_count": len(firing),
        "ended_count": len(ended),
        "total": len(alerts) + incident.more,
        "listed": tuple(_view(alert) for alert in shown),
        "groups": () if shown else _groups(alerts),
        "more": incident.more,
        "changes": len(incident.changes),
        "action": first.annotations.get("action", ""),
        "summary": first.annotations.get("summary", ""),
        "link": Safe(next((escaping.link(link) for link in links if link), "")),
        "labels": first.labels,
    }


def _view(alert: Alert) -> dict[str, object]:
    return {
        "name": alert.name,
        "exchange": alert.exchange,
        "level": alert.level.value,
        "firing": alert.firing,
        "start": alert.start or None,
        "end": alert.end,
        "summary": alert.annotations.get("summary", "") or alert.annotations.get("message", ""),
        "detail": alert.annotations.get("description", ""),
        "labels": alert.labels,
        "annotations": alert.annotations,
    }


def _exchanges(alerts: Iterable[Alert]) -> str:
    return _named({alert.exchange for alert in alerts})


def _named(names: set[str]) -> str:
    known = sorted(names - {""})
    more = len(known) - _EXCHANGES
    shown = [escaping.cut(name, _EXCHANGE) for name in known[:_EXCHANGES]]
    return ", ".join(shown) + (f" +{more}" if more > 0 else "")


def _groups(alerts: Iterable[Alert]) -> list[dict[str, object]]:
    """Count alerts by name, level and state: every alert is in one row."""
    found: dict[tuple[str, Level, bool], list[Alert]] = {}
    for alert in alerts:
        found.setdefault((alert.name, alert.level, alert.firing), []).append(alert)
    return _rows(
        [
            AlertGroup(name, level, firing, len(rows), tuple({a.exchange for a in rows}))
            for (name, level, firing), rows in found.items()
        ]
    )


def _rows(groups: Sequence[AlertGroup]) -> list[dict[str, object]]:
    """Return the rows of a table, most first; the last one counts all that would be too many."""
    ordered = sorted(groups, key=lambda group: (not group.firing, -group.count, group.name))
    kept, rest = ordered[:_GROUPS], ordered[_GROUPS:]
    table: list[dict[str, object]] = [
        {
            "name": group.name,
            "level": group.level.value,
            "firing": group.firing,
            "count": group.count,
            "exchanges": _named(set(group.exchanges)),
        }
        for group in kept
    ]
    if rest:
        table.append(
            {
                "name": f"(+{len(rest)})",
                "level": worst(group.level for group in rest).value,
                "firing": any(group.firing for group in rest),
                "count": sum(group.count for group in rest),
                "exchanges": "",
            }
        )
    return table


# --- rendering and splitting --------------------------------------------------------------------


def _notes(
    receiver: Receiver, context: Mapping[str, Any], bare: Notification
) -> tuple[Notification, ...]:
    notifier = receiver.notifier
    title, lines = _rendered(receiver, context)
    if notifier.short:
        text = fitted(title, receiver.limit, notifier.measure)
        return (_replaced(bare, title=text, texts=(text,)),)
    fields = _fields(receiver, context)
    head = [] if notifier.titled else [title]
    texts = split([*head, *lines], receiver.limit, notifier.measure)
    notes = []
    for at in range(0, len(texts), notifier.texts):
        part = at // notifier.texts
        first = part == 0
        notes.append(
            _replaced(
                bare,
                title=title if first else f"{title} ({part + 1})",
                texts=tuple(texts[at : at + notifier.texts]),
                fields=fields if first else (),
                triage=bare.triage if first else "",
                body=_body(receiver, context) if first else None,
            )
        )
    return tuple(notes)


def _replaced(note: Notification, **changes: Any) -> Notification:
    return msgspec.structs.replace(note, **changes)


def _rendered(receiver: Receiver, context: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return title and lines; by the receiver's own template, the shipped one, or none at all."""
    environment = _environment(receiver.notifier.escape, receiver.language)
    kind = "short.j2" if receiver.notifier.short else "j2"
    try:
        if receiver.template is not None:
            text = environment.from_string(receiver.template).render(context)
        else:
            text = environment.get_template(f"{receiver.language}.{kind}").render(context)
    except Exception:  # whatever a user's template does, the page goes out
        log.warning("template_failed receiver=%s", receiver.name, exc_info=True, extra=SPARING)
        environment = _environment(receiver.notifier.escape, "en")
        text = environment.get_template(f"en.{kind}").render(context)
    lines = [line.rstrip() for line in text.strip().splitlines()]
    title, rest = (lines[0], lines[1:]) if lines else ("", [])
    return escaping.cut(title, _TITLE) if not receiver.notifier.short else title, rest


def _fields(receiver: Receiver, context: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    environment = _environment(receiver.notifier.escape, receiver.language)
    text = environment.get_template(f"{receiver.language}.fields.j2").render(context)
    pairs = (line.partition("=") for line in text.splitlines())
    return tuple((name.strip(), value.strip()) for name, _, value in pairs if value.strip())


def _body(receiver: Receiver, context: Mapping[str, Any]) -> str | None:
    if receiver.body is None:
        return None
    try:
        return _body_environment(receiver).from_string(receiver.body).render(context)
    except Exception:  # as above: then the built-in body goes out
        log.warning("template_failed receiver=%s", receiver.name, exc_info=True, extra=SPARING)
        return None


def split(lines: Sequence[str], limit: int, measure: Callable[[str], int]) -> list[str]:
    """Pack lines into as few texts as fit, in order, losing none; a longer line is cut in parts."""
    texts: list[str] = []
    current = ""
    for line in lines:
        for piece in _pieces(line, limit, measure):
            joined = f"{current}\n{piece}" if current else piece
            if measure(joined) <= limit:
                current = joined
            else:
                texts.append(current)
                current = piece
    return [*texts, current] if current or not texts else texts


def _pieces(line: str, limit: int, measure: Callable[[str], int]) -> Iterable[str]:
    while measure(line) > limit:
        at = _longest(line, limit, measure)
        # Neither an escape nor an emoji's parts are torn apart.
        while at > 1 and (line[at - 1] in "\\&" or line[at] in "\u200d\ufe0f"):
            at -= 1
        yield line[:at]
        line = line[at:]
    yield line


def _longest(line: str, limit: int, measure: Callable[[str], int]) -> int:
    low, high = 1, len(line)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measure(line[:middle]) <= limit else (low, middle - 1)
    return low


def fitted(text: str, limit: int, measure: Callable[[str], int]) -> str:
    """Cut a text so that it fits, with three dots at its end."""
    if measure(text) <= limit:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = measure(f"{text[:middle].rstrip()}...") <= limit
        low, high = (middle, high) if fits else (low, middle - 1)
    return f"{text[:low].rstrip()}..."
