"""Binance, spot, as its server."""

from __future__ import annotations

from exporter.simulator.families.binance import depth_weight
from exporter.simulator.families.binance_spot import spec
from exporter.simulator.kinds import FaultKind
from exporter.simulator.spec import Query, Route, dump
from exporter.simulator.venue_server import VenueServer


def _status(desk: VenueServer, query: Query) -> bytes:
    busy = desk.find(FaultKind.MAINTENANCE)
    return dump({"status": 1, "msg": "system_maintenance"} if busy
                 else {"status": 0, "msg": "normal"})  # fmt: skip


WIRE = spec(
    "binance",
    limit=6000,
    raw=300_000,  # since 2026-04-02, says the changelog
    depth_weight=depth_weight,
    more={"/sapi/v1/system/status": Route(answer=_status, always=True)},
)
