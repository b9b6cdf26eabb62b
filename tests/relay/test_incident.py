"""One incident, one message: the state machine and the books around it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.notification import Alert, Level, Occasion
from exporter.relay import outbox
from exporter.relay.firing_index import FiringIndex
from exporter.relay.incident import Incident, IncidentRules, advance, settle
from exporter.relay.incident_store import IncidentStore, IncidentStoreSettings
from exporter.relay.receiver import Pace
from exporter.relay.webhook import Post
from tests.relay.parts import EPOCH, Book, make, receiver

BEGINS = {Occasion.FIRING, Occasion.FLAPPING}
ENDS = {Occasion.RESOLVED, Occasion.LOST, Occasion.FLAPPING}


@given(
    steps=st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), st.floats(1, 2000)), max_size=60)
)
def test_beginning_and_end_alternate(steps: list[tuple[bool, str, float]]) -> None:
    """Nobody is told twice that it began, or of an end without beginning; flapping is silent."""
    incident: Incident | None = None
    now, firing, said = EPOCH, dict[str, bool](), list[Occasion]()
    starts: dict[str, float] = {}
    rules = IncidentRules(window=600.0, changes=4)
    for fires, name, wait in steps:
        now += wait
        if incident is not None:
            incident, settled = settle(incident, now, rules)
            said += [settled] if settled else []
        if not fires and not firing.get(name):
            continue
        if fires and not firing.get(name):
            starts[name] = now
        firing[name] = fires
        incident, occasion = advance(
            incident, [make(name, firing=fires, start=starts[name], end=now)], group="g",
            serial=1, now=now, rules=rules,
        )  # fmt: skip
        said += [occasion] if occasion else []
        assert incident is not None
        assert bool(incident.firing) is any(firing.values())
        assert (incident.closed is None) is any(firing.values())
    turns = [s for s in said if s in BEGINS | ENDS | {Occasion.SETTLED}]
    assert not turns or turns[0] in BEGINS
    for one, next_one in pairwise(turns):
        assert not (one is next_one and one in (Occasion.FIRING, Occasion.FLAPPING))
        assert not (one in (Occasion.RESOLVED, Occasion.LOST) and next_one in ENDS - BEGINS)
        if one is Occasion.FLAPPING:
            assert next_one in (Occasion.SETTLED, Occasion.FIRING)


def test_story_of_an_incident() -> None:
    """Begins, grows, worsens, eases in silence, is reminded of, ends: each told once."""
    book = Book()
    mild = make("a", level=Level.WARNING)
    assert book.take(EPOCH, mild) == ["firing"]
    assert book.take(EPOCH + 1, mild) == []  # the twin
    assert book.take(EPOCH + 2, make("a", start=EPOCH - 0.5, level=Level.WARNING)) == []
    assert book.take(EPOCH + 60, mild, make("b", level=Level.WARNING)) == ["update"]
    assert book.take(EPOCH + 120, mild, make("c")) == ["update"]
    assert book.take(EPOCH + 180, mild, make("b", firing=False, level=Level.WARNING)) == []
    assert book.take(EPOCH + 14_400, mild, make("c")) == ["reminder"]
    ended = [make("a", firing=False), make("c", firing=False)]
    assert book.take(EPOCH + 20_000, *ended) == ["resolved"]
    assert book.take(EPOCH + 20_001, *ended) == []
    assert book.take(EPOCH + 21_000, *ended) == []  # a late twin, beyond the dedup window


def test_flapping_is_folded() -> None:
    """The fourth change within the window is the last that is told, until it is quiet."""
    book = Book()
    told = []
    for turn in range(12):
        now = EPOCH + 30.0 * turn
        told += book.take(
            now, make("a", firing=turn % 2 == 0, start=EPOCH + 30.0 * (turn // 2 * 2))
        )
    assert told == ["firing", "resolved", "firing", "resolved", "flapping"]
    assert book.tick(EPOCH + 400.0) == []
    assert book.tick(EPOCH + 30.0 * 11 + 601.0) == ["settled"]
    assert book.tick(EPOCH + 30.0 * 11 + 1300.0) == []


def test_lost_data_is_no_recovery() -> None:
    """What ends while the exporter is down is lost; what ended just before is taken back."""
    book = Book(blind=frozenset({"ExchangeExporterDown"}))
    job = {"job": "exporter"}
    down = make("d", name="ExchangeExporterDown", labels=job)
    assert book.take(EPOCH, make("a", labels=job), group="a") == ["firing"]
    assert book.take(EPOCH, make("b", labels=job), group="b") == ["firing"]
    assert book.take(EPOCH, make("c", labels={"job": "other"}), group="c") == ["firing"]
    assert book.take(EPOCH + 60, make("a", firing=False, labels=job), group="a") == ["resolved"]
    assert book.take(EPOCH + 120, down, group="down") == ["firing", "lost"]
    assert book.take(EPOCH + 180, make("b", firing=False, labels=job), group="b") == ["lost"]
    other = make("c", firing=False, labels={"job": "other"})
    assert book.take(EPOCH + 180, other, group="c") == ["resolved"]
    reason = {"grafana_state_reason": "MissingSeries"}
    assert book.take(EPOCH, make("e"), group="e") == ["firing"]
    ended = make("e", firing=False, annotations=reason)
    assert book.take(EPOCH + 60, ended, group="e") == ["lost"]


def test_wall_clock_that_jumps() -> None:
    """An hour forth or back loses no page, and nothing counts as recent for ever after."""
    for jump in (3600.0, -3600.0, 86_400.0 * 365, -86_400.0 * 365):
        book = Book(receiver(storm=Pace(messages=5, window=60.0)))
        assert book.take(EPOCH, make("a"), group="a") == ["firing"]
        now = EPOCH + jump
        assert book.take(now, make("b"), group="b") == ["firing"]
        assert book.take(now + 1, make("a", firing=False), group="a") == ["resolved"]
        assert book.take(now + 2, make("b", firing=False), group="b") == ["resolved"]
        assert book.take(now + 3, make("b", firing=False), group="b") == []
        for number in range(20):
            book.take(now + 4, make("s"), group=f"s{number}")
        back = now - jump  # and the clock is put right again
        assert book.tick(back + 70.0) == ["digest"] if jump else []
        assert book.take(back + 80.0, make("z"), group="z") == ["firing"]


def test_lost_data_of_one_grafana_rule_is_of_that_rule() -> None:
    """DatasourceNoData names its rule and data source: all other ends are ends."""
    names = frozenset({"DatasourceNoData", "ExchangeExporterDown"})
    nothing = make("n", name="DatasourceNoData", labels={
        "alertname": "DatasourceNoData", "rulename": "BTC spread", "datasource_uid": "x",
        "ref_id": "A", "team": "a", "job": "exporter"})  # fmt: skip
    ends = {
        "mine": (make("m", name="BTC spread", labels={"alertname": "BTC spread"}), "lost"),
        "source": (make("s", name="ETH", labels={"datasource_uid": "x"}), "lost"),
        "rule": (make("r", name="ETH spread", labels={"team": "a"}), "resolved"),
        "other": (make("o", name="ETH", labels={"datasource_uid": "y", "job": "exporter"}),
                  "resolved"),
        "ours": (make("e", labels={"job": "exporter", "exchange": "okx"}), "resolved"),
        "bare": (make("b"), "resolved"),
    }  # fmt: skip
    book = Book(blind=names)
    for group, (fires, _) in ends.items():
        assert book.take(EPOCH, fires, group=group) == ["firing"]
    assert book.take(EPOCH + 30, nothing, group="nd") == ["firing"]
    for group, (fires, told) in ends.items():
        over = make(fires.fingerprint, firing=False, name=fires.name, labels=fires.labels)
        assert book.take(EPOCH + 60, over, group=group) == [told], group
    # And it takes back what had ended a moment before, of its own rule alone.
    book = Book(blind=names)
    for group, (fires, _) in ends.items():
        over = make(fires.fingerprint, firing=False, name=fires.name, labels=fires.labels)
        book.take(EPOCH, fires, group=group)
        assert book.take(EPOCH + 30, over, group=group) == ["resolved"]
    assert sorted(book.take(EPOCH + 60, nothing, group="nd")) == ["firing", "lost", "lost"]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("NoData", "lost"),
        ("MissingSeries", "lost"),
        ("Error, KeepLast", "lost"),
        ("Paused", "lost"),
        ("RuleDeleted", "lost"),
        ("Updated", "lost"),
        ("KeepLast", "resolved"),
        ("", "resolved"),
    ],
)
def test_an_end_that_nobody_saw_is_none(reason: str, told: str) -> None:
    """A rule that Grafana does not ask any more, or in vain, has not found that all is well."""
    book = Book()
    assert book.take(EPOCH, make("a")) == ["firing"]
    over = make("a", firing=False, annotations={"grafana_state_reason": reason})
    assert book.take(EPOCH + 60, over) == [told]


@pytest.mark.parametrize(
    ("folder", "name", "told"),
    [
        ("A", "CPU", "lost"),
        ("", "CPU", "lost"),
        ("B", "CPU", "resolved"),
        ("B", "Disk", "resolved"),
    ],
)
def test_a_rule_is_known_by_its_folder(folder: str, name: str, told: str) -> None:
    """Rules of one name in two folders are two."""
    labels = {"alertname": name} | ({"grafana_folder": folder} if folder else {})
    nothing = {"alertname": "DatasourceError", "rulename": "CPU", "grafana_folder": "A"}
    book = Book(blind=frozenset({"DatasourceError"}))
    assert book.take(EPOCH, make("a", name=name, labels=labels), group="a") == ["firing"]
    cause = make("n", name="DatasourceError", labels=nothing)
    assert book.take(EPOCH, cause, group="n") == ["firing"]
    over = make("a", firing=False, name=name, labels=labels)
    assert book.take(EPOCH + 60, over, group="a") == [told]


def test_what_is_lost_must_be_named_on_both_sides() -> None:
    """An exporter that is down says nothing of an alert without its job; a silence of all does."""
    down = make("d", name="ExchangeExporterDown", labels={"job": "a", "instance": "1"})
    path = make("p", name="AlertingPathSilent", labels={"alertname": "AlertingPathSilent"})
    for cause, labels, told in (
        (down, {"job": "a", "exchange": "okx"}, "lost"),
        (down, {"job": "a", "instance": "2"}, "resolved"),
        (down, {"exchange": "okx"}, "resolved"),
        (down, {}, "resolved"),
        (path, {}, "lost"),
        (path, {"job": "b"}, "lost"),
    ):
        book = Book(blind=frozenset({"ExchangeExporterDown", "AlertingPathSilent"}))
        assert book.take(EPOCH, make("a", labels=labels), group="a") == ["firing"]
        assert book.take(EPOCH, cause, group="down") == ["firing"]
        over = make("a", firing=False, labels=labels)
        assert book.take(EPOCH + 60, over, group="a") == [told], (cause.name, labels)


def test_a_renamed_receivers_incident_ends_too() -> None:
    """Its group is never posted for again under the old name: the new one's end is its end."""
    book = Book()

    def post(receiver: str, alert: Alert) -> list[str]:
        found = Post(group=f"{receiver}-g", key="g", receiver=receiver, alerts=(alert,), whole=True)
        return book.said(book.ledger.take(book.db, found, EPOCH).pending)

    assert post("old", make("a")) == ["firing"]
    assert post("new", make("a")) == ["firing"]
    assert post("new", make("a", firing=False)) == ["resolved", "resolved"]
    assert post("old", make("a", firing=False)) == []


