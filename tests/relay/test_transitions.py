"""All transitions of alerts and groups, over sequences of posts of two Alertmanagers.

`make sequences` runs a hundred thousand of them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.notification import Alert, Level, Occasion
from exporter.relay.incident import Incident, IncidentRules, advance, settle
from tests.relay.parts import EPOCH, make

RULES = IncidentRules()
ENDS = {Occasion.RESOLVED, Occasion.LOST}
BEGINS = {Occasion.FIRING, Occasion.UPDATE, Occasion.FLAPPING}
SEQUENCES = int(os.environ.get("RELAY_SEQUENCES", "300"))


@dataclass
class Post:
    """One post as an Alertmanager makes it. ``whole``: nothing was cut off."""

    sender: str
    alerts: list[Alert]
    whole: bool


@dataclass
class Alertmanager:
    """What one of them knows. ``told``: fired in its last post; ``ended`` since then."""

    name: str
    resolved: bool = True  # send_resolved
    told: dict[str, Alert] = field(default_factory=dict)
    ended: dict[str, Alert] = field(default_factory=dict)

    def flush(self, firing: dict[str, Alert], silenced: set[str], cut: bool) -> Post | None:
        """Post the group as it is; None when nothing is left to be posted."""
        shown = {name: alert for name, alert in firing.items() if name not in silenced}
        over = {
            name: alert
            for name, alert in self.ended.items()
            if name in self.told and name not in silenced | shown.keys()
        }
        self.told, self.ended = dict(shown), {}
        listed = [*shown.values(), *(over.values() if self.resolved else ())]
        if not listed:
            return None
        return Post(self.name, listed[:1] if cut else listed, whole=not cut or len(listed) == 1)


class Story:
    """A world of three alerts, Alertmanagers who see it, and what the relay tells of it."""

    def __init__(self, *alertmanagers: Alertmanager) -> None:
        self.now = EPOCH
        self.firing: dict[str, Alert] = {}
        self.silenced: set[str] = set()
        self.alertmanagers = alertmanagers
        self.late: list[Post] = []  # not delivered yet
        self.incident: Incident | None = None
        self.open = False  # what people believe
        self.newest: dict[str, float] = {}  # the latest start of each alert that was posted
        self.said: list[Occasion] = []

    def step(self, kind: str, name: str, which: int, wait: float) -> None:
        """Let one thing happen, then time pass."""
        each = self.alertmanagers[which % len(self.alertmanagers)]
        match kind:
            case "fire":
                self.firing.setdefault(name, make(name, start=self.now, level=Level.CRITICAL))
            case "end" if name in self.firing:
                alert = self.firing.pop(name)
                for one in self.alertmanagers:
                    one.ended[name] = make(name, firing=False, start=alert.start, end=self.now)
            case "silence":
                self.silenced ^= {name}
            case "restart":
                each.ended.clear()
            case "flush" | "cut" | "keep":
                post = each.flush(self.firing, self.silenced, cut=kind == "cut")
                # One Alertmanager's posts of a group come in their order.
                if post and (kind == "keep" or each.name in {late.sender for late in self.late}):
                    self.late.append(post)
                else:
                    self.post(post)
            case "deliver" if self.late:
                self.post(self.late.pop(0))
        self.now += wait
        if self.incident is not None:
            self.incident, occasion = settle(self.incident, self.now, RULES)
            self.tell(occasion)

    def post(self, post: Post | None) -> Occasion | None:
        """Deliver a post, and hold what is told to the promises."""
        if post is None:
            return None
        flapping = self.incident is not None and self.incident.flapping
        self.incident, occasion = advance(
            self.incident, post.alerts, group="g", serial=1, now=self.now, rules=RULES,
            sender=post.sender, whole=post.whole,
        )  # fmt: skip
        fires = any(alert.firing for alert in post.alerts)
        if occasion in BEGINS - {Occasion.FLAPPING}:
            assert fires, "what is told as firing fires"
        new = {
            alert.fingerprint
            for alert in post.alerts
            if alert.firing and alert.start > self.newest.get(alert.fingerprint, 0.0) + 60.0
        }
        if new and not flapping:
            assert occasion in BEGINS, "a new critical start is never swallowed"
        for alert in post.alerts:
            known = self.newest.get(alert.fingerprint, 0.0)
            self.newest[alert.fingerprint] = max(known, alert.start)
        self.tell(occasion)
        return occasion

    def tell(self, occasion: Occasion | None) -> None:
        """Note what people hear; what they believe then must be so."""
        assert self.incident is not None or occasion is None
        if self.incident is None:
            return
        fires = bool(self.incident.firing)
        if occasion is not None:
            if occasion in ENDS and Occasion.FIRING in self.said:
                assert self.open, "every end is told once"
            if occasion in (Occasion.UPDATE, Occasion.REMINDER):
                assert self.open
            self.open = fires
            self.said.append(occasion)
        if not self.incident.flapping:
            assert self.open is fires, "people know whether it fires"
        assert (self.incident.closed is None) is fires


KINDS = ("fire", "fire", "end", "end", "silence", "restart", "flush", "flush", "flush", "cut",
         "keep", "deliver")  # fmt: skip
STEPS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from("abc"),
        st.integers(0, 1),
        st.sampled_from((0.1, 5.0, 20.0, 61.0, 130.0, 400.0, 900.0)),
    ),
    max_size=40,
)


@settings(max_examples=SEQUENCES, deadline=None)
@given(steps=STEPS, resolved=st.booleans())
def test_two_alertmanagers(steps: list[tuple[str, str, int, float]], resolved: bool) -> None:
    """Whatever they post, in whatever order: told as firing fires, each end is told once."""
    one, two = Alertmanager("one", resolved), Alertmanager("two", resolved)
    story = Story(one, two)
    for step in steps:
        story.step(*step)
    # In the end all is delivered, no silence is left, and both post what they see.
    story.silenced.clear()
    while story.late:
        story.post(story.late.pop(0))
    story.firing.setdefault("a", make("a", start=story.now, level=Level.CRITICAL))
    for each in (one, two):
        story.post(each.flush(story.firing, set(), cut=False))
    assert story.incident is not None
    known = {alert.fingerprint for alert in story.incident.firing}
    assert known >= story.firing.keys(), "what fires is known to fire"


@settings(max_examples=SEQUENCES, deadline=None)
@given(steps=STEPS, resolved=st.booleans())
def test_one_alertmanager(steps: list[tuple[str, str, int, float]], resolved: bool) -> None:
    """After every whole post exactly that fires which it says, whatever came before."""
    one = Alertmanager("one", resolved)
    story = Story(one)
    for kind, name, which, wait in steps:
        if kind in ("keep", "deliver"):
            continue  # one sender's posts come in their order
        before = story.newest.copy()
        post = None
        if kind in ("flush", "cut"):
            post = one.flush(story.firing, story.silenced, cut=kind == "cut")
            flapping = story.incident is not None and story.incident.flapping
            occasion = story.post(post)
            kind = "wait"
            later = post is not None and any(
                alert.firing and alert.start > before.get(alert.fingerprint, 0.0)
                for alert in post.alerts
            )
            if later and not flapping:
                assert occasion in BEGINS, "a later start is a new start"
        if post is not None and post.whole and story.incident is not None:
            said = {alert.fingerprint for alert in post.alerts if alert.firing}
            assert {alert.fingerprint for alert in story.incident.firing} == said
        story.step(kind, name, which, wait)


def _told(*posts: tuple[float, list[Alert], str, bool]) -> list[Occasion | None]:
    incident: Incident | None = None
    said = []
    for at, alerts, sender, whole in posts:
        incident, occasion = advance(
            incident, alerts, group="g", serial=1, now=EPOCH + at, rules=RULES, sender=sender,
            whole=whole,
        )  # fmt: skip
        said.append(occasion)
    return said


F, R, U = Occasion.FIRING, Occasion.RESOLVED, Occasion.UPDATE


def test_a_later_start_is_a_new_outage() -> None:
    """With ``send_resolved: false`` the second critical within five minutes is told."""
    first, second = make("a"), make("a", start=EPOCH + 120.0)
    assert _told((30, [first], "one", True), (150, [second], "one", True)) == [F, F]
    assert _told((30, [first], "one", True), (150, [second], "two", True)) == [F, F]
    # A twin whose Prometheus saw it seven seconds later does not speak of another one.
    twin = make("a", start=EPOCH + 7.0)
    posts = [(30, [first], "one", True), (31, [twin], "two", True), (60, [first], "one", True)]
    assert _told(*posts) == [F, None, None]


def test_the_same_start_after_its_end_fires_again() -> None:
    """What was taken back and is said again by the same sender is told, however soon."""
    ended = make("a", firing=False)
    posts = [
        (30, [make("a")], "one", True),
        (60, [ended], "one", True),
        (90, [make("a")], "one", True),
    ]
    assert _told(*posts) == [F, R, F]
    # Another, who lags behind, says nothing new; nor does it when it says the end, too.
    posts[2:] = [(61, [make("a")], "two", True), (90, [ended], "two", True)]
    assert _told(*posts) == [F, R, None, None]


def test_what_a_whole_post_leaves_out_fires_no_more() -> None:
    """Silenced: the last one's end closes the incident; back again it is no new alert."""
    both = [make("a"), make("b")]
    posts = [(30, both, "one", True), (60, [make("a")], "one", True)]
    over = (90, [make("a", firing=False)], "one", True)
    assert _told(*posts, over) == [F, None, R]
    assert _told(*posts, (90, both, "one", True), over) == [F, None, None, R]
    # Cut off, or from another, a post says nothing of what it does not list.
    cut = (60, [make("a", firing=False)], "one", False)
    assert _told(posts[0], cut) == [F, None]
    other = (60, [make("a", firing=False)], "two", True)
    assert _told(posts[0], other) == [F, None]


