"""Venues as their servers, whose readers are definitions: these can contradict them."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.simulator.more import bitget, gate
from exporter.simulator.spec import VenueSpec

WIRES: Mapping[str, VenueSpec] = {wire.name: wire for wire in (bitget.WIRE, gate.WIRE)}
