"""What is optional may be slow, refused or broken: pages go out while it is."""

from __future__ import annotations

import select
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.live.programs import eventually
from tests.relay import fakes
from tests.relay.programs import alert, inside, post_of, receiver, send, write

pytestmark = pytest.mark.live
# One connection, so that whoever holds it is in the way of all others.
ONE = {"connections": 1}


def _model(providers: fakes.Providers) -> dict[str, Any]:
    return {"enabled": True, "base_url": f"{providers.url}/model/v1", "model": "m", "grace": "0s",
            "api_key": {"env": "MODEL_KEY"}, "deadline": "20s"}  # fmt: skip


def _switch(providers: fakes.Providers) -> dict[str, Any]:
    return {"ping_url": f"{providers.url}/snitch/x", "ping_every": "1s"}


@dataclass
class Held:
    """Requests that a service does not answer until ``gate`` opens, and what came meanwhile."""

    gate: threading.Event = field(default_factory=threading.Event)
    connections: list[socket.socket] = field(default_factory=list)
    beside: list[bytes] = field(default_factory=list)  # bodies that came while one was held


def _open(connection: socket.socket) -> bool:
    """Return whether the client still waits for an answer over a connection."""
    ready, _, _ = select.select([connection], [], [], 0.0)
    return not ready or connection.recv(1, socket.MSG_PEEK) != b""


def _held(providers: fakes.Providers, service: str, only: str) -> Held:
    """Have a service hold its requests by the method ``only``."""
    held = Held()
    answer = providers.answer

    def slow(method: str, path: str, headers: dict[str, str], body: bytes) -> fakes.Answer | str:
        if path.startswith(f"/{service}/") and method == only:
            held.connections.append(providers.here.connection)
            held.gate.wait(60.0)
        elif any(map(_open, held.connections)):
            held.beside.append(body)
        return answer(method, path, headers, body)

    providers.answer = slow  # type: ignore[method-assign]  # the fake stands where the service is
    return held


def _told(providers: fakes.Providers, url: str, name: str) -> None:
    """Post a critical alert and wait until the webhook has it."""
    assert send(url, post_of(alert(name), group=name)) == 200
    eventually(
        lambda: any(name in str(each.body) for each in providers.of("webhook")), f"{name} is told"
    )


@pytest.mark.parametrize(
    ("service", "only"),
    [
        ("model", "POST"),  # a triage
        ("snitch", "GET"),  # the heartbeat's ping
        ("line", "GET"),  # what is left of the month's messages
        ("discord", "PATCH"),  # an edit
    ],
)
def test_what_is_optional_holds_no_page(tmp_path: Path, service: str, only: str) -> None:
    """It holds its connection for as long as it likes, and no page waits for that one."""
    with fakes.serving() as providers:
        held = _held(providers, service, only)
        kinds = ("webhook", "discord", *(("line",) if service == "line" else ()))
        file = write(
            tmp_path,
            [receiver(kind, providers.url) for kind in kinds],
            http=ONE,
            heartbeat=_switch(providers) if service == "snitch" else {},
            triage=_model(providers) if service == "model" else {},
        )
        try:
            with inside(file) as url:
                _told(providers, url, "First")
                if service == "discord":
                    eventually(lambda: providers.of("discord"), "there is a message to edit")
                    ended = alert("First", status="resolved")
                    assert send(url, post_of(ended, group="First", status="resolved")) == 200
                eventually(lambda: held.connections, "the optional request is under way")
                _told(providers, url, "Second")
                for kind in kinds:
                    eventually(
                        lambda kind=kind: "Second" in str(providers.of(kind)[-1].body),  # type: ignore[misc]  # bound now
                        f"{kind} is told",
                    )
                held.gate.set()
        finally:
            held.gate.set()
        # Each service that pages, while the optional request went on waiting.
        assert sum(b"Second" in body for body in held.beside) >= len(kinds)


@pytest.mark.parametrize("answer", [(500, {}, b"no"), (429, {}, b"{}"), "close"])
def test_what_is_optional_may_be_refused(tmp_path: Path, answer: fakes.Answer | str) -> None:
    """Errors of the dead man's switch and of the quota cost nothing but their own figures."""
    with fakes.serving() as providers:
        providers.fault["snitch"] = lambda: answer
        line = providers._line

        def no_quota(
            method: str, path: str, headers: dict[str, str], body: bytes, at: float
        ) -> fakes.Answer | str:
            return answer if method == "GET" else line(method, path, headers, body, at)

        providers._line = no_quota  # type: ignore[method-assign, assignment]  # as above
        kinds = ("webhook", "line")
        file = write(
            tmp_path,
            [receiver(kind, providers.url) for kind in kinds],
            heartbeat=_switch(providers),
        )
        with inside(file) as url:
            asked = {"snitch", "line"}
            eventually(lambda: asked <= {name for name, _ in providers.requests}, "both are asked")
            _told(providers, url, "Page")
            eventually(lambda: providers.of("line"), "LINE is told")


def test_a_critical_goes_before_what_waits_for_a_slow_provider(tmp_path: Path) -> None:
    """A provider that takes one message at a time gets the page next, then warnings and ends."""
    with fakes.serving() as providers:
        held = _held(providers, "webhook", "POST")
        slow = receiver("webhook", providers.url, timeout="60s", parallel=1,
                        storm={"messages": 1000})  # fmt: skip
        file = write(tmp_path, [slow])
        with inside(file) as url:
            try:
                calm = {"severity": "warning"}
                for number in range(20):
                    name = f"Warning{number}"
                    assert send(url, post_of(alert(name, labels=calm), group=name)) == 200
                eventually(lambda: held.connections, "the first warning is under way")
                assert send(url, post_of(alert("Page"), group="Page")) == 200
            finally:
                held.gate.set()
            eventually(lambda: len(providers.of("webhook")) == 21, "all are told")
        titles = [str(each.body) for each in sorted(providers.of("webhook"), key=lambda t: t.time)]
        place = next(at for at, title in enumerate(titles) if "Page" in title)
        # Those under way when it came could not be called back: one for each worker.
        assert place <= 2
