"""Captures: what the streams brought is on the disk, and replays as it was."""

from __future__ import annotations

import asyncio
import json
import os
import re
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
from exporter.capture import playback, replay
from exporter.capture.codec import Mark, Row
from exporter.capture.record import Capture, Recorder
from exporter.cli import capture as command
from exporter.cli import replay as replay_command
from exporter.cli.replay import play
from exporter.flow.segments import SMALLEST, Writer, segments
from exporter.model import Channel, Control, Depth, Subscription
from exporter.simulator import Simulator
from tests.capture.test_playback import NOW, trades
from tests.flow.test_segments import file_size_limit
from tests.runtime.running import wait_until

CONFIG = """
exchanges:
- {{venue: binance, symbols: [BTC-USDT, ETH-USDT], endpoints: [],
   stream_url: "{ws}/binance/stream", rest_url: "{http}/binance"}}
- {{venue: bybit, symbols: [BTC-USDT], endpoints: [],
   stream_url: "{ws}/bybit/v5/public/spot", rest_url: "{http}/bybit"}}
"""


def config_for(simulator: Simulator) -> str:
    """Format a config whose exchanges are simulated."""
    return CONFIG.format(http=simulator.url, ws=simulator.url.replace("http", "ws", 1))


def captured(
    directory: Path, seconds: float, *, at_least: int = 1, **bounds: Any
) -> dict[str, Any]:
    """Record the simulator for a while; return what the board said while it was recorded.

    A machine that is busy is given more time, until there are ``at_least`` so many segments.
    """

    async def run() -> dict[str, Any]:
        async with Simulator(venue_names=["binance", "bybit"], rate=50, book_rate=20) as simulator:
            text = config_for(simulator)
            config = settings.read(text, "test", venues.names(), venues.load)
            bounds.setdefault("segment_size", 64 << 20)
            bounds.setdefault("max_bytes", None)
            capture = Capture(config, directory, **bounds)
            stop = asyncio.Event()

            async def wait_enough() -> None:
                await asyncio.sleep(seconds)
                await wait_until(lambda: len(segments(directory)) >= at_least, 60.0)
                stop.set()

            failed: BaseException | None = None
            try:
                async with asyncio.TaskGroup() as tasks:
                    enough = tasks.create_task(wait_enough())
                    await capture.run(stop)
                    enough.cancel()
            except* OSError as group:
                failed = group.exceptions[0]
            if failed is not None:  # raised in there it would be wrapped in a group again
                raise failed
            assert capture.recorder.dropped == 0
            return capture.recorder.board.figures()

    return asyncio.run(run())


def replayed(path: Path) -> dict[str, Any]:
    """Replay a capture; return what the board says."""
    return play(path).figures()


def test_a_replay_is_the_live_run(tmp_path: Path) -> None:
    """All figures are equal to those while it was recorded, over several segments, twice."""
    live = captured(tmp_path, 2.0, at_least=2, segment_size=SMALLEST * 4)
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


def test_a_full_disk_ends_it(tmp_path: Path) -> None:
    """What was written until then replays, and the reason is given as it is."""
    with file_size_limit(20_000), pytest.raises(OSError, match="too large"):
        captured(tmp_path, 10.0)
    found = replayed(tmp_path)
    assert found["events"] > 50
    assert all(one["gaps"] == 0 for one in found["subscriptions"])


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
    assert mark.event == Mark(playback.UNREADABLE, "t")
    assert row.event == Depth("d", "t", "BTCUSDT", None, ([], []), last=5)


def test_too_many_rows_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stands still costs memory up to a bound, and then events, which are counted."""
    monkeypatch.setattr("exporter.capture.record._WAITING", 3)
    ours = recorder(tmp_path)
    for number in range(5):
        ours.add(Row(NOW + number, "x", Control("c")))
    assert ours.dropped == 2
    assert [row.received for row in ours.taken()] == [NOW, NOW + 1, NOW + 2]
    assert ours.taken() == []
    ours.writer.close()


# --- the commands ---------------------------------------------------------------------------------


def replay_says(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command `replay`; return its status and what it printed."""
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
    """Run the simulator beside the test, in a thread; return a config that watches it."""
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
        assert ready.wait(60)
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
            for _ in range(1200):
                if out.exists() and sum(path.stat().st_size for path in segments(out)) > 10_000:
                    break
                assert process.poll() is None, process.stderr.read()
                deadline.wait(0.05)
            os.kill(process.pid, how)
            complaint = process.stderr.read()
            status = process.wait(60)
    found = replayed(out)
    assert found["events"] > 50
    assert all(one["gaps"] == 0 for one in found["subscriptions"])
    if how is signal.SIGKILL:
        assert status == -signal.SIGKILL
    else:
        assert status == 0
        assert f"{found['events']} events" in complaint
        assert found["marks"]["lost"] == 2


def test_patterns_are_what_the_venue_lists_at_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command records the markets that they stand for; without a list it does not begin."""
    parser = ArgumentParser()
    command.arguments(parser)
    file, out = tmp_path / "config.yml", tmp_path / "out"
    words = [f"--config.file={file}", f"--out={out}", "--for=1s"]
    with simulated() as config:
        file.write_text(re.sub(r"symbols: \[[^]]*\]", 'symbols: ["*-USDT"]', config))
        assert command.run(parser.parse_args(words)) == 0
    found = replayed(out)
    watched = {(each["exchange"], each["instrument"]) for each in found["subscriptions"]}
    names = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
    assert watched == {(venue, name) for venue in ("binance", "bybit") for name in names}
    capsys.readouterr()
    assert command.run(parser.parse_args(words)) == 2
    assert "binance: http://127.0.0.1:" in capsys.readouterr().err


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
