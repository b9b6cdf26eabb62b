"""Which markets patterns and volumes choose, by hand and over any list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.instrument import Product
from exporter.selection import Candidate, MarketSelection, choose

SPOT, LINEAR, INVERSE, OPTION = Product.SPOT, Product.LINEAR, Product.INVERSE, Product.OPTION


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*-USDT", {"BTC-USDT", "币安人生-USDT", "1INCH-USDT"}),
        ("*-usdt", {"BTC-USDT", "币安人生-USDT", "1INCH-USDT"}),
        ("*-PERP", {"BTC-USDT-PERP", "BTC-USD-PERP"}),
        ("BTC-USD?", {"BTC-USDT"}),
        ("BTC-USD*", {"BTC-USDT", "BTC-USD", "BTC-USDT-PERP", "BTC-USD-PERP",
                      "BTC-USD-261225", "BTC-USD-261225-60000-C"}),
        ("*-261225", {"BTC-USD-261225"}),
        ("*-C", {"BTC-USD-261225-60000-C"}),
        ("ETH-*", set()),
    ],
)  # fmt: skip
def test_a_pattern_covers_whole_names(pattern: str, names: set[str]) -> None:
    """`*` stands for any characters, `?` for one; a perpetual is no spot market."""
    listed = ("BTC-USDT", "BTC-USD", "币安人生-USDT", "1INCH-USDT", "BTC-USDT-PERP",
              "BTC-USD-PERP", "BTC-USD-261225", "BTC-USD-261225-60000-C")  # fmt: skip
    assert {name for name in listed if MarketSelection(pattern).covers(name)} == names


@pytest.mark.parametrize(
    ("pattern", "products"),
    [
        ("*-USDT", {SPOT}),
        ("BTC-PERP-*", set(Product)),
        ("*-PERP", {LINEAR, INVERSE}),
        ("*-USD-PERP", {INVERSE}),
        ("*-USDT-261225", {LINEAR}),
        ("BTC-*-C", {OPTION}),
        ("*", set(Product)),
    ],
)
def test_a_pattern_says_in_which_lists_to_look(pattern: str, products: set[Product]) -> None:
    """The list of options, which is long, is asked for where options may be meant."""
    assert MarketSelection(pattern).products(SPOT) == products


def test_the_largest_are_chosen_and_stay_while_few_are_larger() -> None:
    """Two markets of about one size do not come and go with each list."""
    wanted = MarketSelection(top=5, quote="USDT")

    def chosen(volumes: dict[str, float], before: set[str]) -> list[str]:
        listed = [Candidate((f"{n}-USDT",), n, SPOT, v) for n, v in volumes.items()]
        listed.append(Candidate(("X-USDC",), "X", SPOT, 1e9))
        return sorted(each.symbol for _, each in choose(wanted, listed, SPOT, before))

    volumes = dict(zip("ABCDEFG", (9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0), strict=True))
    assert chosen(volumes, set()) == list("ABCDE")
    assert chosen({**volumes, "F": 5.5}, set("ABCDE")) == list("ABCDE")  # E is sixth
    assert chosen({**volumes, "F": 5.5, "G": 5.6}, set("ABCDE")) == list("ABCDG")  # and seventh


@given(
    volumes=st.lists(st.floats(0, 1e9), max_size=40),
    top=st.integers(1, 20),
    before=st.sets(st.integers(0, 40)),
)
def test_never_more_than_wanted_are_chosen(
    volumes: list[float], top: int, before: set[int]
) -> None:
    """And as many as there are room and markets for, whatever was followed before."""
    listed = [Candidate((f"A{n}-USDT",), f"A{n}", SPOT, v) for n, v in enumerate(volumes)]
    wanted = MarketSelection(top=top, quote="USDT")
    found = choose(wanted, listed, SPOT, {f"A{n}" for n in before})
    names = [name for name, _ in found]
    assert len(names) == len(set(names)) == min(top, len(volumes))
