"""The life of one connection, driven by hand: time is an argument, and every answer a value."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.contracts import Venue
from exporter.model import Ack, Control, Lost, SubscriptionState
from exporter.streams.requests import TopicsRefused
from exporter.streams.session import (
    Action,
    Close,
    Renew,
    Revived,
    SendFrame,
    Session,
    Timing,
)
from tests.streams import toy

TOPICS = ("t.A", "t.B", "t.C", "t.D", "t.E")
S = SubscriptionState


class Drive:
    """A session and its clock; keeps all that it said."""

    def __init__(
        self,
        topics: Sequence[str] = TOPICS,
        *,
        venue: Venue = toy.VENUE,
        timing: Timing | None = None,
        stale_after: Callable[[str], float | None] = lambda topic: None,
        blamed: set[str] | None = None,
    ) -> None:
        self.now = 100.0
        self.blamed = set[str]() if blamed is None else blamed
        self.session = Session(
            venue,
            topics,
            now=self.now,
            timing=timing or Timing(),
            stale_after=stale_after,
            blamed=self.blamed,
        )
        self.said: list[tuple[float, Action]] = []

    def keep(self, actions: Sequence[Action]) -> None:
        self.said += [(self.now, action) for action in actions]

    def run(self, seconds: float, heard: bool = True) -> None:
        """Let time pass as a driver would, with frames of some kind coming in or not."""
        end = self.now + seconds
        while self.now < end:
            self.keep(self.session.tick(self.now))
            self.now = min(end, self.now + max(0.01, self.session.wait(self.now)))
            if heard:
                self.session.heard = self.now
        self.keep(self.session.tick(self.now))

    def data(self, *topics: str) -> None:
        for topic in topics:
            self.session.watched[topic].heard = self.session.heard = self.now

    def control(self, event: Ack | Control) -> None:
        self.session.heard = self.now
        self.keep(self.session.control(event, self.now))

    def of(self, kind: type[Any]) -> list[Any]:
        return [action for _, action in self.said if isinstance(action, kind)]

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(send.frame) for send in self.of(SendFrame)]

    def agree(self) -> None:
        for request in self.requests():
            self.control(Ack("ack", request=request["id"]))

    def states(self) -> dict[str, str]:
        return {topic: str(w.state) for topic, w in self.session.watched.items()}


# --- subscribing ------------------------------------------------------------------------------


def test_requests_keep_to_the_venues_size_and_rate() -> None:
    """At most three topics a request, ten requests a second, every topic once."""
    drive = Drive([f"t.{n}" for n in range(8)])
    drive.run(2.0)
    sizes = [len(request["topics"]) for request in drive.requests()]
    assert sizes == [3, 3, 2]
    times = [time for time, action in drive.said if isinstance(action, SendFrame)]
    assert [round(b - a, 6) for a, b in pairwise(times)] == [0.1, 0.1]
    assert [t for r in drive.requests() for t in r["topics"]] == [f"t.{n}" for n in range(8)]


def test_requests_are_cut_to_the_venues_length() -> None:
    """A frame that would be too long carries half the topics, and the others follow."""
    limit = len(toy.VENUE.subscribe(["t.AAAA", "t.BBBB"], 10))
    drive = Drive(["t.AAAA", "t.BBBB", "t.CCCC"], venue=toy.venue(request_length=limit))
    drive.run(2.0)
    assert [r["topics"] for r in drive.requests()] == [["t.AAAA"], ["t.BBBB", "t.CCCC"]]


def test_topics_of_different_groups_are_asked_for_apart() -> None:
    """Where a request may name one channel only, it does."""
    drive = Drive(["t.A", "q.A", "t.B"], venue=toy.venue(request_group=lambda topic: topic[0]))
    drive.run(1.0)
    assert [r["topics"] for r in drive.requests()] == [["t.A", "t.B"], ["q.A"]]


def test_nothing_is_asked_before_the_welcome() -> None:
    """A venue that greets first is left to; one that never does is given up."""
    drive = Drive(venue=toy.venue(welcomed=True))
    drive.run(5.0)
    assert drive.said == []
    drive.control(Control("welcome", ready=True))
    drive.run(1.0)
    assert len(drive.of(SendFrame)) == 2
    silent = Drive(venue=toy.venue(welcomed=True))
    silent.run(11.0)
    assert [close.reason for close in silent.of(Close)] == [Lost.PROTOCOL_ERROR]


def test_an_ack_by_number_covers_its_request() -> None:
    """Acked is what was in the request that the answer names, nothing else."""
    drive = Drive()
    drive.run(1.0)
    drive.control(Ack("ack", request=2))
    assert drive.states() == {
        "t.A": "requested", "t.B": "requested", "t.C": "requested", "t.D": "acked", "t.E": "acked",
    }  # fmt: skip
    assert drive.session.counts()[S.ACKED] == 2
    assert not drive.session.settled


def test_an_ack_by_topics_needs_no_number() -> None:
    """Venues that list what is active are understood too, and then owe no further answer."""
    drive = Drive()
    drive.run(1.0)
    drive.control(Ack("ack", topics=TOPICS))
    drive.run(30.0)
    assert set(drive.states().values()) == {"acked"}
    assert len(drive.of(SendFrame)) == 2
    assert drive.of(Close) == []


def test_a_bare_ack_belongs_to_the_oldest_request() -> None:
    """Answers come in the order of the questions."""
    drive = Drive()
    drive.run(1.0)
    drive.control(Ack("ack"))
    assert [drive.states()[topic] for topic in TOPICS] == ["acked"] * 3 + ["requested"] * 2


def test_data_is_an_answer_too() -> None:
    """Who sends data has agreed: no ack is missed."""
    drive = Drive()
    drive.run(1.0)
    drive.data(*TOPICS)
    drive.run(60.0)
    assert set(drive.states().values()) == {"live"}
    assert len(drive.of(SendFrame)) == 2


def test_a_venue_without_acks_owes_none() -> None:
    """What is not answered by rule is not asked twice."""
    drive = Drive(venue=toy.venue(acks=False))
    drive.run(60.0)
    assert set(drive.states().values()) == {"acked"}
    assert len(drive.of(SendFrame)) == 2


@pytest.mark.parametrize(("heard", "reason"), [(True, Lost.STALE_SUBSCRIPTION), (False, Lost.IDLE)])
def test_a_missing_ack_is_asked_for_once_more(heard: bool, reason: Lost) -> None:
    """Twice unanswered, the connection is given up, and whether anything came says for what."""
    drive = Drive(["t.A"])
    drive.run(15.0, heard)
    assert [r["topics"] for r in drive.requests()] == [["t.A"], ["t.A"]]
    drive.run(10.0, heard)
    assert [close.reason for close in drive.of(Close)] == [reason]


def test_one_bad_topic_does_not_cost_the_others() -> None:
    """A refused request is halved until the refused topic stands alone."""
    drive = Drive(["t.A", "t.BAD", "t.C"])
    answered = 0
    for _ in range(20):
        drive.run(0.2)
        for request in drive.requests()[answered:]:
            answered += 1
            ok = "t.BAD" not in request["topics"]
            drive.control(Ack("ack", ok=ok, request=request["id"], reason="" if ok else "unknown"))
    assert drive.of(TopicsRefused) == [TopicsRefused("t.BAD", "unknown")]
    assert drive.states() == {"t.A": "acked", "t.BAD": "rejected", "t.C": "acked"}
    drive.run(100.0)
    assert drive.of(Close) == []


def test_a_refusal_that_names_topics_refuses_those() -> None:
    """No need to halve what the venue takes apart itself."""
    drive = Drive()
    drive.run(1.0)
    drive.control(Ack("ack", ok=False, topics=("t.B",), reason="delisted"))
    assert drive.of(TopicsRefused) == [TopicsRefused("t.B", "delisted")]
    assert drive.states()["t.A"] == "requested"


def test_a_refused_topic_is_asked_for_again_ever_more_rarely() -> None:
    """A venue that refuses in a bad hour is joined when it is over, without a reconnect."""
    drive = Drive(["t.A"])
    drive.run(1.0)
    for wait in (60.0, 120.0):
        drive.control(Ack("ack", ok=False, topics=("t.A",), reason="busy"))
        assert drive.states() == {"t.A": "rejected"}
        before = len(drive.requests())
        drive.run(wait - 5.0)
        assert len(drive.requests()) == before
        drive.run(10.0)
        assert len(drive.requests()) == before + 1
    drive.agree()
    assert drive.states() == {"t.A": "acked"}


# --- staying alive ----------------------------------------------------------------------------


def test_a_silent_topic_alone_is_asked_for_again() -> None:
    """One dead channel on a living connection costs the others nothing."""
    drive = Drive(["t.A", "t.B"], stale_after=lambda topic: 20.0)
    drive.run(1.0)
    drive.agree()
    drive.data("t.B")
    for _ in range(25):
        drive.data("t.A")
        drive.run(1.0)
    again = drive.requests()[1:]
    assert [(r["do"], r["topics"]) for r in again] == [("leave", ["t.B"]), ("join", ["t.B"])]
    assert [revived.topic for revived in drive.of(Revived)] == ["t.B"]
    assert drive.states() == {"t.A": "live", "t.B": "stale"}
    drive.data("t.B")
    drive.run(1.0)
    assert drive.states()["t.B"] == "live"


def test_acked_then_silent_is_stale() -> None:
    """The timer is armed by subscribing, not by the first message."""
    drive = Drive(["t.A"], stale_after=lambda topic: 20.0)
    drive.run(1.0)
    drive.agree()
    drive.run(18.0)
    assert drive.states() == {"t.A": "acked"}
    drive.run(3.0)
    assert drive.states() == {"t.A": "stale"}


@pytest.mark.parametrize(("heard", "reason"), [(True, Lost.STALE_SUBSCRIPTION), (False, Lost.IDLE)])
def test_asking_again_in_vain_ends_the_connection(heard: bool, reason: Lost) -> None:
    """Whether the whole connection was mute decides what that is called."""
    drive = Drive(["t.A"], stale_after=lambda topic: 20.0)
    drive.run(1.0)
    drive.agree()
    drive.run(45.0, heard)
    assert [close.reason for close in drive.of(Close)] == [reason]
    assert drive.blamed == ({"t.A"} if heard else set())


def test_a_dead_symbol_costs_one_reconnect_only() -> None:
    """A halted market is asked for ever more rarely, and its neighbours keep their connection."""
    drive = Drive(["t.A", "t.B"], stale_after=lambda topic: 20.0, blamed={"t.B"})
    drive.run(1.0)
    drive.agree()
    for _ in range(700):
        drive.data("t.A")
        drive.run(1.0)
    assert drive.of(Close) == []
    assert drive.states() == {"t.A": "live", "t.B": "stale"}
    assert 4 <= len(drive.of(Revived)) <= 6  # after 20, 40, 80, 160, 320, 640 s
    drive.data("t.B")
    drive.run(1.0)
    assert drive.blamed == set()


def test_no_limit_means_no_judgement() -> None:
    """A topic of unknown habits is never called stale."""
    drive = Drive()
    drive.run(1.0)
    drive.agree()
    drive.run(3600.0)
    assert set(drive.states().values()) == {"acked"}


def test_keepalives_go_out_and_their_answers_are_awaited() -> None:
    """A venue that answers our pings is missed when it does not; one that owes none is not."""
    venue = toy.venue(ping=lambda number: f"ping {number}", ping_every=10.0)
    drive = Drive(["t.A"], venue=venue)
    drive.run(1.0)
    drive.agree()
    drive.run(40.0)
    pings = [send.frame for send in drive.of(SendFrame) if send.frame.startswith("ping")]
    assert pings == ["ping 1", "ping 2", "ping 3", "ping 4"]
    assert drive.of(Close) == []
    drive.run(61.0, heard=False)
    assert [close.reason for close in drive.of(Close)] == [Lost.IDLE]


def test_control_frames_do_not_feed_the_data_timer() -> None:
    """Heartbeats prove the connection alive, not the data."""
    drive = Drive(["t.A"], stale_after=lambda topic: 20.0)
    drive.run(1.0)
    drive.agree()
    for _ in range(25):
        drive.control(Control("heartbeat"))
        drive.run(1.0)
    assert drive.states() == {"t.A": "stale"}


def test_a_reply_is_sent_at_once() -> None:
    """The venue's own ping is not left waiting behind our requests."""
    drive = Drive()
    drive.control(Control("ping", reply="pong"))
    assert drive.of(SendFrame) == [SendFrame("pong")]


