"""The life of one stream connection, without the connection: what to send, and when to give up.

Pure: the driver tells it what happened and what time it is (``now``, monotonic seconds), and does
what it answers. Data frames pass it by: the driver notes ``heard`` on the session once a batch
and on the `Watched` subscription once an event, and `Session.tick` looks at those.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from exporter.contracts import Venue
from exporter.model import Ack, Control, Lost, SubscriptionState

_LONGEST_RETRY = 3600.0  # seconds between two tries to wake a subscription that stays dead


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long a session waits for what. Seconds.

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
    """Give the connection up; the session says nothing more."""

    reason: Lost
    detail: str


@dataclass(frozen=True, slots=True)
class TopicsRefused:
    """The venue will not serve this topic; ``reason`` is its own text, for the log."""

    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class Revived:
    """A subscription fell silent for ``silence`` seconds, and is asked for again."""

    topic: str
    silence: float


@dataclass(frozen=True, slots=True)
class Renew:
    """Open the successor now: this connection will soon be ended by rule."""

    detail: str


Action: TypeAlias = SendFrame | Close | TopicsRefused | Revived | Renew


class Watched:
    """One subscription on this connection. ``heard``: when its last data came, None before."""

    __slots__ = ("armed", "asked", "heard", "refusals", "seen", "state", "topic", "tries")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.state = SubscriptionState.REQUESTED
        self.heard: float | None = None
        self.seen: float | None = None  # the value of `heard` that was last looked at
        self.armed: float | None = None  # when it was first asked for: silence counts from here
        self.asked: float | None = None  # when it was last asked for
        self.tries = 0  # how often it was asked for again since its last data
        self.refusals = 0  # in a row


@dataclass(frozen=True, slots=True)
class _Request:
    topics: tuple[str, ...]
    join: bool  # False: leave them
    sent: float = 0.0


class Session:
    """The state machine of one connection. Durations in seconds.

    ``stale_after`` gives how long the silence of a topic may last, None for "no limit".
    ``blamed`` outlives sessions: topics that already cost a reconnect and stayed silent since;
    they are asked for again ever more rarely, but cost no further one.
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
    ) -> None:
        self.watched = {topic: Watched(topic) for topic in topics}
        self.heard = now  # when the last message of any kind came
        self.closed = False
        self._venue, self._timing = venue, timing
        self._stale_after, self._blamed = stale_after, blamed
        self._opened = now
        self._ready = not venue.welcomed
        self._queue: deque[_Request] = deque()
        self._outstanding: dict[int, _Request] = {}
        self._requests = 0
        self._pings = 0
        self._next_request = now
        self._next_ping = now + venue.ping_every
        self._renewed = False
        self._enqueue(tuple(self.watched), join=True)

    # --- what the driver calls ----------------------------------------------------------------

    def tick(self, now: float) -> list[Action]:
        """Do what is due. To be called after `wait` seconds at most."""
        if self.closed:
            return []
        if not self._ready:
            if now - self._opened > self._timing.welcome_timeout:
                return [self._close(Lost.PROTOCOL_ERROR, "the venue sent no welcome")]
            return []
        actions: list[Action] = []
        self._look(now, actions)
        self._missing_acks(now, actions)
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
        """Give how long nothing can become due, at most 1 s (the grain of all staleness)."""
        due = now + 1.0
        if self._ready and self._queue:
            due = self._next_request
        if self._venue.ping is not None:
            due = min(due, max(self._next_ping, self._next_request))
        return min(1.0, max(0.0, due - now))

    def control(self, event: Ack | Control, now: float) -> list[Action]:
        """Take one event that is no market data."""
        if self.closed:
            return []
        actions: list[Action] = []
        if isinstance(event, Ack):
            self._ack(event, actions)
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
        self._enqueue(known, join=False)
        self._enqueue(known, join=True)

    def counts(self) -> Mapping[SubscriptionState, int]:
        """Give how many subscriptions are in each state; all states are there."""
        found = Counter(watched.state for watched in self.watched.values())
        return {state: found[state] for state in SubscriptionState}

    @property
    def settled(self) -> bool:
        """Whether every subscription has come as far as it will: data, an ack or a refusal."""
        return all(w.state is not SubscriptionState.REQUESTED for w in self.watched.values())

    # --- requests -----------------------------------------------------------------------------

    def _enqueue(self, topics: Sequence[str], *, join: bool) -> None:
        size, groups = self._venue.topics_per_request, dict[str, list[str]]()
        for topic in topics:
            groups.setdefault(self._venue.request_group(topic), []).append(topic)
        for group in groups.values():
            for start in range(0, len(group), size):
                self._queue.append(_Request(tuple(group[start : start + size]), join))

    def _next_frame(self, now: float) -> str | None:
        """Give the one frame that may be sent now: a ping that is due comes first."""
        venue = self._venue
        if venue.ping is not None and now >= self._next_ping:
            self._pings += 1
            self._next_ping = now + venue.ping_every
            return venue.ping(self._pings)
        if not self._queue:
            return None
        request = self._queue.popleft()
        self._requests += 1
        spell = venue.subscribe if request.join else venue.unsubscribe
        topics = request.topics
        frame = spell(topics, self._requests)
        while venue.request_length is not None and len(frame) > venue.request_length:
            if len(topics) == 1:
                break  # cannot be made shorter; the venue will say so
            self._queue.appendleft(_Request(topics[len(topics) // 2 :], request.join))
            topics = topics[: len(topics) // 2]
            frame = spell(topics, self._requests)
        if venue.acks:
            self._outstanding[self._requests] = _Request(topics, request.join, now)
        for topic in topics if request.join else ():
            watched = self.watched[topic]
            watched.asked = now
            if watched.armed is None:
                watched.armed = now
            if not venue.acks and watched.state is SubscriptionState.REQUESTED:
                watched.state = SubscriptionState.ACKED
        return frame

    def _missing_acks(self, now: float, actions: list[Action]) -> None:
        """Ask again for what was not answered; answered neither time, the connection is useless."""
        timeout = self._timing.ack_timeout
        late = [n for n, request in self._outstanding.items() if now - request.sent > timeout]
        for number in late:
            request = self._outstanding.pop(number)
            if not request.join:
                continue
            silent = []
            for topic in request.topics:
                watched = self.watched[topic]
                if watched.state is not SubscriptionState.REQUESTED:
                    continue
                if watched.refusals:  # it was refused before, which says nothing of the others
                    watched.state = SubscriptionState.REJECTED
                    watched.refusals += 1
                else:
                    silent.append(topic)
            if any(self.watched[topic].tries for topic in silent):
                detail = f"no answer to subscribing to {silent[0]} and {len(silent) - 1} more"
                reason = Lost.IDLE if self.heard <= request.sent else Lost.STALE_SUBSCRIPTION
                actions.append(self._close(reason, detail))
                return
            for topic in silent:
                self.watched[topic].tries += 1
            self._enqueue(silent, join=True)

    def _ack(self, ack: Ack, actions: list[Action]) -> None:
        number = ack.request
        # An answer that names nothing belongs to the oldest question; a bare complaint only if
        # there is just one, for it may be about something else.
        asked = len(self._outstanding)
        if number is None and not ack.topics and (asked == 1 or (ack.ok and asked)):
            number = next(iter(self._outstanding))
        request = self._outstanding.pop(number, None) if number is not None else None
        if request is None:
            self._ack_topics(ack, actions)
        elif not request.join:
            return
        elif ack.ok:
            named = ack.topics or request.topics
            self._agree(named)
        elif ack.topics:
            self._refuse(ack.topics, ack.reason, actions)
        elif len(request.topics) > 1:
            # One bad topic fails the whole request with some venues: halve it to find which.
            middle = len(request.topics) // 2
            self._queue.appendleft(_Request(request.topics[middle:], join=True))
            self._queue.appendleft(_Request(request.topics[:middle], join=True))
        else:
            self._refuse(request.topics, ack.reason, actions)

    def _ack_topics(self, ack: Ack, actions: list[Action]) -> None:
        """Take an answer that names topics only, or a request that is long forgotten."""
        if ack.ok:
            self._agree(ack.topics)
        else:
            self._refuse(ack.topics, ack.reason, actions)
        answered = set(ack.topics)
        for number, request in list(self._outstanding.items()):
            left = tuple(topic for topic in request.topics if topic not in answered)
            if not left:
                del self._outstanding[number]
            elif len(left) < len(request.topics):
                self._outstanding[number] = _Request(left, request.join, request.sent)

    def _agree(self, topics: Iterable[str]) -> None:
        for topic in topics:
            watched = self.watched.get(topic)
            if watched is not None and watched.state is SubscriptionState.REQUESTED:
                watched.state = SubscriptionState.ACKED
                watched.tries = watched.refusals = 0

    def _refuse(self, topics: Iterable[str], reason: str, actions: list[Action]) -> None:
        for topic in topics:
            watched = self.watched.get(topic)
            if watched is not None and watched.state is not SubscriptionState.LIVE:
                watched.state = SubscriptionState.REJECTED
                watched.refusals += 1
                actions.append(TopicsRefused(topic, reason))

    # --- liveness -----------------------------------------------------------------------------

    def _look(self, now: float, actions: list[Action]) -> None:
        """Find what came alive and what fell silent since the last look."""
        silent: list[str] = []
        for topic, watched in self.watched.items():
            if watched.heard != watched.seen:
                watched.seen = watched.heard
                watched.state = SubscriptionState.LIVE
                watched.tries = 0
                self._blamed.discard(topic)
            since = watched.armed if watched.heard is None else watched.heard
            limit = self._stale_after(topic)
            if watched.state is SubscriptionState.REJECTED:
                self._ask_refused(watched, now)
                continue
            if since is None or limit is None:
                continue
            if watched.state is SubscriptionState.REQUESTED:
                continue  # the ack's own timer runs
            since = max(since, watched.asked or since)
            # In vain the first time it is asked for again as soon, then ever more rarely.
            patience = limit * 2.0 ** max(0, watched.tries - 1)
            if now - since <= min(patience, max(limit, _LONGEST_RETRY)):
                continue
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

    def _ask_refused(self, watched: Watched, now: float) -> None:
        """Ask again, ever more rarely: a venue refuses in its bad hours too, not for ever."""
        wait = self._timing.refused_retry * 2.0 ** min(watched.refusals - 1, 16)
        if watched.asked is not None and now - watched.asked > min(wait, _LONGEST_RETRY):
            watched.state = SubscriptionState.REQUESTED
            watched.asked = now  # until its turn comes, which moves it on
            self._enqueue((watched.topic,), join=True)

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
