"""The shipped rehearsals: complete, and in the simulator's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.simulator import venues
from exporter.simulator.faults import read
from exporter.simulator.rehearsal import RehearsalError, load
from tests.alert_rules.rules import FOLDER, alerts

FILE = FOLDER / "rehearsals" / "exchanges.yml"


def test_every_alert_has_a_rehearsal_or_a_reason() -> None:
    """An alert that nobody has seen fire is known as such."""
    plan = load(FILE)
    assert set(plan.scenarios) | set(plan.left_out) == {alert.name for alert in alerts()}
    assert not set(plan.scenarios) & set(plan.left_out)
    assert all(plan.left_out.values())


def test_every_rehearsal_has_a_row_of_results() -> None:
    """The table of the docs has each alert that can be rehearsed, once, and no other."""
    page = (FOLDER.parent / "docs" / "rehearsal.md").read_text()
    table = page[page.rindex("| alert | fired after |") :]
    rows = re.findall(r"^\| (Exchange\w+)", table, re.MULTILINE)
    assert sorted(rows) == sorted(load(FILE).scenarios)


def test_every_fault_is_one_of_the_simulator() -> None:
    """Each fault is taken, with each of its parameters."""
    for scenario in load(FILE).scenarios.values():
        for fault in scenario.faults:
            assert str(read(fault, venues.names()).kind) == fault["fault"]


def test_companions_are_alerts_with_a_reason() -> None:
    """What may be told beside an alert exists, and the file says why it may."""
    names = {alert.name for alert in alerts()}
    for scenario in load(FILE).scenarios.values():
        assert set(scenario.companions) <= names - {scenario.alert}
        assert all(isinstance(why, str) and why for why in scenario.companions.values())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "expected the keys rehearsals and left_out"),
        ("{rehearsals: {A: []}, left_out: {}}", "rehearsals.A: expected a mapping"),
        ("{rehearsals: {A: {faults: [], until: 3}}, left_out: {}}", "unknown 'until'"),
        (
            "{rehearsals: {A: {faults: [], within: -3}}, left_out: {}}",
            "A.within: expected a number",
        ),
        ("{rehearsals: {A: {faults: [], ready: 3}}, left_out: {}}", "A.ready: expected a PromQL"),
        ("{", "while parsing"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    """A file that cannot be used is refused with the place and what is wrong there."""
    file = tmp_path / "exchanges.yml"
    file.write_text(text)
    with pytest.raises(RehearsalError, match=complaint):
        load(file)
