"""What `watch` shows and how keys change it: pure, so that a test can press them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from exporter.web.page import duration, number, percent, rate, signed, span
from exporter.web.problems import problems
from exporter.web.reasons import DOMAINS
from exporter.web.state import ExchangeView, Health, Snapshot

_GRAVITY = (Health.DOWN, Health.DEGRADED, Health.PENDING, Health.UP)
HELP = "↑↓ choose  ⏎ open  ⎋ back  s sort  / filter  a anomalies  q quit"


class Style(StrEnum):
    """How a line looks: by health, or as a heading, a hint, or what is chosen."""

    PLAIN = "plain"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    PENDING = "pending"
    HEAD = "head"
    FAINT = "faint"
    CHOSEN = "chosen"


class Order(StrEnum):
    """What exchanges are sorted by."""

    HEALTH = "health"
    NAME = "name"
    LATENCY = "latency"
    RATE = "rate"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the screen."""

    text: str
    style: Style = Style.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is looked at. ``opened``: an exchange's name, or ANOMALIES; ``typing``: a filter."""

    order: Order = Order.HEALTH
    filter: str = ""
    typing: bool = False
    chosen: int = 0
    opened: str = ""
    top: int = 0  # first line shown of what is opened
    ended: bool = False


ANOMALIES = "*anomalies"


def press(view: View, key: str, snapshot: Snapshot | None) -> View:
    """Return the view after a key: a character, or UP, DOWN, ENTER, ESCAPE, BACKSPACE."""
    if view.typing:
        return _type(view, key)
    shown = listed(snapshot, view) if snapshot is not None else []
    match key:
        case "q":
            return replace(view, ended=True)
        case "ESCAPE" | "BACKSPACE":
            return replace(view, opened="", top=0) if view.opened else replace(view, filter="")
        case "s":
            orders = list(Order)
            return replace(view, order=orders[(orders.index(view.order) + 1) % len(orders)])
        case "/":
            return replace(view, typing=True, filter="", opened="", chosen=0)
        case "a":
            return replace(view, opened="" if view.opened == ANOMALIES else ANOMALIES, top=0)
        case "UP" | "k" | "DOWN" | "j":
            step = -1 if key in ("UP", "k") else 1
            if view.opened:
                return replace(view, top=max(0, view.top + step))
            return replace(view, chosen=min(max(0, view.chosen + step), max(0, len(shown) - 1)))
        case "ENTER" if shown and not view.opened:
            return replace(view, opened=shown[min(view.chosen, len(shown) - 1)].name, top=0)
    return view


def _type(view: View, key: str) -> View:
    if key in ("ENTER", "ESCAPE"):
        return replace(view, typing=False, filter="" if key == "ESCAPE" else view.filter)
    if key == "BACKSPACE":
        return replace(view, filter=view.filter[:-1])
    return replace(view, filter=view.filter + key) if len(key) == 1 else view


def listed(snapshot: Snapshot, view: View) -> list[ExchangeView]:
    """Return the exchanges that fit the filter, in the view's order."""
    word = view.filter.lower()
    fitting = [
        each
        for each in snapshot.exchanges
        if word in each.name.lower() or word in each.title.lower() or word == each.health
    ]
    keys: dict[Order, Callable[[ExchangeView], object]] = {
        Order.HEALTH: lambda each: (_GRAVITY.index(each.health), each.name),
        Order.NAME: lambda each: each.name,
        Order.LATENCY: lambda each: -(_median(each) or 0.0),
        Order.RATE: lambda each: -_rate(each),
    }
    return sorted(fitting, key=keys[view.order])  # type: ignore[arg-type]  # each key sorts


def frame(
    snapshot: Snapshot | None, view: View, trouble: str, width: int, height: int
) -> list[Line]:
    """Return the lines of the screen; ``trouble`` says why there is no newer state."""
    lines = [Line(trouble, Style.DOWN)] if trouble else []
    if snapshot is None:
        return [*lines, Line("waiting for the exporter ...", Style.FAINT)]
    lines = [_title(snapshot), *lines]
    foot = Line(f"/{view.filter}_" if view.typing else HELP, Style.FAINT)
    room = max(1, height - len(lines) - 1)
    if view.opened == ANOMALIES:
        body = _anomalies(snapshot)
    elif view.opened:
        body = _exchange(snapshot, view.opened)
    else:
        body = _overview(snapshot, view)
    top = min(view.top, max(0, len(body) - room))
    shown = [*lines, *body[top : top + room], foot]
    return [Line(_plain(each.text)[:width], each.style) for each in shown]


def _plain(text: str) -> str:
    """Return text of others with nothing in it that moves a terminal's cursor."""
    return "".join(char if char.isprintable() else " " for char in text)


def _title(snapshot: Snapshot) -> Line:
    up = sum(each.health is Health.UP for each in snapshot.exchanges)
    text = (
        f"exchange-exporter {snapshot.version}  {up}/{len(snapshot.exchanges)} exchanges up  "
        f"{rate(sum(map(_rate, snapshot.exchanges)))} messages/s  "
        f"{len(snapshot.incidents)} unusual  running for {span(snapshot.now - snapshot.started)}"
    )
    return Line(text, Style(snapshot.health))


