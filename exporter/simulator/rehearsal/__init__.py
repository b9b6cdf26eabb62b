"""Fault rehearsal: make a simulated exchange misbehave, and see which alerts reach a person."""

from exporter.simulator.rehearsal.healthy import Spell, clock, healthy, kept, text
from exporter.simulator.rehearsal.judge import Result, await_quiet, rehearse
from exporter.simulator.rehearsal.scenarios import Plan, Scenario, load
from exporter.simulator.rehearsal.stage import Place, RehearsalStage, at_sites, given, own
from exporter.simulator.rehearsal.talk import RehearsalError

__all__ = [
    "Place",
    "Plan",
    "RehearsalError",
    "RehearsalStage",
    "Result",
    "Scenario",
    "Spell",
    "at_sites",
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
