"""Captures: what the streams brought is on the disk, and replays as it was."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter import config as settings
from exporter import venues
from exporter.app import board, replay
from exporter.app.capture import Capture, Recorder
from exporter.commands import capture as command
from exporter.commands import replay as replay_command
from exporter.commands.replay import paced, play
from exporter.contracts import Venue
from exporter.flow.codec import Mark, Row
from exporter.flow.segments import SMALLEST, Writer, segments
from exporter.model import Ack, Channel, Control, Depth, Subscription, Trade
from exporter.simulator import Simulator
from exporter.sources.recording import read
from tests.conftest import shared

NOW = 1_700_000_000.0
CONFIG = """
exchanges:
- {{venue: binance, symbols: [BTC-USDT, ETH-USDT], endpoints: [],
   stream_url: "{ws}/binance/stream", rest_url: "{http}/binance"}}
- {{venue: bybit, symbols: [BTC-USDT], endpoints: [],
   stream_url: "{ws}/bybit/v5/public/spot", rest_url: "{http}/bybit"}}
"""


def config_for(simulator: Simulator) -> str:
    """Spell a config whose exchanges are simulated."""
    return CONFIG.format(http=simulator.url, ws=simulator.url.replace("http", "ws", 1))


def captured(directory: Path, seconds: float, **bounds: Any) -> dict[str, Any]:
    """Record the simulator for a while; give what the board said while it was recorded."""

    async def run() -> dict[str, Any]:
        async with Simulator(venue_names=["binance", "bybit"], rate=50, book_rate=20) as simulator:
            text = config_for(simulator)
            config = settings.read(text, "test", venues.names(), venues.load)
            bounds.setdefault("segment_size", 64 << 20)
            bounds.setdefault("max_bytes", None)
            capture = Capture(config, directory, **bounds)
            await capture.run(asyncio.Event(), seconds)
            assert capture.recorder.dropped == 0
            return board.figures(capture.recorder.board)

    return asyncio.run(run())


def replayed(path: Path) -> dict[str, Any]:
    """Replay a capture; give what the board says."""
    return board.figures(play(path))


def test_a_replay_is_the_live_run(tmp_path: Path) -> None:
    """All figures are equal to those while it was recorded, over several segments, twice."""
    live = captured(tmp_path, 2.0, segment_size=SMALLEST * 4)
    assert len(segments(tmp_path)) > 1
    assert {
        (one["exchange"], one["channel"], one["instrument"]) for one in live["subscriptions"]
    } == {
        ("binance", channel, instrument)
        for channel in ("trades", "quotes", "book")
        for instrument in ("BTC-USDT", "ETH-USDT")
    } | {("bybit", channel, "BTC-USDT") for channel in ("trades", "quotes", "book")}
    assert all(one["events"] > 5 for one in live["subscriptions"])
    assert all(one["gaps"] == 0 for one in live["subscriptions"])
    assert live["events"] > 200
    assert live["controls"] >= 2
    assert live["marks"]["armed"] >= 9
    assert replayed(tmp_path) == live
    first, second = (json.dumps(replayed(tmp_path)) for _ in range(2))
    assert first == second


def test_only_the_newest_segments_are_kept(tmp_path: Path) -> None:
    """A bounded capture replays from where it begins, every subscription known by its name."""
    live = captured(tmp_path, 1.5, segment_size=SMALLEST, max_bytes=2 * SMALLEST)
    assert 1 <= len(segments(tmp_path)) <= 2
    found = replayed(tmp_path)
    assert 0 < found["events"] < live["events"]
    names = {one["instrument"] for one in found["subscriptions"]}
    assert names == {"BTC-USDT", "ETH-USDT"}


# --- the recorder ---------------------------------------------------------------------------------

WHAT = Subscription(
    exchange="x", channel=Channel.TRADES, instrument="BTC-USDT", symbol="BTCUSDT", topic="t"
)


def recorder(tmp_path: Path) -> Recorder:
    """Make one for a single subscription of Binance's protocol."""
    return Recorder(Writer(tmp_path, replay.CONTENT), [(WHAT, venues.load("binance"))])


def test_levels_that_cannot_be_read_are_marked(tmp_path: Path) -> None:
    """The event is kept without them, so that counts and sequences stay true."""
    ours = recorder(tmp_path)
    ours.write([Row(NOW, "x", Depth("d", "t", "BTCUSDT", None, object(), last=5))])
    ours.writer.close()
    *_, mark, row = replay.captured(tmp_path, pytest.fail)
    assert mark.event == Mark(board.UNREADABLE, "t")
    assert row.event == Depth("d", "t", "BTCUSDT", None, ([], []), last=5)