def test_the_successor_is_wanted_once() -> None:
    """By the clock or by the venue's announcement, whichever comes first."""
    drive = Drive(timing=Timing(lifetime=50.0))
    drive.run(1.0)
    drive.agree()
    drive.run(100.0)
    drive.control(Control("bye", reconnect=True))
    assert len(drive.of(Renew)) == 1


def test_resubscribing_leaves_and_joins() -> None:
    """A fresh snapshot is had by leaving first; topics of others are not touched."""
    drive = Drive(["t.A"])
    drive.run(1.0)
    drive.agree()
    drive.session.resubscribe(("t.A", "t.UNKNOWN"))
    drive.run(1.0)
    assert [(r["do"], r["topics"]) for r in drive.requests()[1:]] == [
        ("leave", ["t.A"]),
        ("join", ["t.A"]),
    ]


# --- any history ------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0.0, 30.0)),
        st.tuples(st.just("mute"), st.floats(0.0, 30.0)),
        st.tuples(st.just("data"), st.sampled_from(TOPICS)),
        st.tuples(st.just("ack"), st.integers(0, 8)),
        st.tuples(st.just("refuse"), st.integers(0, 8)),
        st.tuples(st.just("named"), st.sampled_from(TOPICS)),
        st.tuples(st.just("control"), st.booleans()),
    ),
    max_size=30,
)


