"""Binance, COIN-M futures, as its server: one address for all streams.

Source: traffic of dapi.binance.com and dstream.binance.com recorded in July 2021. Sizes are those
of the simulated market, and no whole contracts.
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.simulator.families import binance as family
from exporter.simulator.families.binance_contracts import contract, spec
from exporter.simulator.market import Pair
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import SimulatedFeed
from exporter.simulator.venue_server import VenueServer


def _symbol(instrument: str) -> str:
    base, quote, *expiry = instrument.split("-")
    return f"{base}{quote}_{expiry[0] if expiry else 'PERP'}"


def _row(desk: VenueServer, pair: Pair) -> Mapping[str, object]:
    one = pair.listing
    return {**contract(desk, pair, "contractStatus"), "pair": one.base + one.quote,
            "contractSize": 100, "marginAsset": one.base}  # fmt: skip


def _make(session: SimulatedSession, name: str) -> SimulatedFeed | None:
    return family.make(session.desk, name, session.path, futures=True)


WIRE = spec(
    "binance_coinm",
    "/dapi/v1",
    symbol=_symbol,
    lists=lambda instruments: tuple(
        dict.fromkeys(f"{one.partition('-')[0]}-USD" for one in instruments)
    ),
    row=_row,
    make=_make,
    sockets=lambda path: path in ("/ws", "/stream") or path.startswith("/ws/"),
)
