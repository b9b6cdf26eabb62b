"""How each venue refuses: every good topic is live within a minute, every bad one is rejected.

The venues are scripted in their own words and answer after a while; time is simulated.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import venues
from exporter.contracts import Venue
from exporter.model import Ack, Control, SubscriptionState
from exporter.streams.requests import TopicsRefused
from exporter.streams.session import Action, Close, SendFrame, Session, Timing
from tests.streams import toy

S = SubscriptionState
Answer = Callable[["Scripted", dict[str, Any]], Iterable[object]]


class Scripted:
    """One connection to a venue that serves all but ``bad`` and answers ``latency`` s later."""

    def __init__(self, venue: Venue, bad: Iterable[str], answer: Answer, latency: float) -> None:
        self.venue, self.bad, self.latency = venue, set(bad), latency
        self.parse = venue.parse if venue.begin is None else venue.begin()
        self.answer = answer
        self.active: list[str] = []
        self.asked_at = 0.0
        self._mail: list[tuple[float, int, bytes]] = []
        self._number = count()

    def take(self, frame: str, now: float) -> None:
        """Receive a frame of ours. Keepalives are left unanswered."""
        self.asked_at = now
        if not frame.startswith("{"):
            return
        for message in self.answer(self, json.loads(frame)):
            self.say(json.dumps(message).encode(), now + self.latency)

    def say(self, message: bytes, at: float) -> None:
        heapq.heappush(self._mail, (at, next(self._number), message))

    @property
    def next_mail(self) -> float:
        return self._mail[0][0] if self._mail else float("inf")

    def due(self, now: float) -> Iterable[bytes]:
        while self._mail and self._mail[0][0] <= now:
            yield heapq.heappop(self._mail)[2]

    def join(self, topics: Sequence[str]) -> None:
        self.active += [topic for topic in topics if topic not in self.active]


class Client:
    """Sessions, one after another where one gives up, against a scripted venue."""

    def __init__(self, script: Callable[[], Scripted], topics: dict[str, str]) -> None:
        self.now, self.script, self.topics = 100.0, script, topics
        self.blamed = set[str]()
        self.said: list[Action] = []
        self.reconnects = -1
        self.spoken = 0.0
        self.open()

    def open(self) -> None:
        self.reconnects += 1
        self.venue = self.script()
        self.session = Session(
            self.venue.venue,
            self.topics,
            now=self.now,
            timing=Timing(),
            stale_after=lambda topic: 120.0,
            blamed=self.blamed,
            symbols=self.topics,
        )
        if self.venue.venue.welcomed:
            self.session.control(Control("welcome", ready=True), self.now)

    def run(self, seconds: float, data: bool = True) -> None:
        end = self.now + seconds
        while self.now < end:
            self.do(self.session.tick(self.now))
            wait = min(self.session.wait(self.now), self.venue.next_mail - self.now)
            self.now += max(0.01, wait)
            for message in list(self.venue.due(self.now)):
                self.session.heard = self.now
                for event in self.venue.parse(message):
                    if isinstance(event, Ack | Control):
                        self.do(self.session.control(event, self.now))
            if data and self.now >= self.spoken + 1.0:
                self.spoken = self.now
                for topic in self.venue.active:
                    self.session.watched[topic].heard = self.session.heard = self.now

    def do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            self.said.append(action)
            if isinstance(action, SendFrame):
                self.venue.take(action.frame, self.now)
            if isinstance(action, Close):
                self.open()
                return

    def states(self) -> dict[str, SubscriptionState]:
        return {topic: w.state for topic, w in self.session.watched.items()}


# --- the venues' own ways -----------------------------------------------------------------------


def bybit(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Refuse the whole request and name one topic, as linear and inverse do."""
    if asked["op"] != "subscribe":
        return
    frame = {"success": True, "ret_msg": "", "conn_id": "c", "req_id": asked["req_id"]}
    frame["op"] = "subscribe"
    wrong = [topic for topic in asked["args"] if topic in venue.bad]
    if wrong:
        yield frame | {"success": False, "ret_msg": f"error:handler not found,topic:{wrong[0]}"}
        return
    venue.join(asked["args"])
    yield frame


