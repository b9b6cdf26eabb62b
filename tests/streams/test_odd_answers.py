"""Answers that come twice, out of order, in a batch or late: all that is served is served still.

Every venue's own way of refusing, as in `test_refusals`; only when its answers arrive is odd.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import count
from math import ceil

import pytest

from exporter import venues
from exporter.contracts import Venue
from exporter.model import SubscriptionState
from exporter.streams.requests import TopicsRefused
from tests.streams import test_newer_refusals as newer
from tests.streams import test_refusals as older
from tests.streams.test_refusals import Answer, Client, Scripted

S = SubscriptionState
Arrival = Callable[[int, int, float], list[float]]  # the request, its answer, when: seconds
LATE = 14.0  # seconds, beyond the time that an answer is waited for


def twice(request: int, index: int, now: float) -> list[float]:
    """Answer again half a second later."""
    return [now + 0.25, now + 0.75]


def out_of_order(request: int, index: int, now: float) -> list[float]:
    """Let later requests, and later parts of an answer, overtake earlier ones."""
    return [now + 0.1 + (request * 7 + 11 - index * 3) % 12 * 0.25]


def in_batches(request: int, index: int, now: float) -> list[float]:
    """Hold answers back until the next full two seconds."""
    return [ceil(now / 2.0 + 0.01) * 2.0]


def late_at_first(request: int, index: int, now: float) -> list[float]:
    """Answer the first requests when they have been asked again already."""
    return [now + (LATE if request < 4 else 0.25)]


def always_late(request: int, index: int, now: float) -> list[float]:
    """Answer no request in time."""
    return [now + LATE]


def in_parts(request: int, index: int, now: float) -> list[float]:
    """Let each further part of an answer come three seconds after the one before."""
    return [now + 0.25 + 3.0 * index]


class OddlyAnswered(Scripted):
    """A venue whose answers arrive when ``arrival`` says."""

    def __init__(self, venue: Venue, bad: Iterable[str], answer: Answer, arrival: Arrival) -> None:
        super().__init__(venue, bad, answer, 0.25)
        self.arrival, self._request = arrival, count()

    def take(self, frame: str, now: float) -> None:
        self.asked_at = now
        if not frame.startswith("{"):
            return
        request = next(self._request)
        for index, message in enumerate(self.answer(self, json.loads(frame))):
            for at in self.arrival(request, index, now):
                self.say(json.dumps(message).encode(), at)


WAYS = [*older.WAYS, *newer.WAYS]


@pytest.mark.parametrize(
    "arrival", [twice, out_of_order, in_batches, in_parts, late_at_first, always_late]
)
@pytest.mark.parametrize(
    ("name", "answer"), [(name, answer) for name, answer, _ in WAYS],
    ids=[f"{name}-{answer.__name__}" for name, answer, _ in WAYS],
)  # fmt: skip
def test_all_that_a_venue_serves_is_served_whenever_its_answers_come(
    name: str, answer: Answer, arrival: Arrival
) -> None:
    """Good topics are live, bad ones and they alone are refused."""
    venue, topics = venues.load(name), newer.topics_of(name)
    bad = {topic for topic, symbol in topics.items() if "gone" in symbol.lower()}
    client = Client(lambda: OddlyAnswered(venue, bad, answer, arrival), topics)
    client.run(240.0)
    states = client.states()
    assert {t for t, state in states.items() if state is S.LIVE} == set(topics) - bad
    # Each was refused at some time, and may be asked for again just now. No other ever was, but
    # where a refusal names neither topic nor request: the next may be blamed, until it is served.
    told = {each.topic for each in client.said if isinstance(each, TopicsRefused)}
    assert told >= bad
    assert told == bad or answer in (older.bitstamp, newer.kraken_futures)
    late = arrival in (late_at_first, always_late)
    assert late or {t for t, state in states.items() if state is S.REJECTED} == bad
    assert client.reconnects <= (2 if late else 0)