def play(steps: list[tuple[str, Any]]) -> Drive:
    venue = toy.venue(ping=lambda number: json.dumps({"do": "ping"}), ping_every=7.0)
    drive = Drive(venue=venue, stale_after=lambda topic: 15.0, timing=Timing(lifetime=200.0))
    drive.run(0.5)
    for verb, value in steps:
        match verb:
            case "wait" | "mute":
                drive.run(value, heard=verb == "wait")
            case "data":
                drive.data(value)
            case "ack" | "refuse":
                drive.control(Ack("ack", ok=verb == "ack", request=value or None))
            case "named":
                drive.control(Ack("ack", topics=(value,)))
            case "control":
                drive.control(Control("control", reply="{}" if value else None))
        assert 0.0 <= drive.session.wait(drive.now) <= 1.0
    return drive


@given(STEPS)
def test_every_subscription_is_in_one_state(steps: list[tuple[str, Any]]) -> None:
    """The states add up to what was asked for, whatever the venue answers."""
    counts = play(steps).session.counts()
    assert set(counts) == set(SubscriptionState)
    assert sum(counts.values()) == len(TOPICS)


@given(STEPS)
def test_the_rate_is_never_broken(steps: list[tuple[str, Any]]) -> None:
    """Requests and keepalives of ours leave at most ten times a second, replies apart."""
    sends = [
        time
        for time, action in play(steps).said
        if isinstance(action, SendFrame) and action.frame != "{}"
    ]
    assert all(b - a >= 0.1 - 1e-9 for a, b in pairwise(sends))