def test_too_many_rows_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stands still costs memory up to a bound, and then events, which are counted."""
    monkeypatch.setattr("exporter.app.capture._WAITING", 3)
    ours = recorder(tmp_path)
    for number in range(5):
        ours.add(Row(NOW + number, "x", Control("c")))
    assert ours.dropped == 2
    assert [row.received for row in ours.taken()] == [NOW, NOW + 1, NOW + 2]
    assert ours.taken() == []
    ours.writer.close()


# --- replay ---------------------------------------------------------------------------------------


def trade(number: int, topic: str = "t") -> Trade:
    """Give a numbered trade."""
    return Trade("trade", topic, "BTCUSDT", None, 100.0, 1.0, None, number)


def trades(numbers: Iterator[int] | range, venue: str = "binance") -> list[Row]:
    """Give a subscription and its numbered trades, a tenth of a second apart."""
    what = Subscription(
        exchange="x", channel=Channel.TRADES, instrument="BTC-USDT", symbol="BTCUSDT", topic="t"
    )
    rows = [board.subscribed(what, venue, NOW)]
    return rows + [Row(NOW + n / 10, "x", trade(n)) for n in numbers]


def seen(rows: list[Row]) -> dict[str, Any]:
    """Put rows through a board."""
    found = board.Board()
    for row in rows:
        found.take(row)
    found.finish()
    return board.figures(found)


def test_a_hole_is_a_gap_unless_the_subscription_began_anew() -> None:
    """What a lost connection missed is no gap of the venue's."""
    rows = trades(range(10)) + trades(range(15, 20))[1:]
    (one,) = seen(rows)["subscriptions"]
    assert (one["events"], one["gaps"], one["missed"]) == (15, 1, 5)
    armed = Row(NOW + 1.45, "x", Mark(board.ARMED, "t"))
    (one,) = seen([*rows[:11], armed, *rows[11:]])["subscriptions"]
    assert (one["events"], one["gaps"]) == (15, 0)


def test_silence_is_seen_by_ticks_of_the_recorded_time() -> None:
    """A tick a second while nothing comes; a pause of a day is not ticked through."""
    rows = trades(range(100))
    rows.append(Row(NOW + 410.0, "x", trade(100)))
    found = seen(rows)
    (one,) = found["subscriptions"]
    assert found["ticks"] == 411
    assert one["stale_ticks"] > 300
    rows[-1] = Row(NOW + 86400.0, "x", trade(100))
    assert seen(rows)["ticks"] < 700


def test_a_venue_that_nobody_knows_has_no_rules(tmp_path: Path) -> None:
    """A capture of a newer program replays as far as this one understands it."""
    found = seen(trades(range(0, 20, 2), venue="atlantis"))
    assert found["subscriptions"][0]["gaps"] == 0
    odd = Row(NOW, "x", Mark(board.SUBSCRIBED, "t", {"channel": "options"}))
    assert seen([odd, Row(NOW, "x", trade(1))])["events"] == 1


def test_detectors_score_what_is_replayed() -> None:
    """Ten minutes of a steady stream that then all but stops: the message rate is an anomaly."""
    rows = trades(range(6000))
    rows += [Row(NOW + 600 + n, "x", trade(6000 + n)) for n in range(60)]
    signals = {one["signal"]: one for one in seen(rows)["signals"]}
    rate = signals["message_rate"]
    assert rate["highest_score"] > 1.0
    assert 600 < rate["at"] - NOW < 660


def test_rows_are_paced() -> None:
    """Ten times as fast, late ones at once, and what is from before never waits."""
    clock = [0.0]
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(round(seconds, 6))
        clock[0] += seconds

    rows = [Row(NOW + at, "x", Control("c")) for at in (0.0, 1.0, 0.5, 3.0)]
    found = list(paced(rows, 10.0, lambda: clock[0], wait))
    assert found == rows
    assert waits == [0.1, 0.2]


def venue_of(name: str) -> Venue:
    """Give the venue of a recording."""
    with shared(f"recordings/{name}").open("rb") as lines:
        venue = replay_command.recognise(read(lines))
    assert venue is not None
    return venue


@pytest.mark.parametrize(
    "name",
    ["binance/ws.txt", "coinbase/ws.txt", "kraken/ws_book.txt", "kraken_v2/vector_book.jsonl"],
)
def test_raw_recordings_go_through_the_same_pipeline(name: str) -> None:
    """As many events as the venue's parser gives, and no gap, as TRUTH.json says there is none."""
    path = shared(f"recordings/{name}")
    found = board.figures(play(path))
    with path.open("rb") as lines:
        rows = list(replay.recorded(read(lines), venue_of(name)))
    assert found["events"] == sum(not isinstance(r.event, Ack | Control | Mark) for r in rows)
    assert found["events"] == sum(one["events"] for one in found["subscriptions"])
    assert all(one["gaps"] == 0 for one in found["subscriptions"])
    thinned = board.figures(play(path, drop_every=3))
    assert thinned["events"] == found["events"] - found["events"] // 3


