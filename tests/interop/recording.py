"""What clients asked of simulated venues, kept so that it can be asked again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from exporter.simulator import Simulator
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import SimulatedReply, SimulatedRequest, VenueSpec

FILE = Path(__file__).parent / "recorded.jsonl"
# What differs from run to run and asks for nothing else: ids, and moments in a query.
_IDS = re.compile(r'"(id|req_id|reqid)": ?("[^"]*"|\d+)')
_MOMENTS = re.compile(
    r"\b(since|start|end|from|to|startTime|endTime|startAt|endAt|start_timestamp|end_timestamp|"
    r"connectId)=[^&]*&?"
)
_POSTED = re.compile(r'"(startTime|endTime)": ?\d+')
_NOW = re.compile(r'"time": ?1\d{9}\b')  # the moment of a request, which may be refused later


@dataclass(slots=True, kw_only=True)
class Asked:
    """One HTTP request, or one connection with the texts that were sent over it.

    ``shapes`` are those of the answer, or of the frames that came, each once.
    """

    venue: str
    by: list[str]
    target: str  # path and query
    method: str = "GET"
    stream: bool = False
    body: str = ""
    sent: list[str] = field(default_factory=list)
    shapes: list[Any] = field(default_factory=list)


class RecordingSimulator(Simulator):
    """A simulator that remembers what it was asked, by whichever client is at it just now."""

    def __init__(self, **options: Any) -> None:
        """Take the options of a simulator; every venue gets a port of its own."""
        super().__init__(own_ports=True, **options)
        self.client = ""  # whose requests are kept; nobody's while it is empty
        self.asked: dict[str, Asked] = {}
        self._connections: dict[SimulatedSession, tuple[str, str]] = {}
        for desk in self.desks.values():
            desk.wire = replace(desk.wire, received=self._hearing(desk.wire))

    def answer(self, request: SimulatedRequest) -> SimulatedReply:
        """Answer a request, and keep it if it was a venue's and went well."""
        reply = super().answer(request)
        _, venue, path = request.path.split("/", 2)
        if venue in self.desks and reply.status == 200:
            target = _target(f"/{path}", request)
            body = request.body.decode()
            key = f"{venue} {request.method} {_MOMENTS.sub('', target)} {_POSTED.sub('', body)}"
            self._keep(key,
                       Asked(venue=venue, by=[], target=target, method=request.method,
                             body=body))  # fmt: skip
        return reply

    def welcome(self, request: SimulatedRequest, accept: Any) -> SimulatedSession | SimulatedReply:
        """Open a stream, and keep its address and what it will be sent."""
        opened = super().welcome(request, accept)
        if isinstance(opened, SimulatedSession):
            venue = opened.desk.wire.name
            target = _target(opened.path, request)
            self._connections[opened] = venue, target
            if "@" in target:  # the address subscribes
                self._keep(f"{venue} {target}", Asked(venue=venue, by=[], target=target,
                                                      stream=True))  # fmt: skip
        return opened

    def _hearing(self, wire: VenueSpec) -> Callable[[SimulatedSession, str], None]:
        def received(session: SimulatedSession, text: str) -> None:
            venue, target = self._connections[session]
            kept = _NOW.sub('"time":"$time"', text)
            key = f"{venue} {_MOMENTS.sub('', target)} {_IDS.sub('', kept)}"
            self._keep(key, Asked(venue=venue, by=[], target=target, stream=True, sent=[kept]))
            wire.received(session, text)

        return received

    def _keep(self, key: str, asked: Asked) -> None:
        if not self.client:  # what is asked again to see its shape
            return
        found = self.asked.setdefault(key, asked)
        if self.client not in found.by:
            found.by.append(self.client)


def _target(path: str, request: SimulatedRequest) -> str:
    return path + (f"?{urlencode(request.query, safe='@/,:')}" if request.query else "")


def read() -> list[Asked]:
    """Return what was recorded, in the order of the file."""
    return [Asked(**json.loads(line)) for line in FILE.read_text().splitlines()]


def write(all_asked: list[Asked]) -> None:
    """Write what was recorded, one line each, sorted."""
    rows = sorted(
        all_asked, key=lambda one: (one.venue, one.stream, one.target, one.body, one.sent)
    )
    lines = [
        json.dumps({name: value for name in Asked.__dataclass_fields__
                    if (value := getattr(one, name)) or name != "body"},
                   separators=(",", ":"))
        for one in rows
    ]  # fmt: skip
    FILE.write_text("\n".join(lines) + "\n")