def _grouped(book: Book, key: str, sender: str, *alerts: Alert) -> list[str]:
    found = Post(
        group=f"relay-{key}", key=key, receiver="relay", alerts=alerts, sender=sender, whole=True
    )
    return book.said(book.ledger.take(book.db, found, EPOCH).pending)


@pytest.mark.parametrize("restart", [False, True])
def test_a_group_of_another_key_ends_too(restart: bool) -> None:
    """With another group_by or route the old group is never posted for again; its alerts end."""
    book = Book()
    a, b, over = make("a"), make("b"), make("a", firing=False)
    assert _grouped(book, "{}:{}", "one", a, b) == ["firing"]
    assert _grouped(book, "{}:{}", "two", make("c")) == ["update"]
    assert _grouped(book, '{}:{exchange="okx"}', "one", a) == ["firing"]
    if restart:
        book.ledger = IncidentStore((receiver(),), IncidentStoreSettings())
    assert _grouped(book, '{}/{x="y"}:{exchange="okx"}', "three", over) == ["resolved"]
    assert _grouped(book, '{}:{exchange="okx"}', "one", over) == ["resolved"]
    assert _grouped(book, '{}:{exchange="kraken"}', "one", make("b", firing=False)) == ["resolved"]
    # What another Alertmanager has posted goes on.
    assert _grouped(book, '{}:{exchange="kraken"}', "one", make("c", firing=False)) == []
    assert _grouped(book, "{}:{}", "two", make("c", firing=False)) == ["resolved"]
    states = book.db.execute("SELECT count(*) FROM incidents WHERE closed IS NULL").fetchone()[0]
    assert states == 0


