"""Shards: everybody agrees, nobody is idle, and few targets move."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.placement import Shard, shard, spread

NAMES = st.lists(st.text(min_size=1, max_size=12), unique=True, max_size=60)


@given(NAMES, st.integers(1, 12))
def test_each_target_has_one_shard_and_no_shard_more_than_its_share(
    names: list[str], count: int
) -> None:
    """Nothing is watched twice or never; the fullest shard has the even share, rounded up."""
    placed = spread(names, count)
    assert placed.keys() == set(names)
    assert all(0 <= index < count for index in placed.values())
    if names:
        assert max(Counter(placed.values()).values()) <= ceil(len(names) / count)


def test_the_order_of_the_config_does_not_matter() -> None:
    """Processes agree whatever order their configs list the exchanges in."""
    names = ("binance", "okx", "bybit", "kraken")
    assert len({tuple(sorted(spread(each, 3).items())) for each in permutations(names)}) == 1


def test_places_are_the_same_for_ever() -> None:
    """Another release, Python or machine finds every exchange where it was."""
    names = ["binance", "bitstamp", "bybit", "coinbase", "kraken", "kucoin", "okx"]
    assert spread(names, 3) == {
        "binance": 2,
        "bitstamp": 0,
        "bybit": 2,
        "coinbase": 0,
        "kraken": 1,
        "kucoin": 1,
        "okx": 0,
    }


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_adding_a_shard_moves_about_its_share(count: int) -> None:
    """Of 500 targets at most a quarter more move than the new shard must get."""
    names = [f"exchange{n}" for n in range(500)]
    before, after = spread(names, count), spread(names, count + 1)
    moved = sum(before[name] != after[name] for name in names) / len(names)
    assert 1 / (count + 1) - 0.01 <= moved <= 1.25 / (count + 1)


def test_one_exchange_more_leaves_the_others_nearly_alone() -> None:
    """On average fewer than one in fifty moves."""
    names = [f"exchange{n}" for n in range(200)]
    moved = 0
    for n in range(20):
        before, after = spread(names, 4), spread([*names, f"new{n}"], 4)
        moved += sum(before[name] != after[name] for name in names)
    assert moved / 20 < len(names) / 50


def test_what_a_shard_is_called() -> None:
    """The first of four is 0/4, the last 3/4."""
    assert shard("0/4") == Shard(0, 4)
    assert shard("3/4") == Shard(3, 4)


@pytest.mark.parametrize("text", ["", "4/4", "-1/4", "0/0", "1", "a/b", "0/1001", "0/4/4", "٠/4"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    """An ordinal beyond the number of shards would watch nothing, silently."""
    with pytest.raises(ValueError, match="expected I/N"):
        shard(text)
