"""Hypothesis strategies for rows of events, ordinary and odd."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from exporter.capture.rows import Mark, Row
from exporter.maintenance import Maintenance, TradingMode
from exporter.model import Ack, Control, Depth, Kline, Message, Quote, Side, Trade

# What venues send, and what nobody should: both must come back.
PRICES: st.SearchStrategy[float] = st.one_of(
    st.builds(lambda n, k: n / 10**k, st.integers(0, 2**34), st.integers(0, 9)),
    st.floats(allow_nan=False),
)
TIMES: st.SearchStrategy[float] = st.one_of(
    st.integers(10**12, 2 * 10**12).map(lambda n: n / 1e3),
    st.integers(10**18, 2 * 10**18).map(lambda n: n / 1e9),
    st.floats(allow_nan=False),
)
WHOLES = st.one_of(st.integers(0, 2**40), st.integers(-(2**66), 2**66))
NAMES = st.sampled_from(["a", "b", "BTC-USDT", "é\ud800", ""])
FLAGS = st.booleans()
TRISTATE = st.none() | FLAGS
LEVELS = st.lists(st.tuples(PRICES, PRICES), max_size=4)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a value or None."""
    return st.none() | strategy


MAINTENANCE = st.builds(
    Maintenance,
    active=FLAGS,
    end=maybe(TIMES),
    title=NAMES,
    mode=maybe(st.sampled_from(TradingMode)),
)
NAMED = (NAMES, NAMES, NAMES, maybe(TIMES))
TRADES = st.builds(
    Trade,
    *NAMED,
    price=PRICES,
    size=PRICES,
    side=maybe(st.sampled_from(Side)),
    sequence=maybe(WHOLES),
    order=maybe(WHOLES),
    snapshot=FLAGS,
)
QUOTES = st.builds(
    Quote,
    *NAMED,
    bid=PRICES,
    ask=PRICES,
    bid_size=maybe(PRICES),
    ask_size=maybe(PRICES),
    sequence=maybe(WHOLES),
)
DEPTHS = st.builds(
    Depth,
    *NAMED,
    levels=st.tuples(LEVELS, LEVELS),
    snapshot=FLAGS,
    first=maybe(WHOLES),
    last=maybe(WHOLES),
    previous=maybe(WHOLES),
    order=maybe(WHOLES),
    checksum=maybe(WHOLES),
)
KLINES = st.builds(Kline, *NAMED, start=TIMES, close=PRICES, closed=TRISTATE)
RARE = st.one_of(
    st.builds(Ack, NAMES, ok=FLAGS, request=maybe(WHOLES), topics=st.tuples(NAMES), reason=NAMES),
    st.builds(Control, NAMES, reply=maybe(NAMES), maintenance=maybe(MAINTENANCE)),
    st.builds(Mark, NAMES, topic=NAMES, facts=st.dictionaries(NAMES, NAMES, max_size=2)),
)
MESSAGES = st.builds(Message, *NAMED, sequence=maybe(WHOLES), order=maybe(WHOLES))
ROWS = st.builds(Row, TIMES, NAMES, st.one_of(TRADES, QUOTES, DEPTHS, KLINES, MESSAGES, RARE))


def bits(row: Row) -> str:
    """Return a text that differs wherever two rows do, in the last bit or the sign of a zero."""
    return repr(row)