def test_the_index_of_what_fires_holds_no_more_than_that() -> None:
    """What has ended, or is none, leaves nothing in it; what is on the disk is read once."""
    index, rules = FiringIndex(), IncidentRules()
    both, _ = advance(None, [make("a"), make("b")], group="g", serial=1, now=EPOCH, rules=rules)
    assert both is not None
    assert index.holders(["a", "x"], lambda: [both]) == [both.id]
    one, _ = advance(both, [make("a", firing=False)], group="g", serial=1, now=EPOCH, rules=rules)
    assert one is not None
    index.note(one)
    assert index.holders(["a"], list) == []
    assert len(index) == 1
    index.forget("b")
    assert len(index) == 0


def test_a_spool_of_the_version_before_is_taken_over() -> None:
    """Open incidents go on, and end."""
    book = Book()
    assert book.take(EPOCH, make("a")) == ["firing"]
    book.db.executescript(
        "DROP INDEX incidents_key; ALTER TABLE incidents DROP COLUMN key; PRAGMA user_version=1;"
        "CREATE TABLE seen (key BLOB PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;"
    )
    outbox.begin(book.db)
    outbox.begin(book.db)
    assert book.take(EPOCH + 60, make("a", firing=False)) == ["resolved"]


def test_each_receiver_hears_what_is_for_it() -> None:
    """Levels, routes, ends; an incident that becomes urgent is new to who hears the urgent only."""
    everyone = receiver(name="all")
    urgent = receiver(name="urgent", levels=frozenset({Level.CRITICAL}), resolved=False)
    elsewhere = receiver(name="other", routes=frozenset({"other"}))
    book = Book(everyone, urgent, elsewhere)
    mild = make("a", level=Level.WARNING)
    assert book.take(EPOCH, mild) == ["firing"]
    assert book.take(EPOCH + 60, mild, make("b")) == ["update", "firing"]
    ends = (make("a", firing=False), make("b", firing=False))
    assert book.take(EPOCH + 90, *ends) == ["resolved"]


