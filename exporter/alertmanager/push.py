"""Alerts straight to every Alertmanager, over ``POST /api/v2/alerts``.

A push asserts, and never denies. An alert is a lease: it is sent again every minute while it
fires, each time valid for four minutes, and after its end no more. Alertmanager keeps the latest
end of all who assert an alert, but takes the newest word of an end over all of them: two writers
that both say when it ends make it go and come again. So its end belongs to the rule of the same
labels, or, where no rule fires, to the lease. Source: Alertmanager, Alert.Merge and the memory
provider's Put; Prometheus, rules/alerting.go (resend delay, valid until); read 2026-11-30.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import random

import msgspec

from exporter.contracts import Clock, Fetch, FetchFailedError
from exporter.flow import backoff
from exporter.flow.fan_out import batches

log = logging.getLogger(__name__)

_LEASE, _LEAST_LEASE = 4.0, 15.0  # repeats; and seconds, so that one late request ends nothing
FRESH = 30.0  # seconds in which a new alert is sent again every `_AGAIN` seconds
# Prometheus says for a quarter of an hour that an alert of before has ended, until its rule sees
# the new outage, too: what that undoes must be done again before Alertmanager's group_wait is over.
_AGAIN = 2.0
_ALIVE = 60.0  # seconds: with nothing to tell an empty request shows that the way is open
_SET_ASIDE = 900.0  # seconds without an alert that Alertmanager does not take
_AT_ONCE = 256  # alerts a request
_BODY_LIMIT = 1 << 16  # bytes of an answer
_VALUE_LIMIT = 2000  # characters of an annotation
_RETRY = backoff.BackoffRules(base=1.0, cap=15.0)
_REFUSED = range(400, 500)
_OF_AN_ALERT = (400, 413, 422)  # refused for what one of the alerts is, not for who asks

Labels = Mapping[str, str]
Key = tuple[tuple[str, str], ...]


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """One alert that fires, as it is told; ``start`` in epoch seconds."""

    labels: dict[str, str]
    annotations: dict[str, str]
    start: float


def key_of(labels: Labels) -> Key:
    """Return what tells alerts apart, as Alertmanager does."""
    return tuple(sorted(labels.items()))


class Alerts:
    """What fires, to be known everywhere. Listeners are called when there is news to be sent."""

    def __init__(self) -> None:
        self._alerts: dict[Key, Pushed] = {}
        self._listeners: list[Callable[[], None]] = []

    def listen(self, changed: Callable[[], None]) -> None:
        """Have this called at every change, until `ignore`."""
        self._listeners.append(changed)

    def ignore(self, changed: Callable[[], None]) -> None:
        """Call this no more."""
        self._listeners.remove(changed)

    def fire(self, labels: Labels, annotations: Labels, start: float) -> bool:
        """Let an alert fire; return whether it did not before. One that does keeps its start."""
        key, texts = key_of(labels), {k: v[:_VALUE_LIMIT] for k, v in annotations.items()}
        known = self._alerts.get(key)
        start = start if known is None else known.start
        alert = Pushed(labels=dict(labels), annotations=texts, start=start)
        if alert != known:
            self._alerts[key] = alert
            self._tell()
        return known is None

    def end(self, labels: Labels) -> bool:
        """Assert an alert no longer; return whether it was firing."""
        return self._alerts.pop(key_of(labels), None) is not None

    def firing(self) -> list[Pushed]:
        """Return those that fire."""
        return list(self._alerts.values())

    def pieces(self) -> Iterator[bytes]:
        """Yield all of them as bytes, some hundred in each piece."""
        alerts = tuple(self._alerts.values())  # as they are now: pieces may be asked for later
        for some in batches(alerts, _AT_ONCE):
            yield msgspec.msgpack.encode(some)

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Take up those of `pieces`. Raises ValueError, and changes nothing, for other bytes."""
        found = list[Pushed]()
        try:
            for piece in pieces:
                found += msgspec.msgpack.decode(piece, type=list[Pushed])
        except msgspec.MsgspecError as error:
            raise ValueError(f"unreadable alerts: {error}") from error
        self._alerts = {key_of(alert.labels): alert for alert in found}
        self._tell()

    def _tell(self) -> None:
        for changed in self._listeners:
            changed()


def body(alerts: Iterable[Pushed], now: float, repeat: float, generator_url: str) -> bytes:
    """Return the body of a request at ``now`` (epoch seconds); ``repeat`` in seconds."""
    lease = now + max(_LEASE * repeat, _LEAST_LEASE)
    return msgspec.json.encode(
        [
            {
                "labels": alert.labels,
                "annotations": alert.annotations,
                "startsAt": _moment(alert.start),
                "endsAt": _moment(lease),
                "generatorURL": generator_url,
            }
            for alert in alerts
        ]
    )


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")


