"""Venues as their servers, whose readers are definitions: these can contradict them."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.simulator.more import bitget, deribit, gate, hyperliquid
from exporter.simulator.spec import VenueSpec

WIRES: Mapping[str, VenueSpec] = {
    wire.name: wire for wire in (bitget.WIRE, deribit.WIRE, gate.WIRE, hyperliquid.WIRE)
}
