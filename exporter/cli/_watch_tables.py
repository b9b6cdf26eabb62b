"""What `watch` shows: tables of one state, each to be sorted, filtered and narrowed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.web.page import age, duration, number, percent, rate, signed, span
from exporter.web.problems import problems
from exporter.web.reasons import in_words
from exporter.web.state import ExchangeView, Health, Snapshot, StreamView

_GRAVITY = (Health.DOWN, Health.DEGRADED, Health.PENDING, Health.UP)
Rank = float | str | None


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, and what it is sorted by: a number, the text itself, or None, which comes last."""

    text: str
    rank: Rank


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One thing. ``exchange``: whose it is, empty for the relay's."""

    key: str
    exchange: str
    health: Health
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under columns, in the order in which they are reported."""

    name: str
    columns: tuple[str, ...]
    rows: list[TableRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What to show of a table: one exchange alone, rows that contain a word, an order.

    ``column`` None: what is worst first. ``reverse``: from the greatest.
    """

    exchange: str = ""
    word: str = ""
    column: int | None = None
    reverse: bool = False


def arranged(table: Table, view: View) -> list[TableRow]:
    """Return the rows of a table that a view selects, in its order."""
    word = view.word.casefold()
    rows = [
        row
        for row in table.rows
        if view.exchange in ("", row.exchange)
        and (word in f"{row.key} {row.health}".casefold()
             or any(word in cell.text.casefold() for cell in row.cells))
    ]  # fmt: skip
    if (at := view.column) is None:
        return sorted(rows, key=lambda row: _GRAVITY.index(row.health))
    known = [row for row in rows if row.cells[at].rank is not None]
    known.sort(key=lambda row: _sortable(row.cells[at].rank), reverse=view.reverse)
    return known + [row for row in rows if row.cells[at].rank is None]


def _sortable(rank: Rank) -> tuple[bool, float, str]:
    return (True, 0.0, rank) if isinstance(rank, str) else (False, rank or 0.0, "")


def tables(snapshot: Snapshot, relay: Mapping[str, Any] | None) -> dict[str, Table]:
    """Return every table by its name; those of the relay only if its state was read."""
    found = [
        _exchanges(snapshot),
        _endpoints(snapshot),
        _streams(snapshot),
        _books(snapshot),
        _queues(snapshot),
        _anomalies(snapshot),
    ]
    found += [] if relay is None else [_incidents(relay), _messages(relay)]
    return {table.name: table for table in found}


def _cells(*values: str | tuple[str, Rank]) -> tuple[Cell, ...]:
    return tuple(
        Cell(plain(value), value.casefold())
        if isinstance(value, str)
        else Cell(plain(value[0]), value[1])
        for value in values
    )


def plain(text: str) -> str:
    """Return text of others with nothing in it that moves a terminal's cursor."""
    return "".join(char if char.isprintable() else " " for char in text)


def _share(good: Sequence[bool]) -> tuple[str, Rank]:
    part = sum(good)
    return f"{part}/{len(good)}", part / len(good) if good else None


def _exchanges(snapshot: Snapshot) -> Table:
    columns = ("exchange", "health", "endpoints", "median", "streams", "live", "per s", "clock")
    table = Table(name="exchanges", columns=columns)
    for each in snapshot.exchanges:
        rows = [row for stream in each.streams for row in stream.subscriptions]
        medians = [one.median for one in each.endpoints if one.median is not None]
        median, flow = max(medians, default=None), sum(stream.rate for stream in each.streams)
        cells = _cells(
            each.name,
            (each.health, _GRAVITY.index(each.health)),
            _share([one.ok is True for one in each.endpoints]),
            (duration(median), median),
            _share([one.connected for one in each.streams]),
            _share([row.state == "live" for row in rows]),
            (rate(flow), flow),
            (signed(each.clock_offset), each.clock_offset),
        )
        table.rows.append(
            TableRow(key=each.name, exchange=each.name, health=each.health, cells=cells)
        )
    return table


