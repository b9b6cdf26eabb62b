"""Symbols without series of their own: one series for all of them."""

from __future__ import annotations

import pytest

from exporter.metrics.families.declare import counter, gauge, histogram
from exporter.metrics.registry import Registry

_GAPS = counter("exchange_gaps_total", "Gaps.", "exchange", "symbol")
_LAST = gauge("exchange_last_timestamp_seconds", "Time.", "exchange", "symbol", fold="min")
_PRICE = gauge("exchange_price", "Price.", "exchange", "symbol")
_OFF = gauge("exchange_off_ratio", "How far.", "exchange", "symbol", fold="farthest")
_MODE = gauge("exchange_mode", "1.", "exchange", "symbol", "mode", fold="max")
_MEDIAN = gauge("exchange_median", "Price of all.", "symbol")


def _lines(registry: Registry, name: str) -> list[str]:
    tables = {each.family.name: each for each in registry.tables()}
    if name not in tables:
        return []
    text = "".join(each.text() for each in tables[name].children.values())
    return sorted(text.splitlines())


def _filled(limit: int | None) -> Registry:
    registry = Registry(symbols=limit)
    for number, symbol in enumerate(("A-B", "C-D", "E-F"), 1):
        registry.counter(_GAPS, "okx", symbol).inc(number)
        registry.gauge(_LAST, "okx", symbol).set(10.0 * number)
        registry.gauge(_PRICE, "okx", symbol).set(number)
        registry.gauge(_MEDIAN, symbol).set(number)
    return registry


def test_the_first_symbols_have_their_own() -> None:
    """Counters of the others are added up, gauges say the least; prices mean nothing together."""
    registry = _filled(1)
    assert _lines(registry, _GAPS.name) == [
        'exchange_gaps_total{exchange="okx",symbol="A-B"} 1',
        'exchange_gaps_total{exchange="okx",symbol="other"} 5',
    ]
    assert _lines(registry, _LAST.name) == [
        'exchange_last_timestamp_seconds{exchange="okx",symbol="A-B"} 10.0',
        'exchange_last_timestamp_seconds{exchange="okx",symbol="other"} 20.0',
    ]
    assert _lines(registry, _PRICE.name) == ['exchange_price{exchange="okx",symbol="A-B"} 1']
    assert _lines(registry, _MEDIAN.name) == ['exchange_median{symbol="A-B"} 1']


@pytest.mark.parametrize(("limit", "series"), [(None, 12), (3, 12), (2, 10), (1, 6), (0, 2)])
def test_series_are_counted_as_published(limit: int | None, series: int) -> None:
    """What is folded takes one place of the limit."""
    registry = _filled(limit)
    names = (_GAPS.name, _LAST.name, _PRICE.name, _MEDIAN.name)
    assert sum(len(_lines(registry, name)) for name in names) == series
    assert registry.series == _filled(0).series - 2 + series


def test_a_symbol_that_goes_leaves_its_place() -> None:
    """A counter keeps what was counted; the next symbol to come has series of its own."""
    registry = Registry(symbols=1)
    scopes = {symbol: registry.scope() for symbol in ("A-B", "C-D", "E-F")}
    for symbol, scope in scopes.items():
        scope.counter(_GAPS, "okx", symbol).inc(2)
        scope.gauge(_LAST, "okx", symbol).set(1.0)
    scopes["C-D"].close()
    other = 'exchange_gaps_total{exchange="okx",symbol="other"}'
    assert f"{other} 4" in _lines(registry, _GAPS.name)
    scopes["E-F"].close()
    assert not any("other" in each for each in _lines(registry, _GAPS.name))
    scopes["A-B"].close()
    registry.counter(_GAPS, "okx", "G-H")
    assert _lines(registry, _GAPS.name) == ['exchange_gaps_total{exchange="okx",symbol="G-H"} 0']


def test_two_that_hold_one_symbol_move_one_number() -> None:
    """As where it has a series of its own."""
    registry = Registry(symbols=0)
    first, second = registry.scope(), registry.scope()
    child = first.gauge(_LAST, "okx", "A-B")
    assert second.gauge(_LAST, "okx", "A-B") is child
    child.set(3.0)
    first.close()
    assert _lines(registry, _LAST.name)
    second.close()
    assert not _lines(registry, _LAST.name)


def test_the_limit_of_series_holds() -> None:
    """A folded series that finds no room is refused and counted as any other."""
    registry = Registry(series_limit=3, symbols=0)
    registry.counter(_GAPS, "okx", "A-B").inc()
    assert not _lines(registry, _GAPS.name)
    dropped = "exchange_exporter_series_dropped_total"
    assert any(
        "exchange_gaps_total" in each and each.endswith("1") for each in _lines(registry, dropped)
    )


def test_no_histogram_of_symbols() -> None:
    """It would be the dearest of all, and cannot be folded."""
    with pytest.raises(ValueError, match="too much"):
        Registry().histogram(histogram("exchange_a_seconds", "A.", (1.0,), "symbol"), "A-B")


def test_the_farthest_from_zero_stands_for_the_others() -> None:
    """On either side, and nothing while nothing is known of any."""
    registry = Registry(symbols=1)
    for symbol, value in (("A-B", 0.5), ("C-D", 0.001), ("E-F", -0.04), ("G-H", None)):
        registry.gauge(_OFF, "okx", symbol).set(value)
    other = 'exchange_off_ratio{exchange="okx",symbol="other"} '
    assert _lines(registry, _OFF.name)[1:] == [f"{other}-0.04"]
    registry.gauge(_OFF, "okx", "E-F").set(None)
    assert _lines(registry, _OFF.name)[1:] == [f"{other}0.001"]
    registry.gauge(_OFF, "okx", "C-D").set(None)
    assert _lines(registry, _OFF.name)[1:] == []


def test_each_mode_of_the_others_is_there_as_long_as_one_has_it() -> None:
    """A halted market among those without series is not hidden by one that is traded."""
    registry = Registry(symbols=1)
    other = 'exchange_mode{exchange="okx",symbol="other",mode='
    for symbol, mode in (("A-B", "trading"), ("C-D", "trading"), ("E-F", "halted")):
        registry.gauge(_MODE, "okx", symbol, mode).set(1)
    assert _lines(registry, _MODE.name)[1:] == [f'{other}"halted"}} 1', f'{other}"trading"}} 1']
    registry.remove(_MODE, "okx", "E-F", "halted")
    assert _lines(registry, _MODE.name)[1:] == [f'{other}"trading"}} 1']
