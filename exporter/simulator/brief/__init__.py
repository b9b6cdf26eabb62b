"""Venues as their servers in short: enough to be watched, without limits and faults of their own.

Source: as the files of `exporter.venues` say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exporter.simulator.brief import bitfinex, bitmex, coinbase_advanced, mexc
from exporter.simulator.spec import VenueSpec

SPECS: Mapping[str, Callable[[], VenueSpec]] = {
    "bitfinex": bitfinex.spec,
    "bitmex": bitmex.spec,
    "coinbase_advanced": coinbase_advanced.spec,
    "mexc": mexc.spec,
}
