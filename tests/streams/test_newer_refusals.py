"""How the newer venues refuse: as in `test_refusals`, each in its own words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from exporter import venues
from exporter.model import SubscriptionState
from exporter.streams.requests import TopicsRefused
from tests.streams.test_refusals import Answer, Client, Scripted, coinbase, limited

S = SubscriptionState


def gate(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Answer each request by its id."""
    if asked.get("event") != "subscribe":
        return
    symbol = next(each for each in asked["payload"] if "_" in each)
    topic = f"{asked['channel']}:{symbol}"
    frame = {"time": 1, "id": asked["id"], "channel": asked["channel"], "event": "subscribe"}
    if topic in venue.bad:
        error = {"code": 2, "message": f"unknown currency pair: {symbol}"}
        yield frame | {"error": error, "result": None}
        return
    venue.join([topic])
    yield frame | {"error": None, "result": {"status": "success"}}


def bitget(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Answer for each topic by itself."""
    if asked["op"] != "subscribe":
        return
    for arg in asked["args"]:
        topic = f"{arg['channel']}:{arg['instId']}"
        if topic in venue.bad:
            text = f"instType:SPOT,channel:{arg['channel']},instId:{arg['instId']} doesn't exist"
            yield {"event": "error", "arg": arg, "code": 30001, "msg": text, "op": "subscribe"}
        else:
            venue.join([topic])
            yield {"event": "subscribe", "arg": arg}


def bitget_bare(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Name what is refused in the text alone."""
    for frame in bitget(venue, asked):
        assert isinstance(frame, dict)
        yield {k: v for k, v in frame.items() if k != "arg" or frame["event"] != "error"}


def deribit(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Refuse the whole request by its id, and name nothing."""
    if asked["method"] != "public/subscribe":
        yield {"jsonrpc": "2.0", "id": asked["id"], "result": "ok", "usIn": 1, "usOut": 2}
        return
    channels = asked["params"]["channels"]
    frame = {"jsonrpc": "2.0", "id": asked["id"], "usIn": 1, "usOut": 2}
    if set(channels) & venue.bad:
        reason = {"reason": "wrong format", "param": "channels"}
        yield frame | {"error": {"message": "Invalid params", "data": reason, "code": -32602}}
        return
    venue.join(channels)
    yield frame | {"result": channels}


def deribit_silent(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Leave what is not served out of the answer."""
    if asked["method"] != "public/subscribe":
        yield {"jsonrpc": "2.0", "id": asked["id"], "result": "ok", "usIn": 1, "usOut": 2}
        return
    good = [each for each in asked["params"]["channels"] if each not in venue.bad]
    venue.join(good)
    yield {"jsonrpc": "2.0", "id": asked["id"], "result": good, "usIn": 1, "usOut": 2}


def htx(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Answer each request by its id."""
    if "sub" not in asked:
        return
    topic, frame = asked["sub"], {"id": asked["id"], "ts": 1}
    if topic in venue.bad:
        yield frame | {"status": "error", "err-code": "bad-request", "err-msg": "invalid symbol"}
        return
    venue.join([topic])
    yield frame | {"status": "ok", "subbed": topic}


def crypto_com(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Refuse the whole request by its id, and name one channel in the text."""
    if asked["method"] != "subscribe":
        return
    channels, frame = asked["params"]["channels"], {"id": asked["id"], "method": "subscribe"}
    wrong = [each for each in channels if each in venue.bad]
    if wrong:
        text = f'invalid channel {{"channels":["{wrong[0]}"]}}'
        yield frame | {"code": 10004, "message": text}
        return
    venue.join(channels)
    yield frame | {"code": 0}


def hyperliquid(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Name what is refused in the text, as JSON."""
    if asked["method"] != "subscribe":
        return
    wanted = asked["subscription"]
    topic = f"{wanted['type']}:{wanted['coin']}"
    if topic in venue.bad:
        text = f'{{"type":"{wanted["type"]}","coin":"{wanted["coin"]}"}}'
        yield {"channel": "error", "data": f"Invalid subscription {text}"}
        return
    venue.join([topic])
    yield {"channel": "subscriptionResponse", "data": {"method": "subscribe",
           "subscription": wanted}}  # fmt: skip


def kraken_futures(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Refuse the whole request without an id or a name."""
    if asked["event"] != "subscribe":
        return
    feed, names = asked["feed"], asked["product_ids"]
    if any(f"{feed}:{name}" in venue.bad for name in names):
        yield {"event": "error", "message": "Invalid product id"}
        return
    venue.join([f"{feed}:{name}" for name in names])
    yield {"event": "subscribed", "feed": feed, "product_ids": names}


def kraken_futures_failed(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Tell which products failed and which did not, in two answers."""
    if asked["event"] != "subscribe":
        return
    feed, names = asked["feed"], asked["product_ids"]
    wrong = [name for name in names if f"{feed}:{name}" in venue.bad]
    good = [name for name in names if name not in wrong]
    venue.join([f"{feed}:{name}" for name in good])
    if wrong:
        yield {"event": "subscribed_failed", "feed": feed, "product_ids": wrong}
    if good:
        yield {"event": "subscribed", "feed": feed, "product_ids": good}


def bitfinex(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Answer each request, which names one channel."""
    if asked["event"] != "subscribe":
        return
    named = {key: asked[key] for key in ("channel", "symbol", "key", "prec") if key in asked}
    symbol = asked.get("symbol") or asked["key"].removeprefix("trade:1m:")
    topic = f"{asked['channel']}:{symbol}"
    if topic in venue.bad:
        yield named | {"event": "error", "code": 10300, "msg": "symbol: invalid"}
        return
    venue.join([topic])
    yield named | {"event": "subscribed", "chanId": len(venue.active)}


def mexc(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Agree to some and refuse others, each in a text."""
    if asked["method"] != "SUBSCRIPTION":
        return
    wrong = [each for each in asked["params"] if each in venue.bad]
    good = [each for each in asked["params"] if each not in venue.bad]
    venue.join(good)
    if good:
        yield {"id": 0, "code": 0, "msg": ",".join(good)}
    if wrong:
        text = f"Not Subscribed successfully! [{','.join(wrong)}].  Reason: Blocked! "
        yield {"id": 0, "code": 0, "msg": text}


def bitmex(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Agree to each topic by itself; of one that is wrong tell all that was asked for."""
    if asked["op"] != "subscribe":
        return
    for topic in asked["args"]:
        if topic in venue.bad:
            yield {"status": 400, "error": f"Unknown or expired symbol: {topic}.", "meta": {},
                   "request": asked}  # fmt: skip
        else:
            venue.join([topic])
            yield {"success": True, "subscribe": topic, "request": asked}


def coinbase_advanced(venue: Scripted, asked: dict[str, Any]) -> Iterable[object]:
    """Refuse the whole request without an id and name the product; acknowledge all there is."""
    if asked["channel"] == "heartbeats":
        return
    rows = [{"name": asked["channel"], "product_ids": asked["product_ids"]}]
    for frame in coinbase(venue, {"type": asked["type"], "channels": rows}):
        assert isinstance(frame, dict)
        if frame["type"] == "error":
            yield {"type": "error", "message": f"failure to subscribe: {frame['reason']}"}
            continue
        active = {row["name"]: row["product_ids"] for row in frame["channels"]}
        yield {"channel": "subscriptions", "events": [{"subscriptions": active}]}


WAYS = [
    ("gate", gate, "unknown currency pair"),
    ("gate_futures", gate, "unknown currency pair"),
    ("bitget", bitget, "doesn't exist"),
    ("bitget", bitget_bare, "doesn't exist"),
    ("deribit", deribit, "Invalid params"),
    ("deribit", deribit_silent, "agreed to none"),
    ("htx", htx, "invalid symbol"),
    ("crypto_com", crypto_com, "invalid channel"),
    ("hyperliquid", hyperliquid, "Invalid subscription"),
    ("kraken_futures", kraken_futures, "Invalid product id"),
    ("kraken_futures", kraken_futures_failed, "subscribed_failed"),
    ("bitfinex", bitfinex, "symbol: invalid"),
    ("mexc", mexc, "Reason: Blocked"),
    ("bitmex", bitmex, "Unknown or expired symbol"),
    ("coinbase_advanced", coinbase_advanced, "is not a valid product"),
]
QUOTES = {"hyperliquid": "USDC", "kraken_futures": "USD", "coinbase_advanced": "USD"}


def topics_of(name: str) -> dict[str, str]:
    """Return all topics of ten markets, two of them gone, each with its symbol."""
    venue, quote = venues.load(name), QUOTES.get(name, "USDT")
    names = [f"{'GONE' if n in (1, 7) else 'COIN'}{n}-{quote}" for n in range(10)]
    symbols = [venue.symbol(each) for each in names]
    return {venue.topic(channel, symbol): symbol for channel in venue.topics for symbol in symbols}


@pytest.mark.parametrize("latency", [0.25, 1.0])
@pytest.mark.parametrize(("name", "answer", "words"), WAYS)
def test_good_topics_live_and_bad_ones_rejected(
    name: str, answer: Answer, words: str, latency: float
) -> None:
    """Within a minute or so, on the first connection, and the venue's own words are kept."""
    venue, topics = venues.load(name), topics_of(name)
    bad = {topic for topic, symbol in topics.items() if "gone" in symbol.lower()}
    client = Client(lambda: Scripted(venue, bad, answer, latency), topics)
    client.run(60.0)
    assert client.reconnects == 0
    states = client.states()
    assert {t for t, state in states.items() if state is S.LIVE} == set(topics) - bad
    assert {t for t, state in states.items() if state is S.REJECTED} == bad
    assert any(words in client.session.watched[topic].reason for topic in bad)
    assert all(client.session.watched[topic].reason for topic in bad)


def by_id(asked: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": asked["id"], **more}


# Asked too often, in the words of each.
LIMITS: list[tuple[str, Answer, Callable[[dict[str, Any]], dict[str, Any]]]] = [
    ("gate", gate, lambda asked: by_id(
        asked, channel="spot.trades", event="subscribe", error={"message": "too many requests"})),
    ("bitget", bitget, lambda asked: {"event": "error", "code": 30006, "msg": "Request too many"}),
    ("deribit", deribit, lambda asked: by_id(
        asked, usIn=1, error={"message": "too_many_requests", "code": 10028})),
    ("htx", htx, lambda asked: by_id(
        asked, status="error", **{"err-code": "bad-request", "err-msg": "429 too many request"})),
    ("crypto_com", crypto_com, lambda asked: by_id(
        asked, method="subscribe", code=42901, message="TOO_MANY_REQUESTS")),
    ("bitfinex", bitfinex, lambda asked: {
        "event": "error", "msg": "ERR_RATE_LIMIT", "code": 11010}),
    ("bitmex", bitmex, lambda asked: {
        "status": 429, "request": asked, "error": "Rate limit exceeded, retry in 1 seconds."}),
    ("coinbase_advanced", coinbase_advanced, lambda asked: {
        "type": "error", "message": "rate limit exceeded"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "refusal"), LIMITS, ids=[each[0] for each in LIMITS])
def test_a_refusal_for_asking_too_often_is_none_of_a_topic(
    name: str, answer: Answer, refusal: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """It is asked again after a pause; none is rejected, whatever the words for it."""
    venue = venues.load(name)
    topics = {t: symbol for t, symbol in topics_of(name).items() if "gone" not in symbol.lower()}
    script = limited(answer, lambda asked: [refusal(asked)])
    client = Client(lambda: Scripted(venue, (), script, 0.25), topics)
    client.run(180.0)
    assert set(client.states().values()) == {S.LIVE}
    assert client.reconnects == 0
    assert not [each for each in client.said if isinstance(each, TopicsRefused)]
