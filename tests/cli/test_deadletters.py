"""What `deadletters replay` says of letters of each kind."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import pytest

from exporter import venues
from exporter.cli import deadletters as command
from exporter.flow import dead_letters
from exporter.flow.dead_letters import DeadLetter
from exporter.model import Event

TRADE = b"""{"e":"trade","E":1700000000000,"s":"BTCUSDT","t":1,"p":"1.0","q":"1.0",\
"T":1700000000000,"m":true,"M":true}"""


def replayed(folder: Path, *frames: bytes, venue: str = "binance", flags: str = "") -> int:
    out = dead_letters.writer(folder / "deadletters")
    for number, frame in enumerate(frames):
        letter = DeadLetter(time=float(number), exchange="acme", venue=venue, stream="market",
                        reason="wrong", frame=frame, size=len(frame))  # fmt: skip
        out.append(dead_letters.encode(letter))
    out.close()
    parser = ArgumentParser()
    command.arguments(parser)
    return command.run(parser.parse_args(["replay", f"--storage.path={folder}", *flags.split()]))


def test_what_is_understood_now_is_told_from_what_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a letter and a sum; the exit status says whether any is still unreadable."""
    assert replayed(tmp_path, TRADE, b"{") == command.UNREADABLE
    said = capsys.readouterr().out
    assert ("read: Trade" in said, "1 read, 1 still unreadable" in said) == (True, True)


def test_a_bug_of_a_reader_ends_no_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame may be here because it makes the reader fail in a way that nobody thought of."""
    venue = venues.load("binance")

    def parse(frame: bytes) -> tuple[Event, ...]:
        return venue.parse(frame) if frame == TRADE else (() * (1 // 0))

    monkeypatch.setattr(venues, "load", lambda name: replace(venue, parse=parse))
    assert replayed(tmp_path, b"{}", TRADE) == command.UNREADABLE
    said = capsys.readouterr().out
    assert "a bug, ZeroDivisionError" in said
    assert "1 read, 1 still unreadable" in said


def test_a_venue_of_one_s_own_reads_its_letters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A letter of a defined venue is read by the definition, where the folder is named."""
    frame = b"""{"topic":"trades.X","data":[{"p":"1.5","q":2,"s":"b","t":1600000000250,"n":7}]}"""
    definitions = Path(__file__).parents[1] / "venues" / "definitions"
    assert replayed(tmp_path, frame, venue="acme", flags=f"--venues.dir={definitions}") == 0
    assert "read: Trade" in capsys.readouterr().out
    assert replayed(tmp_path / "other", frame, venue="acme") == command.UNREADABLE
    assert "no venue acme; --venues.dir names" in capsys.readouterr().out