# --- the commands ---------------------------------------------------------------------------------


def replay_says(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command `replay`; give its status and what it printed."""
    parser = ArgumentParser()
    replay_command.arguments(parser)
    status = replay_command.run(parser.parse_args(words))
    return (status, *capsys.readouterr())


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A capture of one subscription with a hole."""
    ours = recorder(tmp_path / "capture")
    ours.write(trades(range(50)) + trades(range(60, 80))[1:])
    ours.writer.close()
    return tmp_path / "capture"


def test_summaries(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text for people, JSON for programs, a page as Prometheus would have seen it."""
    status, out, _ = replay_says(capsys, str(written))
    assert status == 0
    assert "70 events, 0 control messages" in out
    assert ["x", "trades", "BTC-USDT", "70", "1", "10", "100"] in [
        line.split()[:7] for line in out.splitlines()
    ]
    _, out, _ = replay_says(capsys, "--summary=json", str(written))
    assert json.loads(out) == replayed(written)
    _, out, _ = replay_says(capsys, "--summary=metrics", "--speed=1000", str(written))
    wanted = 'exchange_stream_sequence_gaps_total{exchange="x",channel="trades"} 1'
    assert wanted in out.splitlines()


def test_damaged_captures_are_replayed_as_far_as_they_are_good(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A torn tail is named on stderr; what is no segment of ours is refused."""
    (path,) = segments(written)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    status, out, complaint = replay_says(capsys, str(path))
    assert (status, out) == (0, "nothing was recorded\n")
    assert "a torn block" in complaint
    path.write_bytes(b"something else")
    status, _, complaint = replay_says(capsys, str(written))
    assert status == 1
    assert "no segment" in complaint


@contextmanager
def simulated() -> Iterator[str]:
    """Run the simulator beside the test, in a thread; give a config that watches it."""
    ready, over = threading.Event(), threading.Event()
    config: list[str] = []

    async def serve() -> None:
        async with Simulator(venue_names=["binance", "bybit"], rate=200) as simulator:
            config.append(config_for(simulator))
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield config[0]
    finally:
        over.set()
        thread.join(10)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_command_ends_as_told(tmp_path: Path, how: signal.Signals) -> None:
    """Told to end, it writes what it has and says so; killed, it leaves what can be replayed."""
    out = tmp_path / "out"
    with simulated() as config:
        (tmp_path / "config.yml").write_text(config)
        process = subprocess.Popen(
            [sys.executable, "-m", "exporter", "capture", f"--out={out}",
             f"--config.file={tmp_path}/config.yml"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr is not None
        with process.stderr:
            deadline = threading.Event()
            for _ in range(200):
                if out.exists() and sum(path.stat().st_size for path in segments(out)) > 10_000:
                    break
                assert process.poll() is None, process.stderr.read()
                deadline.wait(0.05)
            os.kill(process.pid, how)
            complaint = process.stderr.read()
            status = process.wait(10)
    found = replayed(out)
    assert found["events"] > 50
    assert all(one["gaps"] == 0 for one in found["subscriptions"])
    if how is signal.SIGKILL:
        assert status == -signal.SIGKILL
    else:
        assert status == 0
        assert f"{found['events']} events" in complaint
        assert found["marks"]["lost"] == 2


def test_what_cannot_be_used_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad config, bounds that make no sense, a directory that another process writes to."""

    def says(*words: str) -> tuple[int, str]:
        parser = ArgumentParser()
        command.arguments(parser)
        return command.run(parser.parse_args(words)), capsys.readouterr().err

    config = tmp_path / "config.yml"
    config.write_text("exchanges: [{venue: atlantis}]")
    flags = f"--config.file={config}", f"--out={tmp_path}/out"
    status, complaint = says(*flags)
    assert (status, "atlantis" in complaint) == (2, True)
    config.write_text("exchanges: [{venue: binance, symbols: [BTC-USDT]}]")
    status, complaint = says(*flags, "--segment.size=1MiB", "--max.bytes=1MiB")
    assert (status, "at least two segments" in complaint) == (2, True)
    writer = Writer(tmp_path / "out", replay.CONTENT)
    status, complaint = says(*flags)
    assert (status, "another process writes here" in complaint) == (1, True)
    writer.close()
    with pytest.raises(SystemExit):
        says(*flags, "--for=soon")
    assert "expected 90s or 1h30m" in capsys.readouterr().err
