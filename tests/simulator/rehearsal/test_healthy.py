"""Healthy traffic: its noise, and what may fire in it."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from exporter.simulator.faults import read
from exporter.simulator.rehearsal import Spell, kept, text
from exporter.simulator.rehearsal.healthy import clock, noise

VENUES = ("binance", "okx")
LENGTH = 7200.0


def spell(severity: str) -> Spell:
    """An alert that fired."""
    labels = {"alertname": "A", "severity": severity, "exchange": "okx", "job": "j"}
    return Spell(alert="A", severity=severity, labels=labels, start=1.0, end=None)


def test_the_simulator_takes_the_noise_and_a_seed_repeats_it() -> None:
    """Each disturbance is one the simulator knows; the same seed gives the same two hours."""
    made = noise(3, VENUES, LENGTH)
    assert [str(read(fault, VENUES).kind) for fault in made] == [fault["fault"] for fault in made]
    assert made == noise(3, VENUES, LENGTH)
    assert made != noise(4, VENUES, LENGTH)


@pytest.mark.parametrize("seed", range(1, 6))
def test_every_exchange_gets_every_kind_of_noise(seed: int) -> None:
    """Late answers, lost connections, failed requests, a skewed clock, and one planned end each."""
    made = noise(seed, VENUES, LENGTH)
    for venue in VENUES:
        own = [fault for fault in made if fault["venue"] == venue]
        kinds = Counter(str(fault["fault"]) for fault in own)
        assert kinds["latency"] >= 2
        assert kinds["error"] == kinds["timeout"] == kinds["clock_skew"] == 1
        planned = [fault for fault in own if "notice" in fault]
        assert len(planned) == 1
        assert 0 < planned[0]["at"] < LENGTH
        assert all(0 <= fault.get("at", 0.0) < LENGTH for fault in own)
    assert {"quiet", "disconnect"} <= {fault["fault"] for fault in made}


def test_latency_is_there_all_the_time_and_one_at_a_time() -> None:
    """Calm and busy spells follow each other without a hole and without an overlap."""
    for kind in ("endpoint", "channel"):
        spans = [
            (fault["at"], fault["at"] + fault["for"])
            for fault in noise(1, ("okx",), LENGTH)
            if fault["fault"] == "latency" and kind in fault
        ]
        assert spans[0][0] == 0.0
        assert spans[-1][1] >= LENGTH
        for (_, end), (start, _) in pairwise(spans):
            assert start == pytest.approx(end)


@pytest.mark.parametrize(
    ("severities", "expected"),
    [
        ([], True),
        (["info", "none", "info"], True),
        (["warning", "info"], True),
        (["warning", "warning"], False),
        (["critical"], False),
    ],
)
def test_the_promise_is_nothing_critical_and_at_most_one_warning(
    severities: list[str], expected: bool
) -> None:
    """Notes do not count; a second warning or anything critical breaks it."""
    assert kept([spell(severity) for severity in severities]) is expected


def test_a_spell_reads_well() -> None:
    """Severity and name first, then what tells it from others; times by the clock."""
    assert text(spell("warning")) == "warning A {exchange=okx}"
    assert clock(3725.4) == "1:02:05"