@given(STEPS)
def test_requests_are_numbered_apart(steps: list[tuple[str, Any]]) -> None:
    """No number is used twice, and no request is empty or too large."""
    requests = [r for r in play(steps).requests() if "id" in r]
    assert [r["id"] for r in requests] == list(range(1, len(requests) + 1))
    assert all(1 <= len(r["topics"]) <= 3 for r in requests)


@given(STEPS)
def test_a_closed_session_is_silent(steps: list[tuple[str, Any]]) -> None:
    """Nothing follows the decision to give up."""
    drive = play(steps)
    closes = [number for number, (_, action) in enumerate(drive.said) if isinstance(action, Close)]
    assert len(closes) <= 1
    assert (
        all(not isinstance(action, SendFrame) for _, action in drive.said[closes[0] :])
        if closes
        else True
    )
    assert drive.session.closed is bool(closes)


@given(STEPS)
def test_live_means_that_data_came(steps: list[tuple[str, Any]]) -> None:
    """No answer makes a subscription live, only data."""
    drive = play(steps)
    sent = {value for verb, value in steps if verb == "data"}
    live = {topic for topic, w in drive.session.watched.items() if w.state is S.LIVE}
    assert live <= sent


# --- joining and leaving ----------------------------------------------------------------------


def test_a_topic_is_joined_and_left_on_an_open_connection() -> None:
    """The others are not asked again; what was never asked for needs no leaving."""
    drive = Drive(("t.A", "t.B"))
    drive.run(1.0)
    drive.agree()
    drive.session.join({"t.C": "C", "t.D": "D"})
    drive.session.leave(("t.A", "t.D"))
    drive.run(1.0)
    asked = [(request["do"], request["topics"]) for request in drive.requests()]
    assert asked == [("join", ["t.A", "t.B"]), ("join", ["t.C"]), ("leave", ["t.A"])]
    assert drive.states() == {"t.B": "acked", "t.C": "requested"}


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(TOPICS), st.booleans(), st.sampled_from((0.0, 0.05, 0.3))),
        max_size=30,
    ),
    answered=st.booleans(),
    numbered=st.booleans(),
)
def test_a_venue_ends_with_the_topics_that_are_watched(
    steps: list[tuple[str, bool, float]], answered: bool, numbered: bool
) -> None:
    """Whatever was joined and left in whatever order, and whether its answers came in time."""
    drive = Drive(("t.A", "t.B"), venue=toy.venue(answers_numbered=numbered))
    served, done = set[str](), 0

    def serve() -> None:
        nonlocal done
        for request in drive.requests()[done:]:
            done += 1
            change = served.update if request["do"] == "join" else served.difference_update
            change(request["topics"])
            drive.control(
                Ack("ack", request=request["id"])
                if numbered
                else Ack("ack", topics=tuple(request["topics"]))
            )

    for topic, join, wait in steps:
        there = topic in drive.session.watched
        if join and not there:
            drive.session.join({topic: topic[2:]})
        elif there and not join:
            drive.session.leave((topic,))
        drive.run(wait)
        if answered:
            serve()
    for _ in range(40):
        drive.run(1.0)
        serve()
    assert not drive.of(Close)
    assert served == set(drive.session.watched)
    assert set(drive.states().values()) <= {"acked"}
