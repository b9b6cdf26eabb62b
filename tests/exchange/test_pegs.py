"""What assets are worth in others, by whatever markets tell of it."""

from __future__ import annotations

import pytest

from exporter import config as settings
from exporter import venues
from exporter.exchange.consensus import Consensus
from exporter.exchange.pegs import Pegs, worth
from exporter.metrics.registry import Registry
from tests.metrics.test_registry import page


@pytest.mark.parametrize(
    ("prices", "ratio"),
    [
        ({("USDE", "USDT"): 0.65}, 0.65),
        ({("USDT", "USDE"): 2.0}, 0.5),
        ({("USDE", "USD"): 0.99, ("USDT", "USD"): 1.1}, 0.9),
        ({("BTC", "USDT"): 90_000.0, ("BTC", "USDE"): 100_000.0}, 0.9),
        ({("USDE", "USDT"): 0.9, ("BTC", "USDT"): 98.0, ("BTC", "USDE"): 100.0,
          ("ETH", "USDT"): 9.9, ("ETH", "USDE"): 10.0}, 0.98),
        ({("BTC", "USDT"): 98.0, ("ETH", "USDE"): 10.0}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_every_market_that_tells_counts(
    prices: dict[tuple[str, str], float], ratio: float | None
) -> None:
    """The pair itself in either direction, a quote in common, a base in common; else nothing."""
    found = worth(prices, [("USDE", "USDT")])
    assert found == ({} if ratio is None else {("USDE", "USDT"): pytest.approx(ratio)})


def test_a_peg_is_shown_with_its_bounds_and_leaves_when_nothing_tells() -> None:
    """Contracts on the asset are no spot, and tell nothing."""
    registry = Registry()
    peg = settings.PegConfig(asset="WBETH", against="ETH", low=1.05, high=1.12)
    pegs = Pegs([peg], registry)

    def shown() -> dict[str, str]:
        lines = (line for line in page(registry) if line.startswith("exchange_peg_"))
        return dict(line.rsplit(" ", 1) for line in lines)

    labels = 'asset="WBETH",against="ETH"'
    bounds = {
        f'exchange_peg_bound_ratio{{{labels},bound="lower"}}': "1.05",
        f'exchange_peg_bound_ratio{{{labels},bound="upper"}}': "1.12",
    }
    pegs.update({"WBETH-ETH-PERP": Consensus(9.0, 3)})
    assert shown() == bounds
    pegs.update({"WBETH-ETH": Consensus(1.08, 3)})
    assert shown() == {**bounds, f"exchange_peg_ratio{{{labels}}}": "1.08"}
    pegs.update({})
    assert shown() == bounds


@pytest.mark.parametrize(
    ("peg", "wrong"),
    [
        ("{asset: A, against: B, low: 2, high: 1}", "high: found 1, expected more than low, 2"),
        ("{asset: A, against: A, low: 1, high: 2}", 'against: found "A"'),
        ("{asset: A, against: B, low: 0, high: 2}", "low: found 0"),
    ],
)
def test_a_peg_that_cannot_hold_is_refused(peg: str, wrong: str) -> None:
    """Bounds in the wrong order, and an asset against itself, with their place."""
    text = f"exchanges: [{{venue: okx, symbols: [BTC-USDT]}}]\npegs: [{peg}]"
    with pytest.raises(settings.ConfigError) as refused:
        settings.read(text, "t.yml", venues.choices(), venues.load)
    assert f"pegs[0].{wrong}" in str(refused.value)
