"""Compared prices on the page."""

from __future__ import annotations

from exporter.exchange.price_meter import PriceMeter
from exporter.metrics.registry import Registry
from tests.metrics.test_registry import page

A, B = ("a", "BTC-USDT"), ("b", "BTC-USDT")


def test_what_cannot_be_said_is_absent() -> None:
    """A stale exchange has no line, a fresh one has its own; what comes back is shown again."""
    registry = Registry()
    meter = PriceMeter(registry)
    for _ in range(2):
        bites = meter.steps(
            (A, B),
            markets={A: "BTC-USDT-PERP"},
            consensus={"BTC-USDT": (100.0, 1)},
            deviation={A: -0.5},
            frozen={A: True},
            basis={("USD", "USDT"): -0.05},
        )
        list(bites)
        shown = dict(line.rsplit(" ", 1) for line in page(registry) if line[0] != "#")
        assert shown['exchange_consensus_price{symbol="BTC-USDT"}'] == "100.0"
        assert shown['exchange_consensus_venues{symbol="BTC-USDT"}'] == "1"
        assert shown['exchange_price_deviation_ratio{exchange="a",symbol="BTC-USDT"}'] == "-0.5"
        assert shown['exchange_price_frozen{exchange="a",symbol="BTC-USDT"}'] == "1"
        assert shown['exchange_quote_basis_ratio{base_quote="USD",quote="USDT"}'] == "-0.05"
        line = 'exchange_symbol_info{exchange="a",symbol="BTC-USDT",market="BTC-USDT-PERP"}'
        assert shown[line] == "1.0"
        assert not [line for line in shown if 'exchange="b"' in line]
        list(meter.steps((A, B), markets={}, consensus={}, deviation={}, frozen={}, basis={}))
        assert not [line for line in page(registry) if "symbol=" in line or "quote=" in line]


def test_what_is_no_longer_watched_leaves_the_registry() -> None:
    """After a reload no child of an exchange that is gone is kept."""
    registry = Registry()
    meter = PriceMeter(registry)
    list(meter.steps((A, B), markets={}, consensus={}, deviation={}, frozen={}, basis={}))
    before = registry.series
    list(meter.steps((A,), markets={}, consensus={}, deviation={}, frozen={}, basis={}))
    assert before - registry.series == 2
