"""How faults are read."""

from __future__ import annotations

import pytest

from exporter.simulator import scenario
from exporter.simulator.faults import FaultError, duration, read
from exporter.simulator.kinds import RULES, FaultKind

VENUES = ("binance", "okx")


@pytest.mark.parametrize("kind", list(FaultKind))
def test_each_kind_is_readable_with_defaults_and_by_its_own_spelling(kind: FaultKind) -> None:
    """Nothing but the kind is needed, and what the control API shows can be posted again."""
    fault = read({"fault": str(kind)}, VENUES)
    assert fault.kind is kind
    assert read(fault.as_json(), VENUES) == fault
    full = {name: param.default for name, param in RULES[kind].params.items()}
    assert read({"fault": str(kind), **full}, VENUES).params == full


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"fault": "mut"}, "fault: unknown 'mut'; did you mean 'mute'?"),
        ({}, "fault: missing; expected one of latency, "),
        ({"fault": "mute", "venue": "okex"}, "venue: unknown 'okex'; did you mean 'okx'?"),
        ({"fault": "mute", "chanel": "x"}, "key of mute: unknown 'chanel'; did you mean 'channel'"),
        ({"fault": "mute", "channel": "trade"}, "channel: unknown 'trade'; did you mean 'trades'?"),
        ({"fault": "error", "status": 200}, "status: expected 400 to 599, was 200"),
        ({"fault": "gap", "probability": 2}, "probability: expected 0 to 1, was 2"),
        ({"fault": "gap", "for": "soon"}, "for: expected seconds such as 10 or '10s', was 'soon'"),
        ({"fault": "malformed", "form": "nam"}, "form: unknown 'nam'; did you mean 'nan'?"),
        ({"fault": "forget", "for": 5}, "for: forget acts once"),
        ({"fault": "maintenance", "streams": 1}, "streams: expected true or false, was 1"),
        ({"fault": "clock_skew", "seconds": "-x"}, "seconds: expected -86400 to 86400, was '-x'"),
        ([], "expected a mapping such as {fault: mute}, was []"),
    ],
)
def test_a_wrong_fault_names_the_key_and_what_was_expected(entry: object, complaint: str) -> None:
    """Whoever mistypes is told where, what was expected, and the nearest right word."""
    with pytest.raises(FaultError) as caught:
        read(entry, VENUES)
    assert complaint in str(caught.value)


def test_durations_have_units() -> None:
    """Seconds are the default, and what is no duration is None."""
    assert [duration(v) for v in (3, "500ms", "10s", "2m", "1.5h", "4")] == [
        3,
        0.5,
        10,
        120,
        5400,
        4,
    ]
    wrong: list[object] = [-1, "s", "1d", True, None, [], float("nan")]
    assert [duration(v) for v in wrong] == [None] * 7


def test_a_scenario_is_a_list_of_faults() -> None:
    """Times, filters and parameters arrive; the committed example is readable."""
    text = "- {at: 10s, for: 30s, venue: okx, fault: mute, channel: trades}\n- fault: forget\n"
    mute, forget = scenario.load(text, "s.yml", VENUES)
    assert (mute.at, mute.duration, mute.channel) == (10, 30, "trades")
    assert forget.kind is FaultKind.FORGET
    assert scenario.load(f"faults:\n{text}", "s.yml", VENUES) == (mute, forget)


def test_a_scenario_reports_all_mistakes_with_their_lines() -> None:
    """One run shows everything that is wrong."""
    text = "- fault: mute\n- fault: mte\n- {fault: gap,\n   probability: 7}\n- 5\n"
    with pytest.raises(FaultError) as caught:
        scenario.load(text, "s.yml", VENUES)
    assert [complaint.split(": ")[0] for complaint in caught.value.complaints] == [
        "s.yml:2", "s.yml:3", "s.yml:5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [", "s.yml:1: "),
        ("faults: 3", "s.yml:1: expected a list of faults"),
        ("other: []", "s.yml:1: expected a list of faults, or one under the key faults"),
        ("", "s.yml:1: expected a list of faults"),
        ("- !!python/object:os.system {}", "s.yml:1: faults[0]: could not determine a constructor"),
        ("[" * 5000, "s.yml:"),
    ],
)
def test_a_scenario_that_is_none_is_refused(text: str, complaint: str) -> None:
    """Broken YAML, other shapes and foreign tags end in one clear line."""
    with pytest.raises(FaultError) as caught:
        scenario.load(text, "s.yml", VENUES)
    assert complaint in str(caught.value)