def _overview(snapshot: Snapshot, view: View) -> list[Line]:
    rows = [("exchange", "health", "endpoints", "median", "streams", "live", "per s", "clock")]
    shown = listed(snapshot, view)
    for each in shown:
        subscriptions = [row for stream in each.streams for row in stream.subscriptions]
        rows.append((
            each.name,
            each.health,
            f"{sum(one.ok is True for one in each.endpoints)}/{len(each.endpoints)}",
            duration(_median(each)),
            f"{sum(one.connected for one in each.streams)}/{len(each.streams)}",
            f"{sum(row.state == 'live' for row in subscriptions)}/{len(subscriptions)}",
            rate(_rate(each)),
            signed(each.clock_offset),
        ))  # fmt: skip
    head, *rest = _columns(rows)
    lines = [Line(f"{head}   (by {view.order}{_filtered(view)})", Style.HEAD)]
    chosen = min(view.chosen, len(shown) - 1)
    lines += [
        Line(text, Style.CHOSEN if at == chosen else Style(each.health))
        for at, (text, each) in enumerate(zip(rest, shown, strict=True))
    ]
    names = {each.name for each in shown}
    for problem in problems(snapshot):
        if problem.name in names or not problem.name:
            fault = f" (whose fault: {problem.fault})" if problem.fault else ""
            lines += [Line(""), Line(f"{problem.title}{fault}", Style(problem.health))]
            lines += [Line(f"  {text}") for text in problem.lines]
            if problem.evidence:
                lines.append(Line(f"  {problem.evidence}", Style.FAINT))
    return lines


def _filtered(view: View) -> str:
    return f", filter {view.filter}" if view.filter else ""


def _exchange(snapshot: Snapshot, name: str) -> list[Line]:
    found = next((each for each in snapshot.exchanges if each.name == name), None)
    if found is None:
        return [Line(f"{name} is no longer watched", Style.DOWN)]
    lines = [Line(f"{found.title} ({found.name}): {found.health}", Style(found.health))]
    if found.domain is not None:
        lines.append(Line(f"whose fault: {DOMAINS.get(found.domain, found.domain)}"))
    lines += [Line(f"{limit}: {percent(share)} used", Style.FAINT) for limit, share in found.limits]
    rows = [("endpoint", "health", "median", "p95", "errors", "breaker", "reason")]
    rows += [
        (one.name, one.health, duration(one.median), duration(one.p95), percent(one.error_ratio),
         one.circuit, one.reason or ("slow" if one.slow else ""))
        for one in found.endpoints
    ]  # fmt: skip
    lines += _table(rows, [one.health for one in found.endpoints])
    for stream in found.streams:
        state = "connected" if stream.connected else f"not connected {stream.lost}".strip()
        lines += [Line(""), Line(f"stream {stream.name}: {state}", Style(stream.health))]
        cells = [
            ("channel", "symbol", "state", "last", "per s", "latency", "price", "gaps", "book")
        ]
        for row in stream.subscriptions:
            last = None if row.last_message is None else snapshot.now - row.last_message
            book = "" if row.book is None else "synced" if row.book.synced else "building"
            cells.append((
                row.channel, row.symbol, row.state, span(last), rate(row.rate),
                duration(row.latency), number(row.price), str(row.gaps), book,
            ))  # fmt: skip
        lines += _table(cells, [row.health for row in stream.subscriptions])
    return lines


def _anomalies(snapshot: Snapshot) -> list[Line]:
    lines = [Line("Unusual now", Style.HEAD)]
    lines += [Line(f"  {one.sentence}", Style.DEGRADED) for one in snapshot.incidents]
    lines += [] if snapshot.incidents else [Line("  nothing", Style.FAINT)]
    ranked = sorted(snapshot.anomalies, key=lambda one: -(one.score or -1.0))
    rows = [("exchange", "signal", "times its threshold")]
    rows += [(one.exchange, one.signal, number(one.score)) for one in ranked]
    levels = [Health.DEGRADED if one.alarming else Health.UP for one in ranked]
    return [*lines, *_table(rows, levels)]


def _table(rows: Sequence[Sequence[str]], levels: Sequence[Health]) -> list[Line]:
    head, *rest = _columns(rows)
    styles = [Style.PLAIN if level is Health.UP else Style(level) for level in levels]
    return [
        Line(""),
        Line(head, Style.HEAD),
        *(Line(*pair) for pair in zip(rest, styles, strict=True)),
    ]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _median(exchange: ExchangeView) -> float | None:
    """Return the slowest endpoint's median."""
    return max((one.median for one in exchange.endpoints if one.median is not None), default=None)


def _rate(exchange: ExchangeView) -> float:
    return sum(row.rate or 0.0 for stream in exchange.streams for row in stream.subscriptions)
