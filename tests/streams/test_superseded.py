"""A full queue that coalesces leaves out only what a newer frame makes needless."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import venues
from exporter.contracts import HOLE
from exporter.model import QueuePolicy
from exporter.streams.superseded import superseding
from exporter.websocket.receive_queue import ReceiveQueue, ReceiveQueueBounds, ReceiveQueueMeter


def quote(symbol: str, number: int) -> bytes:
    """Return one of Binance's best bids and asks."""
    data = {"u": number, "s": symbol.upper(), "b": "1.5", "B": "1", "a": "1.6", "A": "2"}
    return msgspec.json.encode({"stream": f"{symbol}@bookTicker", "data": data})


def trade(number: int) -> bytes:
    """Return one of Binance's trades."""
    data = {"e": "trade", "E": 1672515782136, "s": "BNBBTC", "t": number, "p": "0.1", "q": "100"}
    data |= {"T": 1672515782136, "m": True, "M": True}
    return msgspec.json.encode({"stream": "bnbbtc@trade", "data": data})


@pytest.mark.parametrize(
    ("venue", "frame", "expected"),
    [
        ("binance", quote("bnbbtc", 1), ("bnbbtc@bookTicker", True)),
        ("binance", trade(1), None),
        ("binance", b"no JSON", None),
        (
            "okx",
            b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":'
            b'[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085"'
            b',"checksum":-855196043,"prevSeqId":-1,"seqId":123456}]}',
            ("books:BTC-USDT", True),
        ),
        (
            "okx",
            b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":'
            b'[["8476.98","415","0","13"]],"bids":[],"ts":"1597026383085","checksum":-855196043'
            b',"prevSeqId":123456,"seqId":123457}]}',
            ("books:BTC-USDT", False),
        ),
    ],
    ids=["a quote", "a trade", "nonsense", "a whole book", "an update of a book"],
)
def test_what_a_frame_says_of_its_topic(
    venue: str, frame: bytes, expected: tuple[str, bool] | None
) -> None:
    """A quote and a whole book stand for their topic; an update only adds; the rest stays."""
    found = superseding(venues.load(venue))(frame)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        topic, whole = found
        assert (topic.replace("/", ":"), whole) == expected


def _key(frame: bytes) -> tuple[str, bool] | None:
    kind, topic, _ = frame.decode().split()
    return None if kind == "trade" else (topic, kind == "whole")


def _states(frames: list[bytes]) -> dict[str, list[str]]:
    """Return what each topic comes to: all since its last whole state, or every trade."""
    states: dict[str, list[str]] = {}
    for frame in frames:
        kind, topic, number = frame.decode().split()
        if kind == "whole":
            states[topic] = []
        states.setdefault(topic if kind != "trade" else "trades", []).append(number)
    return states


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(("whole", "part", "trade")), st.sampled_from("abc")),
            min_size=1,
            max_size=4,
        ),
        max_size=30,
    )
)
def test_coalescing_changes_no_outcome(reads: list[list[tuple[str, str]]]) -> None:
    """What is left comes to the same as all of it; beyond that the oldest go, behind a hole."""
    dropped, coalesced, put = 0.0, 0.0, list[bytes]()

    def drop(count: float) -> None:
        nonlocal dropped
        dropped += count

    def coalesce(count: float) -> None:
        nonlocal coalesced
        coalesced += count

    queue = ReceiveQueue(
        ReceiveQueueBounds(frames=8, policy=QueuePolicy.COALESCE, key=_key),
        ReceiveQueueMeter(dropped=drop, coalesced=coalesce),
        now=lambda: 0.0,
        pause=lambda: pytest.fail("it reads on"),
        resume=lambda: None,
    )
    for read in reads:
        frames = [f"{kind} {topic} {len(put) + n}".encode() for n, (kind, topic) in enumerate(read)]
        put += frames
        queue.frames += [(1.0, frame) for frame in frames]
        queue.added(sum(map(len, frames)))
        assert len(queue.frames) <= 8 + 1  # a hole counts for nothing
    left = [frame for entry in queue.frames if entry is not HOLE for frame in entry[1:]]
    assert len(put) == len(left) + dropped + coalesced
    numbers = [int(frame.split()[2]) for frame in left]
    assert all(one < other for one, other in pairwise(numbers))
    if not dropped:
        assert _states(left) == _states(put)
        assert HOLE not in queue.frames
