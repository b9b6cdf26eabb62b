"""The control API: faults on command, and what is true, under ``/control``."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from exporter.simulator.faults import FaultError, duration
from exporter.simulator.kinds import RULES
from exporter.simulator.spec import SimulatedReply, SimulatedRequest

if TYPE_CHECKING:
    from exporter.simulator.fault_registry import Active
    from exporter.simulator.service import Simulator

_PATHS = (
    "GET /control/state", "GET /control/kinds", "GET /control/truth", "GET /control/stats",
    "GET /control/faults", "POST /control/faults", "DELETE /control/faults",
    "DELETE /control/faults/{id}", "POST /control/disconnect", "POST /control/burst",
)  # fmt: skip


def answer(simulator: Simulator, request: SimulatedRequest) -> SimulatedReply:
    """Answer a request of the control API; mistakes get a 400 that names them."""
    try:
        return _answer(simulator, request)
    except FaultError as error:
        return _json({"errors": error.complaints}, 400)


def _answer(simulator: Simulator, request: SimulatedRequest) -> SimulatedReply:
    match (request.method, *request.path.strip("/").split("/")):
        case ("GET", "") | ("GET", "control") | ("GET", "control", "state"):
            return _json(_state(simulator))
        case ("GET", "control", "kinds"):
            return _json(_kinds())
        case ("GET", "control", "truth"):
            desks = simulator.desks.items()
            return _json({
                "time": time.time_ns() / 1e9, "venues": {name: desk.truth() for name, desk in desks}
            })  # fmt: skip
        case ("GET", "control", "stats"):
            return _json(_stats(simulator))
        case ("GET", "control", "faults"):
            return _json([_shown(active) for active in simulator.board.all()])
        case ("POST", "control", "faults"):
            entries = _body(request)
            if isinstance(entries, list):
                return _json({"ids": [simulator.inject(one) for one in entries]}, 201)
            return _json({"id": simulator.inject(_mapping(request))}, 201)
        case ("DELETE", "control", "faults"):
            return _json({"cleared": simulator.clear()})
        case ("DELETE", "control", "faults", number):
            if number.isdecimal() and simulator.clear(int(number)):
                return _json({"cleared": 1})
            return _json({"errors": [f"no fault {number!r:.40}"]}, 404)
        case ("POST", "control", "disconnect"):
            return _json(
                {"id": simulator.inject({**_mapping(request), "fault": "disconnect"})}, 201
            )
        case ("POST", "control", "burst"):
            return _burst(simulator, _mapping(request))
    wanted = f"{request.method} {request.path}"
    return _json({"errors": [f"nothing at {wanted!r:.100}"], "paths": _PATHS}, 404)


def _burst(simulator: Simulator, asked: Mapping[str, object]) -> SimulatedReply:
    known = ("venue", "symbol", "count", "for", "lead")
    wrong = [f"{k}: unknown; expected one of {', '.join(known)}" for k in asked if k not in known]
    venue, symbol = asked.get("venue"), asked.get("symbol", "BTC-USDT")
    count, length = asked.get("count", 50_000), duration(asked.get("for", 0.1))
    lead = duration(asked.get("lead", 0.5))
    if venue not in simulator.names:
        wrong.append(f"venue: expected one of {', '.join(simulator.names)}, was {venue!r:.80}")
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 1_000_000:
        wrong.append(f"count: expected 1 to 1000000, was {count!r:.80}")
    if length is None or length > 60 or lead is None or lead > 60:
        wrong.append("for and lead: expected up to 60 seconds")
    if wrong or not isinstance(count, int) or length is None or lead is None:
        raise FaultError(wrong)
    simulator.burst(str(venue), str(symbol), count, length, lead)
    return _json({"count": count}, 202)


def _state(simulator: Simulator) -> Mapping[str, object]:
    return {
        "started": simulator.started,
        "seed": simulator.seed,
        "connections": simulator.connections,
        "faults": [_shown(active) for active in simulator.board.all()],
        "paths": _PATHS,
        "venues": {
            name: {
                "rest_url": simulator.rest_url(name),
                "stream_url": simulator.stream_url(name),
                "symbols": [pair.listing.symbol for pair in desk.pairs()],
                "streams": len(desk.sessions),
                "topics": sorted(feed.topic for feed in desk.feeds.values()),
            }
            for name, desk in simulator.desks.items()
        },
    }


def _stats(simulator: Simulator) -> Mapping[str, object]:
    return {
        "connections": simulator.connections,
        "venues": {
            name: {
                "streams": len(desk.sessions),
                "sent": dict(desk.sent),
                "requests": dict(desk.requests),
                "events": dict(desk.events),
            }
            for name, desk in simulator.desks.items()
        },
    }


def _kinds() -> Mapping[str, object]:
    return {
        kind: {
            "meaning": rule.meaning,
            "filters": rule.filters,
            "probability": rule.probability,
            "parameters": {
                name: {"default": param.default, "meaning": param.meaning}
                for name, param in rule.params.items()
            },
        }
        for kind, rule in RULES.items()
    }


def _shown(active: Active) -> Mapping[str, object]:
    return {"id": active.id, "active": active.since is not None, **active.fault.as_json()}


def _mapping(request: SimulatedRequest) -> Mapping[str, object]:
    body = _body(request)
    if not isinstance(body, dict):
        raise FaultError([f"expected a JSON object, was {body!r:.80}"])
    return body


def _body(request: SimulatedRequest) -> object:
    try:
        return json.loads(request.body or b"{}")
    except (ValueError, RecursionError) as error:
        raise FaultError([f"the body is not JSON: {error}"]) from error


def _json(value: object, status: int = 200) -> SimulatedReply:
    return SimulatedReply(body=json.dumps(value).encode() + b"\n", status=status)
