"""Scores of labelled series and captures, as the command line gives them."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter.capture import replay
from exporter.capture.codec import Encoder, Row
from exporter.cli import backtest
from exporter.flow.segments import Writer
from tests.capture.test_playback import NOW, trade, trades

ONSET, LASTS = 600, 100


def _command(*flags: str | Path) -> int:
    parser = ArgumentParser()
    backtest.arguments(parser)
    return backtest.run(parser.parse_args([str(flag) for flag in flags]))


def _json(capsys: pytest.CaptureFixture[str], *flags: str | Path) -> Any:
    assert _command("--json", *flags) == 0
    return json.loads(capsys.readouterr().out)


def _latency(path: Path, *, labelled: bool, stamp: str = "{}") -> Path:
    """Write 50 ms that once step up for a while, and once more that nobody has labelled."""
    chance = np.random.default_rng(7)
    values = 0.05 * np.exp(chance.normal(scale=0.1, size=1500))
    values[ONSET : ONSET + LASTS] += 0.5
    values[1200:1230] += 2.0
    header = "timestamp,value" + ",label" * labelled
    rows = [
        f"{1.7e9 + n},{value:.6f}" + f",{int(ONSET <= n < ONSET + LASTS)}" * labelled
        for n, value in enumerate(values)
    ]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_step_is_found_at_once_and_what_is_not_labelled_is_a_false_alarm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Recall, precision, delay and false alarms a day follow from the alarms; all are listed."""
    file = _latency(tmp_path / "a.csv", labelled=True)
    found = _json(capsys, "--signal=probe_latency", file)
    whole = found["all"]
    assert (whole["rows"], whole["incidents"], whole["found"], whole["alarms"]) == (1500, 1, 1, 2)
    assert (whole["recall"], whole["precision"], whole["false_alarms"]) == (1.0, 0.5, 1)
    assert whole["delay_ticks"] <= 3
    assert whole["false_alarms_per_series_day"] == pytest.approx(86400.0 / 1499.0)
    (series,) = found["series"]
    opened = [one for one in series["verdicts"] if one["change"] == "opened"]
    assert [one["false"] for one in opened] == [False, True]
    assert "a: median probe latency is" in opened[0]["sentence"]
    assert series["windows"][0]["begin"] == 1.7e9 + ONSET


def test_windows_from_a_file_count_as_labels_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By any end of the name; without any label there is nothing to be right or wrong about."""
    file = _latency(tmp_path / "a.csv", labelled=False)
    beside = _latency(tmp_path / "b.csv", labelled=True)
    labels = tmp_path / "windows.json"
    window = [["2023-11-14 22:23:20", "2023-11-14T22:24:59+00:00"]]
    labels.write_text(json.dumps({f"{tmp_path.name}/a.csv": window}))
    found = _json(capsys, "--labels", labels, file, beside)["series"]
    assert found[0]["windows"] == found[1]["windows"]
    bare = _json(capsys, file)["all"]
    assert (bare["alarms"], bare["recall"], bare["false_alarms"]) == (2, None, None)


def test_the_table_is_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a series and one for all."""
    file = _latency(tmp_path / "a.csv", labelled=True)
    assert _command("--detector=zscore", file) == 0
    heading, one, everything, certainty = capsys.readouterr().out.splitlines()
    assert heading.split()[:4] == ["series", "values", "days", "incidents"]
    assert one.split()[1] == "1,500"
    assert everything.startswith("all ")
    assert certainty.startswith("95 % confidence: recall 0.")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "1: found an empty file, expected columns timestamp and value"),
        ("time,value\n1,2\n", "1: found time, value, expected columns"),
        ("timestamp,value\n1,2\nx,3\n", "3: Invalid isoformat"),
        ("timestamp,value\n1,two\n", "2: could not convert"),
        ("timestamp,value\n1\n", "2: too few columns"),
        ("timestamp,value,label\n1,2,maybe\n", "2: found label 'maybe', expected 1 or 0"),
        ("timestamp,value\n", "no row"),
        ("timestamp,value\nnan,1\n", "2: 'nan' is no time"),
    ],
)
def test_a_bad_file_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    """One line of complaint, status 1."""
    file = tmp_path / "bad.csv"
    file.write_text(text)
    assert _command(file) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_gaps_and_rows_out_of_order_are_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Empty values and infinities are gaps; a clock set back makes rows come out of order."""
    file = tmp_path / "odd.csv"
    file.write_text("timestamp,value\n3,1.0\n1,\n2,inf\n2,5\n\n")
    assert _json(capsys, file)["all"]["rows"] == 4


def test_flags_that_do_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither or both of files and own incidents, and a signal that is none, are refused."""
    file = _latency(tmp_path / "a.csv", labelled=True)
    assert _command() == 2
    assert _command("--own-incidents", file) == 2
    assert _command("--signal=weather", file) == 2
    assert "no signal 'weather'; known signals: probe_latency," in capsys.readouterr().err


def test_every_signal_of_a_capture_is_a_series(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stream that all but stops: the message rate has an alarm, named as the capture has it."""
    gaps = np.random.default_rng(7).exponential(0.1, 6000)
    times = NOW + 600.0 * np.cumsum(gaps) / gaps.sum()
    rows = trades(range(0))
    rows += [Row(time, "x", trade(number)) for number, time in enumerate(times.tolist())]
    rows += [Row(NOW + 600.0 + 5.0 * n, "x", trade(6000 + n)) for n in range(1, 24)]
    writer = Writer(tmp_path / "capture", replay.CONTENT)
    writer.append(Encoder().encode(rows))
    writer.close()
    labels = tmp_path / "windows.json"
    labels.write_text(json.dumps({"x/message_rate": [[NOW + 600.0, NOW + 720.0]]}))
    found = _json(capsys, "--labels", labels, tmp_path / "capture")
    rate = next(one for one in found["series"] if one["name"].endswith("/x/message_rate"))
    assert (rate["found"], rate["false_alarms"]) == (1, 0)
    assert rate["delay_seconds"] <= 60.0


def test_plots_are_drawn_or_the_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A PNG for each series; without the extra one line says what to install."""
    file = _latency(tmp_path / "a.csv", labelled=True)
    status = _command("--plots", tmp_path / "plots", file)
    if find_spec("matplotlib") is None:
        assert status == 2
        assert "pip install 'exchange-exporter[plots]'" in capsys.readouterr().err
        return
    assert status == 0
    (picture,) = (tmp_path / "plots").iterdir()
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")
    assert picture.stat().st_size > 10_000
