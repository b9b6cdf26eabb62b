"""Fault rehearsal: make a simulated exchange misbehave, and see which alerts reach a person."""

from exporter.app.rehearsal.judge import Result, await_quiet, rehearse
from exporter.app.rehearsal.scenarios import Plan, Scenario, load
from exporter.app.rehearsal.stage import Stage, given, own
from exporter.app.rehearsal.talk import RehearsalError

__all__ = [
    "Plan",
    "RehearsalError",
    "Result",
    "Scenario",
    "Stage",
    "await_quiet",
    "given",
    "load",
    "own",
    "rehearse",
]
