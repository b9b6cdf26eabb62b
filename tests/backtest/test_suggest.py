"""What a calm capture's alarms ask to be set."""

import numpy as np
import pytest

from exporter import config as settings
from exporter import venues
from exporter.anomaly.sampling import SIGNALS
from exporter.backtest.backtest import BacktestSettings, Subject, judge
from exporter.backtest.labelled import Labelled
from exporter.backtest.suggest import suggest
from exporter.runtime.anomalies import _signals

SPREAD = next(signal for signal in SIGNALS if signal.name == "spread")


def _suggested(height: float) -> str:
    values = np.random.default_rng(1).normal(0.002, 0.00002, 3000)
    values[2000:2060] += height
    series = Labelled(name="x", times=np.arange(3000.0), values=values, windows=None)
    subject = Subject(series=series, exchange="x", signal=SPREAD)
    return suggest(judge([subject], BacktestSettings()), SIGNALS)


def test_nothing_is_proposed_where_nothing_alarmed() -> None:
    """Calm days ask for no change."""
    assert _suggested(0.0).startswith("# no alarm")


@pytest.mark.parametrize(("height", "key"), [(0.0015, "minimum_effect"), (0.02, "sensitivity")])
def test_a_proposal_is_valid_and_would_have_kept_calm(height: float, key: str) -> None:
    """Small departures raise the smallest effect, large ones lower the sensitivity."""
    text = _suggested(height)
    assert key in text
    exchange = "exchanges: [{venue: okx, symbols: [BTC-USDT]}]\n"
    config = settings.read(exchange + text, "test", venues.names(), venues.load)
    (spread,) = (one for one in _signals(config.anomaly.signals) if one.name == "spread")
    values = np.random.default_rng(1).normal(0.002, 0.00002, 3000)
    values[2000:2060] += height
    series = Labelled(name="x", times=np.arange(3000.0), values=values, windows=None)
    subject = Subject(series=series, exchange="x", signal=spread)
    (outcome,) = judge([subject], BacktestSettings())
    assert outcome.alarms == ()


def test_a_signal_that_is_off_is_not_judged() -> None:
    """`enabled: false` takes a signal out; every name that the config knows is one."""
    exchange = "exchanges: [{venue: okx, symbols: [BTC-USDT]}]\n"
    text = exchange + "anomaly: {signals: {spread: {enabled: false}}}"
    config = settings.read(text, "test", venues.names(), venues.load)
    assert {one.name for one in SIGNALS} - {
        one.name for one in _signals(config.anomaly.signals)
    } == {"spread"}
    for signal in SIGNALS:
        known = text.replace("spread", signal.name)
        assert settings.read(known, "test", venues.names(), venues.load)


def test_an_exchange_may_say_otherwise() -> None:
    """What an exchange says of a signal stands in place of what is said for all."""
    text = """
        exchanges: [{venue: okx, symbols: [BTC-USDT], signals: {spread: {minimum_effect: 0.5}}}]
        anomaly: {signals: {spread: {sensitivity: 2}, loop_lag: {enabled: false}}}"""
    config = settings.read(text, "test", venues.names(), venues.load)
    own = _signals({**config.anomaly.signals, **config.exchanges[0].signals})
    (spread,) = (one for one in own if one.name == "spread")
    assert (spread.effect, spread.sensitivity) == (0.5, 1.0)
    assert "loop_lag" not in {one.name for one in own}