def bybit_spot(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Name the topic in other words."""
    for frame in bybit(venue, asked):
        assert isinstance(frame, dict)
        text = frame["ret_msg"].replace("error:handler not found,topic:", "Invalid symbol :[")
        yield frame | {"ret_msg": text + "]" if text else "subscribe"}


def coinbase(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Refuse the whole request without an id and name the product; acknowledge all there is."""
    pairs = [(row["name"], product) for row in asked["channels"] for product in row["product_ids"]]
    topics = [f"{name}:{product}" for name, product in pairs if name != "heartbeat"]
    wrong = [product for name, product in pairs if f"{name}:{product}" in venue.bad]
    if asked["type"] == "subscribe" and wrong:
        reason = f"{wrong[0]} is not a valid product"
        yield {"type": "error", "message": "Failed to subscribe", "reason": reason}
        return
    if asked["type"] == "subscribe":
        venue.join(topics)
    channels: dict[str, list[str]] = {}
    for topic in venue.active:
        name, _, product = topic.partition(":")
        name = "level2_50" if name == "level2_batch" else name
        channels.setdefault(name, []).append(product)
    rows = [{"name": name, "product_ids": ids} for name, ids in channels.items()]
    yield {"type": "subscriptions", "channels": rows}


def okx(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Answer for each topic by itself."""
    for arg in asked["args"]:
        channel, name = arg["channel"], arg["instId"]
        if asked["op"] == "unsubscribe":
            yield {"event": "unsubscribe", "arg": arg, "connId": "c"}
        elif f"{channel}:{name}" in venue.bad:
            text = f"Wrong URL or channel:{channel},instId:{name} doesn't exist. Please use the"
            yield {"event": "error", "msg": text, "code": "60018", "connId": "c"}
        else:
            venue.join([f"{channel}:{name}"])
            yield {"event": "subscribe", "arg": arg, "connId": "c"}


def kucoin(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Refuse the whole request by its id, and name one topic in a text."""
    if asked["type"] != "subscribe":
        return
    channel, _, names = asked["topic"].partition(":")
    topics = [f"{channel}:{name}" for name in names.split(",")]
    wrong = [topic for topic in topics if topic in venue.bad]
    number = str(asked["id"])
    if wrong:
        text = f"topic {wrong[0]} is not found"
        yield {"id": number, "type": "error", "code": 404, "data": text}
        return
    venue.join(topics)
    yield {"id": number, "type": "ack"}


def kraken(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Answer for each symbol by itself."""
    if asked["method"] != "subscribe":
        return
    channel = asked["params"]["channel"]
    for name in asked["params"]["symbol"]:
        frame = {"method": "subscribe", "req_id": asked["req_id"]}
        if f"{channel}:{name}" in venue.bad:
            wrong = f"Currency pair not supported {name}"
            yield frame | {"success": False, "error": wrong, "symbol": name}
        else:
            venue.join([f"{channel}:{name}"])
            yield frame | {"success": True, "result": {"channel": channel, "symbol": name}}


def kraken_v1(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Answer for each pair by itself."""
    if asked["event"] != "subscribe":
        return
    terms = asked["subscription"]
    for pair in asked["pair"]:
        frame = {"event": "subscriptionStatus", "pair": pair, "reqid": asked["reqid"]}
        frame["subscription"] = terms
        if f"{terms['name']}:{pair}" in venue.bad:
            wrong = f"Currency pair not supported {pair}"
            yield frame | {"status": "error", "errorMessage": wrong}
        else:
            venue.join([f"{terms['name']}:{pair}"])
            yield frame | {"status": "subscribed", "channelID": 1, "channelName": terms["name"]}


def bitstamp(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Refuse a channel without naming it."""
    topic = asked["data"].get("channel", "") if "data" in asked else ""
    if asked["event"] != "bts:subscribe":
        return
    if topic in venue.bad:
        failure = {"code": 4009, "message": "Bad subscription string."}
        yield {"event": "bts:error", "channel": "", "data": failure}
        return
    venue.join([topic])
    yield {"event": "bts:subscription_succeeded", "channel": topic, "data": {}}


def binance(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Refuse the whole request by its id, and name nothing."""
    if asked["method"] == "UNSUBSCRIBE":
        yield {"result": None, "id": asked["id"]}
        return
    if set(asked["params"]) & venue.bad:
        yield {"error": {"code": 2, "msg": "Invalid request: invalid stream"}, "id": asked["id"]}
        return
    venue.join(asked["params"])
    yield {"result": None, "id": asked["id"]}


WAYS = [
    ("bybit", bybit, "handler not found"),
    ("bybit", bybit_spot, "Invalid symbol"),
    ("coinbase", coinbase, "GONE1-USDT is not a valid product"),
    ("okx", okx, "doesn't exist"),
    ("kucoin", kucoin, "is not found"),
    ("kraken", kraken, "Currency pair not supported"),
    ("kraken_v1", kraken_v1, "Currency pair not supported"),
    ("bitstamp", bitstamp, "Bad subscription string."),
    ("binance", binance, "invalid stream"),
    ("binance_us", binance, "invalid stream"),
    ("binance_futures", binance, "invalid stream"),
    ("binance_coinm", binance, "invalid stream"),
]


@pytest.mark.parametrize("latency", [0.0, 0.25, 1.0])
@pytest.mark.parametrize(("name", "answer", "words"), WAYS)
def test_good_topics_live_and_bad_ones_rejected(
    name: str, answer: Answer, words: str, latency: float
) -> None:
    """Within a minute, on the first connection, and the venue's own words are kept."""
    venue = venues.load(name)
    instruments = [f"{'GONE' if n in (1, 7) else 'COIN'}{n}-USDT" for n in range(10)]
    topics = {
        venue.topic(channel, symbol): symbol
        for channel in venue.topics
        for symbol in map(venue.symbol, instruments)
    }
    bad = {topic for topic, symbol in topics.items() if "gone" in symbol.lower()}
    client = Client(lambda: Scripted(venue, bad, answer, latency), topics)
    client.run(60.0)
    assert client.reconnects == 0
    states = client.states()
    assert {t for t, state in states.items() if state is S.LIVE} == set(topics) - bad
    assert {t for t, state in states.items() if state is S.REJECTED} == bad
    assert any(words in client.session.watched[topic].reason for topic in bad)
    assert all(client.session.watched[topic].reason for topic in bad)


def limited(answer: Answer, refuse: Callable[[dict[str, Any]], Iterable[object]]) -> Answer:
    """Answer each request but every third with a refusal for asking too often."""
    asked_so_far = count(1)

    def answered(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
        number = next(asked_so_far) if "subscri" in json.dumps(asked) else 12
        yield from refuse(asked) if number % 3 and number < 12 else answer(venue, asked)

    return answered


def bybit_limit(asked: dict[str, Any]) -> Iterable[object]:
    """In the envelope of REST, without the request's id."""
    yield {"retCode": 10006, "retMsg": "Too many visits!", "op": asked["op"]}


def okx_limit(asked: dict[str, Any]) -> Iterable[object]:
    """By the request's id."""
    yield {"event": "error", "code": "60014", "msg": "Requests too frequent", "id": asked["id"]}


def kraken_limit(asked: dict[str, Any]) -> Iterable[object]:
    """For each symbol, in an answer of its own."""
    for symbol in asked["params"]["symbol"]:
        yield {"method": "subscribe", "req_id": asked["req_id"], "success": False,
               "error": "EAPI:Rate limit exceeded", "symbol": symbol}  # fmt: skip


def kraken_v1_limit(asked: dict[str, Any]) -> Iterable[object]:
    """Of no request in particular."""
    yield {"event": "error", "errorMessage": "Exceeded msg rate", "reqid": asked["reqid"]}


def kucoin_limit(asked: dict[str, Any]) -> Iterable[object]:
    """By the request's id."""
    yield {"id": str(asked["id"]), "type": "error", "code": 429, "data": "too many requests"}


@pytest.mark.parametrize("latency", [0.0, 0.25, 1.0])
@pytest.mark.parametrize(
    ("name", "answer", "refuse"),
    [
        ("bybit", bybit, bybit_limit),
        ("okx", okx, okx_limit),
        ("kraken", kraken, kraken_limit),
        ("kraken_v1", kraken_v1, kraken_v1_limit),
        ("kucoin", kucoin, kucoin_limit),
    ],
)
def test_a_refusal_for_asking_too_often_is_none_of_a_topic(
    name: str,
    answer: Answer,
    refuse: Callable[[dict[str, Any]], Iterable[object]],
    latency: float,
) -> None:
    """It is asked again after a pause, and not topic by topic at once; none is rejected."""
    venue = venues.load(name)
    topics = {
        venue.topic(channel, symbol): symbol
        for channel in venue.topics
        for symbol in (venue.symbol(f"COIN{number}-USDT") for number in range(4))
    }
    plain = Client(lambda: Scripted(venue, (), answer, latency), topics)
    plain.run(60.0)
    client = Client(lambda: Scripted(venue, (), limited(answer, refuse), latency), topics)
    client.run(60.0)
    assert set(client.states().values()) == {S.LIVE}
    assert client.reconnects == 0
    assert not [each for each in client.said if isinstance(each, TopicsRefused)]
    sent, usual = (
        sum(isinstance(each, SendFrame) and "ubscri" in each.frame for each in one.said)
        for one in (client, plain)
    )
    assert sent <= 3 * usual + 12


@pytest.mark.parametrize("latency", [0.0, 0.25, 1.0])
@pytest.mark.parametrize(("name", "answer", "words"), WAYS)
def test_markets_that_come_later_are_live_and_bad_ones_rejected(
    name: str, answer: Answer, words: str, latency: float
) -> None:
    """On the connection that is open; what goes is left, and costs the others nothing."""
    venue = venues.load(name)
    every = {
        instrument: {venue.topic(c, symbol): symbol for c in venue.topics}
        for instrument in [f"{'GONE' if n in (1, 7) else 'COIN'}{n}-USDT" for n in range(10)]
        for symbol in (venue.symbol(instrument),)
    }
    rows = list(every.values())
    first, later = ({t: s for row in part for t, s in row.items()} for part in (rows[:5], rows[5:]))
    left = rows[0]
    bad = {topic for name, row in every.items() if "GONE" in name for topic in row}
    client = Client(lambda: Scripted(venue, bad, answer, latency), first)
    client.run(10.0 + 20.0 * latency)
    client.session.join(later)
    client.session.leave(left)
    client.venue.active = [topic for topic in client.venue.active if topic not in left]
    client.run(60.0)
    assert client.reconnects == 0
    states = client.states()
    assert set(states) == {*first, *later} - set(left)
    assert {t for t, state in states.items() if state is S.LIVE} == set(states) - bad
    assert {t for t, state in states.items() if state is S.REJECTED} == bad
    frames = [each.frame for each in client.said if isinstance(each, SendFrame)]
    names = dict.fromkeys(venue.request_group(topic) for topic in left)
    groups = [[topic for topic in left if venue.request_group(topic) == group] for group in names]
    parts = groups if venue.topics_per_request > 1 else [[topic] for topic in left]
    wanted = [{venue.unsubscribe(part, number) for number in range(400)} for part in parts]
    assert all(each & set(frames) for each in wanted)


@pytest.mark.parametrize("name", ["binance", "binance_us", "binance_futures", "binance_coinm"])
def test_unknown_markets_that_are_agreed_to_and_silent_cost_one_connection_at_most(
    name: str,
) -> None:
    """Binance acknowledges a stream that it does not know: the others go on, for hours."""
    venue = venues.load(name)
    symbols = [venue.symbol(f"{base}-USDT") for base in ("A", "B", "GONE")]
    topics = {venue.topic(c, symbol): symbol for symbol in symbols for c in venue.topics}
    bad = {topic for topic, symbol in topics.items() if symbol == symbols[-1]}

    def agree(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
        if asked["method"] == "SUBSCRIBE":
            venue.join([topic for topic in asked["params"] if topic not in bad])
        yield {"result": None, "id": asked["id"]}

    client = Client(lambda: Scripted(venue, (), agree, 0.25), topics)
    client.run(7200.0)
    states = client.states()
    assert {t for t, state in states.items() if state is S.LIVE} == set(topics) - bad
    assert client.reconnects <= len(bad)


def test_an_acknowledged_book_that_is_quiet_costs_no_connection() -> None:
    """Coinbase acknowledges level2_batch under another name: it counts, data or not."""
    venue = venues.load("coinbase")
    client = Client(lambda: Scripted(venue, (), coinbase, 0.25), {"level2_batch:A-USD": "A-USD"})
    client.run(100.0, data=False)
    assert client.reconnects == 0
    assert set(client.states().values()) == {S.ACKED}


# --- any venue, any answers ---------------------------------------------------------------------

TOPICS = {f"t.N{n}": f"N{n}" for n in range(7)}
MOODS = st.lists(
    st.sampled_from(["well", "lost", "part", "parts", "twice", "late", "bare", "named", "silent"]),
    max_size=12,
)


def moody(moods: list[str], *, numbered: bool) -> Answer:
    """Answer each request in the mood that is next, and when there is none left, well."""

    def answer(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
        mood = moods.pop(0) if moods else "well"
        topics, number = asked["topics"], asked["id"] if numbered else None
        good = [topic for topic in topics if topic not in venue.bad]
        wrong = [topic for topic in topics if topic in venue.bad]
        if mood == "lost" or asked["do"] == "leave":
            venue.active = [t for t in venue.active if asked["do"] == "join" or t not in topics]
            return
        if mood == "silent":
            venue.join(good)
            return
        if mood in ("part", "parts"):
            some = good[:1] if mood == "part" else good
            venue.join(some)
            yield from ({"ok": True, "topics": [topic]} for topic in some)
            yield from ({"ok": False, "topics": [t], "reason": "gone"} for t in wrong[:1])
            return
        if wrong:
            reason = "no" if mood == "bare" else f"topic {wrong[0]} is unknown"
            yield from [{"ok": False, "id": number, "reason": reason}] * (1 + (mood == "twice"))
            return
        venue.join(good)
        said = {"ok": True, "id": number, "topics": topics if mood == "named" else []}
        if mood == "late":
            venue.say(json.dumps(said).encode(), venue.asked_at + 14.0)
            return
        yield from [said] * (1 + (mood == "twice"))

    return answer


@settings(deadline=None, max_examples=60)
@given(MOODS, st.sets(st.sampled_from(sorted(TOPICS)), max_size=3), st.booleans())
def test_no_topic_that_the_venue_serves_stays_unserved(
    moods: list[str], bad: set[str], numbered: bool
) -> None:
    """Whatever a venue does with a dozen requests, all that it would serve is served in the end."""
    venue = toy.venue(answers_numbered=numbered)
    answer = moody(list(moods), numbered=numbered)
    client = Client(lambda: Scripted(venue, bad, answer, 0.25), TOPICS)
    client.run(400.0)
    assert set(client.venue.active) == set(TOPICS) - bad
    states = client.states()
    assert {topic for topic, state in states.items() if state is S.LIVE} == set(TOPICS) - bad
    refused = {action.topic for action in client.said if isinstance(action, TopicsRefused)}
    assert bad <= refused
