"""Services of which nothing is known but what the config says: any HTTP, any WebSocket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exporter.contracts import Venue
from exporter.model import Channel, Event


def _nothing(topics: Sequence[str], request: int) -> str:
    return ""


def _unheard(frame: bytes) -> tuple[Event, ...]:
    raise AssertionError("its stream says how frames are read")


def _service(name: str, title: str, topics: Mapping[Channel, str]) -> Venue:
    return Venue(
        name=name,
        title=title,
        rest_url="",
        endpoints=(),
        stream_urls=(),
        topics=topics,
        subscribe=_nothing,
        unsubscribe=_nothing,
        parse=_unheard,
        asks=not topics,  # nothing can be asked of a stream that nobody knows
        acks=False,
        symbol=str,
        source="the config",
    )


SERVICES: Mapping[str, Venue] = {
    "http": _service("http", "HTTP service", {}),
    "websocket": _service("websocket", "WebSocket service", {Channel.MESSAGES: "{symbol}"}),
}
