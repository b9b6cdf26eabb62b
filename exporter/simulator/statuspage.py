"""A statuspage.io site for venues that announce maintenance there, under ``/statuspage``.

Source: the public API of statuspage.io (status, scheduled maintenances, incidents), read 2026-10.
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.simulator.kinds import FaultKind
from exporter.simulator.spec import Query, Route, dump, iso
from exporter.simulator.venue_server import VenueServer


def _page(desk: VenueServer) -> Mapping[str, str]:
    return {"id": f"sim{desk.wire.name}", "name": desk.wire.name, "url": "", "time_zone": "Etc/UTC",
            "updated_at": iso(desk.millis())}  # fmt: skip


def _status(desk: VenueServer, query: Query) -> bytes:
    busy = desk.find(FaultKind.MAINTENANCE)
    status = (
        {"indicator": "maintenance", "description": "Service Under Maintenance"}
        if busy
        else {"indicator": "none", "description": "All Systems Operational"}
    )
    return dump({"page": _page(desk), "status": status})


def _maintenances(desk: VenueServer, query: Query) -> bytes:
    maintenance = desk.maintenance()
    rows = []
    if maintenance is not None:
        fault, begin, end = maintenance
        rows.append(
            {"id": "simulated1", "name": fault.text("title"), "status": "in_progress",
             "impact": "maintenance", "scheduled_for": iso(begin), "scheduled_until": iso(end),
             "incident_updates": [], "components": []}
        )  # fmt: skip
    return dump({"page": _page(desk), "scheduled_maintenances": rows})


ROUTES: Mapping[str, Route] = {
    "/statuspage/api/v2/status.json": Route(answer=_status, always=True),
    "/statuspage/api/v2/scheduled-maintenances.json": Route(answer=_maintenances, always=True),
    "/statuspage/api/v2/scheduled-maintenances/active.json": Route(
        answer=_maintenances, always=True
    ),
    "/statuspage/api/v2/incidents.json": Route(
        answer=lambda desk, query: dump({"page": _page(desk), "incidents": []}), always=True
    ),
}
