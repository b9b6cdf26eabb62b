"""A statuspage.io site for venues that announce maintenance there, under ``/statuspage``.

Source: the public API of statuspage.io ("Summary", "Status"), read on
confluence.status.atlassian.com/api, 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.simulator.faults import Fault
from exporter.simulator.kinds import FaultKind
from exporter.simulator.spec import Query, Route, dump, iso
from exporter.simulator.venue_server import VenueServer


def _page(desk: VenueServer) -> Mapping[str, str]:
    return {"id": f"sim{desk.wire.name}", "name": desk.wire.name, "url": "", "time_zone": "Etc/UTC",
            "updated_at": iso(desk.millis())}  # fmt: skip


def _said(desk: VenueServer) -> Mapping[str, str]:
    if desk.find(FaultKind.MAINTENANCE):
        return {"indicator": "maintenance", "description": "Service Under Maintenance"}
    if desk.find(FaultKind.INCIDENT):
        return {"indicator": "major", "description": "Partial System Outage"}
    return {"indicator": "none", "description": "All Systems Operational"}


def _maintenances(desk: VenueServer) -> list[Mapping[str, object]]:
    return [
        _row(desk, fault, begin, number)
        | {"status": "scheduled" if fault.kind is FaultKind.ANNOUNCED else "in_progress",
           "impact": "maintenance", "scheduled_for": iso(begin), "scheduled_until": iso(end)}
        for number, (fault, begin, end) in enumerate(desk.notices(), start=1)
        if fault.kind is not FaultKind.INCIDENT
    ]  # fmt: skip


def _incidents(desk: VenueServer) -> list[Mapping[str, object]]:
    return [
        _row(desk, fault, begin, number)
        | {"status": "investigating", "impact": "major", "started_at": iso(begin),
           "resolved_at": None}
        for number, (fault, begin, _) in enumerate(desk.notices(), start=1)
        if fault.kind is FaultKind.INCIDENT
    ]  # fmt: skip


def _row(desk: VenueServer, fault: Fault, begin: int, number: int) -> dict[str, object]:
    names = [name for name in fault.text("components").split(",") if name]
    ahead = fault.number("ahead") if fault.kind is FaultKind.ANNOUNCED else 0.0
    return {
        "id": f"simulated{number}",
        "name": fault.text("title"),
        "created_at": iso(begin - int(ahead * 1000)),
        "shortlink": f"https://stspg.io/simulated{number}",
        "incident_updates": [],
        "components": [{"name": name, "status": "major_outage"} for name in names],
    }


def _summary(desk: VenueServer, query: Query) -> bytes:
    return dump(
        {"page": _page(desk), "components": [], "status": _said(desk),
         "incidents": _incidents(desk), "scheduled_maintenances": _maintenances(desk)}
    )  # fmt: skip


ROUTES: Mapping[str, Route] = {
    "/statuspage/api/v2/status.json": Route(
        answer=lambda desk, query: dump({"page": _page(desk), "status": _said(desk)}), always=True
    ),
    "/statuspage/api/v2/summary.json": Route(answer=_summary, always=True),
}
