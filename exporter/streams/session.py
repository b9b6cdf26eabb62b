"""The state machine of one stream connection: what to send, and when to close it.

Pure: the driver tells it what happened and what time it is (``now``, monotonic seconds), and does
what it answers. Data frames pass it by: the driver notes ``heard`` on the session once a batch
and on the `Watched` subscription once an event, and `Session.tick` looks at those.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from exporter.contracts import Venue
from exporter.model import Ack, Control, Lost, SubscriptionState
from exporter.streams.requests import (
    LONGEST_RETRY,
    RequestRefused,
    Requests,
    TopicsRefused,
    Watched,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The timeouts of a session, in seconds.

    ``idle_after``: without any message at all, where the venue answers our own keepalive.
    ``refused_retry``: before a refused subscription is asked for again, doubling each time.
    ``lifetime``: after which a successor is wanted; None means never.
    """

    ack_timeout: float = 10.0
    welcome_timeout: float = 10.0
    idle_after: float = 60.0
    refused_retry: float = 60.0
    lifetime: float | None = None


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Send this frame now."""

    frame: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection; the session returns no further action."""

    reason: Lost
    detail: str


@dataclass(frozen=True, slots=True)
class Revived:
    """A subscription fell silent for ``silence`` seconds, and is asked for again."""

    topic: str
    silence: float


@dataclass(frozen=True, slots=True)
class Renew:
    """Open the successor now: this connection will soon be ended by rule."""

    detail: str


Action: TypeAlias = SendFrame | Close | TopicsRefused | RequestRefused | Revived | Renew