def test_cooldown_and_budget_hold_back_and_lose_nothing() -> None:
    """What a cooldown holds is told after it as it is by then; a budget's rest is one digest."""
    book = Book(receiver(cooldown=100.0))
    assert book.take(EPOCH, make("a")) == ["firing"]
    assert book.take(EPOCH + 10, make("b")) == []
    assert book.take(EPOCH + 20, make("c")) == []
    assert book.tick(EPOCH + 50) == []
    assert book.tick(EPOCH + 101) == ["update"]
    assert book.take(EPOCH + 110, make("d", level=Level.CRITICAL)) == []
    ended = [make(name, firing=False) for name in "abcd"]
    assert book.take(EPOCH + 120, *ended) == ["resolved"]  # an end does not wait
    assert book.tick(EPOCH + 500) == []
    book = Book(receiver(budget=Pace(messages=3, window=3600.0), digest_every=10.0))
    told = [book.take(EPOCH + n, make("a"), group=f"g{n}") for n in range(8)]
    assert told == [["firing"]] * 3 + [[]] * 5
    assert book.tick(EPOCH + 1000) == []
    assert book.tick(EPOCH + 3601) == ["digest"]
    note = book.db.execute("SELECT note FROM deliveries ORDER BY id DESC LIMIT 1").fetchone()[0]
    assert b"5 \xc3\x97 ExchangeDown" in note