def _endpoints(snapshot: Snapshot) -> Table:
    columns = ("exchange", "endpoint", "health", "median", "p95", "p99", "errors", "breaker",
               "last success", "reason")  # fmt: skip
    table = Table(name="endpoints", columns=columns)
    for each in snapshot.exchanges:
        for one in each.endpoints:
            last = None if one.last_success is None else snapshot.now - one.last_success
            cells = _cells(
                each.name,
                one.name,
                ("slow" if one.slow else one.health, _GRAVITY.index(one.health)),
                (duration(one.median), one.median),
                (duration(one.p95), one.p95),
                (duration(one.p99), one.p99),
                (percent(one.error_ratio), one.error_ratio),
                one.circuit,
                (age(one.last_success, snapshot.now), last),
                in_words(one.reason) if one.reason else "",
            )
            key = f"{each.name}/{one.name}"
            table.rows.append(TableRow(key=key, exchange=each.name, health=one.health, cells=cells))
    return table


def _streams(snapshot: Snapshot) -> Table:
    columns = ("exchange", "stream", "channel", "symbol", "state", "last heard", "per s",
               "latency", "price", "gaps")  # fmt: skip
    table = Table(name="streams", columns=columns)
    for each, stream in _connections(snapshot):
        for row in stream.subscriptions:
            lost = stream.attempted and not stream.connected
            last = None if row.last_message is None else snapshot.now - row.last_message
            current = stream.connected and row.health in (Health.UP, Health.DEGRADED)
            cells = _cells(
                each.name,
                stream.name,
                row.channel,
                row.symbol,
                "not connected" if lost else "late" if row.late else row.state,
                (age(row.last_message, snapshot.now), last),
                (rate(row.rate), row.rate) if current else ("–", None),
                (duration(row.latency), row.latency) if current else ("–", None),
                (number(row.price), row.price) if current else ("–", None),
                (str(row.gaps), row.gaps),
            )
            key = f"{each.name}/{stream.name}/{row.channel}/{row.symbol}"
            health = Health.DOWN if lost else row.health
            table.rows.append(TableRow(key=key, exchange=each.name, health=health, cells=cells))
    return table


def _connections(snapshot: Snapshot) -> Iterator[tuple[ExchangeView, StreamView]]:
    for each in snapshot.exchanges:
        for stream in each.streams:
            yield each, stream


def _books(snapshot: Snapshot) -> Table:
    columns = ("exchange", "symbol", "state", "levels", "rebuilt", "why last", "last heard")
    table = Table(name="books", columns=columns)
    for each, stream in _connections(snapshot):
        for row in stream.subscriptions:
            if (book := row.book) is None:
                continue
            last = None if row.last_message is None else snapshot.now - row.last_message
            state = "crossed" if book.crossed else "synced" if book.synced else "building"
            cells = _cells(
                each.name,
                row.symbol,
                state,
                (number(book.levels), book.levels),
                (str(book.resyncs), book.resyncs),
                in_words(book.reason) if book.resyncs else "",
                (age(row.last_message, snapshot.now), last),
            )
            key = f"{each.name}/{stream.name}/{row.symbol}"
            table.rows.append(
                TableRow(key=key, exchange=each.name, health=book.health, cells=cells)
            )
    return table


def _queues(snapshot: Snapshot) -> Table:
    columns = ("exchange", "stream", "waiting", "capacity", "full", "dropped", "per s")
    table = Table(name="queues", columns=columns)
    for each, stream in _connections(snapshot):
        queue = stream.queue
        full = queue.waiting / queue.capacity if queue.capacity else None
        cells = _cells(
            each.name,
            stream.name,
            (number(queue.waiting), queue.waiting),
            (number(queue.capacity), queue.capacity),
            (percent(full), full),
            (number(queue.dropped), queue.dropped),
            (rate(stream.rate), stream.rate),
        )
        crowded = queue.dropped or (full or 0.0) >= 0.5
        health = Health.DEGRADED if crowded else Health.UP
        key = f"{each.name}/{stream.name}"
        table.rows.append(TableRow(key=key, exchange=each.name, health=health, cells=cells))
    return table


