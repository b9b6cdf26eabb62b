"""Binance, USD-M futures, as its server."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.simulator.families import binance as family
from exporter.simulator.families.binance_contracts import contract, spec
from exporter.simulator.market import Pair
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import SimulatedFeed
from exporter.simulator.venue_server import VenueServer


def _row(desk: VenueServer, pair: Pair) -> Mapping[str, object]:
    one = pair.listing
    return {
        **contract(desk, pair, "status"),
        "pair": one.base + one.quote,
        "marginAsset": one.quote,
    }


def _make(session: SimulatedSession, name: str) -> SimulatedFeed | None:
    # Since 2026-04-23 a stream asked on the wrong one of the two paths stays silent.
    # Single trades are on the public one: so ccxt 4.5.90 asks for them (`get_future_ws_category`).
    public = "@bookTicker" in name or "@depth" in name or name.endswith("@trade")
    if public != session.path.startswith("/public/"):
        return None
    return family.make(session.desk, name, session.path, futures=True)


def _sockets(path: str) -> bool:
    _, _, rest = path.removeprefix("/").partition("/")
    route = path.split("/")[1] if path.count("/") > 1 else ""
    return route in ("public", "market") and (rest in ("ws", "stream") or rest.startswith("ws/"))


WIRE = spec(
    "binance_futures",
    "/fapi/v1",
    symbol=lambda instrument: "_".join(instrument.replace("-", "", 1).split("-")),
    lists=lambda instruments: instruments,
    row=_row,
    make=_make,
    sockets=_sockets,
)
