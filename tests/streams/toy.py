"""A venue small enough to script by hand, for tests of what drives any venue."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.model import Ack, Channel, Control, Event, Subscription, Trade


def _request(verb: str) -> Callable[[Sequence[str], int], str]:
    return lambda topics, number: json.dumps({"do": verb, "topics": list(topics), "id": number})


def parse(frame: bytes) -> tuple[Event, ...]:
    """Read what `trade`, `ack`, `refusal` and `control` write."""
    try:
        message: dict[str, Any] = json.loads(frame)
        if "trade" in message:
            topic, number = message["trade"], message["n"]
            return (Trade("trade", topic, topic[2:], None, 1.0, 1.0, None, number),)
        if "control" in message:
            return (Control("control", **message["control"]),)
        return (
            Ack(
                "ack",
                ok=message["ok"],
                request=message.get("id"),
                topics=tuple(message.get("topics", ())),
                reason=message.get("reason", ""),
            ),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ParseError(f"toy: {error}") from error


def trade(topic: str, number: int) -> bytes:
    return json.dumps({"trade": topic, "n": number}).encode()


def ack(number: int | None = None, topics: Sequence[str] = ()) -> bytes:
    return json.dumps({"ok": True, "id": number, "topics": list(topics)}).encode()


def refusal(number: int | None, topics: Sequence[str] = (), reason: str = "no") -> bytes:
    return json.dumps(
        {"ok": False, "id": number, "topics": list(topics), "reason": reason}
    ).encode()


def control(**fields: object) -> bytes:
    return json.dumps({"control": fields}).encode()


def obliging(frame: str) -> Iterable[bytes]:
    """Agree to whatever is asked."""
    return (ack(json.loads(frame)["id"]),) if frame.startswith("{") else ()


VENUE = Venue(
    name="toy",
    title="Toy",
    rest_url="http://toy.example",
    endpoints=(),
    stream_urls=("ws://one.example", "ws://two.example"),
    topics={Channel.TRADES: "t.{symbol}", Channel.QUOTES: "q.{symbol}"},
    subscribe=_request("join"),
    unsubscribe=_request("leave"),
    parse=parse,
    topics_per_request=3,
    topics_per_connection=5,
    requests_per_second=10.0,
    symbol=lambda instrument: instrument,
    source="made up",
)


def venue(**fields: Any) -> Venue:
    """Return the toy venue with some fields changed."""
    return replace(VENUE, **fields)


def subscriptions(*symbols: str, channel: Channel = Channel.TRADES) -> list[Subscription]:
    """Return subscriptions to some symbols."""
    return [
        Subscription(
            exchange="toy",
            channel=channel,
            instrument=symbol,
            symbol=symbol,
            topic=VENUE.topic(channel, symbol),
        )
        for symbol in symbols
    ]
