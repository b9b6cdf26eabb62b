"""Binance.US as its server: Binance's spot protocol with limits of its own, and no system status.

Source: its documents of 2023-09: 1,200 weight a minute, 5 messages a second; a depth of 1,000
levels weighs 10.
"""

from __future__ import annotations

from exporter.simulator.families.binance_spot import spec
from exporter.simulator.spec import Query


def _depth_weight(query: Query) -> int:
    limit = int(query["limit"]) if query.get("limit", "").isdecimal() else 100
    return 1 if limit <= 100 else 5 if limit <= 500 else 10 if limit <= 1000 else 50


WIRE = spec("binance_us", limit=1200, raw=61_000, depth_weight=_depth_weight, more={})