# --- one Alertmanager ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One Alertmanager: its base URL, how we log in there, and seconds for a request."""

    url: str
    timeout: float = 5.0
    bearer: str | None = field(default=None, repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)
    repeat: float = 60.0
    generator_url: str = ""

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the request's headers."""
        headers = {"Content-Type": "application/json"}
        if self.bearer is not None:
            headers["Authorization"] = f"Bearer {self.bearer}"
        elif self.login is not None:
            pair = b64encode(":".join(self.login).encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        return headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Who is told how each request ended; ``taken`` also of the moment, in epoch seconds."""

    taken: Callable[[float], None]
    refused: Callable[[], None]
    failed: Callable[[], None]


class Push:
    """Keeps one Alertmanager told. `run` until cancelled."""

    def __init__(
        self, to: Recipient, alerts: Alerts, *, send: Fetch, clock: Clock, report: Report
    ) -> None:
        self._to, self._alerts = to, alerts
        self._send, self._clock, self._report = send, clock, report
        self._url = f"{to.url.rstrip('/')}/api/v2/alerts"
        self._news = asyncio.Event()
        self._first: dict[tuple[Key, float], float] = {}  # by key and start: when first sent
        self._bad: dict[Key, float] = {}  # what it will not take, until when (monotonic)
        self._complained: str | None = None
        self._asked = clock.monotonic()

    async def run(self) -> None:
        """Tell all that fires at every change and every ``repeat`` seconds; after failures sooner.

        In between what is fresh is told again and again; where there is nothing to tell, a request
        without alerts once a minute shows that the way is open, before it is needed.
        """
        self._alerts.listen(self._news.set)
        state, left = backoff.BackoffState(), 0.0  # seconds until all is told again
        try:
            while True:
                whole = left <= 0.0 or self._news.is_set()
                self._news.clear()
                if await self.notify(only_fresh=not whole) and await self.show_alive():
                    state, left = backoff.BackoffState(), self._to.repeat if whole else left
                    wait = min(left, _AGAIN if self._fresh() else _ALIVE)
                else:
                    # Lived for nothing: the wait grows until one request succeeds.
                    state, pause = backoff.step(state, 0.0, _RETRY, random())
                    wait, left = min(pause or 0.0, self._to.repeat), 0.0
                left -= wait
                await self._wait_news(wait)
        finally:
            self._alerts.ignore(self._news.set)

    async def notify(self, *, only_fresh: bool = False) -> bool:
        """Tell what fires, or only what has not for long; return whether it got through."""
        now = self._clock.monotonic()
        self._bad = {key: until for key, until in self._bad.items() if until > now}
        firing = {(key_of(alert.labels), alert.start): alert for alert in self._alerts.firing()}
        self._first = {one: self._first.get(one, now) for one in firing}
        due = self._fresh() if only_fresh else firing.keys()
        alerts = [firing[one] for one in due if one[0] not in self._bad]
        for some in batches(alerts, _AT_ONCE):
            if not await self._tell(some):
                return False
        return True

    async def show_alive(self) -> bool:
        """Send a request without alerts unless one went lately; say whether the way is open."""
        if self._clock.monotonic() - self._asked < _ALIVE:
            return True
        return self._note(*await self._ask(()))

    def _fresh(self) -> list[tuple[Key, float]]:
        now = self._clock.monotonic()
        return [one for one, first in self._first.items() if now - first < FRESH]

    async def _tell(self, alerts: Sequence[Pushed]) -> bool:
        status, why = await self._ask(alerts)
        if status not in _OF_AN_ALERT:
            return self._note(status, why)
        # At least one is bad. Alertmanager takes the others, but says which only in words.
        for alert in alerts:
            status, why = await self._ask([alert])
            if status in _OF_AN_ALERT:
                self._bad[key_of(alert.labels)] = self._clock.monotonic() + _SET_ASIDE
                log.error(
                    "alert_refused alertmanager=%s alert=%s why=%r",
                    self._to.url, alert.labels.get("alertname", ""), why,
                )  # fmt: skip
                self._report.refused()
            elif not self._note(status, why):
                return False
        return True

    def _note(self, status: int, why: str) -> bool:
        if status // 100 == 2:
            self._report.taken(self._clock.wall())
            if self._complained is not None:
                log.info("alertmanager_reached alertmanager=%s", self._to.url)
            self._complained = None
            return True
        (self._report.refused if status in _REFUSED else self._report.failed)()
        if why != self._complained:
            log.error("alertmanager_failed alertmanager=%s why=%r", self._to.url, why)
            self._complained = why
        return False

    async def _ask(self, alerts: Sequence[Pushed]) -> tuple[int, str]:
        """Send one request; return the status, 0 for none, and why it was not taken."""
        to, self._asked = self._to, self._clock.monotonic()
        try:
            answer = await self._send(
                "POST",
                self._url,
                headers=to.headers,
                timeout=to.timeout,
                body_limit=_BODY_LIMIT,
                body=body(alerts, self._clock.wall(), to.repeat, to.generator_url),
            )
        except FetchFailedError as error:
            return 0, str(error.reason)
        text = answer.body[:500].decode("utf-8", "replace")
        return answer.status, "" if answer.status // 100 == 2 else f"status {answer.status}: {text}"

    async def _wait_news(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._news.wait()
        except TimeoutError:
            pass
