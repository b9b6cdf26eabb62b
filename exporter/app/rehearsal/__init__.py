"""Fault rehearsal: make a simulated exchange misbehave, and see which alerts reach a person."""

from exporter.app.rehearsal.judge import Result, rehearse
from exporter.app.rehearsal.scenarios import Plan, Scenario, load
from exporter.app.rehearsal.stage import Stage, given, own
from exporter.app.rehearsal.talk import RehearsalError

__all__ = [
    "Plan",
    "RehearsalError",
    "Result",
    "Scenario",
    "Stage",
    "given",
    "load",
    "own",
    "rehearse",
]
