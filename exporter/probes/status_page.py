"""Status pages of statuspage.io: who is in maintenance, asked politely.

Source: the pages' own API description, /api/v2 ("Scheduled Maintenances: active"), read 2025-01-15.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import msgspec

from exporter.contracts import Clock, Fetch, FetchFailedError
from exporter.decoding import Moment, ParseError, epoch, reading
from exporter.flow.backoff import retry_after
from exporter.flow.fan_out import fan_out
from exporter.flow.patterns import AT_ONCE, SEARCHES, occurs
from exporter.flow.workers import WorkersBusyError
from exporter.model import Answer, Maintenance

log = logging.getLogger(__name__)

PATH = "/api/v2/scheduled-maintenances/active.json"
PAGE_INTERVAL = 120.0  # seconds between two requests to one page, usually
LEAST_INTERVAL = 60.0  # seconds between two requests to one page
MOST_PAGES = 50  # of one program
_LONGEST = 3600.0  # seconds until a page that fails is asked again
_AT_ONCE = 4
_LOOK = 5.0  # seconds
_TIMEOUT = 10.0
_BODY = 1 << 20  # bytes
_TITLE = 200  # characters


class _Component(msgspec.Struct):
    name: str = ""


class _StatusUpdate(msgspec.Struct):
    name: str = ""
    status: str = ""
    scheduled_until: Moment | None = None
    components: list[_Component] = []


class _Page(msgspec.Struct):
    scheduled_maintenances: list[_StatusUpdate]


_PAGE = msgspec.json.Decoder(_Page)
_GOING_ON = ("in_progress", "verifying")


def read(body: bytes, components: str | None = None) -> Maintenance:
    """Return whether maintenance goes on; ``components`` matches the names that matter, None: all.

    Of several that go on at once the last end counts. Raises ParseError.
    """
    with reading("statuspage"):
        updates = [
            update
            for update in _PAGE.decode(body).scheduled_maintenances
            if update.status in _GOING_ON and _concerns(update, components)
        ]
        ends = [epoch(update.scheduled_until) for update in updates if update.scheduled_until]
    return Maintenance(
        active=bool(updates),
        end=max(ends, default=None),
        title="; ".join(update.name for update in updates)[:_TITLE],
    )


def _concerns(update: _StatusUpdate, components: str | None) -> bool:
    # An announcement that names no component is about the whole site.
    if components is None or not update.components:
        return True
    return any(occurs(components, component.name) for component in update.components)


Listener: TypeAlias = Callable[[Maintenance], None]


@dataclass(slots=True)
class Page:
    """One page, who wants to know of it, and what it said last."""

    url: str  # base
    listeners: list[tuple[str | None, Listener]] = field(default_factory=list)
    due: float = 0.0  # monotonic seconds
    tag: str = ""  # its ETag
    modified: str = ""  # its Last-Modified
    failures: int = 0  # in a row


class StatusPages:
    """All pages, each asked once an interval however many exchanges share it."""

    def __init__(self, fetch: Fetch, clock: Clock, interval: float = PAGE_INTERVAL) -> None:
        self._fetch, self._clock = fetch, clock
        self._interval = max(interval, LEAST_INTERVAL)
        self.pages: dict[str, Page] = {}

    def want(self, wanted: Iterable[tuple[str, str | None, Listener]]) -> int:
        """Follow these from now on: a base URL, the components that matter, who is told.

        Pages that were followed before keep their turn. Gives how many wishes were left out,
        because there are pages enough.
        """
        before, self.pages, left_out = self.pages, {}, 0
        for url, components, listener in wanted:
            if url not in self.pages:
                if len(self.pages) >= MOST_PAGES:
                    left_out += 1
                    continue
                known = before.get(url)
                self.pages[url] = Page(url, due=known.due if known else 0.0)
            self.pages[url].listeners.append((components, listener))
        for url, page in self.pages.items():
            known = before.get(url)
            if known is not None and known.listeners == page.listeners:
                self.pages[url] = known  # all of them have heard what it said
        return left_out

    async def run(self) -> None:
        """Ask every page in turn until cancelled."""
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
            page.failures = 0
        elif answer.status != 200:
            self._failed(page, f"HTTP {answer.status}", answer)
        else:
            await self._heard(page, answer)

    async def _heard(self, page: Page, answer: Answer) -> None:
        try:
            if len(answer.body) <= AT_ONCE:
                told = _told(page, answer.body)
            else:
                told = await SEARCHES.run(partial(_told, page, answer.body))
        except (ParseError, WorkersBusyError) as error:
            self._failed(page, str(error), None)
            return
        page.failures = 0
        page.tag = answer.headers.get("etag", "")[:200]
        page.modified = answer.headers.get("last-modified", "")[:200]
        for tell, maintenance in told:
            tell(maintenance)

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


def _told(page: Page, body: bytes) -> list[tuple[Listener, Maintenance]]:
    return [(tell, read(body, components)) for components, tell in page.listeners]


def _conditions(page: Page) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if page.tag:
        headers["If-None-Match"] = page.tag
    if page.modified:
        headers["If-Modified-Since"] = page.modified
    return headers
