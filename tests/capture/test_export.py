"""A capture as CSV: every event, in order, each value as it was."""

from __future__ import annotations

import argparse
import csv
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.capture import export, replay
from exporter.capture.codec import Decoder, Encoder
from exporter.capture.layouts import KIND_OF
from exporter.capture.rows import Row
from exporter.cli import export as command
from exporter.flow.segments import Writer
from exporter.model import Depth, Kline, Quote, Side, Trade
from tests.capture.rows import ROWS

FILES: dict[type[Any], str] = {Trade: "trades", Quote: "quotes", Depth: "book", Kline: "klines"}


def expected(rows: list[Row]) -> dict[str, list[list[str]]]:
    """Return the lines of each file, worked out an event at a time."""
    found: dict[str, list[list[str]]] = {}
    for row in rows:
        event: Any = row.event
        if type(event) not in FILES:
            continue
        lines = found.setdefault(f"{FILES[type(event)]}.csv", [])
        names = export.header(KIND_OF[type(event)])
        plain: dict[str, Any] = {name: getattr(event, name) for name in event.__struct_fields__}
        plain |= {"received": row.received, "exchange": row.exchange}
        if type(event) is not Depth:
            lines.append([_text(plain[name]) for name in names])
            continue
        bids, asks = plain["levels"]
        for side, levels in (("bid", bids), ("ask", asks)):
            for price, size in levels:
                plain |= {"side": side, "price": price, "size": size}
                lines.append([_text(plain[name]) for name in names])
    return {name: lines for name, lines in found.items() if lines}


def _text(value: object) -> str:
    value = value.name.lower() if isinstance(value, Side) else value
    text = "" if value is None else repr(value) if isinstance(value, float) else str(value)
    return text.encode(errors="backslashreplace").decode()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(ROWS, max_size=6), max_size=2))
def test_every_event_is_a_line(batches: list[list[Row]]) -> None:
    """Each event of each kind, in the order in which it came, its numbers to the last bit."""
    encoder, decoder = Encoder(), Decoder()
    blocks = [decoder.decode(encoder.encode(rows)) for rows in batches]
    with TemporaryDirectory() as name:
        counts = export.write(blocks, Path(name))
        lines = {
            each: list(csv.reader(StringIO((Path(name) / each).read_bytes().decode(), newline="")))
            for each in counts
        }
    rows = [row for batch in batches for row in batch]
    assert {each: found[1:] for each, found in lines.items()} == expected(rows)
    assert counts == {each: len(found) for each, found in expected(rows).items()}


def test_the_command_names_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a file; a path that is no capture is an error of one line."""
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    row = Row(1.5, "acme", Trade("trade", "t", "BTCUSDT", 1.25, 64000.5, 0.25, sequence=7))
    capture = tmp_path / "capture"
    writer = Writer(capture, replay.CONTENT)
    writer.append(Encoder().encode([row]))
    writer.close()
    out = tmp_path / "csv"
    assert command.run(parser.parse_args([str(capture), f"--out={out}"])) == 0
    assert capsys.readouterr().out == f"{out / 'trades.csv'}: 1 lines\n"
    heading, line = (out / "trades.csv").read_text().splitlines()
    assert heading.startswith("received,exchange,label,topic,symbol,time,price,size,side")
    assert line.startswith("1.5,acme,trade,t,BTCUSDT,1.25,64000.5,0.25,,")
    assert command.run(parser.parse_args([str(tmp_path / "none"), f"--out={out}"])) == 1
    assert "none" in capsys.readouterr().err
