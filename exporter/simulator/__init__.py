"""Venues that misbehave on command, over real sockets."""

from __future__ import annotations

from exporter.simulator.faults import Fault, FaultError
from exporter.simulator.service import Simulator

__all__ = ["Fault", "FaultError", "Simulator"]
