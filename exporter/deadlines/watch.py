"""Keeps the known deadlines up to date between releases, and shows those that matter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from exporter.config import DeadlinesConfig, ExchangeConfig
from exporter.contracts import Clock, Fetch, FetchFailedError, Venue
from exporter.deadlines.concern import concerning
from exporter.deadlines.document import (
    LONGEST,
    PROJECT_KEY,
    KnownDeadlines,
    RejectedFileError,
    Rejection,
    decoded_key,
    read,
    shipped,
)
from exporter.metrics import families as f
from exporter.metrics.registry import Registry

log = logging.getLogger(__name__)

_LOOK = 60.0  # seconds between two looks at the file, and at what is due
_RETRY = 3600.0  # seconds until a URL that failed is asked again, at most its interval
_TIMEOUT = 30.0


def known_deadlines(configured: DeadlinesConfig) -> tuple[KnownDeadlines, str]:
    """Return what is known without asking anybody, and why the config's file is not followed."""
    known = shipped()
    if configured.file is None:
        return known, ""
    try:
        return newer(_bytes(Path(configured.file)), configured, known), ""
    except RejectedFileError as error:
        return known, str(error)


def newer(raw: bytes, configured: DeadlinesConfig, known: KnownDeadlines) -> KnownDeadlines:
    """Return what a file says, if its signature is good and it is not older than what is known.

    Raises RejectedFileError.
    """
    found = read(raw, decoded_key(configured.public_key or PROJECT_KEY))
    if found.issued < known.issued:
        raise RejectedFileError(Rejection.OLDER, "an older one is not followed")
    return found


def _bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(LONGEST + 1)
    except OSError as error:
        why = error.strerror or str(error)
        raise RejectedFileError(Rejection.UNREACHABLE, why) from error


class DeadlineWatch:
    """The deadlines in force: those shipped, until a newer file with a good signature is read."""

    def __init__(self, registry: Registry, clock: Clock, fetch: Fetch) -> None:
        self._registry, self._clock, self._fetch = registry, clock, fetch
        self._shown = registry.scope()
        self._sources = registry.scope()
        self._configured = DeadlinesConfig()
        self._exchanges: tuple[tuple[ExchangeConfig, Venue], ...] = ()
        self._seen: tuple[int, int] | None = None  # the file's size and time of change, ns
        self._due = 0.0  # when the URL is asked, monotonic seconds
        self.known: KnownDeadlines = shipped()

    def follow(
        self,
        configured: DeadlinesConfig,
        exchanges: Sequence[ExchangeConfig],
        venue: Callable[[str], Venue],
    ) -> None:
        """Show what is known for these exchanges; another file, URL or key starts over."""
        if configured != self._configured:
            self._configured, self.known = configured, shipped()
            self._seen, self._due = None, 0.0
            self._sources.close()
        if configured.file or configured.url:
            self._sources.counters(f.DEADLINES_REJECTED, values=Rejection)
        self._exchanges = tuple((each, venue(each.venue)) for each in exchanges)
        self._read_file()
        self._show()

    async def run(self) -> None:
        """Look for newer facts until cancelled."""
        while True:
            self._read_file()
            now = self._clock.monotonic()
            if self._configured.url is not None and now >= self._due:
                self._due = now + self._configured.interval
                if not await self._ask(self._configured.url):
                    self._due = now + min(_RETRY, self._configured.interval)
            await self._clock.sleep(_LOOK)

    def _read_file(self) -> None:
        """Read the file if it has changed since."""
        if self._configured.file is None:
            return
        file = Path(self._configured.file)
        try:
            stat = file.stat()
            seen = stat.st_size, stat.st_mtime_ns
        except OSError:
            seen = -1, -1  # what is missing is said once, by reading it
        if seen != self._seen:
            self._seen = seen
            try:
                self._adopt(str(file), _bytes(file))
            except RejectedFileError as error:
                self._reject(str(file), error)

    async def _ask(self, url: str) -> bool:
        """Fetch a file; return whether it may be followed."""
        try:
            raw = await self._fetched(url)
            if url == self._configured.url:  # else another config has come meanwhile
                self._adopt(url, raw)
        except RejectedFileError as error:
            self._reject(url, error)
            return False
        return True

    async def _fetched(self, url: str) -> bytes:
        """Return what is served at a URL. Raises RejectedFileError."""
        try:
            answer = await self._fetch(
                "GET", url, headers={}, timeout=_TIMEOUT, body_limit=LONGEST + 1
            )
        except FetchFailedError as error:
            raise RejectedFileError(Rejection.UNREACHABLE, str(error)) from error
        if answer.status != 200:
            raise RejectedFileError(Rejection.UNREACHABLE, f"HTTP {answer.status}")
        return answer.body

    def _adopt(self, where: str, raw: bytes) -> None:
        """Follow a file from now on. Raises RejectedFileError."""
        found = newer(raw, self._configured, self.known)
        if found != self.known:
            self.known = found
            log.info("deadlines_read from=%s facts=%d", where, len(found.deadlines))
            self._show()

    def _reject(self, where: str, error: RejectedFileError) -> None:
        self._sources.counter(f.DEADLINES_REJECTED, error.reason).inc()
        log.warning(
            "deadlines_rejected from=%s reason=%s detail=%r", where, error.reason, error.detail
        )

    def _show(self) -> None:
        """Show the deadlines of what is configured, and when they were signed."""
        before, self._shown = self._shown, self._registry.scope()
        for exchange, venue in self._exchanges:
            for each in concerning(self.known.deadlines, exchange, venue):
                self._shown.gauge(
                    f.API_DEADLINE, exchange.name, each.part, each.what, each.change,
                    each.replacement,
                ).set(each.at)  # fmt: skip
        if self._configured.file or self._configured.url:
            self._shown.gauge(f.DEADLINES_ISSUED).set(self.known.issued)
        before.close()
