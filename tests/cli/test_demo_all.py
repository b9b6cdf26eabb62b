"""The demo with all exchanges: its config is valid, and names markets that are simulated."""

from __future__ import annotations

from exporter import config as settings
from exporter import venues
from exporter.cli import demo
from exporter.simulator import venues as simulated


def test_all_exchanges_can_be_watched_at_once() -> None:
    """At least 25, each by symbols that its simulated market lists."""
    places = {name: f"http://127.0.0.1:9/{name}" for name in simulated.every()}
    config = settings.read(demo.document(places), "demo", venues.choices(), venues.load)
    assert len(config.exchanges) >= 25
    for exchange in config.exchanges:
        there = simulated.load(exchange.venue).lists(demo.SYMBOLS)
        assert set(exchange.symbols) <= set(there), exchange.name