def test_an_old_end_does_not_end_the_new_outage() -> None:
    """The end of the outage before, delivered late, is no news."""
    second = make("a", start=EPOCH + 600.0)
    old = make("a", firing=False, start=EPOCH)
    posts = [
        (30, [make("a")], "one", True),
        (630, [second], "one", True),
        (640, [old], "two", True),
    ]
    assert _told(*posts) == [F, F, None]


def test_flapping_swallows_no_new_outage() -> None:
    """After a minute's calm a critical start is told at once, and so is another alert's."""
    turns: list[tuple[float, list[Alert], str, bool]] = []
    for n in range(6):
        start = EPOCH + 30.0 * (n // 2 * 2)
        turns.append((30.0 * n, [make("a", firing=n % 2 == 0, start=start)], "one", True))
    assert _told(*turns)[-2:] == [Occasion.FLAPPING, None]
    soon = (179.0, [make("a", start=EPOCH + 179.0)], "one", True)
    assert _told(*turns, soon)[-1] is None
    calm = (215.0, [make("a", start=EPOCH + 215.0)], "one", True)
    ended = (260.0, [make("a", start=EPOCH + 215.0, firing=False)], "one", True)
    assert _told(*turns, calm, ended)[-2:] == [F, R]
    other = (179.0, [make("b", start=EPOCH + 179.0)], "one", True)
    assert _told(*turns, other)[-1] is F
    mild = (215.0, [make("a", start=EPOCH + 215.0, level=Level.WARNING)], "one", True)
    assert _told(*turns, mild)[-1] is None


def test_an_outage_that_lasts_ends_the_flapping() -> None:
    """A critical alert that does not go away any more is told within a tenth of the window."""
    incident: Incident | None = None
    for n in range(5):
        incident, _ = advance(
            incident, [make("a", firing=n % 2 == 0, start=EPOCH + 30.0 * (n // 2 * 2))],
            group="g", serial=1, now=EPOCH + 30.0 * n, rules=RULES,
        )  # fmt: skip
    assert incident is not None
    assert incident.flapping
    assert settle(incident, EPOCH + 179.0, RULES)[1] is None
    settled, occasion = settle(incident, EPOCH + 181.0, RULES)
    assert (occasion, settled.flapping) == (Occasion.SETTLED, False)
