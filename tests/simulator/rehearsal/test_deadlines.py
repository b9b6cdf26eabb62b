"""The rehearsal's own file of deadlines: as an exporter reads it, and only where one follows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.deadlines.document import (
    PROJECT_KEY,
    RejectedFileError,
    Rejection,
    decoded_key,
    read,
    shipped,
)
from exporter.simulator.rehearsal import RehearsalError, RehearsalStage, load, rehearse
from exporter.simulator.rehearsal.deadlines import SignedDeadlines
from exporter.venues import load as venue
from tests.alert_rules.rules import FOLDER

_DAY = 86_400.0


def test_an_end_is_announced_and_moved_away(tmp_path: Path) -> None:
    """The file is good by its key alone, newer than the shipped, and of a path that is asked."""
    made = SignedDeadlines(tmp_path / "deadlines.yml")
    key = decoded_key(made.config["public_key"])
    assert read(made.file.read_bytes(), key).deadlines == ()
    made.announce(4)
    found = read(made.file.read_bytes(), key)
    assert found.issued >= shipped().issued
    (end,) = found.deadlines
    assert 2 * _DAY < end.at - found.issued <= 4 * _DAY
    assert end.what in {each.path for each in venue(end.venue).endpoints}
    with pytest.raises(RejectedFileError) as refused:
        read(made.file.read_bytes(), decoded_key(PROJECT_KEY))
    assert refused.value.reason is Rejection.SIGNATURE
    made.announce(None)
    assert read(made.file.read_bytes(), key).deadlines == ()


def test_a_staging_environment_is_told_why_it_cannot() -> None:
    """Exporters that follow another file are never waited for."""
    scenario = load(FOLDER / "rehearsals" / "exchanges.yml").scenarios["ExchangeApiDeadline"]
    assert scenario.cause == "an API's end in 4 days"
    nowhere = "http://127.0.0.1:1"
    stage = RehearsalStage(
        prometheus=nowhere, alertmanager=nowhere, simulator=nowhere, venues=("okx",), told=None
    )
    with pytest.raises(RehearsalError, match="programs of its own"):
        rehearse(stage, scenario, 1.0, lambda _: None)
