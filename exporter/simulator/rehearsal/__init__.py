"""Fault rehearsal: make a simulated exchange misbehave, and see which alerts reach a person."""

from exporter.simulator.rehearsal.healthy import Spell, clock, healthy, kept, text
from exporter.simulator.rehearsal.judge import Result, await_quiet, rehearse
from exporter.simulator.rehearsal.scenarios import Plan, Scenario, load
from exporter.simulator.rehearsal.stage import RehearsalStage, given, own
from exporter.simulator.rehearsal.talk import RehearsalError

__all__ = [
    "Plan",
    "RehearsalError",
    "RehearsalStage",
    "Result",
    "Scenario",
    "Spell",
    "await_quiet",
    "clock",
    "given",
    "healthy",
    "kept",
    "load",
    "own",
    "rehearse",
    "text",
]