def _anomalies(snapshot: Snapshot) -> Table:
    columns = ("exchange", "signal", "times its threshold", "since", "what")
    table = Table(name="anomalies", columns=columns)
    going = {(one.exchange, one.signal): one for one in snapshot.incidents}
    for each in sorted(snapshot.anomalies, key=lambda one: -(one.score or -1.0)):
        told = going.get((each.exchange, each.signal))
        since = None if told is None else snapshot.now - told.since
        cells = _cells(
            each.exchange,
            each.signal,
            (number(each.score) if each.ready else "learning", each.score),
            (age(told.since, snapshot.now) if told else "", since),
            told.sentence if told else "",
        )
        wrong = told is not None or each.alarming
        health = Health.DEGRADED if wrong else Health.UP if each.ready else Health.PENDING
        key = f"{each.exchange}/{each.signal}"
        table.rows.append(TableRow(key=key, exchange=each.exchange, health=health, cells=cells))
    return table


def _incidents(relay: Mapping[str, Any]) -> Table:
    columns = ("incident", "state", "level", "exchanges", "alerts", "since", "lasted")
    table = Table(name="incidents", columns=columns)
    for each in relay["incidents"]:
        cells = _cells(
            each["name"],
            each["state"],
            each["level"],
            each["exchanges"],
            (str(each["count"]), each["count"]),
            (age(each["since"], relay["now"]), relay["now"] - each["since"]),
            (span(each["lasted"]), each["lasted"]),
        )
        health = Health(each["health"])
        table.rows.append(TableRow(key=each["id"], exchange="", health=health, cells=cells))
    return table


_DELIVERED = {"delivered": Health.UP, "dropped": Health.PENDING, "dead": Health.DOWN}


def _messages(relay: Mapping[str, Any]) -> Table:
    columns = ("written", "receiver", "state", "title", "tries", "after", "last answer")
    table = Table(name="messages", columns=columns)
    for each in relay["deliveries"]:
        cells = _cells(
            (age(each["created"], relay["now"]), relay["now"] - each["created"]),
            each["receiver"],
            each["state"],
            each["title"],
            (str(each["attempts"]), each["attempts"]),
            (duration(each["took"]), each["took"]),
            each["detail"],
        )
        health = _DELIVERED.get(each["state"], Health.DEGRADED)
        table.rows.append(TableRow(key=str(each["id"]), exchange="", health=health, cells=cells))
    return table


def summary(snapshot: Snapshot, relay: Mapping[str, Any] | None) -> str:
    """Summarise the state in one line."""
    up = sum(each.health is Health.UP for each in snapshot.exchanges)
    flow = sum(stream.rate for _, stream in _connections(snapshot))
    text = (
        f"exchange-exporter {plain(snapshot.version)}  {up}/{len(snapshot.exchanges)} exchanges up"
        f"  {rate(flow)} messages/s  {len(snapshot.incidents)} unusual"
        f"  running for {span(snapshot.now - snapshot.started)}"
    )
    if relay is not None:
        beat = (
            "no heartbeat" if relay["silent"] else f"heartbeat {age(relay['beat'], relay['now'])}"
        )
        text += (
            f"  relay: {relay['open']} open, {relay['depth']} waiting, {relay['dead']} dead, {beat}"
        )
    return text


def wrong(snapshot: Snapshot, names: Iterable[str]) -> Iterator[tuple[Health, str]]:
    """Yield in lines what is wrong with the exporter and with these exchanges."""
    wanted = {"", *names}
    for problem in problems(snapshot):
        if problem.name in wanted:
            fault = f" (cause: {problem.fault})" if problem.fault else ""
            yield problem.health, plain(f"{problem.title}{fault}")
            for text in (*problem.lines, problem.evidence):
                if text:
                    yield Health.PENDING, f"  {plain(text)}"


def as_text(table: Table, rows: Sequence[TableRow]) -> Iterator[str]:
    """Yield a table in lines, as wide as its cells."""
    cells = [table.columns, *(tuple(cell.text for cell in row.cells) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        yield "  ".join(padded).rstrip()
