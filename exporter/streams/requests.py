"""Subscribe requests: which topics to ask for, and which of them the answers confirm.

Pure: time is an argument. A request may be answered in parts, for some of its topics, by several
answers, twice, late or not at all; each topic that is neither served nor refused is asked for
again, whatever was said of its neighbours.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from exporter.contracts import Venue
from exporter.model import Ack, SubscriptionState

LONGEST_RETRY = 3600.0  # seconds between two tries to have a topic that is refused or silent
_FORGOTTEN = 6.0  # ack timeouts after which a request is not remembered for a late answer
_SLOWEST = 60.0  # seconds, the most that a venue teaches us to wait for its answers
_UNDER_WAY = (SubscriptionState.REQUESTED, SubscriptionState.LIVE)
_ALREADY = re.compile(r"already subscribed", re.IGNORECASE)
# Words for having been asked too often: Bybit's 10006, Kraken, KuCoin, OKX's 60014; Deribit's and
# Crypto.com's too_many_requests, Bitfinex' ERR_RATE_LIMIT, HTX' "429 too many request", Bitget.
_LIMITED = re.compile(
    r"too[ _-]?(many[ _-]?(visit|request)|frequent)|requests? too many"
    r"|(rate|request)[ _-]?limit|(msg|message)[ _-]rate|throttl",
    re.IGNORECASE,
)
_PAUSE, _LONGEST_PAUSE = 2.0, 30.0  # seconds without requests after such a refusal, doubling


@dataclass(frozen=True, slots=True)
class TopicsRefused:
    """The venue will not serve this topic; ``reason`` is its own text."""

    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """A request was refused and it is not known for which topic; ``reason`` as above."""

    reason: str


Refusal: TypeAlias = TopicsRefused | RequestRefused


class Watched:
    """One subscription on this connection. ``heard``: when its last data came, None before."""

    __slots__ = (
        "again", "armed", "asked", "heard", "reason", "refusals", "seen", "state", "topic", "tries",
    )  # fmt: skip

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.state = SubscriptionState.REQUESTED
        self.heard: float | None = None
        self.seen: float | None = None  # the value of `heard` that was last looked at
        self.armed: float | None = None  # when it was first asked for: silence counts from here
        self.asked: float | None = None  # when it was last asked for
        self.again: float | None = None  # when to ask once more for what was refused or unanswered
        self.tries = 0  # how often it was asked for again since its last data
        self.refusals = 0  # in a row
        self.reason = ""  # why it was refused, in the venue's words

    def agreed(self) -> None:
        """Note that the venue, or its data, says that it is served."""
        self.tries = self.refusals = 0
        self.again, self.reason = None, ""


@dataclass(slots=True)
class _Request:
    topics: tuple[str, ...]  # those that were not answered yet
    join: bool  # False: leave them
    sent: float = 0.0
    late: bool = False  # its topics were asked for again; an answer may still come
    doubted: bool = False  # a complaint came meanwhile that may have been about it


class Requests:
    """What is asked of one connection and what came of it. Durations in seconds.

    ``symbols`` gives the venue's spelling of each topic's symbol, by which it may be named.
    ``blamed`` are topics that failed before: each is asked for by itself, after the others.
    """

    def __init__(
        self,
        venue: Venue,
        watched: Mapping[str, Watched],
        *,
        symbols: Mapping[str, str],
        blamed: set[str],
        ack_timeout: float,
        refused_retry: float,
    ) -> None:
        self._venue, self._watched, self._blamed = venue, watched, blamed
        self._symbols = dict(symbols)
        self._patience, self._refused_retry = ack_timeout, refused_retry
        self._queue: deque[_Request] = deque()
        self._asked: dict[int, _Request] = {}
        self._number = 0
        # Where nothing tells which request an answer is for, only one may wait for its answer.
        self._in_turn = not venue.answers_numbered
        self._held, self._pauses = 0.0, 0  # until when nothing is asked, and how often in a row
        self.served = False  # whether the venue has agreed to anything on this connection
        self.enqueue([topic for topic in watched if topic not in blamed], join=True)
        for topic in watched:
            if topic in blamed:
                self.enqueue((topic,), join=True)

    # --- asking -------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Return whether there is something left to ask."""
        return bool(self._queue)

    @property
    def free(self) -> bool:
        """Return whether the next question may be asked before another is answered."""
        return not self._in_turn or all(request.late for request in self._asked.values())

    def enqueue(self, topics: Sequence[str], *, join: bool) -> None:
        """Ask for topics, or leave them, when their turn comes."""
        size, groups = self._venue.topics_per_request, dict[str, list[str]]()
        for topic in topics:
            groups.setdefault(self._venue.request_group(topic), []).append(topic)
        for group in groups.values():
            for start in range(0, len(group), size):
                self._queue.append(_Request(tuple(group[start : start + size]), join))

    def join(self, symbols: Mapping[str, str]) -> None:
        """Ask for topics that are watched from now on, each with its symbol."""
        self._symbols |= symbols
        self.enqueue(tuple(symbols), join=True)

    def leave(self, topics: Collection[str]) -> None:
        """Forget topics that are watched no more, and leave those that were asked for."""
        for request in (*self._queue, *self._asked.values()):
            if request.join:
                request.topics = tuple(each for each in request.topics if each not in topics)
        self._queue = deque(each for each in self._queue if each.topics)
        self._asked = {number: each for number, each in self._asked.items() if each.topics}
        held = [
            topic
            for topic in topics
            if self._watched[topic].asked is not None
            and self._watched[topic].state is not SubscriptionState.REJECTED
        ]
        for topic in topics:
            self._blamed.discard(topic)
            self._symbols.pop(topic, None)
        self.enqueue(held, join=False)

    def next_frame(self, now: float) -> str | None:
        """Take the next request of the queue; None: there is none, or it must wait."""
        if not self._queue or not self.free or now < self._held:
            return None
        request, venue = self._queue.popleft(), self._venue
        self._number += 1
        spell = venue.subscribe if request.join else venue.unsubscribe
        frame = spell(request.topics, self._number)
        while venue.request_length is not None and len(frame) > venue.request_length:
            if len(request.topics) == 1:
                break  # cannot be made shorter; the venue will say so
            request = self._halve(request)
            frame = spell(request.topics, self._number)
        request.sent = now
        if venue.acks and frame:
            self._asked[self._number] = request
        for topic in request.topics if request.join else ():
            watched = self._watched[topic]
            watched.asked = now
            if watched.armed is None:
                watched.armed = now
            if not (venue.acks and frame) and watched.state is SubscriptionState.REQUESTED:
                watched.state = SubscriptionState.ACKED
        return frame or None

    def _halve(self, request: _Request) -> _Request:
        """Put the second half of a request first in the queue; return the first half."""
        middle = len(request.topics) // 2
        self._queue.appendleft(_Request(request.topics[middle:], request.join))
        return _Request(request.topics[:middle], request.join)

    def _ask_halves(self, topics: tuple[str, ...]) -> None:
        """Ask again at once, in two requests, to find which topic fails them both."""
        self._queue.appendleft(self._halve(_Request(topics, join=True)))

    # --- answers that do not come -------------------------------------------------------------

    def overdue(self, now: float) -> tuple[str, ...]:
        """Ask again for what is not answered; give topics for which that was in vain too.

        Topics are asked for again in two halves each time, for one of them may keep a venue from
        answering at all.
        """
        for number, request in list(self._asked.items()):
            if request.join:
                request.topics = tuple(t for t in request.topics if not self._heard(t, request))
            if not request.topics or now - request.sent > _FORGOTTEN * self._patience:
                del self._asked[number]
        lost: list[str] = []
        for request in list(self._asked.values()):
            if not request.late and now - request.sent > self._patience:
                request.late = True
                lost += self._unanswered(request, now)
        return tuple(lost)

    def _heard(self, topic: str, request: _Request) -> bool:
        """Return whether data of a topic has come since its request, which then needs no answer."""
        heard = self._watched[topic].heard
        return heard is not None and heard > request.sent

    def _unanswered(self, request: _Request, now: float) -> list[str]:
        silent: list[str] = []
        for topic in request.topics if request.join else ():
            watched = self._watched[topic]
            if watched.state not in _UNDER_WAY or (watched.asked or 0.0) > request.sent:
                continue  # refused meanwhile, asked for again, or judged by its silence
            if watched.refusals:  # it was refused before, which says nothing of the others
                self._reject(watched, now)
                continue
            watched.state = SubscriptionState.REQUESTED
            silent.append(topic)
        lost = [t for t in silent if self._watched[t].tries and not request.doubted]
        for topic in () if request.doubted else silent:
            self._watched[topic].tries += 1
        if len(silent) > 1:
            self._ask_halves(tuple(silent))
            return [] if self.served else lost
        for topic in silent:
            watched = self._watched[topic]
            if topic in self._blamed and self.served:  # others are served: ever more rarely
                watched.again = now + min(self._patience * 2.0**watched.tries, LONGEST_RETRY)
                return []
            self.enqueue((topic,), join=True)
        return lost

    # --- answers ------------------------------------------------------------------------------

    def answered(self, ack: Ack, now: float) -> list[Refusal]:
        """Take an answer; return what is to be told of a refusal."""
        request = None if ack.request is None else self._asked.get(ack.request)
        if request is not None:  # a venue that is slow is given more time
            self._patience = max(self._patience, min(2.0 * (now - request.sent), _SLOWEST))
        topics = tuple(topic for topic in ack.topics if topic in self._watched)
        if not ack.ok and _LIMITED.search(ack.reason):
            return self._limited(ack, request, topics, now)
        if ack.ok or _ALREADY.search(ack.reason):
            self._agreed(ack, request, topics)
            return []
        if topics:
            joined = [t for t in topics if self._settle(t, request) is not False]
            return self._refuse(joined, ack.reason, now)
        return self._refused(ack, request, now)

    def _agreed(self, ack: Ack, request: _Request | None, topics: tuple[str, ...]) -> None:
        if topics:
            joined = [t for t in topics if self._settle(t, request) is not False]
            self._agree(joined)
        pending = [each for each in self._asked.values() if not each.late]
        if request is None and ack.request is None and not ack.topics and pending:
            request = pending[0]  # an answer that names nothing belongs to the oldest question
        elif request is None and self._in_turn and pending and not pending[0].join:
            request = pending[0]  # all that is active by now, with what was left not among it
        if request is None or (ack.topics and request.join):
            return
        if request.join:
            self._agree(request.topics)
        self._drop(request)

    def _limited(
        self, ack: Ack, request: _Request | None, topics: tuple[str, ...], now: float
    ) -> list[Refusal]:
        """Take a refusal for asking too often: it says nothing of any topic.

        What it is about is asked for again as it was, after a pause that grows.
        """
        if now >= self._held:  # else it is about what was asked before the pause
            pause = min(_PAUSE * 2.0 ** min(self._pauses, 16), _LONGEST_PAUSE)
            self._held, self._pauses = now + pause, self._pauses + 1
        pending = [each for each in self._asked.values() if not each.late]
        if topics:
            self._ask_with([t for t in topics if self._settle(t, request) is not False])
        elif request is None and len(pending) != 1:
            for each in pending:  # it may be about any of them: who is not served is asked again
                each.doubted = True
        elif not (request := request or pending[0]).late:
            self._drop(request)
            self._queue.appendleft(_Request(request.topics, request.join))
        return [RequestRefused(ack.reason)]

    def _ask_with(self, topics: Sequence[str]) -> None:
        """Ask for topics again, in the next request if they fit in: a refusal may name each."""
        first, venue = self._queue[0] if self._queue else None, self._venue
        for topic in topics:
            if (
                first is not None
                and first.join
                and len(first.topics) < venue.topics_per_request
                and venue.request_group(first.topics[0]) == venue.request_group(topic)
            ):
                first.topics = (*first.topics, topic)
            else:
                first = _Request((topic,), join=True)
                self._queue.appendleft(first)

    def _refused(self, ack: Ack, request: _Request | None, now: float) -> list[Refusal]:
        """Take a refusal whose only names, if any, stand in its text: of a request as a whole."""
        if request is None and ack.request is not None:
            return [RequestRefused(ack.reason)]  # said before, or long forgotten
        pending = [each for each in self._asked.values() if not each.late]
        asked = [request] if request is not None else pending
        named = self._named(ack.reason, [t for each in asked if each.join for t in each.topics])
        if request is None:
            if not named and (before := self._named_before(ack.reason)):
                unserved = (SubscriptionState.REQUESTED, SubscriptionState.REJECTED)
                wrong = [t for t in before if self._watched[t].state in unserved]
                return [*self._refuse(wrong, ack.reason, now)] or [RequestRefused(ack.reason)]
            found = [each for each in pending if set(named) & set(each.topics)] or pending
            if len(found) != 1:
                # It may be about any of them: they are asked for again one by one, if need be.
                self._in_turn = self._in_turn or bool(pending)
                for each in pending:
                    each.doubted = True
                return [RequestRefused(ack.reason)]
            request = found[0]
        if request.late and not named:
            return [RequestRefused(ack.reason)]  # its topics were asked for again
        self._drop(request)
        if not request.join:
            return []
        named = [topic for topic in named if topic in request.topics]
        rest = tuple(t for t in request.topics if t not in named and not self._heard(t, request))
        if named:
            if rest and not request.late:
                self._queue.appendleft(_Request(rest, join=True))
            return self._refuse(named, ack.reason, now)
        if len(rest) > 1:
            # One bad topic fails the whole request with some venues: halve it to find which.
            self._ask_halves(rest)
            return [RequestRefused(ack.reason)]
        return self._refuse(rest, ack.reason, now)

    def _named(self, text: str, topics: Sequence[str]) -> list[str]:
        """Find the topics that a text names: as they are, else by their symbols."""
        return [t for t in topics if _stands(t, text)] or [
            t for t in topics if _stands(self._symbols.get(t, ""), text)
        ]

    def _named_before(self, text: str) -> list[str]:
        """Find the topics of earlier requests that a text names: said again, or late."""
        asked = {topic for each in self._asked.values() if not each.late for topic in each.topics}
        return self._named(
            text,
            [t for t, one in self._watched.items() if one.asked is not None and t not in asked],
        )

    def _settle(self, topic: str, request: _Request | None) -> bool | None:
        """Remove a topic from the oldest request for it; return whether that was to join."""
        for each in (request,) if request is not None else tuple(self._asked.values()):
            if topic in each.topics:
                each.topics = tuple(other for other in each.topics if other != topic)
                if not each.topics:
                    self._drop(each)
                return each.join
        return None

    def _drop(self, request: _Request) -> None:
        self._asked = {n: each for n, each in self._asked.items() if each is not request}

    def _agree(self, topics: Iterable[str]) -> None:
        self.served, self._pauses = True, 0
        for topic in topics:
            watched = self._watched[topic]
            if watched.state in (SubscriptionState.REQUESTED, SubscriptionState.REJECTED):
                watched.state = SubscriptionState.ACKED
                watched.agreed()

    def _refuse(self, topics: Iterable[str], reason: str, now: float) -> list[Refusal]:
        told: list[Refusal] = []
        for topic in topics:
            watched = self._watched[topic]
            heard, asked = watched.heard, watched.asked
            if heard is not None and (asked is None or heard > asked):
                continue  # it is served, whatever this was about
            if watched.state is not SubscriptionState.REJECTED:
                self._reject(watched, now)
                told.append(TopicsRefused(topic, reason))
            watched.reason = reason
        return told

    def _reject(self, watched: Watched, now: float) -> None:
        """Ask again, ever more rarely: a venue refuses in its bad hours too, not for ever."""
        watched.state = SubscriptionState.REJECTED
        watched.refusals += 1
        wait = self._refused_retry * 2.0 ** min(watched.refusals - 1, 16)
        watched.again = now + min(wait, LONGEST_RETRY)
        self._blamed.add(watched.topic)


def _stands(name: str, text: str) -> bool:
    """Return whether a name stands in a text, and not only as a part of a longer one."""
    if not name or name.casefold() not in text.casefold():
        return False
    pattern = rf"(?<![\w-]){re.escape(name)}(?![\w-]|[.@/]\w)"
    return re.search(pattern, text, re.IGNORECASE) is not None


def stamped(frame: str, now: float) -> str:
    """Return a frame of a venue that is `timed` as it is sent at ``now`` (epoch seconds)."""
    frame = frame.replace('"$time_ms"', str(int(now * 1e3)))
    return frame.replace('"$time"', str(int(now)))
