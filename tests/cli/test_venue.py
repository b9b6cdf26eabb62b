"""`venue`: a definition is begun, checked and tried; what it writes works."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.cli import _conformance as conformance
from exporter.cli import venue as command
from exporter.model import Side
from exporter.venues import definition, load, names
from tests.runtime.acme import Acme, serving

ROOT = Path(__file__).parents[2]
ACME = ROOT / "tests" / "venues" / "definitions" / "acme.yml"


def ran(*arguments: str) -> int:
    """Run the command within this process; return its exit status."""
    import argparse

    parser = argparse.ArgumentParser()
    command.arguments(parser)
    return command.run(parser.parse_args([*arguments]))


def test_a_venue_is_tried_over_the_network(tmp_path: Path) -> None:
    """Each frame is shown as understood; the recording and the test that are written work."""

    async def main() -> subprocess.CompletedProcess[str]:
        async with serving(Acme(2.0)) as host:
            arguments = [
                *("venue", "try", str(ACME), "--for=1", f"--out={tmp_path}"),
                *(f"--url=ws://{host}/stream/v1", f"--rest.url=http://{host}"),
            ]
            return await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "exporter", *arguments],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

    done = asyncio.run(main())
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert re.search(r"/v1/time: ok, its clock \+[12]\.\d+ s from ours", done.stdout)
    assert '>  {"op":"subscribe","id":1,"topics":["trades.XBT_USDT"' in done.stdout
    assert "Trade(label='trades', topic='trades.XBT_USDT'" in done.stdout
    assert "NOT UNDERSTOOD" not in done.stdout
    recording = tmp_path / "acme.txt"
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, str(tmp_path / "test_acme.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 passed" in tested.stdout, tested.stdout
    assert ran("try", str(ACME), f"--recording={recording}") == 0
    assert ran("check", str(ACME), f"--recording={recording}") == 0


def test_what_is_not_understood_is_said_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A frame that no kind fits is shown with why, and the status says so."""
    recording = tmp_path / "odd.txt"
    recording.write_text('1600000000.5: {"topic":"odd.X"}\n')
    assert ran("try", str(ACME), f"--recording={recording}") == 1
    shown = capsys.readouterr().out
    assert "NOT UNDERSTOOD: acme: a frame of no kind that is defined" in shown
    assert "1 frames, 1 not understood: no events" in shown
    assert ran("check", str(ACME), f"--recording={recording}") == 1
    assert "a frame of no kind that is defined" in capsys.readouterr().err


@pytest.mark.parametrize("name", names())
def test_every_venue_of_the_program_passes_its_own_check(name: str) -> None:
    """What is asked of a stranger's venue holds for ours."""
    assert list(conformance.complaints(load(name))) == []


def test_a_bad_venue_is_told_all_that_is_wrong() -> None:
    """Clear addresses, topics that collide, and a check that goes on after the first mistake."""
    text = ACME.read_text().replace("wss://", "ws://").replace("https://", "http://")
    text = text.replace("topic: book.{symbol}", "topic: trades.{symbol}")
    found = "\n".join(conformance.complaints(definition.compiled(text, "bad.yml")))
    assert "rest_url: found http://api.acme.example, expected https://" in found
    assert "stream_urls: found ws://stream.acme.example/v1, expected wss://" in found
    assert "topics: 'trades.XBT_USDT' stands for trades of BTC-USDT and book of BTC-USDT" in found


SAMPLES = {
    "rows": '{"topic":"trades.BTC_USDT","data":[{"p":"1.5","q":2,"s":"b","t":1600000000123}]}',
    "row": '{"e":"trade","d":{"symbol":"BTC-USDT","price":1,"size":"2","side":"SELL",'
    '"time":"2026-01-01T00:00:00Z"}}',
    "array": '{"method":"trades_update","params":["BTC_USDT",[{"id":7,"time":1580905394.7,"price":'
    '"0.02","amount":"5.5","type":"sell"}]]}',
    "book in rows": '{"channel":"book","data":[{"symbol":"BTC_USDT","asks":[["2","0"]],"bids":[],'
    '"lastId":407,"id":408,"ts":1648052239192}],"action":"update"}',
    "book in a row": '{"method":"depth.update","data":{"market":"BTCUSDT","depth":{"asks":[],"bids"'
    ':[["30736.00","0.04"]],"last":"30746.28","updated_at":1689152421692}}}',
    "flat": '{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","m":true}',
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_definition_begun_from_a_sample_reads_that_sample(name: str, tmp_path: Path) -> None:
    """What `new` writes is a definition that compiles, and finds what its own sample holds."""
    file = tmp_path / f"{name.replace(' ', '_')}.yml"
    assert ran("new", str(file), f"--sample={SAMPLES[name]}") == 0
    (event,) = definition.load(file).parse(SAMPLES[name].encode())
    assert type(event).__name__ == ("Depth" if name.startswith("book") else "Trade")
    assert ran("new", str(file)) == 2, "a file that is there is not written over"
    assert json.loads(SAMPLES[name])


def test_without_a_sample_what_must_be_changed_is_marked(tmp_path: Path) -> None:
    """The file compiles all the same, so that one mistake is mended after the other."""
    file = tmp_path / "bare.yml"
    assert ran("new", str(file)) == 0
    assert file.read_text().count("# CHANGE") >= 5
    assert ran("check", str(file)) == 0
    assert ran("check", str(tmp_path / "none.yml")) == 2
    assert ran("check", "nobody") == 2


def test_a_recording_of_a_defined_venue_is_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`replay --venue` takes the file of a definition too, and counts what its frames hold."""
    from exporter.cli import replay

    rows = [f'{{"p":"1.5","q":2,"s":"b","t":1600000000123,"n":{n}}}' for n in (7, 8, 12)]
    recording = tmp_path / "acme.txt"
    recording.write_text(
        "".join(
            f'1600000000.{n}: {{"topic":"trades.X","data":[{r}]}}\n' for n, r in enumerate(rows)
        )
    )
    parser = argparse.ArgumentParser()
    replay.arguments(parser)
    given = parser.parse_args([str(recording), f"--venue={ACME}", "--summary=json"])
    assert replay.run(given) == 0
    assert '"trades": 3' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        parser.parse_args([str(recording), "--venue=nobody"])
    assert "a definition's file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--url=http://x", "expected an address such as ws"),
        ("--rest.url=ws://x", "expected an address such as http"),
        ("--for=0", "expected seconds"),
        ("--for=nan", "expected seconds"),
        ("--symbol=foo/bar", "--symbol: expected an instrument"),
    ],
)
def test_a_flag_that_cannot_be_is_told(
    flag: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, before anything is asked or written."""
    try:
        status = ran("try", "gate", f"--out={tmp_path}", flag)
    except SystemExit as error:
        status = int(error.code or 0)
    assert status == 2
    assert said in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_sides_are_spelled_as_in_the_sample(tmp_path: Path) -> None:
    """Capitals of a word stay: "Sell" is another value than "sell"."""
    for value, wanted in (("Sell", "buy: Buy, sell: Sell"), ("SELL", "buy: BUY, sell: SELL")):
        file = tmp_path / "new.yml"
        file.unlink(missing_ok=True)
        sample = {"pair": "BTC/USDT", "price": 1.5, "qty": 1, "taker": value, "ts": 1600000000123}
        assert ran("new", str(file), f"--sample={json.dumps(sample)}") == 0
        assert f"side: {{path: taker, {wanted}}}" in file.read_text()
        (trade,) = definition.load(file).parse(json.dumps(sample).encode())
        assert getattr(trade, "side", None) is Side.SELL
