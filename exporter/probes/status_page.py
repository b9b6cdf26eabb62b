"""Status pages of statuspage.io: running and scheduled maintenance, and incidents.

Source: the pages' own API description, /api/v2 ("Summary": unresolved incidents, and upcoming or
in-progress scheduled maintenances), read on confluence.status.atlassian.com/api and in the
package statuspage.io 3.1.1 of npm, 2026-11-30.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import msgspec

from exporter.contracts import Clock, Fetch, FetchFailedError
from exporter.decoding import Moment, ParseError, epoch, reading
from exporter.flow.backoff import retry_after
from exporter.flow.fan_out import fan_out
from exporter.flow.patterns import AT_ONCE, SEARCHES
from exporter.flow.workers import WorkersBusyError
from exporter.maintenance import EVERYTHING, Maintenance, Notice, NoticeKind, WatchedMarkets
from exporter.model import Answer
from exporter.probes.affected import concerns

log = logging.getLogger(__name__)

PATH = "/api/v2/summary.json"
PAGE_INTERVAL = 120.0  # seconds between two requests to one page, usually
LEAST_INTERVAL = 60.0  # seconds between two requests to one page
MOST_PAGES = 50  # of one program
MOST_NOTICES = 50  # of one page that are kept
_LONGEST = 3600.0  # seconds until a page that fails is asked again
_AT_ONCE = 4
_LOOK = 5.0  # seconds
_TIMEOUT = 10.0
_BODY = 1 << 20  # bytes
_TITLE = 200  # characters
_CACHED = 60.0  # seconds for which a page may be served as it was


class _Component(msgspec.Struct):
    name: str = ""


class _StatusUpdate(msgspec.Struct):
    """An incident or a scheduled maintenance, which has an impact, too."""

    id: str = ""
    name: str = ""
    status: str = ""
    impact: str = ""
    created_at: Moment | None = None
    started_at: Moment | None = None
    scheduled_for: Moment | None = None
    scheduled_until: Moment | None = None
    shortlink: str | None = None
    components: list[_Component] | None = None


class _Page(msgspec.Struct):
    scheduled_maintenances: list[_StatusUpdate]
    incidents: list[_StatusUpdate]


_PAGE = msgspec.json.Decoder(_Page)
_GOING_ON = ("in_progress", "verifying")
_OVER = ("resolved", "postmortem", "completed")


def read(
    body: bytes, components: str | None = None, watched: WatchedMarkets = EVERYTHING
) -> Maintenance:
    """Return the maintenance and incidents that concern what is watched.

    ``components`` (RE2) matches the names that matter, None: those of what is ``watched``. Of
    several maintenances that go on at once the last end counts. Raises ParseError.
    """
    with reading("statuspage"):
        page = _PAGE.decode(body)
        ours = [
            update
            for update in page.scheduled_maintenances
            if update.status not in _OVER and _concerns(update, components, watched)
        ]
        # Without an impact it is a notice to readers: nothing is said to fail.
        admitted = [
            update
            for update in page.incidents
            if update.status not in _OVER
            and update.impact != "none"
            and _concerns(update, components, watched)
        ]
        notices = (
            *(_notice(each, NoticeKind.INCIDENT) for each in admitted[:MOST_NOTICES]),
            *(_notice(each, NoticeKind.MAINTENANCE) for each in ours[:MOST_NOTICES]),
        )
        updates = [update for update in ours if update.status in _GOING_ON]
        ends = [epoch(update.scheduled_until) for update in updates if update.scheduled_until]
        begins = [
            epoch(update.scheduled_for)
            for update in ours
            if update.status == "scheduled" and update.scheduled_for
        ]
    return Maintenance(
        active=bool(updates),
        end=max(ends, default=None),
        title="; ".join(update.name for update in updates)[:_TITLE],
        start=min(begins, default=None),
        incident="; ".join(update.name for update in admitted)[:_TITLE],
        notices=notices,
    )


def _concerns(update: _StatusUpdate, components: str | None, watched: WatchedMarkets) -> bool:
    names = [component.name[:_TITLE] for component in update.components or ()]
    return concerns(update.name[:_TITLE], names, pattern=components, watched=watched)


def _notice(update: _StatusUpdate, kind: NoticeKind) -> Notice:
    start = update.scheduled_for or update.started_at or update.created_at
    link = update.shortlink or ""
    return Notice(
        kind=kind,
        title=update.name[:_TITLE] or "?",
        start=None if start is None else epoch(start),
        end=None if update.scheduled_until is None else epoch(update.scheduled_until),
        declared=None if update.created_at is None else epoch(update.created_at),
        id=update.id[:64],
        url=link[:500] if link.startswith(("https://", "http://")) else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PageListener:
    """A subscriber of a page: what concerns it, and its callback."""

    tell: Callable[[Maintenance], None]
    components: str | None = None
    watched: Callable[[], WatchedMarkets] = lambda: EVERYTHING


Told: TypeAlias = tuple[Callable[[Maintenance], None], Maintenance]


@dataclass(slots=True)
class Page:
    """One page, its subscribers, and its last content."""

    url: str  # base
    listeners: list[PageListener] = field(default_factory=list)
    due: float = 0.0  # monotonic seconds
    tag: str = ""  # its ETag
    modified: str = ""  # its Last-Modified
    failures: int = 0  # in a row
    heard: float | None = None  # when it last answered, epoch seconds
    declared: Mapping[str, float] = field(default_factory=dict)  # since when, of what it shows
    matched: tuple[WatchedMarkets, ...] = ()  # what it was read for

    @property
    def watched(self) -> tuple[WatchedMarkets, ...]:
        """Return what its subscribers watch now."""
        return tuple(each.watched() for each in self.listeners)


class StatusPages:
    """All pages, each requested once an interval however many exchanges share it."""

    def __init__(self, fetch: Fetch, clock: Clock, interval: float = PAGE_INTERVAL) -> None:
        self._fetch, self._clock = fetch, clock
        self._interval = max(interval, LEAST_INTERVAL)
        self.pages: dict[str, Page] = {}

    def want(self, wanted: Iterable[tuple[str, PageListener]]) -> int:
        """Follow these from now on: a base URL, and who is told.

        Pages that were followed before keep their turn. Gives how many wishes were left out,
        because there are pages enough.
        """
        before, self.pages, left_out = self.pages, {}, 0
        for url, listener in wanted:
            if url not in self.pages:
                if len(self.pages) >= MOST_PAGES:
                    left_out += 1
                    continue
                old = before.get(url, Page(url))
                self.pages[url] = Page(url, due=old.due, heard=old.heard, declared=old.declared)
            self.pages[url].listeners.append(listener)
        for url, page in self.pages.items():
            known = before.get(url)
            if known is not None and known.listeners == page.listeners:
                self.pages[url] = known  # all of them have heard what it said
        return left_out

    async def run(self) -> None:
        """Request every page in turn until cancelled."""
        while True:
            now = self._clock.monotonic()
            due = [page for page in self.pages.values() if page.due <= now]
            await fan_out(due, self._ask, concurrency=_AT_ONCE, timeout=_TIMEOUT + 1.0)
            nearest = min((page.due for page in self.pages.values()), default=now + _LOOK)
            wait = nearest - self._clock.monotonic()
            await self._clock.sleep(min(_LOOK, max(1.0, wait)))  # wishes may change meanwhile

    async def _ask(self, page: Page) -> None:
        page.due = self._clock.monotonic() + self._interval
        try:
            answer = await self._fetch(
                "GET",
                page.url + PATH,
                headers=_conditions(page),
                timeout=_TIMEOUT,
                body_limit=_BODY,
            )
        except FetchFailedError as error:
            self._failed(page, str(error), None)
            return
        if answer.status == 304:
            page.failures, page.heard = 0, self._clock.wall()
        elif answer.status != 200:
            self._failed(page, f"HTTP {answer.status}", answer)
        else:
            await self._heard(page, answer)

    async def _heard(self, page: Page, answer: Answer) -> None:
        watched = page.watched
        read_for_all = partial(_told, page.listeners, watched, answer.body)
        try:
            if len(answer.body) <= AT_ONCE:
                told = read_for_all()
            else:
                told = await SEARCHES.run(read_for_all)
        except (ParseError, WorkersBusyError) as error:
            self._failed(page, str(error), None)
            return
        now = self._clock.wall()
        page.declared = {
            notice.key: _declared(notice, page, now) for _, said in told for notice in said.notices
        }
        page.failures, page.heard, page.matched = 0, now, watched
        page.tag = answer.headers.get("etag", "")[:200]
        page.modified = answer.headers.get("last-modified", "")[:200]
        for tell, said in told:
            dated = tuple(
                replace(notice, declared=page.declared[notice.key]) for notice in said.notices
            )
            tell(replace(said, notices=dated))

    def _failed(self, page: Page, why: str, answer: Answer | None) -> None:
        page.failures += 1
        wait = min(_LONGEST, self._interval * 2.0 ** min(page.failures, 10))
        asked = None
        if answer is not None and "retry-after" in answer.headers:
            asked = retry_after(answer.headers["retry-after"], self._clock.wall())
        page.due = self._clock.monotonic() + max(wait, asked or 0.0)
        log.warning(
            "status_page_failed url=%s reason=%r retry_in_s=%.0f", page.url, why[:200], wait
        )


def _told(
    listeners: Sequence[PageListener], watched: Sequence[WatchedMarkets], body: bytes
) -> list[Told]:
    return [
        (each.tell, read(body, each.components, markets))
        for each, markets in zip(listeners, watched, strict=True)
    ]


def _declared(notice: Notice, page: Page, now: float) -> float:
    """Return since when a page shows a notice.

    A page may say that it told of it long ago (the time of creation can be set): what was not
    there when we looked was not told then.
    """
    if (known := page.declared.get(notice.key)) is not None:
        return known
    said = now if notice.declared is None else min(notice.declared, now)
    return said if page.heard is None else max(said, page.heard - _CACHED)


def _conditions(page: Page) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if page.matched != page.watched:  # what did not matter then may matter now
        return headers
    if page.tag:
        headers["If-None-Match"] = page.tag
    if page.modified:
        headers["If-Modified-Since"] = page.modified
    return headers
