"""Asks again what was recorded, and tells the shape of what comes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from exporter.clock import SystemClock
from exporter.simulator import Simulator
from exporter.streams.requests import stamped
from tests.interop.recording import Asked


def shape(value: Any) -> Any:
    """Reduce JSON to keys and kinds; an array of like elements to one of them."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        shapes = [shape(one) for one in value]
        return shapes[:1] if all(alike(one, shapes[0]) for one in shapes) else shapes
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return type(value).__name__
    return "number"


def alike(wanted: Any, seen: Any) -> bool:
    """Whether a shape has all that another had; an empty array agrees with any."""
    if isinstance(wanted, dict) and isinstance(seen, dict):
        return all(key in seen and alike(wanted[key], seen[key]) for key in wanted)
    if isinstance(wanted, list) and isinstance(seen, list):
        if not wanted or not seen:
            return True
        pairs = zip(wanted, seen, strict=False)
        return (len(wanted) == len(seen) or 1 in (len(wanted), len(seen))) and all(
            alike(*pair) for pair in pairs
        )
    return bool(wanted == seen)


async def answers(simulator: Simulator, asked: Asked, http: aiohttp.ClientSession) -> list[Any]:
    """Ask one request again; return the shape of its answer."""
    url = simulator.rest_url(asked.venue) + asked.target
    headers = {"Content-Type": "application/json"} if asked.body else None
    posted = asked.body.encode() or None
    async with http.request(asked.method, url, data=posted, headers=headers) as answer:
        body = await answer.text()
        assert answer.status == 200, f"{asked.venue} {asked.target}: {answer.status} {body[:200]}"
        return [shape(json.loads(body))]


async def frames(
    simulator: Simulator,
    asked: Asked,
    http: aiohttp.ClientSession,
    *,
    seconds: float,
    wanted: list[Any] | None = None,
) -> list[Any]:
    """Send again what one connection was sent; return the shapes of what came, each once.

    Ends after ``seconds``, or as soon as all that is ``wanted`` has come.
    """
    url = simulator.stream_url(asked.venue, asked.target)
    seen: list[Any] = []
    async with http.ws_connect(url, max_msg_size=1 << 25) as socket:
        for text in asked.sent:
            await socket.send_str(stamped(text, SystemClock().wall()))
        try:
            async with asyncio.timeout(seconds):
                while wanted is None or missing(wanted, seen):
                    message = await socket.receive()
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    now = _shape_of(message.data)
                    if not any(alike(now, one) and alike(one, now) for one in seen):
                        seen.append(now)
        except TimeoutError:
            pass
    return seen


def _shape_of(text: str) -> Any:
    try:
        return shape(json.loads(text))
    except ValueError:  # OKX answers a ping with a bare word
        return text


def missing(wanted: list[Any], seen: list[Any]) -> list[Any]:
    """Return the shapes that are wanted and have not been seen."""
    return [one for one in wanted if not any(alike(one, other) for other in seen)]
