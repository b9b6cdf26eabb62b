"""Messages of kinds that a reader does not know: no errors, but never silent."""

from __future__ import annotations

import logging

import pytest

from exporter.metrics.registry import Registry
from exporter.streams.stream_state import StreamState


def test_each_kind_is_counted_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """A flood of made-up names fills neither the memory nor the log."""
    state = StreamState("acme/1", {}, Registry(), ("", ""))
    with caplog.at_level(logging.WARNING):
        for number in range(50):
            state.note_unknown(f"kind{number}")
            state.note_unknown("kind0")
    assert state.unknown["kind0"] == 51
    assert state.unknown["kind19"] == 1
    assert state.unknown["(others)"] == 30
    assert len(state.unknown) == 21
    lines = [each.getMessage() for each in caplog.records]
    assert lines[0] == "stream_kind_unknown stream=acme/1 kind='kind0'"
    assert len(lines) == 20
