"""Alerts pushed to Alertmanager: leases, refusals, and a server that is gone for a while."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from exporter.alertmanager.push import FRESH, Alerts, Push, Recipient, Report
from exporter.contracts import FetchFailedError
from exporter.model import Answer, Reason

DOWN = {"alertname": "ExchangeDown", "exchange": "okx"}
ODD = {"alertname": "ExchangeAnomaly", "exchange": "okx", "signal": "spread"}


@dataclass
class Now:
    """A clock that stands where it is put."""

    time: float = 1000.0

    def wall(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, duration: float) -> None:
        self.time += duration


@dataclass
class Server:
    """An Alertmanager that keeps what it is sent; ``answer`` says what it thinks of a body."""

    answer: Callable[[list[Any]], int] = lambda alerts: 200
    posts: list[tuple[Mapping[str, str], list[Any]]] = field(default_factory=list)
    urls: set[str] = field(default_factory=set)

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        alerts = json.loads(body or b"")
        self.urls.add(url)
        self.posts.append((headers, alerts))
        status = self.answer(alerts)
        if not status:
            raise FetchFailedError(Reason.CONNECT_REFUSED)
        text = b"" if status == 200 else b'"bad label name"'
        return Answer(status=status, headers={}, body=text, new_connection=False, phases={})


@dataclass
class Count:
    """How the requests ended."""

    taken: int = 0
    refused: int = 0
    failed: int = 0

    def report(self) -> Report:
        def count(name: str) -> None:
            setattr(self, name, getattr(self, name) + 1)

        return Report(
            taken=lambda now: count("taken"),
            refused=lambda: count("refused"),
            failed=lambda: count("failed"),
        )


def _push(alerts: Alerts, server: Server, clock: Now, **more: Any) -> tuple[Push, Count]:
    count = Count()
    to = Recipient(url="http://am.example/prefix/", generator_url="http://me.example", **more)
    return Push(to, alerts, send=server, clock=clock, report=count.report()), count


async def _until(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(0.002)


def _lasts(alert: dict[str, Any]) -> float:
    return datetime.fromisoformat(alert["endsAt"]).timestamp()


def test_a_firing_alert_is_a_lease_and_its_end_is_not_said() -> None:
    """Each request pushes the end four minutes away; after the end there is none.

    An end that is said would undo what a rule of the same labels goes on to say.
    """
    alerts, server, clock = Alerts(), Server(), Now()
    push, count = _push(alerts, server, clock, repeat=60.0)
    assert alerts.fire(DOWN, {"summary": "okx is down."}, start=990.0)
    assert not alerts.fire(DOWN, {"summary": "okx is down."}, start=995.0)
    seen = []
    for _ in range(2):
        assert asyncio.run(push.notify())
        ((alert,),) = [server.posts[-1][1]]
        seen.append((alert["startsAt"], _lasts(alert)))
        clock.time += 60.0
    assert [end for _, end in seen] == [1240.0, 1300.0]
    assert {datetime.fromisoformat(start).timestamp() for start, _ in seen} == {990.0}
    assert server.urls == {"http://am.example/prefix/api/v2/alerts"}
    assert alerts.end(DOWN)
    assert not alerts.end(DOWN)
    assert asyncio.run(push.notify())
    assert (count.taken, count.refused, count.failed) == (2, 0, 0)
    assert len(server.posts) == 2


def test_only_what_is_fresh_is_told_again_at_once() -> None:
    """What another says of the time before is undone within seconds, without telling all anew."""
    alerts, server, clock = Alerts(), Server(), Now()
    push, _ = _push(alerts, server, clock)
    alerts.fire(DOWN, {}, 1.0)
    assert asyncio.run(push.notify())
    clock.time += FRESH - 1.0
    alerts.fire(ODD, {}, 2.0)
    assert asyncio.run(push.notify())
    assert asyncio.run(push.notify(only_fresh=True))
    clock.time += 1.0
    assert asyncio.run(push.notify(only_fresh=True))
    alerts.end(ODD)
    alerts.fire(ODD, {}, 3.0)
    clock.time += FRESH
    assert asyncio.run(push.notify(only_fresh=True))
    told = [[each["labels"] for each in sent] for _, sent in server.posts]
    assert told == [[DOWN], [DOWN, ODD], [DOWN, ODD], [ODD], [ODD]]


def test_one_bad_alert_costs_the_others_nothing() -> None:
    """A request that is refused for one of its alerts is sent again one by one, then without it."""
    alerts, clock = Alerts(), Now()
    server = Server(
        answer=lambda sent: 400 if any("bad-name" in s["labels"] for s in sent) else 200
    )
    push, count = _push(alerts, server, clock)
    alerts.fire({"bad-name": "x"}, {}, 1.0)
    alerts.fire(DOWN, {}, 2.0)
    alerts.fire(ODD, {}, 3.0)
    assert asyncio.run(push.notify())
    assert [len(sent) for _, sent in server.posts] == [3, 1, 1, 1]
    assert asyncio.run(push.notify())
    assert [each["labels"] for each in server.posts[-1][1]] == [DOWN, ODD]
    assert (count.taken, count.refused, count.failed) == (3, 1, 0)


@pytest.mark.parametrize(("status", "kind"), [(0, "failed"), (503, "failed"), (401, "refused")])
def test_a_server_that_does_not_take_it_is_asked_again(status: int, kind: str) -> None:
    """Nothing is lost while it is away; the wait until the next try stays short."""

    async def story() -> None:
        alerts, clock, down = Alerts(), Now(), [True]
        server = Server(answer=lambda sent: status if down[0] else 200)
        push, count = _push(alerts, server, clock, repeat=0.02)
        alerts.fire(DOWN, {}, 1.0)
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(60.0):
            running = tasks.create_task(push.run())
            await _until(lambda: getattr(count, kind) >= 3)
            down[0] = False
            await _until(lambda: count.taken > 0)
            running.cancel()
        assert server.posts[-1][1][0]["labels"] == DOWN

    asyncio.run(story())


def test_news_is_told_at_once() -> None:
    """With a minute between repeats, what begins goes out now."""

    async def story() -> None:
        alerts, server = Alerts(), Server()
        push, count = _push(alerts, server, Now(), repeat=60.0)
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(60.0):
            running = tasks.create_task(push.run())
            await asyncio.sleep(0.02)
            assert not server.posts  # nothing to tell
            alerts.fire(DOWN, {}, 1.0)
            await _until(lambda: count.taken == 1)
            alerts.fire(ODD, {}, 1.0)
            await _until(lambda: count.taken == 2)
            running.cancel()
        assert [len(sent) for _, sent in server.posts] == [1, 2]

    asyncio.run(story())


def test_the_way_is_shown_to_be_open_while_nothing_fires() -> None:
    """A minute without any request is followed by one without alerts: its failure is counted."""
    alerts, clock, status = Alerts(), Now(), [200]
    server = Server(answer=lambda sent: status[0])
    push, count = _push(alerts, server, clock)
    told = []
    for passed, answered in ((59.0, 200), (1.0, 200), (59.0, 200), (1.0, 503), (60.0, 400)):
        clock.time += passed
        status[0] = answered
        assert asyncio.run(push.notify())
        told.append(asyncio.run(push.show_alive()))
    assert told == [True, True, True, False, False]
    assert [sent for _, sent in server.posts] == [[], [], []]
    assert (count.taken, count.refused, count.failed) == (1, 1, 1)
    alerts.fire(DOWN, {}, 1.0)
    status[0] = 200
    assert asyncio.run(push.notify())
    assert asyncio.run(push.show_alive())
    assert [each["labels"] for each in server.posts[-1][1]] == [DOWN]


def test_logins_are_sent_and_not_shown() -> None:
    """Bearer or basic, as configured; neither stands in what is printed of the recipient."""
    bearer = Recipient(url="http://a", bearer="t0ken")
    basic = Recipient(url="http://a", login=("me", "pass:word"))
    assert bearer.headers["Authorization"] == "Bearer t0ken"
    pair = b64encode(b"me:pass:word").decode()
    assert basic.headers["Authorization"] == f"Basic {pair}"
    assert "t0ken" not in repr(bearer)
    assert "pass" not in repr(basic)


def test_alerts_survive_a_restart_and_torn_ones_are_refused() -> None:
    """What fired goes on under its old start; bytes that are not ours change nothing."""
    alerts = Alerts()
    alerts.fire(DOWN, {"summary": "s"}, 5.0)
    alerts.fire(ODD, {}, 6.0)
    pieces, again = list(alerts.pieces()), Alerts()
    again.restore(pieces)
    assert again.firing() == alerts.firing()
    assert not again.fire(DOWN, {"summary": "s"}, 9.0)
    assert again.firing()[0].start == 5.0
    with pytest.raises(ValueError, match="unreadable alerts"):
        again.restore([pieces[0][:-3]])
    assert len(again.firing()) == 2
