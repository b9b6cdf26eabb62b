"""Fault rehearsal: make a simulated exchange misbehave, and see which alerts reach a person."""

from exporter.app.rehearsal.healthy import Spell, clock, healthy, kept, text
from exporter.app.rehearsal.judge import Result, await_quiet, rehearse
from exporter.app.rehearsal.scenarios import Plan, Scenario, load
from exporter.app.rehearsal.stage import Stage, given, own
from exporter.app.rehearsal.talk import RehearsalError

__all__ = [
    "Plan",
    "RehearsalError",
    "Result",
    "Scenario",
    "Spell",
    "Stage",
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
