"""What is new about frames is told once, and what merely varies is not told."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from exporter.model import Channel
from exporter.streams.contract_watch import LEARNING, KnownFrame, SchemaChange
from tests.runtime.running import running, wait_metrics, wait_until

TRADE = {"e": "trade", "data": [{"price": "1.5", "side": "buy"}], "ts": 1}


def learnt() -> KnownFrame:
    """Return what is known after enough frames of both sides."""
    shape = KnownFrame()
    for number in range(LEARNING):
        side = "buy" if number % 2 else "sell"
        assert not list(shape.look({**TRADE, "data": [{"price": "1.5", "side": side}]}))
    return shape


def test_what_it_knows_is_no_change() -> None:
    """The same fields with other prices and times, and a list that is empty once."""
    shape = learnt()
    assert not list(shape.look({**TRADE, "ts": 99, "data": [{"price": "7", "side": "sell"}]}))
    assert not list(shape.look({**TRADE, "data": []}))


def test_a_new_field_is_told_once() -> None:
    """With the place where it stands."""
    shape, frame = learnt(), {**TRADE, "data": [{"price": "1", "side": "buy", "fee": {"c": 1}}]}
    assert list(shape.look(frame)) == [
        (SchemaChange.FIELD_ADDED, "data[].fee"),
        (SchemaChange.FIELD_ADDED, "data[].fee.c"),
    ]
    assert not list(shape.look(frame))


def test_a_field_is_gone_after_five_frames_without_it() -> None:
    """Not after four, for an empty list has none of them; and once."""
    shape, frame = learnt(), {"e": "trade", "data": [{"price": "1", "side": "buy"}]}
    said = [list(shape.look(frame)) for _ in range(8)]
    assert said == [[], [], [], [], [(SchemaChange.FIELD_GONE, "ts")], [], [], []]


def test_a_new_value_of_a_closed_set_is_told() -> None:
    """A side that nobody knew is told; a price is no such value."""
    shape, frame = learnt(), {**TRADE, "data": [{"price": "9", "side": "auction"}]}
    assert list(shape.look(frame)) == [(SchemaChange.NEW_ENUM_VALUE, "data[].side")]
    assert not list(shape.look(frame))


def test_what_a_hostile_exchange_names_is_bounded() -> None:
    """Other fields in each frame, names and values as long as a frame: neither grows for ever."""
    for before in (KnownFrame(), learnt()):
        shape, said = before, 0
        for number in range(100):
            fields = {f"{number} {other}": {"deeper": 1} for other in range(150)}
            long = {f"{number}" + "x" * 100_000: 1, "e": f"{number}" + "y" * 100_000}
            said += len(list(shape.look({**TRADE, **fields, **long})))
        assert said <= 1100
        assert len(shape.seen) <= 1000
        assert max(map(len, shape.seen)) <= 200
        assert sum(len(word) for words in shape.words.values() for word in words) < 10_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below),
    max_leaves=12,
)


@given(JSON, st.integers(1, 5))
def test_frames_that_are_alike_change_nothing(frame: object, more: int) -> None:
    """Whatever a frame is made of, the same one again is no change."""
    shape = KnownFrame()
    for _ in range(LEARNING + more):
        assert not list(shape.look(frame))


def test_a_field_that_an_exchange_leaves_out_is_counted() -> None:
    """Once what is usual is learnt; beside it what is documented of how often messages come."""

    async def run() -> None:
        async with running(["okx"], exchange="schema_watch: true", rate=40.0) as program:
            contract = program.exchange("okx")._contract
            assert contract is not None
            labels = 'exchange="okx",channel="book"'
            documented = f"exchange_stream_cadence_documented_seconds{{{labels}}}"
            shown = await wait_metrics(program, lambda seen: documented in seen)
            assert shown[documented] == 0.1
            trades = 'exchange_schema_changes_total{exchange="okx",channel="trades",kind='
            assert shown[f'{trades}"field_gone"}}'] == 0

            def learnt() -> bool:
                known = [each for (kind, _), each in contract._shapes.items() if kind == "trades"]
                return any(each.looked == LEARNING for each in known)

            await wait_until(learnt, timeout=75.0)  # a frame each tick, of any channel
            program.simulator.inject({"fault": "field_gone", "channel": "trades", "field": "count"})
            told = contract._changes[Channel.TRADES][SchemaChange.FIELD_GONE]
            await wait_until(lambda: told.value == 1)

    asyncio.run(run())