class Session:
    """The state machine of one connection. Durations in seconds.

    ``stale_after`` gives how long the silence of a topic may last, None for "no limit".
    ``symbols`` are the venue's spellings, by topic. ``blamed`` outlives sessions: topics that were
    refused, or already cost a reconnect and stayed silent since; they are asked for by themselves
    and again ever more rarely, but cost no further one.
    """

    def __init__(
        self,
        venue: Venue,
        topics: Iterable[str],
        *,
        now: float,
        timing: Timing,
        stale_after: Callable[[str], float | None],
        blamed: set[str],
        symbols: Mapping[str, str] | None = None,
    ) -> None:
        self.watched = {topic: Watched(topic) for topic in topics}
        self.heard = now  # when the last message of any kind came
        self.closed = False
        self._venue, self._timing = venue, timing
        self._stale_after, self._blamed = stale_after, blamed
        self._opened = now
        self._ready = not venue.welcomed
        self._requests = Requests(
            venue,
            self.watched,
            symbols=symbols or {},
            blamed=blamed,
            ack_timeout=timing.ack_timeout,
            refused_retry=timing.refused_retry,
        )
        self._pings = 0
        self._opening = deque(venue.opening)
        self._next_request = now
        self._next_ping = now + venue.ping_every
        self._renewed = False

    # --- what the driver calls ----------------------------------------------------------------

    def tick(self, now: float) -> list[Action]:
        """Return the actions that are due. To be called after `wait` seconds at most."""
        if self.closed:
            return []
        if not self._ready:
            if now - self._opened > self._timing.welcome_timeout:
                return [self._close(Lost.PROTOCOL_ERROR, "the venue sent no welcome")]
            return []
        actions: list[Action] = []
        self._look(now, actions)
        self._overdue(now, actions)
        self._idle(now, actions)
        lifetime = self._timing.lifetime
        if lifetime is not None and now - self._opened >= lifetime:
            self._renew("the venue's time limit is near", actions)
        if not self.closed and now >= self._next_request:
            frame = self._next_frame(now)
            if frame is not None:
                self._next_request = now + 1.0 / self._venue.requests_per_second
                actions.append(SendFrame(frame))
        return actions

    def wait(self, now: float) -> float:
        """Return how long nothing can become due, at most 1 s (the grain of all staleness)."""
        due = now + 1.0
        if self._ready and (self._requests.waiting or self._opening):
            # While an answer is awaited first, look for it as often as we could ask.
            turn = 0.0 if self._requests.free else 1.0 / self._venue.requests_per_second
            due = max(self._next_request, now + turn)
        if self._venue.ping is not None:
            due = min(due, max(self._next_ping, self._next_request))
        return min(1.0, max(0.0, due - now))

    def control(self, event: Ack | Control, now: float) -> list[Action]:
        """Process one event that is not market data."""
        if self.closed:
            return []
        actions: list[Action] = []
        if isinstance(event, Ack):
            actions += self._requests.answered(event, now)
            return actions
        if event.reply is not None:
            actions.append(SendFrame(event.reply))
            self._next_request = max(self._next_request, now)
        if event.ready:
            self._ready = True
        if event.reconnect:
            self._renew("the venue announced a disconnect", actions)
        return actions

    def resubscribe(self, topics: Sequence[str]) -> None:
        """Leave and join some topics again, for a fresh snapshot say."""
        known = tuple(topic for topic in topics if topic in self.watched)
        self._requests.enqueue(known, join=False)
        self._requests.enqueue(known, join=True)

    def join(self, symbols: Mapping[str, str]) -> None:
        """Watch more topics from now on; each with the venue's spelling of its symbol."""
        self.watched |= {topic: Watched(topic) for topic in symbols}
        self._requests.join(symbols)

    def leave(self, topics: Collection[str]) -> None:
        """Watch some topics no more."""
        known = [topic for topic in topics if topic in self.watched]
        self._requests.leave(known)
        for topic in known:
            del self.watched[topic]

    def counts(self) -> Mapping[SubscriptionState, int]:
        """Return how many subscriptions are in each state; all states are there."""
        found = Counter(watched.state for watched in self.watched.values())
        return {state: found[state] for state in SubscriptionState}

    @property
    def settled(self) -> bool:
        """Return whether every subscription is settled: by data, an ack or a refusal."""
        return all(w.state is not SubscriptionState.REQUESTED for w in self.watched.values())

    # --- requests -----------------------------------------------------------------------------

    def _next_frame(self, now: float) -> str | None:
        """Return the one frame that may be sent now: a ping that is due comes first."""
        venue = self._venue
        if self._opening:
            return self._opening.popleft()
        if venue.ping is not None and now >= self._next_ping:
            self._pings += 1
            self._next_ping = now + venue.ping_every
            return venue.ping(self._pings)
        return self._requests.next_frame(now)

    def _overdue(self, now: float, actions: list[Action]) -> None:
        """Ask again for what was not answered; end a connection on which that did not help."""
        sent = min((w.asked for w in self.watched.values() if w.asked is not None), default=now)
        lost = self._requests.overdue(now)
        if lost and not self.closed:
            self._blamed.update(lost)
            detail = f"no answer to subscribing to {lost[0]} and {len(lost) - 1} more"
            reason = Lost.IDLE if self.heard <= sent else Lost.STALE_SUBSCRIPTION
            actions.append(self._close(reason, detail))

    # --- liveness -----------------------------------------------------------------------------

    def _look(self, now: float, actions: list[Action]) -> None:
        """Find what came alive and what fell silent since the last look."""
        silent: list[str] = []
        for topic, watched in self.watched.items():
            if watched.heard != watched.seen:
                watched.seen = watched.heard
                watched.state = SubscriptionState.LIVE
                watched.agreed()
                self._blamed.discard(topic)
                self._requests.served = True
            since = watched.armed if watched.heard is None else watched.heard
            limit = self._stale_after(topic)
            if watched.again is not None and now >= watched.again:
                watched.state, watched.again = SubscriptionState.REQUESTED, None
                self._requests.enqueue((topic,), join=True)
            if since is None or limit is None:
                continue
            if watched.state in (SubscriptionState.REQUESTED, SubscriptionState.REJECTED):
                continue  # the timers of its answer run
            since = max(since, watched.asked or since)
            # In vain the first time it is asked for again as soon, then ever more rarely.
            patience = limit * 2.0 ** max(0, watched.tries - 1)
            if now - since <= min(patience, max(limit, LONGEST_RETRY)):
                continue
            if not self._venue.asks:
                detail = f"nothing that shows {topic} to be alive for {now - since:.1f} s"
                reason = Lost.IDLE if self.heard <= since else Lost.STALE_SUBSCRIPTION
                actions.append(self._close(reason, detail))
                return
            if watched.tries and topic not in self._blamed:
                self._give_up(watched, since, actions)
                return
            silent.append(topic)
            actions.append(Revived(topic, now - since))
        for topic in silent:
            watched = self.watched[topic]
            watched.state = SubscriptionState.STALE
            watched.tries += 1
            watched.asked = now  # until its turn comes, which moves it on
        self.resubscribe(silent)

    def _give_up(self, watched: Watched, since: float, actions: list[Action]) -> None:
        """End a connection on which asking again did not help."""
        if self.heard <= since:
            detail = "nothing at all came since subscribing again"
            actions.append(self._close(Lost.IDLE, detail))
        else:
            self._blamed.add(watched.topic)
            detail = f"{watched.topic} stayed silent after subscribing again"
            actions.append(self._close(Lost.STALE_SUBSCRIPTION, detail))

    def _idle(self, now: float, actions: list[Action]) -> None:
        """End a connection on which even the answers to our keepalives fail to come."""
        if self._venue.ping is None or self.closed:
            return  # silence alone proves nothing; the transport's ping and staleness do
        limit = max(self._timing.idle_after, 2.5 * self._venue.ping_every)
        if now - self.heard > limit:
            actions.append(self._close(Lost.IDLE, f"no message for {limit:g} s"))

    def _renew(self, detail: str, actions: list[Action]) -> None:
        if not self._renewed:
            self._renewed = True
            actions.append(Renew(detail))

    def _close(self, reason: Lost, detail: str) -> Close:
        self.closed = True
        return Close(reason, detail)
