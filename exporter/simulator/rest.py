"""How a simulated venue answers HTTP: limits, faults, then the venue's own route.

Every fault of REST and of handshakes is applied in this file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate

from exporter.simulator.damage import garbage
from exporter.simulator.faults import Fault
from exporter.simulator.kinds import FaultKind
from exporter.simulator.spec import (
    Manner,
    Route,
    SimulatedReply,
    SimulatedRequest,
    Usage,
    find_route,
)
from exporter.simulator.venue_server import VenueServer, delay


def answer(desk: VenueServer, request: SimulatedRequest) -> SimulatedReply:
    """Answer one request as the venue would, or as a fault wants it."""
    reply = _answer(desk, request)
    path, _, _ = find_route(desk.wire.routes, request.path, request.query)
    outcome = reply.status if reply.manner is Manner.WHOLE else reply.manner.value
    desk.requests[f"{path} {outcome}"] += 1
    return reply


def handshake(desk: VenueServer, request: SimulatedRequest) -> SimulatedReply | None:
    """Say why a WebSocket handshake is refused; None if it is welcome.

    Faults of answers (errors, limits) strike handshakes only if their endpoint names the path.
    """
    if gone := _gone(desk, request.path):
        return gone
    if desk.find(FaultKind.MAINTENANCE):
        return desk.wire.refusals.unavailable(desk)
    for kind in (FaultKind.ERROR, FaultKind.RATE_LIMIT, FaultKind.BAN):
        fault = _strikes(desk, kind, request.path)
        if fault and fault.endpoint is not None:
            return _refused(desk, fault)
    quota, now = desk.wire.connects, time.time_ns() / 1e9
    if quota and desk.limited:
        usage = desk.usage.spend(request.client, "connects", 1, quota, now)
        if usage.used > usage.limit:
            desk.events["too_many_connects"] += 1
            return desk.wire.refusals.limited(desk, usage.reset - now)
    return None


def _answer(desk: VenueServer, request: SimulatedRequest) -> SimulatedReply:
    if gone := _gone(desk, request.path):
        return gone
    wire, now = desk.wire, time.time_ns() / 1e9
    _, route, query = find_route(wire.routes, request.path, request.query)
    refused, usage = _limits(desk, request, route, now)
    headers: Mapping[str, str] = wire.headers(desk, usage) if usage else {}
    if refused:
        return replace(refused, headers={**headers, **refused.headers})
    if route is None or route.method != request.method:
        return wire.refusals.unknown_path(desk, request.path)
    if desk.find(FaultKind.MAINTENANCE) and not route.always:
        return replace(wire.refusals.unavailable(desk), headers=headers)
    if fault := _strikes(desk, FaultKind.ERROR, request.path):
        return replace(_refused(desk, fault), headers=headers)
    made = route.answer(desk, {**query, **_posted(request)})
    reply = made if isinstance(made, SimulatedReply) else SimulatedReply(body=made)
    return _spoilt(desk, request.path, replace(reply, headers={**headers, **reply.headers}))


def _posted(request: SimulatedRequest) -> Mapping[str, str]:
    """Return the values of a JSON object that was posted."""
    if request.method != "POST":
        return {}
    try:
        body = json.loads(request.body)
    except ValueError:
        return {}
    return {name: str(value) for name, value in body.items()} if isinstance(body, dict) else {}


def _gone(desk: VenueServer, path: str) -> SimulatedReply | None:
    if _strikes(desk, FaultKind.RESET, path):
        return SimulatedReply(manner=Manner.RESET)
    if _strikes(desk, FaultKind.TIMEOUT, path):
        return SimulatedReply(manner=Manner.SILENT)
    if desk.find(FaultKind.PROVIDER_DOWN):  # its edge answers, and not the venue
        return SimulatedReply(status=503, body=b"", headers={"x-amz-cf-pop": "SIM50-P1"})
    return None


def _limits(
    desk: VenueServer, request: SimulatedRequest, route: Route | None, now: float
) -> tuple[SimulatedReply | None, Usage | None]:
    """Count the request; return the refusal, if it is one too many, and where the client stands."""
    wire, client = desk.wire, request.client
    for kind in (FaultKind.BAN, FaultKind.RATE_LIMIT):
        if fault := _strikes(desk, kind, request.path):
            return _refused(desk, fault), None
    if not desk.limited and not desk.find(FaultKind.TIGHT_LIMIT):
        return None, None
    if left := desk.bans.left(client, now):
        return wire.refusals.banned(desk, left), None
    weight = route.weight({**request.query, **_posted(request)}) if route else 1
    usage = None
    over = 0.0
    if wire.quota:
        tight = desk.find(FaultKind.TIGHT_LIMIT)
        quota = replace(wire.quota, limit=int(tight.number("weight"))) if tight else wire.quota
        usage = desk.usage.spend(client, "all", weight, quota, now)
        over = usage.reset - now if usage.used > usage.limit else 0.0
    if route and route.quota:
        own = desk.usage.spend(client, request.path, 1, route.quota, now)
        usage = usage or own
        over = max(over, own.reset - now if own.used > own.limit else 0.0)
    if not over:
        desk.bans.served(client)
        return None, usage
    desk.events["over_limit"] += 1
    if wire.bans:
        desk.bans.refused(client, now)
    return wire.refusals.limited(desk, over), usage


def _refused(desk: VenueServer, fault: Fault) -> SimulatedReply:
    """Return the refusal that a fault of answers stands for."""
    refusals = desk.wire.refusals
    match fault.kind:
        case FaultKind.BAN:
            return refusals.banned(desk, fault.number("retry_after"))
        case FaultKind.RATE_LIMIT:
            retry, form = fault.number("retry_after"), fault.text("form")
            reply = refusals.limited(desk, retry)
            if form == "venue":
                return reply
            headers = {k: v for k, v in reply.headers.items() if k != "Retry-After"}
            if form == "seconds":
                headers["Retry-After"] = str(round(retry))
            elif form == "date":
                headers["Retry-After"] = formatdate(desk.nanos() / 1e9 + retry, usegmt=True)
            return replace(reply, status=429, headers=headers)
    # A proxy in front of the venue speaks HTML.
    status = int(fault.number("status"))
    body = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"
    return SimulatedReply(status=status, body=body.encode(), content_type="text/html")


def _spoilt(desk: VenueServer, path: str, reply: SimulatedReply) -> SimulatedReply:
    """Apply what faults do to an answer that is right in itself."""
    if not desk.faults:
        return reply
    chance = desk.random
    if fault := _strikes(desk, FaultKind.GARBAGE_BODY, path):
        form = fault.text("form")
        kind = "text/html" if form == "html" else reply.content_type
        reply = replace(reply, body=garbage(reply.body, form, chance), content_type=kind)
    if fault := _strikes(desk, FaultKind.LATENCY, path):
        reply = replace(reply, delay=delay(fault, chance))
    if fault := _strikes(desk, FaultKind.BROWNOUT, path):
        if chance.random() < fault.number("errors"):
            reply = replace(desk.wire.refusals.unavailable(desk), headers=reply.headers)
        reply = replace(reply, delay=reply.delay + fault.number("seconds"))
    if fault := _strikes(desk, FaultKind.SLOW_BODY, path):
        reply = replace(reply, manner=Manner.SLOW, pace=fault.number("seconds"))
    if _strikes(desk, FaultKind.ENDLESS_BODY, path):
        reply = replace(reply, manner=Manner.ENDLESS)
    return reply


def _strikes(desk: VenueServer, kind: FaultKind, path: str) -> Fault | None:
    for active in desk.faults:
        fault = active.fault
        if fault.kind is kind and fault.covers_path(path):
            return fault if desk.random.random() < fault.probability else None
    return None
